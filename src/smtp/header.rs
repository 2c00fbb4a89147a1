//! The header of a submitted message, read as it passes and put in order (RFC 6409 section 8): what is
//! missing is added at its end, what is nobody's business is left out, and what says who it is from is looked at.
//!
//! What is no header is refused, and never made one: an empty line put before it would turn all that stands behind, a Bcc
//! perhaps, into text that goes out. Octets beyond ASCII pass, with and without SMTPUTF8: devices and old programs write
//! them, and RFC 6532 is how they are read.

mod authors;
mod fault;

use super::mailbox::Mailbox;
use crate::message::header::{MAX_FIELDS, MAX_HEADER};
use crate::message::{compose, date};
use authors::Originator;
pub use authors::{Allowed, Authors};
pub use fault::Fault;

/// Octets of a field name; RFC 5322 knows lines of 998.
const MAX_NAME: usize = 256;
/// Octets of a field that says who a message is from.
const MAX_ORIGINATOR: usize = 8192;
/// Received fields that mean a loop (RFC 5321 section 6.3 asks for a limit of at least 100 where hosts
/// relay for each other; a submission has come nowhere near).
const MAX_HOPS: u32 = 50;

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

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldAction {
    Pass,
    /// Passes, and is looked at when it is whole.
    Judge(Originator),
    /// Waits until it is whole, then passes or not.
    Hold(Originator),
    /// RFC 5322 section 3.6.3 hides Bcc from the others; Return-Path is the last server's to write
    /// (RFC 5321 section 4.4); Content-Length is an mbox's, and wrong elsewhere.
    Drop,
}

#[derive(Debug)]
enum State {
    /// A line begins, after a field of this action; without one it is the first.
    LineStart(Option<FieldAction>),
    Name,
    Value(FieldAction),
    /// The line with which an mbox file begins a message.
    EnvelopeLine,
    /// The CR of the empty line; without a field before it.
    EmptyLine {
        first: bool,
    },
    /// An empty line was all that has come.
    OnlyEmptyLine,
    /// A line that is no field, of which the beginning is kept for the reply.
    NoField,
    Body,
}

/// The filter.
pub struct HeaderFilter {
    state: State,
    defaults: Defaults,
    authors: Authors,
    fault: Option<Fault>,
    /// The name of a field that has begun, or the beginning of a line that is none.
    name: Vec<u8>,
    /// An originator field: of one that passed its value, of one that is held all of it.
    value: Vec<u8>,
    /// Where its value begins.
    value_at: usize,
    /// There was more of it than is kept.
    is_cut: bool,
    has_from: bool,
    has_sender: bool,
    /// A From was no one's of this house.
    from_is_replaced: bool,
    has_date: bool,
    has_message_id: bool,
    hops: u32,
    /// Of the header so far, what is left out included.
    octets: u64,
    fields: usize,
}

impl HeaderFilter {
    /// Nothing read yet.
    pub fn new(defaults: Defaults, authors: Authors) -> HeaderFilter {
        HeaderFilter {
            state: State::LineStart(None),
            defaults,
            authors,
            fault: None,
            name: Vec::new(),
            value: Vec::new(),
            value_at: 0,
            is_cut: false,
            has_from: false,
            has_sender: false,
            from_is_replaced: false,
            has_date: false,
            has_message_id: false,
            hops: 0,
            octets: 0,
            fields: 0,
        }
    }

