//! The parts of a file of extracts, each the head of a frame whose body is the extracts themselves. Pure values in postcard
//! form.

#![allow(missing_docs, reason = "fields have the names under which the store's other types document them")]

use serde::{Deserialize, Serialize};

use super::Message;

/// A part of a file of extracts. Variants are only ever appended: their order is the format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Part {
    /// Extracts made in the version `version`, and the messages that they belong to, in the order of their octets.
    Extracts { version: u8, entries: Vec<Entry> },
}

/// The message that an extract belongs to: the offset of its Body record in the segment, the hash [`whose`] of the
/// message, and the octets of the extract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub offset: u32,
    pub whose: u32,
    pub octets: u32,
}

/// A hash that identifies a message besides its place: the CRC-32C of its body's number, its size in octets and its
/// INTERNALDATE, each little-endian.
pub fn whose(message: &Message) -> u32 {
    let Message { body, size, date, .. } = *message;
    // Hashed in one call, since lists ask for it for each message.
    let numbers = u128::from(body) | u128::from(size) << 32 | u128::from(date.get().cast_unsigned()) << 64;
    crc32c::crc32c(&numbers.to_le_bytes())
}
