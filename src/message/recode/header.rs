//! A header block that is written anew.

use std::io;
use std::ops::Range;

use super::super::boundary::Boundaries;
use super::super::header::{Fields, is_name};
use super::super::window::Window;
use super::Refusal;
use super::field::{Replaced, in_ascii};
use crate::flash::ReadAt;

const ENCODING: &str = "Content-Transfer-Encoding";

/// What is to be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderChange {
    /// The Content-Transfer-Encoding that the part gets.
    pub encoding: Option<&'static str>,
    /// It says of itself nothing that a transfer encoding would mean anything to: it becomes MIME.
    pub version: bool,
    /// The character set of a text that names no type.
    pub charset: Option<&'static str>,
    /// Fields beyond ASCII are to be in ASCII.
    pub ascii: bool,
}

impl HeaderChange {
    /// Appends the header block at `range` with the changes. A refusal leaves its beginning there.
    ///
    /// # Errors
    /// What the source says.
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
                // The first one counts, and one is enough.
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
        // The empty line, or where the header was too much the beginning of what comes then.
        raw.resize(usize::try_from(range.end - end).unwrap_or(0), 0);
        message.read_exact_at(end, &mut raw)?;
        out.extend_from_slice(&raw);
        Ok(Ok(()))
    }
}

fn put(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
}
