//! A server's list of messages in little memory. Message numbers are small and each counts once, since a server
//! numbers its messages from 1 (RFC 1939 section 4). A million of them cost less than 4 MiB.

use crate::multipop::collection::Handle;

/// Sizes in one allocation: allocations are not moved when the list grows.
const PIECE: usize = 4096;

/// The size of each message.
#[derive(Debug, Default)]
pub struct Listing {
    /// For each message number one more than the size; 0 for a message that is not listed.
    sizes: Vec<Box<[u32; PIECE]>>,
    last: Handle,
    len: u32,
}

impl Listing {
    /// Notes a line of LIST, whose number is [`super::LISTING_LIMIT`] at the most.
    pub fn note(&mut self, number: Handle, size: u64) {
        let at = number as usize;
        while self.sizes.len() <= at / PIECE {
            self.sizes.push(Box::new([0; PIECE]));
        }
        let size = u32::try_from(size).unwrap_or(u32::MAX).saturating_add(1);
        if let Some(place) = self.sizes.get_mut(at / PIECE).and_then(|piece| piece.get_mut(at % PIECE)) {
            self.len += u32::from(*place == 0);
            *place = size;
        }
        self.last = self.last.max(number);
    }

    /// How many messages are listed.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// The highest number that is listed.
    pub fn last(&self) -> Handle {
        self.last
    }

    /// Octets of a message; 0 if the message is not listed.
    pub fn size(&self, number: Handle) -> u64 {
        self.listed(number).unwrap_or(0)
    }

    /// Octets of a message, if it is listed.
    pub fn listed(&self, number: Handle) -> Option<u64> {
        let at = number as usize;
        let size = *self.sizes.get(at / PIECE)?.get(at % PIECE)?;
        size.checked_sub(1).map(u64::from)
    }
}

#[cfg(test)]
mod tests {
    use super::super::LISTING_LIMIT;
    use super::*;

    #[test]
    fn sizes_come_out_as_they_went_in() {
        let mut listing = Listing::default();
        for (number, size) in [(1, 120), (4096, 0), (5000, u64::MAX), (64, 7)] {
            listing.note(number, size);
        }
        let all: Vec<_> = (0..=listing.last()).filter_map(|n| Some((n, listing.listed(n)?))).collect();
        assert_eq!(all, [(1, 120), (64, 7), (4096, 0), (5000, u64::from(u32::MAX) - 1)]);
        assert_eq!((listing.size(1), listing.size(2), listing.size(Handle::MAX)), (120, 0, 0));
    }

    /// Catches: a list whose memory depends on the sizes or the repeated lines that a server sends.
    #[test]
    fn a_million_messages_cost_less_than_4_mib() {
        let mut listing = Listing::default();
        for number in (1..=LISTING_LIMIT).chain(1..=LISTING_LIMIT) {
            listing.note(number, 1);
        }
        let pieces = listing.sizes.len() * (size_of::<[u32; PIECE]>() + 16);
        let octets = pieces + listing.sizes.capacity() * size_of::<usize>();
        assert!(octets < 4 << 20, "{octets} octets");
    }
}
