//! Changes as they are asked for, before numbers are given out.

use crate::store::format::record::BodyRecord;
use crate::store::format::{FlagChange, Flags, IdentityHash, MailboxId, SourceKey, Uid};

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
        uid: Uid,
        to: MailboxId,
    },
    Flags {
        mailbox: MailboxId,
        uids: Vec<Uid>,
        change: FlagChange,
        flags: Flags,
        keywords: Vec<String>,
    },
    /// Names keywords that no message has yet.
    NameKeywords {
        mailbox: MailboxId,
        keywords: Vec<String>,
    },
    Expunge {
        mailbox: MailboxId,
        uids: Vec<Uid>,
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
    /// What [`crate::store::Summarize`] made of it.
    pub summary: Vec<u8>,
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
    /// For each [`crate::store::Transaction::deliver`] and [`crate::store::Transaction::copy`], in order: where it went.
    pub placed: Vec<(MailboxId, Uid)>,
    /// The MODSEQ of all its changes.
    pub modseq: u64,
}

/// The hash under which the ledger knows `identity`.
pub fn identity_hash(identity: &[u8]) -> IdentityHash {
    let digest = ring::digest::digest(&ring::digest::SHA256, identity);
    let mut hash = IdentityHash::default();
    hash.copy_from_slice(&digest.as_ref()[..16]);
    hash
}
