//! Sends a message as the lines of a multi-line response (RFC 1939 section 3), piece by piece.
//!
//! Octets are not changed, except that a dot is added before each line that begins with one. A line begins after
//! every LF, for clients that end lines there, so no message can end its own response early. If the last line has no
//! CRLF, one is added.

use memchr::{memchr, memmem};

/// The position in the message after the last piece.
#[derive(Debug)]
pub struct Stuffing {
    /// The last two octets so far: the meaning of the next octet depends on them.
    last: [u8; 2],
    /// The number of lines of the body that are sent (RFC 1939 section 7, TOP); `None`: the whole message.
    limit: Option<u32>,
    in_header: bool,
    /// Whether the current line has no octets yet besides its line end.
    line_is_empty: bool,
    done: bool,
}

impl Stuffing {
    /// The beginning of a message, of which everything is sent, or the header and so many lines of the body.
    pub fn new(limit: Option<u32>) -> Stuffing {
        Stuffing { last: *b"\r\n", limit, in_header: true, line_is_empty: true, done: false }
    }

    /// Whether no more octets are needed.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Appends the next piece to `out`, stuffed.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        // Of the whole message only the lines with dots need a look.
        while self.limit.is_none() {
            let (lines, dotted) = rest.split_at(memmem::find(rest, b"\n.").map_or(rest.len(), |at| at + 1));
            self.push_line(lines, out);
            if dotted.is_empty() {
                return;
            }
            rest = dotted;
        }
        while !rest.is_empty() && !self.done {
            let (line, behind) = rest.split_at(memchr(b'\n', rest).map_or(rest.len(), |at| at + 1));
            self.push_line(line, out);
            self.line_is_empty &= line.iter().all(|octet| matches!(octet, b'\r' | b'\n'));
            if self.last[1] == b'\n' {
                self.line_ended();
            }
            rest = behind;
        }
    }

    /// Appends octets of which only the first may be a dot at the beginning of a line.
    fn push_line(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        if self.last[1] == b'\n' && octets.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(octets);
        for &octet in octets.iter().rev().take(2).rev() {
            self.last = [self.last[1], octet];
        }
    }

    fn line_ended(&mut self) {
        let empty = std::mem::replace(&mut self.line_is_empty, true);
        let Some(left) = &mut self.limit else { return };
        if self.in_header {
            self.in_header = !empty;
        } else {
            *left -= 1;
        }
        self.done = !self.in_header && *left == 0;
    }

    /// What is sent after the last piece: the line with the dot.
    pub fn end(&self) -> &'static [u8] {
        if self.last == *b"\r\n" { b".\r\n" } else { b"\r\n.\r\n" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole response, with the message given in pieces of every size.
    fn stuffed(message: &str, limit: Option<u32>) -> String {
        let whole: Vec<Vec<u8>> = (1..=message.len().max(1))
            .map(|size| {
                let (mut stuffing, mut out) = (Stuffing::new(limit), Vec::new());
                for piece in message.as_bytes().chunks(size) {
                    stuffing.push(piece, &mut out);
                }
                out.extend_from_slice(stuffing.end());
                out
            })
            .collect();
        assert!(whole.windows(2).all(|pair| pair[0] == pair[1]), "the pieces make no difference");
        String::from_utf8(whole.into_iter().next().unwrap()).unwrap()
    }

    #[test]
    fn lines_that_begin_with_a_dot_get_another() {
        for (message, expected) in [
            ("", ".\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("..a\r\n.b.c\r\n", "...a\r\n..b.c\r\n.\r\n"),
            ("a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\n.\nb\r\n", "a\n..\nb\r\n.\r\n"),
            ("a\r.b\r\n", "a\r.b\r\n.\r\n"),
        ] {
            assert_eq!(stuffed(message, None), expected, "{message:?}");
        }
    }

    #[test]
    fn a_last_line_without_crlf_gets_one() {
        for (message, expected) in [
            ("a", "a\r\n.\r\n"),
            ("a\n", "a\n\r\n.\r\n"),
            ("a\r", "a\r\r\n.\r\n"),
            ("a\n\r\n", "a\n\r\n.\r\n"),
        ] {
            assert_eq!(stuffed(message, None), expected, "{message:?}");
        }
    }

    #[test]
    fn top_ends_after_so_many_lines_of_the_body() {
        let message = "A: b\r\n c\r\n\r\n1\r\n\r\n.3\r\n4";
        for (lines, expected) in [
            (0, "A: b\r\n c\r\n\r\n.\r\n"),
            (1, "A: b\r\n c\r\n\r\n1\r\n.\r\n"),
            (3, "A: b\r\n c\r\n\r\n1\r\n\r\n..3\r\n.\r\n"),
            (4, "A: b\r\n c\r\n\r\n1\r\n\r\n..3\r\n4\r\n.\r\n"),
            (u32::MAX, "A: b\r\n c\r\n\r\n1\r\n\r\n..3\r\n4\r\n.\r\n"),
        ] {
            assert_eq!(stuffed(message, Some(lines)), expected, "{lines}");
        }
        assert_eq!(stuffed("A: b\n\n1\n2\n", Some(1)), "A: b\n\n1\n\r\n.\r\n");
        assert_eq!(stuffed("\r\n1\r\n2\r\n", Some(1)), "\r\n1\r\n.\r\n", "no header");
        assert_eq!(stuffed("A: b\r\nC: d\r\n", Some(0)), "A: b\r\nC: d\r\n.\r\n", "no body");
    }
}
