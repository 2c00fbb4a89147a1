//! Messages on their way from the server to the collection: which is asked for next, which octets belong to which
//! message, and which are accepted as whole.

use std::collections::{HashSet, VecDeque};

use super::Error;
use super::collection::{Arrival, Collection, Handle, Wanted};
use super::content::Content;
use super::notice::Stuck;
use super::remote::{Attributes, Event, RemoteMailbox};
use super::wanted::{Handles, ToRead};

/// The beginning of a message that is larger than `max_size` has so many octets at least. What has fewer is all of a
/// message, whose listed size is wrong.
const SMALL: u64 = 4096;

/// Messages on their way from the server to the collection.
pub struct Reading<'c> {
    /// The collection that takes the messages.
    pub collection: &'c mut Collection,
    /// Messages that the server was told to delete.
    told: &'c mut Handles,
    wanted: ToRead,
    under_way: VecDeque<Wanted>,
    arrival: Option<Arrival>,
    /// Messages that have ended but are not accepted yet: if nonsense follows a message, it had not really ended.
    whole: Vec<Arrival>,
    /// Whether the beginnings of messages are read first, to compare them.
    looks_first: bool,
    /// Messages whose beginnings are under way, in order.
    looking: VecDeque<Wanted>,
    /// The beginning of the first of `looking`, and how many octets of it came.
    beginning: (Content, u64),
    /// The header of the message at which earlier polls broke off and which comes next: no more of it may ever come.
    header: Content,
    /// The message that `header` belongs to.
    headed: Option<Handle>,
    /// Messages that came once much shorter than they are listed.
    short: HashSet<Handle>,
    /// Messages whose deletion is to be asked for, in ascending order.
    deletable: VecDeque<Handle>,
    /// Whether everything has come, and what is safe is being deleted.
    pub is_deleting: bool,
    /// How many messages are marked as deleted at the server.
    pub marked: u32,
}

