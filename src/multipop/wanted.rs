//! The messages of a listing that are to be read, in little memory whatever a server lists.

use std::collections::{BTreeMap, VecDeque};

use super::collection::{Handle, Wanted};

/// All that are to be read: a bounded number of new ones, any number of those that only their content can tell, and at the end
/// those at which polls have broken off.
#[derive(Default)]
pub struct ToRead {
    new: VecDeque<Wanted>,
    unknown: Handles,
    last: VecDeque<Wanted>,
}

impl ToRead {
    /// What the collection wants of a message, see [`super::collection::Collection::listed`].
    pub fn add(&mut self, wanted: Option<Wanted>) {
        match wanted {
            Some(wanted) if wanted.last => self.last.push_back(wanted),
            Some(wanted) if wanted.identity.is_some() => self.new.push_back(wanted),
            Some(wanted) => self.unknown.insert(wanted.handle),
            None => {}
        }
    }

    /// Puts one back, to be read again when the others are there.
    pub fn put_back(&mut self, wanted: Wanted) {
        self.last.push_front(wanted);
    }

    /// Puts one back that was looked at, to be read next.
    pub fn put_first(&mut self, wanted: Wanted) {
        self.new.push_front(wanted);
    }

    /// The one that comes next, where all others are there.
    pub fn last(&self) -> Option<&Wanted> {
        self.last.front()
    }

    /// Takes out the next one.
    pub fn pop_front(&mut self) -> Option<Wanted> {
        let unknown = |handle| Wanted::new(handle, None);
        let usual = self.new.pop_front().or_else(|| self.unknown.pop_first().map(unknown));
        usual.or_else(|| self.last.pop_front())
    }
}

/// A set of handles: a million that follow each other take 16,000 words.
#[derive(Debug, Default)]
pub struct Handles(BTreeMap<Handle, u64>);

impl Handles {
    /// Puts one in.
    pub fn insert(&mut self, message: Handle) {
        *self.0.entry(message / 64).or_default() |= 1 << (message % 64);
    }

    /// Whether it is in.
    pub fn contains(&self, message: Handle) -> bool {
        self.0.get(&(message / 64)).is_some_and(|word| word >> (message % 64) & 1 == 1)
    }

    fn pop_first(&mut self) -> Option<Handle> {
        let mut first = self.0.first_entry()?;
        let (place, word) = (*first.key(), first.get_mut());
        let message = place * 64 + word.trailing_zeros();
        *word &= *word - 1;
        if *word == 0 {
            first.remove();
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multipop::ledger::Identity;

    /// Catches: one that is lost or comes twice, and another order than theirs.
    #[test]
    fn handles_come_out_once_and_in_order() {
        let mut handles = Handles::default();
        for message in [4096, 1, 64, 63, 1, Handle::MAX, 0] {
            handles.insert(message);
        }
        let taken: Vec<_> = std::iter::from_fn(|| handles.pop_first()).collect();
        assert_eq!(taken, [0, 1, 63, 64, 4096, Handle::MAX]);
        handles.insert(3);
        assert_eq!((handles.pop_first(), handles.pop_first()), (Some(3), None));
    }

    /// Catches: a set whose memory grows with what a server lists.
    #[test]
    fn a_million_messages_take_few_words() {
        let mut handles = Handles::default();
        (1..=1_000_000).for_each(|message| handles.insert(message));
        assert!(handles.0.len() < 16_000);
    }

    /// Catches: a message that is read before the new ones, which have been counted already; one that polls have broken off at
    /// before the others.
    #[test]
    fn new_ones_are_read_first_and_the_doubtful_ones_last() {
        let wanted = |handle, known: bool, last| {
            let identity = known.then(|| Identity::in_place(handle));
            Wanted { last, ..Wanted::new(handle, identity) }
        };
        let (doubtful, unknown, new) =
            (wanted(0, true, true), wanted(1, false, false), wanted(3, true, false));
        let mut to_read = ToRead::default();
        [Some(doubtful), Some(unknown), None, Some(new)].into_iter().for_each(|it| to_read.add(it));
        let taken: Vec<_> = std::iter::from_fn(|| to_read.pop_front()).collect();
        assert_eq!(taken, [new, unknown, doubtful]);
    }
}
