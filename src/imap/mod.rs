//! IMAP4rev1 (RFC 3501), which mail programs speak that keep their mail on the server, and IMAP4rev2 (RFC 9051), for
//! clients that enable it.
//!
//! [`wire`] parses the octets of one command into a [`wire::command::Command`] and writes responses, `state` is what
//! a session knows, `commands` holds what each command does, and [`server`] with the files beside it reads and writes
//! the connection. The extensions are those that `state::session` announces.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

mod commands;
mod execute;
mod input;
pub mod server;
mod state;
#[cfg(test)]
mod tests;
pub mod wire;

use crate::message::mailbox_name;
