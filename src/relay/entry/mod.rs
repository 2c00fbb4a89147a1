//! What the queue notes of each message: its envelope, and how far it got with each recipient.

mod recipient;
mod version_1;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::config::{Account, Config, Smarthost};
use crate::smtp::{Envelope, Mailbox, Reply, ReversePath, dsn};

pub use recipient::{Attempt, PendingReport, Progress, Recipient, longest_pause};

/// Events of a message that are kept, at most.
const HISTORY_MAX: usize = 16;
/// Octets of an event that are kept, at most.
const EVENT_MAX: usize = 200;
/// The reason given for a message that the operator removed.
const WITHDRAWN: &str = "removed by the operator of this appliance";
/// Seconds within which equal answers count as answers to one attempt.
const SAME_ATTEMPT: i64 = 10;

/// The note as it is on flash, in postcard. A new form gets a new variant at the end.
#[derive(Serialize, Deserialize)]
enum Note {
    V1(version_1::Entry),
    V2(Entry),
}

/// A queued message without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The address for bounces.
    pub sender: ReversePath,
    /// The account or device that submitted it.
    pub submitter: Submitter,
    /// Whether the content has octets above 127.
    pub eight_bit: bool,
    /// Whether addresses or the header have characters above ASCII (RFC 6531).
    pub utf8: bool,
    /// The DSN parameters of MAIL FROM.
    pub dsn: dsn::Request,
    /// When it was accepted, in seconds since 1970 UTC.
    pub created: i64,
    /// When its time began to count, in seconds since 1970 UTC: when it was accepted, or when the operator released
    /// it.
    pub since: i64,
    /// Whether the operator holds it.
    pub held: bool,
    /// Whether its sender was told that it is late.
    pub late: Late,
    /// The number of reports to its sender that were begun; each gets the next number.
    pub reports: u32,
    /// When its last octets left for the smarthost without an answer so far, in seconds since 1970 UTC; `None`: it is
    /// not in doubt.
    pub in_doubt: Option<i64>,
    /// What happened to it, the oldest event first.
    pub history: Vec<Event>,
    /// Its recipients, at least one.
    pub recipients: Vec<Recipient>,
}

/// The account or device that submitted a message. The message goes out with the login of that submitter only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Submitter {
    /// A device in the LAN, which does not log in.
    Device,
    /// The account with this lasting identity; 0 is an account that is gone.
    Account(u64),
}

impl Submitter {
    /// The submitting account, if it still exists.
    pub fn account(self, config: &Config) -> Option<&Account> {
        match self {
            Submitter::Device => None,
            Submitter::Account(id) => config.account_by_id(id),
        }
    }
}

/// Whether the sender was told that a message is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Late {
    /// The sender was not told.
    Untold {
        /// When to try again, in seconds since 1970 UTC: the mailbox may be full.
        next_try: i64,
    },
    /// The sender was told, once.
    Told,
}

/// Something that happened to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// In seconds since 1970 UTC.
    pub at: i64,
    /// What happened, in words.
    pub what: String,
}

/// The part of the relay that does the work for a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Deliveries into accounts, and reports to the sender.
    Here,
    /// Attempts through the smarthost.
    Smarthost,
}

