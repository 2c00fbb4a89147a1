//! Reads the octets of a message piece by piece: from a file, as they were before they were put there, or from an
//! account.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::from_lines::FromLines;
use crate::flash::ReadAt;
use crate::store::Body;

/// Octets that are read at once, at most.
const PIECE: usize = 64 * 1024;

/// The form of a message in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Whether `From ` lines are quoted.
    pub quoted: bool,
    /// Whether a bare LF may stand for CRLF, as programs on Unix store mail.
    pub unix_lines: bool,
}

/// A message, open for reading.
pub struct Octets<'a>(Kind<'a>);

enum Kind<'a> {
    File(OfFile<'a>),
    Body(OfBody),
}

impl<'a> Octets<'a> {
    /// Reads `ranges` (offset and length) of `file`, one after the other.
    pub fn of_file(file: File, ranges: &'a [(u64, u64)], form: Form) -> Octets<'a> {
        Octets(Kind::File(OfFile::new(file, ranges, form)))
    }

    /// Reads a stored message of so many octets.
    pub fn of_body(body: Body, octets: u64) -> Octets<'a> {
        Octets(Kind::Body(OfBody { body, at: 0, octets, piece: Vec::new() }))
    }

    /// The next octets; `None` at the end.
    ///
    /// # Errors
    /// `UnexpectedEof` if a file is shorter than it should be, and what the store says.
    pub fn next(&mut self) -> io::Result<Option<&[u8]>> {
        match &mut self.0 {
            Kind::File(file) => file.next(),
            Kind::Body(body) => body.next(),
        }
    }
}

struct OfBody {
    body: Body,
    at: u64,
    octets: u64,
    piece: Vec<u8>,
}

impl OfBody {
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let left = self.octets - self.at;
        self.piece.resize(usize::try_from(left).map_or(PIECE, |left| left.min(PIECE)), 0);
        if left == 0 {
            return Ok(None);
        }
        self.body.read_exact_at(self.at, &mut self.piece)?;
        self.at += self.piece.len() as u64;
        Ok(Some(&self.piece))
    }
}

struct OfFile<'a> {
    file: File,
    ranges: std::slice::Iter<'a, (u64, u64)>,
    /// Octets that are left of the current range.
    left: u64,
    quotes: Option<FromLines>,
    lines: Option<UnixLines>,
    raw: Vec<u8>,
    out: Vec<u8>,
    ended: bool,
}

impl<'a> OfFile<'a> {
    fn new(file: File, ranges: &'a [(u64, u64)], form: Form) -> OfFile<'a> {
        OfFile {
            file,
            ranges: ranges.iter(),
            left: 0,
            quotes: form.quoted.then(FromLines::unquote),
            lines: form.unix_lines.then(UnixLines::default),
            raw: Vec::new(),
            out: Vec::new(),
            ended: false,
        }
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.out.clear();
        while self.out.is_empty() && !self.ended {
            while self.left == 0 && !self.ended {
                match self.ranges.next() {
                    Some((offset, octets)) => {
                        self.file.seek(SeekFrom::Start(*offset))?;
                        self.left = *octets;
                    }
                    None => self.ended = true,
                }
            }
            self.raw.resize(usize::try_from(self.left).map_or(PIECE, |left| left.min(PIECE)), 0);
            self.file.read_exact(&mut self.raw)?;
            self.left -= self.raw.len() as u64;
            self.convert();
        }
        Ok((!self.out.is_empty()).then_some(&self.out))
    }

    fn convert(&mut self) {
        let mut unquoted = Vec::new();
        let plain = match &mut self.quotes {
            None => &self.raw,
            Some(quotes) => {
                quotes.push(&self.raw, &mut unquoted);
                if self.ended {
                    quotes.finish(&mut unquoted);
                }
                &unquoted
            }
        };
        match &mut self.lines {
            None => self.out.extend_from_slice(plain),
            Some(lines) => lines.push(plain, &mut self.out),
        }
    }
}

/// Puts a CR before each LF that has none.
#[derive(Default)]
struct UnixLines {
    after_cr: bool,
}

impl UnixLines {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for &octet in piece {
            if octet == b'\n' && !self.after_cr {
                out.push(b'\r');
            }
            out.push(octet);
            self.after_cr = octet == b'\r';
        }
    }
}
