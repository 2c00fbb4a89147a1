//! Collecting from a mailbox elsewhere, whatever its protocol: the loop that moves octets between the [`Wire`], the protocol's
//! [`RemoteMailbox`], which is a state machine without I/O, and the [`Collection`].
//!
//! Where the server allows it a window of requests is kept under way, so that neither the way to the server nor a commit on
//! flash makes the other wait. A message is deleted after its commit, never before: if the connection ends in between, the next
//! poll finds it in the ledger and does nothing but delete it.

use std::collections::VecDeque;

use super::collection::{Arrival, Collection, Handle};
use super::wanted::{ToRead, Wanted};
use super::wire::Wire;
use super::{Error, imap, pop3};
use crate::config::{Protocol, Source};

/// Messages that a listing may have.
pub const LISTING_LIMIT: u32 = 1_000_000;
/// Things that are looked at before others get their turn, where no octets are waited for.
const AT_ONCE: usize = 4096;

/// What a mailbox elsewhere can be asked, and what its answers mean. Requests queue their lines for
/// [`RemoteMailbox::to_send`].
pub trait RemoteMailbox {
    /// Opens it and lists its messages, up to [`Event::AllListed`].
    fn list(&mut self);

    /// Asks for a message.
    fn fetch(&mut self, message: Handle);

    /// Asks for the deletion of as many of `messages` as one request may name. They are taken out.
    fn delete(&mut self, messages: &mut VecDeque<Handle>);

    /// Asks for that without which nothing is deleted, if that takes a request. Others may have messages of their own there that
    /// are marked as deleted, which are to stay.
    fn settle(&mut self, others_deleted: bool);

    /// Says goodbye, unless that is done.
    fn close(&mut self);

    /// Whether another request may be made now.
    fn has_room(&self) -> bool;

    /// Whether all requests are answered.
    fn is_idle(&self) -> bool;

    /// The octets that are to be sent.
    fn to_send(&mut self) -> String;

    /// Takes octets from `input`, which is moved behind them, up to the next thing that means something.
    ///
    /// # Errors
    /// The server says goodbye or nothing that makes sense, or it cannot list its messages.
    fn receive<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Event<'a>, Error>;
}

/// What a server's octets mean.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// They are used up.
    More,
    /// Something whole of which nothing follows.
    Other,
    /// A request is answered, and nothing follows of that; there may be something to be sent.
    Done,
    /// A message is there.
    Listed {
        /// What it is asked for by.
        message: Handle,
        /// What it is known by, whatever octets it has; empty for nothing that can be trusted.
        unique_id: &'a [u8],
        /// Octets, as far as the server knows.
        size: u64,
        /// It is marked as deleted.
        is_deleted: bool,
    },
    /// These are all.
    AllListed,
    /// A message begins; `None` for one that nobody asked for, which is passed over.
    Begun {
        /// Which one.
        message: Option<Handle>,
        /// How many octets it has, where the server cannot say less any more.
        octets: Option<u64>,
    },
    /// A part of it.
    Piece(&'a [u8]),
    /// It is whole.
    Whole,
    /// A message at once.
    Message(Handle, Vec<u8>),
    /// A message does not come: it was removed meanwhile.
    Absent(Handle),
    /// So many messages are deleted, or will be when all is settled.
    Deleted(u32),
    /// A request is refused; with the message that does not come, if it was for one.
    Refused {
        /// The command.
        command: String,
        /// The server's words.
        reason: String,
        /// What it was for.
        message: Option<Handle>,
    },
}

/// Collects what is new at the server of `source`, to which `wire` is connected.
///
/// # Errors
/// What ended the poll early. What had come whole before is kept all the same.
pub async fn collect(wire: &mut Wire, source: &Source, collection: &mut Collection) -> Result<(), Error> {
    let mut mailbox: Box<dyn RemoteMailbox> = match source.protocol {
        Protocol::Pop3 => {
            let opening = pop3::Opening::new(source, wire.is_tls())?;
            Box::new(pop3::Maildrop::new(wire.open(source, opening).await?))
        }
        Protocol::Imap => {
            let opening = imap::Opening::new(source, wire.is_tls())?;
            Box::new(imap::Mailbox::new(source.folder(), wire.open(source, opening).await?))
        }
    };
    let mut session = Session { wire, mailbox: &mut *mailbox };
    let (wanted, others_deleted) = session.list(collection).await?;
    let mut reading = Reading { collection, wanted, under_way: VecDeque::new(), arrival: None };
    let result = session.read(&mut reading).await;
    if result.is_err() {
        collection.abandon().await?;
        return result;
    }
    session.leave(collection.outcome.deleted > 0, others_deleted).await
}

/// A mailbox elsewhere, and the way to it.
struct Session<'w> {
    wire: &'w mut Wire,
    mailbox: &'w mut dyn RemoteMailbox,
}

