//! IMAP4rev1 (RFC 3501): what mail programs that keep their mail on the server speak.
//!
//! [`parse`] turns the octets of one command into a [`command::Command`], the session decides what it
//! means, and the server beside it moves the octets. The extensions are IDLE (RFC 2177),
//! NAMESPACE (RFC 2342), ID (RFC 2971), UNSELECT (RFC 3691), UIDPLUS (RFC 4315), SASL-IR (RFC 4959),
//! METADATA (RFC 5464), SPECIAL-USE (RFC 6154), MOVE (RFC 6851) and LITERAL+ (RFC 7888).

mod append;
pub mod command;
mod connector;
mod effect;
mod execute;
pub mod fetch;
pub mod field_names;
pub mod gather;
mod idle;
mod input;
pub mod list;
mod mailboxes;
mod metadata;
mod opened;
pub mod parse;
mod pattern;
mod reply;
pub mod search;
mod section;
mod selected;
pub mod sequence;
pub mod server;
mod session;
#[cfg(test)]
mod tests;
mod updates;
pub mod view;

use crate::message::mailbox_name;
