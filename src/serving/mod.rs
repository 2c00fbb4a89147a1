//! What the servers have in common: by which way a client comes in and what that allows, and the frame of a dialog.

mod channel;
mod connection;

pub use channel::Channel;
pub use connection::{Connection, Dialog, Goodbye, Protocol, uncut, within};
