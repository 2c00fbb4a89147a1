//! Collecting from a mailbox elsewhere, whatever its protocol: the loop that moves octets between the [`Wire`], the protocol's
//! [`RemoteMailbox`], which is a state machine without I/O, and the [`Collection`].
//!
//! Where the server allows it a window of requests is kept under way, so that neither the way to the server nor a commit on
//! flash makes the other wait. A message is deleted after its commit, never before: if the connection ends in between, the next
//! poll finds it in the ledger and does nothing but delete it.

use std::collections::{HashSet, VecDeque};

use super::collection::{Arrival, BATCH_TIME, Collection, Handle, Wanted};
use super::content::Content;
use super::wanted::ToRead;
use super::wire::Wire;
use super::{Error, imap, pop3};
use crate::config::{Protocol, Source};
use crate::store::Flags;

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

    /// Asks for the header of a message alone: false where that cannot be had.
    fn head(&mut self, message: Handle) -> bool;

    /// Asks for something whose answer tells that the last message is over, if that takes a request.
    fn confirm(&mut self);

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

    /// Whether something that has come is still to be told of: no octets need to come for it.
    fn has_more(&self) -> bool;

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
    AllListed {
        /// Whether what the server says about their number agrees.
        agrees: bool,
    },
    /// A part of the header that was asked for.
    Head(&'a [u8]),
    /// A message begins; `None` for one that nobody asked for, which is passed over.
    Begun {
        /// Which one.
        message: Option<Handle>,
        /// How many octets it has, where the server cannot say less any more.
        octets: Option<u64>,
    },
    /// A part of it.
    Piece(&'a [u8]),
    /// It is whole as far as it alone can tell, and this is what the server tells of it.
    Whole(Attributes),
    /// A message at once.
    Message(Handle, Vec<u8>, Attributes),
    /// What follows a message that was whole makes sense: it was.
    Confirmed(Handle),
    /// A message does not come: it was removed meanwhile, or cannot be had.
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

/// What a server tells of a message besides its octets.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Flags.
    pub flags: Flags,
    /// INTERNALDATE, seconds since 1970 UTC.
    pub date: Option<i64>,
}

/// Collects what is new at the server of `source`, to which `wire` is connected.
///
/// # Errors
/// What ended the poll early. What had come whole before is kept all the same.
pub async fn collect(wire: &mut Wire, source: &Source, collection: &mut Collection) -> Result<(), Error> {
    collection.deliver_into(&source.into).await?;
    let mut mailbox: Box<dyn RemoteMailbox> = match source.protocol {
        Protocol::Pop3 => {
            let opening = pop3::Opening::new(source, wire.token(), wire.is_tls())?;
            let pipelining = wire.open(source, opening).await?;
            Box::new(pop3::Maildrop::new(pipelining && !collection.is_slow()))
        }
        Protocol::Imap => {
            let opening = imap::Opening::new(source, wire.token(), wire.is_tls())?;
            Box::new(imap::Mailbox::new(source, wire.open(source, opening).await?))
        }
    };
    let mut session = Session { wire, mailbox: &mut *mailbox };
    let (wanted, others_deleted) = session.list(collection).await?;
    let mut reading = Reading::new(collection, wanted);
    let read = session.read(&mut reading).await;
    let marked = reading.marked;
    let mut kept = Ok(());
    if let Err(error) = &read {
        reading.broke_off(error);
        kept = collection.abandon().await;
        if !error.is_of_the_store() {
            return read;
        }
    }
    // Nothing is wrong with the connection: what is safe here is deleted there, whatever the store says of the rest.
    let parted = session.leave(marked > 0, others_deleted).await;
    if parted.is_ok() {
        collection.outcome.deleted = marked;
    }
    read.and(kept).and(parted)
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
        let (mut listed, mut starved, mut agrees) = (false, true, true);
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
                        wanted.add(collection.listed(message, unique_id, size));
                    }
                    event @ (Event::AllListed { .. } | Event::Done) => {
                        listed = event != Event::Done;
                        agrees = event != Event::AllListed { agrees: false };
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
        if !agrees {
            // One list is short, and nobody knows which.
            collection.incomplete();
        }
        Ok((wanted, others_deleted))
    }

    /// Reads what is wanted, has it committed from time to time, and deletes what is safe.
    async fn read(&mut self, reading: &mut Reading<'_>) -> Result<(), Error> {
        let mut concluded = false;
        loop {
            while self.mailbox.has_room() && reading.asks(self.mailbox) {}
            if self.mailbox.is_idle() && !reading.whole.is_empty() {
                self.mailbox.confirm();
            }
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
        let waits = (!reading.whole.is_empty()).then_some(BATCH_TIME);
        let octets = if self.mailbox.has_more() {
            self.wire.buffered()
        } else {
            let octets = self.wire.fill_within(reading.collection.due_in().or(waits)).await?;
            if octets.is_empty() {
                // Nonsense would have come with it.
                reading.believe();
            }
            octets
        };
        let (available, mut input) = (octets.len(), octets);
        let (mut whole, before) = (false, reading.collection.octets());
        while !reading.collection.is_due() {
            match self.mailbox.receive(&mut input)? {
                Event::More => break,
                event => {
                    whole |= !matches!(event, Event::Begun { .. } | Event::Piece(_) | Event::Head(_));
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
    /// Messages that are whole as far as they alone can tell: what follows them may be nonsense, and then they were not.
    whole: Vec<Arrival>,
    /// The header of the doubtful message that comes next: it may be all that comes of it.
    header: Content,
    /// Whose it is.
    headed: Option<Handle>,
    /// Messages that came much shorter than they are listed, once.
    short: HashSet<Handle>,
    /// Messages that are marked as deleted there.
    marked: u32,
}

impl<'c> Reading<'c> {
    fn new(collection: &'c mut Collection, wanted: ToRead) -> Reading<'c> {
        Reading {
            collection,
            wanted,
            under_way: VecDeque::new(),
            arrival: None,
            whole: Vec::new(),
            header: Content::new(),
            headed: None,
            short: HashSet::new(),
            marked: 0,
        }
    }

    /// Makes the next request, if there is one.
    fn asks(&mut self, mailbox: &mut dyn RemoteMailbox) -> bool {
        if !self.collection.deletable.is_empty() {
            mailbox.delete(&mut self.collection.deletable);
            return true;
        }
        while !self.collection.has_enough()
            && let Some(wanted) = self.wanted.pop_front()
        {
            let message = wanted.handle;
            if wanted.last && self.headed != Some(message) {
                (self.headed, self.header) = (Some(message), Content::new());
                if mailbox.head(message) {
                    self.wanted.put_back(wanted);
                    return true;
                }
            }
            if wanted.identity.is_some() || !self.collection.is_full() {
                self.under_way.push_back(wanted);
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
            Event::Head(octets) => self.header.update(octets),
            Event::Whole(told) => self.end(told),
            Event::Message(message, octets, told) => {
                self.begin(Some(message));
                self.piece(&octets)?;
                self.end(told);
            }
            Event::Confirmed(message) => {
                let at = self.whole.iter().position(|arrival| arrival.so_far().0 == message);
                if let Some(arrival) = at.map(|at| self.whole.remove(at)) {
                    self.take_in(arrival);
                }
            }
            Event::Absent(message) => self.absent(message),
            Event::Deleted(messages) => self.marked += messages,
            Event::Refused { command, reason, message } => {
                self.collection.problem(Error::Refused { command, reason });
                if let Some(message) = message {
                    self.given_up(message);
                }
            }
            Event::More | Event::Other | Event::Done | Event::Listed { .. } | Event::AllListed { .. } => {}
        }
        Ok(())
    }

    fn begin(&mut self, message: Option<Handle>) {
        let wanted = message.and_then(|message| self.no_longer_under_way(message));
        self.arrival = wanted.map(|wanted| self.collection.begin(wanted.handle, wanted.identity));
    }

    fn piece(&mut self, octets: &[u8]) -> Result<(), Error> {
        match &mut self.arrival {
            Some(arrival) => self.collection.piece(arrival, octets),
            None => Ok(()),
        }
    }

    fn end(&mut self, told: Attributes) {
        if let Some(mut arrival) = self.arrival.take() {
            arrival.came_with(told);
            self.whole.push(arrival);
        }
    }

    /// What is whole is believed to be.
    fn believe(&mut self) {
        for arrival in std::mem::take(&mut self.whole) {
            self.take_in(arrival);
        }
    }

    /// A message is over. One that is much shorter than it is listed is read once more before it is believed.
    fn take_in(&mut self, arrival: Arrival) {
        let (handle, identity, _) = arrival.so_far();
        let (came, listed) = (arrival.came(), self.collection.listed_size(handle));
        let is_short = arrival.is_kept() && came < listed / 2;
        if is_short && self.short.insert(handle) {
            self.wanted.put_back(Wanted { handle, identity, last: false });
            return;
        }
        if is_short {
            self.collection.problem(Error::Short { octets: came, listed });
        }
        self.collection.end(arrival);
    }

    /// The request for a message is over, and it has not come, though nobody has refused it.
    fn absent(&mut self, message: Handle) {
        if let Some(wanted) = self.given_up(message) {
            self.collection.incomplete();
            self.collection.problem(Error::NotSent);
            self.collection.broke_off(message, wanted.identity, &Content::new());
        }
    }

    /// The request for a message is over, and it has not come.
    fn given_up(&mut self, message: Handle) -> Option<Wanted> {
        let wanted = self.no_longer_under_way(message);
        if wanted.is_some_and(|wanted| wanted.identity.is_none()) {
            self.collection.incomplete();
        }
        wanted
    }

    fn no_longer_under_way(&mut self, message: Handle) -> Option<Wanted> {
        let at = self.under_way.iter().position(|wanted| wanted.handle == message);
        at.and_then(|at| self.under_way.remove(at))
    }

    /// The poll has broken off: at which message?
    fn broke_off(&mut self, error: &Error) {
        if !matches!(error, Error::Protocol(_)) {
            // What followed it was nothing at all, and no nonsense.
            self.believe();
        }
        if !error.is_of_the_server() {
            return;
        }
        if self.under_way.len() > 1 {
            self.collection.slow_down();
        }
        let arrival = self.whole.pop().or(self.arrival.take());
        let begun = arrival.as_ref().map(Arrival::so_far);
        let headed = self.wanted.last().filter(|wanted| self.headed == Some(wanted.handle));
        let asked = self.under_way.front().or(headed);
        let asked = asked.map(|wanted| (wanted.handle, wanted.identity, &self.header));
        if let Some((message, identity, content)) = begun.or(asked) {
            let content = if self.headed == Some(message) { &self.header } else { content };
            self.collection.broke_off(message, identity, content);
        }
    }
}
