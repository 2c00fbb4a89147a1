//! What the other end said, in the clear, until it is read.
//!
//! A password may be in it. So octets are wiped as they are taken, and neither growth, nor moving, nor giving back
//! the buffer leaves a copy of them in memory.

use zeroize::Zeroize;

/// Octets that arrived, the oldest first. It has no allocation while there are none.
#[derive(Default)]
pub(super) struct Plaintext {
    /// The first `taken` are wiped, and so is what lies behind the last one.
    octets: Vec<u8>,
    taken: usize,
}

impl Plaintext {
    /// What was not taken yet.
    pub(super) fn waiting(&self) -> &[u8] {
        self.octets.get(self.taken..).unwrap_or_default()
    }

    /// Adds what arrived.
    pub(super) fn append(&mut self, more: &[u8]) {
        let waiting = self.waiting();
        let needed = waiting.len() + more.len();
        // Neither `reserve` nor `drain`, which leave the octets behind where they were before.
        if self.taken > 0 || needed > self.octets.capacity() {
            let mut octets = Vec::with_capacity(needed.max(2 * waiting.len()));
            octets.extend_from_slice(waiting);
            *self = Plaintext { octets, taken: 0 };
        }
        self.octets.extend_from_slice(more);
    }

    /// Takes the first `n` of what waits.
    pub(super) fn take(&mut self, n: usize) {
        let end = self.octets.len().min(self.taken.saturating_add(n));
        self.octets.get_mut(self.taken..end).unwrap_or_default().zeroize();
        self.taken = end;
        if end == self.octets.len() {
            *self = Plaintext::default();
        }
    }

    /// Keeps the first `first` and the last `last` of what waits and forgets those between.
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

    /// Where it is.
    #[cfg(test)]
    pub(super) fn place(&self) -> crate::wiping::tests::Place {
        crate::wiping::tests::Place::of(&self.octets)
    }

    /// Octets of memory.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.octets.capacity()
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        // The slice, in one fill: of a `Vec` zeroize wipes octet by octet, which is slow.
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

    /// Catches: a buffer that copies all that it has for every octet that comes.
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

    /// Catches: octets that stay in memory where they were taken, where the buffer grew, was moved to the front or cut,
    /// and where it was given back.
    #[test]
    fn what_was_taken_or_moved_is_wiped() {
        // Far enough from both ends: the allocator writes into what was given back, too.
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
