//! How far a message got with one of its recipients.

use serde::{Deserialize, Serialize};

use super::Work;
use crate::config::{Config, Smarthost};
use crate::smtp::dsn::Notify;
use crate::smtp::{self, Mailbox, Reply};

/// Seconds until a report that could not be delivered is tried again.
pub(super) const REPORT_AGAIN: i64 = 600;
/// How often a report is tried at least before it is given up, whatever the clock says.
const REPORT_TRIES: u32 = 24;

/// Octets that are kept of a server's answer for a recipient: a server may send 64 KiB for each of a hundred.
const TEXT_MAX: usize = 1000;

/// The longest pause between two attempts in seconds, including [`Recipient::spread`].
pub fn longest_pause(smarthost: &Smarthost) -> i64 {
    let longest = smarthost.retry.iter().chain([&LONGEST_OF_OWN]).max();
    let longest = i64::from(longest.copied().unwrap_or_default());
    longest + longest / SPREAD + 1
}

/// Seconds of the longest pause that the operator does not set; others, such as [`REPORT_AGAIN`], are shorter.
const LONGEST_OF_OWN: u32 = 3600;
/// The part of its pause by which an attempt may be later: one tenth.
const SPREAD: i64 = 10;

/// A recipient of a queued message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The forward-path.
    pub mailbox: Mailbox,
    /// In which cases the sender wants a report.
    pub notify: Notify,
    /// ORCPT as it came; empty where it was not given.
    pub original: String,
    /// How far the message got with this recipient.
    pub progress: Progress,
}

/// How far a message got with a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Not delivered yet.
    Pending {
        /// Attempts so far.
        attempts: u32,
        /// When the next attempt is due, in seconds since 1970 UTC.
        next_try: i64,
        /// The latest attempt.
        latest: Option<Attempt>,
    },
    /// Delivered, or taken by the smarthost; the sender need not be told.
    Done,
    /// Will never be delivered; the sender was not told yet.
    Failed {
        /// An enhanced status code (RFC 3463).
        status: String,
        /// The attempt that failed.
        latest: Attempt,
        /// How far the report on it is.
        telling: PendingReport,
    },
    /// Nothing is left to do: the sender was told what became of it, or is not to be told.
    Reported,
    /// Delivered, or taken by a smarthost that sends no report of it. The sender wants to be told and was not told
    /// yet.
    Arrived {
        /// The attempt that succeeded.
        latest: Attempt,
        /// How far the report on it is.
        telling: PendingReport,
    },
}

/// The state of a report that is still to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PendingReport {
    /// The number of the report; `None` until a number is written down.
    pub report: Option<u32>,
    /// Tries so far.
    pub tries: u32,
    /// When the next try is due, in seconds since 1970 UTC.
    pub next_try: i64,
}

/// An attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attempt {
    /// When it was made, in seconds since 1970 UTC; 0 where that was not noted.
    pub at: i64,
    /// The host that it was made to; empty for a delivery here.
    pub remote: String,
    /// Whether `text` is a reply of the other server (RFC 5321 section 4.2), and not a text of our own.
    pub is_reply: bool,
    /// The answer. Lines of a reply are separated by line feeds; only the first one begins with the code.
    pub text: String,
}

impl Attempt {
    /// An attempt that failed for a reason other than a reply of `remote`.
    pub fn failed(at: i64, remote: &str, text: &str) -> Attempt {
        Attempt { at, remote: remote.to_owned(), is_reply: false, text: text.to_owned() }
    }

    /// Stands for the attempt that is not made, for this reason.
    pub fn never(why: &str) -> Attempt {
        Attempt::failed(0, "", why)
    }

    /// An attempt that ended with `reply`, which is from `remote` or, where `remote` is empty, from this appliance.
    pub fn answered(at: i64, remote: &str, reply: &Reply) -> Attempt {
        let mut text = reply.code.to_string();
        if let Some(status) = reply.status {
            text += &format!(" {status}");
        }
        for (n, line) in reply.lines.iter().enumerate() {
            text += if n == 0 { " " } else { "\n" };
            text += line;
        }
        let is_reply = reply.heard && !remote.is_empty();
        Attempt { is_reply, ..Attempt::failed(at, remote, text.trim_end()) }
    }

