//! The arguments about mod-sequences in commands (RFC 7162), as plain data.

use super::command::{Command, FetchItem, SearchKey, StatusItem};
use super::sequence::SequenceSet;
use std::ops::RangeInclusive;

/// The largest mod-sequence (RFC 7162 section 3.1): 63 bits.
pub const MODSEQ_MAX: u64 = i64::MAX as u64;

/// The `select-param`s.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SelectParams {
    /// Whether CONDSTORE was given (RFC 7162 section 3.1.8).
    pub condstore: bool,
    /// The arguments of QRESYNC (RFC 7162 section 3.2.5).
    pub qresync: Option<Box<Resync>>,
}

/// What a client knows of a mailbox that it had selected before.
#[derive(Debug, PartialEq, Eq)]
pub struct Resync {
    /// The UIDVALIDITY that the client knows. The other fields count only when the mailbox still has it.
    pub uid_validity: u32,
    /// The MODSEQ up to which the client was told of all changes.
    pub modseq: u64,
    /// The UIDs that the client knows, without `*`; `None` for all.
    pub known: Option<SequenceSet>,
    /// Some sequence numbers, and as many UIDs that the messages with these numbers had; both ascend.
    pub matches: (Vec<RangeInclusive<u32>>, Vec<RangeInclusive<u32>>),
}

/// The modifiers of a FETCH (RFC 7162 sections 3.1.4.1 and 3.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedSince {
    /// Only messages with a larger MODSEQ are returned.
    pub modseq: u64,
    /// Whether the expunged UIDs since that MODSEQ are returned as well. Only in UID FETCH.
    pub vanished: bool,
}

impl SearchKey {
    /// Whether MODSEQ is among the keys, so that the response contains one, too.
    pub fn names_modseq(&self) -> bool {
        self.has(|key| matches!(key, SearchKey::Modseq(_)))
    }

    /// Whether sequence numbers are among the keys. Then no message may vanish during the search (RFC 7162 section
    /// 3.2.10.2).
    pub fn names_numbers(&self) -> bool {
        self.has(|key| matches!(key, SearchKey::Sequence(_)))
    }
}

impl Command {
    /// Whether the command shows that the client supports mod-sequences (RFC 7162 section 3.1). ENABLE is handled
    /// elsewhere.
    pub fn enables_condstore(&self) -> bool {
        match self {
            Command::Select(_, params) | Command::Examine(_, params) => {
                params.condstore || params.qresync.is_some()
            }
            Command::Status { items, .. } => items.contains(&StatusItem::HighestModseq),
            // CHANGEDSINCE has added MODSEQ to the items.
            Command::Fetch { items, .. } => items.contains(&FetchItem::Modseq),
            Command::Store { args, .. } => args.unchanged_since.is_some(),
            Command::Notify(Some(set)) => set.selected.fetch.contains(&FetchItem::Modseq),
            Command::Search(args) => args.key.names_modseq() || args.shows_modseq(),
            Command::Sort(args) => args.search.key.names_modseq(),
            Command::Thread { key, .. } => key.names_modseq(),
            _ => false,
        }
    }
}
