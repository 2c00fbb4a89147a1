//! What the servers share: the properties of a client's connection, and the frame of a dialog.

mod channel;
mod connection;

pub use channel::Channel;
pub use connection::{Connection, Dialog, Goodbye, Protocol, uncut, within};
