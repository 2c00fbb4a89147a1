//! What the operator can do with the queue: see what waits, hold it, release it, try it at once, or remove it.

use super::Relay;
use super::dsn::{header_of, printable};
use super::entry::{Attempt, Entry, Progress, Recipient, Submitter};
use super::queue::{Claim, Found, entries, noted};
use crate::clock::unix_now;
use crate::config::Config;
use crate::flash::ReadAt;
use crate::pace::Pace;
use crate::say::counted;
use crate::store::{self, Account, Error, INBOX, Uid};

/// Messages that are changed in one commit, at most.
const AT_ONCE: usize = 64;

/// A queued message, as `show queue` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueEntry {
    /// The UID of the message, for [`Relay::remove`] and [`Which::Message`].
    pub id: Uid,
    /// The envelope's sender; empty for a bounce.
    pub from: String,
    /// The recipients that have not got it yet.
    pub to: Vec<String>,
    /// Octets of its content.
    pub size: u64,
    /// When it was accepted, in seconds since 1970 UTC.
    pub created: i64,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next attempt is due, in seconds since 1970 UTC; [`i64::MAX`] for a held message.
    pub next_try: i64,
    /// The error of the latest attempt.
    pub last_error: Option<String>,
    /// Who sent it.
    pub sent_by: SentBy,
    /// Whether the operator holds it.
    pub held: bool,
    /// When its last octets left for the smarthost without an answer so far, in seconds since 1970 UTC; `None`: it is
    /// not in doubt.
    pub in_doubt: Option<i64>,
}

/// The sender of a message, by the present name of the account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SentBy {
    /// This account.
    Account(String),
    /// An account that is gone.
    Gone,
    /// A device in the LAN.
    Device,
    /// Not known: the note of the message is damaged.
    #[default]
    Unknown,
}

impl SentBy {
    fn new(submitter: Submitter, config: &Config) -> SentBy {
        match (submitter, submitter.account(config)) {
            (Submitter::Device, _) => SentBy::Device,
            (_, Some(account)) => SentBy::Account(account.name.to_string()),
            (_, None) => SentBy::Gone,
        }
    }

    /// The account's name, if an account sent it.
    pub fn account(&self) -> Option<&str> {
        match self {
            SentBy::Account(name) => Some(name),
            SentBy::Gone | SentBy::Device | SentBy::Unknown => None,
        }
    }

    /// The sender in words.
    pub fn in_words(&self) -> &str {
        match self {
            SentBy::Account(name) => name,
            SentBy::Gone => "an account that is gone",
            SentBy::Device => "a device",
            SentBy::Unknown => "unknown",
        }
    }
}

impl QueueEntry {
    pub(super) fn new(id: Uid, size: u64, entry: Option<Entry>, config: &Config) -> QueueEntry {
        let Some(entry) = entry else {
            let last_error = Some("its note is damaged: remove it".to_owned());
            return QueueEntry { id, size, last_error, ..QueueEntry::default() };
        };
        let mut listed = QueueEntry {
            id,
            from: entry.sender.as_ref().map_or(String::new(), |sender| printable(sender.as_str())),
            size,
            created: entry.created,
            next_try: i64::MAX,
            sent_by: SentBy::new(entry.submitter, config),
            held: entry.held,
            in_doubt: entry.in_doubt,
            ..QueueEntry::default()
        };
        for recipient in &entry.recipients {
            let (tried, due) = match &recipient.progress {
                Progress::Pending { attempts, .. } if entry.held => (*attempts, i64::MAX),
                Progress::Pending { attempts, next_try, .. } => (*attempts, *next_try),
                Progress::Failed { telling, .. } | Progress::Arrived { telling, .. } => (0, telling.next_try),
                Progress::Done | Progress::Reported => continue,
            };
            listed.to.push(printable(recipient.mailbox.as_str()));
            listed.attempts = listed.attempts.max(tried);
            listed.next_try = listed.next_try.min(due);
            listed.last_error = listed.last_error.or_else(|| trouble(recipient));
        }
        listed
    }
}

