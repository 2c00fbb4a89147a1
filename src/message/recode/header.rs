//! Rewrites a header block.

use std::io;
use std::ops::Range;

use super::super::boundary::Boundaries;
use super::super::header::{Fields, is_name};
use super::super::window::Window;
use super::Refusal;
use super::field::{Replaced, in_ascii};
use crate::flash::ReadAt;

const ENCODING: &str = "Content-Transfer-Encoding";

/// The changes of a header block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderChange {
    /// The Content-Transfer-Encoding that the part gets; `None` to leave it.
    pub encoding: Option<&'static str>,
    /// Whether MIME-Version is added: without it a transfer encoding has no meaning.
    pub version: bool,
    /// The character set that is given to a text without a Content-Type.
    pub charset: Option<&'static str>,
    /// Whether fields with octets above 127 are rewritten in ASCII.
    pub ascii: bool,
}

impl HeaderChange {
    /// Appends the header block at `range` with the changes. When a field is refused, the beginning of the block was
    /// appended.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn write(
        &self,
        message: &dyn ReadAt,
        range: Range<u64>,
        replaced: Replaced<'_>,
        out: &mut Vec<u8>,
    ) -> io::Result<Result<(), Refusal>> {
        let mut window = Window::new(message, range.clone());
        let outer = Boundaries::default();
        let mut fields = Fields::new(&mut window, &outer, 0);
        let (mut end, mut raw, mut encoding) = (range.start, Vec::new(), self.encoding);
        while let Some(place) = fields.next(|_| false)? {
            end = place.end;
            if self.encoding.is_some() && is_name(fields.name(), ENCODING) {
                // Only the first field counts, so others are dropped.
                encoding.take().iter().for_each(|encoding| put(ENCODING, encoding, out));
                continue;
            }
            raw.resize(usize::try_from(place.end - place.start).unwrap_or(0), 0);
            message.read_exact_at(place.start, &mut raw)?;
            if !self.ascii {
                out.extend_from_slice(&raw);
                continue;
            }
            match in_ascii(fields.name(), &raw, replaced) {
                Ok(field) => out.extend_from_slice(&field),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        if (self.version || self.charset.is_some() || encoding.is_some())
            && !out.is_empty()
            && !out.ends_with(b"\n")
        {
            out.extend_from_slice(b"\r\n");
        }
        if self.version {
            put("MIME-Version", "1.0", out);
        }
        if let Some(charset) = self.charset {
            put("Content-Type", &format!("text/plain; charset={charset}"), out);
        }
        encoding.iter().for_each(|encoding| put(ENCODING, encoding, out));
        // The empty line; when the header exceeds a limit, the beginning of what follows.
        raw.resize(usize::try_from(range.end - end).unwrap_or(0), 0);
        message.read_exact_at(end, &mut raw)?;
        out.extend_from_slice(&raw);
        Ok(Ok(()))
    }
}

fn put(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
}
