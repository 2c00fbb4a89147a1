//! The records of the log: what changes an account. Pure values in postcard form.

#![allow(missing_docs, reason = "fields have the names under which the store's other types document them")]

use serde::{Deserialize, Serialize};

use super::{FlagChange, IdentityHash, MailboxId, Uid};

/// Where a frame begins: a segment and an offset in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub segment: u32,
    pub offset: u32,
}

/// Ascending UIDs as inclusive ranges.
pub type UidRanges = Vec<(Uid, Uid)>;

/// One change, as the log keeps it. Variants are only ever appended: their order is the format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// Closes the records before it: together they happened. Everything before `durable` was synced
    /// when this was written, so a bad frame before that place is damage, not a torn write.
    Commit { durable: Place },
    /// The octets of a message: the frame's body, or the file named by `body` when `crc` is given.
    Body {
        body: u32,
        size: u32,
        crc: Option<u32>,
        #[serde(with = "serde_bytes")]
        summary: Vec<u8>,
    },
    /// A message appears. Its body stands in the same commit, or at `copy_of` for a copy.
    Message {
        mailbox: MailboxId,
        uid: Uid,
        body: u32,
        size: u32,
        copy_of: Option<Place>,
        date: i64,
        flags: u64,
        modseq: u64,
    },
    /// Flags change.
    Flags { mailbox: MailboxId, uids: UidRanges, change: FlagChange, flags: u64, modseq: u64 },
    /// Messages disappear.
    Expunge { mailbox: MailboxId, uids: UidRanges, modseq: u64 },
    /// A mailbox appears, empty.
    MailboxCreated { mailbox: MailboxId, name: String, uid_validity: u32 },
    /// A mailbox takes another name.
    MailboxRenamed { mailbox: MailboxId, name: String },
    /// A mailbox disappears with its messages.
    MailboxDeleted { mailbox: MailboxId },
    /// The next bit of the mailbox's flags gets a name.
    Keyword { mailbox: MailboxId, name: String },
    /// A name is subscribed, or no longer.
    Subscribed { name: String, subscribed: bool },
    /// Messages before this UID are no longer `\Recent`.
    Recent { mailbox: MailboxId, from: Uid },
    /// Octets attached to a message.
    Note {
        mailbox: MailboxId,
        uid: Uid,
        #[serde(with = "serde_bytes")]
        note: Vec<u8>,
    },
    /// The ledger: an identity was collected from a source.
    Collected { source: u64, identity: IdentityHash, date: i64 },
    /// The ledger forgets identities.
    Forgotten { source: u64, identities: Vec<IdentityHash> },
    /// A mailbox takes a UIDVALIDITY, and at least these two numbers.
    Numbers { mailbox: MailboxId, uid_validity: u32, uid_next: Uid, highest_modseq: u64 },
    /// Compaction: the Body records of this commit take the places of earlier ones with the same numbers.
    Moved { bodies: Vec<u32> },
    /// The first record of a segment: where the one before it ended. What was written there last may be
    /// lost while this segment is whole.
    Continued { from: Place },
    /// An annotation of a mailbox (RFC 5464), or of the account where there is no such mailbox as 0; without a
    /// value it is no more.
    Annotation {
        mailbox: MailboxId,
        entry: String,
        #[serde(with = "serde_bytes")]
        value: Option<Vec<u8>>,
    },
}

/// UIDs in any order as ascending ranges.
pub fn ranges(uids: &[Uid]) -> UidRanges {
    let mut sorted = uids.to_vec();
    sorted.sort_unstable();
    let mut ranges: UidRanges = Vec::new();
    for uid in sorted {
        match ranges.last_mut() {
            Some((_, last)) if uid <= last.saturating_add(1) => *last = uid,
            _ => ranges.push((uid, uid)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_become_ranges() {
        assert_eq!(ranges(&[5, 1, 2, 3, 9, 2]), [(1, 3), (5, 5), (9, 9)]);
        assert_eq!(ranges(&[]), []);
        assert_eq!(ranges(&[u32::MAX, u32::MAX - 1]), [(u32::MAX - 1, u32::MAX)]);
    }
}
