//! What the queue keeps beside each message: its envelope, and how far it got with each recipient.

mod version_1;

use serde::{Deserialize, Serialize};

use crate::config::{Account, Config, Smarthost};
use crate::smtp::dsn::{self, Notify};
use crate::smtp::{self, Envelope, Mailbox, Reply, ReversePath};

/// Seconds until the sender is told again that a message failed, where that failed.
const REPORT_AGAIN: i64 = 600;

/// Octets that are kept of what a server said of a recipient: it may say 64 KiB, for each of a hundred.
const TEXT_MAX: usize = 1000;
/// Events of a message that are kept, and octets of each.
const HISTORY_MAX: usize = 16;
const EVENT_MAX: usize = 200;

/// The note as it stands on flash, in postcard. A new shape gets a new variant at the end.
#[derive(Serialize, Deserialize)]
enum Note {
    V1(version_1::Entry),
    V2(Entry),
}

/// A queued message, but for its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where bounces go.
    pub sender: ReversePath,
    /// Who submitted it.
    pub submitter: Submitter,
    /// The content has octets above 127.
    pub eight_bit: bool,
    /// Addresses or the header have characters above ASCII (RFC 6531).
    pub utf8: bool,
    /// What is asked for about the whole message.
    pub dsn: dsn::Request,
    /// When it was accepted, in seconds since 1970 UTC.
    pub created: i64,
    /// The operator holds it back.
    pub held: bool,
    /// Its sender was told that it is late.
    pub told_late: bool,
    /// Since when all of it may be with the smarthost, which has not answered, in seconds since 1970 UTC.
    pub in_doubt: Option<i64>,
    /// What became of it so far, the oldest first.
    pub history: Vec<Event>,
    /// At least one.
    pub recipients: Vec<Recipient>,
}

/// Who submitted a message. Its login is theirs and nobody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Submitter {
    /// A device of the LAN, without a login.
    Device,
    /// The account of this lasting identity; 0 is one that is gone.
    Account(u64),
}

impl Submitter {
    /// The account that it is, where there still is one.
    pub fn account(self, config: &Config) -> Option<&Account> {
        match self {
            Submitter::Device => None,
            Submitter::Account(id) => config.account_by_id(id),
        }
    }
}

/// Something that came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// In seconds since 1970 UTC.
    pub at: i64,
    /// What.
    pub what: String,
}

/// A recipient of a queued message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The forward-path.
    pub mailbox: Mailbox,
    /// When the sender wants to hear of it.
    pub notify: Notify,
    /// ORCPT as it came; empty where it was not said.
    pub original: String,
    /// How far it got.
    pub progress: Progress,
}

/// How far a message got with a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Not there yet.
    Pending {
        /// So far.
        attempts: u32,
        /// Seconds since 1970 UTC.
        next_try: i64,
        /// The latest of them.
        latest: Option<Attempt>,
    },
    /// Delivered, or taken by the smarthost, and nobody has to be told.
    Done,
    /// Never going to be delivered, which its sender does not know yet.
    Failed {
        /// An enhanced status code (RFC 3463).
        status: String,
        /// What happened.
        latest: Attempt,
        /// When to tell the sender, in seconds since 1970 UTC.
        next_try: i64,
    },
    /// The sender knows that it failed.
    Reported,
}

/// An attempt that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attempt {
    /// When, in seconds since 1970 UTC; 0 where that was not written down.
    pub at: i64,
    /// The host that it went to; empty for a delivery here.
    pub remote: String,
    /// `text` is a reply of the other side (RFC 5321 section 4.2), and not our own words.
    pub is_reply: bool,
    /// What went wrong.
    pub text: String,
}

impl Attempt {
    /// An attempt that failed for a reason that is no reply of `remote`.
    pub fn failed(at: i64, remote: &str, text: &str) -> Attempt {
        Attempt { at, remote: remote.to_owned(), is_reply: false, text: text.to_owned() }
    }

    /// An attempt that `reply` of `remote` ended.
    pub fn answered(at: i64, remote: &str, reply: &Reply) -> Attempt {
        Attempt { is_reply: true, ..Attempt::failed(at, remote, &reply.to_string()) }
    }
}

/// Who does the work for a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Delivery into an account, and reports to the sender.
    Here,
    /// Through the smarthost.
    Smarthost,
}

impl Entry {
    /// A message just accepted: everything is due.
    pub fn new(envelope: Envelope, now: i64) -> Entry {
        let pending = |to: smtp::Recipient| Recipient {
            mailbox: to.mailbox,
            notify: to.notify,
            original: to.original,
            progress: Progress::Pending { attempts: 0, next_try: now, latest: None },
        };
        Entry {
            sender: envelope.sender,
            submitter: envelope.account.map_or(Submitter::Device, Submitter::Account),
            eight_bit: envelope.eight_bit,
            utf8: envelope.utf8,
            dsn: envelope.dsn,
            created: now,
            held: false,
            told_late: false,
            in_doubt: None,
            history: Vec::new(),
            recipients: envelope.recipients.into_iter().map(pending).collect(),
        }
    }

    /// The note for the store.
    pub fn to_note(&self) -> Vec<u8> {
        // Plain data does not fail to be written to memory.
        postcard::to_stdvec(&Note::V2(self.clone())).unwrap_or_default()
    }

    /// The entry of a note; `None` where it makes no sense. A note of the first kind names an account: whose it is `config`
    /// tells, and it has to be written anew before that can change.
    pub fn of_note(note: &[u8], config: &Config) -> Option<Entry> {
        match postcard::from_bytes(note).ok()? {
            Note::V1(entry) => Some(entry.current(config)),
            Note::V2(entry) => Some(entry),
        }
    }

