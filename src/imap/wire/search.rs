//! The result options of searches (RFC 4731, RFC 5182, RFC 5267, RFC 9394).

use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use super::command::{FetchItem, SearchKey};

/// The arguments of SEARCH.
#[derive(Debug, PartialEq)]
pub struct SearchArgs {
    /// Whether UIDs are returned (UID SEARCH).
    pub uid: bool,
    /// The options of RETURN; `None` when a SEARCH response is wanted instead of ESEARCH.
    pub returns: Option<Returns>,
    /// The search key.
    pub key: SearchKey,
}

impl SearchArgs {
    /// Whether the result is saved as `$`.
    pub fn saves(&self) -> bool {
        self.returns.as_ref().is_some_and(|returns| returns.save)
    }

    /// Whether the MODSEQ of new messages is returned.
    pub fn shows_modseq(&self) -> bool {
        self.returns.as_ref().is_some_and(|returns| returns.fetch.contains(&FetchItem::Modseq))
    }
}

/// The result options in the parentheses of RETURN. An empty list means ALL.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Returns {
    /// Whether MIN is returned, the first message found.
    pub min: bool,
    /// Whether MAX is returned, the last message found.
    pub max: bool,
    /// Whether COUNT is returned, the number of messages found.
    pub count: bool,
    /// Whether ALL is returned, all messages found.
    pub all: bool,
    /// The part of the result that is returned (RFC 9394); never together with ALL.
    pub partial: Option<Partial>,
    /// Whether the result is saved as `$` (RFC 5182).
    pub save: bool,
    /// Whether changes of the result are told from then on (RFC 5267). CONTEXT, which is only a hint, is not kept.
    pub update: bool,
    /// The items that are sent of each new message that enters the result (RFC 5465 section 7).
    pub fetch: Vec<FetchItem>,
}

impl Returns {
    /// Whether an ESEARCH response is wanted: not when the result is only to be saved (RFC 5182 section 2.1).
    pub fn tells(&self) -> bool {
        !self.save || self.min || self.max || self.count || self.all || self.partial.is_some()
    }

    /// The messages among `found`, in the order of the result, that `$` will stand for (RFC 5182 section 2.4, RFC
    /// 9394 section 3.2). With MIN, MAX and PARTIAL these are just those messages, unless COUNT or ALL are given as
    /// well.
    pub fn kept<'a>(&self, found: &'a [u32]) -> impl Iterator<Item = u32> + use<'a> {
        let some = (self.min || self.max || self.partial.is_some()) && !self.all && !self.count;
        let all = if some { &[] } else { found };
        let first = found.first().filter(|_| some && self.min);
        let last = found.last().filter(|_| some && self.max);
        let part = self.partial.filter(|_| some).map_or(&[][..], |partial| partial.of(found));
        all.iter().chain(first).chain(last).chain(part).copied()
    }
}

/// `partial-range` (RFC 9394 section 4): positions in a result, counted from 1, whose ends may be in either order. It
/// is written with the lower one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// One end of the range.
    pub from: NonZeroU32,
    /// The other end of the range.
    pub to: NonZeroU32,
    /// Whether positions are counted from the end of the result, where -1 is the last.
    pub from_end: bool,
}

impl Partial {
    /// The part of the result at these positions, as far as it exists.
    pub fn of<T>(self, found: &[T]) -> &[T] {
        let place = |n: NonZeroU32| usize::try_from(n.get()).unwrap_or(usize::MAX);
        let (first, last) = (place(self.from.min(self.to)) - 1, place(self.from.max(self.to)));
        let length = found.len();
        let (start, end) = match self.from_end {
            false => (first.min(length), last.min(length)),
            true => (length.saturating_sub(last), length.saturating_sub(first)),
        };
        found.get(start..end).unwrap_or_default()
    }
}

impl Partial {
    /// As [`Partial::of`], for a result of ascending ranges.
    pub fn of_ranges(self, found: &[RangeInclusive<u32>]) -> Vec<RangeInclusive<u32>> {
        let length = |range: &RangeInclusive<u32>| u64::from(*range.end()) + 1 - u64::from(*range.start());
        let (mut first, last) =
            (u64::from(self.from.min(self.to).get()) - 1, u64::from(self.from.max(self.to).get()));
        let (mut left, mut part) = (last - first, Vec::new());
        let mut take = |range: &RangeInclusive<u32>| {
            let skipped = first.min(length(range));
            let taken = (length(range) - skipped).min(left);
            first -= skipped;
            left -= taken;
            let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
            if taken > 0 && self.from_end {
                let end = range.end() - number(skipped);
                part.push(end - number(taken - 1)..=end);
            } else if taken > 0 {
                let start = range.start() + number(skipped);
                part.push(start..=start + number(taken - 1));
            }
        };
        if self.from_end {
            found.iter().rev().for_each(&mut take);
            part.reverse();
        } else {
            found.iter().for_each(&mut take);
        }
        part
    }
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.from_end { "-" } else { "" };
        write!(f, "{sign}{}:{sign}{}", self.from.min(self.to), self.from.max(self.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a part that is off by one at either end, or that is returned when the result ends before it.
    #[test]
    fn parts_of_a_result() {
        let part = |from, to, from_end| {
            let end = |n| NonZeroU32::new(n).unwrap();
            Partial { from: end(from), to: end(to), from_end }
        };
        let found = [1, 2, 3, 4, 5];
        for (from, to, from_end, expected) in [
            (1, 2, false, &[1, 2][..]),
            (5, 4, false, &[4, 5]),
            (5, 9, false, &[5]),
            (6, 9, false, &[]),
            (1, u32::MAX, false, &found),
            (1, 1, true, &[5]),
            (1, 2, true, &[4, 5]),
            (4, 9, true, &[1, 2]),
            (6, 9, true, &[]),
            (u32::MAX, 1, true, &found),
        ] {
            assert_eq!(part(from, to, from_end).of(&found), expected, "{}", part(from, to, from_end));
            for ranges in [&[1..=5][..], &[1..=1, 2..=4, 5..=5]] {
                let found = part(from, to, from_end).of_ranges(ranges);
                assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), expected);
            }
        }
        assert_eq!(
            (part(7, 3, true).to_string(), part(7, 3, false).to_string()),
            ("-3:-7".into(), "3:7".into())
        );
    }
}
