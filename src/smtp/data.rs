//! The content of a message between DATA and the lone dot (RFC 5321 section 4.5.2), in both directions, and in the
//! chunks of BDAT (RFC 3030), in which a dot has no special meaning.
//!
//! All servers must agree on what a line is. If one server takes `LF . LF` for the end of a message and the next one
//! does not, a sender can smuggle in messages of other people (SMTP smuggling, CVE-2023-51764 to 51766). The rules
//! here, in both directions:
//!
//! - The end is `CR LF . CR LF` and nothing else.
//! - A bare LF becomes CR LF: devices that send it mean the end of a line, and their mail is not refused for it. A
//!   dot after it is content, and is stuffed like any other when it is sent.
//! - `CR CR LF`, with which some scanners end their lines, becomes CR LF when it is received.
//! - Any other bare CR becomes a space. It is not a line end, and in a header it could make an empty line, which ends
//!   the header.
//!
//! So every stored line ends with CR LF, and there is no other CR or LF.
//!
//! For a device that has never sent a CR, `LF . LF` is the end, too: it cannot send any other end, and would wait for
//! the reply for ever (see `Session::knows_lf_only` for which clients these are). Even then a lone dot between line
//! ends of two kinds is content: such a device does not send one, so somebody else wrote it.

use memchr::memchr2;

/// Decodes content from the wire.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    end: End,
}

/// What ends the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// `CR LF . CR LF`.
    Dot,
    /// `CR LF . CR LF` or `LF . LF`.
    BareDot,
    /// The number of octets, which the caller counts.
    Count,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a line; `strict` if the line before it ended with CR LF.
    Start { strict: bool },
    /// After a dot at the beginning of a line; the dot is not written yet.
    Dot { strict: bool },
    /// After a dot at the beginning of a line and a CR.
    DotCr { strict: bool },
    /// Within a line.
    Text,
    /// Within a line, after a CR that is not written yet.
    Cr,
    /// Within a line, after two CRs that are not written yet.
    CrCr,
    /// After a dot at the beginning of a line and two CRs.
    DotCrCr,
    /// The lone dot has come.
    End,
}

impl Default for Decoder {
    /// The CR LF of the DATA command itself counts as the end of a line.
    fn default() -> Decoder {
        Decoder { state: State::Start { strict: true }, end: End::Dot }
    }
}

impl Decoder {
    /// A decoder for content from a device that ends all its lines with LF alone, also those of its commands.
    pub fn of_bare_lines() -> Decoder {
        Decoder { state: State::Start { strict: false }, end: End::BareDot }
    }

    /// A decoder for chunks; the caller tells the end with [`Decoder::finish`].
    pub fn of_chunks() -> Decoder {
        Decoder { end: End::Count, ..Decoder::default() }
    }

    /// Appends the content in `input` to `out`. Returns how many octets of `input` were consumed: all, unless the
    /// content ends before.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while let Some((&first, rest)) = input.get(at..).and_then(|rest| Some((rest.first()?, rest))) {
            if self.state == State::End {
                break;
            }
            if self.state == State::Text {
                let run = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                if run > 0 {
                    out.extend_from_slice(rest.get(..run).unwrap_or(rest));
                    at += run;
                    continue;
                }
            }
            self.state = self.state.next(first, self.end, out);
            at += 1;
        }
        at
    }

    /// Whether the lone dot has come.
    pub fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// Ends the content of chunks: appends a line end to `out` if the content does not end with one, as with DATA.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.end == End::Count {
            if !matches!(self.state, State::Start { .. }) {
                self.decode(b"\r\n", out);
            }
            self.state = State::End;
        }
    }
}

impl State {
    fn next(self, octet: u8, end: End, out: &mut Vec<u8>) -> State {
        match (self, octet) {
            (State::End, _) => State::End,
            (State::Start { strict }, b'.') if end != End::Count => State::Dot { strict },
            (State::Dot { strict: false }, b'\n') if end == End::BareDot => State::End,
            (State::Dot { strict }, b'\r') => State::DotCr { strict },
            (State::DotCr { strict: true }, b'\n') => State::End,
            (State::DotCr { .. }, b'\r') => State::DotCrCr,
            // A lone dot that is not between two CR LF is content.
            (State::DotCr { strict: false } | State::DotCrCr, b'\n') => {
                out.extend_from_slice(b".\r\n");
                State::Start { strict: true }
            }
            (State::Dot { .. }, b'\n') => {
                out.extend_from_slice(b".\r\n");
                State::Start { strict: false }
            }
            // The dot was stuffed.
            (State::Dot { .. }, octet) => {
                out.push(octet);
                State::Text
            }
            (State::Cr, b'\r') => State::CrCr,
            (State::Cr | State::CrCr, b'\n') => {
                out.extend_from_slice(b"\r\n");
                State::Start { strict: true }
            }
            // A CR that is not followed by LF.
            (State::DotCr { .. } | State::Cr, octet) => {
                out.push(b' ');
                State::Text.next(octet, end, out)
            }
            (State::DotCrCr | State::CrCr, octet) => {
                out.push(b' ');
                State::Cr.next(octet, end, out)
            }
            (State::Start { .. } | State::Text, b'\r') => State::Cr,
            (State::Start { .. } | State::Text, b'\n') => {
                out.extend_from_slice(b"\r\n");
                State::Start { strict: false }
            }
            (State::Start { .. } | State::Text, octet) => {
                out.push(octet);
                State::Text
            }
        }
    }
}

