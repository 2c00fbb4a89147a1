//! Collecting by POP3 (RFC 1939): the loop that moves octets between the server, the state machines
//! beside it, and the [`Collection`].
//!
//! Where the server allows pipelining, a window of requests is kept under way, so that neither the way
//! to the server nor a commit on flash makes the other wait. DELE follows a message's commit, and counts
//! for the server only with QUIT: if the connection ends before, the next poll finds the message in the
//! ledger and does nothing but delete it.

mod dots;
mod listing;
mod login;
mod maildrop;
mod reply;

use std::collections::VecDeque;

use self::listing::{LISTING_LIMIT, Listing, Numbers};
use self::login::Opening;
use self::maildrop::{Event, Maildrop, Number, Request};
use super::Error;
use super::collection::{Arrival, Collection};
use super::ledger::Identity;
use super::refusal::Refusal;
use super::wire::Wire;
use crate::config::Source;

/// Requests under way, where the server allows more than one.
const WINDOW: usize = 32;

/// Collects what is new at the server of `source`, to which `wire` is connected.
///
/// # Errors
/// What ended the poll early. What had come whole before is kept all the same.
pub async fn collect(wire: &mut Wire, source: &Source, collection: &mut Collection) -> Result<(), Error> {
    let pipelining = wire.open(source, Opening::new(source, wire.is_tls())?).await?;
    let window = if pipelining { WINDOW } else { 1 };
    let mut session = Session { wire, maildrop: Maildrop::new(), window };
    let wanted = session.list(collection).await?;
    let result = session.read(wanted, collection).await;
    if result.is_err() {
        collection.abandon().await?;
        return result;
    }
    session.quit(collection.outcome.deleted > 0).await
}

/// A message that is to be read, and its identity if that is known before.
type Wanted = (Number, Option<Identity>);

/// All that are to be read: a bounded number of new ones, and any number of those that only their content can tell.
#[derive(Default)]
struct ToRead {
    new: VecDeque<(Number, Identity)>,
    unknown: Numbers,
}

impl ToRead {
    /// What the collection wants of a message: false where there is no room for it.
    fn add(&mut self, number: Number, wanted: Option<Option<Identity>>) -> bool {
        match wanted {
            Some(Some(identity)) => self.new.push_back((number, identity)),
            Some(None) => return self.unknown.insert(number),
            None => {}
        }
        true
    }

    fn pop_front(&mut self) -> Option<Wanted> {
        let new = self.new.pop_front().map(|(number, identity)| (number, Some(identity)));
        new.or_else(|| self.unknown.pop_first().map(|number| (number, None)))
    }
}

/// An opened maildrop and the way to it.
struct Session<'w> {
    wire: &'w mut Wire,
    maildrop: Maildrop,
    window: usize,
}

