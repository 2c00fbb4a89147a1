//! The header of a submitted message, read as it passes and put in order (RFC 6409 section 8): what is
//! missing is added at its end, what is nobody's business is left out.
//!
//! Whatever is no header field ends the header, and an empty line is put before it: so nothing that
//! this filter did not see can be a field to a reader who is more lenient.

use super::mailbox::Mailbox;
use super::originator::addresses;
use crate::message::header::{MAX_FIELDS, MAX_HEADER};
use crate::message::{compose, date};

/// Octets of a field name; RFC 5322 knows lines of 998.
const MAX_NAME: usize = 256;
/// Octets of a From or Sender field.
const MAX_ORIGINATOR: usize = 8192;
/// Addresses of all these fields together.
const MAX_ORIGINATORS: usize = 100;

/// What a message gets that comes without it.
#[derive(Debug)]
pub struct Defaults {
    /// For From; `None` adds none.
    pub from: Option<Mailbox>,
    /// For Date, in seconds since 1970 UTC.
    pub date: i64,
    /// The right side of a Message-ID.
    pub domain: String,
}

/// What became of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    /// Passed, and its value kept to see who the message is from.
    Originator,
    /// RFC 5322 section 3.6.3 hides Bcc from the others; Return-Path is the last server's to write
    /// (RFC 5321 section 4.4); Content-Length is an mbox's, and wrong elsewhere.
    Drop,
}

#[derive(Debug)]
enum State {
    /// A line begins, after a field of this fate.
    LineStart(Option<Fate>),
    Name,
    Value(Fate),
    /// The CR of the empty line.
    EmptyLine,
    Body,
}

/// The filter.
#[derive(Debug)]
pub struct HeaderFilter {
    state: State,
    defaults: Defaults,
    /// The name of a field that has begun.
    name: Vec<u8>,
    /// The value of an originator field.
    value: Vec<u8>,
    has_from: bool,
    has_date: bool,
    has_message_id: bool,
    received: u32,
    /// Of the header so far, what is left out included.
    octets: u64,
    fields: usize,
    /// Whether it matters who the message is from.
    watched: bool,
    originators: Option<Vec<Mailbox>>,
}

impl HeaderFilter {
    /// Nothing read yet. Originators are kept where the message is `watched` for them.
    pub fn new(defaults: Defaults, watched: bool) -> HeaderFilter {
        HeaderFilter {
            state: State::LineStart(None),
            defaults,
            name: Vec::new(),
            value: Vec::new(),
            has_from: false,
            has_date: false,
            has_message_id: false,
            received: 0,
            octets: 0,
            fields: 0,
            watched,
            originators: Some(Vec::new()),
        }
    }

    /// Received fields so far.
    pub fn received(&self) -> u32 {
        self.received
    }

    /// Whether the header is more than a header may be.
    pub fn is_too_much(&self) -> bool {
        self.octets > MAX_HEADER || self.fields > MAX_FIELDS
    }

    /// The addresses of all From and Sender fields; `None` where one cannot be read.
    pub fn originators(&self) -> Option<&[Mailbox]> {
        self.originators.as_deref()
    }

    /// Appends to `out` what becomes of `input`, whose lines end with CR LF (see [`super::data`]).
    pub fn filter(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut rest = input;
        while let Some((&octet, after)) = rest.split_first() {
            rest = match self.state {
                State::Body => {
                    out.extend_from_slice(rest);
                    return;
                }
                State::Value(fate) => {
                    let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
                    let (line, next) = rest.split_at(end);
                    self.octets += line.len() as u64;
                    self.value(fate, line, out);
                    if line.ends_with(b"\n") {
                        self.state = State::LineStart(Some(fate));
                    }
                    next
                }
                State::LineStart(Some(fate)) if matches!(octet, b' ' | b'\t') => {
                    self.state = State::Value(fate);
                    rest
                }
                State::LineStart(_) => {
                    self.end_of_field();
                    self.state = if octet == b'\r' { State::EmptyLine } else { State::Name };
                    if octet == b'\r' { after } else { rest }
                }
                State::EmptyLine => {
                    self.end_of_header(out);
                    after
                }
                State::Name => self.name(octet, out, rest, after),
            };
        }
    }

