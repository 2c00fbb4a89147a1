//! SASL mechanisms (RFC 4422) on both sides, as state machines without I/O.
//!
//! They know the messages, not the accounts: [`crate::auth::Logins::judge`] decides whether a claim is true.

pub mod client;
pub mod md5;
mod scram;
pub mod server;

pub use scram::Proof;
