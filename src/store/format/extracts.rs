//! The parts of a file of extracts, each the head of a frame whose body is the extracts themselves. Pure values in postcard
//! form.

#![allow(missing_docs, reason = "fields have the names under which the store's other types document them")]

use serde::{Deserialize, Serialize};

use super::Message;

/// What a file of extracts is made of. Variants are only ever appended: their order is the format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Part {
    /// Extracts that were made in the way of this number, and whose they are, in the order of their octets.
    Extracts { version: u8, entries: Vec<Entry> },
}

/// Whose an extract is: the Body record's offset in the segment, what its message is known by, and octets of the extract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub offset: u32,
    pub whose: u32,
    pub octets: u32,
}

/// What a message is known by besides its place: the CRC-32C of its body's number, its octets and its INTERNALDATE, each
/// little-endian.
pub fn whose(message: &Message) -> u32 {
    let Message { body, size, date, .. } = *message;
    // In one go, for lists ask it of each message.
    let numbers = u128::from(body) | u128::from(size) << 32 | u128::from(date.get().cast_unsigned()) << 64;
    crc32c::crc32c(&numbers.to_le_bytes())
}
