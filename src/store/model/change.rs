//! Changes as they are asked for, before numbers are given out.

use crate::store::format::record::{BodyRecord, NoteRecord};
use crate::store::format::{
    FlagChange, Flags, IdentityHash, LastLine, MailboxId, Place, SourceKey, Uid, Uids,
};

/// One change, as it was asked for.
#[derive(Debug, Clone)]
pub enum Change {
    /// A message arrives: the next of those that the transaction brings.
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
        /// Not of those that have a larger MODSEQ, or will.
        unchanged_since: Option<u64>,
    },
    /// What was found out about how messages end.
    LastLines {
        mailbox: MailboxId,
        last_line: LastLine,
        uids: Uids,
    },
    /// Names keywords that no message has yet.
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
    /// Every mailbox skips so many UIDs and MODSEQs.
    SkipNumbers(u32),
    /// Every mailbox gets a new UIDVALIDITY, so many behind the next one.
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
    /// A source lists them no longer since then, in seconds since 1970, or again where that is 0.
    Unlisted {
        source: SourceKey,
        identities: Vec<IdentityHash>,
        since: u32,
    },
    Forget {
        source: SourceKey,
        identities: Vec<IdentityHash>,
    },
    /// Records of a segment that is to be removed are written anew.
    Relocate {
        /// Their octets come with the transaction, in this order.
        bodies: Vec<BodyRecord>,
        /// Head and body of those whose kinds this version does not know.
        unknown: Vec<(Vec<u8>, Vec<u8>)>,
        /// Notes, and where their records stand now. One that is no longer there has been replaced.
        notes: Vec<(NoteRecord, Place)>,
    },
}

impl Change {
    /// Whether it changes which mailboxes there are, or must know exactly what they have.
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

/// A message that a transaction brings.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Octets.
    pub size: u64,
    /// Number and checksum of the file that holds it; `None`: it goes into the log.
    pub file: Option<(u32, u32)>,
    /// Whether its last line has its line end.
    pub last_line: LastLine,
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

/// What a commit did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Committed {
    /// For each message that was delivered or copied, in order: where it went.
    pub placed: Placed,
    /// Messages whose flags stayed as they are, since they were changed meanwhile.
    pub modified: Uids,
    /// The MODSEQ of all its changes.
    pub modseq: u64,
}

/// Where messages went. Those that came into a mailbox one after the other take no more room than one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Placed(Vec<(MailboxId, Uid, Uid)>);

impl Placed {
    /// One more.
    pub fn push(&mut self, mailbox: MailboxId, uid: Uid) {
        match self.0.last_mut() {
            Some((into, _, last)) if *into == mailbox && last.checked_add(1) == Some(uid) => *last = uid,
            _ => self.0.push((mailbox, uid, uid)),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|(_, first, last)| (last - first) as usize + 1).sum()
    }

    /// The first one.
    pub fn first(&self) -> Option<(MailboxId, Uid)> {
        self.iter().next()
    }

    /// All of them, one by one.
    pub fn iter(&self) -> impl Iterator<Item = (MailboxId, Uid)> {
        self.0.iter().flat_map(|&(mailbox, first, last)| (first..=last).map(move |uid| (mailbox, uid)))
    }

    /// Their UIDs as inclusive ranges, in order.
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
