//! A message as the lines of a multi-line response (RFC 1939 section 3), piece by piece.
//!
//! Octets pass as they are but for the dots: one more goes before each line that begins with one. A
//! line begins after every LF, for clients that end lines there, so no message can end its own
//! response early. Where the last line has no CRLF one is added.

/// Where in the message the last piece ended.
#[derive(Debug)]
pub struct Stuffing {
    /// The octets before here were `\n`, `\r\n` …: what the next one means depends on it.
    last: [u8; 2],
    /// Only the header, and so many lines of the body (RFC 1939 section 7, TOP).
    limit: Option<u32>,
    in_header: bool,
    /// Octets of the current line that are not its line end.
    line_is_empty: bool,
    done: bool,
}

impl Stuffing {
    /// A message from its beginning: all of it, or its header and so many lines of its body.
    pub fn new(limit: Option<u32>) -> Stuffing {
        Stuffing { last: *b"\r\n", limit, in_header: true, line_is_empty: true, done: false }
    }

    /// Whether nothing more is wanted.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The next piece, as it goes out.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for line in piece.split_inclusive(|&octet| octet == b'\n') {
            if self.done {
                return;
            }
            if self.last[1] == b'\n' && line.first() == Some(&b'.') {
                out.push(b'.');
            }
            out.extend_from_slice(line);
            for &octet in line.iter().rev().take(2).rev() {
                self.last = [self.last[1], octet];
            }
            self.line_is_empty &= line.iter().all(|octet| matches!(octet, b'\r' | b'\n'));
            if self.last[1] == b'\n' {
                self.line_ended();
            }
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

    /// What goes after the last piece: the line with the dot.
    pub fn end(&self) -> &'static [u8] {
        if self.last == *b"\r\n" { b".\r\n" } else { b"\r\n.\r\n" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole response, the message handed over in pieces of every size.
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
