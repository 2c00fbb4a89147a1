//! The messages of a listing that are to be read, in little memory whatever the server lists.

use std::collections::{BTreeMap, VecDeque};

use super::collection::{Handle, Wanted};

/// The messages that are to be read: a bounded number of new ones, any number of those that only their content can
/// tell, then those that are to be compared with collected ones, and last those at which polls have broken off.
#[derive(Default)]
pub struct ToRead {
    new: VecDeque<Wanted>,
    unknown: Handles,
    doubtful: VecDeque<Wanted>,
    last: VecDeque<Wanted>,
}

impl ToRead {
    /// Adds a message that the collection wants, see [`super::collection::Collection::listed`].
    pub fn add(&mut self, wanted: Option<Wanted>) {
        match wanted {
            Some(wanted) if wanted.last => self.last.push_back(wanted),
            Some(wanted) if wanted.is_doubtful => self.doubtful.push_back(wanted),
            Some(wanted) if wanted.identity.is_some() => self.new.push_back(wanted),
            Some(wanted) => self.unknown.insert(wanted.handle),
            None => {}
        }
    }

    /// Puts a message back, to be read after the others.
    pub fn put_back(&mut self, wanted: Wanted) {
        self.last.push_front(wanted);
    }

    /// Puts a message back whose beginning was looked at, to be read next.
    pub fn put_first(&mut self, wanted: Wanted) {
        self.new.push_front(wanted);
    }

    /// The next message of those that come after all others.
    pub fn last(&self) -> Option<&Wanted> {
        self.last.front()
    }

    /// Takes out the next message.
    pub fn pop_front(&mut self) -> Option<Wanted> {
        let unknown = |handle| Wanted::new(handle, None);
        let usual = self.new.pop_front().or_else(|| self.unknown.pop_first().map(unknown));
        usual.or_else(|| self.doubtful.pop_front()).or_else(|| self.last.pop_front())
    }
}

/// A set of handles: a million consecutive ones take 16,000 words.
#[derive(Debug, Default)]
pub struct Handles(BTreeMap<Handle, u64>);

impl Handles {
    /// Adds a handle.
    pub fn insert(&mut self, message: Handle) {
        *self.0.entry(message / 64).or_default() |= 1 << (message % 64);
    }

    /// Whether the handle is in the set.
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

    /// Catches: a handle that is lost or comes out twice, and handles out of order.
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

    /// Catches: a message known only by its content that is read before the new ones, which have been counted
    /// already; a message at which polls have broken off that is read before the others.
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
