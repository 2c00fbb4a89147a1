//! FETCH responses (RFC 3501 section 7.4.2).

use std::io;

use super::command::FetchItem;
use crate::net::stream::Stream;
use crate::store::{Account, Message};

/// A message and what the session knows of it.
pub struct Fetched<'a> {
    /// Its sequence number.
    pub seq: u32,
    /// From the index.
    pub message: Message,
    /// Its flags in their parentheses, `\Recent` included, for [`FetchItem::Flags`].
    pub flags: &'a str,
}

/// Writes one untagged FETCH response with `items` in their order, in pieces, never holding a whole
/// message. `false`: part of the message could not be read from flash (which is logged), NIL or fewer
/// octets padded with spaces stand in its place, and the command ends with NO.
///
/// # Errors
/// What the connection says.
pub async fn write(
    _stream: &mut Stream,
    _account: &Account,
    _fetched: Fetched<'_>,
    _items: &[FetchItem],
) -> io::Result<bool> {
    todo!()
}
