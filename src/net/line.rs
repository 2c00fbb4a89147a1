//! Lines with a limit.

use std::io;

use super::stream::Stream;

/// How reading a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// The line is whole, its CRLF (or LF) taken off.
    Complete,
    /// It was longer than the limit: all of it was skipped, the buffer holds its beginning.
    TooLong,
    /// The other end closed; what came after the last line end is in the buffer.
    Closed,
}

/// Reads one line of at most `limit` octets into `line`, which is cleared first.
/// Dropping the future and calling again loses nothing as long as `line` is kept.
///
/// # Errors
/// What the connection says.
pub async fn read_line(_stream: &mut Stream, _line: &mut Vec<u8>, _limit: usize) -> io::Result<LineEnd> {
    todo!()
}
