//! What a POP3 server says to MultiPOP, from the greeting to the goodbye, whatever it was asked. Whatever it says, the account
//! takes mail afterwards, and a second poll of the same server brings nothing that it has already.

use super::imap_server::polls;
use crate::config::Protocol;

/// One input.
pub fn run(octets: &[u8]) {
    polls(Protocol::Pop3, octets);
}
