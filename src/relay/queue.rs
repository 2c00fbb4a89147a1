//! The queue on flash: messages in the INBOX of a store of its own, each with its [`Entry`] as a note.
//!
//! The notes are the queue. Memory holds an [`Index`] of when which message is to be worked on, and the entries that
//! could not be written because the flash was full or failed: a delivered message must not be delivered again only
//! because that could not be noted.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;

use event_listener::{Event, EventListener};
use smol::future::yield_now;

use super::entry::{Entry, Submitter, Work, longest_pause};
use super::index::{Facts, Index};
use crate::clock::unix_now;
use crate::config::Config;
use crate::context::Context;
use crate::store::{self, Account, Body, Error, Flags, INBOX, Incoming, Uid};

/// Queued messages that all submitters share: each submitter may have an equal part of them.
const MAX_QUEUED: usize = 100_000;
/// The smallest share of a submitter, however many submitters there are.
const LEAST_SHARE: usize = 1000;
/// Seconds until an entry that could not be written is tried again.
const WRITE_AGAIN: i64 = 60;
/// Notes that are read between two turns of other tasks, at the start and when settings have changed.
const PIECE: usize = 64;

/// The queue of messages that wait for delivery.
pub struct Queue {
    context: Rc<Context>,
    account: RefCell<Rc<Account>>,
    index: RefCell<Index>,
    /// Whether all notes have been read once.
    loaded: Cell<bool>,
    /// Entries that are newer than their notes, each with the time of the next try to write it.
    unwritten: RefCell<BTreeMap<Uid, (Entry, i64)>>,
    changed: Event,
}

/// A message that is being worked on by the holder of this claim, and by nobody else until the claim is dropped.
pub struct Claim<'a> {
    queue: &'a Queue,
    uid: Uid,
    /// Octets of its content.
    pub size: u64,
    /// What is known of the message; [`Claim::save`] writes it down.
    pub entry: Entry,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // A removed message is not put back.
        if self.queue.index().is_busy(self.uid) {
            self.queue.put(self.uid, &self.entry, self.size);
        }
        self.queue.wake();
    }
}

/// The result of [`Queue::claim`].
pub enum Found<'a> {
    /// The message, which nobody worked on.
    Free(Claim<'a>),
    /// Somebody works on the message.
    Busy,
    /// The note of the message cannot be parsed.
    Damaged,
    /// There is no such message.
    Nothing,
}

/// Queued messages that each of so many submitters may have.
pub(super) fn share(submitters: usize) -> usize {
    (MAX_QUEUED / submitters).max(LEAST_SHARE)
}

/// A time in the form of the index.
pub(super) fn seconds(time: i64) -> u32 {
    u32::try_from(time.max(0)).unwrap_or(u32::MAX - 1)
}

impl Queue {
    /// The queue in `account` (see [`crate::store::Store::queue`]). No message comes out of it before
    /// [`Queue::load`].
    pub fn new(context: Rc<Context>, account: Rc<Account>) -> Queue {
        Queue {
            context,
            account: RefCell::new(account),
            index: RefCell::default(),
            loaded: Cell::default(),
            unwritten: RefCell::default(),
            changed: Event::new(),
        }
    }

    /// The store of the queue, which is opened again after the flash failed.
    pub async fn account(&self) -> Result<Rc<Account>, Error> {
        let account = self.context.store.queue().await?;
        *self.account.borrow_mut() = account.clone();
        Ok(account)
    }

    /// The store of the queue as it was last used.
    pub fn current(&self) -> Rc<Account> {
        self.account.borrow().clone()
    }

