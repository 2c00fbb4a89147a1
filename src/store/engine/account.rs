//! One account's open mail store: the questions that it answers. [`super::commit`] describes how the store changes.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use event_listener::{Event, EventListener};

use super::commit::State;
use super::log::{Log, tells_damage};
use super::recovery::Loss;
use super::room::{Room, Share};
use super::{Body, Incoming, Transaction};
use crate::flash::{Flash, Mode};
use crate::store::Error;
use crate::store::format::record::{BodyRecord, Record};
use crate::store::format::{IdentityHash, MailboxId, Message, Place, SourceKey, Uid, in_file};
use crate::store::model::{Index, Known, Mailbox, Note, Usage, identity_hash, mailbox_name, takes_keywords};

/// One account's open mail store.
pub struct Account {
    name: RefCell<Rc<str>>,
    dir: String,
    flash: Rc<dyn Flash>,
    pub(super) room: Rc<Room>,
    /// Room that is kept for the next checkpoints of the account.
    checkpoint_share: Share,
    pub(super) state: RefCell<State>,
    /// Wakes the tasks that wait for their commit to become durable.
    pub(super) progress: Event,
    /// Wakes the tasks that listen for changes.
    pub(super) changed: Event,
    /// Held by a commit that creates, renames or deletes mailboxes: while its names are checked, no other commit may
    /// change names.
    pub(super) structure: smol::lock::Mutex<()>,
    /// Held by the task that stages a commit.
    pub(super) staging: smol::lock::Mutex<()>,
    /// Held by the task that runs [`Account::maintain`].
    pub(super) maintenance: smol::lock::Mutex<()>,
    /// All messages whose Body records lie before this place have extracts.
    pub(super) extracted_to: Cell<Place>,
    /// The result of the last search for messages without extracts that found too few of them: up to where the log
    /// was searched, up to where all messages had extracts, and how many octets were asked for at least.
    pub(super) too_few_unextracted: Cell<Option<(Place, Place, u64)>>,
    used: Cell<bool>,
    pub(super) quota: Cell<Option<u64>>,
    /// Octets of messages that are being received.
    pub(super) incoming_octets: Cell<u64>,
    /// Number of snapshots that are alive. While it is not 0, no file is removed.
    pub(super) held: Cell<u32>,
}

impl Account {
    pub(super) fn new(
        flash: Rc<dyn Flash>,
        room: Rc<Room>,
        name: &str,
        dir: String,
        state: State,
    ) -> Account {
        let checkpoint_share = Share::of_checkpoints(&room);
        checkpoint_share.set(state.checkpoints.still_to_come(state.index.checkpoint_octets()));
        Account {
            room,
            checkpoint_share,
            name: RefCell::new(name.into()),
            dir,
            flash,
            state: RefCell::new(state),
            progress: Event::new(),
            changed: Event::new(),
            structure: smol::lock::Mutex::new(()),
            staging: smol::lock::Mutex::new(()),
            maintenance: smol::lock::Mutex::new(()),
            extracted_to: Cell::default(),
            too_few_unextracted: Cell::default(),
            used: Cell::new(true),
            quota: Cell::new(None),
            incoming_octets: Cell::new(0),
            held: Cell::new(0),
        }
    }

    /// The account's name.
    pub fn name(&self) -> Rc<str> {
        self.name.borrow().clone()
    }

    /// Gives the account another name.
    pub(super) fn set_name(&self, name: &str) {
        *self.name.borrow_mut() = name.into();
    }

    /// The ids and names of all mailboxes, ordered by name, with the INBOX first.
    pub fn mailboxes(&self) -> Vec<(MailboxId, String)> {
        let state = self.state.borrow();
        let mut names: Vec<_> = state.index.mailboxes.values().map(|m| (m.id, m.name.clone())).collect();
        names.sort_by(|(_, a), (_, b)| (a != "INBOX", a).cmp(&(b != "INBOX", b)));
        names
    }

    /// The mailbox of this name. `INBOX` is found in any case of letters.
    pub fn find(&self, name: &str) -> Option<MailboxId> {
        let name = mailbox_name::canonical(name).ok()?;
        self.state.borrow().index.mailboxes.values().find(|m| m.name == name).map(|m| m.id)
    }

    /// Calls `look` with a mailbox and returns its result; `None` when the mailbox is gone. `look` must not call into
    /// the account.
    pub fn view<R>(&self, mailbox: MailboxId, look: impl FnOnce(&Mailbox) -> R) -> Option<R> {
        self.state.borrow().index.mailboxes.get(&mailbox).map(look)
    }

    /// UIDs that were expunged from the mailbox by changes with a larger MODSEQ, as ascending ranges; `None` when
    /// some of them are no longer known.
    pub fn expunged_since(&self, mailbox: MailboxId, modseq: u64) -> Option<Vec<(Uid, Uid)>> {
        self.index(|index| index.expunged.since(mailbox, modseq))
    }

