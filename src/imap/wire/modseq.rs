//! What a client says about mod-sequences (RFC 7162), as plain data.

use super::command::{Command, FetchItem, SearchKey, StatusItem};
use super::sequence::SequenceSet;
use std::ops::RangeInclusive;

/// The largest one (RFC 7162 section 3.1): 63 bits.
pub const MODSEQ_MAX: u64 = i64::MAX as u64;

/// `select-param`s.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SelectParams {
    /// RFC 7162 section 3.1.8.
    pub condstore: bool,
    /// RFC 7162 section 3.2.5.
    pub qresync: Option<Box<Resync>>,
}

/// What a client knows of a mailbox that it had selected before.
#[derive(Debug, PartialEq, Eq)]
pub struct Resync {
    /// UIDVALIDITY; what follows counts only where it still is.
    pub uid_validity: u32,
    /// It has heard of all changes up to this one.
    pub modseq: u64,
    /// UIDs, without `*`; `None`: all.
    pub known: Option<SequenceSet>,
    /// Some sequence numbers, and as many UIDs that these had; both ascend.
    pub matches: (Vec<RangeInclusive<u32>>, Vec<RangeInclusive<u32>>),
}

/// The modifiers of a FETCH (RFC 7162 sections 3.1.4.1 and 3.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedSince {
    /// Only messages with a larger MODSEQ.
    pub modseq: u64,
    /// And which of the UIDs were expunged since then. Only in UID FETCH.
    pub vanished: bool,
}

impl SearchKey {
    /// Whether MODSEQ is among the keys, so that the answer has one, too.
    pub fn names_modseq(&self) -> bool {
        self.has(|key| matches!(key, SearchKey::Modseq(_)))
    }

    /// Whether sequence numbers are among the keys: no message may vanish then (RFC 7162 section 3.2.10.2).
    pub fn names_numbers(&self) -> bool {
        self.has(|key| matches!(key, SearchKey::Sequence(_)))
    }
}

impl Command {
    /// Whether it tells that the client knows of mod-sequences (RFC 7162 section 3.1). ENABLE does so by itself.
    pub fn enables_condstore(&self) -> bool {
        match self {
            Command::Select(_, params) | Command::Examine(_, params) => {
                params.condstore || params.qresync.is_some()
            }
            Command::Status { items, .. } => items.contains(&StatusItem::HighestModseq),
            // CHANGEDSINCE has added it.
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
