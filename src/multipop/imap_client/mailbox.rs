//! Commands to a server and what comes of them, as a state machine without I/O (RFC 3501 section 6.4).
//! All of them name messages by UID, so that any number may be under way (RFC 3501 section 5.5).

use std::collections::VecDeque;

use super::response::{self, Fetch, Response, Responses, TAG};
use crate::message::mailbox_name;
use crate::multipop::Error;
use crate::multipop::refusal::Refusal;

/// A unique identifier (RFC 3501 section 2.3.1.1).
pub type Uid = u32;

/// What can be asked of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// CAPABILITY, which may say more after the login.
    Capability,
    /// SELECT of a folder by its name in UTF-8.
    Select(String),
    /// All messages of the folder with their UIDs, sizes and flags.
    List,
    /// One message, which stays unseen.
    Fetch(Uid),
    /// `\Deleted` for messages.
    Flag(Vec<Uid>),
    /// Those messages are removed, and no others (RFC 4315).
    Expunge(Vec<Uid>),
    /// All messages with `\Deleted` are removed.
    ExpungeAll,
    /// LOGOUT.
    Logout,
}

impl Request {
    /// The command without its tag.
    pub fn command(&self) -> String {
        match self {
            Request::Capability => "CAPABILITY".to_owned(),
            Request::Select(folder) => format!("SELECT {}", quoted(&mailbox_name::encode(folder))),
            Request::List => "UID FETCH 1:* (UID RFC822.SIZE FLAGS)".to_owned(),
            Request::Fetch(uid) => format!("UID FETCH {uid} (UID BODY.PEEK[])"),
            Request::Flag(uids) => format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", set(uids)),
            Request::Expunge(uids) => format!("UID EXPUNGE {}", set(uids)),
            Request::ExpungeAll => "EXPUNGE".to_owned(),
            Request::Logout => "LOGOUT".to_owned(),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn set(uids: &[Uid]) -> String {
    let uids: Vec<String> = uids.iter().map(Uid::to_string).collect();
    uids.join(",")
}

/// What a server's octets mean.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The octets are used up.
    More,
    /// The message with this UID, of so many octets, begins; the server may tell the UID after it.
    Begun(Option<Uid>, u64),
    /// A part of that message.
    Piece(&'a [u8]),
    /// A FETCH response is whole, and so is the message in it.
    Fetched(Fetch),
    /// The folder has so many messages.
    Exists(u32),
    /// UIDVALIDITY of the folder.
    UidValidity(u32),
    /// In upper case.
    Capability(Vec<String>),
    /// A request is done.
    Done(Request),
    /// A request is refused.
    Refused(Request, Refusal),
}

/// A server at which someone is logged in.
pub struct Mailbox {
    responses: Responses,
    tag: u32,
    under_way: VecDeque<(u32, Request)>,
}

impl Mailbox {
    /// Tags up to `tag` were used.
    pub fn new(tag: u32) -> Mailbox {
        Mailbox { responses: Responses::default(), tag, under_way: VecDeque::new() }
    }

    /// Counts on a response to `request`: the line to be sent.
    pub fn request(&mut self, request: Request) -> String {
        self.tag = self.tag.wrapping_add(1);
        let line = format!("{TAG}{} {}", self.tag, request.command());
        self.under_way.push_back((self.tag, request));
        line
    }

    /// How many requests are under way.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Takes octets from `input`, which is moved behind them, up to the next thing that means something.
    ///
    /// # Errors
    /// The server says goodbye, or nothing that makes sense.
    pub fn receive<'i>(&mut self, input: &mut &'i [u8]) -> Result<Event<'i>, Error> {
        loop {
            let response = match self.responses.receive(input)? {
                response::Event::More => return Ok(Event::More),
                response::Event::Begun(uid, octets) => return Ok(Event::Begun(uid, octets)),
                response::Event::Piece(piece) => return Ok(Event::Piece(piece)),
                response::Event::Response(response) => response,
            };
            match response {
                Response::Tagged(tag, result) => {
                    let at = self.under_way.iter().position(|(under_way, _)| *under_way == tag);
                    let (_, request) = at
                        .and_then(|at| self.under_way.remove(at))
                        .ok_or_else(|| Error::Protocol("it answered what nobody asked".to_owned()))?;
                    return Ok(match result {
                        Ok(()) => Event::Done(request),
                        Err(refusal) => Event::Refused(request, refusal),
                    });
                }
                Response::Fetch(fetch) => return Ok(Event::Fetched(fetch)),
                Response::Exists(n) => return Ok(Event::Exists(n)),
                Response::Ok(Some(uid_validity)) => return Ok(Event::UidValidity(uid_validity)),
                Response::Capability(capabilities) => return Ok(Event::Capability(capabilities)),
                Response::Bye(why) if !self.under_way.iter().any(|(_, r)| *r == Request::Logout) => {
                    return Err(Error::TurnedAway(why));
                }
                Response::Continue(_) => {
                    return Err(Error::Protocol("it asked for more, out of turn".to_owned()));
                }
                Response::Ok(None) | Response::PreAuth | Response::Bye(_) | Response::Other => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_as_they_travel() {
        let mut mailbox = Mailbox::new(4);
        for (request, line) in [
            (Request::Select("R&D \"Entwürfe\"".to_owned()), "P5 SELECT \"R&-D \\\"Entw&APw-rfe\\\"\""),
            (Request::List, "P6 UID FETCH 1:* (UID RFC822.SIZE FLAGS)"),
            (Request::Fetch(7), "P7 UID FETCH 7 (UID BODY.PEEK[])"),
            (Request::Flag(vec![7, 9]), "P8 UID STORE 7,9 +FLAGS.SILENT (\\Deleted)"),
            (Request::Expunge(vec![7, 9]), "P9 UID EXPUNGE 7,9"),
            (Request::Logout, "P10 LOGOUT"),
        ] {
            assert_eq!(mailbox.request(request), line);
        }
        assert_eq!(mailbox.under_way(), 6);
    }

    #[test]
    fn responses_find_their_requests_in_any_order() {
        let mut mailbox = Mailbox::new(0);
        mailbox.request(Request::Fetch(1));
        mailbox.request(Request::Fetch(2));
        mailbox.request(Request::Logout);
        let mut input = &b"* OK hi\r\nP2 OK\r\nP1 NO gone\r\n* BYE bye\r\nP3 OK\r\nP3 OK\r\n"[..];
        let mut next = || mailbox.receive(&mut input);
        assert_eq!(next().unwrap(), Event::Done(Request::Fetch(2)));
        assert_eq!(next().unwrap(), Event::Refused(Request::Fetch(1), Refusal::parse("gone")));
        assert_eq!(next().unwrap(), Event::Done(Request::Logout));
        assert!(matches!(next(), Err(Error::Protocol(_))));
    }

    #[test]
    fn an_early_goodbye_ends_the_poll() {
        let mut mailbox = Mailbox::new(0);
        mailbox.request(Request::List);
        let mut input = &b"* BYE shutting down\r\n"[..];
        assert!(matches!(mailbox.receive(&mut input), Err(Error::TurnedAway(why)) if why == "shutting down"));
    }
}