    /// Appends to `out` what becomes of `input`, whose lines end with CR LF (see [`super::data`]).
    ///
    /// # Errors
    /// Why the message cannot be taken. Nothing more should come then.
    pub fn filter(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut rest = input;
        while let Some((&octet, after)) = rest.split_first() {
            if let Some(fault) = self.fault.clone() {
                return Err(fault);
            }
            rest = match self.state {
                State::Body => {
                    out.extend_from_slice(rest);
                    break;
                }
                State::Value(action) => {
                    let (line, next) = line_of(rest);
                    self.octets += line.len() as u64;
                    self.value(action, line, out);
                    if line.ends_with(b"\n") {
                        self.state = State::LineStart(Some(action));
                    }
                    next
                }
                State::EnvelopeLine => {
                    let (line, next) = line_of(rest);
                    self.octets += line.len() as u64;
                    if line.ends_with(b"\n") {
                        self.state = State::LineStart(None);
                    }
                    next
                }
                State::LineStart(before) => self.line_start(before, octet, out, rest, after),
                State::EmptyLine { first: true } => {
                    self.state = State::OnlyEmptyLine;
                    after
                }
                State::EmptyLine { first: false } => {
                    self.end_of_header(out);
                    after
                }
                State::OnlyEmptyLine => {
                    self.fault = Some(Fault::EmptyFirstLine);
                    rest
                }
                State::NoField => self.no_field(rest),
                State::Name => self.name(octet, out, rest, after),
            };
            if self.octets > MAX_HEADER || self.fields > MAX_FIELDS {
                self.fault.get_or_insert(Fault::TooMuch);
            }
        }
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// The content ends; one that was all header, or nothing, is completed here.
    ///
    /// # Errors
    /// Why the message cannot be taken.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self.state {
            State::Body => {}
            State::Name | State::NoField => {
                let line = std::mem::take(&mut self.name);
                self.fault.get_or_insert(Fault::no_field(&line));
            }
            // An empty message hides nothing: devices that try a connection send it.
            _ => {
                self.end_of_field(out);
                self.end_of_header(out);
            }
        }
        self.fault.clone().map_or(Ok(()), Err)
    }

    fn line_start<'a>(
        &mut self,
        before: Option<FieldAction>,
        octet: u8,
        out: &mut Vec<u8>,
        rest: &'a [u8],
        after: &'a [u8],
    ) -> &'a [u8] {
        match (before, octet) {
            (Some(action), b' ' | b'\t') => {
                self.state = State::Value(action);
                rest
            }
            // A folded line of nothing.
            (None, b' ' | b'\t') => {
                self.state = State::NoField;
                rest
            }
            (_, b'\r') => {
                self.end_of_field(out);
                self.state = State::EmptyLine { first: self.fields == 0 };
                after
            }
            _ => {
                self.end_of_field(out);
                self.state = State::Name;
                rest
            }
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
                self.begin_field(out);
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
            _ if self.fields == 0 && is_envelope_line(&self.name) => {
                self.octets += self.name.len() as u64;
                self.name.clear();
                self.state = State::EnvelopeLine;
                rest
            }
            _ => {
                self.state = State::NoField;
                rest
            }
        }
    }

    /// Keeps the beginning of a line that is no field; the verdict is there when the line is whole, or enough of it to know
    /// it by.
    fn no_field<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let (line, next) = line_of(rest);
        let room = MAX_NAME.saturating_sub(self.name.len());
        self.name.extend_from_slice(line.get(..room).unwrap_or(line));
        if line.ends_with(b"\n") || self.name.len() >= MAX_NAME {
            let line = std::mem::take(&mut self.name);
            self.fault.get_or_insert(Fault::no_field(&line));
        }
        next
    }

    /// A name was read, and its colon.
    fn begin_field(&mut self, out: &mut Vec<u8>) {
        let action = self.action();
        let name = std::mem::take(&mut self.name);
        match action {
            FieldAction::Drop => {}
            FieldAction::Hold(_) => {
                self.value.extend_from_slice(&name);
                self.value.push(b':');
                self.value_at = self.value.len();
            }
            FieldAction::Pass | FieldAction::Judge(_) => {
                out.extend_from_slice(&name);
                out.push(b':');
            }
        }
        self.state = State::Value(action);
    }

    /// What becomes of the field whose name was read.
    fn action(&mut self) -> FieldAction {
        let name = self.name.trim_ascii_end().to_ascii_lowercase();
        match name.as_slice() {
            b"from" => self.originator(Originator::From),
            b"sender" => self.originator(Originator::Sender),
            b"resent-from" => self.originator(Originator::ResentFrom),
            b"resent-sender" => self.originator(Originator::ResentSender),
            b"bcc" | b"resent-bcc" | b"return-path" | b"content-length" => FieldAction::Drop,
            b"date" => {
                self.has_date = true;
                FieldAction::Pass
            }
            b"message-id" => {
                self.has_message_id = true;
                FieldAction::Pass
            }
            b"received" => {
                self.hops += 1;
                if self.hops > MAX_HOPS {
                    self.fault.get_or_insert(Fault::Hops);
                }
                FieldAction::Pass
            }
            _ => FieldAction::Pass,
        }
    }

    fn value(&mut self, action: FieldAction, piece: &[u8], out: &mut Vec<u8>) {
        if matches!(action, FieldAction::Judge(_) | FieldAction::Hold(_)) {
            if self.value.len() + piece.len() <= MAX_ORIGINATOR {
                self.value.extend_from_slice(piece);
            } else {
                self.is_cut = true;
            }
        }
        if matches!(action, FieldAction::Pass | FieldAction::Judge(_)) {
            out.extend_from_slice(piece);
        }
    }

    /// Adds what is missing, and the empty line.
    fn end_of_header(&mut self, out: &mut Vec<u8>) {
        let default = self.defaults.from.take();
        let from = match &self.authors {
            Authors::House { here, sender } => {
                let ours = default.filter(|from| !self.from_is_replaced && here(from));
                ours.or_else(|| Some(sender.clone()))
            }
            Authors::Anyone | Authors::Own(_) => default,
        };
        if let Some(from) = from.filter(|_| !self.has_from) {
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

/// Up to the next line end, and what comes after it.
fn line_of(rest: &[u8]) -> (&[u8], &[u8]) {
    rest.split_at(memchr::memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1))
}

/// Whether a first line that begins so, and not with a field, is an mbox file's: `From ` and who knows what, as programs paste it
/// before messages, and `>From ` where one has passed another mbox.
fn is_envelope_line(name: &[u8]) -> bool {
    let spaced = name.strip_prefix(b">").unwrap_or(name).strip_prefix(b"From ");
    spaced.is_some_and(|rest| rest.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests;