    /// The subscribed names (RFC 3501 section 6.3.6) in order, including names of mailboxes that do not exist.
    pub fn subscriptions(&self) -> Vec<String> {
        self.state.borrow().index.subscriptions.iter().cloned().collect()
    }

    /// Whether this name is subscribed.
    pub fn is_subscribed(&self, name: &str) -> bool {
        self.state.borrow().index.subscriptions.contains(name)
    }

    /// The next `n` names of mailboxes for which `wanted` is true, after the name `after`, in the order of
    /// [`mailbox_name::compare`]. With it a caller can list many names in pieces without keeping any of them.
    pub fn mailboxes_after(
        &self,
        after: Option<&str>,
        n: usize,
        wanted: impl Fn(MailboxId, &str) -> bool,
    ) -> Vec<String> {
        let state = self.state.borrow();
        let all = state.index.mailboxes.values().map(|mailbox| (mailbox.name.as_str(), mailbox.id));
        next_names(all, after, n, |name, id| wanted(id, name))
    }

    /// The next `n` subscribed names after `after`, ordered as [`Account::mailboxes_after`] orders them.
    pub fn subscriptions_after(&self, after: Option<&str>, n: usize) -> Vec<String> {
        let state = self.state.borrow();
        next_names(state.index.subscriptions.iter().map(|name| (name.as_str(), ())), after, n, |_, ()| true)
    }

    /// Those of `names` that are names of mailboxes.
    pub fn existing(&self, names: &BTreeSet<&str>) -> BTreeSet<String> {
        let state = self.state.borrow();
        let all = state.index.mailboxes.values().map(|mailbox| &mailbox.name);
        all.filter(|name| names.contains(name.as_str())).cloned().collect()
    }

    /// The number of messages and octets in all mailboxes.
    pub fn usage(&self) -> Usage {
        self.state.borrow().index.usage
    }

    /// The account's quota: how many octets it may be charged for; `None` when it has no quota.
    pub fn quota(&self) -> Option<u64> {
        self.quota.get()
    }

    /// Whether the account may receive `messages` more messages with `octets` octets together. Staged commits are
    /// counted.
    ///
    /// # Errors
    /// [`Error::OverQuota`], [`Error::Limit`].
    pub fn fits(&self, messages: u64, octets: u64) -> Result<(), Error> {
        self.fits_instead_of(messages, octets, Usage::default())
    }

    /// Whether the account may receive `messages` more messages with `octets` octets together, when the same commit
    /// removes messages that were charged as `removed`. Staged commits are counted.
    ///
    /// # Errors
    /// [`Error::OverQuota`], [`Error::Limit`].
    pub fn fits_instead_of(&self, messages: u64, octets: u64, removed: Usage) -> Result<(), Error> {
        let State { index, overlay, .. } = &*self.state.borrow();
        let before = overlay.expected(index);
        let after = before.plus(Usage { messages, octets, ..Usage::default() }).less(removed);
        before.may_become(&after, self.quota.get())
    }

    /// Whether a message of the mailbox can be given a keyword that the mailbox does not know yet.
    pub fn takes_keywords(&self, mailbox: MailboxId) -> bool {
        let State { index, overlay, .. } = &*self.state.borrow();
        takes_keywords(index, overlay, mailbox, self.quota.get())
    }

    /// Claims the `\Recent` messages of a mailbox for the calling session, and returns the first UID that is
    /// `\Recent`.
    pub fn claim_recent(&self, mailbox: MailboxId) -> Uid {
        let mut state = self.state.borrow_mut();
        let State { index, overlay, .. } = &mut *state;
        let Some(mailbox) = index.mailboxes.get_mut(&mailbox) else { return Uid::MAX };
        let from = std::mem::replace(&mut mailbox.recent_from, mailbox.uid_next);
        if from != mailbox.recent_from {
            // Written with the next commit. If it is lost, messages are only \Recent once more, as RFC 3501 section
            // 2.3.2 asks for where it is not known whether they are.
            overlay.claimed_recent.insert(mailbox.id);
        }
        from
    }

    /// Opens a message for reading. A body of up to 64 KiB is read and its checksum verified here; a larger body is
    /// read in pieces, and its checksum is verified when it is read from beginning to end. The message stays readable
    /// until the value is dropped, even when it is expunged meanwhile.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`]; [`Error::NoSuchMessage`] when the message was expunged and its place is
    /// gone.
    pub fn body(&self, message: &Message) -> Result<Body, Error> {
        let size = message.size;
        if !in_file(size) {
            let (_, octets) = self.read(message, |log, place| log.whole(place, size as usize))?;
            return Ok(Body::inline(octets));
        }
        let (head, ()) = self.read(message, |log, place| log.head(place).map(|record| (record, ())))?;
        let path = self.body_path(message.body);
        let file = self.flash.open(&path, Mode::Read).map_err(|error| Error::io(&path, error))?;
        let long = file.len().map_err(|error| Error::io(&path, error))?;
        match head.crc {
            Some(crc) if long == u64::from(head.size) => Ok(Body::file(file, long, crc)),
            _ => Err(self.damaged(message)),
        }
    }

