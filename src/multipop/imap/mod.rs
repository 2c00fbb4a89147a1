//! Collecting by IMAP (RFC 3501): [`Opening`] logs in, [`Mailbox`] does the rest. Both do no I/O.
//!
//! A message's unique-id is the folder's UIDVALIDITY and its UID; a folder with a new UIDVALIDITY is a new folder.
//! All commands name messages by UID, so any number of them may be under way (RFC 3501 section 5.5). Messages are
//! fetched without being marked as read. A collected message is removed with UID EXPUNGE (RFC 4315), or, where the
//! server lacks that, with EXPUNGE, but only if that removes no messages that others have marked.

#[cfg(test)]
mod answer_tests;
#[cfg(test)]
pub mod fake;
#[cfg(test)]
mod hostile_tests;
mod login;
#[cfg(test)]
mod odd_tests;
#[cfg(any(test, fuzzing))]
mod played;
#[cfg(test)]
mod poll_tests;
mod response;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::mem;

pub use self::login::Opening;
#[cfg(any(test, fuzzing))]
pub use self::played::played;
use self::response::{Fetch, Response, Responses, TAG};
use super::Error;
use super::collection::Handle;
use super::errand::{Feature, ServerQuirks};
use super::refusal::Refusal;
use super::remote::{Attributes, Event, LISTING_LIMIT, Listed, RemoteMailbox};
use super::wire::is_said_by;
use crate::config::Source;
use crate::message::mailbox_name;
use crate::outgoing::About;

/// Requests under way. At a round trip of 40 ms a window of 32 used a third of what a server can send.
const WINDOW: usize = 128;
/// Octets of a message that are enough to compare it, for most messages.
const BEGINNING: u32 = 16 * 1024;
/// Messages that one command names, at most: some servers take no line of more than 8000 octets.
const NAMED_AT_ONCE: usize = 500;
/// Folders of which the server's way to write their names is remembered, at most.
const WRITTEN: usize = 1000;
/// Messages that a folder without UIDVALIDITY may have: each of them is read whole.
const UNKNOWN_LIMIT: u32 = 100_000;

/// A unique identifier (RFC 3501 section 2.3.1.1), by which messages are asked for.
type Uid = Handle;

/// A request to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Request {
    /// CAPABILITY. After the login the answer may name more.
    Capability,
    /// ID (RFC 2971): some servers open no folder before the client has named itself.
    Id,
    /// LIST of the folders that match a pattern.
    Folders(String),
    /// IDLE (RFC 2177).
    Idle,
    /// SELECT of a folder, named as the server writes it, or EXAMINE where `changes` is false.
    Select { name: String, changes: bool },
    /// All messages of the folder with their UIDs, sizes and flags.
    List,
    /// FETCH of one message without marking it as seen.
    Fetch(Uid),
    /// The first octets of one message.
    Look(Uid),
    /// STORE of `\Deleted` for messages.
    Flag(Vec<Uid>),
    /// UID EXPUNGE of these messages and no others (RFC 4315).
    Expunge(Vec<Uid>),
    /// EXPUNGE of all messages that have `\Deleted`.
    ExpungeAll,
    /// LOGOUT.
    Logout,
}

