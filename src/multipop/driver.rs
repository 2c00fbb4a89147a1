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
/// Messages that are compared where the source has another host than before.
const SAMPLES: usize = 8;
/// Things that are looked at before others get their turn, where no octets are waited for.
const AT_ONCE: usize = 4096;

/// What a mailbox elsewhere can be asked, and what its answers mean. Requests queue their lines for
/// [`RemoteMailbox::to_send`].
pub trait RemoteMailbox {
    /// Opens it and lists its messages, up to [`Event::AllListed`].
    fn list(&mut self);

    /// Asks for a message.
    fn fetch(&mut self, message: Handle);

    /// Asks for the header of a message alone, or for that and the beginning of its body: false where that cannot be had.
    fn head(&mut self, message: Handle, with_body: bool) -> bool;

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
    Listed(Listed<'a>),
    /// These are all.
    AllListed {
        /// Whether what the server says about their number agrees.
        agrees: bool,
    },
    /// A part of the header that was asked for, or of the beginning of the body.
    Head(&'a [u8]),
    /// No more comes of that.
    HeadOver(Handle),
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

/// A message that a server lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'a> {
    /// What it is asked for by.
    pub message: Handle,
    /// What it is known by, whatever octets it has; empty for nothing that can be trusted.
    pub unique_id: &'a [u8],
    /// Octets, as far as the server knows.
    pub size: u64,
    /// It is marked as deleted.
    pub is_deleted: bool,
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
            let pipelining = open_pop3(wire, source).await?;
            Box::new(pop3::Maildrop::new(pipelining && !collection.is_slow()))
        }
        Protocol::Imap => Box::new(imap::Mailbox::new(source, open_imap(wire, source).await?)),
    };
    let mut session = Session { wire, mailbox: &mut *mailbox };
    let is_same = !collection.is_elsewhere() || session.has_the_same(collection).await?;
    collection.arrive(is_same);
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

/// Logs in at a POP3 server: whether requests may be pipelined.
///
/// # Errors
/// There is no login.
pub async fn open_pop3(wire: &mut Wire, source: &Source) -> Result<bool, Error> {
    let opening = pop3::Opening::new(source, wire.is_tls())?;
    wire.open(source, opening).await
}

/// Logs in at an IMAP server: then tags up to this number were used.
///
/// # Errors
/// There is no login.
pub async fn open_imap(wire: &mut Wire, source: &Source) -> Result<u32, Error> {
    let opening = imap::Opening::new(source, wire.is_tls())?;
    wire.open(source, opening).await
}

/// Lists what is in `mailbox`, and does nothing else: whether what the server says of its number agrees.
///
/// # Errors
/// It cannot be listed.
pub async fn survey(
    wire: &mut Wire,
    mailbox: &mut dyn RemoteMailbox,
    take: impl FnMut(Listed<'_>),
) -> Result<bool, Error> {
    Session { wire, mailbox }.listing(take).await
}

/// Says goodbye where nothing was changed.
///
/// # Errors
/// None that matters.
pub async fn take_leave(wire: &mut Wire, mailbox: &mut dyn RemoteMailbox) -> Result<(), Error> {
    Session { wire, mailbox }.leave(false, false).await
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
        let agrees = self
            .listing(|listed| match listed {
                Listed { unique_id, is_deleted: true, .. } if !collection.knows(unique_id) => {
                    others_deleted = true;
                }
                Listed { message, unique_id, size, .. } => {
                    wanted.add(collection.listed(message, unique_id, size));
                }
            })
            .await?;
        collection.all_listed();
        if !agrees {
            // One list is short, and nobody knows which.
            collection.incomplete();
        }
        Ok((wanted, others_deleted))
    }

    /// Lists all messages; whether what the server says of their number agrees.
    async fn listing(&mut self, mut take: impl FnMut(Listed<'_>)) -> Result<bool, Error> {
        let mut starved = true;
        self.mailbox.list();
        loop {
            self.send().await?;
            let octets = if starved {
                self.wire.fill().await?
            } else {
                self.wire.keep_pace().await;
                self.wire.buffered()
            };
            let (available, mut input) = (octets.len(), octets);
            let (mut all, mut answered) = (None, false);
            starved = false;
            for _ in 0..AT_ONCE {
                match self.mailbox.receive(&mut input)? {
                    Event::More => {
                        starved = true;
                        break;
                    }
                    Event::Listed(listed) => take(listed),
                    event @ (Event::AllListed { .. } | Event::Done) => {
                        if let Event::AllListed { agrees } = event {
                            all = Some(agrees);
                        }
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
            if let Some(agrees) = all {
                return Ok(agrees);
            }
        }
    }

    /// Whether the mailbox at this server is the one that was collected from at another server: some of the messages that
    /// have the unique-ids of collected ones are compared with them. Where none can be, nothing says that it is.
    async fn has_the_same(&mut self, collection: &mut Collection) -> Result<bool, Error> {
        let mut samples = VecDeque::new();
        self.listing(|listed| {
            let content = collection.content_of(listed.unique_id);
            if let Some(content) = content.filter(|content| *content != 0) {
                samples.push_back((listed.message, content, listed.size));
                if samples.len() > SAMPLES {
                    samples.pop_front();
                }
            }
        })
        .await?;
        let mut is_same = false;
        for (message, known, size) in samples {
            let Some((content, came)) = self.look(message).await? else { continue };
            match content.hash(size).filter(|_| content.is_enough(came, size)) {
                Some(hash) if hash.content == known => is_same = true,
                Some(_) => return Ok(false),
                None => {}
            }
        }
        Ok(is_same)
    }

    /// The beginning of a message, and so many octets of it came.
    async fn look(&mut self, message: Handle) -> Result<Option<(Content, u64)>, Error> {
        let (mut content, mut came) = (Content::new(), 0);
        if !self.mailbox.head(message, true) {
            return Ok(None);
        }
        self.answers_with(|event| {
            if let Event::Head(octets) = event {
                content.update(octets);
                came += octets.len() as u64;
            }
        })
        .await?;
        Ok(Some((content, came)))
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
        self.answers_with(|event| {
            if let Event::Refused { command, reason, .. } = event {
                result = Err(Error::Refused { command, reason });
            }
        })
        .await?;
        result
    }

    /// Waits until all requests are answered, with these answers.
    async fn answers_with(&mut self, mut take: impl FnMut(Event<'_>)) -> Result<(), Error> {
        while !self.mailbox.is_idle() {
            self.send().await?;
            let octets = self.wire.fill().await?;
            let (available, mut input) = (octets.len(), octets);
            while !self.mailbox.is_idle() {
                match self.mailbox.receive(&mut input)? {
                    Event::More => break,
                    event => take(event),
                }
            }
            let used = available - input.len();
            self.wire.consume(used, 0)?;
        }
        self.wire.progress();
        Ok(())
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
    /// Messages are looked at before they are read; the beginnings of these are under way, in order.
    looks_first: bool,
    looking: VecDeque<Wanted>,
    /// Of the first of them, and so many octets.
    beginning: (Content, u64),
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
            looks_first: collection.looks_first(),
            looking: VecDeque::new(),
            beginning: (Content::new(), 0),
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
                if mailbox.head(message, false) {
                    self.wanted.put_back(wanted);
                    return true;
                }
            }
            let looks = self.looks_first && !wanted.last && !wanted.is_looked_at && wanted.identity.is_some();
            if looks && mailbox.head(message, true) {
                self.looking.push_back(wanted);
                return true;
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
            Event::Head(octets) if self.looking.is_empty() => self.header.update(octets),
            Event::Head(octets) => {
                self.beginning.0.update(octets);
                self.beginning.1 += octets.len() as u64;
            }
            Event::HeadOver(message) => self.looked_at(message),
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
            Event::More | Event::Other | Event::Done | Event::Listed(_) | Event::AllListed { .. } => {}
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

    /// The beginning of a message is there, or as much as comes of it.
    fn looked_at(&mut self, message: Handle) {
        let at = self.looking.iter().position(|wanted| wanted.handle == message);
        let Some(wanted) = at.and_then(|at| self.looking.remove(at)) else { return };
        let (content, came) = std::mem::replace(&mut self.beginning, (Content::new(), 0));
        if !self.collection.looked_at(&wanted, &content, came) {
            self.wanted.put_first(Wanted { is_looked_at: true, ..wanted });
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
            self.wanted.put_back(Wanted { handle, identity, last: false, is_looked_at: true });
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