    /// The text on one line.
    pub fn in_words(&self) -> String {
        self.text.replace('\n', " ")
    }
}

impl Recipient {
    /// A recipient that is due.
    pub fn new(to: smtp::Recipient, now: i64) -> Recipient {
        let progress = Progress::Pending { attempts: 0, next_try: now, latest: None };
        Recipient { mailbox: to.mailbox, notify: to.notify, original: to.original, progress }
    }

    /// The recipient with its parameters, for RCPT.
    pub fn for_smtp(&self) -> smtp::Recipient {
        let (mailbox, original) = (self.mailbox.clone(), self.original.clone());
        smtp::Recipient { mailbox, notify: self.notify, original }
    }

    /// Whether the address is one of this appliance, also where no account has it: the failure is then found here.
    fn is_here(&self, config: &Config) -> bool {
        config.stays_here(self.mailbox.as_str())
    }

    /// When work of this kind is due for this recipient, in seconds since 1970 UTC; `None`: never. `held`: no
    /// attempts are made. `orphan`: the message must not leave any more, and fails here.
    pub(super) fn when(&self, work: Work, held: bool, orphan: bool, config: &Config) -> Option<i64> {
        match (&self.progress, work) {
            (Progress::Pending { .. }, _) if held => None,
            (Progress::Pending { next_try, .. }, Work::Here) if self.is_here(config) => Some(*next_try),
            (Progress::Pending { .. }, Work::Here) if orphan => Some(0),
            (Progress::Pending { next_try, .. }, Work::Smarthost) if !orphan && !self.is_here(config) => {
                Some(*next_try)
            }
            (Progress::Failed { telling, .. } | Progress::Arrived { telling, .. }, Work::Here) => {
                Some(telling.next_try)
            }
            _ => None,
        }
    }

    /// Whether the message is still to go to it through the smarthost.
    pub fn waits_outside(&self, config: &Config) -> bool {
        matches!(self.progress, Progress::Pending { .. }) && !self.is_here(config)
    }

    /// Whether nothing is left to do for it.
    pub fn is_settled(&self) -> bool {
        matches!(self.progress, Progress::Done | Progress::Reported)
    }

    /// Takes in a reply of `remote` for this recipient. `since`: when the message's time began to count. `passed_on`:
    /// the other server will tell the sender of a success itself (RFC 3461 section 5.2).
    pub fn take(
        &mut self,
        reply: &Reply,
        remote: &str,
        passed_on: bool,
        since: i64,
        smarthost: &Smarthost,
        now: i64,
    ) {
        let answered = || Attempt::answered(now, remote, reply);
        if reply.is_positive() {
            self.progress = match self.notify.success() && !passed_on {
                true => Progress::Arrived { latest: shortened(answered()), telling: PendingReport::at(now) },
                false => Progress::Done,
            };
        } else if reply.is_permanent() {
            let status = reply.status.map_or_else(|| "5.0.0".to_owned(), |status| status.to_string());
            self.fail(status, answered());
        } else {
            self.postpone(answered(), since, smarthost);
        }
    }

    /// Notes that the message will never be delivered to this recipient, for the reason in `latest`.
    pub fn fail(&mut self, status: String, latest: Attempt) {
        let telling = PendingReport::at(latest.at);
        self.progress = Progress::Failed { status, latest: shortened(latest), telling };
    }