impl Request {
    /// The command without its tag.
    fn command(&self) -> String {
        match self {
            Request::Capability => "CAPABILITY".to_owned(),
            Request::Id => {
                format!("ID (\"name\" \"Pillarbox\" \"version\" \"{}\")", env!("CARGO_PKG_VERSION"))
            }
            Request::Folders(pattern) => format!("LIST \"\" {}", quoted(&mailbox_name::encode(pattern))),
            Request::Idle => "IDLE".to_owned(),
            Request::Select { name, changes } => {
                let word = if *changes { "SELECT" } else { "EXAMINE" };
                format!("{word} {}", quoted(name))
            }
            Request::List => "UID FETCH 1:* (UID RFC822.SIZE FLAGS)".to_owned(),
            Request::Fetch(uid) => format!("UID FETCH {uid} (UID FLAGS INTERNALDATE BODY.PEEK[])"),
            Request::Look(uid) => format!("UID FETCH {uid} (UID BODY.PEEK[]<0.{BEGINNING}>)"),
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

/// A logged-in session with a server.
pub struct Mailbox {
    /// The token of this appliance, by which it recognizes itself.
    own: String,
    quirks: ServerQuirks,
    /// Whether messages may be deleted there.
    changes: bool,
    responses: Responses,
    tag: u32,
    /// The requests under way with their tag numbers, oldest first.
    under_way: VecDeque<(u32, Request)>,
    output: String,
    has_uid_plus: bool,
    wants_id: bool,
    has_idle: bool,
    /// Whether IDLE is in force: its continuation has come.
    is_idling: bool,
    /// Whether IDLE is to end as soon as it is in force.
    is_woken: bool,
    /// Whether EXAMINE is known here.
    has_examine: bool,
    /// How the server writes the names of folders where that is not how they are written here.
    written: HashMap<String, String>,
    uid_validity: Option<u32>,
    /// How many messages the folder has; `None` where the server has not told.
    exists: Option<u32>,
    /// Whether more messages have come since.
    has_news: bool,
    /// The UIDs of the listing that came so far, in any order. Flag updates look like listed messages.
    seen: HashSet<Uid>,
    /// UIDs of the listing that came without a size, each with whether the message has `\Deleted`.
    without_size: Vec<(Uid, bool)>,
    /// The listing has ended, and only the messages without a size are still to be reported.
    is_listed: bool,
    /// The unique-id of the message that was reported last.
    unique_id: String,
    /// Messages that were asked for and have not begun, each with whether only its beginning was asked for.
    awaited: VecDeque<(Uid, bool)>,
    /// The message that has begun, with whether only its beginning was asked for.
    begun: Option<(Uid, bool)>,
    /// Messages that came whole while their requests are not answered yet. A literal with too large a length swallows
    /// that answer.
    whole: Vec<Uid>,
}

impl Mailbox {
    /// A session in which nothing was asked yet about `source`. Tag numbers up to `tag` were used, and `own` is the
    /// token of this appliance.
    pub fn new(source: &Source, tag: u32, own: &str, quirks: &ServerQuirks) -> Mailbox {
        Mailbox {
            own: own.to_owned(),
            quirks: quirks.clone(),
            changes: source.deletes(),
            responses: Responses::default(),
            tag,
            under_way: VecDeque::new(),
            output: String::new(),
            has_uid_plus: false,
            wants_id: false,
            has_idle: false,
            is_idling: false,
            is_woken: false,
            has_examine: true,
            written: HashMap::new(),
            uid_validity: None,
            exists: None,
            has_news: false,
            seen: HashSet::new(),
            without_size: Vec::new(),
            is_listed: false,
            unique_id: String::new(),
            awaited: VecDeque::new(),
            begun: None,
            whole: Vec::new(),
        }
    }

    fn ask(&mut self, request: Request) {
        self.tag = self.tag.wrapping_add(1);
        self.output.push_str(&format!("{TAG}{} {}\r\n", self.tag, request.command()));
        self.under_way.push_back((self.tag, request));
    }

    fn is_asked(&self, request: &Request) -> bool {
        self.under_way.iter().any(|(_, under_way)| under_way == request)
    }

    fn response(&mut self, response: Response) -> Result<Event<'_>, Error> {
        match response {
            Response::Tagged(tag, result) => {
                let at = self.under_way.iter().position(|(under_way, _)| *under_way == tag);
                let (_, request) = at
                    .and_then(|at| self.under_way.remove(at))
                    .ok_or_else(|| Error::Protocol("it answered what nobody asked".to_owned()))?;
                return match result {
                    Ok(()) => Ok(self.done(request)),
                    Err(refusal) => self.refused(&request, &refusal),
                };
            }
            Response::Fetch(fetch) if self.is_asked(&Request::List) => return self.listed(&fetch),
            Response::Fetch(fetch) => return self.fetched(fetch),
            Response::Capability(capabilities) if self.is_asked(&Request::Capability) => {
                let offers = |name: &str| capabilities.iter().any(|capability| capability == name);
                (self.has_uid_plus, self.wants_id) = (offers("UIDPLUS"), offers("ID"));
                self.wants_id &= !self.quirks.avoids(Feature::Id);
                self.has_idle = offers("IDLE");
            }
            Response::Id(id) if is_said_by(&self.own, id.as_bytes()) => return Err(Error::Itself),
            Response::Folder(name) if self.is_listing_folders() => {
                if let Some(name) = self.named(&name) {
                    return Ok(Event::Folder(name));
                }
            }
            Response::Exists(n) if self.is_selecting() => self.exists = Some(n),
            // News that come while nobody waits for them are left to the next round.
            Response::Exists(n) => {
                let is_news = n > self.exists.replace(n).unwrap_or(0);
                self.has_news |= is_news;
                if is_news && self.is_asked(&Request::Idle) {
                    return Ok(Event::News);
                }
            }
            Response::Expunge => self.exists = self.exists.map(|exists| exists.saturating_sub(1)),
            Response::Ok(Some(value)) if self.is_selecting() => self.uid_validity = Some(value),
            Response::Bye(why) if !self.is_asked(&Request::Logout) => return Err(Error::TurnedAway(why)),
            Response::Continue(_) if self.is_asked(&Request::Idle) => {
                self.is_idling = true;
                if mem::take(&mut self.is_woken) {
                    self.wake();
                }
            }
            Response::Continue(_) => {
                return Err(Error::Protocol("it asked for more, out of turn".to_owned()));
            }
            Response::Folder(_)
            | Response::Id(_)
            | Response::Ok(_)
            | Response::Capability(_)
            | Response::PreAuth
            | Response::Bye(_)
            | Response::Other => {}
        }
        Ok(Event::Other)
    }

    fn is_selecting(&self) -> bool {
        self.under_way.iter().any(|(_, request)| matches!(request, Request::Select { .. }))
    }

    fn done(&mut self, request: Request) -> Event<'static> {
        match request {
            Request::Capability if self.wants_id => self.ask(Request::Id),
            Request::Capability | Request::Id | Request::Folders(_) => {}
            Request::Idle => self.is_idling = false,
            // Some servers tell of the messages too late, or not at all.
            Request::Select { .. } if self.exists != Some(0) => self.ask(Request::List),
            Request::Select { .. } | Request::List => self.is_listed = true,
            Request::Fetch(uid) => {
                if let Some(at) = self.whole.iter().position(|whole| *whole == uid) {
                    self.whole.swap_remove(at);
                    return Event::Confirmed(uid);
                }
                if self.no_longer_awaited(|it| *it == (uid, false)).is_some() {
                    return Event::Absent(uid);
                }
            }
            Request::Look(uid) if self.no_longer_awaited(|it| *it == (uid, true)).is_some() => {
                return Event::HeadOver(uid);
            }
            Request::Look(_) => {}
            Request::Flag(uids) if self.has_uid_plus && self.quirks.is_slow() => {
                let flagged = u32::try_from(uids.len()).unwrap_or(u32::MAX);
                self.ask(Request::Expunge(uids));
                return Event::Deleted(flagged);
            }
            Request::Flag(uids) => return Event::Deleted(u32::try_from(uids.len()).unwrap_or(u32::MAX)),
            Request::Expunge(_) | Request::ExpungeAll | Request::Logout => {}
        }
        Event::Done
    }

    fn refused(&mut self, request: &Request, refusal: &Refusal) -> Result<Event<'static>, Error> {
        let (command, reason) = (request.command(), refusal.to_string());
        let message = match *request {
            // The server may refuse these.
            Request::Id | Request::Capability => return Ok(Event::Done),
            // Not every server knows EXAMINE. SELECT without a change does as well.
            Request::Select { ref name, changes: false }
                if self.has_examine && refusal.about() == About::MethodOrLogin =>
            {
                self.has_examine = false;
                self.ask(Request::Select { name: name.clone(), changes: true });
                return Ok(Event::Done);
            }
            Request::Select { .. } | Request::List => {
                return Err(Error::Refused { command, reason });
            }
            Request::Fetch(uid) => self.no_longer_awaited(|it| *it == (uid, false)).map(|_| uid),
            Request::Look(uid) if self.no_longer_awaited(|it| *it == (uid, true)).is_some() => {
                return Ok(Event::HeadOver(uid));
            }
            Request::Look(_) => return Ok(Event::Done),
            _ => None,
        };
        Ok(Event::Refused { command, reason, message })
    }

