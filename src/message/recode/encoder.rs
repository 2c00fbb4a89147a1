//! Encoders for content transfer encodings (RFC 2045 section 6), piece by piece.

use data_encoding::BASE64;

/// Octets of a line without the `=` of a soft line break. RFC 2045 section 6.7, rule 5 allows 76 with it.
const MAX_LINE: usize = 75;

/// Octets that are encoded in one line of base64, which has 76 characters (RFC 2045 section 6.8).
const BASE64_LINE: usize = 57;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Encodes a content.
#[derive(Debug)]
pub enum TransferEncoder {
    /// For content that consists of proper lines.
    QuotedPrintable(QuotedPrintable),
    /// For all other content.
    Base64(Base64),
}

impl TransferEncoder {
    /// Appends the encoded `piece`.
    pub fn encode(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match self {
            TransferEncoder::QuotedPrintable(encoder) => encoder.encode(piece, out),
            TransferEncoder::Base64(encoder) => encoder.encode(piece, out),
        }
    }

    /// Appends what was held back. The output ends with a line end only when the content does.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            TransferEncoder::QuotedPrintable(encoder) => encoder.finish(out),
            TransferEncoder::Base64(encoder) => encoder.finish(out),
        }
    }
}

/// quoted-printable (RFC 2045 section 6.7). A line end is CR LF or LF; any other CR is encoded like other octets.
#[derive(Debug, Default)]
pub struct QuotedPrintable {
    /// Characters of the line so far.
    column: usize,
    /// A blank or tab that may be the last octet of its line.
    blank: Option<u8>,
    /// A CR that may belong to a line end.
    cr: bool,
}

impl QuotedPrintable {
    fn encode(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for (at, &octet) in piece.iter().enumerate() {
            let rest = piece.get(at..).unwrap_or_default();
            if octet == b'\n' {
                self.cr = false;
                self.end_line(out);
                continue;
            }
            if std::mem::take(&mut self.cr) {
                self.release_blank(out);
                self.escape(b'\r', out);
            }
            match octet {
                b'\r' => self.cr = true,
                b' ' | b'\t' => {
                    self.release_blank(out);
                    self.blank = Some(octet);
                }
                b'!'..=b'~' if octet != b'=' => {
                    self.release_blank(out);
                    self.break_for(1, out);
                    if self.column == 0 && is_delicate(rest) {
                        self.escape(octet, out)
                    } else {
                        self.plain(octet, out)
                    }
                }
                _ => {
                    self.release_blank(out);
                    self.escape(octet, out);
                }
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.cr) {
            self.release_blank(out);
            self.escape(b'\r', out);
        }
        self.escape_blank(out);
    }

    /// Ends a line. Rule 3: a blank at the end of a line is encoded.
    fn end_line(&mut self, out: &mut Vec<u8>) {
        self.escape_blank(out);
        out.extend_from_slice(b"\r\n");
        self.column = 0;
    }

    fn escape_blank(&mut self, out: &mut Vec<u8>) {
        if let Some(blank) = self.blank.take() {
            self.escape(blank, out);
        }
    }

    fn release_blank(&mut self, out: &mut Vec<u8>) {
        if let Some(blank) = self.blank.take() {
            self.break_for(1, out);
            self.plain(blank, out);
        }
    }

    fn plain(&mut self, octet: u8, out: &mut Vec<u8>) {
        out.push(octet);
        self.column += 1;
    }

    #[expect(clippy::indexing_slicing, reason = "a table of 16 has a place for every half of an octet")]
    fn escape(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.break_for(3, out);
        out.extend([b'=', HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]]);
        self.column += 3;
    }

    /// Writes a soft line break when the line has no room for so many characters (rule 5).
    fn break_for(&mut self, characters: usize, out: &mut Vec<u8>) {
        if self.column + characters > MAX_LINE {
            out.extend_from_slice(b"=\r\n");
            self.column = 0;
        }
    }
}

/// Whether a line must not begin like `rest`. Other programs change lines that begin with a dot or with `From ` (RFC
/// 2049 section 3), and two hyphens may look like a delimiter although they were within a line before, or were
/// encoded.
fn is_delicate(rest: &[u8]) -> bool {
    // The next piece may complete such a beginning.
    let begins = |word: &[u8]| rest.starts_with(word) || word.starts_with(rest);
    rest.starts_with(b".") || begins(b"From ") || begins(b"--")
}

