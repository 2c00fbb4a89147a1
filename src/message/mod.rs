//! Internet messages (RFC 5322, RFC 2045) read in pieces: nothing here holds a whole message.

pub mod compose;
pub mod date;

/// What the store keeps beside each message: the summary of the message that begins with `head`
/// (at most 64 KiB of it), so that ENVELOPE and header searches need not open the body.
pub fn summarize(_head: &[u8]) -> Vec<u8> {
    todo!()
}
