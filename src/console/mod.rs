//! The operator's console: on the unix socket `console.sock` in the data folder and on a serial line.
//!
//! `table` holds the commands, [`command`] their grammar, [`session`] what they do to a candidate copy of the settings, [`mod@line`] the
//! keys; none of these does any I/O. `terminal` moves the octets, for [`socket`] and [`serial`]. [`client`] is the
//! other side of the socket, for the verbs of the command line. What is done is [`crate::operator`]'s.

pub mod backup;
mod card;
pub mod client;
mod columns;
pub mod command;
mod connect;
mod device;
mod editing;
mod follow;
pub mod line;
mod login;
mod looks;
pub mod mail;
mod permission;
mod probe;
pub mod queue;
mod restore;
mod secret;
pub mod serial;
pub mod session;
mod show;
pub mod socket;
mod sources;
pub mod state;
mod table;
mod terminal;
mod trial;
pub mod unclaimed;
mod width;
mod work;

/// The socket's name in the data folder.
pub const SOCKET: &str = "console.sock";

#[cfg(test)]
mod tests;
