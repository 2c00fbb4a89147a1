//! Octets that may be a password, without copies left in memory.
//!
//! A [`zeroize::Zeroizing`] wipes its octets where they are at the end. A `Vec` that has grown has left copies at
//! earlier places.

use zeroize::Zeroize;

/// Adds `more` to `octets`, which grow by doubling. The old place is wiped before it is freed.
pub fn append(octets: &mut Vec<u8>, more: &[u8]) {
    let needed = octets.len() + more.len();
    if needed > octets.capacity() {
        reserve(octets, needed.max(2 * octets.len()));
    }
    octets.extend_from_slice(more);
}

/// Makes room for so many octets in all. The old place is wiped before it is freed.
pub fn reserve(octets: &mut Vec<u8>, room: usize) {
    if room > octets.capacity() {
        let mut larger = Vec::with_capacity(room);
        larger.extend_from_slice(octets);
        octets.as_mut_slice().zeroize();
        *octets = larger;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    /// The place of a buffer in memory, with its spare room. It can also be read after the buffer was freed.
    pub(crate) struct Place(u64, usize);

    impl Place {
        pub(crate) fn of(octets: &Vec<u8>) -> Place {
            Place(octets.as_ptr() as u64, octets.capacity())
        }
        /// Whether `secret` is there now.
        pub(crate) fn holds(&self, secret: &[u8]) -> bool {
            // Not on the heap, which would give the very place that was freed.
            let mut octets = [0; 1 << 16];
            let octets = &mut octets[..self.1];
            let memory = std::fs::File::open("/proc/self/mem").unwrap();
            // Unmapped memory holds nothing.
            memory.read_exact_at(octets, self.0).is_ok()
                && octets.windows(secret.len()).any(|window| window == secret)
        }
    }

    /// Catches: octets that stay at the old place after the buffer grew, and a buffer that is copied whenever octets
    /// come.
    #[test]
    fn what_grows_leaves_nothing_behind() {
        // The secret is far from both ends: the allocator writes into freed memory, too.
        let mut octets = [&[b'-'; 500][..], b"secret", &[b'-'; 500]].concat();
        let before = Place::of(&octets);
        assert!(before.holds(b"secret"));
        append(&mut octets, &[b'+'; 5000]);
        assert!(!before.holds(b"secret") && Place::of(&octets).holds(b"secret"));

        let (mut octets, mut moves, mut before) = (Vec::new(), 0, 0);
        for _ in 0..100_000 {
            append(&mut octets, b"x");
            moves += usize::from(octets.capacity() != before);
            before = octets.capacity();
        }
        assert!(octets.len() == 100_000 && moves < 20 && before < 200_000, "{moves} moves to {before}");
    }
}
