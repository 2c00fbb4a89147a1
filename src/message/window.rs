//! A window that slides over a message. Nothing else in this module reads a message, and the window reads it in
//! pieces of a fixed size. It counts the line ends that it has passed, since BODYSTRUCTURE needs them.

use std::io;
use std::ops::Range;

use memchr::{memchr, memchr_iter};

use crate::flash::ReadAt;

/// Octets that are read at a time: four pages of flash, and few enough for many sessions at once.
pub const WINDOW: usize = 16 * 1024;

/// Octets that [`Window::fill`] can be asked for: a delimiter line with the longest allowed boundary, or the name of
/// a field.
pub const LOOKAHEAD: usize = 1024;

/// A position of a window.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    position: u64,
    line_ends: u64,
}

/// A part of a message that is read from its beginning to its end.
pub struct Window<'a> {
    source: &'a dyn ReadAt,
    /// The whole source, when it is in memory: then nothing is copied into `buf`.
    whole: Option<&'a [u8]>,
    buf: Vec<u8>,
    /// The range of `whole` or `buf` that was read and not passed yet.
    data: Range<usize>,
    /// The offset in the source at which `data` ends.
    read: u64,
    limit: u64,
    line_ends: u64,
}

impl<'a> Window<'a> {
    /// A window at the beginning of `range`. The part of the range beyond the end of the source is ignored.
    pub fn new(source: &'a dyn ReadAt, range: Range<u64>) -> Window<'a> {
        let limit = range.end.max(range.start);
        let whole = source.in_memory();
        let start = whole.map_or(0, |whole| range.start.min(whole.len() as u64) as usize);
        Window { source, whole, buf: Vec::new(), data: start..start, read: range.start, limit, line_ends: 0 }
    }

    /// The offset in the source of the octets that [`Window::fill`] returns.
    pub fn position(&self) -> u64 {
        self.read - self.data.len() as u64
    }

    /// How many line ends (LF, with or without CR) were passed.
    pub fn line_ends(&self) -> u64 {
        self.line_ends
    }

    /// The next octets: at least `want` (up to [`LOOKAHEAD`]), unless the end comes before.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn fill(&mut self, want: usize) -> io::Result<&[u8]> {
        while self.data.len() < want.min(LOOKAHEAD) && self.read < self.limit {
            let left = usize::try_from(self.limit - self.read).unwrap_or(usize::MAX);
            let room = left.min(WINDOW - self.data.len());
            let n = match self.whole {
                Some(whole) => room.min(whole.len() - self.data.end),
                None => self.read(room)?,
            };
            if n == 0 {
                self.limit = self.read;
            }
            self.data.end += n;
            self.read += n as u64;
        }
        Ok(self.octets().get(self.data.clone()).unwrap_or_default())
    }

    /// The octets that `data` is a range of.
    fn octets(&self) -> &[u8] {
        self.whole.unwrap_or(&self.buf)
    }

    /// Reads up to `room` octets after those that were not passed yet, which are moved to the beginning of `buf`.
    fn read(&mut self, room: usize) -> io::Result<usize> {
        self.buf.copy_within(self.data.clone(), 0);
        self.data = 0..self.data.len();
        if self.buf.is_empty() {
            // It never needs to be longer than now.
            self.buf = vec![0; room];
        }
        let room = self.buf.get_mut(self.data.end..self.data.end + room).unwrap_or_default();
        Ok(self.source.read_at(self.read, room)?.min(room.len()))
    }

    /// Passes `n` of the octets that [`Window::fill`] returned.
    pub fn advance(&mut self, n: usize) {
        let n = n.min(self.data.len());
        let passed = self.data.start..self.data.start + n;
        self.line_ends += memchr_iter(b'\n', self.octets().get(passed).unwrap_or_default()).count() as u64;
        self.data.start += n;
    }

    /// The position of the window.
    pub fn place(&self) -> Place {
        Place { position: self.position(), line_ends: self.line_ends }
    }