    /// Reads the Body record of a message. When compaction has moved the record, it is read at its new place.
    pub(super) fn read<T>(
        &self,
        message: &Message,
        read: impl Fn(&Log, Place) -> io::Result<(Record, T)>,
    ) -> Result<(BodyRecord, T), Error> {
        let state = self.state.borrow();
        let place = message.place();
        let mut found = read(&state.log, place);
        if let Err(error) = &found
            && error.kind() == io::ErrorKind::NotFound
            && let Some(moved) = state.index.place_of(message.body).filter(|moved| *moved != place)
        {
            found = read(&state.log, moved);
        }
        match found {
            Ok((Record::Body(head), octets)) if head.body == message.body => Ok((head, octets)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NoSuchMessage),
            Err(error) if error.kind() != io::ErrorKind::InvalidData => {
                Err(Error::io(state.log.dir(), error))
            }
            _ => Err(self.damaged(message)),
        }
    }

    fn damaged(&self, message: &Message) -> Error {
        let uid = message.uid;
        Error::Damaged(format!("{}, UID {uid}", self.name()))
    }

    /// A new message, to be filled in pieces and handed to [`Transaction::deliver`]. When it is dropped before that,
    /// it leaves nothing behind.
    pub fn incoming(self: &Rc<Self>) -> Incoming {
        Incoming::new(self.clone())
    }

    /// Begins a transaction.
    pub fn begin(self: &Rc<Self>) -> Transaction {
        Transaction::new(self.clone())
    }

    /// Wakes at the next change of any mailbox of the account. Listen first and then look, so that no change is
    /// missed.
    pub fn changed(&self) -> EventListener {
        self.changed.listen()
    }

