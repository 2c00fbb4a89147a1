//! Collecting by POP3 (RFC 1939): [`Opening`] logs in, [`Maildrop`] does the rest. Both do no I/O.
//!
//! Any number of requests may be under way where the server allows it; replies come in their order (RFC 2449 section
//! 6.6). Replies are parsed as leniently as can be without losing count of them. DELE takes effect at the server only
//! with QUIT (RFC 1939 section 6). If a server lacks UIDL, its messages are read whole.

mod dots;
mod listing;
mod login;
mod reply;

use std::collections::VecDeque;
use std::mem;

use self::dots::{Dots, Piece};
use self::listing::Listing;
pub use self::login::Opening;
use self::login::not_pop3;
use self::reply::{LINE_LIMIT, Status};
use super::Error;
use super::collection::Handle;
use super::errand::{Feature, ServerQuirks};
use super::refusal::Refusal;
use super::remote::{Attributes, Event, LISTING_LIMIT, Listed, RemoteMailbox};
use super::wanted::Handles;

/// Requests under way, where the server allows more than one. At a round trip of 40 ms a window of 32 used a third of
/// what a server can send.
const WINDOW: usize = 128;
/// Lines of a body that are enough to compare a message, for most messages.
const BEGINNING: u32 = 200;

/// A request to the server. A message is named by its number in this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Stat,
    List,
    Uidl,
    Retr(Handle),
    /// TOP: the header, and so many lines of the body.
    Top(Handle, u32),
    Noop,
    Dele(Handle),
    Quit,
}

impl Request {
    /// The command, without its line end.
    fn command(self) -> String {
        match self {
            Request::Stat => "STAT".to_owned(),
            Request::List => "LIST".to_owned(),
            Request::Uidl => "UIDL".to_owned(),
            Request::Retr(number) => format!("RETR {number}"),
            Request::Top(number, lines) => format!("TOP {number} {lines}"),
            Request::Noop => "NOOP".to_owned(),
            Request::Dele(number) => format!("DELE {number}"),
            Request::Quit => "QUIT".to_owned(),
        }
    }
}

/// Where in the reply to the oldest request the next octet stands.
enum Reading {
    Status,
    /// In a list, of which so many lines have come.
    List(u32),
    Message(Dots),
}

/// An opened maildrop.
pub struct Maildrop {
    quirks: ServerQuirks,
    window: usize,
    under_way: VecDeque<Request>,
    output: String,
    reading: Reading,
    line: Vec<u8>,
    line_is_whole: bool,
    /// The number of messages that STAT tells.
    stat: Option<u32>,
    listing: Listing,
    /// Why there is no listing.
    unlisted: Option<Error>,
    /// Where the server has no UIDL, messages are reported from the listing, and this number is the next; else
    /// `None`.
    unnamed: Option<Handle>,
    has_quit: bool,
    /// Messages for which UIDL gave a unique-id.
    identified: u32,
    /// Which these are: a list that names a message twice has one message.
    named: Handles,
    /// Lines of lists that could not be parsed.
    nonsense: u32,
    /// A message that has ended and is not confirmed yet. If it was cut at a lone dot in its text, what follows is
    /// not a reply.
    whole: Option<Handle>,
    /// The line in `line` has confirmed a message and is still to be read as a reply; the value tells whether it
    /// ended with a bare LF.
    again: Option<bool>,
    /// The server has said nothing after what may have been the end of a message.
    is_over: bool,
}

impl Maildrop {
    /// A maildrop in which nothing was asked yet.
    pub fn new(pipelining: bool, quirks: &ServerQuirks) -> Maildrop {
        Maildrop {
            quirks: quirks.clone(),
            window: if pipelining { WINDOW } else { 1 },
            under_way: VecDeque::new(),
            output: String::new(),
            reading: Reading::Status,
            line: Vec::new(),
            line_is_whole: false,
            stat: None,
            listing: Listing::default(),
            unlisted: None,
            unnamed: None,
            has_quit: false,
            identified: 0,
            named: Handles::default(),
            nonsense: 0,
            whole: None,
            again: None,
            is_over: false,
        }
    }

    fn ask(&mut self, request: Request) {
        self.under_way.push_back(request);
        self.output.push_str(&request.command());
        self.output.push_str("\r\n");
    }

    /// Takes out the oldest request, which is answered.
    fn answered(&mut self) -> Result<Request, Error> {
        self.reading = Reading::Status;
        self.under_way.pop_front().ok_or_else(|| not_pop3(&self.line))
    }

