//! The queue on flash: messages in the INBOX of a store of its own, each with its [`Entry`] as a note.
//!
//! The notes are the queue. In memory are an [`Index`] of when which of them is to be worked on, and what could not
//! be written down because the flash was full or failed: a message that was delivered must not be
//! delivered again only because that cannot be noted.

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

/// Messages that those who submit share: each may have as many here as are left when everybody has the same.
const MAX_QUEUED: usize = 100_000;
/// Whoever is there, each may have so many.
const LEAST_SHARE: usize = 1000;
/// Seconds until another attempt to write down what could not be written.
const WRITE_AGAIN: i64 = 60;
/// Notes that are read at once at the start, and when settings have changed.
const PIECE: usize = 64;

/// The queue.
pub struct Queue {
    context: Rc<Context>,
    account: RefCell<Rc<Account>>,
    index: RefCell<Index>,
    /// All notes were read once.
    loaded: Cell<bool>,
    /// Entries that are further than their notes, and when to try to write them again.
    unwritten: RefCell<BTreeMap<Uid, (Entry, i64)>>,
    changed: Event,
}

/// A message that someone works on, and nobody else until this is dropped.
pub struct Claim<'a> {
    queue: &'a Queue,
    uid: Uid,
    /// Octets of its content.
    pub size: u64,
    /// What is known of it; [`Claim::save`] writes it down.
    pub entry: Entry,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // Unless it was removed meanwhile.
        if self.queue.index().is_busy(self.uid) {
            self.queue.put(self.uid, &self.entry, self.size);
        }
        self.queue.wake();
    }
}

/// What [`Queue::claim`] finds.
pub enum Found<'a> {
    /// Nobody works on it.
    Free(Claim<'a>),
    /// Somebody does.
    Busy,
    /// Its note makes no sense.
    Damaged,
    /// There is no such message.
    Nothing,
}

/// Messages that each of so many may have here.
pub(super) fn share(submitters: usize) -> usize {
    (MAX_QUEUED / submitters).max(LEAST_SHARE)
}

/// A time as the index has it.
pub(super) fn seconds(time: i64) -> u32 {
    u32::try_from(time.max(0)).unwrap_or(u32::MAX - 1)
}

impl Queue {
    /// The queue that `account` holds (see [`crate::store::Store::queue`]). Nothing comes out of it before [`Queue::load`].
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

    /// The store of the queue, opened again after the flash failed.
    pub async fn account(&self) -> Result<Rc<Account>, Error> {
        let account = self.context.store.queue().await?;
        *self.account.borrow_mut() = account.clone();
        Ok(account)
    }

    /// The store of the queue as it was used last.
    pub fn current(&self) -> Rc<Account> {
        self.account.borrow().clone()
    }

