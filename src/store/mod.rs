//! The mail store: one append-only log of records an account, and a folder of large bodies.
//!
//! The promises: what a [`Transaction::commit`] acknowledged survives any power cut, what it did not
//! is whole or absent; one sync a commit, and commits that arrive during a sync share the next one;
//! UIDs, UIDVALIDITY and MODSEQ only ascend. `docs/store.md` gives every byte.
//!
//! Nothing is visible before it is durable: the index in memory changes when a commit's sync is done.

mod account;
mod annotation;
mod body;
mod checkpoint;
mod commit;
mod compact;
mod frame;
mod fsck;
mod index;
mod log;
pub mod mailbox_name;
mod open;
pub mod record;
mod stage;
#[cfg(test)]
mod torture;
mod transaction;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

pub use account::Account;
pub use annotation::{ANNOTATION_MAX, ANNOTATIONS_MAX, ENTRY_MAX};
pub use body::{Body, Incoming};
pub use fsck::Report;
pub use transaction::{Committed, Transaction};

use crate::flash::Flash;
use record::Place;

/// A mailbox's number within its account; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MailboxId(pub u32);

/// The INBOX, which every account has.
pub const INBOX: MailboxId = MailboxId(1);

/// Annotations that belong to no mailbox but to the account (RFC 5464 section 3: those of the server) are kept under this.
pub const NO_MAILBOX: MailboxId = MailboxId(0);

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
    #[error("the mailbox has too many annotations")]
    TooManyAnnotations,
    #[error("the annotation is too long")]
    AnnotationTooLong,
    #[error("the flash is full")]
    Full,
    #[error("the account's quota is used up")]
    OverQuota,
    /// Mounted read-only, or the medium takes nothing any more: see [`Store::read_only`].
    #[error("the flash takes no changes")]
    ReadOnly,
    /// Found by a checksum; `fsck` says more.
    #[error("damaged on flash: {0}")]
    Damaged(String),
    /// A sync failed: nothing written since is durable. The account is read anew at its next use.
    #[error("the flash failed, the account is closed: {0}")]
    Failed(String),
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
}

impl Error {
    fn io(path: &str, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
            _ => Error::Io { path: path.to_owned(), source },
        }
    }
}

/// The name under which the queue is open: no account can have it.
const QUEUE: &str = "/queue";

/// From which sizes on the store does what it does.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// A segment of the log that has so many octets is closed.
    segment: u32,
    /// So many dead octets are worth compacting.
    dead: u64,
    /// So many records behind a checkpoint are worth another one.
    records: u64,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes { segment: 4 * 1024 * 1024, dead: 256 * 1024, records: 2000 }
    }
}

/// All accounts' mail on one flash.
pub struct Store {
    flash: Rc<dyn Flash>,
    summarize: Summarize,
    sizes: Sizes,
    open: RefCell<BTreeMap<String, Rc<Account>>>,
    /// Held while an account is opened, so that nobody opens it twice.
    opening: smol::lock::Mutex<()>,
    /// Where the durable log of an account ended whose sync failed: what is read behind that place
    /// may never have reached the medium.
    failed: RefCell<BTreeMap<String, Place>>,
    quotas: RefCell<BTreeMap<String, u64>>,
}

impl Store {
    /// The store of the data folder `flash`; opens nothing yet.
    pub fn new(flash: Rc<dyn Flash>, summarize: Summarize) -> Store {
        Store {
            flash,
            summarize,
            sizes: Sizes::default(),
            open: RefCell::default(),
            opening: smol::lock::Mutex::new(()),
            failed: RefCell::default(),
            quotas: RefCell::default(),
        }
    }

    /// The mail of the account `name`, opened (and created) when it is not in memory; every caller
    /// gets the same one.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Full`].
    pub async fn account(&self, name: &str) -> Result<Rc<Account>, Error> {
        self.open_at(name, format!("accounts/{name}"), false).await
    }

    /// The relay's queue: an account of its own in `queue/`, with messages and their notes.
    ///
    /// # Errors
    /// As [`Store::account`].
    pub async fn queue(&self) -> Result<Rc<Account>, Error> {
        self.open_at(QUEUE, "queue".to_owned(), false).await
    }

    async fn open_at(&self, name: &str, dir: String, salvage: bool) -> Result<Rc<Account>, Error> {
        if let Some(account) = self.in_memory(name) {
            return Ok(account);
        }
        let _opening = self.opening.lock().await;
        if let Some(account) = self.in_memory(name) {
            return Ok(account);
        }
        let limit = self.failed.borrow().get(name).copied();
        let account =
            open::open(self.flash.clone(), self.summarize, self.sizes, name, dir, limit, salvage).await?;
        self.failed.borrow_mut().remove(name);
        account.set_quota(self.quotas.borrow().get(name).copied());
        self.open.borrow_mut().insert(name.to_owned(), account.clone());
        Ok(account)
    }

    /// The account in `dir`, also where its beginning is lost.
    async fn open_for_repair(&self, dir: &str) -> Result<Rc<Account>, Error> {
        let name = dir.strip_prefix("accounts/").unwrap_or(QUEUE);
        self.open_at(name, dir.to_owned(), true).await
    }

