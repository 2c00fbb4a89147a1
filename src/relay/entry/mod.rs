//! What the queue keeps beside each message: its envelope, and how far it got with each recipient.

mod recipient;
mod version_1;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::config::{Account, Config, Smarthost};
use crate::smtp::{Envelope, Mailbox, Reply, ReversePath, dsn};

pub use recipient::{Attempt, Progress, Recipient, Telling, longest_pause};

/// Events of a message that are kept, and octets of each.
const HISTORY_MAX: usize = 16;
const EVENT_MAX: usize = 200;
/// Why a message ends that the operator takes out.
const WITHDRAWN: &str = "removed by the operator of this appliance";
/// Seconds within which two answers are about the same attempt.
const SAME_ATTEMPT: i64 = 10;

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
    /// From when on its time counts: since it was accepted, or since the operator let go of it. In seconds since 1970 UTC.
    pub since: i64,
    /// The operator holds it back.
    pub held: bool,
    /// Whether its sender was told that it is late.
    pub late: Late,
    /// Reports to its sender that were begun, by which each has a number of its own.
    pub reports: u32,
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

/// Whether a sender knows that a message is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Late {
    /// Not yet.
    Untold {
        /// Not before this, in seconds since 1970 UTC: the mailbox may be full.
        next_try: i64,
    },
    /// It was told, once.
    Told,
}

