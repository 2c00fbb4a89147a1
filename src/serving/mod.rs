//! What the servers have in common: by which way a client comes in, and what that allows.

mod channel;

pub use channel::Channel;