    /// The name of a listed folder in UTF-8. Where it is not written as it should be, the server's way to write it is
    /// remembered, since only by that the folder can be opened. A name that is no modified UTF-7 at all is taken as it
    /// stands. `None` for one that no quoted string can hold.
    fn named(&mut self, wire: &[u8]) -> Option<String> {
        let written = std::str::from_utf8(wire).ok().filter(|name| !name.contains(char::is_control))?;
        let name = mailbox_name::decode(wire).unwrap_or_else(|| written.to_owned());
        if mailbox_name::encode(&name) != written && self.written.len() < WRITTEN {
            self.written.entry(name.clone()).or_insert_with(|| written.to_owned());
        }
        Some(name)
    }

    fn is_listing_folders(&self) -> bool {
        self.under_way.iter().any(|(_, request)| matches!(request, Request::Folders(_)))
    }

    /// Takes out what is awaited first of all that `is_meant`.
    fn no_longer_awaited(&mut self, is_meant: impl Fn(&(Uid, bool)) -> bool) -> Option<(Uid, bool)> {
        let at = self.awaited.iter().position(is_meant);
        at.and_then(|at| self.awaited.remove(at))
    }

    fn listed(&mut self, fetch: &Fetch) -> Result<Event<'_>, Error> {
        let Some(uid) = fetch.uid else { return Ok(Event::Other) };
        let limit = if self.uid_validity.is_some() { LISTING_LIMIT } else { UNKNOWN_LIMIT };
        if self.seen.len().max(self.without_size.len()) >= limit as usize {
            return Err(Error::Protocol("its list of messages has no end".to_owned()));
        }
        let Some(size) = fetch.size else {
            self.without_size.push((uid, fetch.deleted));
            return Ok(Event::Other);
        };
        Ok(if self.seen.insert(uid) { self.tell(uid, size, fetch.deleted) } else { Event::Other })
    }

    fn tell(&mut self, uid: Uid, size: u64, is_deleted: bool) -> Event<'_> {
        self.unique_id = self.uid_validity.map_or(String::new(), |validity| format!("{validity}.{uid}"));
        Event::Listed(Listed { message: uid, unique_id: self.unique_id.as_bytes(), size, is_deleted })
    }

    /// The next message that came only without a size.
    fn sizeless(&mut self) -> Event<'_> {
        match self.without_size.pop() {
            Some((uid, is_deleted)) if self.seen.insert(uid) => self.tell(uid, 0, is_deleted),
            Some(_) => Event::Other,
            None => {
                self.is_listed = false;
                Event::AllListed {
                    agrees: self.exists.is_some_and(|exists| self.seen.len() >= exists as usize),
                }
            }
        }
    }

    /// A message begins. Where the server does not tell its UID yet, it is the first one that was asked for.
    fn begins(&mut self, uid: Option<Uid>) -> Option<(Uid, bool)> {
        self.begun = match uid {
            Some(uid) => self.no_longer_awaited(|it| it.0 == uid),
            None => self.awaited.pop_front(),
        };
        self.begun
    }

    fn is_looking(&self) -> bool {
        self.begun.is_some_and(|(_, is_beginning)| is_beginning)
    }

    fn fetched(&mut self, fetch: Fetch) -> Result<Event<'static>, Error> {
        if fetch.body.is_some() {
            self.begins(fetch.uid);
        }
        let Some((uid, is_beginning)) = self.begun else { return Ok(Event::Other) };
        if !fetch.is_whole {
            return Err(Error::Protocol("a message is longer than it says".to_owned()));
        }
        self.begun = None;
        if fetch.uid.is_some_and(|told| told != uid) {
            return Err(Error::Protocol(format!("it sent another message than {uid}")));
        }
        if is_beginning {
            return Ok(Event::HeadOver(uid));
        }
        self.whole.push(uid);
        let told = Attributes { flags: fetch.flags, keywords: fetch.keywords, date: fetch.date };
        Ok(match fetch.body {
            Some(body) => Event::Message(uid, body, told),
            None => Event::Whole(told),
        })
    }
}

