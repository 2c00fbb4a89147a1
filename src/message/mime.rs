//! The structure of a message (RFC 2045, RFC 2046): its parts and their places, found in one pass.
//!
//! Only places are kept, 48 octets a part; the header of a part is read again when it is needed. The pass goes in
//! steps of a window, so that a caller can give others a turn in between.

use std::io;
use std::ops::Range;

use memchr::memmem::Finder;

use super::boundary::{Boundaries, Delimiter, MAX_BOUNDARY, MAX_LINE};
use super::header::Fields;
use super::parameters::Parameterized;
use super::window::{LOOKAHEAD, WINDOW, Window, line_end_length};
use crate::flash::ReadAt;

/// How deep parts may be nested. Forwarded threads reach a dozen levels; clients and BODYSTRUCTURE recurse as deep.
const MAX_DEPTH: usize = 32;

/// Parts of a message at most. Digests have hundreds; parts beyond the limit count as content of the last one.
const MAX_PARTS: usize = 4096;

/// Octets of a Content-Type field that are read: room for a hundred parameters.
const MAX_CONTENT_TYPE: usize = 8 * 1024;

/// What the media type means for the structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `text/*`, and a part that names no type.
    Text,
    /// `multipart/*`, which has at least one part.
    Multipart,
    /// `message/rfc822`, which has one part, the message.
    Message,
    /// Anything else.
    Other,
    /// The header exceeds the limits of a header, so that its end is not known. What comes after the limits is
    /// content of unknown type, whatever the header says.
    Opaque,
}

/// A part of a message, or the message itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What its media type means for the structure.
    pub media: Media,
    /// The number of line ends in its content.
    pub lines: u64,
    start: u64,
    content: u64,
    end: u64,
    /// The index of the first part after it that is not within it.
    next: usize,
}

impl Part {
    /// The place of its header, including the empty line.
    pub fn header(&self) -> Range<u64> {
        self.start..self.content
    }
    /// The place of its content, which follows the header.
    pub fn content(&self) -> Range<u64> {
        self.content..self.end
    }
    /// The place of header and content together.
    pub fn whole(&self) -> Range<u64> {
        self.start..self.end
    }
}

/// Whether a part of this type contains a message. A message with UTF-8 in its header is `message/global` (RFC 6532
/// section 3.7).
pub fn is_message(kind: &[u8], subtype: &[u8]) -> bool {
    let is = |name: &str| subtype.eq_ignore_ascii_case(name.as_bytes());
    kind.eq_ignore_ascii_case(b"message") && (is("rfc822") || is("global"))
}

/// The parts of a message, each before the parts within it. The first is the message itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure(Vec<Part>);

impl Structure {
    /// Scans a message.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn of(message: &dyn ReadAt) -> io::Result<Structure> {
        let mut scanner = Scanner::new(message);
        while scanner.step()? {}
        Ok(scanner.finish())
    }

    /// The message itself, as a part.
    #[expect(clippy::indexing_slicing, reason = "the scanner begins with the message itself")]
    pub fn message(&self) -> &Part {
        &self.0[0]
    }

    /// All parts, the message first, each before the parts within it.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// The indexes of the parts directly within the part with index `at`.
    pub fn children(&self, at: usize) -> impl Iterator<Item = usize> {
        let end = self.0.get(at).map_or(0, |part| part.next);
        let mut next = at + 1;
        std::iter::from_fn(move || {
            let child = (next < end).then_some(next)?;
            next = self.0.get(child)?.next;
            Some(child)
        })
    }

    /// The index after the part with index `at` and the parts within it.
    pub fn index_after(&self, at: usize) -> usize {
        self.0.get(at).map_or(self.0.len(), |part| part.next)
    }

    /// The part with these part numbers (RFC 3501 section 6.4.5). The content of a message that is not a multipart is
    /// its part 1.
    pub fn find(&self, numbers: &[u32]) -> Option<&Part> {
        self.0.get(self.place(numbers)?)
    }

    /// The message within the part with these part numbers; the whole message for an empty list.
    pub fn find_message(&self, numbers: &[u32]) -> Option<&Part> {
        if numbers.is_empty() {
            return self.0.first();
        }
        let at = self.place(numbers)?;
        (self.0.get(at)?.media == Media::Message).then(|| self.0.get(at + 1))?
    }

    fn place(&self, numbers: &[u32]) -> Option<usize> {
        let (&first, rest) = numbers.split_first()?;
        rest.iter().try_fold(self.numbered(0, first)?, |at, &number| match self.0.get(at)?.media {
            Media::Multipart => self.numbered(at, number),
            Media::Message => self.numbered(at + 1, number),
            Media::Text | Media::Other | Media::Opaque => None,
        })
    }

    fn numbered(&self, message: usize, number: u32) -> Option<usize> {
        if self.0.get(message)?.media == Media::Multipart {
            self.children(message).nth(usize::try_from(number).ok()?.checked_sub(1)?)
        } else {
            (number == 1).then_some(message)
        }
    }
}

