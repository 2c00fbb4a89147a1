//! Undoes content transfer encodings (RFC 2045 section 6) in pieces. Octets that do not belong there are skipped
//! (base64) or stay as they are (quoted-printable): a search should find what a reader would see.

use memchr::memchr;

/// Undoes an encoding, piece by piece.
#[derive(Debug)]
pub enum TransferDecoder {
    /// 7bit, 8bit, binary, and unknown encodings: nothing is changed.
    Identity,
    /// base64.
    Base64(Base64),
    /// quoted-printable.
    QuotedPrintable(QuotedPrintable),
}

impl TransferDecoder {
    /// A decoder for the value of a Content-Transfer-Encoding field.
    pub fn new(encoding: &[u8]) -> TransferDecoder {
        let encoding = encoding.trim_ascii();
        if encoding.eq_ignore_ascii_case(b"base64") {
            TransferDecoder::Base64(Base64::default())
        } else if encoding.eq_ignore_ascii_case(b"quoted-printable") {
            TransferDecoder::QuotedPrintable(QuotedPrintable::default())
        } else {
            TransferDecoder::Identity
        }
    }

    /// Appends the decoded `piece`.
    pub fn decode(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match self {
            TransferDecoder::Identity => out.extend(piece),
            TransferDecoder::Base64(decoder) => decoder.decode(piece, out),
            TransferDecoder::QuotedPrintable(decoder) => decoder.decode(piece, out),
        }
    }

    /// Appends what is left at the end of a text: the beginning of an escape that has no end. A soft line break and
    /// blanks at the end of the text are dropped.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let TransferDecoder::QuotedPrintable(decoder) = self {
            let escape = std::mem::take(&mut decoder.escape);
            if !escape.iter().skip(1).all(u8::is_ascii_whitespace) {
                out.extend(escape);
            }
            out.extend(decoder.tail.drain(..).filter(|b| !is_blank(*b)));
        }
    }
}

/// A decoder for base64 (RFC 2045 section 6.8). Each piece gives all octets that are complete.
#[derive(Debug, Default)]
pub struct Base64 {
    bits: u32,
    /// How many bits are held: 0, 6, 12 or 18.
    held: u32,
}

