//! IMAP4rev1 (RFC 3501): what mail programs that keep their mail on the server speak; and IMAP4rev2 (RFC 9051), which is for
//! those that ask for it.
//!
//! [`wire`] turns the octets of one command into a [`wire::command::Command`] and back, `state` is what the session knows,
//! `commands` says what each command does, and the [`server`] with the files beside it moves the octets. The extensions are
//! those that `state::session` announces.
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
