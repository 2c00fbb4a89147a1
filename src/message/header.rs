//! The fields of a header block (RFC 5322 section 2.2) of a message or of a MIME part.
//!
//! A block ends at its empty line, at a delimiter line of a multipart around it, or at the end of the message. Lines
//! end with CRLF or LF, or with CR CR LF, which scanners write. A line that is not a field remains part of the block,
//! without a name.
//!
//! A block has at most little more than [`MAX_HEADER`] octets and [`MAX_FIELDS`] fields: it ends before the field
//! that exceeds these limits, without an empty line, and every reader takes what follows for content. So the work for
//! a header is limited whatever a message contains.

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use memchr::memchr2;

use super::block::{Block, Unfolding, unfolded};
use super::boundary::Boundaries;
use super::window::{LOOKAHEAD, Window};
use crate::flash::ReadAt;

/// Octets of a received header block at most, without its empty line. The longest in real mail have 30 KiB of
/// Received and ARC fields.
pub const MAX_HEADER: u64 = 256 * 1024;

/// Fields of a received header block at most.
pub const MAX_FIELDS: usize = 1000;

/// Octets and fields that this server may have added (Return-Path, Received, From, Date, Message-ID): a message whose
/// header was within the limits when it was received stays within them.
const ADDED: (u64, usize) = (4096, 8);

/// Fields of a stored header block at most, including those that this server has added.
pub(super) const MOST_FIELDS: usize = MAX_FIELDS + ADDED.1;

/// Octets of a field's value that are read: some thousand addresses.
pub const MAX_VALUE: usize = 64 * 1024;

/// Reads a header block field by field, beginning where the window is.
pub struct Fields<'w, 'a> {
    window: &'w mut Window<'a>,
    outer: &'w Boundaries,
    limit: usize,
    /// The offset at which the block begins.
    start: u64,
    /// How many fields were read.
    passed: usize,
    is_cut: bool,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl<'w, 'a> Fields<'w, 'a> {
    /// A reader for the block that begins where the window is, in a part of the multiparts `outer`. At most `limit`
    /// octets of each value are kept.
    pub fn new(window: &'w mut Window<'a>, outer: &'w Boundaries, limit: usize) -> Fields<'w, 'a> {
        let start = window.position();
        // Names are rarely longer, and growing it octet by octet is slow.
        let name = Vec::with_capacity(32);
        Fields { window, outer, limit, start, passed: 0, is_cut: false, name, value: Vec::new() }
    }

    /// Continues with the block that begins at `start`, of which so many fields were read already.
    pub fn going_on(self, start: u64, passed: usize) -> Fields<'w, 'a> {
        Fields { start, passed, ..self }
    }

    /// How many fields were read.
    pub fn passed(&self) -> usize {
        self.passed
    }

    /// Whether the block ended because it exceeded a limit.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Reads one field, and returns its place including line ends. Its value is kept when its name is `wanted`.
    /// Returns `None` at the end of the block: the window is then after the empty line, or where the part that
    /// exceeds a limit begins.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn next(&mut self, wanted: impl Fn(&[u8]) -> bool) -> io::Result<Option<Range<u64>>> {
        self.name.clear();
        self.value.clear();
        let start = self.window.position();
        let text = self.window.fill(LOOKAHEAD)?;
        if let Some(n) = empty_line(text) {
            self.window.advance(n);
            return Ok(None);
        }
        if text.is_empty() || self.outer.delimiter(text).is_some() {
            return Ok(None);
        }
        if self.passed == MOST_FIELDS {
            self.is_cut = true;
            return Ok(None);
        }
        let colon = memchr2(b':', b'\n', text).filter(|&at| text.get(at) == Some(&b':'));
        self.name.extend(text.get(..colon.unwrap_or(0)).unwrap_or_default().trim_ascii_end());
        let mut skip = colon.map_or(0, |at| at + 1);
        let room = if wanted(&self.name) { self.limit } else { 0 };
        let begin = self.window.place();
        let end = self.start.saturating_add(MAX_HEADER + ADDED.0);
        let mut unfolding = Unfolding::default();
        loop {
            let value = &mut self.value;
            let line = self.window.line_within(end, |piece| {
                let (skipped, piece) = piece.split_at(skip.min(piece.len()));
                skip -= skipped.len();
                if room > 0 {
                    unfolding.unfold(piece, room, value);
                }
            })?;
            if line.is_none() {
                self.window.go_back(begin);
                self.is_cut = true;
                return Ok(None);
            }
            if !matches!(self.window.fill(1)?.first(), Some(b' ' | b'\t')) {
                self.passed += 1;
                return Ok(Some(start..self.window.position()));
            }
        }
    }

