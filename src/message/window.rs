//! A window that slides over a message: the one place of this module that reads, in pieces of a fixed
//! size. It counts the line ends it leaves behind, since BODYSTRUCTURE wants to know them.

use std::io;
use std::ops::Range;

use memchr::{memchr, memchr_iter};

use crate::flash::ReadAt;

/// Octets read at a time: four pages of flash, and little enough for a stack of sessions.
pub const WINDOW: usize = 16 * 1024;

/// Octets that [`Window::fill`] can be asked for: a delimiter line with the longest boundary that is
/// honoured, or the name of a field.
pub const LOOKAHEAD: usize = 1024;

/// A part of a message, read from its beginning to its end.
pub struct Window<'a> {
    source: &'a dyn ReadAt,
    buf: Vec<u8>,
    /// What of `buf` was read and not passed yet.
    data: Range<usize>,
    /// Where in the source `data` ends.
    read: u64,
    limit: u64,
    line_ends: u64,
}

impl<'a> Window<'a> {
    /// At the beginning of `range`. What lies beyond the source's end counts as not there.
    pub fn new(source: &'a dyn ReadAt, range: Range<u64>) -> Window<'a> {
        let limit = range.end.max(range.start);
        Window { source, buf: Vec::new(), data: 0..0, read: range.start, limit, line_ends: 0 }
    }

    /// The offset in the source of what [`Window::fill`] gives.
    pub fn position(&self) -> u64 {
        self.read - self.data.len() as u64
    }

    /// Line ends (LF, with or without CR) that were passed.
    pub fn line_ends(&self) -> u64 {
        self.line_ends
    }

    /// What comes next: at least `want` octets (up to [`LOOKAHEAD`]) unless the end is nearer.
    ///
    /// # Errors
    /// What the source says.
    pub fn fill(&mut self, want: usize) -> io::Result<&[u8]> {
        while self.data.len() < want.min(LOOKAHEAD) && self.read < self.limit {
            self.slide();
            let room = &mut self.buf[self.data.end..];
            let n = self.source.read_at(self.read, room)?.min(room.len());
            if n == 0 {
                self.limit = self.read;
            }
            self.data.end += n;
            self.read += n as u64;
        }
        Ok(&self.buf[self.data.clone()])
    }

    /// Makes room behind what was not passed yet.
    fn slide(&mut self) {
        self.buf.copy_within(self.data.clone(), 0);
        self.data = 0..self.data.len();
        let left = usize::try_from(self.limit - self.read).unwrap_or(usize::MAX);
        self.buf.resize(self.data.len().saturating_add(left).min(WINDOW), 0);
    }

    /// Passes `n` octets of what [`Window::fill`] gave.
    pub fn advance(&mut self, n: usize) {
        let n = n.min(self.data.len());
        let passed = self.data.start..self.data.start + n;
        self.line_ends += memchr_iter(b'\n', &self.buf[passed]).count() as u64;
        self.data.start += n;
    }

    /// Passes the rest of a line with its end, handing its pieces to `take`. Gives the octets of the
    /// line end: 2, 1, or 0 at the end of the message.
    ///
    /// # Errors
    /// What the source says.
    pub fn line(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<u64> {
        let mut previous = None;
        loop {
            let data = self.fill(1)?;
            let Some(&last) = data.last() else { return Ok(0) };
            let end = memchr(b'\n', data);
            let n = end.map_or(data.len(), |at| at + 1);
            take(&data[..n]);
            let before = n.checked_sub(2).map_or(previous, |at| data.get(at).copied());
            self.advance(n);
            if end.is_some() {
                return Ok(if before == Some(b'\r') { 2 } else { 1 });
            }
            previous = Some(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one octet at a time.
    struct Trickle<'a>(&'a [u8]);
    impl ReadAt for Trickle<'_> {
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            let room = buf.len().min(1);
            self.0.read_at(offset, &mut buf[..room])
        }
    }

    #[test]
    fn lines_of_any_length_pass_whole() {
        let text = format!("one\r\n{}\n\nlast", "long ".repeat(WINDOW));
        for source in [&text.as_bytes() as &dyn ReadAt, &Trickle(text.as_bytes())] {
            let mut window = Window::new(source, 0..u64::MAX);
            let mut lines = Vec::new();
            while !window.fill(1).unwrap().is_empty() {
                let mut length = 0;
                window.line(|piece| length += piece.len()).unwrap();
                lines.push(length);
            }
            assert_eq!(lines, [5, 5 * WINDOW + 1, 1, 4]);
            assert_eq!((window.line_ends(), window.position()), (3, text.len() as u64));
        }
    }

    #[test]
    fn a_range_ends_where_it_ends() {
        let source = b"0123456789".as_slice();
        let mut window = Window::new(&source, 2..5);
        assert_eq!(window.fill(LOOKAHEAD).unwrap(), b"234");
        window.advance(99);
        assert_eq!(window.fill(1).unwrap(), b"");
        assert_eq!(window.position(), 5);
    }
}
