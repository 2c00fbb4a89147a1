//! VANISHED (RFC 7162 section 3.2.10), which names UIDs instead of sequence numbers.
//!
//! `VANISHED (EARLIER)` names messages that the session has never shown. A UID that is below the UIDNEXT known to the
//! session, and not among its messages, is gone for good, whatever happens meanwhile. So the response never names an
//! existing UID, and can be written in pieces.

use std::ops::RangeInclusive;

use super::sequence_numbers::SequenceNumbers;
use crate::imap::wire::sequence::write_uid_set;
use crate::store::{Uid, Uids};

/// UIDs in one response at most: some 8 KiB. Further UIDs follow in another response.
const UIDS: usize = 740;
/// Ranges of UIDs in one response at most: some 8 KiB.
const RANGES: usize = 370;
/// Steps of a piece that finds few UIDs: each step is a search among the session's messages.
const STEPS: usize = 1024;

/// Ranges of UIDs, of which those that are gone are told.
#[derive(Debug, Default)]
pub struct Earlier {
    /// The ranges, ascending, and below the UIDNEXT that the session knows.
    ranges: Vec<RangeInclusive<Uid>>,
    /// How many of the ranges were told.
    told: usize,
    /// The UID with which to continue within the next range.
    next: Uid,
}

impl Earlier {
    /// The UIDs in `ranges`, which must ascend.
    pub fn new(ranges: Vec<RangeInclusive<Uid>>) -> Earlier {
        Earlier { ranges, told: 0, next: 0 }
    }

    /// Whether everything was told.
    pub fn is_empty(&self) -> bool {
        self.told == self.ranges.len()
    }

    /// Appends a response with the next UIDs that are gone, if there are any.
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

/// Takes the last of `uids`, which must ascend and which the client was shown, and appends a response with them.
pub fn write_piece(uids: &mut Vec<Uid>, out: &mut String) {
    let last = uids.split_off(uids.len().saturating_sub(UIDS));
    if !last.is_empty() {
        out.push_str("* VANISHED ");
        write_uid_set(Uids::ascending(last).ranges().iter().copied(), out);
        out.push_str("\r\n");
    }
}

impl SequenceNumbers {
    /// The first run of consecutive UIDs among the messages with UIDs from `from` on.
    pub fn run_from(&self, from: Uid) -> Option<RangeInclusive<Uid>> {
        let rest = self.uids().get(self.uids().partition_point(|uid| *uid < from)..)?;
        let first = *rest.first()?;
        // The first `some` UIDs belong to the run; from index `none` on none does.
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
    /// The UID of the largest pair of a sequence number and a UID, as the client gives them, that is true here (RFC
    /// 7162 section 3.2.5.2). Both sets ascend.
    pub fn last_match(
        &self,
        (numbers, uids): &(Vec<RangeInclusive<u32>>, Vec<RangeInclusive<u32>>),
    ) -> Option<Uid> {
        let (mut numbers, mut uids) = (numbers.iter().cloned(), uids.iter().cloned());
        let (mut seqs, mut of) = (numbers.next()?, uids.next()?);
        let mut last = None;
        loop {
            // As many pairs as both ranges have together.
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

    /// As [`SequenceNumbers::last_match`], for one pair of a number and a UID and `more` pairs that follow it.
    fn last_match_within(&self, seq: u32, uid: Uid, more: u32) -> Option<Uid> {
        let from = usize::try_from(seq).ok()?.checked_sub(1)?;
        let here = self.uids().get(from..)?;
        let here = here.get(..here.len().min(more as usize + 1))?;
        // UIDs grow at least as fast as sequence numbers, so how far a UID is ahead of the client's never shrinks.
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
