//! Changes as they are asked for, before numbers are given out.

use crate::store::format::record::{BodyRecord, NoteRecord};
use crate::store::format::{
    FlagChange, Flags, IdentityHash, LastLine, MailboxId, Place, SourceKey, Uid, Uids,
};

/// One change, as it was asked for.
#[derive(Debug, Clone)]
pub enum Change {
    /// Delivers a message: the next of the transaction's messages.
    Deliver {
        mailbox: MailboxId,
        flags: Flags,
        keywords: Vec<String>,
        date: i64,
        note: Option<Vec<u8>>,
        numbers: Option<MessageNumbers>,
    },
    Copy {
        from: MailboxId,
        uids: Uids,
        to: MailboxId,
    },
    Flags {
        mailbox: MailboxId,
        uids: Uids,
        change: FlagChange,
        flags: Flags,
        keywords: Vec<String>,
        /// Messages with a larger MODSEQ, or that will have one by staged commits, are left out.
        unchanged_since: Option<u64>,
    },
    /// Notes how messages end, which was found out by reading them.
    LastLines {
        mailbox: MailboxId,
        last_line: LastLine,
        uids: Uids,
    },
    /// Gives the mailbox keywords that no message has yet.
    NameKeywords {
        mailbox: MailboxId,
        keywords: Vec<String>,
    },
    Expunge {
        mailbox: MailboxId,
        uids: Uids,
    },
    Restore {
        mailbox: MailboxId,
        numbers: MailboxNumbers,
    },
    /// Makes every mailbox skip so many UIDs and MODSEQs.
    SkipNumbers(u32),
    /// Gives every mailbox a new UIDVALIDITY; the new ones begin so many after the next one.
    RenewUidValidities(u32),
    CreateMailbox(String),
    RenameMailbox {
        from: String,
        to: String,
    },
    DeleteMailbox(String),
    Subscribe {
        name: String,
        subscribed: bool,
    },
    Note {
        mailbox: MailboxId,
        uid: Uid,
        note: Vec<u8>,
    },
    Annotate {
        mailbox: String,
        entry: String,
        value: Option<Vec<u8>>,
    },
    Collected {
        source: SourceKey,
        identity: IdentityHash,
        date: i64,
        /// A hash of the message's content.
        content: Option<u64>,
    },
    /// Notes since when a source no longer lists these identities, in seconds since 1970; 0 notes that it lists them
    /// again.
    Unlisted {
        source: SourceKey,
        identities: Vec<IdentityHash>,
        since: u32,
    },
    Forget {
        source: SourceKey,
        identities: Vec<IdentityHash>,
    },
    /// Writes records of a segment that is to be removed anew.
    Relocate {
        /// Body records. Their octets come with the transaction, in this order.
        bodies: Vec<BodyRecord>,
        /// Head and body of each record whose kind this version does not know.
        unknown: Vec<(Vec<u8>, Vec<u8>)>,
        /// Note records, and the places where they are now. A note that is no longer at its place has been replaced.
        notes: Vec<(NoteRecord, Place)>,
    },
}

impl Change {
    /// Whether the change creates, renames or deletes mailboxes, or needs to know exactly what they hold.
    pub fn is_structural(&self) -> bool {
        matches!(
            self,
            Change::CreateMailbox(_)
                | Change::RenameMailbox { .. }
                | Change::DeleteMailbox(_)
                | Change::Annotate { .. }
                | Change::SkipNumbers(_)
                | Change::RenewUidValidities(_)
        )
    }
}

/// A message that a transaction delivers.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The message's size in octets.
    pub size: u64,
    /// Number and checksum of the file that holds the message; `None` when it goes into the log.
    pub file: Option<(u32, u32)>,
    /// How the message ends.
    pub last_line: LastLine,
}

/// The numbers that a mailbox keeps when it moves to another account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxNumbers {
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: Uid,
    /// HIGHESTMODSEQ.
    pub highest_modseq: u64,
}

/// The numbers that a message keeps when it moves to another account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageNumbers {
    /// The UIDVALIDITY to which the UID belongs.
    pub uid_validity: u32,
    /// The UID.
    pub uid: Uid,
    /// The MODSEQ; `None` for that of the commit.
    pub modseq: Option<u64>,
}

/// What a commit has done.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The mailbox and the UID of each message that was delivered or copied, in order.
    pub placed: Placed,
    /// Messages whose flags were not changed, because they had been changed meanwhile.
    pub modified: Uids,
    /// The MODSEQ of all changes of the commit.
    pub modseq: u64,
}

/// The mailboxes and UIDs that messages got. Messages that came into a mailbox one after the other take no more
/// memory than one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Placed(Vec<(MailboxId, Uid, Uid)>);

impl Placed {
    /// Adds a message.
    pub fn push(&mut self, mailbox: MailboxId, uid: Uid) {
        match self.0.last_mut() {
            Some((into, _, last)) if *into == mailbox && last.checked_add(1) == Some(uid) => *last = uid,
            _ => self.0.push((mailbox, uid, uid)),
        }
    }

    /// Whether no message was placed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of messages.
    pub fn len(&self) -> usize {
        self.0.iter().map(|(_, first, last)| (last - first) as usize + 1).sum()
    }

    /// The first message.
    pub fn first(&self) -> Option<(MailboxId, Uid)> {
        self.iter().next()
    }

    /// All messages, one by one.
    pub fn iter(&self) -> impl Iterator<Item = (MailboxId, Uid)> {
        self.0.iter().flat_map(|&(mailbox, first, last)| (first..=last).map(move |uid| (mailbox, uid)))
    }

    /// The UIDs as inclusive ranges, in order.
    pub fn ranges(&self) -> impl Iterator<Item = (Uid, Uid)> {
        self.0.iter().map(|&(_, first, last)| (first, last))
    }
}

/// The hash under which the ledger knows `identity`.
#[expect(clippy::indexing_slicing, reason = "a digest of SHA-256 has 32 octets")]
pub fn identity_hash(identity: &[u8]) -> IdentityHash {
    let digest = ring::digest::digest(&ring::digest::SHA256, identity);
    let mut hash = IdentityHash::default();
    hash.copy_from_slice(&digest.as_ref()[..16]);
    hash
}
