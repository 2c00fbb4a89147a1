//! The records of the log: what changes an account. Pure values in postcard form.
//!
//! Each variant carries a struct, so that what takes one kind of record says so in its type.

#![allow(missing_docs, reason = "fields have the names under which the store's other types document them")]

use serde::{Deserialize, Serialize};

use super::{FlagChange, IdentityHash, MailboxId, Place, Uid, UidRanges};

/// UIDs' ranges, identities or bodies of one record at most: a change of more takes several records, in one commit. So
/// that no head comes near [`super::frame::HEAD_MAX`], and what one record asks for is bounded.
pub const LIST_MAX: usize = 4096;

/// One change, as the log keeps it. Variants are only ever appended: their order is the format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    Commit(CommitRecord),
    Body(BodyRecord),
    Message(MessageRecord),
    Flags(FlagsRecord),
    Expunge(ExpungeRecord),
    MailboxCreated(MailboxCreatedRecord),
    MailboxRenamed(MailboxRenamedRecord),
    MailboxDeleted(MailboxDeletedRecord),
    Keyword(KeywordRecord),
    Subscribed(SubscribedRecord),
    Recent(RecentRecord),
    Note(NoteRecord),
    Collected(CollectedRecord),
    Forgotten(ForgottenRecord),
    Numbers(NumbersRecord),
    Moved(MovedRecord),
    Continued(ContinuedRecord),
    Annotation(AnnotationRecord),
    KeywordNamed(KeywordNamedRecord),
    SaveDate(SaveDateRecord),
    CollectedMessage(CollectedMessageRecord),
    Unlisted(UnlistedRecord),
}

/// Closes the records before it: together they happened. Everything before `durable` was synced
/// when this was written, so a bad frame before that place is damage, not a torn write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CommitRecord {
    pub durable: Place,
}

/// The octets of a message: the frame's body, or the file named by `body` when `crc` is given. The summary is only
/// skipped: earlier versions wrote it here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BodyRecord {
    pub body: u32,
    pub size: u32,
    pub crc: Option<u32>,
    #[serde(with = "serde_bytes")]
    pub summary: Vec<u8>,
}

/// A message appears. Its body stands in the same commit, or at `copy_of` for a copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageRecord {
    pub mailbox: MailboxId,
    pub uid: Uid,
    pub body: u32,
    pub size: u32,
    pub copy_of: Option<Place>,
    pub date: i64,
    pub flags: u64,
    pub modseq: u64,
}

/// Flags change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlagsRecord {
    pub mailbox: MailboxId,
    pub uids: UidRanges,
    pub change: FlagChange,
    pub flags: u64,
    pub modseq: u64,
}

/// Messages disappear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpungeRecord {
    pub mailbox: MailboxId,
    pub uids: UidRanges,
    pub modseq: u64,
}

/// A mailbox appears, empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MailboxCreatedRecord {
    pub mailbox: MailboxId,
    pub name: String,
    pub uid_validity: u32,
}

/// A mailbox takes another name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MailboxRenamedRecord {
    pub mailbox: MailboxId,
    pub name: String,
}

/// A mailbox disappears with its messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MailboxDeletedRecord {
    pub mailbox: MailboxId,
}

/// The next bit of the mailbox's flags gets a name. Only read: earlier versions wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeywordRecord {
    pub mailbox: MailboxId,
    pub name: String,
}

/// A name is subscribed, or no longer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubscribedRecord {
    pub name: String,
    pub subscribed: bool,
}

/// Messages before this UID are no longer `\Recent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecentRecord {
    pub mailbox: MailboxId,
    pub from: Uid,
}

/// Octets attached to a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoteRecord {
    pub mailbox: MailboxId,
    pub uid: Uid,
    #[serde(with = "serde_bytes")]
    pub note: Vec<u8>,
}

/// The ledger: an identity was collected from a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CollectedRecord {
    pub source: u64,
    pub identity: IdentityHash,
    pub date: i64,
}

/// The ledger forgets identities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForgottenRecord {
    pub source: u64,
    pub identities: Vec<IdentityHash>,
}

/// A mailbox takes a UIDVALIDITY, and at least these two numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumbersRecord {
    pub mailbox: MailboxId,
    pub uid_validity: u32,
    pub uid_next: Uid,
    pub highest_modseq: u64,
}

/// Compaction: the Body records of this commit take the places of earlier ones with the same numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MovedRecord {
    pub bodies: Vec<u32>,
}

/// The first record of a segment: where the one before it ended. What was written there last may be
/// lost while this segment is whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContinuedRecord {
    pub from: Place,
}

/// An annotation of a mailbox (RFC 5464), or of the account where there is no such mailbox as 0; without a
/// value it is no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnnotationRecord {
    pub mailbox: MailboxId,
    pub entry: String,
    #[serde(with = "serde_bytes")]
    pub value: Option<Vec<u8>>,
}

/// A place among the mailbox's keywords gets a name, or becomes free by an empty one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeywordNamedRecord {
    pub mailbox: MailboxId,
    pub place: u8,
    pub name: String,
}

/// When the messages of this commit that follow come into their mailboxes (RFC 8514), in seconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SaveDateRecord {
    pub seconds: u32,
}

/// The ledger: a message was collected from a source, which lists it. By a hash of its content it is known again when the
/// source lists it under another identity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CollectedMessageRecord {
    pub source: u64,
    pub identity: IdentityHash,
    pub date: i64,
    pub content: u64,
}

/// The ledger: a source lists these identities no longer since then, in seconds since 1970 UTC, or again where that is 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnlistedRecord {
    pub source: u64,
    pub identities: Vec<IdentityHash>,
    pub since: u32,
}