/// Finds the structure of a message, step by step.
pub struct Scanner<'a> {
    window: Window<'a>,
    finder: Finder<'static>,
    boundaries: Boundaries,
    parts: Vec<Part>,
    /// The parts that contain the window's position, from the outside in.
    open: Vec<Open>,
    state: State,
}

/// A part whose end was not found yet.
struct Open {
    part: usize,
    /// The number of line ends before its content.
    line_ends: u64,
    /// The level of its boundary, for a multipart that was not closed.
    level: Option<usize>,
    /// Whether it is `multipart/digest`, whose parts are messages unless they say something else (RFC 2046 section
    /// 5.1.5).
    digest: bool,
}

enum State {
    /// In the header of the innermost part: its Content-Type if that was read already, and how many fields were read.
    Header(Option<Vec<u8>>, usize),
    /// In the content of the innermost part. `Some` at the beginning of a line: the octets of the line end before it.
    /// `None` anywhere else.
    Content(Option<u64>),
    Done,
}

impl<'a> Scanner<'a> {
    /// A scanner at the beginning of `message`.
    pub fn new(message: &'a dyn ReadAt) -> Scanner<'a> {
        let mut scanner = Scanner {
            window: Window::new(message, 0..u64::MAX),
            finder: Finder::new(b"\n--"),
            boundaries: Boundaries::default(),
            parts: Vec::new(),
            open: Vec::new(),
            state: State::Done,
        };
        scanner.begin_part();
        scanner
    }

    /// Octets that were scanned so far.
    pub fn passed(&self) -> u64 {
        self.window.position()
    }

    /// Scans about one window, or one field when that is longer. Returns `false` when the whole message was scanned.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn step(&mut self) -> io::Result<bool> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Header(content_type, passed) => self.header(content_type, passed)?,
            State::Content(line_start) => self.content(line_start)?,
            State::Done => (),
        }
        Ok(!matches!(self.state, State::Done))
    }

    /// The structure, as far as the message was scanned.
    pub fn finish(mut self) -> Structure {
        self.close(0, self.window.position(), self.window.line_ends());
        Structure(self.parts)
    }

    fn begin_part(&mut self) {
        let at = self.window.position();
        self.open.push(Open { part: self.parts.len(), line_ends: 0, level: None, digest: false });
        self.parts.push(Part { media: Media::Other, lines: 0, start: at, content: at, end: at, next: 0 });
        self.state = State::Header(None, 0);
    }

    fn header(&mut self, mut content_type: Option<Vec<u8>>, passed: usize) -> io::Result<()> {
        let from = self.window.position();
        let part = self.open.last().and_then(|open| self.parts.get(open.part));
        let start = part.map_or(from, |part| part.start);
        let is_content_type = |name: &[u8]| name.eq_ignore_ascii_case(b"Content-Type");
        let fields = Fields::new(&mut self.window, &self.boundaries, MAX_CONTENT_TYPE);
        let mut fields = fields.going_on(start, passed);
        while let Some(place) = fields.next(is_content_type)? {
            if is_content_type(fields.name()) {
                // Of several fields the first one counts that is not empty.
                content_type =
                    content_type.filter(|first| !first.is_empty()).or_else(|| Some(fields.value().to_vec()));
            }
            if place.end - from > WINDOW as u64 {
                self.state = State::Header(content_type, fields.passed());
                return Ok(());
            }
        }
        let content_type = Parameterized::parse(&content_type.unwrap_or_default());
        let known = !fields.is_cut();
        self.begin_content(known.then_some(&content_type));
        Ok(())
    }

    /// Begins the content of the innermost part. Its Content-Type is ignored when the header exceeds a limit.
    fn begin_content(&mut self, content_type: Option<&Parameterized>) {
        self.state = State::Content(Some(0));
        let room = self.open.len() < MAX_DEPTH && self.parts.len() < MAX_PARTS;
        let in_digest = self.open.iter().nth_back(1).is_some_and(|outer| outer.digest);
        let Some(open) = self.open.last_mut() else { return };
        let Some(part) = self.parts.get_mut(open.part) else { return };
        part.content = self.window.position();
        open.line_ends = self.window.line_ends();
        let Some(content_type) = content_type else {
            part.media = Media::Opaque;
            return;
        };
        let default: (&[u8], &[u8]) = if in_digest { (b"message", b"rfc822") } else { (b"text", b"plain") };
        let (kind, subtype) = content_type.media_type().unwrap_or(default);
        if kind.eq_ignore_ascii_case(b"text") {
            part.media = Media::Text;
        } else if kind.eq_ignore_ascii_case(b"multipart") && room {
            let boundary = content_type.get("boundary").unwrap_or_default();
            part.media = Media::Multipart;
            open.digest = subtype.eq_ignore_ascii_case(b"digest");
            if !boundary.is_empty() && boundary.len() <= MAX_BOUNDARY {
                open.level = Some(self.boundaries.push(boundary));
            }
        } else if is_message(kind, subtype) && room {
            part.media = Media::Message;
            self.begin_part();
        }
    }

    /// Looks for a delimiter line in the text that the window shows.
    fn content(&mut self, line_start: Option<u64>) -> io::Result<()> {
        let text = self.window.fill(LOOKAHEAD)?;
        if text.is_empty() {
            return Ok(());
        }
        let all = text.len() < LOOKAHEAD;
        let mut pass = text.len();
        if self.boundaries.len() > 0 {
            if let Some(eol) = line_start
                && let Some(delimiter) = self.boundaries.delimiter(text)
            {
                return self.delimiter(delimiter, 0, eol);
            }
            for line_end in self.finder.find_iter(text) {
                let eol = line_end_length(text.get(..line_end).unwrap_or_default());
                let line = text.get(line_end + 1..).unwrap_or_default();
                if line.len() < MAX_LINE && !all {
                    pass = line_end.saturating_sub(2); // the next window shows the whole line
                    break;
                }
                if let Some(delimiter) = self.boundaries.delimiter(line) {
                    return self.delimiter(delimiter, line_end + 1, eol);
                }
            }
            if !all {
                pass = pass.min(text.len() - b"\r\r\n-".len());
            }
        }
        self.window.advance(pass);
        self.state = State::Content(None);
        Ok(())
    }

    /// Handles a delimiter line `ahead` octets away. The line end before it, of `eol` octets, belongs to it.
    fn delimiter(&mut self, delimiter: Delimiter, ahead: usize, eol: u64) -> io::Result<()> {
        self.window.advance(ahead);
        let at = self.window.position();
        let line_ends = self.window.line_ends();
        let line_end = self.window.line(|_| ())?;
        self.state = State::Content(Some(line_end));
        if self.parts.len() >= MAX_PARTS && !delimiter.close {
            return Ok(());
        }
        let innermost = self.open.last().and_then(|open| self.parts.get(open.part));
        let end = at.saturating_sub(eol).max(innermost.map_or(0, |part| part.content));
        let multipart = self.open.iter().rposition(|open| open.level == Some(delimiter.level));
        let line_ends = line_ends.saturating_sub(u64::from(end < at));
        self.close(multipart.map_or(0, |at| at + 1), end, line_ends);
        if delimiter.close {
            self.fill_multipart(end, line_ends);
            self.boundaries.truncate(delimiter.level);
            if let Some(open) = self.open.last_mut() {
                open.level = None;
            }
        } else {
            self.begin_part();
        }
        Ok(())
    }

    /// Gives the innermost multipart, which ends at the offset `end`, a part when no delimiter came: all of its
    /// content becomes one part, since a multipart must have one.
    fn fill_multipart(&mut self, end: u64, line_ends: u64) {
        let Some(open) = self.open.last() else { return };
        let next = self.parts.len() + 1;
        let Some(part) = self.parts.get(open.part).filter(|_| open.part + 2 == next) else { return };
        let lines = line_ends.saturating_sub(open.line_ends);
        let start = part.content;
        let text = Part { media: Media::Text, lines, start, content: start, end: end.max(start), next };
        self.parts.push(text);
    }

    /// Ends open parts at the offset `end`, until `keep` are left.
    fn close(&mut self, keep: usize, end: u64, line_ends: u64) {
        while self.open.len() > keep {
            let innermost = self.open.last().and_then(|open| self.parts.get(open.part));
            if innermost.is_some_and(|part| part.media == Media::Multipart) {
                self.fill_multipart(end, line_ends);
            }
            let Some(open) = self.open.pop() else { return };
            let count = self.parts.len();
            let Some(part) = self.parts.get_mut(open.part) else { return };
            part.end = end.max(part.content);
            part.lines = line_ends.saturating_sub(open.line_ends);
            part.next = count;
            if let Some(level) = open.level {
                self.boundaries.truncate(level);
            }
        }
    }
}

#[cfg(test)]
mod tests;