/// The value of each character of the alphabet; 255 for all others.
#[expect(clippy::indexing_slicing, reason = "the compiler checks it")]
const SEXTETS: [u8; 256] = {
    let mut table = [255; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut at = 0;
    while at < alphabet.len() {
        table[alphabet[at] as usize] = at as u8;
        at += 1;
    }
    table
};

impl Base64 {
    /// Appends the decoded `piece`.
    #[expect(clippy::indexing_slicing, reason = "a table of 256 has a place for every octet")]
    pub fn decode(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        out.reserve(piece.len() / 4 * 3 + 3);
        while let Some((&b, rest)) = piece.split_first() {
            // The fast path: four valid characters at a time.
            if self.held == 0
                && let Some((quantum, after)) = piece.split_first_chunk::<4>()
                && let [a, b, c, d] = quantum.map(|b| SEXTETS[usize::from(b)])
                && (a | b | c | d) < 64
            {
                out.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
                piece = after;
                continue;
            }
            piece = rest;
            let sextet = SEXTETS[usize::from(b)];
            if sextet < 64 {
                self.bits = self.bits << 6 | u32::from(sextet);
                self.held += 6;
                if self.held >= 8 {
                    self.held -= 8;
                    out.push((self.bits >> self.held) as u8);
                }
            } else if b == b'=' {
                self.held = 0; // padding: the bits left over are not an octet, and a new text may begin
            }
        }
    }
}

/// Blanks in a row at most that belong to the end of a line, since a line of quoted-printable is not longer.
const MAX_BLANKS: usize = 76;

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

/// A decoder for quoted-printable (RFC 2045 section 6.7).
#[derive(Debug, Default)]
pub struct QuotedPrintable {
    /// An escape whose end comes with the next piece: `=`, `=X`, or `=` with blanks or CRs.
    escape: Vec<u8>,
    /// Blanks and CRs that are dropped when their line ends here.
    tail: Vec<u8>,
}

impl QuotedPrintable {
    /// Appends the decoded `piece`.
    pub fn decode(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        while let Some((&b, rest)) = piece.split_first() {
            if !self.escape.is_empty() {
                self.escape.push(b);
                piece = rest;
                let is_blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r');
                match self.escape.as_slice() {
                    // A soft line break. Blanks that gateways have added after the `=` are ignored (section 6.7, rule
                    // 3).
                    [_, blanks @ .., b'\n'] if blanks.iter().all(is_blank) => self.escape.clear(),
                    [_, blanks @ ..] if blanks.len() < MAX_BLANKS && blanks.iter().all(is_blank) => (),
                    [_, x] if x.is_ascii_hexdigit() => (),
                    &[_, x, y] if !is_blank(&x) && y.is_ascii_hexdigit() => {
                        out.push(hex(x) << 4 | hex(y));
                        self.escape.clear();
                    }
                    [_, _, .., b'='] => {
                        // What comes before is not an escape, but here one begins.
                        self.escape.pop();
                        out.append(&mut self.escape);
                        self.escape.push(b);
                    }
                    _ => out.append(&mut self.escape),
                }
                continue;
            }
            let plain = memchr(b'=', piece).unwrap_or(piece.len());
            let (text, rest) = piece.split_at(plain);
            self.text(text, out);
            if !rest.is_empty() {
                out.append(&mut self.tail);
            }
            self.escape.extend(rest.first());
            piece = rest.get(1..).unwrap_or_default();
        }
    }

    /// Appends text without escapes. Blanks at the end of a line were added on the way (section 6.7, rule 3).
    fn text(&mut self, mut text: &[u8], out: &mut Vec<u8>) {
        while !text.is_empty() {
            let end = memchr(b'\n', text).map_or(text.len(), |at| at + 1);
            let (line, rest) = text.split_at(end);
            text = rest;
            let kept =
                line.iter().rposition(|&b| !is_blank(b) && b != b'\r' && b != b'\n').map_or(0, |at| at + 1);
            let (line, tail) = line.split_at(kept);
            if !line.is_empty() {
                out.append(&mut self.tail);
                out.extend(line);
            }
            self.tail.extend(tail);
            if tail.ends_with(b"\n") {
                out.extend(self.tail.drain(..).filter(|b| !is_blank(*b)));
            } else if self.tail.len() > MAX_BLANKS {
                out.append(&mut self.tail);
            }
        }
    }
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or(0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `text` in pieces of every size, and asserts that the results agree.
    fn decoded(encoding: &str, text: &str) -> String {
        let in_pieces = |size: usize| {
            let mut decoder = TransferDecoder::new(encoding.as_bytes());
            let mut out = Vec::new();
            text.as_bytes().chunks(size).for_each(|piece| decoder.decode(piece, &mut out));
            decoder.finish(&mut out);
            String::from_utf8_lossy(&out).into_owned()
        };
        let whole = in_pieces(text.len().max(1));
        for size in 1..10 {
            assert_eq!(in_pieces(size), whole, "{text:?} in pieces of {size}");
        }
        whole
    }

    #[test]
    fn base64() {
        for (text, expected) in [
            ("", ""),
            ("aGVsbG8=", "hello"),
            ("aGVs\r\nbG8gd29y\r\nbGQ=\r\n", "hello world"),
            ("aGVsbG8", "hello"),
            ("aGVs*bG!8=", "hello"),
            ("aGk=aGk=", "hihi"),
            ("a=", ""),
        ] {
            assert_eq!(decoded("BASE64", text), expected, "{text}");
        }
    }

    #[test]
    fn quoted_printable() {
        for (text, expected) in [
            ("plain\r\ntext", "plain\r\ntext"),
            ("caf=C3=a9 =3D=3d", "caf\u{e9} =="),
            ("soft=\r\nbreak=\nhere=", "softbreakhere"),
            ("a= \t\r\nb=  \nc=\r\r\nd= \r\n= \r\n=C3=A9", "abcd\u{e9}"),
            ("a= b = =3D =4=3D", "a= b = = =4="),
            ("=zz =\rx =4 =4\n ==41", "=zz =\rx =4 =4\n ==41"),
            // Blanks at the end of a line go, those of an escape and those before a soft line break stay.
            ("a \t\r\nb\t\nc  =\r\nd=20\r\n \r\n\te f ", "a\r\nb\nc  d \r\n\r\n\te f"),
            ("a \r\r\nb \r c", "a\r\r\nb \r c"),
        ] {
            assert_eq!(decoded(" Quoted-Printable", text), expected, "{text}");
        }
    }

    /// Catches: endless blanks that are kept because they might belong to a soft line break.
    #[test]
    fn an_escape_is_short() {
        let (mut decoder, mut out) = (QuotedPrintable::default(), Vec::new());
        for _ in 0..1000 {
            decoder.decode(b"=  ", &mut out);
            decoder.decode(&[b' '; 100], &mut out);
        }
        assert!(
            decoder.escape.len() <= MAX_BLANKS && decoder.tail.len() <= MAX_BLANKS && out.len() > 102_000
        );
    }

    #[test]
    fn others_are_as_they_are() {
        assert_eq!(decoded("8bit", "=41 aGk="), "=41 aGk=");
        assert_eq!(decoded("x-uuencode", "#:&D*"), "#:&D*");
    }
}