impl Session<'_> {
    async fn send(&mut self) -> Result<(), Error> {
        self.wire.queue(&self.mailbox.to_send());
        self.wire.flush().await
    }

    /// What the collection wants of the messages that are there, and whether others have marked some as deleted.
    async fn list(&mut self, collection: &mut Collection) -> Result<(ToRead, bool), Error> {
        let (mut wanted, mut others_deleted) = (ToRead::default(), false);
        let (mut listed, mut starved) = (false, true);
        self.mailbox.list();
        while !listed {
            self.send().await?;
            let octets = if starved {
                self.wire.fill().await?
            } else {
                self.wire.keep_pace().await;
                self.wire.buffered()
            };
            let (available, mut input) = (octets.len(), octets);
            let mut answered = false;
            starved = false;
            for _ in 0..AT_ONCE {
                match self.mailbox.receive(&mut input)? {
                    Event::More => {
                        starved = true;
                        break;
                    }
                    Event::Listed { unique_id, is_deleted: true, .. } if !collection.knows(unique_id) => {
                        others_deleted = true;
                    }
                    Event::Listed { message, unique_id, size, .. } => {
                        wanted.add(message, collection.listed(message, unique_id, size));
                    }
                    event @ (Event::AllListed | Event::Done) => {
                        listed = event == Event::AllListed;
                        answered = true;
                        break;
                    }
                    _ => {}
                }
            }
            let used = available - input.len();
            self.wire.consume(used, 0)?;
            if answered {
                self.wire.progress();
            }
        }
        collection.all_listed();
        Ok((wanted, others_deleted))
    }

    /// Reads what is wanted, has it committed from time to time, and deletes what is safe.
    async fn read(&mut self, reading: &mut Reading<'_>) -> Result<(), Error> {
        let mut concluded = false;
        loop {
            while self.mailbox.has_room() && reading.asks(self.mailbox) {}
            if !self.mailbox.is_idle() {
                self.receive(reading).await?;
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
        self.send().await?;
        let octets = self.wire.fill_within(reading.collection.due_in()).await?;
        let (available, mut input) = (octets.len(), octets);
        let (mut whole, before) = (false, reading.collection.octets());
        while !reading.collection.is_due() {
            match self.mailbox.receive(&mut input)? {
                Event::More => break,
                event => {
                    whole |= !matches!(event, Event::Begun { .. } | Event::Piece(_));
                    reading.take(event)?;
                }
            }
        }
        let used = available - input.len();
        self.wire.consume(used, reading.collection.octets() - before)?;
        if whole {
            self.wire.progress();
        }
        Ok(())
    }

    /// Has deletions count, and says goodbye. Without a good answer nothing is deleted: the next poll does it again.
    async fn leave(&mut self, has_deleted: bool, others_deleted: bool) -> Result<(), Error> {
        if has_deleted {
            self.mailbox.settle(others_deleted);
            self.answers().await?;
        }
        self.mailbox.close();
        // Nothing depends on how the server takes the goodbye.
        let _ = self.answers().await;
        self.wire.close().await;
        Ok(())
    }

    /// Waits until all requests are answered.
    async fn answers(&mut self) -> Result<(), Error> {
        let mut result = Ok(());
        while !self.mailbox.is_idle() {
            self.send().await?;
            let octets = self.wire.fill().await?;
            let (available, mut input) = (octets.len(), octets);
            while !self.mailbox.is_idle() {
                match self.mailbox.receive(&mut input)? {
                    Event::More => break,
                    Event::Refused { command, reason, .. } => {
                        result = Err(Error::Refused { command, reason });
                    }
                    _ => {}
                }
            }
            let used = available - input.len();
            self.wire.consume(used, 0)?;
        }
        self.wire.progress();
        result
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
    /// Makes the next request, if there is one.
    fn asks(&mut self, mailbox: &mut dyn RemoteMailbox) -> bool {
        if !self.collection.deletable.is_empty() {
            mailbox.delete(&mut self.collection.deletable);
            return true;
        }
        while !self.collection.has_enough()
            && let Some((message, identity)) = self.wanted.pop_front()
        {
            if identity.is_some() || !self.collection.is_full() {
                self.under_way.push_back((message, identity));
                mailbox.fetch(message);
                return true;
            }
            // Only its content could tell whether it is new, and new ones are left to the next poll.
            self.collection.incomplete();
        }
        false
    }

    fn take(&mut self, event: Event<'_>) -> Result<(), Error> {
        match event {
            Event::Begun { message, octets } => {
                self.begin(message);
                if let (Some(arrival), Some(octets)) = (&mut self.arrival, octets) {
                    self.collection.announced(arrival, octets)?;
                }
            }
            Event::Piece(octets) => self.piece(octets)?,
            Event::Whole => self.end(),
            Event::Message(message, octets) => {
                self.begin(Some(message));
                self.piece(&octets)?;
                self.end();
            }
            Event::Absent(message) => self.given_up(message),
            Event::Deleted(messages) => self.collection.outcome.deleted += messages,
            Event::Refused { command, reason, message } => {
                self.collection.problem(Error::Refused { command, reason });
                if let Some(message) = message {
                    self.given_up(message);
                }
            }
            Event::More | Event::Other | Event::Done | Event::Listed { .. } | Event::AllListed => {}
        }
        Ok(())
    }

    fn begin(&mut self, message: Option<Handle>) {
        let wanted = message.and_then(|message| self.no_longer_under_way(message));
        self.arrival = wanted.map(|(message, identity)| self.collection.begin(message, identity));
    }

    fn piece(&mut self, octets: &[u8]) -> Result<(), Error> {
        match &mut self.arrival {
            Some(arrival) => self.collection.piece(arrival, octets),
            None => Ok(()),
        }
    }

    fn end(&mut self) {
        if let Some(arrival) = self.arrival.take() {
            self.collection.end(arrival);
        }
    }

    /// The request for a message is over, and it has not come.
    fn given_up(&mut self, message: Handle) {
        if let Some((_, None)) = self.no_longer_under_way(message) {
            self.collection.incomplete();
        }
    }

    fn no_longer_under_way(&mut self, message: Handle) -> Option<Wanted> {
        let at = self.under_way.iter().position(|(under_way, _)| *under_way == message);
        at.and_then(|at| self.under_way.remove(at))
    }
}
