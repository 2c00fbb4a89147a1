//! Collecting by IMAP (RFC 3501): the loop that moves octets between the server, the state machines
//! beside it, and the [`Collection`].
//!
//! A message's unique-id is the folder's UIDVALIDITY and its UID; a folder that gets a new UIDVALIDITY is
//! a new one. Messages are fetched without being marked as read, and those with `\Deleted`, which their
//! owner has given up, are left out. A collected message is removed with UID EXPUNGE (RFC 4315); where the
//! server lacks that, with EXPUNGE, but only if that removes nobody else's messages.

#[cfg(test)]
mod hostile_tests;
mod login;
mod mailbox;
mod response;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use self::login::Opening;
use self::mailbox::{Event, Mailbox, Request, Uid};
use self::response::Fetch;
use super::Error;
use super::collection::{Arrival, Collection};
use super::ledger::Identity;
use super::refusal::Refusal;
use super::wire::Wire;
use crate::config::Source;

/// Requests under way.
const WINDOW: usize = 32;
/// Messages that one command names: some servers take no line of more than 8000 octets.
const NAMED_AT_ONCE: usize = 500;
/// Messages that a folder may have, ...
const LISTING_LIMIT: u32 = 1_000_000;
/// ... and those of a server without UIDVALIDITY, whose messages are all read whole.
const UNKNOWN_LIMIT: u32 = 100_000;

/// Collects what is new in the folder of `source`, to whose server `wire` is connected.
///
/// # Errors
/// What ended the poll early. What had come whole before is kept all the same.
pub async fn collect(wire: &mut Wire, source: &Source, collection: &mut Collection) -> Result<(), Error> {
    let tag = wire.open(source, Opening::new(source, wire.is_tls())?).await?;
    let mut session = Session { wire, mailbox: Mailbox::new(tag), uid_plus: false, others_deleted: false };
    let wanted = session.list(source.folder(), collection).await?;
    let result = session.read(wanted, collection).await;
    if result.is_err() {
        collection.abandon().await?;
        return result;
    }
    session.leave(collection.outcome.deleted > 0).await
}

/// A message that is to be read, and its identity if that is known before.
type Wanted = (Uid, Option<Identity>);

/// A server at which we are logged in, and the way to it.
struct Session<'w> {
    wire: &'w mut Wire,
    mailbox: Mailbox,
    uid_plus: bool,
    /// Whether the folder holds messages that others have marked as deleted.
    others_deleted: bool,
}

impl Session<'_> {
    fn request(&mut self, request: Request) {
        let line = self.mailbox.request(request);
        self.wire.queue(&line);
    }

    /// Waits for what `request` brings, up to its end.
    async fn ask(
        &mut self,
        request: Request,
        mut each: impl FnMut(Event<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.request(request);
        self.wire.flush().await?;
        loop {
            let octets = self.wire.fill().await?;
            let (available, mut input) = (octets.len(), octets);
            let end = loop {
                match self.mailbox.receive(&mut input)? {
                    Event::More => break None,
                    Event::Done(_) => break Some(Ok(())),
                    Event::Refused(request, refusal) => break Some(Err(refused(&request, &refusal))),
                    event => each(event)?,
                }
            };
            let used = available - input.len();
            self.wire.consume(used, 0)?;
            if let Some(end) = end {
                self.wire.progress();
                return end;
            }
        }
    }

    /// Opens the folder, and finds out what the collection wants of it.
    async fn list(&mut self, folder: &str, collection: &mut Collection) -> Result<VecDeque<Wanted>, Error> {
        let mut uid_plus = false;
        self.ask(Request::Capability, |event| {
            if let Event::Capability(capabilities) = event {
                uid_plus = capabilities.iter().any(|capability| capability == "UIDPLUS");
            }
            Ok(())
        })
        .await?;
        self.uid_plus = uid_plus;

        let (mut uid_validity, mut messages) = (None, 0);
        self.ask(Request::Select(folder.to_owned()), |event| {
            match event {
                Event::UidValidity(value) => uid_validity = Some(value),
                Event::Exists(n) => messages = n,
                _ => {}
            }
            Ok(())
        })
        .await?;

        let (mut wanted, mut last, mut others_deleted) = (VecDeque::new(), 0, false);
        let (mut listed, limit) = (0, if uid_validity.is_some() { LISTING_LIMIT } else { UNKNOWN_LIMIT });
        if messages > 0 {
            self.ask(Request::List, |event| {
                // News of flags look alike, but tell no size; UIDs ascend, so none counts twice.
                if let Event::Fetched(Fetch { uid: Some(uid), size: Some(size), deleted, .. }) = event
                    && uid > last
                {
                    last = uid;
                    listed += 1;
                    if listed > limit {
                        return Err(Error::Protocol("its list of messages has no end".to_owned()));
                    }
                    let unique_id =
                        uid_validity.map_or(String::new(), |validity| format!("{validity}.{uid}"));
                    if deleted && !collection.knows(unique_id.as_bytes()) {
                        others_deleted = true;
                        return Ok(());
                    }
                    let identity = collection.listed(uid, unique_id.as_bytes(), size);
                    wanted.extend(identity.map(|identity| (uid, identity)));
                }
                Ok(())
            })
            .await?;
        }
        self.others_deleted = others_deleted;
        collection.all_listed();
        Ok(wanted)
    }

    /// Reads what is wanted, has it committed from time to time, and deletes what is safe.
    async fn read(&mut self, wanted: VecDeque<Wanted>, collection: &mut Collection) -> Result<(), Error> {
        let mut reading = Reading {
            collection,
            wanted,
            under_way: VecDeque::new(),
            arrival: None,
            to_expunge: None,
            uid_plus: self.uid_plus,
        };
        let mut concluded = false;
        loop {
            while self.mailbox.under_way() < WINDOW
                && let Some(request) = reading.next_request()
            {
                self.request(request);
            }
            if self.mailbox.under_way() > 0 {
                self.receive(&mut reading).await?;
                if reading.collection.is_due() {
                    reading.collection.commit().await?;
                    self.wire.progress();
                }
            } else if concluded {
                return Ok(());
            } else {
                // What this commits may be deleted in one more round.
                reading.collection.conclude().await?;
                self.wire.progress();
                concluded = true;
            }
        }
    }

    /// Waits for octets, and takes in what they mean, up to a commit that is due.
    async fn receive(&mut self, reading: &mut Reading<'_>) -> Result<(), Error> {
        self.wire.flush().await?;
        let octets = self.wire.fill_within(reading.collection.due_in()).await?;
        let (available, mut input) = (octets.len(), octets);
        let (mut whole, before) = (false, reading.collection.octets());
        while !reading.collection.is_due() {
            match self.mailbox.receive(&mut input)? {
                Event::More => break,
                event => whole |= reading.take(event)?,
            }
        }
        let used = available - input.len();
        self.wire.consume(used, reading.collection.octets() - before)?;
        if whole {
            self.wire.progress();
        }
        Ok(())
    }

    async fn leave(&mut self, has_deleted: bool) -> Result<(), Error> {
        if has_deleted && !self.uid_plus && !self.others_deleted {
            self.ask(Request::ExpungeAll, |_| Ok(())).await?;
        }
        // Nothing depends on how the server takes the goodbye.
        let _ = self.ask(Request::Logout, |_| Ok(())).await;
        self.wire.close().await;
        Ok(())
    }
}

