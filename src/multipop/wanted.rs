//! The messages of a listing that are to be read, in little memory whatever a server lists.

use std::collections::{BTreeMap, VecDeque};

use super::collection::Handle;
use super::ledger::Identity;

/// A message that is to be read, and its identity if that is known before.
pub type Wanted = (Handle, Option<Identity>);

/// All that are to be read: a bounded number of new ones, and any number of those that only their content can tell.
#[derive(Default)]
pub struct ToRead {
    new: VecDeque<(Handle, Identity)>,
    unknown: Handles,
}

impl ToRead {
    /// What the collection wants of a message, see [`super::collection::Collection::listed`].
    pub fn add(&mut self, message: Handle, wanted: Option<Option<Identity>>) {
        match wanted {
            Some(Some(identity)) => self.new.push_back((message, identity)),
            Some(None) => self.unknown.insert(message),
            None => {}
        }
    }

    /// Takes out the next one.
    pub fn pop_front(&mut self) -> Option<Wanted> {
        let new = self.new.pop_front().map(|(message, identity)| (message, Some(identity)));
        new.or_else(|| self.unknown.pop_first().map(|message| (message, None)))
    }
}

/// A set of handles: a million that follow each other take 16,000 words.
#[derive(Debug, Default)]
struct Handles(BTreeMap<Handle, u64>);

impl Handles {
    fn insert(&mut self, message: Handle) {
        *self.0.entry(message / 64).or_default() |= 1 << (message % 64);
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

    /// Catches: a message that is read before the new ones, which have been counted already.
    #[test]
    fn new_ones_are_read_first() {
        let mut to_read = ToRead::default();
        to_read.add(1, Some(None));
        to_read.add(2, None);
        to_read.add(3, Some(Some(Identity::in_place(3))));
        let taken: Vec<_> = std::iter::from_fn(|| to_read.pop_front()).collect();
        assert_eq!(taken, [(3, Some(Identity::in_place(3))), (1, None)]);
    }
}
