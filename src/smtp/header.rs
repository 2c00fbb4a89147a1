//! The header of a submitted message, filtered while it passes (RFC 6409 section 8): missing fields are added at its
//! end, private fields are removed, and the fields that name its author and sender are checked.
//!
//! A header with a line that is not a field is refused and never repaired: an empty line before that line would turn
//! everything after it, perhaps a Bcc, into text that is sent. Octets above ASCII pass, with and without SMTPUTF8:
//! devices and old programs write them, and RFC 6532 tells how to read them.

mod authors;
mod fault;

use super::mailbox::Mailbox;
use crate::message::header::{MAX_FIELDS, MAX_HEADER};
use crate::message::{compose, date};
use authors::Originator;
pub use authors::{Allowed, Authors};
pub use fault::Fault;

/// Octets of a field name, at most; RFC 5322 allows lines of 998.
const MAX_NAME: usize = 256;
/// Octets of a field that names the author or sender, at most.
const MAX_ORIGINATOR: usize = 8192;
/// Received fields that mean a loop. RFC 5321 section 6.3 asks for a limit of at least 100 where hosts relay for each
/// other; a submitted message has far fewer.
const MAX_HOPS: u32 = 50;

/// The values of fields that are added if they are missing.
#[derive(Debug)]
pub struct Defaults {
    /// From; `None`: it is not added.
    pub from: Option<Mailbox>,
    /// Date, in seconds since 1970 UTC.
    pub date: i64,
    /// The domain of the Message-ID.
    pub domain: String,
}

/// What is done with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldAction {
    Pass,
    /// The field passes, and is checked when it is complete.
    Judge(Originator),
    /// The field is kept until it is complete, and then passes or not.
    Hold(Originator),
    /// The field is removed: Bcc must not reach the other recipients (RFC 5322 section 3.6.3), Return-Path is written
    /// by the last server (RFC 5321 section 4.4), and Content-Length comes from an mbox file and is wrong elsewhere.
    Drop,
}

#[derive(Debug)]
enum State {
    /// At the beginning of a line, after a field with this action; `None` on the first line.
    LineStart(Option<FieldAction>),
    Name,
    Value(FieldAction),
    /// Within the line with which an mbox file begins a message.
    EnvelopeLine,
    /// After the CR of the empty line; `first` if no field came before it.
    EmptyLine {
        first: bool,
    },
    /// After an empty line with which the content began.
    OnlyEmptyLine,
    /// Within a line that is not a field; its beginning is kept for the reply.
    NoField,
    Body,
}

/// Filters the header of a message and passes its body.
pub struct HeaderFilter {
    state: State,
    defaults: Defaults,
    authors: Authors,
    fault: Option<Fault>,
    /// The name of the current field, or the beginning of a line that is not a field.
    name: Vec<u8>,
    /// The octets kept of an originator field: of one that passed only its value.
    value: Vec<u8>,
    /// Where the value begins in `value`.
    value_at: usize,
    /// Whether the field has more octets than are kept.
    is_cut: bool,
    has_from: bool,
    has_sender: bool,
    /// Whether a From named an author outside this house.
    from_is_replaced: bool,
    has_date: bool,
    has_message_id: bool,
    hops: u32,
    /// Octets of the header so far, with the fields that are removed.
    octets: u64,
    fields: usize,
}

impl HeaderFilter {
    /// A filter that has read nothing yet.
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

    /// Appends the filtered `input` to `out`. The lines of `input` end with CR LF (see [`super::data`]).
    ///
    /// # Errors
    /// Why the message is refused. No more input should be given then.
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

    /// Ends the content. A message without a body, or an empty one, is completed here.
    ///
    /// # Errors
    /// Why the message is refused.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self.state {
            State::Body => {}
            State::Name | State::NoField => {
                let line = std::mem::take(&mut self.name);
                self.fault.get_or_insert(Fault::no_field(&line));
            }
            // An empty message cannot hide anything: devices send one to try a connection.
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
            // A continuation line without a field before it.
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

    /// Reads an octet of a field name (RFC 5322 section 3.6.8), or of the white space before the colon that section
    /// 4.5 allows. Returns the rest of the input.
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

    /// Keeps the beginning of a line that is not a field. The fault is set when the line is complete, or enough of it
    /// has come.
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

    /// Begins the field whose name and colon were read.
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

    /// The action for the field whose name was read.
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

    /// Adds the missing fields and the empty line.
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

/// The input up to the next line end, and what comes after it.
fn line_of(rest: &[u8]) -> (&[u8], &[u8]) {
    rest.split_at(memchr::memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1))
}

/// Whether a first line that begins in this way and is not a field comes from an mbox file: `From ` and any text, as
/// programs put it before messages, or `>From ` where it has passed another mbox.
fn is_envelope_line(name: &[u8]) -> bool {
    let spaced = name.strip_prefix(b">").unwrap_or(name).strip_prefix(b"From ");
    spaced.is_some_and(|rest| rest.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests;
