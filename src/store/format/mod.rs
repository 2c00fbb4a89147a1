//! Every octet of the mail store on flash: pure values and their encoding, no I/O, no state.
//!
//! `docs/store.md` describes the same to the byte, and a golden line for each variant fixes its octets
//! (`goldens.rs`): variants are appended, and never changed.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

pub mod checkpoint;
pub mod extracts;
pub mod frame;
#[cfg(test)]
mod goldens;
mod last_line;
pub mod record;
pub mod segment;
mod value;

pub use last_line::LastLine;
pub use value::{
    FlagChange, Flags, INBOX, IdentityHash, MailboxId, Message, NO_MAILBOX, Place, SourceKey, Uid, UidRanges,
    Uids, UnixTime, in_file, is_within,
};