    /// The name of the field; empty for a line that is not a field.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The value of the field if it was wanted: unfolded, without the blanks around it.
    pub fn value(&self) -> &[u8] {
        self.value.trim_ascii()
    }
}

/// The length of the empty line at the beginning of `text`; `None` when there is none.
pub(super) fn empty_line(text: &[u8]) -> Option<usize> {
    match text {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        [b'\r', b'\r', b'\n', ..] => Some(3),
        _ => None,
    }
}

/// The length of the header block at the beginning of a message, including its empty line.
///
/// # Errors
/// Errors of the source.
pub fn length(message: &dyn ReadAt) -> io::Result<u64> {
    let mut window = Window::new(message, 0..u64::MAX);
    let outer = Boundaries::default();
    let mut fields = Fields::new(&mut window, &outer, 0);
    while fields.next(|_| false)?.is_some() {}
    Ok(window.position())
}

/// The places of the fields in the block `header` whose names are `wanted`, and of its empty line (RFC 3501 section
/// 6.4.5: the blank line is included in all header fetches), ascending and merged.
///
/// # Errors
/// Errors of the source.
pub fn select(
    message: &dyn ReadAt,
    header: Range<u64>,
    wanted: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<Range<u64>>> {
    let mut window = Window::new(message, header.clone());
    let outer = Boundaries::default();
    let mut fields = Fields::new(&mut window, &outer, 0);
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut end = header.start;
    let mut add = |run: Range<u64>| match runs.last_mut() {
        Some(last) if last.end == run.start => last.end = run.end,
        _ => runs.push(run),
    };
    while let Some(place) = fields.next(|_| false)? {
        end = place.end;
        if wanted(fields.name()) {
            add(place);
        }
    }
    let blank = end..window.position();
    if !blank.is_empty() {
        add(blank);
    }
    Ok(runs)
}

/// Whether both are the same field name, without regard to case. Most programs write names alike, so equality is
/// tested first.
pub fn is_name(field: &[u8], name: &str) -> bool {
    field == name.as_bytes() || field.eq_ignore_ascii_case(name.as_bytes())
}

/// Calls `look` with the name and the value of each `wanted` field in the header block at `header`, until `look`
/// returns false. Of each value `limit` octets are given, unfolded and without the blanks around it.
///
/// # Errors
/// Errors of the source.
pub fn visit<'a>(
    source: &'a dyn ReadAt,
    header: Range<u64>,
    limit: usize,
    wanted: impl Fn(&[u8]) -> bool,
    mut look: impl FnMut(&[u8], Cow<'a, [u8]>) -> bool,
) -> io::Result<()> {
    if let Some(block) = Block::of(source, &header) {
        let mut found = block.filter(|(name, _)| wanted(name));
        found.all(|(name, value)| look(name, unfolded(value)));
        return Ok(());
    }
    let mut window = Window::new(source, header);
    let outer = Boundaries::default();
    let mut fields = Fields::new(&mut window, &outer, limit);
    while fields.next(&wanted)?.is_some() {
        if wanted(fields.name()) && !look(fields.name(), fields.value().to_vec().into()) {
            break;
        }
    }
    Ok(())
}

/// The value of the first field with this name in the header block at `header`.
///
/// # Errors
/// Errors of the source.
pub fn value<'a>(
    source: &'a dyn ReadAt,
    header: Range<u64>,
    name: &str,
) -> io::Result<Option<Cow<'a, [u8]>>> {
    values(source, header, [name]).map(|[value]| value)
}