/// The trouble with a recipient, if there is one.
fn trouble(recipient: &Recipient) -> Option<String> {
    match &recipient.progress {
        Progress::Pending { latest, .. } => latest.as_ref().map(Attempt::in_words),
        Progress::Failed { latest, .. } => {
            Some(format!("{} (failed; the report on it is still to be delivered)", latest.in_words()))
        }
        Progress::Arrived { .. } => {
            Some("it arrived; the report on that is still to be delivered".to_owned())
        }
        Progress::Done | Progress::Reported => None,
    }
    .map(|text| printable(&text))
    .filter(|text| !text.is_empty())
}

/// Everything that is known of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The message as it is listed.
    pub listed: QueueEntry,
    /// Each recipient, and how far the message got with it.
    pub recipients: Vec<(String, String)>,
    /// The events of its history, the oldest first: the time in seconds since 1970 UTC, and what happened.
    pub history: Vec<(i64, String)>,
    /// The lines of its header, or of the beginning of a long one, fit for a terminal.
    pub header: Vec<String>,
}

impl Shown {
    fn new(id: Uid, size: u64, entry: Option<Entry>, body: Option<&dyn ReadAt>, config: &Config) -> Shown {
        let header = body.and_then(|body| header_of(body).ok()).unwrap_or_default();
        let header = String::from_utf8_lossy(&header).lines().map(printable).collect();
        let (mut recipients, mut history) = (Vec::new(), Vec::new());
        if let Some(entry) = &entry {
            recipients = entry.recipients.iter().map(state).collect();
            history = entry.history.iter().map(|event| (event.at, printable(&event.what))).collect();
        }
        Shown { listed: QueueEntry::new(id, size, entry, config), recipients, history, header }
    }
}

fn state(recipient: &Recipient) -> (String, String) {
    let state = match &recipient.progress {
        Progress::Pending { attempts: 0, .. } => "waiting".to_owned(),
        Progress::Pending { attempts, latest, .. } => {
            let latest = latest.as_ref().map(Attempt::in_words).unwrap_or_default();
            format!("waiting, {}, the latest: {latest}", counted((*attempts).into(), "attempt"))
        }
        Progress::Done => "done".to_owned(),
        Progress::Failed { status, latest, .. } => {
            format!("failed ({status}), its sender is still to be told: {}", latest.in_words())
        }
        Progress::Reported => "done, and its sender was told what became of it".to_owned(),
        Progress::Arrived { .. } => "done, its sender is still to be told".to_owned(),
    };
    (printable(recipient.mailbox.as_str()), printable(&state))
}

/// The messages that an operation is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The message with this UID.
    Message(Uid),
    /// The messages that the account of this name has sent.
    Account(String),
    /// All messages.
    All,
}

/// An operation of the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Holds messages: they stay, are not tried, and their time does not count.
    Hold,
    /// Releases held messages, and tries them at once.
    Release,
    /// Tries messages at once, except held ones.
    Flush,
    /// Removes messages. `notify`: their senders are told.
    #[allow(missing_docs, reason = "the line before tells")]
    Remove { notify: bool },
}

/// The result of an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Messages that were changed.
    pub done: usize,
    /// Messages that are being worked on right now, and stay as they are.
    pub busy: usize,
    /// Messages that the operation does not apply to: for example they are held already, or are not held.
    pub passed_over: usize,
    /// Whether a change could not be written down yet, and is lost if the appliance stops now.
    pub unwritten: bool,
}

impl Relay {
    /// Everything that is known of a message; `None` if there is none with this UID.
    pub fn show(&self, id: Uid) -> Option<Shown> {
        let (size, entry) = self.queue.entry(id)?;
        let body = content(&self.queue.current(), id);
        let body = body.as_ref().map(|body| body as &dyn ReadAt);
        Some(Shown::new(id, size, entry, body, &self.context.config()))
    }

    /// Applies an operation to messages.
    ///
    /// # Errors
    /// The store's. Changes before the error stay.
    pub async fn operate(&self, act: Act, which: &Which) -> Result<Done, Error> {
        if self.stands_still() {
            return Err(Error::ReadOnly);
        }
        let mut done = Done::default();
        let meant = self.meant(which).await;
        for some in meant.chunks(AT_ONCE) {
            self.operate_on(act, some, &mut done).await?;
        }
        if matches!(act, Act::Release | Act::Flush) && done.done > 0 {
            // Troubles that persist are noted again at the next attempt.
            self.troubles.borrow_mut().clear();
        }
        Ok(done)
    }

