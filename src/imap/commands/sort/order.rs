//! Sorts messages by keys that need not fit into memory.
//!
//! Of each key only the beginning is held, and a hash of the whole. When messages have the same beginning and
//! different hashes, their keys are read again from there on; messages with the same key are sorted by the next
//! criterion. So the order is exact however long the keys are, and 100,000 messages take 8 MiB: 4 octets for each
//! number, 24 for the place and the hash of its key, 24 to sort these, and 2 MiB for the beginnings together. The hash
//! has a random key, so that an attacker cannot write mail whose subjects are confused.
//!
//! Most comparisons need only the eight octets in which keys differ first: those behind what all of them begin with.

use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use super::keys::Headers;
use super::merge;
use crate::imap::state::marks::Marks;
use crate::imap::wire::sort::SortCriterion;
use crate::pace::{ITEM, Pace};

/// Messages that are sorted at once at most; there may be no memory for more.
pub const MAX_SORTED: usize = 128 * 1024;

/// Octets of all key beginnings that are held at once.
const HELD: usize = 2 * 1024 * 1024;
/// Octets of one key that are held at least.
const LEAST: usize = 16;
/// Octets of one key that are held at most.
const MOST: usize = 4096;

/// Messages that compare as equal so far, and how they are to be sorted further.
struct Task {
    /// Their places in the order.
    places: Range<u32>,
    /// The index of the criterion by which they are compared next.
    criterion: u8,
    /// The offset in their keys from which on they are compared.
    offset: u32,
}

/// Keys of messages.
#[derive(Default)]
struct Keys {
    keys: Vec<Key>,
    octets: Vec<u8>,
    /// Octets with which all keys begin; `None` before the first key.
    common: Option<usize>,
}

/// A key that is being sorted.
#[derive(Clone, Copy)]
struct Sorted {
    /// The octets behind those that all keys have in common; zeros behind the end of the key.
    next: [u8; 8],
    /// The index of the key.
    at: u32,
}

struct Key {
    seq: u32,
    start: u32,
    length: u32,
    hash: u64,
}

impl Keys {
    fn get(&self, at: u32) -> Option<&Key> {
        self.keys.get(usize::try_from(at).ok()?)
    }

    fn beginning(&self, at: u32) -> &[u8] {
        let place = self.get(at).map(|key| key.start as usize..key.start as usize + key.length as usize);
        place.and_then(|place| self.octets.get(place)).unwrap_or_default()
    }

    fn push(&mut self, seq: u32, beginning: &[u8], hash: u64) {
        // The beginnings have less than 2^32 octets together.
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (start, length) = (number(self.octets.len()), number(beginning.len()));
        let common = self.common.and_then(|common| self.beginning(0).get(..common)).unwrap_or(beginning);
        // Nearly always it is all of it, and comparing octet by octet is slow.
        self.common = Some(match beginning.starts_with(common) {
            true => common.len(),
            false => common.iter().zip(beginning).take_while(|(a, b)| a == b).count(),
        });
        self.octets.extend_from_slice(beginning);
        self.keys.push(Key { seq, start, length, hash });
    }

    /// The keys in the order in which they were pushed, to be sorted.
    fn unsorted(&self) -> Vec<Sorted> {
        let common = self.common.unwrap_or_default();
        let sorted = |at: u32| {
            let rest = self.beginning(at).get(common..).unwrap_or_default();
            let next = rest.first_chunk().copied().unwrap_or_else(|| {
                let mut next = [0; 8];
                next.iter_mut().zip(rest).for_each(|(place, octet)| *place = *octet);
                next
            });
            Sorted { next, at }
        };
        (0..u32::try_from(self.keys.len()).unwrap_or(u32::MAX)).map(sorted).collect()
    }

    fn compare(&self, a: &Sorted, b: &Sorted) -> Ordering {
        // Octets that are equal may be zeros behind the end of one key only.
        let whole = || self.beginning(a.at).cmp(self.beginning(b.at));
        u64::from_be_bytes(a.next).cmp(&u64::from_be_bytes(b.next)).then_with(whole)
    }
}

