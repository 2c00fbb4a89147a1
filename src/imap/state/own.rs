//! What a client already knows of the changes that its own STORE has made, and what it must be told of a message.

use std::ops::RangeInclusive;

use crate::store::{Flags, Message, Uid, Uids};

/// What the client already knows, or must be told, of the change that its own command has made.
#[derive(Debug, Default)]
pub enum OwnChange {
    /// The command has made no change.
    #[default]
    Nothing,
    /// STORE: the flags of these messages are its response, whether or not they have changed. Sequence numbers,
    /// ascending.
    Report(Vec<RangeInclusive<u32>>),
    /// STORE with `.SILENT`.
    Silent(Silent),
}

/// What the client expects of a STORE with `.SILENT`.
#[derive(Debug, Default)]
pub struct Silent {
    /// The sequence numbers of the command's messages, ascending.
    pub messages: Vec<RangeInclusive<u32>>,
    /// The flags that the client takes messages to have now, and need not be told; ascending by UID.
    pub expected: Vec<(Uid, Flags)>,
    /// Messages that were not changed, since another session had changed them: the client is told their flags.
    pub modified: Uids,
    /// Whether the command had UNCHANGEDSINCE: the MODSEQ of all other messages is its response, changed or not (RFC
    /// 7162 section 3.1.3).
    pub conditional: bool,
}

/// What a client is told of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    /// Nothing.
    Nothing,
    /// Its MODSEQ, if the client supports mod-sequences.
    Modseq,
    /// Its flags.
    Flags,
}

impl OwnChange {
    /// Whether the message with this number is one of the command's.
    pub(super) fn is_about(&self, seq: u32) -> bool {
        match self {
            OwnChange::Nothing => false,
            OwnChange::Report(ranges) | OwnChange::Silent(Silent { messages: ranges, .. }) => {
                has(ranges, seq)
            }
        }
    }

    /// What is told of `message` to a client that was told of all changes of flags up to the MODSEQ `known`.
    pub(super) fn tell(&self, message: &Message, seq: u32, known: u64) -> Tell {
        let changed = message.modseq > known;
        match self {
            _ if changed && !matches!(self, OwnChange::Silent(_)) => Tell::Flags,
            OwnChange::Report(ranges) if has(ranges, seq) => Tell::Flags,
            OwnChange::Report(_) => Tell::Nothing,
            OwnChange::Silent(silent) => silent.tell(message, changed),
            OwnChange::Nothing => Tell::Nothing,
        }
    }
}

/// Whether the number is in one of the ascending ranges.
fn has(ranges: &[RangeInclusive<u32>], seq: u32) -> bool {
    let at = ranges.partition_point(|range| *range.end() < seq);
    ranges.get(at).is_some_and(|range| range.contains(&seq))
}

impl Silent {
    fn tell(&self, message: &Message, changed: bool) -> Tell {
        if self.modified.contains(message.uid) {
            return Tell::Flags;
        }
        let at = self.expected.binary_search_by_key(&{ message.uid }, |&(uid, _)| uid).ok();
        match at.and_then(|at| self.expected.get(at)) {
            Some(&(_, flags)) if flags == { message.flags } && (changed || self.conditional) => Tell::Modseq,
            _ if changed => Tell::Flags,
            _ => Tell::Nothing,
        }
    }
}
