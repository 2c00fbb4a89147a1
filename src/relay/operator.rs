//! The operator's hand on the queue: to see what waits, to hold it back, let go of it, try it at once, or take it out.

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

/// Messages that are changed in one commit.
const AT_ONCE: usize = 64;

/// A queued message, as `show queue` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueEntry {
    /// Names it for [`Relay::remove`] and [`Which::Message`].
    pub id: Uid,
    /// The envelope's sender; empty for a bounce.
    pub from: String,
    /// The recipients that it has not reached yet.
    pub to: Vec<String>,
    /// Octets.
    pub size: u64,
    /// When it was accepted, in seconds since 1970 UTC.
    pub created: i64,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next one is due, in seconds since 1970 UTC; [`i64::MAX`] for one that is held.
    pub next_try: i64,
    /// What went wrong at the latest attempt.
    pub last_error: Option<String>,
    /// The account that sent it.
    pub sent_by: SentBy,
    /// The operator holds it back.
    pub held: bool,
    /// Since when all of it may be with the smarthost, which has not answered, in seconds since 1970 UTC.
    pub in_doubt: Option<i64>,
}

/// Who sent a message, by the name that the account has now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SentBy {
    /// This account.
    Account(String),
    /// An account that is gone.
    Gone,
    /// A device of the LAN.
    Device,
    /// Its note does not tell.
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

    /// The account's name.
    pub fn account(&self) -> Option<&str> {
        match self {
            SentBy::Account(name) => Some(name),
            SentBy::Gone | SentBy::Device | SentBy::Unknown => None,
        }
    }

    /// For people.
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

/// What is wrong with a recipient.
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

/// All about one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// As it is listed.
    pub listed: QueueEntry,
    /// Each recipient, and how far it got with it.
    pub recipients: Vec<(String, String)>,
    /// What came about, the oldest first: when, in seconds since 1970 UTC, and what.
    pub history: Vec<(i64, String)>,
    /// The header of the message, or the beginning of a long one, fit for a terminal.
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

/// Which messages an operator means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one of this number.
    Message(Uid),
    /// Those that the account of this name has sent.
    Account(String),
    /// All.
    All,
}

/// What an operator does to messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// They stay, are not tried, and their time does not pass.
    Hold,
    /// They are held no longer, and tried at once.
    Release,
    /// They are tried at once, but for held ones.
    Flush,
    /// They go. `notify`: their senders are told.
    #[allow(missing_docs, reason = "the line before tells")]
    Remove { notify: bool },
}

/// What became of an act.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// So many messages it was done to.
    pub done: usize,
    /// So many are on their way this very moment, and stay as they are.
    pub busy: usize,
    /// So many of those that are meant it does not concern: they are held already, or are not.
    pub passed_over: usize,
    /// Some of it could not be written down yet, and is lost if the appliance stops now.
    pub unwritten: bool,
}

impl Relay {
    /// All about a message; `None` where there is none of this number.
    pub fn show(&self, id: Uid) -> Option<Shown> {
        let (size, entry) = self.queue.entry(id)?;
        let body = content(&self.queue.current(), id);
        let body = body.as_ref().map(|body| body as &dyn ReadAt);
        Some(Shown::new(id, size, entry, body, &self.context.config()))
    }

    /// Does what the operator wants with messages.
    ///
    /// # Errors
    /// What the store says. What was done before that stays done.
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
            // What is still wrong shows at once.
            self.troubles.borrow_mut().clear();
        }
        Ok(done)
    }

    /// The numbers of the messages that are meant.
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

    /// Ends what is open, and tells its sender.
    async fn withdraw(&self, mut claim: Claim<'_>, now: i64) {
        log::info!("queue {}: removed by the operator, and its sender is told", claim.uid());
        claim.entry.withdraw(now);
        self.settle(claim).await;
    }
}

/// Whether an act changes anything.
fn concerns(act: Act, entry: &Entry) -> bool {
    match act {
        Act::Hold => !entry.held && !entry.is_settled(),
        Act::Release => entry.held,
        Act::Flush => !entry.held && !entry.is_settled(),
        Act::Remove { .. } => true,
    }
}

/// What is queued in `queue`, the oldest first. No relay may work on it.
pub fn all_queued(queue: &Account, config: &Config) -> Vec<QueueEntry> {
    let all = entries(queue, config);
    all.map(|(uid, size, entry)| QueueEntry::new(uid, size, entry.ok().flatten(), config)).collect()
}

/// All about a message in `queue`; `None` where there is none of this number. No relay may work on it.
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