    /// The UIDs of the messages that are meant.
    async fn meant(&self, which: &Which) -> Vec<Uid> {
        let config = self.context.config();
        let account = match which {
            Which::Message(id) => return self.queue.entry(*id).map(|_| *id).into_iter().collect(),
            Which::Account(name) => Some(config.account(name).map_or(0, |account| account.id)),
            Which::All => None,
        };
        let (mut meant, pace) = (Vec::new(), Pace::new());
        for (id, _, entry) in self.queue.entries() {
            let sender = entry.map(|entry| entry.submitter);
            if account.is_none_or(|account| sender == Some(Submitter::Account(account))) {
                meant.push(id);
            }
            pace.keep().await;
        }
        meant
    }

    async fn operate_on(&self, act: Act, some: &[Uid], done: &mut Done) -> Result<(), Error> {
        let mut claims = Vec::new();
        for &id in some {
            match self.queue.claim(id) {
                Found::Free(claim) if concerns(act, &claim.entry) => claims.push(claim),
                Found::Damaged if matches!(act, Act::Remove { .. }) => {
                    done.done += usize::from(self.queue.discard(id).await?);
                }
                Found::Free(_) | Found::Damaged => done.passed_over += 1,
                Found::Busy => done.busy += 1,
                Found::Nothing => {}
            }
        }
        let (count, now) = (claims.len(), unix_now());
        match act {
            Act::Hold => claims.iter_mut().for_each(|claim| claim.entry.hold(now)),
            Act::Release => claims.iter_mut().for_each(|claim| claim.entry.release(now)),
            Act::Flush => claims.iter_mut().for_each(|claim| {
                claim.entry.hasten(now);
                claim.entry.happened(now, "tried at once for the operator");
            }),
            Act::Remove { notify: true } => {
                for claim in claims {
                    self.withdraw(claim, now).await;
                    done.done += 1;
                }
                return Ok(());
            }
            Act::Remove { notify: false } => {
                claims.iter().for_each(|claim| log::info!("queue {}: removed by the operator", claim.uid()));
                if !claims.is_empty() {
                    self.queue.remove(claims).await?;
                }
                done.done += count;
                return Ok(());
            }
        }
        done.unwritten |= !self.queue.save(&claims).await;
        done.done += count;
        Ok(())
    }

    /// Fails what is not settled, and tells the sender.
    async fn withdraw(&self, mut claim: Claim<'_>, now: i64) {
        log::info!("queue {}: removed by the operator, and its sender is told", claim.uid());
        claim.entry.withdraw(now);
        self.write_outcome(claim).await;
    }
}

/// Whether an operation would change the message.
fn concerns(act: Act, entry: &Entry) -> bool {
    match act {
        Act::Hold => !entry.held && !entry.is_settled(),
        Act::Release => entry.held,
        Act::Flush => !entry.held && !entry.is_settled(),
        Act::Remove { .. } => true,
    }
}

/// The messages in `queue`, the oldest first. No relay may be working on it.
pub fn all_queued(queue: &Account, config: &Config) -> Vec<QueueEntry> {
    let all = entries(queue, config);
    all.map(|(uid, size, entry)| QueueEntry::new(uid, size, entry.ok().flatten(), config)).collect()
}

/// Everything that is known of a message in `queue`; `None` if there is none with this UID. No relay may be working
/// on it.
pub fn queued(queue: &Account, id: Uid, config: &Config) -> Option<Shown> {
    let size = queue.view(INBOX, |inbox| inbox.message(id).map(|message| message.size)).flatten()?;
    let entry = noted(queue, id, config).ok().flatten();
    let body = content(queue, id);
    Some(Shown::new(id, size.into(), entry, body.as_ref().map(|body| body as &dyn ReadAt), config))
}

fn content(queue: &Account, id: Uid) -> Option<store::Body> {
    let message = queue.view(INBOX, |inbox| inbox.message(id).copied()).flatten()?;
    queue.body(&message).ok()
}
