//! What a client knows already of the changes that its own STORE has made, and what it must hear of a message.

use std::ops::RangeInclusive;

use crate::store::{Flags, Message, Uid, Uids};

/// What the client knows already, or wants to know, of the change that its own command made.
#[derive(Debug, Default)]
pub enum OwnChange {
    /// It made none.
    #[default]
    Nothing,
    /// STORE: the flags of these are its answer, changed or not. Sequence numbers, ascending.
    Report(Vec<RangeInclusive<u32>>),
    /// STORE with `.SILENT`.
    Silent(Silent),
}

/// What the client expects of a STORE with `.SILENT`.
#[derive(Debug, Default)]
pub struct Silent {
    /// It is about these: sequence numbers, ascending.
    pub messages: Vec<RangeInclusive<u32>>,
    /// It takes the messages, in ascending order of UID, to have these flags now, and need not hear so.
    pub expected: Vec<(Uid, Flags)>,
    /// These were not changed, since somebody else had changed them: it hears what flags they have.
    pub modified: Uids,
    /// It had UNCHANGEDSINCE: the MODSEQ of all others is its answer, changed or not (RFC 7162 section 3.1.3).
    pub conditional: bool,
}

/// What a client hears of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    /// Nothing.
    Nothing,
    /// Its MODSEQ, if the client has asked for such.
    Modseq,
    /// Its flags.
    Flags,
}

impl OwnChange {
    /// Whether the command was about the message of this number.
    pub(super) fn is_about(&self, seq: u32) -> bool {
        match self {
            OwnChange::Nothing => false,
            OwnChange::Report(ranges) | OwnChange::Silent(Silent { messages: ranges, .. }) => {
                has(ranges, seq)
            }
        }
    }

    /// What is told of `message` to a client that has heard of all changes of flags up to the MODSEQ `known`.
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

/// Whether the number is in one of the ranges, which ascend.
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