    /// The index. Never borrowed across an `.await`.
    pub fn index(&self) -> RefMut<'_, Index> {
        self.index.borrow_mut()
    }

    /// Wakes when a message is new, or a claim ends. Listen first, then look.
    pub fn changed(&self) -> EventListener {
        self.changed.listen()
    }

    /// Wakes all listeners of [`Queue::changed`].
    pub fn wake(&self) {
        self.changed.notify(usize::MAX);
    }

    /// Whether no more messages are taken from `submitter`. Each submitter has a share of its own, so none is refused
    /// for what others have queued.
    pub fn is_full(&self, submitter: Submitter) -> bool {
        let submitters = self.context.config().accounts.len() + 1;
        self.index().count(submitter) >= share(submitters)
    }

    /// Queues a message in one commit, durably. `message` and `account` come from [`Queue::account`].
    ///
    /// # Errors
    /// The store's.
    pub async fn add(&self, account: &Rc<Account>, message: Incoming, entry: &Entry) -> Result<(), Error> {
        let mut transaction = account.begin();
        transaction.deliver(INBOX, message, Flags::NONE, &[], entry.created);
        transaction.note_delivered(entry.to_note());
        let committed = transaction.commit().await?;
        if let Some(uid) = committed.placed.first().map(|(_, uid)| uid) {
            let size = account.view(INBOX, |inbox| inbox.message(uid).map(|message| message.size)).flatten();
            self.put(uid, entry, size.unwrap_or(0).into());
        }
        self.wake();
        Ok(())
    }

    /// Reads all notes, with turns for other tasks, at the start and when new settings may have changed what they
    /// mean. Notes of older forms are rewritten: they name an account, and another account may get the name.
    pub async fn load(&self) {
        let mut from = 0;
        loop {
            let account = self.account.borrow().clone();
            let messages: Vec<(Uid, u32)> = account
                .view(INBOX, |inbox| {
                    let at = inbox.messages.partition_point(|message| message.uid < from);
                    let rest = inbox.messages.get(at..).unwrap_or_default();
                    rest.iter().take(PIECE).map(|message| (message.uid, message.size)).collect()
                })
                .unwrap_or_default();
            let Some((last, _)) = messages.last() else { break };
            from = last + 1;
            let mut old = Vec::new();
            for (uid, size) in messages {
                if self.index().is_busy(uid) {
                    continue;
                }
                let note = match account.note(INBOX, uid) {
                    Ok(note) => note.unwrap_or_default(),
                    Err(error) => {
                        log::error!("queue {uid}: it stays where it is, its note cannot be read: {error}");
                        continue;
                    }
                };
                let unwritten = self.unwritten(uid);
                let Some(entry) = unwritten.or_else(|| Entry::of_note(&note, &self.context.config())) else {
                    continue;
                };
                self.put(uid, &entry, size.into());
                if Entry::is_old(&note)
                    && self.context.store.read_only().is_none()
                    && let Found::Free(claim) = self.claim(uid)
                {
                    old.push(claim);
                }
            }
            self.save(&old).await;
            yield_now().await;
        }
        self.loaded.set(true);
        self.wake();
    }

    /// Tells the index when a message is to be worked on.
    fn put(&self, uid: Uid, entry: &Entry, size: u64) {
        let again = self.unwritten.borrow().get(&uid).map(|(_, again)| seconds(*again));
        let facts = facts(entry, size, &self.context.config());
        let not_before = |time: u32| again.map_or(time, |again| time.max(again));
        let facts =
            Facts { here: facts.here.map(not_before), outside: facts.outside.map(not_before), ..facts };
        self.index().put(uid, entry.submitter, facts);
    }

    /// The entry of a message; `None` if the message does not exist, or its note is damaged.
    ///
    /// # Errors
    /// The note cannot be read now.
    fn known(&self, uid: Uid) -> Result<Option<Entry>, Error> {
        match self.unwritten(uid) {
            Some(entry) => Ok(Some(entry)),
            None => noted(&self.account.borrow(), uid, &self.context.config()),
        }
    }

    /// The entry of a message, if it is newer than its note.
    fn unwritten(&self, uid: Uid) -> Option<Entry> {
        self.unwritten.borrow().get(&uid).map(|(entry, _)| entry.clone())
    }

    /// The number of queued messages.
    pub fn len(&self) -> usize {
        self.account.borrow().view(INBOX, |inbox| inbox.messages.len()).unwrap_or(0)
    }

    /// All messages, the oldest first: UID, size and entry. The entry is `None` if the note cannot be read.
    pub fn entries(&self) -> impl Iterator<Item = (Uid, u64, Option<Entry>)> {
        let all = messages(&self.account.borrow()).into_iter();
        all.map(move |(uid, size)| (uid, size, self.known(uid).ok().flatten()))
    }

    /// How many messages of `submitter` are queued.
    pub fn count(&self, submitter: Submitter) -> usize {
        self.index().count(submitter)
    }

    /// The size and the entry of a message. The entry is `None` if the note cannot be read.
    pub fn entry(&self, uid: Uid) -> Option<(u64, Option<Entry>)> {
        let message = self.account.borrow().view(INBOX, |inbox| inbox.message(uid).copied()).flatten()?;
        Some((u64::from(message.size), self.known(uid).ok().flatten()))
    }

    /// Tells the index what has become due.
    pub fn tick(&self) {
        let (config, now) = (self.context.config(), unix_now());
        let longest = longest_pause(&config.smarthost).max(config.smarthost.delay_notice.into());
        let far = now.saturating_add(longest);
        self.index().tick(seconds(now), seconds(far));
    }

    /// Claims the next message with work due here.
    pub fn next_here(&self) -> Option<Claim<'_>> {
        self.next(Work::Here, |index, now| index.next_here(now))
    }

    /// Claims the next message for the smarthost, see [`Index::next_outside`].
    pub fn next_outside(
        &self,
        wanted: impl Fn(Submitter) -> bool,
        line: u32,
        large: bool,
    ) -> Option<Claim<'_>> {
        self.next(Work::Smarthost, |index, now| index.next_outside(&wanted, line, large, now))
    }

    fn next(&self, work: Work, next: impl Fn(&mut Index, u32) -> Option<Uid>) -> Option<Claim<'_>> {
        loop {
            let now = unix_now();
            let uid = next(&mut self.index(), seconds(now))?;
            let entry = match self.known(uid) {
                Ok(Some(entry)) => entry,
                // The message stays in the list, and the operator can remove it.
                Ok(None) => {
                    self.index().rest(uid, None);
                    continue;
                }
                Err(error) => {
                    log::error!("queue {uid}: its note cannot be read: {error}");
                    self.index().rest(uid, Some(seconds(now + WRITE_AGAIN)));
                    continue;
                }
            };
            let (mut claim, config) = (self.claimed(uid, entry), self.context.config());
            if self.unwritten.borrow().get(&uid).is_some_and(|(_, again)| *again > now) {
                // It rests until its entry is tried to be written again, even if everything was made due at once.
                continue;
            }
            let is_late = claim.entry.late_at(&config).is_some_and(|at| at <= now);
            if claim.entry.due(work, &config, now).next().is_none() && !(is_late && work == Work::Here) {
                // The index made it due before its time, of which the entry does not know.
                claim.entry.hasten(now);
            }
            return Some(claim);
        }
    }

    /// Claims the message with this UID.
    pub fn claim(&self, uid: Uid) -> Found<'_> {
        match self.entry(uid) {
            None => Found::Nothing,
            Some((_, None)) => Found::Damaged,
            Some((size, Some(entry))) => {
                if !self.index().is_known(uid) {
                    self.put(uid, &entry, size);
                }
                let claimed = self.index().claim(uid);
                if claimed { Found::Free(self.claimed(uid, entry)) } else { Found::Busy }
            }
        }
    }

    /// Removes messages from the queue in one commit.
    ///
    /// # Errors
    /// The store's; then all messages are still there.
    pub async fn remove(&self, claims: Vec<Claim<'_>>) -> Result<(), Error> {
        let uids: Vec<Uid> = claims.iter().map(Claim::uid).collect();
        self.expunge(&uids).await
    }

    fn claimed(&self, uid: Uid, entry: Entry) -> Claim<'_> {
        Claim { queue: self, uid, size: self.index().size(uid).into(), entry }
    }

    /// Those of `known` whose message is no longer queued. Each of `known` is an identity with the time at which its
    /// message was accepted.
    pub fn gone<T>(&self, known: Vec<(T, i64)>) -> Vec<T> {
        if !self.loaded.get() {
            return Vec::new();
        }
        let times = known.iter().map(|(_, created)| seconds(*created)).collect();
        let queued = self.index().accepted_at(&times);
        known.into_iter().filter(|(_, created)| !queued.contains(&seconds(*created))).map(|it| it.0).collect()
    }

    /// Makes everything that waits due at once, for submitters who are `wanted`.
    pub fn hasten(&self, wanted: impl Fn(Submitter) -> bool) {
        self.index().hasten(wanted, seconds(unix_now()));
        self.wake();
    }

    /// Removes a message that nobody works on, whatever its note holds. `false` if there is none, or somebody works
    /// on it.
    ///
    /// # Errors
    /// The store's.
    pub async fn discard(&self, uid: Uid) -> Result<bool, Error> {
        match self.claim(uid) {
            Found::Nothing | Found::Busy => return Ok(false),
            Found::Free(claim) => self.expunge(&[claim.uid]).await?,
            Found::Damaged => self.expunge(&[uid]).await?,
        }
        Ok(true)
    }

    async fn expunge(&self, uids: &[Uid]) -> Result<(), Error> {
        let mut transaction = self.account().await?.begin();
        transaction.expunge(INBOX, uids);
        transaction.commit().await?;
        for uid in uids {
            self.unwritten.borrow_mut().remove(uid);
            self.index().remove(*uid);
        }
        Ok(())
    }

    /// Writes the entries of these messages in one commit. `false` if that failed: the entries are kept in memory and
    /// written later.
    pub async fn save(&self, claims: &[Claim<'_>]) -> bool {
        if claims.is_empty() {
            return true;
        }
        let saved = async {
            let mut transaction = self.account().await?.begin();
            for claim in claims {
                transaction.note(INBOX, claim.uid, claim.entry.to_note());
            }
            transaction.commit().await
        };
        match saved.await {
            Ok(_) => {
                claims.iter().for_each(|claim| drop(self.unwritten.borrow_mut().remove(&claim.uid)));
                true
            }
            Err(error) => {
                claims.iter().for_each(|claim| self.remember(claim, &error));
                false
            }
        }
    }

    fn remember(&self, claim: &Claim<'_>, error: &Error) {
        let uid = claim.uid;
        log::error!("queue {uid}: how far it got could not be written down: {error}");
        self.unwritten.borrow_mut().insert(uid, (claim.entry.clone(), unix_now() + WRITE_AGAIN));
    }
}