fn refused(request: &Request, refusal: &Refusal) -> Error {
    Error::Refused { command: request.command(), reason: refusal.to_string() }
}

/// Messages on their way from the server to the collection.
struct Reading<'c> {
    collection: &'c mut Collection,
    wanted: VecDeque<Wanted>,
    under_way: VecDeque<Wanted>,
    arrival: Option<(Uid, Arrival)>,
    /// Messages that are being marked, and will then be expunged.
    to_expunge: Option<Vec<Uid>>,
    uid_plus: bool,
}

impl Reading<'_> {
    fn next_request(&mut self) -> Option<Request> {
        if let Some(uids) = self.to_expunge.take() {
            return Some(Request::Expunge(uids));
        }
        let deletable = self.collection.deletable.len().min(NAMED_AT_ONCE);
        if deletable > 0 {
            let uids: Vec<Uid> = self.collection.deletable.drain(..deletable).collect();
            self.to_expunge = self.uid_plus.then(|| uids.clone());
            return Some(Request::Flag(uids));
        }
        while !self.collection.has_enough()
            && let Some((uid, identity)) = self.wanted.pop_front()
        {
            if identity.is_some() || !self.collection.is_full() {
                self.under_way.push_back((uid, identity));
                return Some(Request::Fetch(uid));
            }
            // Only its content could tell whether it is new, and new ones are left to the next poll.
            self.collection.incomplete();
        }
        None
    }

    /// Takes in what came: whether it ends a response.
    fn take(&mut self, event: Event<'_>) -> Result<bool, Error> {
        match event {
            Event::Begun(uid, octets) => {
                self.begin(uid);
                if let Some((_, arrival)) = &mut self.arrival {
                    self.collection.announced(arrival, octets)?;
                }
            }
            Event::Piece(octets) => {
                if let Some((_, arrival)) = &mut self.arrival {
                    self.collection.piece(arrival, octets)?;
                }
                return Ok(false);
            }
            Event::Fetched(fetch) => self.fetched(fetch)?,
            Event::Done(Request::Fetch(uid)) => self.given_up(uid),
            Event::Done(Request::Flag(uids)) => {
                self.collection.outcome.deleted += u32::try_from(uids.len()).unwrap_or(u32::MAX);
            }
            Event::Refused(request, refusal) => {
                self.collection.problem(refused(&request, &refusal));
                if let Request::Fetch(uid) = request {
                    self.given_up(uid);
                }
            }
            _ => {}
        }
        Ok(true)
    }

    /// A message begins; where the server does not tell yet which one, it is the one asked for first.
    fn begin(&mut self, uid: Option<Uid>) {
        let asked = match uid {
            Some(uid) => self.under_way.iter().position(|(under_way, _)| *under_way == uid),
            None => Some(0),
        };
        // One that nobody asked for is passed over.
        let begun = asked.and_then(|at| self.under_way.remove(at));
        self.arrival = begun.map(|(uid, identity)| (uid, self.collection.begin(uid, identity)));
    }

    fn fetched(&mut self, fetch: Fetch) -> Result<(), Error> {
        if let Some(body) = &fetch.body {
            self.begin(fetch.uid);
            if let Some((_, arrival)) = &mut self.arrival {
                self.collection.piece(arrival, body)?;
            }
        }
        let Some((uid, arrival)) = self.arrival.take() else { return Ok(()) };
        if fetch.uid.is_some_and(|told| told != uid) {
            return Err(Error::Protocol(format!("it sent another message than {uid}")));
        }
        self.collection.end(arrival);
        Ok(())
    }

    /// The request for a message is over. If it has not come, it was removed meanwhile, or refused.
    fn given_up(&mut self, uid: Uid) {
        let at = self.under_way.iter().position(|(under_way, _)| *under_way == uid);
        if let Some((_, None)) = at.and_then(|at| self.under_way.remove(at)) {
            self.collection.incomplete();
        }
    }
}
