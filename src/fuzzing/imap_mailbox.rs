//! A server of IMAP and what it is asked, by turns: capabilities, folders by pattern, lists, messages, deletions, IDLE. However
//! what it says is cut into pieces it means the same, and no name that it gives makes two commands of one.

use crate::multipop::played;

/// One input.
pub fn run(octets: &[u8]) {
    assert_eq!(played(octets, octets.len().max(1)), played(octets, 1));
}
