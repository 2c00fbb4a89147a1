//! The queue on flash: messages in the INBOX of a store of its own, each with its [`Entry`] as a note.
//!
//! The notes are the queue. All that is kept in memory is who is working on what, and what could not
//! be written down because the flash was full or failed: a message that was delivered must not be
//! delivered again only because that cannot be noted.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use event_listener::{Event, EventListener};

use super::entry::{Entry, Submitter};
use crate::clock::unix_now;
use crate::context::Context;
use crate::store::{self, Account, Body, Error, Flags, INBOX, Incoming, Uid};

/// Messages that the queue holds at the most, so that no one fills the memory with it.
pub(super) const MAX_QUEUED: usize = 4096;
/// Seconds until another attempt to write down what could not be written.
const WRITE_AGAIN: i64 = 60;

/// The queue.
pub struct Queue {
    context: Rc<Context>,
    account: RefCell<Rc<Account>>,
    busy: RefCell<BTreeSet<Uid>>,
    /// Entries that are further than their notes, and when to try to write them again.
    unwritten: RefCell<BTreeMap<Uid, (Entry, i64)>>,
    changed: Event,
}

/// A message that someone works on, and nobody else until this is dropped.
pub struct Claim<'a> {
    busy: Busy<'a>,
    /// Octets of its content.
    pub size: u64,
    /// What is known of it; [`Claim::save`] writes it down.
    pub entry: Entry,
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

struct Busy<'a> {
    queue: &'a Queue,
    uid: Uid,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.queue.busy.borrow_mut().remove(&self.uid);
        self.queue.wake();
    }
}

impl Queue {
    /// The queue that `account` holds (see [`crate::store::Store::queue`]).
    pub fn new(context: Rc<Context>, account: Rc<Account>) -> Queue {
        Queue {
            context,
            account: RefCell::new(account),
            busy: RefCell::default(),
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

    /// Wakes when there is something new, or somebody is done. Listen first, then look.
    pub fn changed(&self) -> EventListener {
        self.changed.listen()
    }

    /// Wakes those who listen.
    pub fn wake(&self) {
        self.changed.notify(usize::MAX);
    }

    /// Whether no more messages are taken from `submitter`.
    ///
    /// Nobody has more messages here than there is room left: one takes half of the queue at the most, two that fill it a
    /// third each, and there is always room for the first message of somebody else.
    pub fn is_full(&self, submitter: Submitter) -> bool {
        let waiting = self.account.borrow().view(INBOX, |inbox| inbox.messages.len()).unwrap_or(0);
        let room = MAX_QUEUED.saturating_sub(waiting);
        let is_theirs = |entry: &Entry| entry.submitter == submitter;
        // Where less than half of it is used, nobody has to be counted.
        waiting >= room
            && self.entries().filter(|(_, _, entry)| entry.as_ref().is_some_and(is_theirs)).count() >= room
    }

    /// Queues a message, durably, in one commit. `message` and `account` come from [`Queue::account`].
    ///
    /// # Errors
    /// What the store says.
    pub async fn add(&self, account: &Rc<Account>, message: Incoming, entry: &Entry) -> Result<(), Error> {
        let mut transaction = account.begin();
        transaction.deliver(INBOX, message, Flags::NONE, &[], entry.created);
        transaction.note_delivered(entry.to_note());
        transaction.commit().await?;
        self.wake();
        Ok(())
    }

    /// Writes notes of older kinds anew: they name an account, and the name may be given to another one.
    pub async fn renew_notes(&self) {
        let account = self.account.borrow().clone();
        let is_old =
            |uid: Uid, _: &mut Entry| account.note(INBOX, uid).is_some_and(|note| Entry::is_old(&note));
        let old: Vec<_> = self.claims(is_old).collect();
        self.save(&old).await;
    }

    /// All messages, the oldest first: their numbers, sizes and entries. One whose note is damaged has
    /// none.
    pub fn entries(&self) -> impl Iterator<Item = (Uid, u64, Option<Entry>)> {
        let (account, config) = (self.account.borrow().clone(), self.context.config());
        let messages: Vec<(Uid, u32)> = account
            .view(INBOX, |inbox| inbox.messages.iter().map(|m| (m.uid, m.size)).collect())
            .unwrap_or_default();
        messages.into_iter().map(move |(uid, size)| {
            let unwritten = self.unwritten.borrow().get(&uid).map(|(entry, _)| entry.clone());
            let noted = || account.note(INBOX, uid).and_then(|note| Entry::of_note(&note, &config));
            (uid, u64::from(size), unwritten.or_else(noted))
        })
    }

    /// Claims, one after the other, the messages that nobody works on and that `wanted` wants, the oldest
    /// first.
    pub fn claims<'a>(&'a self, wanted: impl Fn(Uid, &mut Entry) -> bool) -> impl Iterator<Item = Claim<'a>> {
        let now = unix_now();
        let resting =
            move |uid: Uid| self.unwritten.borrow().get(&uid).is_some_and(|(_, again)| *again > now);
        self.entries()
            .filter(move |(uid, _, _)| !self.busy.borrow().contains(uid) && !resting(*uid))
            .filter_map(move |(uid, size, entry)| {
                let mut entry = entry?;
                wanted(uid, &mut entry).then(|| Claim { busy: self.busy(uid), size, entry })
            })
    }

