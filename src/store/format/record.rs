//! The records of the log: the changes of an account. Pure values in postcard form.
//!
//! Each variant carries a struct, so that a function for one kind of record says so in its type.

#![allow(missing_docs, reason = "fields have the names under which the store's other types document them")]

use serde::{Deserialize, Serialize};

use super::{FlagChange, IdentityHash, MailboxId, Place, Uid, UidRanges};

/// Ranges of UIDs, identities or bodies in one record at most. A change of more takes several records in one commit.
/// So no head comes near [`super::frame::HEAD_MAX`], and the work for one record is bounded.
pub const LIST_MAX: usize = 4096;

/// One change, as it is written in the log. Variants are only ever appended: their order is the format.
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

/// Closes a commit: the records before it were made together. Everything before `durable` was synced when this record
/// was written, so a bad frame before that place is damage and not a torn write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CommitRecord {
    pub durable: Place,
}

/// The octets of a message: the frame's body, or the file with the number `body` when `crc` is given. The summary is
/// not used: earlier versions wrote it here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BodyRecord {
    pub body: u32,
    pub size: u32,
    pub crc: Option<u32>,
    #[serde(with = "serde_bytes")]
    pub summary: Vec<u8>,
}

/// A message is added. Its Body record is in the same commit, or for a copy at `copy_of`.
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

/// Flags of messages change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlagsRecord {
    pub mailbox: MailboxId,
    pub uids: UidRanges,
    pub change: FlagChange,
    pub flags: u64,
    pub modseq: u64,
}

/// Messages are expunged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpungeRecord {
    pub mailbox: MailboxId,
    pub uids: UidRanges,
    pub modseq: u64,
}

/// A mailbox is created, empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MailboxCreatedRecord {
    pub mailbox: MailboxId,
    pub name: String,
    pub uid_validity: u32,
}

/// A mailbox is renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MailboxRenamedRecord {
    pub mailbox: MailboxId,
    pub name: String,
}

/// A mailbox is deleted with its messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MailboxDeletedRecord {
    pub mailbox: MailboxId,
}

/// The next bit of the mailbox's flags gets a name. This version reads this record, but only earlier versions wrote
/// it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeywordRecord {
    pub mailbox: MailboxId,
    pub name: String,
}

/// A name is subscribed or unsubscribed.
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

/// A note is attached to a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoteRecord {
    pub mailbox: MailboxId,
    pub uid: Uid,
    #[serde(with = "serde_bytes")]
    pub note: Vec<u8>,
}

/// An entry of the ledger: an identity was collected from a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CollectedRecord {
    pub source: u64,
    pub identity: IdentityHash,
    pub date: i64,
}

/// Identities are removed from the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForgottenRecord {
    pub source: u64,
    pub identities: Vec<IdentityHash>,
}

/// A mailbox gets this UIDVALIDITY, and at least this UIDNEXT and HIGHESTMODSEQ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumbersRecord {
    pub mailbox: MailboxId,
    pub uid_validity: u32,
    pub uid_next: Uid,
    pub highest_modseq: u64,
}

/// Written by compaction: the Body records of this commit replace earlier ones with the same numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MovedRecord {
    pub bodies: Vec<u32>,
}

/// The first record of a segment: where the segment before it ended. The end of that segment may be lost while this
/// segment is whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContinuedRecord {
    pub from: Place,
}

/// An annotation of a mailbox (RFC 5464), or of the account when `mailbox` is 0, gets a value or is removed (`None`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnnotationRecord {
    pub mailbox: MailboxId,
    pub entry: String,
    #[serde(with = "serde_bytes")]
    pub value: Option<Vec<u8>>,
}

/// A place among the mailbox's keywords gets a name. An empty name frees the place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeywordNamedRecord {
    pub mailbox: MailboxId,
    pub place: u8,
    pub name: String,
}

/// The save date (RFC 8514) of the messages that follow in this commit, in seconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SaveDateRecord {
    pub seconds: u32,
}

/// An entry of the ledger: a message was collected from a source, which lists it. The hash of its content identifies
/// the message again when the source lists it under another identity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CollectedMessageRecord {
    pub source: u64,
    pub identity: IdentityHash,
    pub date: i64,
    pub content: u64,
}

/// Notes in the ledger since when a source no longer lists these identities, in seconds since 1970 UTC; 0 notes that
/// it lists them again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnlistedRecord {
    pub source: u64,
    pub identities: Vec<IdentityHash>,
    pub since: u32,
}