    fn in_memory(&self, name: &str) -> Option<Rc<Account>> {
        let mut open = self.open.borrow_mut();
        let account = open.get(name)?.clone();
        if let Some(durable) = account.failed_at() {
            self.failed.borrow_mut().insert(name.to_owned(), durable);
            open.remove(name);
            return None;
        }
        account.mark_used();
        Some(account)
    }

    /// Limits the octets that accounts may hold, by name; an account that is not named has no limit.
    pub fn set_quotas(&self, quotas: BTreeMap<String, u64>) {
        for (name, account) in self.open.borrow().iter() {
            account.set_quota(quotas.get(name).copied());
        }
        *self.quotas.borrow_mut() = quotas;
    }

    /// Looks after the accounts in memory: writes checkpoints and compacts, in small pieces between which
    /// others get their turn.
    pub async fn maintain(&self) {
        let accounts: Vec<_> = self.open.borrow().values().cloned().collect();
        for account in accounts {
            let hurry = self.flash.space().is_ok_and(|space| space.is_low());
            if let Err(error) = account.maintain(hurry).await {
                ::log::warn!("{}: not looked after: {error}", account.name());
            }
        }
    }

    /// Closes the accounts that nobody has used since the last call: they cost no memory then.
    pub fn close_unused(&self) {
        self.open.borrow_mut().retain(|_, account| {
            let used = Rc::strong_count(account) > 1 || account.take_used();
            if !used {
                account.mark_end();
            }
            used
        });
    }

    /// To be called before the process ends: what it has written last can be told from a torn write then.
    pub fn mark_end(&self) {
        self.open.borrow().values().for_each(|account| account.mark_end());
    }

    /// Why no change is taken; `None` when all is well.
    pub fn read_only(&self) -> Option<String> {
        self.flash.is_read_only().then(|| crate::flash::READ_ONLY.to_owned())
    }

    /// The names of the accounts in memory, the queue left out.
    pub fn open_accounts(&self) -> Vec<String> {
        self.open.borrow().keys().filter(|name| !name.starts_with('/')).cloned().collect()
    }
}

/// Flags of a message: five of RFC 3501's and up to 56 keywords, each a bit that the mailbox names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Those of RFC 3501, the keywords left out.
    pub fn system(self) -> Flags {
        Flags(self.0 & 0x1f)
    }
    /// Places in [`Mailbox::keywords`] of the keywords that are set.
    pub fn keywords(self) -> impl Iterator<Item = usize> {
        (0..56).filter(move |&i| self.contains(Flags::keyword(i)))
    }
}

/// A message in the index: 44 bytes, so that a mailbox with room to grow takes no more than 48 a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(Rust, packed(4))]
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

impl Message {
    /// The body record's place.
    pub(crate) fn place(&self) -> Place {
        Place { segment: self.segment, offset: self.offset }
    }

    /// Octets of it that stand in the body record.
    fn inline_octets(&self) -> usize {
        if in_file(self.size) { 0 } else { self.size as usize }
    }
}

/// A mailbox as it is now; messages in ascending order of UID.
#[derive(Debug, Clone, PartialEq)]
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

/// Whether a message of this size has its body in a file of its own.
fn in_file(size: u32) -> bool {
    size as usize > frame::INLINE_MAX
}

impl Mailbox {
    fn empty(id: MailboxId, name: String, uid_validity: u32) -> Mailbox {
        Mailbox {
            id,
            name,
            uid_validity,
            uid_next: 1,
            highest_modseq: 1,
            recent_from: 1,
            keywords: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// The message with this UID.
    pub fn message(&self, uid: Uid) -> Option<&Message> {
        // UIDs ascend, so that none lies further from the first one than its UID does; nearly always it lies just there.
        let first = self.messages.first()?.uid;
        let furthest = usize::try_from(uid.checked_sub(first)?).unwrap_or(usize::MAX);
        if let Some(message) = self.messages.get(furthest).filter(|message| message.uid == uid) {
            return Some(message);
        }
        let near = &self.messages[..self.messages.len().min(furthest)];
        near.get(near.binary_search_by_key(&uid, |m| m.uid).ok()?)
    }
}

/// The numbers of a mailbox that stay when it moves to another account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxNumbers {
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: Uid,
    /// HIGHESTMODSEQ.
    pub highest_modseq: u64,
}

/// The numbers of a message that stay when it moves to another account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageNumbers {
    /// The UIDVALIDITY under which they count.
    pub uid_validity: u32,
    /// UID.
    pub uid: Uid,
    /// MODSEQ; `None`: that of the commit.
    pub modseq: Option<u64>,
}

/// What an account holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Messages in all mailboxes, copies counted.
    pub messages: u64,
    /// Octets of them.
    pub octets: u64,
}

/// Names where messages come from, for the ledger of what was collected: a hash that the caller makes
/// of whatever identifies the source for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey(pub u64);

/// The first 16 octets of the SHA-256 of an identity.
pub type IdentityHash = [u8; 16];

/// The hash under which the ledger knows `identity`.
pub fn identity_hash(identity: &[u8]) -> IdentityHash {
    let digest = ring::digest::digest(&ring::digest::SHA256, identity);
    let mut hash = IdentityHash::default();
    hash.copy_from_slice(&digest.as_ref()[..16]);
    hash
}

/// How [`Transaction::flags`] changes flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "FLAGS, +FLAGS and -FLAGS of RFC 3501 section 6.4.6")]
pub enum FlagChange {
    Replace,
    Add,
    Remove,
}