    /// A message: its size and its entry, which one whose note is damaged has not.
    pub fn entry(&self, uid: Uid) -> Option<(u64, Option<Entry>)> {
        let account = self.account.borrow().clone();
        let message = account.view(INBOX, |inbox| inbox.message(uid).copied()).flatten()?;
        let unwritten = self.unwritten.borrow().get(&uid).map(|(entry, _)| entry.clone());
        let noted =
            || account.note(INBOX, uid).and_then(|note| Entry::of_note(&note, &self.context.config()));
        Some((u64::from(message.size), unwritten.or_else(noted)))
    }

    /// Claims this message.
    pub fn claim(&self, uid: Uid) -> Found<'_> {
        match self.entry(uid) {
            None => Found::Nothing,
            Some(_) if self.busy.borrow().contains(&uid) => Found::Busy,
            Some((_, None)) => Found::Damaged,
            Some((size, Some(entry))) => Found::Free(Claim { busy: self.busy(uid), size, entry }),
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

    fn busy(&self, uid: Uid) -> Busy<'_> {
        self.busy.borrow_mut().insert(uid);
        Busy { queue: self, uid }
    }

    /// The earliest of the times that `when` gives for entries that nobody works on.
    pub fn earliest(&self, when: impl Fn(&Entry) -> Option<i64>) -> Option<i64> {
        let again = self.unwritten.borrow().values().map(|(_, again)| *again).min();
        let open = self.entries().filter(|(uid, _, _)| !self.busy.borrow().contains(uid));
        open.filter_map(|(_, _, entry)| when(&entry?)).chain(again).min()
    }

    /// When the messages that are queued were accepted.
    pub fn creation_times(&self) -> BTreeSet<i64> {
        self.entries().filter_map(|(_, _, entry)| entry).map(|entry| entry.created).collect()
    }

    /// Makes everything that nobody works on due at once.
    pub async fn hasten(&self) {
        let mut claims: Vec<_> = self.claims(|_, entry| !entry.is_settled()).collect();
        let now = unix_now();
        claims.iter_mut().for_each(|claim| claim.entry.hasten(now));
        self.save(&claims).await;
    }

    /// Removes a message that nobody works on, whatever its note says; `false` when there is none.
    ///
    /// # Errors
    /// What the store says.
    pub async fn discard(&self, uid: Uid) -> Result<bool, Error> {
        let exists = self.entries().any(|(known, _, _)| known == uid);
        if !exists || self.busy.borrow().contains(&uid) {
            return Ok(false);
        }
        let _busy = self.busy(uid);
        self.expunge(&[uid]).await.map(|()| true)
    }

    async fn expunge(&self, uids: &[Uid]) -> Result<(), Error> {
        let mut transaction = self.account().await?.begin();
        transaction.expunge(INBOX, uids);
        transaction.commit().await?;
        uids.iter().for_each(|uid| drop(self.unwritten.borrow_mut().remove(uid)));
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
                transaction.note(INBOX, claim.busy.uid, claim.entry.to_note());
            }
            transaction.commit().await
        };
        match saved.await {
            Ok(_) => {
                claims.iter().for_each(|claim| drop(self.unwritten.borrow_mut().remove(&claim.busy.uid)));
                true
            }
            Err(error) => {
                claims.iter().for_each(|claim| self.remember(claim, &error));
                false
            }
        }
    }

    fn remember(&self, claim: &Claim<'_>, error: &Error) {
        let uid = claim.busy.uid;
        log::error!("queue {uid}: how far it got could not be written down: {error}");
        self.unwritten.borrow_mut().insert(uid, (claim.entry.clone(), unix_now() + WRITE_AGAIN));
    }
}

impl Claim<'_> {
    /// Its number in the queue.
    pub fn uid(&self) -> Uid {
        self.busy.uid
    }

    /// Writes down how far the message got; `false` when that failed.
    pub async fn save(&self) -> bool {
        self.busy.queue.save(std::slice::from_ref(self)).await
    }

    /// Takes the message out of the queue; if that cannot be done now, it comes later.
    pub async fn remove(self) {
        if let Err(error) = self.busy.queue.expunge(&[self.busy.uid]).await {
            self.busy.queue.remember(&self, &error);
        }
    }

    /// The content.
    ///
    /// # Errors
    /// What the store says.
    pub async fn body(&self) -> Result<Body, Error> {
        let account = self.busy.queue.account().await?;
        let message: Option<store::Message> =
            account.view(INBOX, |inbox| inbox.message(self.busy.uid).copied()).flatten();
        account.body(&message.ok_or(Error::NoSuchMessage)?)
    }

    /// What no other message of this appliance is called, now or ever: UIDs are never given twice.
    pub fn identity(&self) -> String {
        let account = self.busy.queue.account.borrow().clone();
        let validity = account.view(INBOX, |inbox| inbox.uid_validity).unwrap_or(0);
        format!("{validity}.{}", self.busy.uid)
    }
}