    fn status(&mut self, bare_lf: bool) -> Result<Event<'_>, Error> {
        let request = *self.under_way.front().ok_or_else(|| not_pop3(&self.line))?;
        let status = Status::parse(&self.line);
        if matches!(status, Some(Status::Ok(_) | Status::Refused(_)))
            && let Some(whole) = self.whole.take()
        {
            self.again = Some(bare_lf);
            return Ok(Event::Confirmed(whole));
        }
        match status {
            Some(Status::Ok(_)) => match request {
                Request::List | Request::Uidl => {
                    self.reading = Reading::List(0);
                    Ok(Event::Other)
                }
                Request::Retr(number) => {
                    self.reading = Reading::Message(Dots::new(bare_lf));
                    Ok(Event::Begun { message: Some(number), octets: None })
                }
                Request::Top(..) => {
                    self.reading = Reading::Message(Dots::new(bare_lf));
                    Ok(Event::Other)
                }
                Request::Stat => {
                    self.stat = number(&self.line);
                    self.done()
                }
                Request::Noop | Request::Dele(_) | Request::Quit => self.done(),
            },
            Some(Status::Refused(refusal)) => self.refused(&refusal),
            Some(Status::Challenge(_)) | None => Err(not_pop3(&self.line)),
        }
    }

    fn done(&mut self) -> Result<Event<'_>, Error> {
        Ok(match self.answered()? {
            Request::Stat => {
                self.ask(Request::List);
                Event::Done
            }
            Request::List => {
                self.ask(Request::Uidl);
                Event::Done
            }
            Request::Uidl => {
                if self.nonsense > 0 && self.identified == 0 {
                    // The server has neither list: messages are known by their content.
                    self.unnamed = Some(0);
                    return Ok(Event::Done);
                }
                let agrees = self.unlisted.is_some() || self.identified == self.listing.len();
                Event::AllListed { agrees: agrees && self.nonsense == 0 && self.stat_agrees() }
            }
            Request::Retr(number) => {
                self.whole = Some(number);
                Event::Whole(Attributes::default())
            }
            Request::Top(number, _) => Event::HeadOver(number),
            Request::Noop => Event::Other,
            Request::Dele(_) => Event::Deleted(1),
            Request::Quit => Event::Done,
        })
    }

    /// Whether STAT tells of no more messages than the lists hold. True where STAT told nothing.
    fn stat_agrees(&self) -> bool {
        self.stat.is_none_or(|count| count <= self.listing.len().max(self.identified))
    }

    fn refused(&mut self, refusal: &Refusal) -> Result<Event<'_>, Error> {
        let request = self.answered()?;
        let (command, reason) = (request.command(), refusal.to_string());
        match request {
            Request::Stat => {
                self.ask(Request::List);
                Ok(Event::Done)
            }
            Request::List => {
                self.unlisted = Some(Error::Refused { command, reason });
                self.ask(Request::Uidl);
                Ok(Event::Done)
            }
            Request::Uidl => match self.unlisted.take() {
                // Some servers have no list where there is no message.
                Some(_) if self.stat == Some(0) => Ok(Event::AllListed { agrees: true }),
                Some(error) => Err(error),
                None => {
                    self.unnamed = Some(0);
                    Ok(Event::Done)
                }
            },
            Request::Retr(number) => Ok(Event::Refused { command, reason, message: Some(number) }),
            Request::Top(number, _) => Ok(Event::HeadOver(number)),
            Request::Noop => Ok(Event::Other),
            Request::Dele(_) | Request::Quit => Ok(Event::Refused { command, reason, message: None }),
        }
    }

    /// Takes in a line of LIST or UIDL: `number SP value`. UIDL's value is the rest of the line, with odd octets,
    /// spaces and any length.
    fn listed(&mut self, lines: u32) -> Result<Event<'_>, Error> {
        let endless = || Error::Protocol("its list of messages has no end".to_owned());
        if lines >= LISTING_LIMIT {
            return Err(endless());
        }
        self.reading = Reading::List(lines + 1);
        let whole = self.line.len() + 1 < LINE_LIMIT;
        let line = self.line.trim_ascii_start();
        let digits = line.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let (number, value) = line.split_at(digits);
        let value = value.trim_ascii();
        let number: Option<Handle> = std::str::from_utf8(number).ok().and_then(|n| n.parse().ok());
        let Some(message) = number.filter(|&n| n > 0) else {
            // A line that cannot be parsed costs its message and no other: the list goes on to its end.
            self.nonsense += 1;
            return Ok(Event::Other);
        };
        if message > LISTING_LIMIT {
            return Err(endless());
        }
        if self.under_way.front() == Some(&Request::Uidl) {
            // A line was cut off: two long unique-ids may differ only in what is missing.
            let unique_id = if whole { value } else { b"" };
            if self.named.contains(message) {
                return Ok(Event::Other);
            }
            self.named.insert(message);
            self.identified += 1;
            let size = self.listing.size(message);
            return Ok(Event::Listed(Listed { message, unique_id, size, is_deleted: false }));
        }
        let size = value.split(|octet| !octet.is_ascii_digit()).next().unwrap_or_default();
        let size = std::str::from_utf8(size).ok().and_then(|size| size.parse().ok()).unwrap_or(0);
        self.listing.note(message, size);
        Ok(Event::Other)
    }

    /// The next message of the listing, which has no unique-id and is known by its content.
    fn unnamed(&mut self, message: Handle) -> Event<'_> {
        if message > self.listing.last() {
            self.unnamed = None;
            return Event::AllListed { agrees: self.stat_agrees() };
        }
        self.unnamed = Some(message + 1);
        match self.listing.listed(message) {
            Some(size) => Event::Listed(Listed { message, unique_id: b"", size, is_deleted: false }),
            None => Event::Other,
        }
    }

    /// Moves octets from `input` to the line, of which the beginning is kept. True if the line is whole; its LF is
    /// removed.
    fn take_line(&mut self, input: &mut &[u8]) -> bool {
        if mem::take(&mut self.line_is_whole) {
            self.line.clear();
        }
        let (piece, rest) = match memchr::memchr(b'\n', input) {
            Some(lf) => {
                self.line_is_whole = true;
                (input.get(..lf).unwrap_or_default(), input.get(lf + 1..).unwrap_or_default())
            }
            None => (*input, &b""[..]),
        };
        let room = LINE_LIMIT.saturating_sub(self.line.len());
        self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
        *input = rest;
        self.line_is_whole
    }
}

