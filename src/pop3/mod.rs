//! POP3 (RFC 1939), with CAPA (RFC 2449), STLS (RFC 2595), AUTH (RFC 5034), UTF8 and LANG (RFC 6856).
//!
//! A session sees the INBOX as it was at the login. Its deletions are made at QUIT, all in one commit or none; a
//! connection that breaks before that deletes nothing.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

pub mod command;
mod maildrop;
mod reply;
pub mod server;
mod session;
mod stuffing;
