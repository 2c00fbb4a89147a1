//! The parts of a checkpoint, each the head of a frame. Pure values in postcard form.

#![allow(missing_docs, reason = "fields have the names under which the store's other types document them")]

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{IdentityHash, MailboxId, Message, Place, Uid};

/// The version of the format, in [`Part::Begin`].
pub const VERSION: u32 = 1;
/// No message takes fewer octets in a part.
pub const LEAST: u64 = 8;

/// What a checkpoint is made of. Variants are only ever appended: their order is the format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Part {
    /// The first one. The log is to be replayed from this place on.
    Begin {
        version: u32,
        from: Place,
        last: Counters,
    },
    Mailbox(MailboxPart),
    /// Messages of the mailbox before.
    Messages(Vec<Message>),
    Subscriptions(Vec<String>),
    Note(MailboxId, Uid, ByteBuf),
    Ledger(Vec<Entry>),
    /// The last one: how many came before it.
    End {
        parts: u32,
    },
    Annotation(MailboxId, String, ByteBuf),
    /// When messages came into this mailbox, in seconds since 1970 UTC, by ascending UIDs; those of which nobody knows it are
    /// left out. An earlier version hands it on as it is.
    SaveDates(MailboxId, Vec<(Uid, u32)>),
    /// More of entries of the ledger before it: of those whose content is known, or that are listed no longer.
    LedgerDetails(Vec<Detail>),
    /// Where in the log the Note records of messages of this mailbox stand, by ascending UIDs. An earlier version does not
    /// know them, and what these notes say is lost to it.
    NotePlaces(MailboxId, Vec<(Uid, Place)>),
}

/// A mailbox, with about so many messages, which follow.
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

/// Numbers that only ascend: the last ones given out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub mailbox: u32,
    pub body: u32,
    pub modseq: u64,
    pub uid_validity: u32,
}

/// An entry of the ledger: source, identity, when it was collected in seconds since 1970.
pub type Entry = (u64, IdentityHash, i64);

/// More of an entry of the ledger: source, identity, hash of the content, since when it is listed no longer in seconds since 1970.
pub type Detail = (u64, IdentityHash, u64, u32);