/// Something that came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// In seconds since 1970 UTC.
    pub at: i64,
    /// What.
    pub what: String,
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
        let pending = |to| Recipient::new(to, now);
        Entry {
            sender: envelope.sender,
            submitter: envelope.account.map_or(Submitter::Device, Submitter::Account),
            eight_bit: envelope.eight_bit,
            utf8: envelope.utf8,
            dsn: envelope.dsn,
            created: now,
            since: now,
            held: false,
            late: Late::Untold { next_try: 0 },
            reports: 0,
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
        let what = what.get(..what.floor_char_boundary(EVENT_MAX)).unwrap_or_default().to_owned();
        self.history.push(Event { at, what });
    }

    /// Remembers the answer to an attempt. Recipients that have the same one share an event, or a hundred of them would push out
    /// everything else.
    pub fn answered(&mut self, at: i64, mailbox: &Mailbox, reply: &Reply) {
        let reply = format!(": {reply}");
        let reply = reply.get(..reply.floor_char_boundary(EVENT_MAX / 2)).unwrap_or_default();
        match self.history.last_mut() {
            Some(last) if at.saturating_sub(last.at) <= SAME_ATTEMPT && last.what.ends_with(reply) => {
                let first = last.what.split('>').next().unwrap_or_default();
                last.what = format!("{first}> and others{reply}");
            }
            _ => self.happened(at, &format!("<{mailbox}>{reply}")),
        }
    }

    /// Whether the account that submitted it is gone. Nobody has its login, so nothing of it may leave any more.
    pub fn is_orphan(&self, config: &Config) -> bool {
        self.submitter != Submitter::Device && self.submitter.account(config).is_none()
    }

    /// Whether nothing is left to do.
    pub fn is_settled(&self) -> bool {
        self.recipients.iter().all(Recipient::is_settled)
    }

    /// When work of this kind is to be done next, in seconds since 1970 UTC; `None`: never.
    pub fn when(&self, work: Work, config: &Config) -> Option<i64> {
        let orphan = self.is_orphan(config);
        let late = if work == Work::Here { self.late_at(config) } else { None };
        self.recipients.iter().filter_map(|r| r.when(work, self.held, orphan, config)).chain(late).min()
    }

    /// Whether all that is to be done here is to tell that it is late.
    pub fn has_only_notice(&self, config: &Config) -> bool {
        let orphan = self.is_orphan(config);
        let waits = |r: &Recipient| r.when(Work::Here, self.held, orphan, config).is_some();
        self.late_at(config).is_some() && !self.recipients.iter().any(waits)
    }

    /// The recipients that work of this kind is due for.
    pub fn due(&mut self, work: Work, config: &Config, now: i64) -> impl Iterator<Item = &mut Recipient> {
        let (held, orphan) = (self.held, self.is_orphan(config));
        self.recipients.iter_mut().filter(move |r| {
            r.when(work, held, orphan, config).is_some_and(|at| is_due(at, now, &config.smarthost))
        })
    }

    /// Makes everything that is open due at once.
    pub fn hasten(&mut self, now: i64) {
        self.recipients.iter_mut().for_each(|recipient| recipient.hasten(now));
    }

    /// The operator holds it back: no attempts, and its time does not pass.
    pub fn hold(&mut self, now: i64) {
        self.held = true;
        self.happened(now, "held by the operator");
    }

    /// The operator lets go of it: it is tried at once, and has all the time again that a new message has.
    pub fn release(&mut self, now: i64) {
        (self.held, self.since) = (false, now);
        self.hasten(now);
        self.happened(now, "released by the operator");
    }

    /// The operator takes it out, and its sender is to hear that.
    pub fn withdraw(&mut self, now: i64) {
        self.held = false;
        self.happened(now, WITHDRAWN);
        for recipient in
            self.recipients.iter_mut().filter(|it| matches!(it.progress, Progress::Pending { .. }))
        {
            recipient.fail("5.7.0".to_owned(), Attempt::never(WITHDRAWN));
        }
    }

    /// When its sender is to hear that it is late, in seconds since 1970 UTC; `None`: there is nothing to tell.
    ///
    /// A held message is not late, it is held: the operator tells. Where the clock was set meanwhile, the schedule shows whether
    /// the time has really passed.
    pub fn late_at(&self, config: &Config) -> Option<i64> {
        let Late::Untold { next_try } = self.late else { return None };
        let (notice, told) = (config.smarthost.delay_notice, self.sender.is_some());
        if notice == 0 || self.held || !told || self.is_orphan(config) {
            return None;
        }
        let waits = self.late_recipients(&config.smarthost).next().is_some();
        waits.then(|| self.since.saturating_add(notice.into()).max(next_try))
    }

    /// Those that a notice of a delay is about.
    pub fn late_recipients(&self, smarthost: &Smarthost) -> impl Iterator<Item = &Recipient> {
        self.recipients.iter().filter(|recipient| recipient.is_late(smarthost))
    }

    /// The sender was told that it is late, or that did not work: then later.
    pub fn late_told(&mut self, told: bool, now: i64) {
        self.late = match told {
            true => Late::Told,
            false => Late::Untold { next_try: now.saturating_add(recipient::REPORT_AGAIN) },
        };
    }

    /// Counts as told what nobody wants to hear, or nobody can: whom that concerned and what became of them.
    pub fn spare(&mut self) -> Vec<String> {
        let nobody = self.sender.is_none();
        self.recipients.iter_mut().filter_map(|recipient| recipient.spare(nobody)).collect()
    }

    /// Gives a number to the report of everything that has none yet.
    ///
    /// It is written down before the report is: so what comes about after a power cut comes in a report of its own, and is not
    /// taken for told with the one before.
    pub fn number_report(&mut self) {
        let next = self.reports;
        let mut used = false;
        for telling in self.recipients.iter_mut().filter_map(Recipient::telling) {
            if telling.report.is_none() {
                (telling.report, used) = (Some(next), true);
            }
        }
        self.reports = next.saturating_add(u32::from(used));
    }

    /// The numbers of the reports that are due.
    pub fn reports_due(&mut self, smarthost: &Smarthost, now: i64) -> BTreeSet<u32> {
        let telling = self.recipients.iter_mut().filter_map(Recipient::telling);
        telling.filter(|it| is_due(it.next_try, now, smarthost)).filter_map(|it| it.report).collect()
    }

    /// The recipients that this report is about.
    pub fn reported_in(&self, report: u32) -> impl Iterator<Item = &Recipient> {
        self.recipients.iter().filter(move |recipient| recipient.report() == Some(report))
    }

    /// The sender was told this report, or that did not work (its mailbox may be full): then later, for as long as a delivery is
    /// tried. `is_last`: what is not told is lost, so it is never given up.
    pub fn reported(&mut self, report: u32, told: bool, is_last: bool, smarthost: &Smarthost, now: i64) {
        for recipient in self.recipients.iter_mut().filter(|it| it.report() == Some(report)) {
            recipient.reported(told, is_last, smarthost, now);
        }
    }
}

/// Whether what is planned for `at` is due. A time further away than any pause lasts was written when
/// the clock was wrong.
pub fn is_due(at: i64, now: i64, smarthost: &Smarthost) -> bool {
    at <= now || at - now > longest_pause(smarthost)
}

#[cfg(test)]
mod tests;
