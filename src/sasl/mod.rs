//! SASL mechanisms (RFC 4422) on both sides, as state machines without I/O.
//!
//! They know the messages, not the accounts: [`crate::auth::Logins::judge`] decides whether a claim is true.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

pub mod client;
pub mod md5;
mod scram;
pub mod server;

pub use scram::Proof;
