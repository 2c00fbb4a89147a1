//! The quoting of mboxrd. A line of a message that begins with any number of `>` and `From ` gets one more `>`, so
//! that it is not taken for the beginning of the next message. Unquoting restores the octets exactly, whatever they
//! are.

/// Quotes or unquotes octets that come in pieces.
pub struct FromLines {
    unquote: bool,
    /// Whether only `>` has come since the beginning of the line.
    at_start: bool,
    /// Whether a `>` is held back that may be a quoting one.
    held: bool,
    /// How many letters of `From ` have come and are held back.
    matched: usize,
}

const FROM: &[u8] = b"From ";

impl FromLines {
    /// A filter that quotes.
    pub fn quote() -> FromLines {
        FromLines { unquote: false, at_start: true, held: false, matched: 0 }
    }
    /// A filter that unquotes.
    pub fn unquote() -> FromLines {
        FromLines { unquote: true, ..FromLines::quote() }
    }

    /// Appends the filtered `piece` to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for &octet in piece {
            if self.at_start && FROM.get(self.matched) == Some(&octet) {
                self.matched += 1;
                if self.matched == FROM.len() {
                    match self.unquote {
                        true => self.held = false,
                        false => out.push(b'>'),
                    }
                    self.pass(out);
                    self.at_start = false;
                }
                continue;
            }
            let only_quotes = self.at_start && self.matched == 0 && octet == b'>';
            self.pass(out);
            match only_quotes && self.unquote {
                true => self.held = true,
                false => out.push(octet),
            }
            self.at_start = only_quotes || octet == b'\n';
        }
    }

    /// Ends the message: appends what was held back.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.pass(out);
    }

    fn pass(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.held) {
            out.push(b'>');
        }
        out.extend_from_slice(&FROM[..std::mem::take(&mut self.matched)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(mut lines: FromLines, octets: &[u8], piece: usize) -> Vec<u8> {
        let mut out = Vec::new();
        octets.chunks(piece).for_each(|piece| lines.push(piece, &mut out));
        lines.finish(&mut out);
        out
    }

    #[test]
    fn lines_are_quoted() {
        for (plain, quoted) in [
            ("From me\n", ">From me\n"),
            ("a\nFrom me\n>From\n>>From you", "a\n>From me\n>From\n>>>From you"),
            ("> From me\nFromage\n>Fro", "> From me\nFromage\n>Fro"),
            ("\rFrom me", "\rFrom me"),
        ] {
            assert_eq!(all(FromLines::quote(), plain.as_bytes(), 100), quoted.as_bytes());
            assert_eq!(all(FromLines::unquote(), quoted.as_bytes(), 100), plain.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_comes_back(plain in "(From |>|F|Fro|\n|\r|x){0,20}", piece in 1usize..9) {
            let quoted = all(FromLines::quote(), plain.as_bytes(), piece);
            prop_assert!(!quoted.starts_with(FROM) && memchr::memmem::find(&quoted, b"\nFrom ").is_none());
            prop_assert_eq!(all(FromLines::unquote(), &quoted, piece), plain.as_bytes());
        }
    }
}
