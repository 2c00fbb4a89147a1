//! IMAP4rev1 (RFC 3501): what mail programs that keep their mail on the server speak.
//!
//! [`wire`] turns the octets of one command into a [`wire::command::Command`] and back, `state` is what the session knows,
//! `commands` says what each command does, and the [`server`] with the files beside it moves the octets. The extensions are IDLE (RFC 2177),
//! NAMESPACE (RFC 2342), ID (RFC 2971), UNSELECT (RFC 3691), UIDPLUS (RFC 4315), SASL-IR (RFC 4959),
//! METADATA (RFC 5464), SPECIAL-USE (RFC 6154), MOVE (RFC 6851), LITERAL+ (RFC 7888), MULTIAPPEND (RFC 3502), CATENATE (RFC 4469) and REPLACE (RFC 8508).

mod commands;
mod execute;
mod input;
pub mod server;
mod state;
#[cfg(test)]
mod tests;
pub mod wire;

use crate::message::mailbox_name;