impl<'c> Reading<'c> {
    /// Reads what is `wanted`. `told` has the messages that the server was told to delete.
    pub fn new(collection: &'c mut Collection, wanted: ToRead, told: &'c mut Handles) -> Reading<'c> {
        Reading {
            looks_first: collection.looks_first(),
            looking: VecDeque::new(),
            beginning: (Content::new(), 0),
            collection,
            told,
            wanted,
            under_way: VecDeque::new(),
            arrival: None,
            whole: Vec::new(),
            header: Content::new(),
            headed: None,
            short: HashSet::new(),
            deletable: VecDeque::new(),
            is_deleting: false,
            marked: 0,
        }
    }

    /// Begins with the deletions of what is safe: at the end of a round, since some servers hang up at a deletion. The last
    /// message comes first, since some number those behind it anew at once, and would delete others.
    pub fn begin_deleting(&mut self) {
        self.take_on_deletions();
        self.is_deleting = true;
    }

    fn take_on_deletions(&mut self) {
        let deletable = self.collection.take_deletable();
        deletable.iter().for_each(|message| self.told.insert(*message));
        self.deletable.extend(deletable);
    }

    /// Makes the next request for a deletion before everything has come: at a server at which polls break off, and would
    /// otherwise compare the same messages again and again. False if there is none to make.
    pub fn deletes_early(&mut self, mailbox: &mut dyn RemoteMailbox) -> bool {
        self.take_on_deletions();
        self.deletes(mailbox)
    }

    /// Makes the next request for a deletion. False if there is none to make.
    pub fn deletes(&mut self, mailbox: &mut dyn RemoteMailbox) -> bool {
        !self.deletable.is_empty() && {
            mailbox.delete(&mut self.deletable);
            true
        }
    }

    /// Makes the next request for a message. False if there is none to make.
    pub fn asks(&mut self, mailbox: &mut dyn RemoteMailbox) -> bool {
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
            if wanted.large > 0 {
                if mailbox.head(message, true) {
                    self.looking.push_back(wanted);
                    return true;
                }
                self.collection.tell_then_delete(&wanted, None);
                continue;
            }
            let is_compared = wanted.is_doubtful || self.looks_first && wanted.identity.is_some();
            let looks = is_compared && !wanted.last && !wanted.is_looked_at;
            if looks && mailbox.head(message, true) {
                self.looking.push_back(wanted);
                return true;
            }
            if wanted.identity.is_some() || !self.collection.is_full() {
                self.under_way.push_back(wanted);
                mailbox.fetch(message);
                return true;
            }
            // Only the content could tell whether this message is new, and new messages are left to the next poll.
            self.collection.incomplete();
        }
        false
    }

    /// Takes in an event.
    ///
    /// # Errors
    /// The server sends too much, or the store failed.
    pub fn take(&mut self, event: Event<'_>) -> Result<(), Error> {
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
            Event::More
            | Event::Other
            | Event::Done
            | Event::Folder(_)
            | Event::News
            | Event::Listed(_)
            | Event::AllListed { .. } => {}
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

    /// The beginning of a message has been read, as far as it came.
    fn looked_at(&mut self, message: Handle) {
        let at = self.looking.iter().position(|wanted| wanted.handle == message);
        let Some(wanted) = at.and_then(|at| self.looking.remove(at)) else { return };
        let (content, came) = std::mem::replace(&mut self.beginning, (Content::new(), 0));
        if wanted.large > 0 && came >= SMALL {
            self.collection.tell_then_delete(&wanted, Some(&content));
        } else if wanted.large > 0 {
            self.wanted.put_first(Wanted { large: 0, is_looked_at: true, ..wanted });
        } else if !self.collection.looked_at(&wanted, &content, came) {
            self.wanted.put_first(Wanted { is_looked_at: true, ..wanted });
        }
    }

    /// Whether there are messages that have ended but are not accepted yet.
    pub fn has_whole(&self) -> bool {
        !self.whole.is_empty()
    }

    /// Accepts the messages that have ended.
    pub fn believe(&mut self) {
        for arrival in std::mem::take(&mut self.whole) {
            self.take_in(arrival);
        }
    }

    /// Takes in a message that has ended. If it is shorter than it is listed by more than servers get wrong, it is read
    /// once more before it is accepted.
    fn take_in(&mut self, arrival: Arrival) {
        let (handle, identity, _) = arrival.so_far();
        let (came, listed) = (arrival.came(), self.collection.listed_size(handle));
        if came == 0 && listed > 0 {
            // Nothing is no message, and the one that is listed must not be deleted for it.
            self.collection.incomplete();
            self.collection.problem(Error::NotSent);
            self.collection.broke_off(handle, identity, &Content::new());
            return;
        }
        let is_shorter = arrival.is_kept() && came < listed - listed / 8;
        let is_short = arrival.is_kept() && came < listed / 2;
        if is_shorter && self.short.insert(handle) {
            // Whether it is to be compared is noted by its handle.
            self.wanted.put_back(Wanted { is_looked_at: true, ..Wanted::new(handle, identity) });
            return;
        }
        let short = is_short.then(|| Stuck::new(arrival.so_far().2, Some(listed)));
        if is_short {
            self.collection.problem(Error::Short { octets: came, listed });
        }
        if listed > 0 {
            self.collection.size_was(short);
        }
        self.collection.end(arrival);
    }

    /// The request for a message is answered without the message and without a refusal.
    fn absent(&mut self, message: Handle) {
        if let Some(wanted) = self.given_up(message) {
            self.collection.incomplete();
            self.collection.problem(Error::NotSent);
            self.collection.broke_off(message, wanted.identity, &Content::new());
        }
    }

    /// The request for a message is answered without the message.
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

    /// Tells the collection at which message the poll has broken off. Returns whether several requests were under way
    /// then.
    pub fn broke_off(&mut self, error: &Error) -> bool {
        if !matches!(error, Error::Protocol(_)) {
            // Nothing followed the message, so no nonsense did.
            self.believe();
        }
        if !error.is_of_the_server() {
            return false;
        }
        let several = self.under_way.len() > 1;
        let arrival = self.whole.pop().or(self.arrival.take());
        let begun = arrival.as_ref().map(Arrival::so_far);
        let headed = self.wanted.last().filter(|wanted| self.headed == Some(wanted.handle));
        let asked = self.under_way.front().or(headed);
        let asked = asked.map(|wanted| (wanted.handle, wanted.identity, &self.header));
        if let Some((message, identity, content)) = begun.or(asked) {
            let content = if self.headed == Some(message) { &self.header } else { content };
            self.collection.broke_off(message, identity, content);
        }
        several
    }
}