    /// Whether a note is of a kind that is written no more.
    pub fn is_old(note: &[u8]) -> bool {
        note.first() == Some(&0)
    }

    /// Remembers that something came about; of too much the beginning and the end.
    pub fn happened(&mut self, at: i64, what: &str) {
        if self.history.len() >= HISTORY_MAX {
            self.history.remove(HISTORY_MAX / 2);
        }
        let what = what[..what.floor_char_boundary(EVENT_MAX)].to_owned();
        self.history.push(Event { at, what });
    }

    /// Whether nothing is left to do.
    pub fn is_settled(&self) -> bool {
        self.recipients.iter().all(|r| matches!(r.progress, Progress::Done | Progress::Reported))
    }

    /// When work of this kind is to be done next, in seconds since 1970 UTC; `None`: never.
    pub fn when(&self, work: Work, config: &Config) -> Option<i64> {
        self.recipients.iter().filter_map(|r| r.when(work, config)).min()
    }

    /// The recipients that work of this kind is due for.
    pub fn due(&mut self, work: Work, config: &Config, now: i64) -> impl Iterator<Item = &mut Recipient> {
        self.recipients
            .iter_mut()
            .filter(move |r| r.when(work, config).is_some_and(|at| is_due(at, now, &config.smarthost)))
    }

    /// Makes everything that is open due at once.
    pub fn hasten(&mut self, now: i64) {
        for recipient in &mut self.recipients {
            if let Progress::Pending { next_try, .. } | Progress::Failed { next_try, .. } =
                &mut recipient.progress
            {
                *next_try = now;
            }
        }
    }

    /// The sender was told what failed, or that did not work (its mailbox may be full): then later, for
    /// as long as a delivery is tried.
    pub fn reported(&mut self, told: bool, smarthost: &Smarthost, now: i64) {
        let given_up = now.saturating_sub(self.created) > 2 * i64::from(smarthost.expire);
        for recipient in &mut self.recipients {
            if let Progress::Failed { next_try, .. } = &mut recipient.progress {
                *next_try = now + REPORT_AGAIN;
                if told || given_up {
                    recipient.progress = Progress::Reported;
                }
            }
        }
    }
}

impl Recipient {
    fn when(&self, work: Work, config: &Config) -> Option<i64> {
        let here = || config.stays_here(self.mailbox.as_str());
        match (&self.progress, work) {
            (Progress::Pending { next_try, .. }, Work::Here) if here() => Some(*next_try),
            (Progress::Pending { next_try, .. }, Work::Smarthost) if !here() => Some(*next_try),
            (Progress::Failed { next_try, .. }, Work::Here) => Some(*next_try),
            _ => None,
        }
    }

    /// As SMTP has it.
    pub fn for_smtp(&self) -> smtp::Recipient {
        let (mailbox, original) = (self.mailbox.clone(), self.original.clone());
        smtp::Recipient { mailbox, notify: self.notify, original }
    }

    /// Whether the message is still to go to it through the smarthost.
    pub fn waits_outside(&self, config: &Config) -> bool {
        self.when(Work::Smarthost, config).is_some()
    }

    /// What a reply of `remote` means for this recipient.
    pub fn take(&mut self, reply: &Reply, remote: &str, created: i64, smarthost: &Smarthost, now: i64) {
        let answered = || Attempt::answered(now, remote, reply);
        if reply.is_positive() {
            self.progress = Progress::Done;
        } else if reply.is_permanent() {
            let status = reply.status.map_or_else(|| "5.0.0".to_owned(), |status| status.to_string());
            self.fail(status, answered());
        } else {
            self.postpone(answered(), created, smarthost);
        }
    }

    /// It will never be delivered, as `latest` has shown.
    pub fn fail(&mut self, status: String, latest: Attempt) {
        self.progress = Progress::Failed { status, next_try: latest.at, latest: shortened(latest) };
    }

    /// An attempt failed: later, or never when that goes on for too long.
    ///
    /// The schedule has to be gone through once in any case: many boards have no clock of their own,
    /// and a message that was accepted in 1970 is not days old when the network tells the time.
    pub fn postpone(&mut self, latest: Attempt, created: i64, smarthost: &Smarthost) {
        let Progress::Pending { attempts, .. } = &self.progress else { return };
        let (attempts, now) = (attempts.saturating_add(1), latest.at);
        let tried = usize::try_from(attempts).unwrap_or(usize::MAX);
        let expiry = created.saturating_add(smarthost.expire.into());
        if now >= expiry && tried >= smarthost.retry.len() {
            // RFC 3463 section 3.5: delivery time expired.
            self.fail("4.4.7".to_owned(), latest);
            return;
        }
        let pause = smarthost.retry.get(tried - 1).or(smarthost.retry.last()).copied().unwrap_or(3600);
        let mut next_try = now.saturating_add(pause.into());
        if now < expiry && tried >= smarthost.retry.len() {
            next_try = next_try.min(expiry);
        }
        self.progress = Progress::Pending { attempts, next_try, latest: Some(shortened(latest)) };
    }
}

fn shortened(mut attempt: Attempt) -> Attempt {
    attempt.text.truncate(attempt.text.floor_char_boundary(TEXT_MAX));
    attempt
}

/// Whether what is planned for `at` is due. A time further away than any pause lasts was written when
/// the clock was wrong.
pub fn is_due(at: i64, now: i64, smarthost: &Smarthost) -> bool {
    let longest = smarthost.retry.iter().max().copied().unwrap_or(0).max(3600);
    at <= now || at - now > i64::from(longest)
}

#[cfg(test)]
mod tests;
