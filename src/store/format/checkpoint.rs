//! The parts of a checkpoint, each the head of a frame. Pure values in postcard form.

#![allow(missing_docs, reason = "fields have the names under which the store's other types document them")]

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{IdentityHash, MailboxId, Message, Place, Uid};

/// The version of the format, in [`Part::Begin`].
pub const VERSION: u32 = 1;
/// Octets that a message takes in a part at least.
pub const LEAST: u64 = 8;

/// A part of a checkpoint. Variants are only ever appended: their order is the format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Part {
    /// The first part: the format's version, the place from which the log is to be replayed, and the last numbers
    /// given out.
    Begin {
        version: u32,
        from: Place,
        last: Counters,
    },
    Mailbox(MailboxPart),
    /// Messages of the mailbox of the latest `Mailbox` part.
    Messages(Vec<Message>),
    Subscriptions(Vec<String>),
    Note(MailboxId, Uid, ByteBuf),
    Ledger(Vec<Entry>),
    /// The last part: how many parts came before it.
    End {
        parts: u32,
    },
    Annotation(MailboxId, String, ByteBuf),
    /// When messages came into this mailbox, in seconds since 1970 UTC, by ascending UIDs. Messages for which this is
    /// unknown are left out. An earlier version passes this part on as it is.
    SaveDates(MailboxId, Vec<(Uid, u32)>),
    /// Details of earlier entries of the ledger: of entries whose content is known, or that are no longer listed.
    LedgerDetails(Vec<Detail>),
    /// The places of the Note records of messages of this mailbox, by ascending UIDs. An earlier version does not
    /// know this part, and loses these notes.
    NotePlaces(MailboxId, Vec<(Uid, Place)>),
}

/// A mailbox. `messages` is about how many messages follow in later parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MailboxPart {
    pub id: MailboxId,
    pub name: String,
    pub uid_validity: u32,
    pub uid_next: Uid,
    pub highest_modseq: u64,
    pub recent_from: Uid,
    pub keywords: Vec<String>,
    pub messages: u32,
}

/// The last numbers given out. These only ascend.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub mailbox: u32,
    pub body: u32,
    pub modseq: u64,
    pub uid_validity: u32,
}

/// An entry of the ledger: source, identity, and when it was collected in seconds since 1970.
pub type Entry = (u64, IdentityHash, i64);

/// Details of an entry of the ledger: source, identity, hash of the content, and since when the source no longer
/// lists it, in seconds since 1970.
pub type Detail = (u64, IdentityHash, u64, u32);