impl RemoteMailbox for Maildrop {
    fn begin(&mut self) {}

    fn list_folders(&mut self, _: &str) -> bool {
        false
    }

    fn list(&mut self, _: &str) {
        (self.listing, self.stat, self.unlisted) = (Listing::default(), None, None);
        (self.unnamed, self.identified, self.nonsense) = (None, 0, 0);
        self.named = Handles::default();
        self.ask(if self.quirks.avoids(Feature::Stat) { Request::List } else { Request::Stat });
    }

    fn fetch(&mut self, message: Handle) {
        self.ask(Request::Retr(message));
    }

    fn head(&mut self, message: Handle, with_body: bool) -> bool {
        let can = !self.quirks.avoids(Feature::Top);
        if can {
            self.ask(Request::Top(message, if with_body { BEGINNING } else { 0 }));
        }
        can
    }

    fn confirm(&mut self) {
        self.ask(Request::Noop);
    }

    fn delete(&mut self, messages: &mut VecDeque<Handle>) {
        if let Some(message) = messages.pop_back() {
            self.ask(Request::Dele(message));
        }
    }

    fn take_effect(&mut self, _: bool) {
        self.close();
    }

    fn waits(&self) -> bool {
        false
    }

    fn wait(&mut self) {}

    fn wake(&mut self) {}

    fn close(&mut self) {
        if !mem::replace(&mut self.has_quit, true) {
            self.ask(Request::Quit);
        }
    }

    fn has_room(&self) -> bool {
        self.under_way.len() < self.window
    }

    fn asks(&self) -> Option<Feature> {
        Some(match self.under_way.front()? {
            Request::Stat => Feature::Stat,
            Request::Top(..) => Feature::Top,
            _ => return None,
        })
    }

    fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    fn has_more(&self) -> bool {
        self.again.is_some() || self.is_over
    }

    fn may_be_over(&self) -> bool {
        matches!(&self.reading, Reading::Message(dots) if dots.may_be_over())
    }

    fn says_nothing(&mut self) {
        self.is_over = self.may_be_over();
    }

    fn to_send(&mut self) -> String {
        mem::take(&mut self.output)
    }

    fn receive<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Event<'a>, Error> {
        if let Some(message) = self.unnamed {
            return Ok(self.unnamed(message));
        }
        if mem::take(&mut self.is_over) {
            return self.done();
        }
        if let Reading::Message(dots) = &mut self.reading {
            return match dots.next(input) {
                // Only the octets could tell whether that is text, and they are the sender's. With one request at a
                // time nothing follows the end.
                Piece::StatusLine if self.under_way.len() > 1 => {
                    Err(Error::Protocol("a message does not end with CRLF, a dot and CRLF".to_owned()))
                }
                Piece::StatusLine => {
                    let octets = dots.believe();
                    match self.under_way.front() {
                        Some(Request::Top(..)) => Ok(Event::Head(octets)),
                        _ => Ok(Event::Piece(octets)),
                    }
                }
                Piece::Octets(octets) if matches!(self.under_way.front(), Some(Request::Top(..))) => {
                    Ok(Event::Head(octets))
                }
                Piece::Octets(octets) => Ok(Event::Piece(octets)),
                Piece::More => Ok(Event::More),
                Piece::End => self.done(),
            };
        }
        if let Some(bare_lf) = self.again.take() {
            return self.status(bare_lf);
        }
        if !self.take_line(input) {
            return Ok(Event::More);
        }
        let bare_lf = self.line.len() < LINE_LIMIT && !self.line.ends_with(b"\r");
        if self.line.ends_with(b"\r") {
            self.line.pop();
        }
        match self.reading {
            Reading::List(_) if self.line == b"." => self.done(),
            Reading::List(lines) => self.listed(lines),
            // Nobody asked for an empty line, and it answers nothing.
            Reading::Status if self.line.is_empty() => Ok(Event::Other),
            Reading::Status | Reading::Message(_) => self.status(bare_lf),
        }
    }
}

/// The message count of `+OK count size` (RFC 1939 section 5, STAT).
fn number(line: &[u8]) -> Option<u32> {
    let second = line.split(|octet| *octet == b' ').filter(|word| !word.is_empty()).nth(1)?;
    std::str::from_utf8(second).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