    /// What is to be worked on when. Never borrowed across an `.await`.
    pub fn index(&self) -> RefMut<'_, Index> {
        self.index.borrow_mut()
    }

    /// Wakes when there is something new, or somebody is done. Listen first, then look.
    pub fn changed(&self) -> EventListener {
        self.changed.listen()
    }

    /// Wakes those who listen.
    pub fn wake(&self) {
        self.changed.notify(usize::MAX);
    }

    /// Whether no more messages are taken from `submitter`: each has a share of its own, so nobody is refused for what others
    /// have here.
    pub fn is_full(&self, submitter: Submitter) -> bool {
        let submitters = self.context.config().accounts.len() + 1;
        self.index().count(submitter) >= share(submitters)
    }

    /// Queues a message, durably, in one commit. `message` and `account` come from [`Queue::account`].
    ///
    /// # Errors
    /// What the store says.
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

    /// Reads all notes, in turns with others: at the start, and when new settings may have changed what they mean. Those of
    /// older kinds are written anew: they name an account, and the name may be given to another one.
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

    /// Says anew when a message is to be worked on.
    fn put(&self, uid: Uid, entry: &Entry, size: u64) {
        let again = self.unwritten.borrow().get(&uid).map(|(_, again)| seconds(*again));
        let facts = facts(entry, size, &self.context.config());
        let not_before = |time: u32| again.map_or(time, |again| time.max(again));
        let facts =
            Facts { here: facts.here.map(not_before), outside: facts.outside.map(not_before), ..facts };
        self.index().put(uid, entry.submitter, facts);
    }

    /// What is known of a message; `None` where there is none, or its note is damaged.
    ///
    /// # Errors
    /// Its note cannot be read now.
    fn known(&self, uid: Uid) -> Result<Option<Entry>, Error> {
        match self.unwritten(uid) {
            Some(entry) => Ok(Some(entry)),
            None => noted(&self.account.borrow(), uid, &self.context.config()),
        }
    }

    /// What of a message is further than its note.
    fn unwritten(&self, uid: Uid) -> Option<Entry> {
        self.unwritten.borrow().get(&uid).map(|(entry, _)| entry.clone())
    }

    /// Queued messages.
    pub fn len(&self) -> usize {
        self.account.borrow().view(INBOX, |inbox| inbox.messages.len()).unwrap_or(0)
    }

    /// All messages, the oldest first: their numbers, sizes and entries. One whose note cannot be read has
    /// none.
    pub fn entries(&self) -> impl Iterator<Item = (Uid, u64, Option<Entry>)> {
        let all = messages(&self.account.borrow()).into_iter();
        all.map(move |(uid, size)| (uid, size, self.known(uid).ok().flatten()))
    }

    /// How many messages of `submitter` are queued.
    pub fn count(&self, submitter: Submitter) -> usize {
        self.index().count(submitter)
    }

    /// A message: its size and its entry, which one whose note cannot be read has not.
    pub fn entry(&self, uid: Uid) -> Option<(u64, Option<Entry>)> {
        let message = self.account.borrow().view(INBOX, |inbox| inbox.message(uid).copied()).flatten()?;
        Some((u64::from(message.size), self.known(uid).ok().flatten()))
    }

    /// Sees what has become due.
    pub fn tick(&self) {
        let (config, now) = (self.context.config(), unix_now());
        let longest = longest_pause(&config.smarthost).max(config.smarthost.delay_notice.into());
        let far = now.saturating_add(longest);
        self.index().tick(seconds(now), seconds(far));
    }

    /// Claims the next message that is to be worked on here.
    pub fn next_here(&self) -> Option<Claim<'_>> {
        self.next(Work::Here, |index, now| index.next_here(now))
    }

    /// Claims the next message for the smarthost: see [`Index::next_outside`].
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
                // It is listed, and the operator removes it.
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
                // In however much of a hurry somebody is: it rests.
                continue;
            }
            let is_late = claim.entry.late_at(&config).is_some_and(|at| at <= now);
            if claim.entry.due(work, &config, now).next().is_none() && !(is_late && work == Work::Here) {
                // It was made due before its time: its note does not know.
                claim.entry.hasten(now);
            }
            return Some(claim);
        }
    }

    /// Claims this message.
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

    /// Takes messages out of the queue, in one commit.
    ///
    /// # Errors
    /// What the store says; then all of them are still there.
    pub async fn remove(&self, claims: Vec<Claim<'_>>) -> Result<(), Error> {
        let uids: Vec<Uid> = claims.iter().map(Claim::uid).collect();
        self.expunge(&uids).await
    }

    fn claimed(&self, uid: Uid, entry: Entry) -> Claim<'_> {
        Claim { queue: self, uid, size: self.index().size(uid).into(), entry }
    }

    /// Those of `known`, identities and when their messages were accepted, whose message is queued no longer.
    pub fn gone<T>(&self, known: Vec<(T, i64)>) -> Vec<T> {
        if !self.loaded.get() {
            return Vec::new();
        }
        let times = known.iter().map(|(_, created)| seconds(*created)).collect();
        let queued = self.index().accepted_at(&times);
        known.into_iter().filter(|(_, created)| !queued.contains(&seconds(*created))).map(|it| it.0).collect()
    }

    /// Makes all that waits due at once, of submitters who are `wanted`.
    pub fn hasten(&self, wanted: impl Fn(Submitter) -> bool) {
        self.index().hasten(wanted, seconds(unix_now()));
        self.wake();
    }

    /// Removes a message that nobody works on, whatever its note says; `false` when there is none.
    ///
    /// # Errors
    /// What the store says.
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

    /// Writes down how far messages got, in one commit; `false` when that failed. What could not be
    /// written is remembered, and comes with a later commit.
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

/// The messages of the queue that `account` holds, the oldest first: their numbers and sizes.
fn messages(account: &Account) -> Vec<(Uid, u64)> {
    let all = account.view(INBOX, |inbox| inbox.messages.iter().map(|it| (it.uid, it.size.into())).collect());
    all.unwrap_or_default()
}

/// What the note of a message says; `None` where it has none, or a damaged one.
///
/// # Errors
/// It cannot be read now.
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

/// The messages of a queue that no relay works on, the oldest first: their numbers, sizes and entries.
pub(super) fn entries(
    account: &Account,
    config: &Config,
) -> impl Iterator<Item = (Uid, u64, Result<Option<Entry>, Error>)> {
    messages(account).into_iter().map(move |(uid, size)| (uid, size, noted(account, uid, config)))
}

/// When the message of `entry` is to be worked on.
fn facts(entry: &Entry, size: u64, config: &Config) -> Facts {
    let when = |work| entry.when(work, config).map(seconds);
    Facts {
        size: u32::try_from(size).unwrap_or(u32::MAX),
        created: seconds(entry.created),
        // What is settled is to be removed.
        here: if entry.is_settled() { Some(0) } else { when(Work::Here) },
        outside: when(Work::Smarthost),
        only_notice: entry.has_only_notice(config),
    }
}

impl Claim<'_> {
    /// Its number in the queue.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// Writes down how far the message got; `false` when that failed.
    pub async fn save(&self) -> bool {
        self.queue.save(std::slice::from_ref(self)).await
    }

    /// Takes the message out of the queue; if that cannot be done now, it comes later.
    pub async fn remove(self) {
        if let Err(error) = self.queue.expunge(&[self.uid]).await {
            self.queue.remember(&self, &error);
        }
    }

    /// The content.
    ///
    /// # Errors
    /// What the store says.
    pub async fn body(&self) -> Result<Body, Error> {
        let account = self.queue.account().await?;
        let message: Option<store::Message> =
            account.view(INBOX, |inbox| inbox.message(self.uid).copied()).flatten();
        account.body(&message.ok_or(Error::NoSuchMessage)?)
    }

    /// What no other message of this appliance is called, now or ever: UIDs are never given twice.
    pub fn identity(&self) -> String {
        let account = self.queue.account.borrow().clone();
        let validity = account.view(INBOX, |inbox| inbox.uid_validity).unwrap_or(0);
        format!("{validity}.{}", self.uid)
    }
}
