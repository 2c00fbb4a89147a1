//! The mail store: one append-only log of records an account, and a folder of large bodies.
//!
//! The promises: what a [`Transaction::commit`] acknowledged survives any power cut, what it did not
//! is whole or absent; one sync a commit, and commits that arrive during a sync share the next one;
//! UIDs, UIDVALIDITY and MODSEQ only ascend. `docs/store.md` gives every byte.
//!
//! Nothing is visible before it is durable: the index in memory changes when a commit's sync is done.

use std::io;
use std::rc::Rc;

use event_listener::EventListener;

use crate::flash::{Flash, ReadAt};

/// A mailbox's number within its account; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxId(pub u32);

/// The INBOX, which every account has.
pub const INBOX: MailboxId = MailboxId(1);

/// A unique identifier (RFC 3501 section 2.3.1.1), ascending from 1 in each mailbox.
pub type Uid = u32;

/// Makes the summary of a message from its first 64 KiB at most: see [`crate::message::summarize`].
pub type Summarize = fn(&[u8]) -> Vec<u8>;

/// Why the store refused. The words are for the log; what a client hears is its session's choice.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("no such mailbox")]
    NoSuchMailbox,
    #[error("the mailbox exists already")]
    MailboxExists,
    /// Inferiors, reserved names, names that are too long or hold control characters.
    #[error("that name cannot be used for a mailbox: {0}")]
    BadName(&'static str),
    #[error("no such message")]
    NoSuchMessage,
    /// 56 a mailbox are kept.
    #[error("the mailbox has too many keywords")]
    TooManyKeywords,
    #[error("the flash is full")]
    Full,
    /// Found by a checksum; `fsck` says more.
    #[error("damaged on flash: {0}")]
    Damaged(String),
    /// A sync failed: nothing written since is durable. The account is read anew at its next use.
    #[error("the flash failed, the account is closed: {0}")]
    Failed(String),
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
}

/// All accounts' mail on one flash.
pub struct Store {
    #[allow(dead_code)]
    flash: Rc<dyn Flash>,
}

impl Store {
    /// The store of the data folder `flash`; opens nothing yet.
    pub fn new(flash: Rc<dyn Flash>, _summarize: Summarize) -> Store {
        Store { flash }
    }
    /// The mail of the account `name`, opened (and created) when it is not in memory; every caller
    /// gets the same one.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Full`].
    pub async fn account(&self, _name: &str) -> Result<Rc<Account>, Error> {
        todo!()
    }
    /// The relay's queue: an account of its own in `queue/`, with messages and their notes.
    ///
    /// # Errors
    /// As [`Store::account`].
    pub async fn queue(&self) -> Result<Rc<Account>, Error> {
        todo!()
    }
}

/// Flags of a message: five of RFC 3501's and up to 56 keywords, each a bit that the mailbox names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(pub u64);

impl Flags {
    /// None.
    pub const NONE: Flags = Flags(0);
    /// `\Seen`.
    pub const SEEN: Flags = Flags(1);
    /// `\Answered`.
    pub const ANSWERED: Flags = Flags(2);
    /// `\Flagged`.
    pub const FLAGGED: Flags = Flags(4);
    /// `\Deleted`.
    pub const DELETED: Flags = Flags(8);
    /// `\Draft`.
    pub const DRAFT: Flags = Flags(16);

    /// Whether all of `flags` are set.
    pub fn contains(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }
    /// Both together.
    pub fn with(self, flags: Flags) -> Flags {
        Flags(self.0 | flags.0)
    }
    /// The keyword that stands at `index` of [`Mailbox::keywords`].
    pub fn keyword(index: usize) -> Flags {
        Flags(1 << (8 + index))
    }
    /// Places in [`Mailbox::keywords`] of the keywords that are set.
    pub fn keywords(self) -> impl Iterator<Item = usize> {
        (0..56).filter(move |&i| self.contains(Flags::keyword(i)))
    }
}