/// base64 (RFC 2045 section 6.8).
#[derive(Debug, Default)]
pub struct Base64 {
    /// Octets of a line that is not full yet.
    held: Vec<u8>,
    /// Whether lines were written already.
    begun: bool,
}

impl Base64 {
    fn encode(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        while !piece.is_empty() {
            let (now, later) = piece.split_at(piece.len().min(BASE64_LINE - self.held.len()));
            self.held.extend_from_slice(now);
            piece = later;
            if self.held.len() == BASE64_LINE {
                self.line(out);
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.held.is_empty() {
            self.line(out);
        }
    }

    fn line(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(BASE64.encode(&self.held).as_bytes());
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::transfer::TransferDecoder;
    use super::*;

    fn encoded(mut encoder: TransferEncoder, text: &[u8], size: usize) -> String {
        let mut out = Vec::new();
        text.chunks(size).for_each(|piece| encoder.encode(piece, &mut out));
        encoder.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn printable(text: &[u8], size: usize) -> String {
        encoded(TransferEncoder::QuotedPrintable(QuotedPrintable::default()), text, size)
    }

    fn decoded(encoding: &str, text: &str) -> Vec<u8> {
        let (mut decoder, mut out) = (TransferDecoder::new(encoding.as_bytes()), Vec::new());
        decoder.decode(text.as_bytes(), &mut out);
        decoder.finish(&mut out);
        out
    }

    /// Catches: blanks that a gateway strips, dots that it doubles, lines that it takes for the beginning of a
    /// message, and delimiters that were not there before.
    #[test]
    fn quoted_printable() {
        let long = "x".repeat(75);
        for (text, expected) in [
            ("caf\u{e9}\r\n=\r\n", "caf=C3=A9\r\n=3D\r\n"),
            ("a \r\nb\t\r\n c", "a=20\r\nb=09\r\n c"),
            ("a ", "a=20"),
            (".\r\n..\r\na.b\r\n", "=2E\r\n=2E.\r\na.b\r\n"),
            ("From me\r\nFrome\r\n From x", "=46rom me\r\nFrome\r\n From x"),
            ("-- \r\n--b\r\n-b\r\n", "=2D-=20\r\n=2D-b\r\n-b\r\n"),
            ("a\rb\r\r\nc\nd\0\r", "a=0Db=0D\r\nc\r\nd=00=0D"),
            (&format!("{long}\r\n"), &format!("{long}\r\n")),
            (&format!("{long}--b\r\n"), &format!("{long}=\r\n=2D-b\r\n")),
            (&format!("{long} \r\n"), &format!("{long}=\r\n=20\r\n")),
            (&format!("{long}From x"), &format!("{long}=\r\n=46rom x")),
        ] {
            assert_eq!(printable(text.as_bytes(), 1 << 20), expected, "{text:?}");
        }
    }

    #[test]
    fn base64() {
        let text = [0xff; 58];
        for size in [1, 3, 57, 58] {
            let encoder = TransferEncoder::Base64(Base64::default());
            let expected = format!("{}\r\n/w==", "/".repeat(76));
            assert_eq!(encoded(encoder, &text, size), expected);
        }
    }

    proptest! {
        /// Catches: content that does not decode to itself, whatever it is and however it is cut into pieces, or
        /// lines that are too long or not ASCII.
        #[test]
        fn what_is_encoded_is_decoded(
            text in proptest::collection::vec(prop_oneof![
                Just("\r\n"), Just(" "), Just("\t"), Just("."), Just("From "), Just("--b"), Just("="), Just("\r"),
                Just("\u{e9}"), Just("\0"), Just("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            ], 0..40),
            size in 1usize..100,
        ) {
            let text = text.concat().into_bytes();
            let printable = printable(&text, size);
            // Two CRs and a line feed are a CR and a line end.
            prop_assert_eq!(&decoded("quoted-printable", &printable), &text);
            let lines = |text: &str| text.split("\r\n").all(|line| line.len() <= 76 && !line.ends_with([' ', '\t']));
            prop_assert!(printable.is_ascii() && lines(&printable), "{}", printable);
            prop_assert!(printable.split("\r\n").all(|line| !line.starts_with(['.']) && !line.starts_with("--")));
            let base64 = encoded(TransferEncoder::Base64(Base64::default()), &text, size);
            prop_assert_eq!(&decoded("base64", &base64), &text);
            prop_assert!(base64.is_ascii() && lines(&base64));
        }
    }
}