    /// Goes back to an earlier position, from which the octets are read again.
    pub fn go_back(&mut self, place: Place) {
        // When the source is in memory, offsets in it are those of the source.
        let at = self.whole.map_or(0, |whole| place.position.min(whole.len() as u64) as usize);
        self.data = at..at;
        self.read = place.position;
        self.line_ends = place.line_ends;
    }

    /// Passes the rest of a line with its end, and hands its pieces to `take`. Returns the octets of the line end: 2,
    /// 1, 3 for the CR CR LF of scanners, or 0 at the end of the message.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn line(&mut self, take: impl FnMut(&[u8])) -> io::Result<u64> {
        self.line_within(u64::MAX, take).map(Option::unwrap_or_default)
    }

    /// As [`Window::line`]; `None` when the line goes beyond the offset `end`. Then less than a window after `end`
    /// was read.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn line_within(&mut self, end: u64, mut take: impl FnMut(&[u8])) -> io::Result<Option<u64>> {
        // The last octets of the line so far.
        let mut tail = [0; 2];
        loop {
            let data = self.fill(1)?;
            if data.is_empty() {
                return Ok(Some(0));
            }
            let line_end = memchr(b'\n', data);
            let n = line_end.map_or(data.len(), |at| at + 1);
            take(data.get(..n).unwrap_or(data));
            let text = data.get(..line_end.unwrap_or(n)).unwrap_or(data);
            for &b in text.get(text.len().saturating_sub(2)..).unwrap_or_default() {
                tail = [tail[1], b];
            }
            self.data.start += n;
            self.line_ends += u64::from(line_end.is_some());
            if self.position() > end {
                return Ok(None);
            }
            if line_end.is_some() {
                return Ok(Some(line_end_length(&tail)));
            }
        }
    }
}

/// The octets of the line end whose LF follows `text`. CR CR LF counts as one line end, since scanners write it.
pub fn line_end_length(text: &[u8]) -> u64 {
    match text {
        [.., b'\r', b'\r'] => 3,
        [.., b'\r'] => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that returns one octet at a time.
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
        let text = format!("one\r\n{}\n\n\r\r\nlast", "long ".repeat(WINDOW));
        for source in [&text.as_bytes() as &dyn ReadAt, &Trickle(text.as_bytes())] {
            let mut window = Window::new(source, 0..u64::MAX);
            let mut lines = Vec::new();
            while !window.fill(1).unwrap().is_empty() {
                let mut length = 0;
                let line_end = window.line(|piece| length += piece.len()).unwrap();
                lines.push((length, line_end));
            }
            assert_eq!(lines, [(5, 2), (5 * WINDOW + 1, 1), (1, 1), (3, 3), (4, 0)]);
            assert_eq!((window.line_ends(), window.position()), (4, text.len() as u64));
        }
    }

    #[test]
    fn a_range_ends_where_it_ends() {
        let octets = b"0123456789".as_slice();
        for source in [&octets as &dyn ReadAt, &Trickle(octets)] {
            for (range, expected) in
                [(2..5, "234"), (8..99, "89"), (10..12, ""), (50..60, ""), (0..u64::MAX, "0123456789")]
            {
                let mut window = Window::new(source, range.clone());
                assert_eq!(window.fill(LOOKAHEAD).unwrap(), expected.as_bytes());
                window.advance(99);
                assert_eq!(window.fill(1).unwrap(), b"");
                assert_eq!(window.position(), range.start + expected.len() as u64);
            }
        }
    }

    #[test]
    fn what_is_in_memory_is_seen_in_pieces_too() {
        let octets = &*vec![b'x'; 3 * WINDOW];
        let mut window = Window::new(&octets, 1..u64::MAX);
        for _ in 0..2 {
            assert_eq!(window.fill(1).unwrap().len(), WINDOW);
            window.advance(WINDOW);
        }
        assert_eq!(window.fill(1).unwrap().len(), WINDOW - 1);
    }
}