    /// The content ends; one that was all header is completed here.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !matches!(self.state, State::Body) {
            self.end_of_field();
            let cut = std::mem::take(&mut self.name);
            self.end_of_header(out);
            out.extend_from_slice(&cut);
        }
    }

    /// RFC 5322 section 3.6.8, with the white space before the colon that section 4.5 allows. Returns
    /// what is left of the input.
    fn name<'a>(&mut self, octet: u8, out: &mut Vec<u8>, rest: &'a [u8], after: &'a [u8]) -> &'a [u8] {
        let spaced = self.name.last().is_some_and(|&last| matches!(last, b' ' | b'\t'));
        match octet {
            b':' if !self.name.is_empty() => {
                self.octets += self.name.len() as u64 + 1;
                self.fields += 1;
                let fate = self.fate();
                if fate != Fate::Drop {
                    out.extend_from_slice(&self.name);
                    out.push(b':');
                }
                self.name.clear();
                self.state = State::Value(fate);
                after
            }
            b' ' | b'\t' if !self.name.is_empty() && self.name.len() < MAX_NAME => {
                self.name.push(octet);
                after
            }
            b'!'..=b'9' | b';'..=b'~' if !spaced && self.name.len() < MAX_NAME => {
                self.name.push(octet);
                after
            }
            // No field: the body begins without an empty line.
            _ => {
                let begun = std::mem::take(&mut self.name);
                self.end_of_header(out);
                out.extend_from_slice(&begun);
                rest
            }
        }
    }

    /// What becomes of the field whose name was read.
    fn fate(&mut self) -> Fate {
        let name = self.name.trim_ascii_end().to_ascii_lowercase();
        match name.as_slice() {
            b"from" => {
                self.has_from = true;
                self.originator()
            }
            b"sender" => self.originator(),
            b"bcc" | b"resent-bcc" | b"return-path" | b"content-length" => Fate::Drop,
            b"date" => {
                self.has_date = true;
                Fate::Pass
            }
            b"message-id" => {
                self.has_message_id = true;
                Fate::Pass
            }
            b"received" => {
                self.received += 1;
                Fate::Pass
            }
            _ => Fate::Pass,
        }
    }

    fn originator(&self) -> Fate {
        if self.watched { Fate::Originator } else { Fate::Pass }
    }

    fn value(&mut self, fate: Fate, piece: &[u8], out: &mut Vec<u8>) {
        if fate == Fate::Originator {
            if self.value.len() + piece.len() <= MAX_ORIGINATOR {
                self.value.extend_from_slice(piece);
            } else {
                self.originators = None;
            }
        }
        if fate != Fate::Drop {
            out.extend_from_slice(piece);
        }
    }

    /// Reads an originator field that is whole.
    fn end_of_field(&mut self) {
        let value = std::mem::take(&mut self.value);
        if let State::LineStart(Some(Fate::Originator)) = self.state {
            match (&mut self.originators, addresses(&value)) {
                (Some(all), Some(found)) if all.len() + found.len() <= MAX_ORIGINATORS => all.extend(found),
                (originators, _) => *originators = None,
            }
        }
    }

    /// Adds what is missing, and the empty line.
    fn end_of_header(&mut self, out: &mut Vec<u8>) {
        if let Some(from) = self.defaults.from.take().filter(|_| !self.has_from) {
            out.extend_from_slice(format!("From: <{from}>\r\n").as_bytes());
        }
        if !self.has_date {
            out.extend_from_slice(format!("Date: {}\r\n", date::rfc5322(self.defaults.date)).as_bytes());
        }
        if !self.has_message_id {
            let id = compose::message_id(&self.defaults.domain);
            out.extend_from_slice(format!("Message-ID: {id}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        self.state = State::Body;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(input: &str, size: usize) -> (String, HeaderFilter) {
        filter_watched(input, size, true)
    }

    fn filter_watched(input: &str, size: usize, watched: bool) -> (String, HeaderFilter) {
        let from = Mailbox::parse("demo@home.example").ok();
        let defaults = Defaults { from, date: 0, domain: "home.example".into() };
        let mut filter = HeaderFilter::new(defaults, watched);
        let mut out = Vec::new();
        input.as_bytes().chunks(size).for_each(|piece| filter.filter(piece, &mut out));
        filter.finish(&mut out);
        let text = String::from_utf8(out).unwrap();
        // The Message-ID is random.
        let (start, id) = text.split_once("Message-ID: <1").unwrap_or((&text, ""));
        let rest = id.split_once('\r').map_or(String::new(), |(_, rest)| format!("Message-ID: …\r{rest}"));
        (format!("{start}{rest}"), filter)
    }

    const DATE: &str = "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n";
    const ID: &str = "Message-ID: …\r\n";

    #[test]
    fn headers_are_completed() {
        let complete = "From: a@b.example\r\nDate: now\r\nMESSAGE-ID : <x@y>\r\n\r\nbody\r\n";
        let from = "From: <demo@home.example>\r\n";
        for (input, output) in [
            (complete, complete.to_owned()),
            ("", format!("{from}{DATE}{ID}\r\n")),
            ("\r\nbody\r\n", format!("{from}{DATE}{ID}\r\nbody\r\n")),
            ("Subject: all header\r\n", format!("Subject: all header\r\n{from}{DATE}{ID}\r\n")),
            ("From: a@b.example\r\n\r\n", format!("From: a@b.example\r\n{DATE}{ID}\r\n")),
            (
                "just text\r\nFrom: x@y.example\r\n",
                format!("{from}{DATE}{ID}\r\njust text\r\nFrom: x@y.example\r\n"),
            ),
            (" folded: nothing\r\n", format!("{from}{DATE}{ID}\r\n folded: nothing\r\n")),
            (": no name\r\n", format!("{from}{DATE}{ID}\r\n: no name\r\n")),
            ("A: b\r\nX y: no field\r\n", format!("A: b\r\n{from}{DATE}{ID}\r\nX y: no field\r\n")),
            ("unfinished", format!("{from}{DATE}{ID}\r\nunfinished")),
        ] {
            for size in [1, 2, 3, 1000] {
                assert_eq!(filter(input, size).0, output, "{input:?} by {size}");
            }
        }
    }

    #[test]
    fn what_is_nobodys_business_is_left_out() {
        let rest = "From: a@b.example\r\nDate: now\r\nMessage-ID: <x@y>\r\n\r\nBcc: in the body\r\n";
        let hidden =
            "Bcc: x@y.example,\r\n z@y.example\r\nReturn-Path: <x@y.example>\r\nContent-Length: 7\r\n";
        for size in [1, 7, 1000] {
            assert_eq!(filter(&format!("{hidden}{rest}"), size).0, rest);
        }
    }

    #[test]
    fn originators_and_hops_are_seen() {
        let (_, filter) = filter(
            "Received: a\r\n\tReceived: b\r\nReceived: c\r\nFrom: A <a@b.example>,\r\n c@d.example\r\n\
             sender: e@f.example\r\nFROM : g@h.example\r\nTo: x@y.example\r\n\r\nFrom: z@z.example\r\n",
            3,
        );
        let originators: Vec<_> = filter.originators().unwrap().iter().map(Mailbox::as_str).collect();
        assert_eq!(originators, ["a@b.example", "c@d.example", "e@f.example", "g@h.example"]);
        assert_eq!(filter.received(), 2);
    }

    #[test]
    fn originators_that_cannot_be_read() {
        let long = format!("From: a@b.example\r\n{}\r\n", " (padding)\r\n".repeat(1000));
        let many = format!("From: a@b.example\r\n{}\r\n", "Sender: c@d.example\r\n".repeat(MAX_ORIGINATORS));
        for input in ["From: nobody\r\n\r\n", "Sender: a@b.example\r\nFrom: <\r\n", &long, &many] {
            assert_eq!(filter(input, 5).1.originators(), None, "{input:.40}");
        }
    }

    /// Catches: addresses that are kept for nobody (2.5 million Sender fields by `lan_smtp` took 268 MiB).
    #[test]
    fn nothing_is_kept_where_nobody_asks() {
        let (text, filter) =
            filter_watched(&format!("From: <\r\n{}", "Sender: a@b.example\r\n".repeat(900)), 99, false);
        assert_eq!(filter.originators(), Some(&[][..]));
        assert_eq!(filter.value.capacity(), 0);
        assert!(text.starts_with("From: <\r\nSender:"), "and passed all the same");
    }

    /// Catches: a header limit that counts the body, or not what is left out, or is one too low.
    #[test]
    fn a_header_may_be_so_much() {
        let octets = MAX_HEADER as usize;
        let long = |size: usize| format!("A: {}\r\n", "x".repeat(size - 5));
        for (header, too_much) in [
            ("A: b\r\n".repeat(MAX_FIELDS), false),
            ("Bcc: b\r\n".repeat(MAX_FIELDS + 1), true),
            (long(octets), false),
            (long(octets + 1), true),
            (long(octets - 10) + " a\r\n b\r\n \r\n", true),
            (long(octets / 2) + &long(octets - octets / 2), false),
        ] {
            for size in [999, header.len()] {
                let (_, filter) = filter(&format!("{header}\r\n{}", "B: c\r\n".repeat(2 * MAX_FIELDS)), size);
                assert_eq!(filter.is_too_much(), too_much, "{header:.20}, {} octets", header.len());
            }
        }
    }
}
