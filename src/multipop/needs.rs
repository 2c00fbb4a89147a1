//! What earlier polls found out about messages of a source. First, the room they need: a size that a server lists may
//! be wrong, and a message that is read again and again without ever fitting wears the flash for nothing. Second, the
//! messages at which a poll broke off: a message that cannot be had must not keep the others away. All of it ends
//! with the process.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::ledger::Identity;

/// Messages that are remembered, at most.
const REMEMBERED: usize = 1000;
/// Polls in a row that break off at a message before the other messages are read first.
const OTHERS_FIRST: u32 = 2;
/// How long to wait before a message is tried again that was left for the last and could not be had.
const AGAIN: Duration = Duration::from_secs(24 * 3600);

/// What is known about the messages of one folder. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Needs(Rc<RefCell<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    /// Octets that messages need, found out by polls before this one.
    before: HashMap<Identity, u64>,
    /// Octets that messages need, found out by this poll, or known before and listed by this poll.
    now: HashMap<Identity, u64>,
    failures: HashMap<Identity, Failures>,
    /// Messages that came as they were listed, and those of which less than half came.
    sizes: (u32, u32),
    /// Collected messages that were found to be the same when they were listed again, by polls before this one, and
    /// those that this poll has listed.
    compared: [HashMap<Identity, Compared>; 2],
}

/// When a message was compared, and the size that it was listed with.
type Compared = (Instant, u64);

/// Polls that broke off at a message.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// When in a poll a message is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// In its usual place.
    Usual,
    /// After all other messages.
    Last,
    /// Not in this poll.
    Later,
}

impl Needs {
    /// Begins a poll, which may or may not come to the end of its listing.
    pub fn begin(&self) {
        let mut noted = self.0.borrow_mut();
        let now = std::mem::take(&mut noted.now);
        noted.before.extend(now);
        let [before, now] = &mut noted.compared;
        before.extend(now.drain());
    }

    /// Whether the listed message of `identity` was compared by an earlier poll within a day, and has been listed
    /// since.
    pub fn is_compared(&self, identity: &Identity, size: u64, time: Instant) -> bool {
        let [before, now] = &mut self.0.borrow_mut().compared;
        let known =
            before.remove(identity).filter(|(at, known)| *known == size && time.duration_since(*at) < AGAIN);
        if let Some(known) = known {
            now.insert(*identity, known);
        }
        known.is_some()
    }

    /// Notes that the message of `identity` is the one that was collected: the server lists what it was told to delete.
    pub fn compared(&self, identity: Identity, size: u64, time: Instant) {
        let [before, now] = &mut self.0.borrow_mut().compared;
        if before.len() + now.len() < REMEMBERED {
            now.insert(identity, (time, size));
        }
    }

    /// Octets that the listed message of `identity` is known to need; 0 if nothing is known.
    pub fn of(&self, identity: &Identity) -> u64 {
        let mut noted = self.0.borrow_mut();
        if let Some(need) = noted.before.remove(identity) {
            noted.now.insert(*identity, need);
        }
        noted.now.get(identity).copied().unwrap_or(0)
    }

    /// Notes that a message without room needs so many octets. False where no more can be remembered.
    pub fn note(&self, identity: Identity, octets: u64) -> bool {
        let mut noted = self.0.borrow_mut();
        let fits = noted.now.len() + noted.before.len() < REMEMBERED || noted.now.contains_key(&identity);
        if fits {
            noted.now.insert(identity, octets);
        }
        fits
    }

    /// Notes that a poll broke off at this message. Returns whether the message had been left for the last.
    pub fn broke_off(&self, identity: Identity, now: Instant) -> bool {
        let mut noted = self.0.borrow_mut();
        if noted.failures.len() >= REMEMBERED && !noted.failures.contains_key(&identity) {
            return false;
        }
        let failures = noted.failures.entry(identity).or_insert(Failures { count: 0, last: now });
        failures.count += 1;
        failures.last = now;
        failures.count > OTHERS_FIRST
    }

    /// Notes that a message could be read whole.
    pub fn came(&self, identity: &Identity) {
        self.0.borrow_mut().failures.remove(identity);
    }

    /// Notes whether a message came about as large as it is listed. Returns whether the sizes that the server lists are to
    /// be believed: not where it gets most of them wrong.
    pub fn size_was(&self, is_right: bool) -> bool {
        let (right, wrong) = &mut self.0.borrow_mut().sizes;
        let count = if is_right { &mut *right } else { &mut *wrong };
        *count = count.saturating_add(1);
        *wrong <= right.saturating_add(1)
    }

    /// When in this poll a message is to be read.
    pub fn turn(&self, identity: &Identity, now: Instant) -> Turn {
        match self.0.borrow().failures.get(identity) {
            Some(failures) if failures.count > OTHERS_FIRST && now.duration_since(failures.last) < AGAIN => {
                Turn::Later
            }
            Some(failures) if failures.count >= OTHERS_FIRST => Turn::Last,
            _ => Turn::Usual,
        }
    }

    /// The whole mailbox is listed: forgets the needs of messages that were not.
    pub fn all_listed(&self) {
        let mut noted = self.0.borrow_mut();
        noted.before.clear();
        noted.compared[0].clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a message that cannot be had and stays in front of the others; such a message that is tried with each
    /// poll, or never again.
    #[test]
    fn a_message_at_which_polls_break_off_waits_for_the_others_and_then_for_a_day() {
        let (needs, id, start) = (Needs::default(), Identity::in_place(1), Instant::now());
        let turn = |seconds: u64| needs.turn(&id, start + Duration::from_secs(seconds));
        assert_eq!(turn(0), Turn::Usual);
        assert!(!needs.broke_off(id, start));
        assert_eq!(turn(0), Turn::Usual);
        assert!(!needs.broke_off(id, start));
        assert_eq!(turn(0), Turn::Last);
        assert!(needs.broke_off(id, start));
        assert_eq!((turn(0), turn(86_399), turn(86_400)), (Turn::Later, Turn::Later, Turn::Last));
        needs.came(&id);
        assert_eq!(turn(0), Turn::Usual);
        assert!((0..2000).all(|n| !needs.broke_off(Identity::in_place(n + 2), start)), "and never too many");
        assert!(needs.0.borrow().failures.len() <= REMEMBERED);
    }

    /// Catches: needs that are never forgotten or are of messages that are gone, and needs that are lost in a poll
    /// that broke off.
    #[test]
    fn needs_are_kept_as_long_as_their_messages_are_listed_and_never_too_many() {
        let (needs, id) = (Needs::default(), Identity::in_place);
        assert!((0..1000).all(|n| needs.note(id(n), 7)) && !needs.note(id(1000), 7) && needs.note(id(5), 9));
        needs.begin();
        assert_eq!((needs.of(&id(5)), needs.of(&id(1000))), (9, 0));
        // The listing broke off: the needs of the other messages are not forgotten.
        needs.begin();
        assert_eq!(needs.of(&id(6)), 7);
        needs.all_listed();
        needs.begin();
        assert_eq!((needs.of(&id(5)), needs.of(&id(6))), (0, 7));
    }
}