/// Sorts messages, given by ascending sequence numbers, by the criteria. Returns marks on the places, counted from 1,
/// at which another key of the first criterion begins.
pub async fn sort(
    order: &mut [u32],
    criteria: &[SortCriterion],
    headers: &Headers<'_>,
    pace: &Pace,
) -> Marks {
    let random = RandomState::new();
    let mut begins = Marks::on([1]);
    let all = u32::try_from(order.len()).unwrap_or(u32::MAX);
    let mut tasks = vec![Task { places: 0..all, criterion: 0, offset: 0 }];
    while let Some(task) = tasks.pop() {
        let Some(criterion) = criteria.get(usize::from(task.criterion)) else { continue };
        let places = task.places.start as usize..task.places.end as usize;
        let room = (HELD / places.len().max(1)).clamp(LEAST, MOST);
        let Some(part) = order.get_mut(places) else { continue };
        let mut keys = Keys::default();
        keys.keys.reserve_exact(part.len());
        let mut key = Vec::new();
        for &seq in part.iter() {
            headers.key(seq, criterion.key, &mut key).await;
            let rest = key.get(task.offset as usize..).unwrap_or_default();
            // A key that is held as a whole needs no hash; 0 is the hash of no other key.
            let (beginning, hash) = match rest.get(..room) {
                Some(beginning) if rest.len() > room => (beginning, random.hash_one(&key) | 1),
                _ => (rest, 0),
            };
            keys.push(seq, beginning, hash);
        }
        let mut sorted = keys.unsorted();
        let compare = |a: &Sorted, b: &Sorted| {
            let order = keys.compare(a, b);
            if criterion.reverse { order.reverse() } else { order }
        };
        merge::sort(&mut sorted, ITEM.max(room as u64), compare, pace).await;
        for (place, sorted) in part.iter_mut().zip(&sorted) {
            *place = keys.get(sorted.at).map_or(*place, |key| key.seq);
        }
        let mut start = task.places.start;
        for run in sorted.chunk_by(|a, b| keys.compare(a, b).is_eq()) {
            pace.did(ITEM.max(room as u64)).await;
            let end = start + u32::try_from(run.len()).unwrap_or(u32::MAX);
            if task.criterion == 0 {
                begins.set(start + 1, true);
            }
            let hash = |sorted: &Sorted| keys.get(sorted.at).map(|key| key.hash);
            let same = run.windows(2).all(|pair| pair.first().map(hash) == pair.last().map(hash));
            let (criterion, offset) = match same {
                true => (task.criterion + 1, 0),
                false => (task.criterion, task.offset + u32::try_from(room).unwrap_or(u32::MAX)),
            };
            if run.len() > 1 {
                tasks.push(Task { places: start..end, criterion, offset });
            }
            start = end;
        }
    }
    begins
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Catches: keys that are taken for equal because one of them ends where the other has zeros, an order of
        /// octets that differs from theirs, and a common beginning that is not that of all.
        #[test]
        fn keys_compare_as_their_octets(
            all in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(0_u8), Just(b'a'), Just(0xff)], 0..14), 1..12),
        ) {
            let mut keys = Keys::default();
            for key in &all {
                keys.push(0, key, 0);
            }
            let sorted = keys.unsorted();
            for (a, one) in sorted.iter().zip(&all) {
                for (b, other) in sorted.iter().zip(&all) {
                    prop_assert_eq!(keys.compare(a, b), one.cmp(other));
                }
            }
        }
    }

    /// Catches: a key or a task that grows until a large mailbox no longer fits into memory.
    #[test]
    fn what_a_hundred_thousand_messages_take() {
        const MESSAGES: usize = 100_000;
        // The numbers, the places of the keys and the copies for merging; a task has two messages at least.
        let each = size_of::<u32>() + 2 * size_of::<Sorted>() + size_of::<Key>() + size_of::<Task>() / 2;
        assert!(MESSAGES * each + HELD.max(MESSAGES * LEAST) <= 8 << 20, "{each}");
    }
}
