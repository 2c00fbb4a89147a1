//! The buffer for plaintext that has arrived and was not consumed yet.
//!
//! It may hold a password. So octets are wiped as they are consumed, and the buffer leaves no copy of them in memory
//! when it grows, is moved or is freed.

use zeroize::Zeroize;

/// Octets that arrived, the oldest first. An empty buffer has no allocation.
#[derive(Default)]
pub(super) struct Plaintext {
    /// The first `taken` octets are wiped, and so is the unused part after the last one.
    octets: Vec<u8>,
    taken: usize,
}

impl Plaintext {
    /// The octets that were not consumed yet.
    pub(super) fn waiting(&self) -> &[u8] {
        self.octets.get(self.taken..).unwrap_or_default()
    }

    /// Adds octets that arrived.
    pub(super) fn append(&mut self, more: &[u8]) {
        let waiting = self.waiting();
        let needed = waiting.len() + more.len();
        // `reserve` and `drain` would leave octets at their old place.
        if self.taken > 0 || needed > self.octets.capacity() {
            let mut octets = Vec::with_capacity(needed.max(2 * waiting.len()));
            octets.extend_from_slice(waiting);
            *self = Plaintext { octets, taken: 0 };
        }
        self.octets.extend_from_slice(more);
    }

    /// Consumes the first `n` octets.
    pub(super) fn take(&mut self, n: usize) {
        let end = self.octets.len().min(self.taken.saturating_add(n));
        self.octets.get_mut(self.taken..end).unwrap_or_default().zeroize();
        self.taken = end;
        if end == self.octets.len() {
            *self = Plaintext::default();
        }
    }

    /// Keeps the first `first` and the last `last` of the unconsumed octets and drops those between.
    pub(super) fn forget_between(&mut self, first: usize, last: usize) {
        let len = self.octets.len();
        let start = self.taken.saturating_add(first);
        let end = len.saturating_sub(last);
        if start < end {
            self.octets.copy_within(end.., start);
            let kept = start + (len - end);
            self.octets.get_mut(kept..).unwrap_or_default().zeroize();
            self.octets.truncate(kept);
        }
    }

    /// The place of the buffer in memory.
    #[cfg(test)]
    pub(super) fn place(&self) -> crate::wiping::tests::Place {
        crate::wiping::tests::Place::of(&self.octets)
    }

    /// Octets of memory that it takes.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.octets.capacity()
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        // The slice is wiped in one fill; zeroize wipes a `Vec` octet by octet, which is slow.
        self.octets.get_mut(self.taken..).unwrap_or_default().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiping::tests::Place;

    #[test]
    fn octets_come_out_in_the_order_they_went_in() {
        let sent: Vec<u8> = (0..10_000_u32).map(|i| (i % 251) as u8).collect();
        let (mut plain, mut received) = (Plaintext::default(), Vec::new());
        for (round, piece) in sent.chunks(97).enumerate() {
            plain.append(piece);
            let n = (round * 31 % 150).min(plain.waiting().len());
            received.extend_from_slice(&plain.waiting()[..n]);
            plain.take(n);
        }
        received.extend_from_slice(plain.waiting());
        assert!(received == sent);
        plain.take(usize::MAX);
        assert_eq!((plain.waiting(), plain.capacity()), (&b""[..], 0));
    }

    /// Catches: a buffer that copies all its octets for every new one.
    #[test]
    fn it_grows_by_doubling() {
        let (mut plain, mut moves, mut before) = (Plaintext::default(), 0, 0);
        for _ in 0..100_000 {
            plain.append(b"x");
            moves += usize::from(plain.capacity() != before);
            before = plain.capacity();
        }
        assert!(moves < 20 && before < 200_000, "{moves} moves to {before}");
    }

    /// Catches: octets that stay in memory where they were consumed, where the buffer grew, was moved to the front or
    /// cut, and where it was freed.
    #[test]
    fn what_was_taken_or_moved_is_wiped() {
        // The secret is far from both ends: the allocator writes into freed memory, too.
        let line = [&[b'-'; 500][..], b"secret", &[b'-'; 500]].concat();
        let holding = || {
            let mut plain = Plaintext::default();
            plain.append(&line);
            let place = Place::of(&plain.octets);
            assert!(place.holds(b"secret"));
            (plain, place)
        };
        let (mut plain, place) = holding();
        plain.take(800);
        assert!(!place.holds(b"secret"), "taken");

        let (mut plain, place) = holding();
        plain.take(usize::MAX);
        assert!(!place.holds(b"secret"), "taken with all others");

        let (mut plain, place) = holding();
        plain.append(&[b'+'; 5000]);
        assert!(!place.holds(b"secret"), "grown");
        assert!(Place::of(&plain.octets).holds(b"secret"));

        let (mut plain, place) = holding();
        plain.take(300);
        plain.append(b"+");
        assert!(!place.holds(b"secret"), "moved");
        assert!(Place::of(&plain.octets).holds(b"secret"));

        let (mut plain, place) = holding();
        plain.forget_between(300, 2);
        assert_eq!(plain.waiting(), [&line[..300], &line[line.len() - 2..]].concat());
        assert!(!place.holds(b"secret"), "cut");

        let (plain, place) = holding();
        drop(plain);
        assert!(!place.holds(b"secret"), "given back");
    }
}
