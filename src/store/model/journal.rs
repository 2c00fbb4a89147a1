//! The journal: what happened to mailboxes as such (RFC 5465): their names, subscriptions and annotations. What
//! happened to messages can be told from the mailbox itself; that a mailbox was renamed cannot.
//!
//! The journal is in memory only, kept while there is a watcher, and holds only the latest events. A watcher that has
//! missed events is told so.

use std::collections::VecDeque;

use super::mailbox_name::is_inferior;
use crate::store::format::MailboxId;

/// Events that are kept at most.
const EVENTS: usize = 256;
/// Octets of the names in the kept events at most.
const OCTETS: usize = 64 * 1024;

/// Something that happened to a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A mailbox of this name was created.
    Created(String),
    /// The mailbox of this name was deleted.
    Deleted(String),
    /// A mailbox was renamed, with all mailboxes below it.
    Renamed {
        /// Its old name.
        from: String,
        /// Its new name.
        to: String,
    },
    /// This name was subscribed or unsubscribed.
    Subscription(String),
    /// An annotation of a mailbox, or of the account, was set or removed.
    Annotation {
        /// The mailbox, or [`crate::store::NO_MAILBOX`].
        mailbox: MailboxId,
        /// The annotation's entry.
        entry: String,
    },
}

impl Event {
    fn octets(&self) -> usize {
        match self {
            Event::Created(name) | Event::Deleted(name) | Event::Subscription(name) => name.len(),
            Event::Renamed { from, to } => from.len() + to.len(),
            Event::Annotation { entry, .. } => entry.len(),
        }
    }
}

/// A watcher that makes changes, by a number that is not used again. 0 stands for no watcher.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct WatcherId(u64);

/// The latest events.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Journal {
    watchers: u32,
    last_watcher: u64,
    by: WatcherId,
    events: VecDeque<(WatcherId, Event)>,
    octets: usize,
    /// The number of the first of `events`. Events are numbered in the order in which they happen.
    first: u64,
}

/// Events were dropped before the watcher asked for them.
#[derive(Debug, PartialEq, Eq)]
pub struct Overflow;

impl Journal {
    /// Adds a watcher. Returns its id, and the number of the first event that it will get.
    pub fn begin(&mut self) -> (WatcherId, u64) {
        self.watchers += 1;
        self.last_watcher += 1;
        (WatcherId(self.last_watcher), self.next())
    }

    /// Removes a watcher.
    pub fn end(&mut self) {
        self.watchers = self.watchers.saturating_sub(1);
        if self.watchers == 0 {
            self.first = self.next();
            (self.events, self.octets) = (VecDeque::new(), 0);
        }
    }

    /// Sets who makes the changes that follow.
    pub fn changes_by(&mut self, who: WatcherId) {
        self.by = who;
    }

    /// The event of this number and who made it; `None` when it has not happened yet.
    ///
    /// # Errors
    /// [`Overflow`], when the event was dropped.
    pub fn event(&self, number: u64) -> Result<Option<&(WatcherId, Event)>, Overflow> {
        let at = number.checked_sub(self.first).ok_or(Overflow)?;
        Ok(usize::try_from(at).ok().and_then(|at| self.events.get(at)))
    }

    /// Whether there is a watcher.
    pub fn is_watched(&self) -> bool {
        self.watchers > 0
    }

    /// Adds an event.
    pub fn push(&mut self, event: Event) {
        if !self.is_watched() || self.is_told_by_the_last(&event) {
            return;
        }
        self.octets += event.octets();
        self.events.push_back((self.by, event));
        while (self.events.len() > EVENTS || self.octets > OCTETS)
            && let Some((_, event)) = self.events.pop_front()
        {
            self.octets -= event.octets();
            self.first += 1;
        }
    }

    /// Whether the event follows from the last one, which renamed a mailbox above.
    fn is_told_by_the_last(&self, event: &Event) -> bool {
        let (Event::Renamed { from, to }, Some((_, last))) = (event, self.events.back()) else {
            return false;
        };
        matches!(last, Event::Renamed { from: above, to: now } if is_inferior(from, above) && is_inferior(to, now))
    }

    fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(n: usize) -> Event {
        Event::Created(format!("{n}"))
    }

    /// Catches: memory that grows with events that no watcher asks for, and events that are dropped without a word.
    #[test]
    fn the_last_events_are_kept_while_somebody_watches() {
        let mut journal = Journal::default();
        journal.push(created(0));
        let (one, first) = journal.begin();
        assert_eq!(journal.event(first), Ok(None), "what was before is not kept");
        journal.changes_by(one);
        (1..=EVENTS).for_each(|n| journal.push(created(n)));
        assert_eq!(journal.event(first), Ok(Some(&(one, created(1)))));
        let (other, late) = journal.begin();
        assert_ne!(one, other);
        journal.changes_by(WatcherId::default());
        journal.push(created(EVENTS + 1));
        assert_eq!(journal.event(first), Err(Overflow));
        assert_eq!(journal.event(first + 1), Ok(Some(&(one, created(2)))));
        assert_eq!(journal.event(late), Ok(Some(&(WatcherId::default(), created(EVENTS + 1)))));
        assert_eq!(journal.event(late + 1), Ok(None));
        (0..200).for_each(|_| journal.push(Event::Deleted("x".repeat(512))));
        assert!(journal.octets <= OCTETS && journal.events.len() < 200, "{}", journal.octets);
        journal.end();
        journal.end();
        assert!(journal.events.is_empty() && journal.octets == 0);
        assert_eq!(journal.event(late), Err(Overflow));
    }

    /// Catches: an event for each mailbox below a renamed one (RFC 5465 section 5.4).
    #[test]
    fn what_is_below_a_renamed_mailbox_is_no_event() {
        let mut journal = Journal::default();
        let (_, first) = journal.begin();
        let renamed = |from: &str, to: &str| Event::Renamed { from: from.into(), to: to.into() };
        for (from, to) in [("a", "b"), ("a/x", "b/x"), ("a/x/y", "b/x/y"), ("a-b", "b-b"), ("c/x", "b/c")] {
            journal.push(renamed(from, to));
        }
        let kept: Vec<_> = journal.events.iter().map(|(_, event)| event.clone()).collect();
        assert_eq!(kept, [renamed("a", "b"), renamed("a-b", "b-b"), renamed("c/x", "b/c")]);
        assert_eq!(journal.event(first + 3), Ok(None));
    }
}