    /// The note attached to a message (see [`Transaction::note`]), read from flash; `None` when the message has no
    /// note.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn note(&self, mailbox: MailboxId, uid: Uid) -> Result<Option<Vec<u8>>, Error> {
        let state = self.state.borrow();
        let place = match state.index.notes.get((mailbox, uid)) {
            None => return Ok(None),
            Some(Note::Held(note)) => return Ok(Some(note.to_vec())),
            Some(Note::At(place)) => place,
        };
        match state.log.note(place, (mailbox, uid)) {
            Ok(record) => Ok(Some(record.note)),
            Err(error) if tells_damage(&error) => {
                Err(Error::Damaged(format!("{}, the note of UID {uid}", self.name())))
            }
            Err(error) => Err(Error::io(state.log.dir(), error)),
        }
    }

    /// When `identity` was collected from `source`, in seconds since 1970; `None` when it never was.
    pub fn collected(&self, source: SourceKey, identity: &[u8]) -> Option<i64> {
        self.known(source, &identity_hash(identity)).map(|known| known.date.get())
    }

    /// Everything that was collected from `source`: hashed identities and the times, in seconds since 1970.
    pub fn all_collected(&self, source: SourceKey) -> Vec<(IdentityHash, i64)> {
        let known = |(identity, known): &(IdentityHash, Known)| (*identity, known.date.get());
        self.state.borrow().index.ledger.of(source).map(known).collect()
    }

    /// The whole ledger of `source`: hashed identities and what is known of each.
    pub fn ledger_of(&self, source: SourceKey) -> Vec<(IdentityHash, Known)> {
        self.index(|index| {
            // Exactly as much memory as needed: there may be very many entries.
            let mut known = Vec::with_capacity(index.ledger.len_of(source));
            known.extend(index.ledger.of(source).copied());
            known
        })
    }

    /// The number of identities that were collected from `source`.
    pub fn ledger_len(&self, source: SourceKey) -> usize {
        self.index(|index| index.ledger.len_of(source))
    }

    /// What the ledger says of one hashed identity of `source`; `None` when it was not collected.
    pub fn known(&self, source: SourceKey, identity: &IdentityHash) -> Option<Known> {
        self.index(|index| index.ledger.get(source, identity).copied())
    }

    /// The annotations of a mailbox, or of the account for `NO_MAILBOX`, ordered by their entry names.
    pub fn annotations(&self, mailbox: MailboxId) -> Vec<(String, Vec<u8>)> {
        self.index(|index| {
            let own = index.annotations_of(mailbox);
            own.map(|(entry, value)| (entry.to_owned(), value.to_owned())).collect()
        })
    }

    /// The names of the mailboxes that have the annotation `entry`, each with the annotation's value.
    pub fn annotated(&self, entry: &str) -> Vec<(String, Vec<u8>)> {
        self.index(|index| {
            let found = index.annotations.iter().filter(|((_, known), _)| known == entry);
            let named = found
                .filter_map(|((id, _), value)| Some((index.mailboxes.get(id)?.name.clone(), value.clone())));
            named.collect()
        })
    }

    /// The value of the annotation `entry` of a mailbox.
    pub fn annotation(&self, mailbox: MailboxId, entry: &str) -> Option<Vec<u8>> {
        self.index(|index| index.annotations.get(&(mailbox, entry.to_owned())).cloned())
    }

    /// Creates and subscribes the mailboxes that every account has. Called when the account is opened for the first
    /// time.
    pub(super) async fn create_standard_mailboxes(self: &Rc<Self>, names: &[&str]) -> Result<(), Error> {
        let mut transaction = self.begin();
        for name in names {
            transaction.create_mailbox(name);
            transaction.subscribe(name, true);
        }
        transaction.commit().await.map(drop)
    }

    /// Skips numbers after a loss: clients may have been told UIDs and MODSEQs of lost messages, and these must not
    /// be given out again.
    pub(super) async fn renumber_after(self: &Rc<Self>, loss: Loss) -> Result<(), Error> {
        /// The fewest octets that a message takes in the log.
        const LEAST: u64 = 32;
        let mut transaction = self.begin();
        match loss {
            Loss::Nothing => return Ok(()),
            Loss::Octets(octets) => {
                transaction.skip_numbers(u32::try_from(octets / LEAST + 1).unwrap_or(u32::MAX))
            }
            Loss::Unknown => transaction.renew_uid_validities(),
        }
        transaction.commit().await.map(drop)
    }

    /// Whether the messages that are being received would exceed the quota, when `removed` octets of the stored ones
    /// go.
    pub(super) fn incoming_exceeds_quota(&self, removed: u64) -> bool {
        let held = self.usage().charged().saturating_add(self.incoming_octets.get());
        self.quota.get().is_some_and(|quota| held.saturating_sub(removed) > quota)
    }

    /// Sets the quota: the limit of [`Usage::charged`], in octets.
    pub(super) fn set_quota(&self, octets: Option<u64>) {
        self.quota.set(octets);
    }

    /// Whether the account was used since the last call.
    pub(super) fn take_used(&self) -> bool {
        self.used.replace(false)
    }

    pub(super) fn mark_used(&self) {
        self.used.set(true);
    }

    /// Keeps room free for the next checkpoints, as large as the index is now.
    pub(super) fn keep_room_for_checkpoints(&self, state: &State) {
        self.checkpoint_share.set(state.checkpoints.still_to_come(state.index.checkpoint_octets()));
    }

    /// Octets of the next checkpoint at most.
    pub(super) fn checkpoint_octets(&self) -> u64 {
        self.index(|index| index.checkpoint_octets())
    }

    pub(super) fn flash(&self) -> &dyn Flash {
        &*self.flash
    }

    pub(super) fn dir(&self) -> &str {
        &self.dir
    }

    /// The path of a file in the account's folder.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    /// Calls `look` with the index; `look` must not call into the account.
    pub(super) fn index<R>(&self, look: impl FnOnce(&Index) -> R) -> R {
        look(&self.state.borrow().index)
    }

    /// Calls `look` with the log; `look` must not call into the account.
    pub(super) fn log<R>(&self, look: impl FnOnce(&Log) -> R) -> R {
        look(&self.state.borrow().log)
    }

    pub(super) fn body_dir(&self) -> String {
        self.path("body")
    }

    pub(super) fn body_path(&self, number: u32) -> String {
        format!("{}/body/{number:08x}", self.dir)
    }
}

/// The first `n` names that sort after `after` and for which `wanted` is true. `wanted` is called for no name that
/// sorts up to `after`.
fn next_names<'a, T>(
    all: impl Iterator<Item = (&'a str, T)>,
    after: Option<&str>,
    n: usize,
    wanted: impl Fn(&str, T) -> bool,
) -> Vec<String> {
    let mut next: Vec<&str> = Vec::with_capacity(n + 1);
    for (name, of) in all {
        let follows = after.is_none_or(|after| mailbox_name::compare(name, after) == Ordering::Greater);
        let full = next.len() == n;
        let is_late = |last: &&str| full && mailbox_name::compare(name, last) == Ordering::Greater;
        if follows && !next.last().is_some_and(is_late) && wanted(name, of) {
            let place = next.partition_point(|other| mailbox_name::compare(other, name) == Ordering::Less);
            next.insert(place, name);
            next.truncate(n);
        }
    }
    next.into_iter().map(str::to_owned).collect()
}
