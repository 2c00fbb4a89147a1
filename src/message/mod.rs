//! Internet messages (RFC 5322, RFC 2045) read in pieces: nothing here holds a whole message.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

pub mod address;
pub mod base_subject;
pub mod binary;
mod block;
pub mod bodystructure;
mod boundary;
mod charset;
pub mod collation;
pub mod compose;
pub mod date;
pub mod encoded_word;
pub mod envelope;
pub mod first_address;
pub mod fold;
pub mod header;
pub mod mailbox_name;
pub mod message_id;
pub mod mime;
pub mod nstring;
mod parameters;
pub mod preview;
pub mod recode;
mod references;
pub mod search;
pub mod signature;
pub mod summary;
mod texts;
mod transfer;
mod window;

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod tests;
