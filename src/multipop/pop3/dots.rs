//! The end of a multi-line response, and the dots that were stuffed into it (RFC 1939 section 3).
//!
//! The text comes out exact to the octet: bare CRs and LFs stay where they were. A response ends at a dot after CRLF
//! only, so a message with a bare LF before a dot can neither end early nor pass its rest off as replies. For a
//! server that ends its own status lines with a bare LF, a dot after LF ends the response. Servers differ in whether
//! they stuff a dot after a bare LF: two dots there are taken for a stuffed one, a single dot is left alone.
//!
//! Some servers send a message as it is and then their end, though its last line ends with a bare LF. Such a dot on a
//! line of its own is held back: if the server then says nothing, it was the end.

/// Takes a multi-line response apart as it comes.
#[derive(Debug)]
pub struct Dots {
    at: LinePosition,
    bare_lf: bool,
}

/// The position of the next octet within a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinePosition {
    Start,
    /// After a dot at the start, which is either stuffed or the end.
    Dot,
    /// After that dot and a CR.
    DotCr,
    Text,
    /// After a CR in the text.
    Cr,
    /// After a bare LF.
    BareLf,
    /// After a bare LF and a dot, which is held back.
    BareDot,
    /// After that dot and a CR, held back, too.
    BareDotCr,
    /// After a dot on a line of its own behind a bare LF. It ended with CRLF, or with a bare LF. All of it is held back.
    Doubt {
        crlf: bool,
    },
}

/// What [`Dots::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Octets of the response.
    Octets(&'a [u8]),
    /// The response has ended; the rest of the input comes after it.
    End,
    /// The input is used up.
    More,
    /// What follows a dot on a line of its own behind a bare LF looks like a status line.
    StatusLine,
}

impl Dots {
    /// A response whose status line ended in a bare LF, or in CRLF; its first line comes next.
    pub fn new(bare_lf: bool) -> Dots {
        Dots { at: LinePosition::Start, bare_lf }
    }