impl RemoteMailbox for Mailbox {
    /// The server may name more capabilities after the login.
    fn begin(&mut self) {
        if !self.quirks.avoids(Feature::Capabilities) {
            self.ask(Request::Capability);
        }
    }

    fn list_folders(&mut self, pattern: &str) -> bool {
        self.ask(Request::Folders(pattern.to_owned()));
        true
    }

    fn list(&mut self, folder: &str) {
        (self.uid_validity, self.exists, self.is_listed) = (None, None, false);
        self.seen.clear();
        self.without_size.clear();
        self.has_news = false;
        let name = self.written.get(folder).cloned().unwrap_or_else(|| mailbox_name::encode(folder));
        self.ask(Request::Select { name, changes: self.changes || !self.has_examine });
    }

    fn fetch(&mut self, message: Uid) {
        self.awaited.push_back((message, false));
        self.ask(Request::Fetch(message));
    }

    fn head(&mut self, message: Uid, with_body: bool) -> bool {
        if with_body {
            self.awaited.push_back((message, true));
            self.ask(Request::Look(message));
        }
        with_body
    }

    /// Nothing to ask: in IMAP each request has a tagged answer.
    fn confirm(&mut self) {}

    fn delete(&mut self, messages: &mut VecDeque<Uid>) {
        let uids: Vec<Uid> = messages.drain(messages.len().saturating_sub(NAMED_AT_ONCE)..).collect();
        self.ask(Request::Flag(uids.clone()));
        if self.has_uid_plus && !self.quirks.is_slow() {
            self.ask(Request::Expunge(uids));
        }
    }

