//! Octets that may be a password leave no copy of themselves in memory.
//!
//! A [`zeroize::Zeroizing`] wipes where its octets are in the end. A `Vec` that grows has left them elsewhere before that.

use zeroize::Zeroize;

/// Adds `more` to `octets`, which grow by doubling: where they were is wiped before it is given back.
pub fn append(octets: &mut Vec<u8>, more: &[u8]) {
    let needed = octets.len() + more.len();
    if needed > octets.capacity() {
        let mut larger = Vec::with_capacity(needed.max(2 * octets.len()));
        larger.extend_from_slice(octets);
        octets.as_mut_slice().zeroize();
        *octets = larger;
    }
    octets.extend_from_slice(more);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    /// Where a buffer is, its spare room included; what is there can be looked at after it was given back, too.
    pub(crate) struct Place(u64, usize);

    impl Place {
        pub(crate) fn of(octets: &Vec<u8>) -> Place {
            Place(octets.as_ptr() as u64, octets.capacity())
        }
        /// Whether `secret` is there now.
        pub(crate) fn holds(&self, secret: &[u8]) -> bool {
            // Not from the heap, which would give the very place that was given back.
            let mut octets = [0; 1 << 16];
            let octets = &mut octets[..self.1];
            let memory = std::fs::File::open("/proc/self/mem").unwrap();
            // What is no memory any longer holds nothing.
            memory.read_exact_at(octets, self.0).is_ok()
                && octets.windows(secret.len()).any(|window| window == secret)
        }
    }

    /// Catches: octets that stay where they were before the buffer grew, and one that is copied whenever octets come.
    #[test]
    fn what_grows_leaves_nothing_behind() {
        // Far enough from both ends: the allocator writes into what was given back, too.
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