/// A message in the index: 48 bytes.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    /// Its UID.
    pub uid: Uid,
    /// Octets (RFC822.SIZE).
    pub size: u32,
    /// INTERNALDATE, seconds since 1970 UTC.
    pub date: i64,
    /// Its flags.
    pub flags: Flags,
    /// MODSEQ (RFC 7162): the change that it saw last.
    pub modseq: u64,
    /// The body's number within the account: the same for every copy, never used twice.
    pub(crate) body: u32,
    /// The body record's place.
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// A mailbox as it is now; messages in ascending order of UID.
#[derive(Debug)]
pub struct Mailbox {
    /// Its number.
    pub id: MailboxId,
    /// UTF-8, `/` between levels, `INBOX` for the INBOX.
    pub name: String,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: Uid,
    /// HIGHESTMODSEQ.
    pub highest_modseq: u64,
    /// Messages with a UID from here on are `\Recent` to the next session that selects the mailbox.
    pub recent_from: Uid,
    /// Keywords that messages here have or had; a keyword's place is its bit in [`Flags`].
    pub keywords: Vec<String>,
    /// The messages.
    pub messages: Vec<Message>,
}

impl Mailbox {
    /// The message with this UID.
    pub fn message(&self, uid: Uid) -> Option<&Message> {
        let at = self.messages.binary_search_by_key(&uid, |m| m.uid).ok()?;
        self.messages.get(at)
    }
}

/// What an account holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Messages in all mailboxes, copies counted.
    pub messages: u64,
    /// Octets of them.
    pub octets: u64,
}

/// One account's mail, open.
pub struct Account {}

impl Account {
    /// The account's name.
    pub fn name(&self) -> &str {
        todo!()
    }
    /// The ids and names of all mailboxes, in order of name, the INBOX first.
    pub fn mailboxes(&self) -> Vec<(MailboxId, String)> {
        todo!()
    }
    /// The mailbox of this name; `INBOX` in any case.
    pub fn find(&self, _name: &str) -> Option<MailboxId> {
        todo!()
    }
    /// Shows a mailbox to `look`; `None` when it is gone. `look` must not call into the account.
    pub fn view<R>(&self, _mailbox: MailboxId, _look: impl FnOnce(&Mailbox) -> R) -> Option<R> {
        todo!()
    }
    /// Names that are subscribed (RFC 3501 section 6.3.6), whether or not such a mailbox exists, in order.
    pub fn subscriptions(&self) -> Vec<String> {
        todo!()
    }
    /// Messages and octets in all mailboxes.
    pub fn usage(&self) -> Usage {
        todo!()
    }
    /// Claims the `\Recent` messages of a mailbox for the calling session: the UID they begin at.
    pub fn claim_recent(&self, _mailbox: MailboxId) -> Uid {
        todo!()
    }
    /// Opens a message for reading. A body of up to 64 KiB is read and its checksum verified here,
    /// a larger one is read in pieces. It stays readable until dropped, even when expunged meanwhile.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn body(&self, _message: &Message) -> Result<Body, Error> {
        todo!()
    }
    /// The summary that [`Summarize`] made when the message arrived.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn summary(&self, _message: &Message) -> Result<Vec<u8>, Error> {
        todo!()
    }
    /// A new message, to be filled in pieces and handed to [`Transaction::deliver`]. Dropped before
    /// that, it leaves nothing behind.
    pub fn incoming(self: &Rc<Self>) -> Incoming {
        todo!()
    }
    /// Begins a transaction.
    pub fn begin(self: &Rc<Self>) -> Transaction {
        todo!()
    }
    /// Wakes at the next change of any mailbox of the account. Listen first, then look.
    pub fn changed(&self) -> EventListener {
        todo!()
    }
    /// What the note attached to a message says (see [`Transaction::note`]).
    pub fn note(&self, _mailbox: MailboxId, _uid: Uid) -> Option<Vec<u8>> {
        todo!()
    }
    /// When `identity` was collected from `source`, in seconds since 1970; `None`: never.
    pub fn collected(&self, _source: SourceKey, _identity: &[u8]) -> Option<i64> {
        todo!()
    }
    /// All that is known as collected from `source`: hashed identities and times.
    pub fn all_collected(&self, _source: SourceKey) -> Vec<(IdentityHash, i64)> {
        todo!()
    }
}

/// Names where messages come from, for the ledger of what was collected: a hash that the caller makes
/// of whatever identifies the source for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey(pub u64);

/// The first 16 octets of the SHA-256 of an identity.
pub type IdentityHash = [u8; 16];

/// The hash under which the ledger knows `identity`.
pub fn identity_hash(_identity: &[u8]) -> IdentityHash {
    todo!()
}

/// A stored message, open for reading.
pub struct Body {}

