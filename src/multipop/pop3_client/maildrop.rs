//! The opened maildrop: requests, and what comes of them, as a state machine without I/O
//! (RFC 1939 sections 5 and 7).
//!
//! Any number of requests may be under way; replies come in their order (RFC 2449 section 6.6). What a
//! server says is taken as leniently as can be without losing count of the replies.

use std::collections::VecDeque;
use std::mem;

use super::dots::{Dots, Piece};
use super::login::not_pop3;
use super::reply::{LINE_LIMIT, Status};
use crate::multipop::Error;
use crate::multipop::refusal::Refusal;

/// A message's number in this session.
pub type Number = u32;

/// What can be asked of a maildrop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the command of that name")]
pub enum Request {
    List,
    Uidl,
    Retr(Number),
    Dele(Number),
    Quit,
}

impl Request {
    /// The command, without its line end.
    pub fn command(self) -> String {
        match self {
            Request::List => "LIST".to_owned(),
            Request::Uidl => "UIDL".to_owned(),
            Request::Retr(number) => format!("RETR {number}"),
            Request::Dele(number) => format!("DELE {number}"),
            Request::Quit => "QUIT".to_owned(),
        }
    }
}

/// What a server's octets mean.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The octets are used up.
    More,
    /// The oldest request is granted, and what it asked for follows.
    Begun(Request),
    /// A line of LIST.
    Listed {
        /// The message.
        number: Number,
        /// Octets, as far as the server knows.
        size: u64,
    },
    /// A line of UIDL.
    Identified {
        /// The message.
        number: Number,
        /// Its unique-id, whatever octets it has; empty for none that can be used.
        unique_id: &'a [u8],
    },
    /// A part of the message that the oldest request asked for.
    Piece(&'a [u8]),
    /// The oldest request is done.
    Done(Request),
    /// The oldest request is refused.
    Refused(Request, Refusal),
}

/// Where in the reply to the oldest request the next octet stands.
enum Reading {
    Status,
    List,
    Message(Dots),
}

/// An opened maildrop.
pub struct Maildrop {
    under_way: VecDeque<Request>,
    reading: Reading,
    line: Vec<u8>,
    line_is_whole: bool,
}

impl Maildrop {
    /// Nothing asked yet.
    pub fn new() -> Maildrop {
        Maildrop {
            under_way: VecDeque::new(),
            reading: Reading::Status,
            line: Vec::new(),
            line_is_whole: false,
        }
    }

    /// Counts on a reply to `request`, whose command is to be sent.
    pub fn expect(&mut self, request: Request) {
        self.under_way.push_back(request);
    }

