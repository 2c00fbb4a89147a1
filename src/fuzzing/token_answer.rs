//! What a token server says, from the first octet of HTTP to the last brace of JSON. However it is cut into pieces it means the
//! same, and what is shown of it is fit for a terminal.

use crate::oauth2::heard;

/// One input.
pub fn run(octets: &[u8]) {
    let whole = heard(octets, octets.len().max(1));
    assert_eq!(whole, heard(octets, 1));
    assert!(whole.iter().all(|words| !words.contains(char::is_control)), "{whole:?}");
}
