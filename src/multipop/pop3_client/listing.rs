//! A server's list of messages in little memory: numbers are small and each counts once, since a server numbers its messages
//! from 1 (RFC 1939 section 4). A million of them cost less than 4 MiB.

use super::maildrop::Number;

/// Messages that a listing may have.
pub const LISTING_LIMIT: usize = 1_000_000;
/// Sizes in a piece: they are not moved when more come.
const PIECE: usize = 4096;

/// The size of each message.
#[derive(Debug, Default)]
pub struct Listing {
    /// One more than the size, 0 for a message that is not listed.
    sizes: Vec<Box<[u32; PIECE]>>,
}

impl Listing {
    /// A line of LIST: whether there is room for it.
    pub fn note(&mut self, number: Number, size: u64) -> bool {
        let at = number as usize;
        if at > LISTING_LIMIT {
            return false;
        }
        while self.sizes.len() <= at / PIECE {
            self.sizes.push(Box::new([0; PIECE]));
        }
        let size = u32::try_from(size).unwrap_or(u32::MAX).saturating_add(1);
        if let Some(place) = self.sizes.get_mut(at / PIECE).and_then(|piece| piece.get_mut(at % PIECE)) {
            *place = size;
        }
        true
    }

    /// Octets of a message; 0 where nothing is known.
    pub fn size(&self, number: Number) -> u64 {
        self.listed(number as usize).unwrap_or(0)
    }

    /// The listed messages with their sizes, in order, in pieces.
    pub fn pieces(&self) -> impl Iterator<Item = impl Iterator<Item = (Number, u64)>> {
        (0..self.sizes.len()).map(|piece| {
            let numbers = piece * PIECE..(piece + 1) * PIECE;
            // They are below the limit.
            numbers.filter_map(|at| Some((at as Number, self.listed(at)?)))
        })
    }

    fn listed(&self, at: usize) -> Option<u64> {
        let size = *self.sizes.get(at / PIECE)?.get(at % PIECE)?;
        size.checked_sub(1).map(u64::from)
    }
}

/// A set of message numbers, each of which takes a bit.
#[derive(Debug, Default)]
pub struct Numbers {
    bits: Vec<u64>,
    /// Words at the beginning in which nothing is left.
    empty: usize,
}

impl Numbers {
    /// Puts in a number: whether there is room for it.
    pub fn insert(&mut self, number: Number) -> bool {
        let at = number as usize;
        if at > LISTING_LIMIT {
            return false;
        }
        if self.bits.len() <= at / 64 {
            self.bits.resize(at / 64 + 1, 0);
        }
        if let Some(word) = self.bits.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
        self.empty = self.empty.min(at / 64);
        true
    }

    /// Takes out the lowest one.
    pub fn pop_first(&mut self) -> Option<Number> {
        while let Some(word) = self.bits.get_mut(self.empty) {
            if *word != 0 {
                let bit = word.trailing_zeros();
                *word &= *word - 1;
                return Some(self.empty as Number * 64 + bit);
            }
            self.empty += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_numbers_come_out_as_they_went_in() {
        let (mut listing, mut numbers) = (Listing::default(), Numbers::default());
        for (number, size) in [(1, 120), (4096, 0), (5000, u64::MAX), (64, 7)] {
            assert!(listing.note(number, size) && numbers.insert(number));
        }
        assert_eq!(listing.size(1), 120);
        assert_eq!((listing.size(2), listing.size(4_000_000_000)), (0, 0));
        let all: Vec<_> = listing.pieces().flatten().collect();
        assert_eq!(all, [(1, 120), (64, 7), (4096, 0), (5000, u64::from(u32::MAX) - 1)]);
        let taken: Vec<_> = std::iter::from_fn(|| numbers.pop_first()).collect();
        assert_eq!(taken, [1, 64, 4096, 5000]);
        assert!(numbers.insert(3) && numbers.pop_first() == Some(3));
    }

    /// Catches: a list whose memory grows with what a server writes into its lines.
    #[test]
    fn a_million_messages_cost_less_than_4_mib_and_no_number_costs_more() {
        let (mut listing, mut numbers) = (Listing::default(), Numbers::default());
        for number in (1..=LISTING_LIMIT as Number).chain(1..=LISTING_LIMIT as Number) {
            assert!(listing.note(number, 1) && numbers.insert(number));
        }
        for number in [LISTING_LIMIT as Number + 1, Number::MAX] {
            assert!(!listing.note(number, 1) && !numbers.insert(number));
        }
        let pieces = listing.sizes.len() * (size_of::<[u32; PIECE]>() + 16);
        let octets = pieces + listing.sizes.capacity() * size_of::<usize>() + numbers.bits.capacity() * 8;
        assert!(octets < 4 << 20, "{octets} octets");
    }
}