impl ReadAt for Body {
    fn len(&self) -> io::Result<u64> {
        todo!()
    }
    fn read_at(&self, _offset: u64, _buf: &mut [u8]) -> io::Result<usize> {
        todo!()
    }
}

/// A message on its way in: up to 64 KiB in memory, what is longer goes to a file as it comes.
pub struct Incoming {}

impl Incoming {
    /// Appends a piece.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Io`]; the message cannot be delivered then.
    pub fn write(&mut self, _piece: &[u8]) -> Result<(), Error> {
        todo!()
    }
    /// Octets so far.
    pub fn len(&self) -> u64 {
        todo!()
    }
    /// Whether nothing came yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How [`Transaction::flags`] changes flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "FLAGS, +FLAGS and -FLAGS of RFC 3501 section 6.4.6")]
pub enum FlagChange {
    Replace,
    Add,
    Remove,
}

/// Changes that become durable together, or not at all. They are applied in the order of the calls;
/// changes to a message that is gone by then change nothing.
pub struct Transaction {}

/// What a commit did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// For each [`Transaction::deliver`] and [`Transaction::copy`], in order: where it went.
    pub placed: Vec<(MailboxId, Uid)>,
    /// The MODSEQ of all its changes.
    pub modseq: u64,
}

impl Transaction {
    /// Puts a message into a mailbox. `keywords` are the flags that are not RFC 3501's five.
    /// `date` is its INTERNALDATE in seconds since 1970 UTC.
    pub fn deliver(
        &mut self,
        _mailbox: MailboxId,
        _message: Incoming,
        _flags: Flags,
        _keywords: &[&str],
        _date: i64,
    ) {
        todo!()
    }
    /// Copies a message, flags and INTERNALDATE and all, without writing its body again. Copying a
    /// message that is gone places nothing, and leaves no entry in [`Committed::placed`].
    pub fn copy(&mut self, _from: MailboxId, _uid: Uid, _to: MailboxId) {
        todo!()
    }
    /// Changes flags of messages; a Replace keeps nothing but what is named.
    pub fn flags(
        &mut self,
        _mailbox: MailboxId,
        _uids: &[Uid],
        _change: FlagChange,
        _flags: Flags,
        _keywords: &[&str],
    ) {
        todo!()
    }
    /// Removes messages for good.
    pub fn expunge(&mut self, _mailbox: MailboxId, _uids: &[Uid]) {
        todo!()
    }
    /// Creates a mailbox, and those above it that are missing. A trailing `/` is ignored.
    pub fn create_mailbox(&mut self, _name: &str) {
        todo!()
    }
    /// Renames a mailbox with all below it. Renaming the INBOX moves its messages to a new mailbox and
    /// leaves it empty (RFC 3501 section 6.3.5).
    pub fn rename_mailbox(&mut self, _from: &str, _to: &str) {
        todo!()
    }
    /// Deletes a mailbox with its messages; mailboxes below it stay (RFC 3501 section 6.3.4).
    pub fn delete_mailbox(&mut self, _name: &str) {
        todo!()
    }
    /// Subscribes to a name or ends that.
    pub fn subscribe(&mut self, _name: &str, _subscribed: bool) {
        todo!()
    }
    /// Attaches octets to a message, in the place of those attached before.
    pub fn note(&mut self, _mailbox: MailboxId, _uid: Uid, _note: Vec<u8>) {
        todo!()
    }
    /// As [`Transaction::note`], for the message of the latest [`Transaction::deliver`].
    pub fn note_delivered(&mut self, _note: Vec<u8>) {
        todo!()
    }
    /// Notes that `identity` was collected from `source` at `date`.
    pub fn collected(&mut self, _source: SourceKey, _identity: &[u8], _date: i64) {
        todo!()
    }
    /// Forgets identities of `source`.
    pub fn forget(&mut self, _source: SourceKey, _identities: &[IdentityHash]) {
        todo!()
    }
    /// Makes it so: returns when everything is durable and visible. Dropping the future before that
    /// leaves open whether it happens.
    ///
    /// # Errors
    /// Checked before anything is written: [`Error::NoSuchMailbox`], [`Error::MailboxExists`],
    /// [`Error::BadName`], [`Error::TooManyKeywords`], [`Error::Full`]. After [`Error::Failed`] and
    /// [`Error::Io`] it is unknown whether the changes survive.
    pub async fn commit(self) -> Result<Committed, Error> {
        todo!()
    }
}