    fn take_effect(&mut self, others_deleted: bool) {
        if !self.has_uid_plus && !others_deleted {
            self.ask(Request::ExpungeAll);
        }
    }

    fn waits(&self) -> bool {
        self.has_idle
    }

    fn wait(&mut self) {
        // Messages that came since the folder was listed are news, too.
        if !self.has_news {
            self.ask(Request::Idle);
        }
    }

    fn wake(&mut self) {
        if self.is_idling {
            self.is_idling = false;
            self.output.push_str("DONE\r\n");
        } else {
            self.is_woken = true;
        }
    }

    fn close(&mut self) {
        self.ask(Request::Logout);
    }

    fn has_room(&self) -> bool {
        self.under_way.len() < if self.quirks.is_slow() { 1 } else { WINDOW }
    }

    fn asks(&self) -> Option<Feature> {
        Some(match self.under_way.front()? {
            (_, Request::Capability) => Feature::Capabilities,
            (_, Request::Id) => Feature::Id,
            _ => return None,
        })
    }

    fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    fn has_more(&self) -> bool {
        self.is_listed
    }

    fn to_send(&mut self) -> String {
        mem::take(&mut self.output)
    }

    fn receive<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Event<'a>, Error> {
        if self.is_listed {
            return Ok(self.sizeless());
        }
        match self.responses.receive(input)? {
            response::Event::More => Ok(Event::More),
            response::Event::Begun(uid, octets) => match self.begins(uid) {
                Some((_, true)) => Ok(Event::Other),
                begun => Ok(Event::Begun { message: begun.map(|(uid, _)| uid), octets: Some(octets) }),
            },
            response::Event::Piece(piece) if self.is_looking() => Ok(Event::Head(piece)),
            response::Event::Piece(piece) => Ok(Event::Piece(piece)),
            response::Event::Response(response) => self.response(response),
        }
    }
}