impl Session<'_> {
    fn request(&mut self, request: Request) {
        self.maildrop.expect(request);
        self.wire.queue(&request.command());
    }

    /// Waits for what `request` brings, up to its end: whether it was granted.
    async fn ask(
        &mut self,
        request: Request,
        mut each: impl FnMut(Event<'_>) -> Result<(), Error>,
    ) -> Result<Result<(), Error>, Error> {
        self.request(request);
        self.wire.flush().await?;
        loop {
            let octets = self.wire.fill().await?;
            let (available, mut input) = (octets.len(), octets);
            let end = loop {
                match self.maildrop.receive(&mut input)? {
                    Event::More => break None,
                    Event::Done(_) => break Some(Ok(())),
                    Event::Refused(request, refusal) => break Some(Err(refused(request, &refusal))),
                    event => each(event)?,
                }
            };
            let used = available - input.len();
            self.wire.consume(used, 0)?;
            if let Some(end) = end {
                self.wire.progress();
                return Ok(end);
            }
        }
    }

    /// LIST and UIDL, and what the collection wants of it. A server without UIDL has its messages read
    /// whole.
    async fn list(&mut self, collection: &mut Collection) -> Result<ToRead, Error> {
        let (mut listing, mut lines) = (Listing::default(), 0);
        let endless = || Error::Protocol("its list of messages has no end".to_owned());
        let listed = self
            .ask(Request::List, |event| {
                lines += 1;
                match event {
                    Event::Listed { number, size } if !listing.note(number, size) => Err(endless()),
                    _ if lines > LISTING_LIMIT + 1 => Err(endless()),
                    _ => Ok(()),
                }
            })
            .await?;
        let (mut to_read, mut lines) = (ToRead::default(), 0);
        let identified = self
            .ask(Request::Uidl, |event| {
                lines += 1;
                if let Event::Identified { number, unique_id } = event
                    && !to_read.add(number, collection.listed(number, unique_id, listing.size(number)))
                {
                    return Err(endless());
                }
                if lines > LISTING_LIMIT + 1 { Err(endless()) } else { Ok(()) }
            })
            .await?;
        if identified.is_err() {
            listed?;
            for piece in listing.pieces() {
                for (number, size) in piece {
                    to_read.add(number, collection.listed(number, b"", size));
                }
                self.wire.keep_pace().await;
            }
        }
        collection.all_listed();
        Ok(to_read)
    }

    /// Reads what is wanted, has it committed from time to time, and deletes what is safe.
    async fn read(&mut self, wanted: ToRead, collection: &mut Collection) -> Result<(), Error> {
        let mut reading = Reading { collection, wanted, under_way: VecDeque::new(), arrival: None };
        let mut concluded = false;
        loop {
            while self.maildrop.under_way() < self.window
                && let Some(request) = reading.next_request()
            {
                self.request(request);
            }
            if self.maildrop.under_way() > 0 {
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
            match self.maildrop.receive(&mut input)? {
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

    /// Without a good answer to QUIT nothing is deleted (RFC 1939 section 6): the next poll does it again.
    async fn quit(&mut self, has_deleted: bool) -> Result<(), Error> {
        let farewell = self.ask(Request::Quit, |_| Ok(())).await;
        if has_deleted {
            farewell??;
        }
        self.wire.close().await;
        Ok(())
    }
}

/// Messages on their way from the server to the collection.
struct Reading<'c> {
    collection: &'c mut Collection,
    wanted: ToRead,
    under_way: VecDeque<Wanted>,
    arrival: Option<Arrival>,
}

impl Reading<'_> {
    fn next_request(&mut self) -> Option<Request> {
        if let Some(number) = self.collection.deletable.pop_front() {
            return Some(Request::Dele(number));
        }
        while !self.collection.has_enough()
            && let Some((number, identity)) = self.wanted.pop_front()
        {
            if identity.is_some() || !self.collection.is_full() {
                self.under_way.push_back((number, identity));
                return Some(Request::Retr(number));
            }
            // Only its content could tell whether it is new, and new ones are left to the next poll.
            self.collection.incomplete();
        }
        None
    }

    /// Takes in what came: whether it ends a reply.
    fn take(&mut self, event: Event<'_>) -> Result<bool, Error> {
        let whole = matches!(event, Event::Done(_) | Event::Refused(..));
        match event {
            Event::Begun(Request::Retr(_)) => {
                let begun = self.under_way.pop_front();
                self.arrival = begun.map(|(number, identity)| self.collection.begin(number, identity));
            }
            Event::Piece(octets) => {
                if let Some(arrival) = &mut self.arrival {
                    self.collection.piece(arrival, octets)?;
                }
            }
            Event::Done(Request::Retr(_)) => {
                if let Some(arrival) = self.arrival.take() {
                    self.collection.end(arrival);
                }
            }
            Event::Done(Request::Dele(_)) => self.collection.outcome.deleted += 1,
            Event::Refused(request, refusal) => {
                let unread =
                    if matches!(request, Request::Retr(_)) { self.under_way.pop_front() } else { None };
                if matches!(unread, Some((_, None))) {
                    self.collection.incomplete();
                }
                self.collection.problem(refused(request, &refusal));
            }
            Event::Begun(_)
            | Event::Done(_)
            | Event::Listed { .. }
            | Event::Identified { .. }
            | Event::More => {}
        }
        Ok(whole)
    }
}

fn refused(request: Request, refusal: &Refusal) -> Error {
    Error::Refused { command: request.command(), reason: refusal.to_string() }
}
