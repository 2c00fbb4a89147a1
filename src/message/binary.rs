//! The content of a part with its transfer encoding undone (RFC 3516 section 4.3).

use std::io;
use std::ops::Range;

use super::header;
use super::mime::{Media, Part};
use super::parameters::Parameterized;
use super::transfer::TransferDecoder;
use crate::flash::ReadAt;

/// Octets that are decoded at once.
const PIECE: u64 = 16 * 1024;

/// Decodes a part, piece by piece.
pub struct Binary<'a> {
    message: &'a dyn ReadAt,
    rest: Range<u64>,
    decoder: TransferDecoder,
}

impl<'a> Binary<'a> {
    /// The octets of `range` without decoding.
    pub fn identity(message: &'a dyn ReadAt, range: Range<u64>) -> Binary<'a> {
        Binary { message, rest: range, decoder: TransferDecoder::Identity }
    }

    /// The content of `part`; `None` when its encoding is not known.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn of(message: &'a dyn ReadAt, part: &Part) -> io::Result<Option<Binary<'a>>> {
        let mut binary = Binary::identity(message, part.content());
        // A part that contains parts has no encoding, whatever its header says (RFC 2045 section 6.4). Only
        // `message/global` may have one (RFC 6532 section 3.7).
        let may_be_encoded = match part.media {
            Media::Multipart | Media::Opaque => false,
            Media::Message => {
                let field = header::value(message, part.header(), "Content-Type")?.unwrap_or_default();
                let content_type = Parameterized::parse(&field);
                content_type.media_type().is_some_and(|(_, subtype)| subtype.eq_ignore_ascii_case(b"global"))
            }
            Media::Text | Media::Other => true,
        };
        if !may_be_encoded {
            return Ok(Some(binary));
        }
        if let Some(field) = header::value(message, part.header(), "Content-Transfer-Encoding")? {
            let encoding = Parameterized::parse(&field).first_word().to_ascii_lowercase();
            binary.decoder = TransferDecoder::new(&encoding);
            let plain = matches!(encoding.as_slice(), b"" | b"7bit" | b"8bit" | b"binary");
            if matches!(binary.decoder, TransferDecoder::Identity) && !plain {
                return Ok(None);
            }
        }
        Ok(Some(binary))
    }

    /// Appends the decoded octets of the next piece, and returns how many octets were read; `None` at the end.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn step(&mut self, out: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let length = (self.rest.end - self.rest.start).min(PIECE);
        if length == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; length as usize];
        self.message.read_exact_at(self.rest.start, &mut piece)?;
        self.rest.start += length;
        self.decoder.decode(&piece, out);
        if self.rest.is_empty() {
            self.decoder.finish(out);
        }
        Ok(Some(length))
    }
}

#[cfg(test)]
mod tests {
    use super::super::mime::Structure;
    use super::*;

    /// RFC 6532 section 3.7. Catches: a `message/rfc822` that is decoded, although it has no encoding.
    #[test]
    fn a_message_with_utf8_in_its_header_may_be_encoded() {
        for (subtype, expected) in [("global", "Subject: x\n"), ("rfc822", "U3ViamVjdDogeAo=")] {
            let text = format!(
                "Content-Type: message/{subtype}\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeAo="
            );
            let source = text.as_bytes();
            let structure = Structure::of(&source).unwrap();
            let mut binary = Binary::of(&source, structure.message()).unwrap().unwrap();
            let mut out = Vec::new();
            while binary.step(&mut out).unwrap().is_some() {}
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    /// Catches: octets that are lost at the end of a text, or between two pieces.
    #[test]
    fn a_part_is_decoded_to_its_end() {
        let long = "0123456789abcde\n".repeat(3000);
        for (encoding, text, expected) in [
            ("quoted-printable", "a=3D=", Some("a=")),
            ("quoted-printable", "a=4", Some("a=4")),
            ("quoted-printable", "a= \t", Some("a")),
            ("Quoted-Printable (comment)", "=41", Some("A")),
            ("base64", "aGVsbG8", Some("hello")),
            ("8bit", &long, Some(&long)),
            ("", "as it is", Some("as it is")),
            ("\nContent-Transfer-Encoding: base64, x", "aGVsbG8", Some("hello")),
            ("x-uuencode", "M", None),
        ] {
            let message = format!("Content-Transfer-Encoding: {encoding}\n\n{text}");
            let message = message.as_bytes();
            let structure = Structure::of(&message).unwrap();
            let binary = Binary::of(&message, structure.message()).unwrap();
            let decoded = binary.map(|mut binary| {
                let mut out = Vec::new();
                while binary.step(&mut out).unwrap().is_some() {}
                String::from_utf8(out).unwrap()
            });
            assert_eq!(decoded.as_deref(), expected, "{encoding}: {text}");
        }
    }
}
