//! The fast path for a short header block that is in memory, as summaries and most messages in the log are.
//! [`super::header::Fields`] does the same for blocks that come in pieces. Both find the same fields.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};

use super::header::{MOST_FIELDS, empty_line};
use super::window::WINDOW;
use crate::flash::ReadAt;

/// Iterates over the fields of a block: their names, and the text after the colons including line ends.
pub struct Block<'a> {
    rest: &'a [u8],
    passed: usize,
}

impl<'a> Block<'a> {
    /// The block at `header`, which must not be in a multipart; `None` when it is not in memory, or may be longer
    /// than a [`Window`](super::window::Window) holds at once.
    pub fn of(source: &'a dyn ReadAt, header: &Range<u64>) -> Option<Block<'a>> {
        let whole = source.in_memory()?;
        let end = header.end.min(whole.len() as u64);
        let rest = whole.get(usize::try_from(header.start.min(end)).ok()?..usize::try_from(end).ok()?)?;
        (rest.len() <= WINDOW).then_some(Block { rest, passed: 0 })
    }
}

impl<'a> Iterator for Block<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let text = self.rest;
        if text.is_empty() || empty_line(text).is_some() || self.passed == MOST_FIELDS {
            return None;
        }
        self.passed += 1;
        let stop = memchr2(b':', b'\n', text).unwrap_or(text.len());
        let mut end = stop;
        loop {
            let rest = text.get(end..).unwrap_or_default();
            end += memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            if !matches!(text.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (field, rest) = text.split_at(end.min(text.len()));
        self.rest = rest;
        Some(match field.split_at_checked(stop) {
            Some((name, [b':', value @ ..])) => (name.trim_ascii_end(), value),
            _ => (&[], field),
        })
    }
}

/// The text after a colon, unfolded and without the blanks around it.
pub fn unfolded(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr2(b'\r', b'\n', value).is_none() {
        return value.into();
    }
    let mut out = Vec::with_capacity(value.len());
    Unfolding::default().unfold(value, usize::MAX, &mut out);
    out.into()
}

/// Removes line ends from a field's text that comes in pieces. A CR that is in no line end stands for a blank: what is
/// before it and what is behind it are not one word.
#[derive(Default)]
pub struct Unfolding {
    /// Whether a CR came last.
    cr: bool,
}

impl Unfolding {
    /// Appends `piece`, as far as `out` has at most `room` octets then.
    pub fn unfold(&mut self, piece: &[u8], room: usize, out: &mut Vec<u8>) {
        // In runs, since code that is built for size is slow in loops over octets.
        for line in piece.split_inclusive(|b| matches!(b, b'\r' | b'\n')) {
            let (run, end) = match line {
                [run @ .., end @ (b'\r' | b'\n')] => (run, Some(*end)),
                run => (run, None),
            };
            if !run.is_empty() {
                let blank = std::mem::take(&mut self.cr) && out.len() < room;
                out.extend(blank.then_some(b' '));
                out.extend_from_slice(run.get(..room - out.len()).unwrap_or(run));
            }
            self.cr = end.map_or(self.cr, |end| end == b'\r');
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::*;

    use super::super::header::visit;
    use super::*;

    /// The same octets, as if they were read from flash.
    struct OnFlash<'a>(&'a [u8]);
    impl ReadAt for OnFlash<'_> {
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read_at(offset, buf)
        }
    }

    fn fields(source: &dyn ReadAt, range: Range<u64>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        let wanted = |name: &[u8]| !name.eq_ignore_ascii_case(b"b");
        let look = |name: &[u8], value: Cow<'_, [u8]>| {
            found.push((name.to_vec(), value.into_owned()));
            true
        };
        visit(source, range, usize::MAX, wanted, look).unwrap();
        found
    }

    proptest! {
        /// Catches: a fold, a line end of scanners, a line without a colon, a blank before the colon or an end of the
        /// block that the fast path treats differently.
        #[test]
        fn it_finds_what_the_long_way_finds(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("A"), Just("b"), Just(":"), Just(" "), Just("\t"), Just("\r\n"), Just("\n"), Just("\r"), Just("\n\n"),
                    Just("\x0c"), Just("Subject: x\r\n"), Just("--"), Just("\r\n y"), Just("A: c\n"), Just("\0\u{e9}"),
                ],
                0..60,
            ),
            start in 0..9_u64,
            end in 0..200_u64,
        ) {
            let text = pieces.concat();
            let source = text.as_bytes();
            prop_assert!(Block::of(&source, &(0..u64::MAX)).is_some());
            for range in [0..u64::MAX, start..u64::MAX, start..end, end..start] {
                prop_assert_eq!(fields(&source, range.clone()), fields(&OnFlash(source), range), "{:?}", text);
            }
        }
    }

    /// Catches: one field more, or one less, in a block with too many fields, and a block that is too long.
    #[test]
    fn it_ends_where_the_long_way_ends() {
        let many = "a:\n".repeat(MOST_FIELDS + 1);
        for text in [&*many, &many[3..], &many[6..]] {
            let source = text.as_bytes();
            assert!(Block::of(&source, &(0..u64::MAX)).is_some());
            assert_eq!(fields(&source, 0..u64::MAX), fields(&OnFlash(source), 0..u64::MAX));
        }
        let long = vec![b'x'; WINDOW + 1];
        assert!(Block::of(&&long[..], &(0..u64::MAX)).is_none());
        assert!(Block::of(&&long[..], &(1..u64::MAX)).is_some());
    }
}
