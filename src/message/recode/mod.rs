//! Rewrites messages for servers that do not accept all they contain: content with octets up to 127 only for a server
//! without 8BITMIME (RFC 6152 section 3), and header fields in ASCII for one without SMTPUTF8 (RFC 6531).
//!
//! A [`Survey`] examines the message and plans what is done with each part, or says why the message cannot be
//! rewritten. With its [`Plan`] a [`Recoder`] returns the octets, piece by piece. Both read the message where it is
//! stored, and hold only a window of it or a header.
//!
//! What a part decodes to remains the same, octet by octet, and nothing within a signature is changed. Only in the
//! text that readers are not shown, which is before, between and after the parts of a multipart, each octet above
//! 127 becomes a question mark.

mod addresses;
mod encoder;
mod field;
mod header;
mod survey;
mod words;

use std::io;
use std::ops::Range;

pub use survey::Survey;

use super::transfer::TransferDecoder;
use crate::flash::ReadAt;
use encoder::TransferEncoder;
use header::HeaderChange;

/// Octets that are read at once.
const PIECE: u64 = 16 * 1024;

/// Octets from which on a line between parts is broken. RFC 5322 section 2.1.1 allows 998.
const LONG_LINE: usize = 990;

/// What the receiving server does not accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingExtension {
    /// Header fields that are not ASCII.
    Header,
    /// Header fields that are not ASCII, and any other octets above 127.
    SevenBit,
}

/// Why a message cannot be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A change would break a signature or encrypted content.
    #[error("a signed part holds octets above 127, and would not be what was signed if they were encoded")]
    Signed,
    /// The message breaks the rules so that it is not known what must be encoded.
    #[error("a part holds octets above 127, and is of a kind that cannot be encoded")]
    Malformed,
    /// From or Sender has an address whose local part is not ASCII.
    #[error("the author's address has characters beyond ASCII, and no other address is known for it")]
    Address,
}

/// What is done with each part of a message.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    segments: Vec<Segment>,
    replaced: field::Replaced<'a>,
}

/// A run of octets that is treated in one way.
#[derive(Debug)]
enum Segment {
    /// Octets that remain as they are.
    AsIs(Range<u64>),
    /// Octets between parts, which readers are not shown.
    Between(Range<u64>),
    /// A header block and its changes.
    Header(Range<u64>, HeaderChange),
    /// The content of a part, the encoding that it has, and the encoding that it gets.
    Content(Range<u64>, Source, Target),
}

/// The encoding that a part has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Identity,
    Base64,
    QuotedPrintable,
}

/// The encoding that a part gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Base64,
    QuotedPrintable,
}

/// Returns the octets of the rewritten message.
pub struct Recoder<'a> {
    message: &'a dyn ReadAt,
    plan: &'a Plan<'a>,
    at: usize,
    /// Octets of the segment that were read.
    passed: u64,
    coding: Option<(TransferDecoder, TransferEncoder)>,
    /// Octets so far of the current line between parts.
    column: usize,
}

impl<'a> Recoder<'a> {
    /// A recoder at the beginning of `message`, for which `plan` was made.
    pub fn new(message: &'a dyn ReadAt, plan: &'a Plan<'a>) -> Recoder<'a> {
        Recoder { message, plan, at: 0, passed: 0, coding: None, column: 0 }
    }

    /// Appends the next octets, from about a window or a header, and returns how many were read; `None` at the end.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn step(&mut self, out: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let Some(segment) = self.plan.segments.get(self.at) else { return Ok(None) };
        let (range, coding) = match segment {
            Segment::Header(range, change) => {
                // The survey has refused everything that cannot be done.
                let _ = change.write(self.message, range.clone(), self.plan.replaced, out)?;
                self.at += 1;
                return Ok(Some(range.end - range.start));
            }
            Segment::Content(range, from, to) => (range, Some((*from, *to))),
            Segment::AsIs(range) | Segment::Between(range) => (range, None),
        };
        let between = matches!(segment, Segment::Between(_));
        let length = (range.end - range.start - self.passed).min(PIECE);
        let mut piece = vec![0; length as usize];
        self.message.read_exact_at(range.start + self.passed, &mut piece)?;
        self.passed += length;
        let last = self.passed == range.end - range.start;
        match coding {
            Some((from, to)) => self.encode(from, to, &piece, last, out),
            None if between => self.mask(&piece, out),
            None => out.extend_from_slice(&piece),
        }
        if last {
            (self.at, self.passed, self.coding, self.column) = (self.at + 1, 0, None, 0);
        }
        Ok(Some(length))
    }

    fn encode(&mut self, from: Source, to: Target, piece: &[u8], last: bool, out: &mut Vec<u8>) {
        let (decoder, encoder) = self.coding.get_or_insert_with(|| (from.decoder(), to.encoder()));
        let mut decoded = Vec::with_capacity(piece.len());
        decoder.decode(piece, &mut decoded);
        if last {
            decoder.finish(&mut decoded);
        }
        encoder.encode(&decoded, out);
        if last {
            encoder.finish(out);
        }
    }

    /// Appends octets between parts with octets above 127 masked. A broken line continues with a blank, so that it
    /// cannot become a delimiter.
    fn mask(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for &octet in piece {
            if octet == b'\n' {
                self.column = 0;
            } else if self.column >= LONG_LINE && octet != b'\r' {
                out.extend_from_slice(b"\r\n ");
                self.column = 2;
            } else {
                self.column += 1;
            }
            out.push(if octet.is_ascii() && octet != 0 { octet } else { b'?' });
        }
    }
}

impl Source {
    fn decoder(self) -> TransferDecoder {
        TransferDecoder::new(match self {
            Source::Identity => b"",
            Source::Base64 => b"base64",
            Source::QuotedPrintable => b"quoted-printable",
        })
    }
}

impl Target {
    fn encoder(self) -> TransferEncoder {
        match self {
            Target::Base64 => TransferEncoder::Base64(encoder::Base64::default()),
            Target::QuotedPrintable => TransferEncoder::QuotedPrintable(encoder::QuotedPrintable::default()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Target::Base64 => "base64",
            Target::QuotedPrintable => "quoted-printable",
        }
    }
}

#[cfg(test)]
mod tests;