impl Entry {
    /// A message that was just accepted: every recipient is due.
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
        // Plain data can always be serialized into memory.
        postcard::to_stdvec(&Note::V2(self.clone())).unwrap_or_default()
    }

    /// The entry of a note; `None` where the note is malformed. A note of the first form names an account, and
    /// `config` tells whose name that is now. It has to be rewritten before the name can change.
    pub fn of_note(note: &[u8], config: &Config) -> Option<Entry> {
        match postcard::from_bytes(note).ok()? {
            Note::V1(entry) => Some(entry.current(config)),
            Note::V2(entry) => Some(entry),
        }
    }

    /// Whether a note has a form that is no longer written.
    pub fn is_old(note: &[u8]) -> bool {
        note.first() == Some(&0)
    }

    /// Adds an event to the history. When there are too many, the oldest and the latest ones are kept.
    pub fn happened(&mut self, at: i64, what: &str) {
        if self.history.len() >= HISTORY_MAX {
            self.history.remove(HISTORY_MAX / 2);
        }
        let what = what.get(..what.floor_char_boundary(EVENT_MAX)).unwrap_or_default().to_owned();
        self.history.push(Event { at, what });
    }

    /// Adds the answer to an attempt to the history. Recipients with the same answer share an event: otherwise a
    /// hundred of them would push out everything else.
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

    /// Whether the account that submitted it is gone. Nobody else has its login, so the message must not leave any
    /// more.
    pub fn is_orphan(&self, config: &Config) -> bool {
        self.submitter != Submitter::Device && self.submitter.account(config).is_none()
    }

    /// Whether nothing is left to do.
    pub fn is_settled(&self) -> bool {
        self.recipients.iter().all(Recipient::is_settled)
    }

    /// When work of this kind is due next, in seconds since 1970 UTC; `None`: never.
    pub fn when(&self, work: Work, config: &Config) -> Option<i64> {
        let orphan = self.is_orphan(config);
        let late = if work == Work::Here { self.late_at(config) } else { None };
        self.recipients.iter().filter_map(|r| r.when(work, self.held, orphan, config)).chain(late).min()
    }

    /// Whether the only work left here is to tell the sender that it is late.
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

    /// Makes everything due at once that is not settled.
    pub fn hasten(&mut self, now: i64) {
        self.recipients.iter_mut().for_each(|recipient| recipient.hasten(now));
    }

    /// Holds the message: there are no attempts, and its time does not count.
    pub fn hold(&mut self, now: i64) {
        self.held = true;
        self.happened(now, "held by the operator");
    }

    /// Releases the message: it is tried at once, and has the full time of a new message.
    pub fn release(&mut self, now: i64) {
        (self.held, self.since) = (false, now);
        self.hasten(now);
        self.happened(now, "released by the operator");
    }

    /// Fails the message for the operator who removes it; the sender gets a report.
    pub fn withdraw(&mut self, now: i64) {
        self.held = false;
        self.happened(now, WITHDRAWN);
        for recipient in
            self.recipients.iter_mut().filter(|it| matches!(it.progress, Progress::Pending { .. }))
        {
            recipient.fail("5.7.0".to_owned(), Attempt::never(WITHDRAWN));
        }
    }

    /// When the sender is to be told that the message is late, in seconds since 1970 UTC; `None`: there is nothing to
    /// tell.
    ///
    /// A held message does not count as late. Where the clock was set meanwhile, the number of attempts shows whether
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

    /// The recipients that a notice of a delay is about.
    pub fn late_recipients(&self, smarthost: &Smarthost) -> impl Iterator<Item = &Recipient> {
        self.recipients.iter().filter(|recipient| recipient.is_late(smarthost))
    }

    /// Notes whether the sender was told that the message is late. If not, it is tried again later.
    pub fn late_told(&mut self, told: bool, now: i64) {
        self.late = match told {
            true => Late::Told,
            false => Late::Untold { next_try: now.saturating_add(recipient::REPORT_AGAIN) },
        };
    }

    /// Counts outcomes as reported that the sender does not want to hear of, or cannot be told. Returns each such
    /// recipient and outcome in words.
    pub fn suppress_reports(&mut self) -> Vec<String> {
        let nobody = self.sender.is_none();
        self.recipients.iter_mut().filter_map(|recipient| recipient.suppress_report(nobody)).collect()
    }

    /// Gives a number to the report on all outcomes that have none yet.
    ///
    /// The number is written down before the report is made. So what happens after a power cut gets a report of its
    /// own, and does not count as told with the one before.
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

    /// Notes whether the sender was told report `report`. If not (the mailbox may be full), it is tried again later,
    /// for as long as a delivery is tried. With `is_last` it is never given up: the message would be lost.
    pub fn reported(&mut self, report: u32, told: bool, is_last: bool, smarthost: &Smarthost, now: i64) {
        for recipient in self.recipients.iter_mut().filter(|it| it.report() == Some(report)) {
            recipient.reported(told, is_last, smarthost, now);
        }
    }
}

/// Whether what is planned for `at` is due. A time further away than the longest pause was set while the clock was
/// wrong.
pub fn is_due(at: i64, now: i64, smarthost: &Smarthost) -> bool {
    at <= now || at - now > longest_pause(smarthost)
}

#[cfg(test)]
mod tests;