    /// The next piece of `input`, which is moved past it.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Piece<'a> {
        while let Some(&octet) = input.first() {
            match (self.at, octet) {
                (LinePosition::Start, b'.') => self.skip(input, LinePosition::Dot),
                (LinePosition::Dot, b'\r') => self.skip(input, LinePosition::DotCr),
                (LinePosition::DotCr, b'\n') => {
                    self.skip(input, LinePosition::Start);
                    return Piece::End;
                }
                (LinePosition::Dot, b'\n') if self.bare_lf => {
                    self.skip(input, LinePosition::Start);
                    return Piece::End;
                }
                (LinePosition::DotCr, _) => {
                    // The CR belongs to the text; the octet after it is looked at again.
                    self.at = LinePosition::Cr;
                    return Piece::Octets(b"\r");
                }
                (LinePosition::BareLf, b'.') => self.skip(input, LinePosition::BareDot),
                (LinePosition::BareDot, b'\r') => self.skip(input, LinePosition::BareDotCr),
                (LinePosition::BareDot, b'\n') => self.skip(input, LinePosition::Doubt { crlf: false }),
                (LinePosition::BareDotCr, b'\n') => self.skip(input, LinePosition::Doubt { crlf: true }),
                (LinePosition::BareDot, b'.') => {
                    self.skip(input, LinePosition::Text);
                    return Piece::Octets(b".");
                }
                (LinePosition::BareDot, _) => {
                    self.at = LinePosition::Text;
                    return Piece::Octets(b".");
                }
                (LinePosition::BareDotCr, _) => {
                    self.at = LinePosition::Cr;
                    return Piece::Octets(b".\r");
                }
                (LinePosition::Doubt { .. }, b'+' | b'-') => return Piece::StatusLine,
                (LinePosition::Doubt { .. }, _) => return Piece::Octets(self.believe()),
                _ => {
                    let (text, rest) = input.split_at(self.text(input));
                    *input = rest;
                    return Piece::Octets(text);
                }
            }
        }
        Piece::More
    }

    /// Whether what came so far may be all, though its end is not the one that it should be.
    pub fn may_be_over(&self) -> bool {
        matches!(self.at, LinePosition::Doubt { .. })
    }

    /// Takes the line that was held back for text, and returns it.
    pub fn believe(&mut self) -> &'static [u8] {
        let crlf = self.at == LinePosition::Doubt { crlf: true };
        self.at = if crlf { LinePosition::Start } else { LinePosition::BareLf };
        if crlf { b".\r\n" } else { b".\n" }
    }

    fn skip(&mut self, input: &mut &[u8], to: LinePosition) {
        *input = input.get(1..).unwrap_or_default();
        self.at = to;
    }

    /// How many octets at the front of `input`, which is not empty, are certainly text: all up to a dot at the start
    /// of a line.
    fn text(&mut self, input: &[u8]) -> usize {
        let mut after_cr = self.at == LinePosition::Cr;
        let mut from = 0;
        while let Some(found) = memchr::memchr(b'\n', input.get(from..).unwrap_or_default()) {
            let lf = from + found;
            let crlf = if lf == 0 { after_cr } else { input.get(lf - 1) == Some(&b'\r') };
            if matches!(input.get(lf + 1), Some(b'.') | None) {
                self.at = if crlf || self.bare_lf { LinePosition::Start } else { LinePosition::BareLf };
                return lf + 1;
            }
            after_cr = false;
            from = lf + 1;
        }
        self.at = if input.last() == Some(&b'\r') { LinePosition::Cr } else { LinePosition::Text };
        input.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The response in `input`, fed in pieces of `size` octets, and what came after it.
    fn read(input: &[u8], bare_lf: bool, size: usize) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut dots = Dots::new(bare_lf);
        let mut text = Vec::new();
        let mut fed = 0;
        for chunk in input.chunks(size) {
            fed += chunk.len();
            let mut rest = chunk;
            loop {
                match dots.next(&mut rest) {
                    Piece::Octets(octets) => text.extend_from_slice(octets),
                    Piece::More => break,
                    Piece::StatusLine => text.extend_from_slice(dots.believe()),
                    Piece::End => return (text, Some(input[fed - rest.len()..].to_vec())),
                }
            }
        }
        (text, None)
    }

    #[test]
    fn responses_come_out_exact_to_the_octet() {
        for (input, text, rest) in [
            (".\r\n+OK", "", "+OK"),
            ("a\r\n.\r\n", "a\r\n", ""),
            ("a\r\n\r\n..\r\n.b\r\n...c\r\n.\r\n+OK", "a\r\n\r\n.\r\nb\r\n..c\r\n", "+OK"),
            ("no line end before\rthe\n.\r\nend\r\n.\r\n", "no line end before\rthe\n.\r\nend\r\n", ""),
            ("\n.\n.\r\n\r\n.\r\n", "\n.\n.\r\n\r\n", ""),
            ("a\n..\n...b\n.c\r\n.\r\n", "a\n.\n..b\n.c\r\n", ""),
            (".\rx\r\n.\r\r\n.\r\n", "\rx\r\n\r\r\n", ""),
            ("\r\r\n.\r\n", "\r\r\n", ""),
            ("a\n.\r\n+OK\n.\n-ERR\n.\rb\n.c\r\n.\r\n", "a\n.\r\n+OK\n.\n-ERR\n.\rb\n.c\r\n", ""),
        ] {
            for size in 1..=input.len() {
                let (got, after) = read(input.as_bytes(), false, size);
                assert_eq!(String::from_utf8_lossy(&got), text, "{input:?} in pieces of {size}");
                assert_eq!(after.as_deref(), Some(rest.as_bytes()), "{input:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_server_of_bare_lfs_is_understood() {
        for size in 1..10 {
            let (text, rest) = read(b"a\n..b\n.\n+OK\n", true, size);
            assert_eq!((text.as_slice(), rest.as_deref()), (&b"a\n.b\n"[..], Some(&b"+OK\n"[..])));
        }
    }

    #[test]
    fn an_unfinished_response_has_no_end() {
        for input in ["a", "a\r\n", "a\r\n.", "a\r\n.\r", "a\n.\r\n"] {
            assert_eq!(read(input.as_bytes(), false, 3).1, None, "{input:?}");
        }
    }

    /// Catches: octets that change when a server stuffs the dots, be it after CRLF or after any LF, and they are
    /// taken out again.
    #[test]
    fn stuffing_and_unstuffing_cancel_out() {
        proptest::proptest!(|(message in "[a.\r\n]{0,40}", size in 1usize..9, line_end in "\r?\n")| {
            let message = format!("{message}\r\n");
            proptest::prop_assume!(line_end == "\n" || !message.replace("\r\n", "").contains("\n.."));
            let mut stuffed = message.replace(&format!("{line_end}."), &format!("{line_end}.."));
            if stuffed.starts_with('.') {
                stuffed.insert(0, '.');
            }
            let (text, rest) = read(format!("{stuffed}.\r\n+OK").as_bytes(), false, size);
            proptest::prop_assert_eq!(String::from_utf8_lossy(&text), message);
            proptest::prop_assert_eq!(rest, Some(b"+OK".to_vec()));
        });
    }
}