    /// How many requests are under way.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Takes octets from `input`, which is moved behind them, up to the next thing that means something.
    ///
    /// # Errors
    /// The replies make no sense: nothing that follows can be trusted.
    pub fn receive<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Event<'a>, Error> {
        if let Reading::Message(dots) = &mut self.reading {
            return Ok(match dots.next(input) {
                Piece::Octets(octets) => Event::Piece(octets),
                Piece::More => Event::More,
                Piece::End => Event::Done(self.done()?),
            });
        }
        if !self.take_line(input) {
            return Ok(Event::More);
        }
        let bare_lf = self.line.len() < LINE_LIMIT && !self.line.ends_with(b"\r");
        if self.line.ends_with(b"\r") {
            self.line.pop();
        }
        match self.reading {
            Reading::List if self.line == b"." => Ok(Event::Done(self.done()?)),
            Reading::List => self.listed(),
            Reading::Status | Reading::Message(_) => self.status(bare_lf),
        }
    }

    fn done(&mut self) -> Result<Request, Error> {
        self.reading = Reading::Status;
        self.under_way.pop_front().ok_or_else(|| not_pop3(&self.line))
    }

    fn status(&mut self, bare_lf: bool) -> Result<Event<'_>, Error> {
        let request = *self.under_way.front().ok_or_else(|| not_pop3(&self.line))?;
        match Status::parse(&self.line) {
            Some(Status::Ok(_)) => match request {
                Request::List | Request::Uidl => {
                    self.reading = Reading::List;
                    Ok(Event::Begun(request))
                }
                Request::Retr(_) => {
                    self.reading = Reading::Message(Dots::new(bare_lf));
                    Ok(Event::Begun(request))
                }
                Request::Dele(_) | Request::Quit => Ok(Event::Done(self.done()?)),
            },
            Some(Status::Refused(refusal)) => Ok(Event::Refused(self.done()?, refusal)),
            Some(Status::Challenge(_)) | None => Err(not_pop3(&self.line)),
        }
    }

    /// A line of LIST or UIDL: `number SP value`, where UIDL's value is the rest of the line, odd octets,
    /// spaces and overlength included.
    fn listed(&mut self) -> Result<Event<'_>, Error> {
        let whole = self.line.len() + 1 < LINE_LIMIT;
        let line = self.line.trim_ascii_start();
        let digits = line.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let (number, value) = line.split_at(digits);
        let value = value.trim_ascii();
        let number: Option<Number> = std::str::from_utf8(number).ok().and_then(|n| n.parse().ok());
        let number = number.filter(|&n| n > 0).ok_or_else(|| not_pop3(&self.line))?;
        if self.under_way.front() == Some(&Request::Uidl) {
            // What was cut off may be all that tells two long ones apart.
            let unique_id = if whole { value } else { b"" };
            return Ok(Event::Identified { number, unique_id });
        }
        let size = value.split(|octet| !octet.is_ascii_digit()).next().unwrap_or_default();
        let size = std::str::from_utf8(size).ok().and_then(|size| size.parse().ok()).unwrap_or(0);
        Ok(Event::Listed { number, size })
    }

    /// Moves octets from `input` to the line, whose beginning is kept; whether it is whole, its LF off.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a maildrop that was asked `requests` makes of `octets`, fed in pieces of `size`: one line an
    /// event, the pieces of a message joined.
    fn hear(requests: &[Request], octets: &[u8], size: usize) -> Result<Vec<String>, Error> {
        let mut maildrop = Maildrop::new();
        requests.iter().for_each(|&request| maildrop.expect(request));
        let mut heard: Vec<String> = Vec::new();
        for chunk in octets.chunks(size) {
            let mut input = chunk;
            loop {
                match maildrop.receive(&mut input)? {
                    Event::More => break,
                    Event::Begun(_) => heard.push(String::new()),
                    Event::Piece(piece) => {
                        heard.last_mut().unwrap().push_str(&String::from_utf8_lossy(piece))
                    }
                    Event::Listed { number, size } => heard.push(format!("{number} has {size}")),
                    Event::Identified { number, unique_id } => {
                        heard.push(format!("{number} is {}", String::from_utf8_lossy(unique_id)));
                    }
                    Event::Done(request) => heard.push(format!("{} done", request.command())),
                    Event::Refused(request, why) => {
                        heard.push(format!("{} refused: {why}", request.command()))
                    }
                }
            }
        }
        heard.retain(|line| !line.is_empty());
        Ok(heard)
    }

    #[test]
    fn pipelined_replies_belong_to_their_requests_however_they_arrive() {
        use Request::{Dele, List, Quit, Retr, Uidl};
        let octets = b"+OK\r\n1 120\r\n2 18 extra\r\n3 ?\r\n.\r\n\
            +OK\r\n1 QhdPYR:00WBw1Ph7x7\r\n2 odd \xff id\r\n3\r\n.\r\n\
            +OK 18 octets\r\n..a\r\n+OK\r\n.\r\n+OK\r\n-ERR [SYS/TEMP] try later\r\n+OK\r\n.\r\n+OK bye\r\n";
        let requests = [List, Uidl, Retr(1), Dele(1), Retr(2), Retr(3), Quit];
        for size in 1..octets.len() {
            assert_eq!(
                hear(&requests, octets, size).unwrap(),
                [
                    "1 has 120",
                    "2 has 18",
                    "3 has 0",
                    "LIST done",
                    "1 is QhdPYR:00WBw1Ph7x7",
                    "2 is odd \u{fffd} id",
                    "3 is ",
                    "UIDL done",
                    ".a\r\n+OK\r\n",
                    "RETR 1 done",
                    "DELE 1 done",
                    "RETR 2 refused: [SYS/TEMP] try later",
                    "RETR 3 done",
                    "QUIT done",
                ],
                "in pieces of {size}"
            );
        }
    }

    #[test]
    fn bare_lfs_are_taken_from_a_server_that_ends_all_lines_so() {
        let heard = hear(&[Request::Uidl, Request::Retr(1)], b"+OK\n1 a\n.\n+OK\na\n..\n.\n", 5).unwrap();
        assert_eq!(heard, ["1 is a", "UIDL done", "a\n.\n", "RETR 1 done"]);
    }

    #[test]
    fn a_huge_line_costs_no_more_than_its_beginning() {
        let mut octets = b"+OK\r\n1 ".to_vec();
        octets.resize(1_000_000, b'x');
        octets.extend_from_slice(b"\r\n2 b\r\n.\r\n");
        let heard = hear(&[Request::Uidl], &octets, 4096).unwrap();
        assert_eq!(heard, ["1 is ", "2 is b", "UIDL done"]);
    }

    #[test]
    fn nonsense_ends_the_session() {
        for (requests, octets) in [
            (&[Request::Dele(1)][..], "hello\r\n"),
            (&[Request::Dele(1)], "+ more?\r\n"),
            (&[Request::Dele(1)], "+OK\r\n+OK\r\n"),
            (&[Request::Uidl], "+OK\r\nx y\r\n"),
            (&[Request::Uidl], "+OK\r\n0 y\r\n"),
            (&[Request::List], "+OK\r\n99999999999 1\r\n"),
            (&[Request::List], "+OK\r\n+OK\r\n"),
        ] {
            assert!(matches!(hear(requests, octets.as_bytes(), 3), Err(Error::Protocol(_))), "{octets:?}");
        }
    }
}
