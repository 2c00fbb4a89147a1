//! Sequence sets (RFC 3501 section 9, `sequence-set`): the messages that a command is about.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use crate::store::Uid;

/// One end of a range; `None` is `*`, the largest number in use.
pub type SequenceNumber = Option<NonZeroU32>;

/// Ranges of message sequence numbers or of UIDs, as the client wrote them: in any order, possibly overlapping, and
/// with their ends in either order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SequenceSet(Vec<(SequenceNumber, SequenceNumber)>);

impl SequenceSet {
    /// Adds a range. A range that continues the last one (`1,2,3`) only extends that one.
    pub fn push(&mut self, from: SequenceNumber, to: SequenceNumber) {
        if let (Some(from), Some(to), Some((Some(start), Some(end)))) = (from, to, self.0.last_mut())
            && *start <= *end
            && from <= to
            && end.checked_add(1) == Some(from)
        {
            *end = to;
            return;
        }
        self.0.push((from, to));
    }

    /// The ranges in ascending order, merged, with `*` replaced by `largest`. A range is kept whole even when it
    /// reaches beyond `largest`.
    pub fn ranges(&self, largest: u32) -> Vec<RangeInclusive<u32>> {
        let number = |n: SequenceNumber| n.map_or(largest, NonZeroU32::get);
        let mut sorted: Vec<(u32, u32)> = self
            .0
            .iter()
            .map(|&(a, b)| (number(a), number(b)))
            .map(|(a, b)| if a <= b { (a, b) } else { (b, a) })
            .collect();
        sorted.sort_unstable();
        let mut merged: Vec<RangeInclusive<u32>> = Vec::new();
        for (from, to) in sorted {
            match merged.last_mut() {
                Some(last) if from <= last.end().saturating_add(1) => {
                    *last = *last.start()..=to.max(*last.end());
                }
                _ => merged.push(from..=to),
            }
        }
        merged
    }

    /// The ranges as they were written; `None` unless they ascend and contain no `*`.
    pub fn ascending(&self) -> Option<Vec<RangeInclusive<u32>>> {
        let mut last = 0;
        let range = |&(from, to): &(SequenceNumber, SequenceNumber)| {
            let (from, to) = (from?.get(), to?.get());
            let before = std::mem::replace(&mut last, to);
            (before < from && from <= to).then_some(from..=to)
        };
        self.0.iter().map(range).collect()
    }

    /// Whether the set contains `*`.
    pub fn has_star(&self) -> bool {
        self.0.iter().any(|(a, b)| a.is_none() || b.is_none())
    }

    /// Octets of memory that the ranges take.
    pub fn size(&self) -> usize {
        self.0.len() * size_of::<(SequenceNumber, SequenceNumber)>()
    }

    /// Whether `n` is in the set, with `*` replaced by `largest`. For many questions about one set,
    /// [`SequenceSet::ranges`] is faster.
    pub fn contains(&self, n: u32, largest: u32) -> bool {
        let number = |n: SequenceNumber| n.map_or(largest, NonZeroU32::get);
        self.0.iter().any(|&(a, b)| {
            let (a, b) = (number(a), number(b));
            (a.min(b)..=a.max(b)).contains(&n)
        })
    }
}

/// Writes numbers as a `sequence-set` as they come. Consecutive numbers become a range; the order is kept.
#[derive(Debug, Default)]
pub struct SetWriter {
    run: Option<(u32, u32)>,
    goes_on: bool,
}

impl SetWriter {
    /// Adds a number.
    pub fn push(&mut self, number: u32, out: &mut String) {
        if let Some((_, last)) = &mut self.run
            && last.checked_add(1) == Some(number)
        {
            *last = number;
            return;
        }
        self.finish(out);
        self.run = Some((number, number));
    }

    /// Ends the set: writes the last range.
    pub fn finish(&mut self, out: &mut String) {
        let Some((first, last)) = self.run.take() else { return };
        if std::mem::replace(&mut self.goes_on, true) {
            out.push(',');
        }
        write_uid_set([(first, last)], out);
    }
}

/// Appends a `uid-set` (RFC 4315): ranges of UIDs in ascending order.
pub fn write_uid_set(ranges: impl IntoIterator<Item = (Uid, Uid)>, out: &mut String) {
    for (n, (first, last)) in ranges.into_iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        out.push_str(&first.to_string());
        if last > first {
            out.push_str(&format!(":{last}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Uids;

    fn set(ranges: &[(u32, u32)]) -> SequenceSet {
        let mut set = SequenceSet::default();
        for &(a, b) in ranges {
            set.push(NonZeroU32::new(a), NonZeroU32::new(b));
        }
        set
    }

    #[test]
    fn ranges_are_sorted_and_merged_and_the_star_is_the_largest() {
        const STAR: u32 = 0;
        assert_eq!(set(&[(5, 7), (1, 3), (6, 9)]).ranges(20), [1..=3, 5..=9]);
        assert_eq!(set(&[(1, 1), (2, 2), (3, 3)]).ranges(20), [1..=3]);
        assert_eq!(set(&[(9, STAR)]).ranges(4), [4..=9], "RFC 3501: the ends may be either way round");
        assert_eq!(set(&[(STAR, STAR)]).ranges(4), [4..=4]);
        assert_eq!(set(&[(u32::MAX, u32::MAX), (1, u32::MAX)]).ranges(4), [1..=u32::MAX]);
        assert!(set(&[(9, STAR)]).contains(4, 4));
        assert!(!set(&[(2, 3)]).contains(4, 4));
    }

    #[test]
    fn uids_in_ranges() {
        for (uids, set) in [(&[][..], ""), (&[4], "4"), (&[1, 2, 3, 7, 9, 10], "1:3,7,9:10")] {
            let mut out = String::new();
            write_uid_set(Uids::from(uids).ranges().iter().copied(), &mut out);
            assert_eq!(out, set);
        }
    }

    /// Catches: a range that descends, or that contains a missing number.
    #[test]
    fn a_set_keeps_the_order_of_its_numbers() {
        for (numbers, expected) in [
            (&[][..], ""),
            (&[7], "7"),
            (&[2, 3, 4, 6], "2:4,6"),
            (&[5, 3, 4, 2, 1, u32::MAX, 1], "5,3:4,2,1,4294967295,1"),
        ] {
            let (mut set, mut out) = (SetWriter::default(), String::new());
            numbers.iter().for_each(|&number| set.push(number, &mut out));
            set.finish(&mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn numbers_that_follow_each_other_take_no_room() {
        let long: Vec<(u32, u32)> = (1..=10_000).map(|n| (n, n)).collect();
        assert_eq!(set(&long).0.len(), 1);
    }
}