/// The UIDs and sizes of the messages in `account`, the oldest first.
fn messages(account: &Account) -> Vec<(Uid, u64)> {
    let all = account.view(INBOX, |inbox| inbox.messages.iter().map(|it| (it.uid, it.size.into())).collect());
    all.unwrap_or_default()
}

/// The entry that the note of a message holds; `None` where the message has no note, or a damaged one.
///
/// # Errors
/// The note cannot be read now.
pub(super) fn noted(account: &Account, uid: Uid, config: &Config) -> Result<Option<Entry>, Error> {
    match account.note(INBOX, uid) {
        Ok(note) => Ok(note.and_then(|note| Entry::of_note(&note, config))),
        Err(Error::Damaged(what)) => {
            log::error!("damaged: {what}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The messages of a queue that no relay works on, the oldest first: UID, size and entry.
pub(super) fn entries(
    account: &Account,
    config: &Config,
) -> impl Iterator<Item = (Uid, u64, Result<Option<Entry>, Error>)> {
    messages(account).into_iter().map(move |(uid, size)| (uid, size, noted(account, uid, config)))
}

/// What the index is to know of a message.
fn facts(entry: &Entry, size: u64, config: &Config) -> Facts {
    let when = |work| entry.when(work, config).map(seconds);
    Facts {
        size: u32::try_from(size).unwrap_or(u32::MAX),
        created: seconds(entry.created),
        // A settled message is to be removed.
        here: if entry.is_settled() { Some(0) } else { when(Work::Here) },
        outside: when(Work::Smarthost),
        only_notice: entry.has_only_notice(config),
    }
}

impl Claim<'_> {
    /// The UID of the message in the queue.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// Writes the entry of the message. `false` if that failed.
    pub async fn save(&self) -> bool {
        self.queue.save(std::slice::from_ref(self)).await
    }

    /// Removes the message from the queue. If that fails, it is done later.
    pub async fn remove(self) {
        if let Err(error) = self.queue.expunge(&[self.uid]).await {
            self.queue.remember(&self, &error);
        }
    }

    /// The content of the message.
    ///
    /// # Errors
    /// The store's.
    pub async fn body(&self) -> Result<Body, Error> {
        let account = self.queue.account().await?;
        let message: Option<store::Message> =
            account.view(INBOX, |inbox| inbox.message(self.uid).copied()).flatten();
        account.body(&message.ok_or(Error::NoSuchMessage)?)
    }

    /// A name of the message that no other message of this appliance ever has: UIDs are never used twice.
    pub fn identity(&self) -> String {
        let account = self.queue.account.borrow().clone();
        let validity = account.view(INBOX, |inbox| inbox.uid_validity).unwrap_or(0);
        format!("{validity}.{}", self.uid)
    }
}
