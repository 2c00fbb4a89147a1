//! The content of one message on its way from the wire to the store, checked while it passes: its size, lines, octets
//! and header. Without I/O.

use super::Reply;
use super::data::Decoder;
use super::header::{Authors, Defaults, HeaderFilter};
use super::session::too_large;

/// Octets of a line without its line end, at most (RFC 5322 section 2.1.1). The next server would bounce a longer
/// one, when the client can no longer be told.
const MAX_LINE: usize = 998;

/// Checks a message that comes in.
pub struct Intake {
    decoder: Decoder,
    header: HeaderFilter,
    decoded: Vec<u8>,
    /// Complete lines so far.
    lines: u64,
    /// Octets of the current line so far.
    column: usize,
    size: u64,
    limit: u64,
    eight_bit: bool,
}

impl Intake {
    /// An intake for a message of at most `limit` octets.
    pub fn new(decoder: Decoder, defaults: Defaults, authors: Authors, limit: u64) -> Intake {
        Intake {
            decoder,
            header: HeaderFilter::new(defaults, authors),
            decoded: Vec::new(),
            lines: 0,
            column: 0,
            size: 0,
            limit,
            eight_bit: false,
        }
    }

    /// Puts into `out` what is to be stored of `input`. Returns how many octets of `input` were consumed (all, unless
    /// the message ends before), and as an error why the message is refused. After an error the rest goes to
    /// [`Intake::skip`].
    pub fn take(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, Result<(), Reply>) {
        out.clear();
        let consumed = self.decode(input);
        (consumed, self.judge(out))
    }

    /// Drops `input` of a refused message up to its end, since a client reads no reply before it has sent everything.
    /// Returns how many octets were consumed, and an error if the message is also too large: the client then gets
    /// that reply.
    pub fn skip(&mut self, input: &[u8]) -> (usize, Result<(), Reply>) {
        let consumed = self.decode(input);
        (consumed, if self.size > self.limit { Err(too_large(self.limit)) } else { Ok(()) })
    }

    /// Whether the lone dot has come.
    pub fn is_complete(&self) -> bool {
        self.decoder.is_complete()
    }

    /// Whether so many octets are being dropped that closing the connection is better; `coming` octets are still
    /// announced.
    pub fn is_hopeless(&self, coming: u64) -> bool {
        is_hopeless(self.size.saturating_add(coming), self.limit)
    }

    /// Ends the content and puts the rest of it into `out`. `true` if it has octets above 127.
    ///
    /// # Errors
    /// Why the message is refused.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool, Reply> {
        out.clear();
        self.decoded.clear();
        self.decoder.finish(&mut self.decoded);
        self.size += self.decoded.len() as u64;
        self.judge(out)?;
        self.header.finish(out)?;
        Ok(self.eight_bit)
    }

    fn decode(&mut self, input: &[u8]) -> usize {
        self.decoded.clear();
        let consumed = self.decoder.decode(input, &mut self.decoded);
        self.size += self.decoded.len() as u64;
        consumed
    }

    fn judge(&mut self, out: &mut Vec<u8>) -> Result<(), Reply> {
        if self.size > self.limit {
            return Err(too_large(self.limit));
        }
        self.eight_bit |= !self.decoded.is_ascii();
        self.lines()?;
        self.header.filter(&self.decoded, out).map_err(Reply::from)
    }

    /// Checks each decoded line; lines are numbered as the client sent them.
    fn lines(&mut self) -> Result<(), Reply> {
        let nul = memchr::memchr(0, &self.decoded);
        let ends = memchr::memchr_iter(b'\n', &self.decoded).map(|lf| lf + 1);
        let mut begin = 0;
        for end in ends.chain([self.decoded.len()]) {
            let piece = self.decoded.get(begin..end).unwrap_or_default();
            // The decoder gives line ends whole.
            let text = piece.strip_suffix(b"\r\n");
            self.column += text.unwrap_or(piece).len();
            if nul.is_some_and(|nul| (begin..end).contains(&nul)) {
                let text = format!("Line {} holds a NUL octet, which mail must not", self.lines + 1);
                return Err(Reply::new(554, (6, 0), text));
            }
            if self.column > MAX_LINE {
                let text = format!("Line {} is longer than {MAX_LINE} octets", self.lines + 1);
                return Err(Reply::new(550, (6, 0), text));
            }
            if text.is_some() {
                self.lines += 1;
                self.column = 0;
            }
            begin = end;
        }
        Ok(())
    }
}