    /// Plans the next attempt after a failed one, or fails for good after `expire`.
    ///
    /// All pauses of the schedule must have passed in any case. Many boards have no clock of their own, and a message
    /// that was accepted in 1970 is not days old when the network tells the time.
    pub fn postpone(&mut self, latest: Attempt, since: i64, smarthost: &Smarthost) {
        let Progress::Pending { attempts, .. } = &self.progress else { return };
        let (attempts, now) = (attempts.saturating_add(1), latest.at);
        let tried = usize::try_from(attempts).unwrap_or(usize::MAX);
        let expiry = since.saturating_add(smarthost.expire.into());
        if now >= expiry && tried >= smarthost.retry.len() {
            // "Delivery time expired" (RFC 3463 section 3.5).
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

    /// Moves the next attempt later by up to a tenth of the pause before it. `jitter` says by how much: 0 for
    /// nothing, 255 for all of it.
    pub fn spread(&mut self, now: i64, jitter: u8) {
        if let Progress::Pending { next_try, .. } = &mut self.progress {
            let pause = next_try.saturating_sub(now).max(0);
            *next_try = next_try.saturating_add(pause / SPREAD * i64::from(jitter) / 255);
        }
    }

    /// Whether the sender may be told of a delay: the recipient waits, and was tried as often as the schedule has it
    /// until then.
    pub(super) fn is_late(&self, smarthost: &Smarthost) -> bool {
        match &self.progress {
            Progress::Pending { attempts, .. } => {
                self.notify.delay() && *attempts >= tries_until_late(smarthost)
            }
            _ => false,
        }
    }

    /// Makes what is not settled due at once.
    pub(super) fn hasten(&mut self, now: i64) {
        match &mut self.progress {
            Progress::Pending { next_try, .. } => *next_try = now,
            Progress::Failed { telling, .. } | Progress::Arrived { telling, .. } => telling.next_try = now,
            Progress::Done | Progress::Reported => {}
        }
    }

    /// Counts the outcome as reported if the sender does not want to hear of it, or (`nobody`) cannot be told.
    /// Returns the outcome in words.
    pub(super) fn suppress_report(&mut self, nobody: bool) -> Option<String> {
        let said = match &self.progress {
            Progress::Failed { latest, .. } if nobody || !self.notify.failure() => latest.in_words(),
            Progress::Arrived { latest, .. } if nobody => latest.in_words(),
            _ => return None,
        };
        self.progress = Progress::Reported;
        Some(format!("<{}>: {said}", self.mailbox))
    }

    pub(super) fn telling(&mut self) -> Option<&mut PendingReport> {
        match &mut self.progress {
            Progress::Failed { telling, .. } | Progress::Arrived { telling, .. } => Some(telling),
            _ => None,
        }
    }

    /// The number of the report on this recipient, if it has one.
    pub(super) fn report(&self) -> Option<u32> {
        match &self.progress {
            Progress::Failed { telling, .. } | Progress::Arrived { telling, .. } => telling.report,
            _ => None,
        }
    }

    /// See [`super::Entry::reported`].
    pub(super) fn reported(&mut self, told: bool, is_last: bool, smarthost: &Smarthost, now: i64) {
        let (Progress::Failed { latest, telling, .. } | Progress::Arrived { latest, telling }) =
            &mut self.progress
        else {
            return;
        };
        let long_ago = now.saturating_sub(latest.at) > 2 * i64::from(smarthost.expire);
        telling.tries = telling.tries.saturating_add(1);
        telling.next_try = now.saturating_add(REPORT_AGAIN);
        if told || (long_ago && telling.tries >= REPORT_TRIES && !is_last) {
            self.progress = Progress::Reported;
        }
    }
}

impl PendingReport {
    fn at(next_try: i64) -> PendingReport {
        PendingReport { next_try, ..PendingReport::default() }
    }
}

/// The number of attempts after which a message is late. A message that looks old only because the clock was set has
/// fewer, see [`Recipient::postpone`].
fn tries_until_late(smarthost: &Smarthost) -> u32 {
    let mut passed: u64 = 0;
    let pauses = smarthost.retry.iter().take_while(|&&pause| {
        let before = passed;
        passed += u64::from(pause);
        before < smarthost.delay_notice.into()
    });
    u32::try_from(pauses.count()).unwrap_or(u32::MAX).max(1)
}

fn shortened(mut attempt: Attempt) -> Attempt {
    attempt.text.truncate(attempt.text.floor_char_boundary(TEXT_MAX));
    attempt
}
