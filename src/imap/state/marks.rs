//! Marks on some messages of the selected mailbox, for example the saved result `$` (RFC 5182): a bit for each
//! message, so that marks for 100,000 messages take 12 KiB however they are distributed.

use std::ops::RangeInclusive;

/// A set of messages by their sequence numbers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Marks(Vec<u64>);

/// The index of the word for a sequence number, and the bit in that word.
fn place(seq: u32) -> (usize, u64) {
    let at = seq.saturating_sub(1);
    (usize::try_from(at / 64).unwrap_or(usize::MAX), 1 << (at % 64))
}

impl Marks {
    /// Marks on the messages with these numbers.
    pub fn on(numbers: impl IntoIterator<Item = u32>) -> Marks {
        let mut marks = Marks::default();
        numbers.into_iter().for_each(|seq| marks.set(seq, true));
        marks
    }

    /// Whether the message has the mark.
    pub fn has(&self, seq: u32) -> bool {
        let (word, bit) = place(seq);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Sets or removes the mark of the message.
    pub fn set(&mut self, seq: u32, mark: bool) {
        let (word, bit) = place(seq);
        if mark && word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word = if mark { *word | bit } else { *word & !bit };
        }
    }

    /// Removes the messages with these numbers, ascending. The numbers of the messages after them become smaller.
    pub fn expunge(&mut self, gone: &[u32]) {
        if gone.is_empty() || self.0.is_empty() {
            return;
        }
        let mut gone = gone.iter().copied().peekable();
        let mut left = Marks::default();
        let mut to = 1;
        for seq in 1..=self.room() {
            if gone.next_if_eq(&seq).is_some() {
                continue;
            }
            if self.has(seq) {
                left.set(to, true);
            }
            to += 1;
        }
        *self = left;
    }

    /// The marked messages, as ascending ranges.
    pub fn ranges(&self) -> Vec<RangeInclusive<u32>> {
        let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
        for seq in (1..=self.room()).filter(|&seq| self.has(seq)) {
            match ranges.last_mut() {
                Some(last) if last.end() + 1 == seq => *last = *last.start()..=seq,
                _ => ranges.push(seq..=seq),
            }
        }
        ranges
    }

    /// The largest sequence number that has a bit.
    fn room(&self) -> u32 {
        u32::try_from(self.0.len() * 64).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_move_up_with_their_messages() {
        let mut marks = Marks::on([1, 2, 5, 64, 65, 130]);
        assert_eq!(marks.ranges(), [1..=2, 5..=5, 64..=65, 130..=130]);
        marks.expunge(&[2, 3, 64, 129, 500]);
        assert_eq!(marks.ranges(), [1..=1, 3..=3, 62..=62, 126..=126]);
        marks.set(3, false);
        marks.set(9999, false);
        assert!(!marks.has(3) && marks.has(62) && !marks.has(9999));
    }

    proptest! {
        /// Catches: a mark that moves to another message when messages are removed, above all at the edges of words.
        #[test]
        fn marks_stay_with_their_messages(
            marked in proptest::collection::btree_set(1..300_u32, 0..80),
            gone in proptest::collection::btree_set(1..300_u32, 0..80),
        ) {
            let mut marks = Marks::on(marked.iter().copied());
            marks.expunge(&gone.iter().copied().collect::<Vec<_>>());
            let moved = |seq: &u32| seq - u32::try_from(gone.range(..seq).count()).unwrap_or(0);
            let expected: Vec<u32> = marked.difference(&gone).map(moved).collect();
            prop_assert_eq!(marks.ranges().into_iter().flatten().collect::<Vec<_>>(), expected);
        }
    }
}
