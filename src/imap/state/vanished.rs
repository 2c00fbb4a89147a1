//! VANISHED (RFC 7162 section 3.2.10): UIDs in the place of sequence numbers.
//!
//! `VANISHED (EARLIER)` tells of messages that the session has never shown. A UID below the UIDNEXT that the session knows and
//! not among its messages is gone for good, whatever else happens meanwhile: so the response never names a UID that is
//! there, and it can be made in pieces.

use std::ops::RangeInclusive;

use super::sequence_numbers::SequenceNumbers;
use crate::imap::wire::sequence::write_uid_set;
use crate::store::{Uid, Uids};

/// UIDs of one response, and ranges of them: some 8 KiB each. What is left is told by another one.
const UIDS: usize = 740;
const RANGES: usize = 370;
/// Steps of a piece that finds little: each is a search among the session's messages.
const STEPS: usize = 1024;

/// UIDs of which those that are gone are told.
#[derive(Debug, Default)]
pub struct Earlier {
    /// Ascending, and below the UIDNEXT that the session knows.
    ranges: Vec<RangeInclusive<Uid>>,
    /// Ranges that are told.
    told: usize,
    /// Where the next one begins, if that is within it.
    next: Uid,
}

impl Earlier {
    /// Of `ranges`, which ascend.
    pub fn new(ranges: Vec<RangeInclusive<Uid>>) -> Earlier {
        Earlier { ranges, told: 0, next: 0 }
    }

    /// Whether all is told.
    pub fn is_empty(&self) -> bool {
        self.told == self.ranges.len()
    }

    /// Appends a response with the next of them, if there are some.
    pub fn write_piece(&mut self, numbers: &SequenceNumbers, out: &mut String) {
        let mut gone = Vec::new();
        for _ in 0..STEPS {
            let Some(range) = self.ranges.get(self.told) else { break };
            let (from, end) = (self.next.max(*range.start()), *range.end());
            let next = match numbers.run_from(from) {
                Some(run) if *run.start() == from => run.end().saturating_add(1),
                run => {
                    let to = run.map_or(end, |run| (run.start() - 1).min(end));
                    gone.push((from, to));
                    to.saturating_add(1)
                }
            };
            if next <= end {
                self.next = next
            } else {
                self.told += 1
            }
            if gone.len() >= RANGES {
                break;
            }
        }
        if !gone.is_empty() {
            out.push_str("* VANISHED (EARLIER) ");
            write_uid_set(gone, out);
            out.push_str("\r\n");
        }
    }
}

/// Appends a response with the last of `uids`, which ascend and which the client has been shown: those it takes away.
pub fn write_piece(uids: &mut Vec<Uid>, out: &mut String) {
    let last = uids.split_off(uids.len().saturating_sub(UIDS));
    if !last.is_empty() {
        out.push_str("* VANISHED ");
        write_uid_set(Uids::ascending(last).ranges().iter().copied(), out);
        out.push_str("\r\n");
    }
}

impl SequenceNumbers {
    /// The first UIDs that follow each other, among those from `from` on.
    pub fn run_from(&self, from: Uid) -> Option<RangeInclusive<Uid>> {
        let rest = self.uids().get(self.uids().partition_point(|uid| *uid < from)..)?;
        let first = *rest.first()?;
        // So many belong to it, and from there on none.
        let (mut some, mut none) = (1, rest.len());
        while some < none {
            let middle = some + (none - some) / 2;
            match rest.get(middle) {
                Some(uid) if (uid - first) as usize == middle => some = middle + 1,
                _ => none = middle,
            }
        }
        Some(first..=*rest.get(some - 1)?)
    }
    /// The largest sequence number of those that the client gives with the UID that the message has here (RFC 7162
    /// section 3.2.5.2): the UID. Both ascend.
    pub fn last_match(
        &self,
        (numbers, uids): &(Vec<RangeInclusive<u32>>, Vec<RangeInclusive<u32>>),
    ) -> Option<Uid> {
        let (mut numbers, mut uids) = (numbers.iter().cloned(), uids.iter().cloned());
        let (mut seqs, mut of) = (numbers.next()?, uids.next()?);
        let mut last = None;
        loop {
            // As many of both as are together.
            let more = (seqs.end() - seqs.start()).min(of.end() - of.start());
            last = self.last_match_within(*seqs.start(), *of.start(), more).or(last);
            let next = |range: &RangeInclusive<u32>| {
                (range.end() - range.start() > more).then(|| range.start() + more + 1)
            };
            seqs = match next(&seqs) {
                Some(start) => start..=*seqs.end(),
                None => match numbers.next() {
                    Some(range) => range,
                    None => return last,
                },
            };
            of = match next(&of) {
                Some(start) => start..=*of.end(),
                None => match uids.next() {
                    Some(range) => range,
                    None => return last,
                },
            };
        }
    }

    /// As [`SequenceNumbers::last_match`], of one number and UID and so many more that follow them.
    fn last_match_within(&self, seq: u32, uid: Uid, more: u32) -> Option<Uid> {
        let from = usize::try_from(seq).ok()?.checked_sub(1)?;
        let here = self.uids().get(from..)?;
        let here = here.get(..here.len().min(more as usize + 1))?;
        // UIDs leave at least as much between them as numbers do: how far one is ahead of what it should be never shrinks.
        let ahead = |at: usize| here.get(at).map(|here| i64::from(*here) - i64::from(uid) - at as i64);
        let (mut low, mut high) = (0, here.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if ahead(middle)? <= 0 { low = middle + 1 } else { high = middle }
        }
        let at = low.checked_sub(1)?;
        (ahead(at)? == 0).then(|| here.get(at).copied()).flatten()
    }
}