/// Encodes content for the wire.
#[derive(Debug, Default)]
pub struct Encoder {
    in_line: bool,
    after_cr: bool,
}

impl Encoder {
    /// Appends `content` to `out`, dot-stuffed.
    pub fn encode(&mut self, content: &[u8], out: &mut Vec<u8>) {
        let mut rest = content;
        while let Some((&octet, after)) = rest.split_first() {
            if self.after_cr {
                self.after_cr = false;
                if octet != b'\n' {
                    out.push(b' ');
                    self.in_line = true;
                }
            }
            match octet {
                b'\n' => {
                    out.extend_from_slice(b"\r\n");
                    self.in_line = false;
                    rest = after;
                }
                b'\r' => {
                    self.after_cr = true;
                    rest = after;
                }
                _ => {
                    if octet == b'.' && !self.in_line {
                        out.push(b'.');
                    }
                    self.in_line = true;
                    let (run, after) = rest.split_at(memchr2(b'\r', b'\n', rest).unwrap_or(rest.len()));
                    out.extend_from_slice(run);
                    rest = after;
                }
            }
        }
    }

    /// Appends the end: a line end if the content does not end with one, and the lone dot.
    pub fn finish(self, out: &mut Vec<u8>) {
        if self.in_line || self.after_cr {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The content of `wire`, fed in pieces of `size`, and what is left after the end.
    fn decode(wire: &[u8], size: usize) -> (Vec<u8>, Option<Vec<u8>>) {
        let (mut decoder, mut out, mut consumed) = (Decoder::default(), Vec::new(), 0);
        for piece in wire.chunks(size) {
            consumed += decoder.decode(piece, &mut out);
        }
        (out, decoder.is_complete().then(|| wire[consumed..].to_vec()))
    }

    fn encode(content: &[u8], size: usize) -> Vec<u8> {
        let (mut encoder, mut out) = (Encoder::default(), Vec::new());
        content.chunks(size).for_each(|piece| encoder.encode(piece, &mut out));
        encoder.finish(&mut out);
        out
    }

    #[test]
    fn content_ends_with_a_lone_dot_between_two_line_ends() {
        for (wire, content, rest) in [
            (&b".\r\nQUIT\r\n"[..], &b""[..], Some(&b"QUIT\r\n"[..])),
            (b"a\r\n.\r\n", b"a\r\n", Some(b"")),
            (b"..\r\n...\r\n.a\r\n.\r\n", b".\r\n..\r\na\r\n", Some(b"")),
            (b"a.\r\n.\r\n", b"a.\r\n", Some(b"")),
            (b"a\r\n.", b"a\r\n", None),
            (b"a\r\n.\r", b"a\r\n", None),
            (b"", b"", None),
        ] {
            for size in 1..=wire.len().max(1) {
                let (found, after) = decode(wire, size);
                assert_eq!((&found[..], after.as_deref()), (content, rest), "{wire:?} by {size}");
            }
        }
    }

    /// The content of chunks of `size` octets.
    fn gather(chunks: &[u8], size: usize) -> Vec<u8> {
        let (mut decoder, mut out) = (Decoder::of_chunks(), Vec::new());
        for chunk in chunks.chunks(size) {
            assert_eq!(decoder.decode(chunk, &mut out), chunk.len());
        }
        decoder.finish(&mut out);
        assert!(decoder.is_complete());
        out
    }

    /// Catches: a dot in a chunk that ends it or is taken for a stuffed one, and lines that end in another way than
    /// after DATA.
    #[test]
    fn in_chunks_a_dot_is_a_dot() {
        for (chunks, content) in [
            (&b""[..], &b""[..]),
            (b".\r\n", b".\r\n"),
            (b"a\r\n.\r\n..\r\n", b"a\r\n.\r\n..\r\n"),
            (b"a\n.\nb", b"a\r\n.\r\nb\r\n"),
            (b"a\r.\rb\r", b"a . b\r\n"),
            (b"a\r\r\n.", b"a\r\n.\r\n"),
            (b"a\r\r", b"a \r\n"),
        ] {
            for size in 1..=chunks.len().max(1) {
                assert_eq!(gather(chunks, size), content, "{chunks:?} by {size}");
            }
        }
    }

    /// Catches: a device that waits for ever, and a dot between other line ends that ends its message early.
    #[test]
    fn a_device_of_bare_lines_ends_with_a_bare_dot() {
        for (wire, content, rest) in [
            (&b"a\n.\nQUIT\n"[..], &b"a\r\n"[..], Some(&b"QUIT\n"[..])),
            (b".\n", b"", Some(b"")),
            (b"a\n..\n...\n.b\n.\n", b"a\r\n.\r\n..\r\nb\r\n", Some(b"")),
            (b"a\r\n.\r\nQUIT\n", b"a\r\n", Some(b"QUIT\n")),
            (b"a\n.\r\nb\n", b"a\r\n.\r\nb\r\n", None),
            (b"a\r\n.\nb\n", b"a\r\n.\r\nb\r\n", None),
            (b"a\r.\n", b"a .\r\n", None),
        ] {
            for size in 1..=wire.len() {
                let (mut decoder, mut out, mut consumed) = (Decoder::of_bare_lines(), Vec::new(), 0);
                for piece in wire.chunks(size) {
                    consumed += decoder.decode(piece, &mut out);
                }
                let after = decoder.is_complete().then(|| &wire[consumed..]);
                assert_eq!((&out[..], after), (content, rest), "{wire:?} by {size}");
            }
        }
    }

    #[test]
    fn nothing_else_ends_it() {
        for (wire, content) in [
            (&b"a\n.\nb"[..], &b"a\r\n.\r\nb"[..]),
            (b"a\n.\r\nb", b"a\r\n.\r\nb"),
            (b"a\r\n.\nb", b"a\r\n.\r\nb"),
            (b"a\r.\rb", b"a . b"),
            (b"a\r\n.\rb", b"a\r\n b"),
            (b"a\r.\r\nb", b"a .\r\nb"),
            (b"a\r\n.\r\r\nb", b"a\r\n.\r\nb"),
            (b"a\r\n.\r\rb", b"a\r\n  b"),
            (b"a\r\r\n\r\r\nb\r\r\r\nc\r\rd", b"a\r\n\r\nb \r\nc  d"),
            (b"a\r\n\0.\r\nb", b"a\r\n\0.\r\nb"),
            (b"a\n..\nb\r\r\nc", b"a\r\n.\r\nb\r\nc"),
        ] {
            for size in 1..=wire.len() {
                let (found, after) = decode(wire, size);
                assert_eq!((&found[..], after), (content, None), "{wire:?} by {size}");
            }
            let (found, after) = decode(&[wire, b"\r\n.\r\nRSET"].concat(), 3);
            assert_eq!((&found[..], after), (&[content, b"\r\n"].concat()[..], Some(b"RSET".to_vec())));
        }
    }

    #[test]
    fn content_leaves_stuffed() {
        for (content, wire) in [
            (&b""[..], &b".\r\n"[..]),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b".\r\n..\r\n.a", b"..\r\n...\r\n..a\r\n.\r\n"),
            (b"a\n.\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r.\rb", b"a . b\r\n.\r\n"),
            (b"a\r\n.\r", b"a\r\n..\r\n.\r\n"),
        ] {
            for size in 1..=content.len().max(1) {
                assert_eq!(encode(content, size), wire, "{content:?} by {size}");
            }
        }
    }

    proptest! {
        /// Catches: stored content with unclean lines, and sent content in which a server can see another end than
        /// the one that was meant, whatever a client sends.
        #[test]
        fn no_message_hides_in_another(wire in "[.\r\na]{0,24}", size in 1usize..5) {
            let (stored, _) = decode(wire.as_bytes(), size);
            let text = String::from_utf8(stored.clone()).unwrap();
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']));

            let sent = encode(&stored, size);
            let (again, rest) = decode(&sent, size);
            prop_assert_eq!(rest, Some(Vec::new()));
            let ended = if stored.is_empty() || stored.ends_with(b"\r\n") { stored } else { [&stored[..], b"\r\n"].concat() };
            prop_assert_eq!(again, ended);
            for end in ["\n.\n", "\n.\r", "\r.\r", "\r.\n"] {
                let last = sent.len() - b"\r\n.\r\n".len().min(sent.len());
                prop_assert!(!String::from_utf8_lossy(&sent[..last]).contains(end));
            }
        }

        /// Catches: content that is stored differently when it comes by BDAT, cut anywhere, than when it comes by
        /// DATA.
        #[test]
        fn chunks_and_data_are_stored_alike(content in "[.\r\na]{0,24}", size in 1usize..5) {
            // The content as a client sends it after DATA: with a line end at its end, and a dot before each dot that
            // begins a line.
            let whole = match content.is_empty() || content.ends_with('\n') {
                true => content.clone(),
                false => format!("{content}\r\n"),
            };
            let lines: Vec<String> = whole
                .split_inclusive('\n')
                .map(|line| if line.starts_with('.') { format!(".{line}") } else { line.to_owned() })
                .collect();
            // After a bare LF a message does not end here, so one more line end follows.
            let (stored, rest) = decode(format!("{}\r\n.\r\n", lines.concat()).as_bytes(), size);
            prop_assert_eq!(rest, Some(Vec::new()));
            prop_assert_eq!([gather(content.as_bytes(), size), b"\r\n".to_vec()].concat(), stored);
        }
    }
}