/// Whether a message of so many octets is so far above `limit` that it is not worth receiving only to drop it.
pub fn is_hopeless(octets: u64, limit: u64) -> bool {
    octets / 2 > limit
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: &str = "From: a@b.example\r\nDate: now\r\nMessage-ID: <x@y>\r\n\r\n";

    fn defaults() -> Defaults {
        Defaults { from: None, date: 0, domain: "home.example".into() }
    }

    fn own() -> Authors {
        Authors::Own(Box::new(|mailbox| mailbox.as_str() == "a@b.example"))
    }

    /// What is stored of `wire`, and the verdict for the sender a@b.example.
    fn take(wire: &[u8], limit: u64) -> (Vec<u8>, Result<bool, Reply>) {
        let mut intake = Intake::new(Decoder::default(), defaults(), own(), limit);
        let (mut stored, mut out, mut consumed, mut refusal) = (Vec::new(), Vec::new(), 0, None);
        for piece in wire.chunks(11) {
            if refusal.is_some() {
                let (n, judged) = intake.skip(piece);
                consumed += n;
                refusal = judged.err().or(refusal);
                continue;
            }
            let (n, judged) = intake.take(piece, &mut out);
            consumed += n;
            match judged {
                Ok(()) => stored.extend_from_slice(&out),
                Err(reply) => refusal = Some(reply),
            }
        }
        assert!(intake.is_complete() && consumed == wire.len());
        let verdict = refusal.map_or_else(|| intake.finish(&mut out), Err);
        if verdict.is_ok() {
            stored.extend_from_slice(&out);
        }
        (stored, verdict)
    }

    #[test]
    fn a_message_that_is_in_order_passes_as_it_is() {
        let (stored, verdict) = take(format!("{COMPLETE}..dots\r\n.\r\n").as_bytes(), 1000);
        assert_eq!((stored, verdict), (format!("{COMPLETE}.dots\r\n").into_bytes(), Ok(false)));
        let (_, verdict) = take(format!("{COMPLETE}Grüße\r\n.\r\n").as_bytes(), 1000);
        assert_eq!(verdict, Ok(true));
    }

    #[test]
    fn the_limit_is_the_last_octet_that_is_taken() {
        let exact = format!("{COMPLETE}x\r\n");
        let limit = exact.len() as u64;
        assert_eq!(take(format!("{exact}.\r\n").as_bytes(), limit), (exact.clone().into_bytes(), Ok(false)));
        let (stored, verdict) = take(format!("{exact}y\r\n.\r\n").as_bytes(), limit);
        assert_eq!(verdict, Err(too_large(limit)));
        assert!(stored.len() <= exact.len());
    }

    /// Catches: a fault that passes, or that is named wrongly.
    #[test]
    fn verdicts() {
        let received = |n| format!("{}{COMPLETE}.\r\n", "Received: x\r\n".repeat(n));
        let fields = |n| format!("{}{COMPLETE}.\r\n", "A: x\r\n".repeat(n));
        let line = |n| format!("{COMPLETE}one\r\n{}\r\n.\r\n", "x".repeat(n));
        let stuffed = |n| format!("{COMPLETE}..{}\r\n.\r\n", "x".repeat(n));
        let field = |n| format!("Subject: {}\r\n{COMPLETE}\r\n.\r\n", "x".repeat(n));
        for (wire, words) in [
            ("From: Boss <boss@b.example>\r\n\r\n.\r\n", "550 5.7.1 From must be"),
            ("From: a@b.example\r\nSender: boss@b.example\r\n\r\n.\r\n", "550 5.7.1 Sender must be"),
            ("From: a@b.example, boss@b.example\r\n\r\n.\r\n", "550 5.7.1 From must be"),
            ("From: nobody\r\n\r\n.\r\n", "550 5.6.0 The From field"),
            (
                "just text\r\n.\r\n",
                "554 5.6.0 This line is no header field, and no empty line comes before it: just text",
            ),
            (&format!("no header\r\n{}.\r\n", "x\r\n".repeat(4000)), "552 5.3.4"),
            (&received(51), "554 5.4.6"),
            (&fields(998), "554 5.6.0"),
            (&line(999), "550 5.6.0 Line 6 is longer"),
            (&stuffed(998), "550 5.6.0 Line 5 is longer"),
            (&field(990), "550 5.6.0 Line 1 is longer"),
            (&format!("{COMPLETE}one\r\ntw\0o\r\n.\r\n"), "554 5.6.0 Line 6 holds a NUL"),
            ("Subject: \0\r\n\r\n.\r\n", "554 5.6.0 Line 1 holds a NUL"),
            ("Sub\0ject: x\r\n\r\n.\r\n", "554 5.6.0 Line 1 holds a NUL"),
        ] {
            let verdict = take(wire.as_bytes(), 10_000).1.unwrap_err();
            assert!(verdict.to_string().starts_with(words), "{wire:?}: {verdict}");
        }
        for wire in [received(50), fields(997), line(998), stuffed(997), field(989)] {
            assert_eq!(take(wire.as_bytes(), 10_000).1, Ok(false), "{wire:.40}");
        }
    }

    #[test]
    fn who_sends_without_an_end_is_not_listened_to_for_ever() {
        let mut intake = Intake::new(Decoder::default(), defaults(), own(), 1000);
        let pieces = (0..).take_while(|_| {
            let _ = intake.skip(&[b'x'; 100]);
            !intake.is_hopeless(0)
        });
        assert_eq!(pieces.count(), 20);
        assert!(Intake::new(Decoder::of_chunks(), defaults(), own(), 1000).is_hopeless(u64::MAX));
    }

    /// What is stored of chunks of `size` octets.
    fn gather(content: &[u8], size: usize) -> Result<Vec<u8>, Reply> {
        let defaults = Defaults { from: None, date: 0, domain: "home.example".into() };
        let mut intake = Intake::new(Decoder::of_chunks(), defaults, own(), 10_000);
        let (mut stored, mut out) = (Vec::new(), Vec::new());
        for chunk in content.chunks(size) {
            let (consumed, judged) = intake.take(chunk, &mut out);
            assert_eq!(consumed, chunk.len());
            judged?;
            stored.extend_from_slice(&out);
        }
        intake.finish(&mut out)?;
        stored.extend_from_slice(&out);
        Ok(stored)
    }

    proptest::proptest! {
        /// Catches: a refusal or a stored octet that depends on where the wire was cut.
        #[test]
        fn chunks_are_stored_alike_wherever_they_are_cut(
            content in "(From: a@b.example\r\n)?(Bcc: c@d.example\r\n)?[A.:\r\n \0]{0,30}",
            size in 1usize..7,
        ) {
            // Otherwise the Message-ID would be random.
            let content = format!("Message-ID: <x@y>\r\n{content}");
            let whole = gather(content.as_bytes(), content.len()).ok();
            proptest::prop_assert_eq!(gather(content.as_bytes(), size).ok(), whole);
        }
    }

    /// Catches: chunks that end within a line, which is stored without a line end, or is above the limit with it and
    /// taken.
    #[test]
    fn chunks_that_end_within_a_line_are_stored_with_its_end() {
        let found = String::from_utf8(gather(format!("{COMPLETE}hello").as_bytes(), 5).unwrap()).unwrap();
        assert_eq!(found, format!("{COMPLETE}hello\r\n"));
        let header = COMPLETE.strip_suffix("\r\n\r\n").unwrap();
        let found = String::from_utf8(gather(header.as_bytes(), 5).unwrap()).unwrap();
        assert_eq!(found, COMPLETE);
        let text = format!("{COMPLETE}hello");
        for (limit, is_taken) in [(text.len() + 2, true), (text.len() + 1, false)] {
            let mut intake = Intake::new(Decoder::of_chunks(), defaults(), own(), limit as u64);
            let mut out = Vec::new();
            intake.take(text.as_bytes(), &mut out).1.unwrap();
            assert_eq!(intake.finish(&mut out).is_ok(), is_taken, "{limit}");
        }
    }
}