/// The values of the first fields with these names in the header block at `header`, which is read once. An empty
/// `Content-` field counts as missing, as for BODYSTRUCTURE.
///
/// # Errors
/// Errors of the source.
pub fn values<'a, const N: usize>(
    source: &'a dyn ReadAt,
    header: Range<u64>,
    names: [&str; N],
) -> io::Result<[Option<Cow<'a, [u8]>>; N]> {
    let mut values = [const { None }; N];
    let place = |field: &[u8]| names.iter().position(|name| is_name(field, name));
    visit(
        source,
        header,
        MAX_VALUE,
        |field| place(field).is_some(),
        |field, value| {
            let is_missing = value.is_empty()
                && field.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case(b"Content-"));
            if let Some(first) = place(field).and_then(|at| values.get_mut(at)).filter(|_| !is_missing) {
                first.get_or_insert(value);
            }
            values.contains(&None)
        },
    )?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<(String, String, String)> {
        let bytes = text.as_bytes();
        let mut window = Window::new(&bytes, 0..u64::MAX);
        let mut outer = Boundaries::default();
        outer.push(b"b".to_vec());
        let mut fields = Fields::new(&mut window, &outer, 20);
        let mut found = Vec::new();
        while let Some(place) = fields.next(|name| name != b"Secret").unwrap() {
            let raw = &text[place.start as usize..place.end as usize];
            let string = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            found.push((string(fields.name()), string(fields.value()), raw.to_owned()));
        }
        found.push((String::new(), String::new(), text[window.position() as usize..].to_owned()));
        found
    }

    #[test]
    fn blocks_as_they_come() {
        for (text, expected) in [
            (
                "A: b\r\nC : d\r\n\r\nbody",
                vec![("A", "b", "A: b\r\n"), ("C", "d", "C : d\r\n"), ("", "", "body")],
            ),
            ("A:\n b\n\tc \n\nbody", vec![("A", "b\tc", "A:\n b\n\tc \n"), ("", "", "body")]),
            ("Secret: x\n\n", vec![("Secret", "", "Secret: x\n"), ("", "", "")]),
            ("no colon\nA: b", vec![("", "no colon", "no colon\n"), ("A", "b", "A: b"), ("", "", "")]),
            (" A: b\n\n", vec![(" A", "b", " A: b\n"), ("", "", "")]),
            ("A: b\n--b\nbody", vec![("A", "b", "A: b\n"), ("", "", "--b\nbody")]),
            (
                "A: 01234567890123456789\n",
                vec![("A", "0123456789012345678", "A: 01234567890123456789\n"), ("", "", "")],
            ),
            ("\nbody", vec![("", "", "body")]),
            ("A: b\r\r\n c\r\r\n\r\r\nbody", vec![("A", "b c", "A: b\r\r\n c\r\r\n"), ("", "", "body")]),
            (
                "A: b\rc\r\rd\r\n e\r\r\r\n\r",
                vec![("A", "b c d e", "A: b\rc\r\rd\r\n e\r\r\r\n"), ("", "", "\r"), ("", "", "")],
            ),
            ("A: b\r\r\r\n\r", vec![("A", "b", "A: b\r\r\r\n"), ("", "", "\r"), ("", "", "")]),
            ("", vec![("", "", "")]),
        ] {
            let found = fields(text);
            let found: Vec<_> = found.iter().map(|(n, v, r)| (n.as_str(), v.as_str(), r.as_str())).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn fields_are_selected_byte_for_byte() {
        let text = b"To: a\r\nSubject: x\r\n y\r\nCC: b\r\ncc: c\r\n\r\nbody";
        let header = 0..length(&text.as_slice()).unwrap();
        let selected = |wanted: &dyn Fn(&[u8]) -> bool| -> Vec<u8> {
            let places = select(&text.as_slice(), header.clone(), wanted).unwrap();
            places.iter().flat_map(|p| &text[p.start as usize..p.end as usize]).copied().collect()
        };
        assert_eq!(selected(&|name| name.eq_ignore_ascii_case(b"cc")), b"CC: b\r\ncc: c\r\n\r\n");
        assert_eq!(selected(&|name| !name.eq_ignore_ascii_case(b"cc")), b"To: a\r\nSubject: x\r\n y\r\n\r\n");
        assert_eq!(selected(&|_| false), b"\r\n");
        assert_eq!(select(&b"A: b\n".as_slice(), 0..5, |_| false).unwrap(), []);
    }
}
