//! Places for transfers and connections: they bound memory, and keep a slow server from holding up the polls of
//! others.
//!
//! A poll that transfers messages holds one of a few places, and gives it back while its server is silent. A poll
//! that has held a place for a while gives it back between two commits if another poll waits for one. It then waits
//! for its next turn with its connection open, since a login is worth keeping. Waiting polls get their turns in
//! order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use event_listener::Event;

use crate::clock::Time;

/// Transfers at once, at most: each holds a batch of messages in memory.
pub const TRANSFERS: usize = 4;
/// Connections at once, at most, without those that wait for news.
pub const CONNECTIONS: usize = 32;
/// How long a place may be held while others wait for one.
pub const LEASE: Duration = Duration::from_secs(60);

/// All places of a kind.
pub struct Places {
    time: Time,
    free: Cell<usize>,
    waiting: RefCell<VecDeque<Rc<WaitingPoll>>>,
}

/// The turn of a waiting poll.
#[derive(Default)]
struct WaitingPoll {
    has_come: Cell<bool>,
    event: Event,
}

impl Places {
    /// `places` free places. `time` is the clock that measures how long one is held.
    pub fn new(time: &Time, places: usize) -> Places {
        Places { time: time.clone(), free: Cell::new(places), waiting: RefCell::default() }
    }

    /// A place that is not held yet.
    pub fn place(&self) -> Place<'_> {
        Place { places: self, since: None }
    }

    /// Passes a free place on to the poll that has waited longest.
    fn pass_on(&self) {
        let next = self.waiting.borrow_mut().pop_front();
        match next {
            Some(turn) => {
                turn.has_come.set(true);
                turn.event.notify(1);
            }
            None => self.free.set(self.free.get() + 1),
        }
    }
}

/// A poll in the queue. When dropped it leaves the queue, and passes on a place that it was given meanwhile.
struct Waiter<'p> {
    places: &'p Places,
    turn: Rc<WaitingPoll>,
    taken: bool,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        self.places.waiting.borrow_mut().retain(|turn| !Rc::ptr_eq(turn, &self.turn));
        if self.turn.has_come.get() {
            self.places.pass_on();
        }
    }
}

/// A place. It is given back when this is dropped.
pub struct Place<'p> {
    places: &'p Places,
    since: Option<Instant>,
}

impl Place<'_> {
    /// Waits for a place, unless it is held already.
    pub async fn hold(&mut self) {
        if self.is_held() {
            return;
        }
        let places = self.places;
        if places.free.get() > 0 {
            places.free.set(places.free.get() - 1);
        } else {
            let mut waiter = Waiter { places, turn: Rc::default(), taken: false };
            places.waiting.borrow_mut().push_back(waiter.turn.clone());
            while !waiter.turn.has_come.get() {
                let comes = waiter.turn.event.listen();
                if !waiter.turn.has_come.get() {
                    comes.await;
                }
            }
            waiter.taken = true;
        }
        self.since = Some(places.time.now());
    }

    /// Whether the place is held.
    pub fn is_held(&self) -> bool {
        self.since.is_some()
    }

    /// Whether the place has been held for [`LEASE`] while others wait for one.
    pub fn is_overdue(&self) -> bool {
        let places = self.places;
        self.since.is_some_and(|since| places.time.since(since) >= LEASE)
            && !places.waiting.borrow().is_empty()
    }

    /// Gives the place back, if it is held.
    pub fn give_back(&mut self) {
        if self.since.take().is_some() {
            self.places.pass_on();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use async_io::block_on;
    use smol::future::poll_once;

    use super::*;

    /// Catches: a place that is never passed on, goes to a poll that came later, or is lost with a waiting poll that
    /// was dropped.
    #[test]
    fn turns_come_in_order_and_none_is_lost() {
        let places = Places::new(&Time::default(), 1);
        let [mut first, mut second, mut third, mut fourth] = [(); 4].map(|()| places.place());
        block_on(async {
            first.hold().await;
            first.hold().await;
            let mut waits = Box::pin(second.hold());
            let (mut also, mut last) = (Box::pin(third.hold()), pin!(fourth.hold()));
            assert!(poll_once(&mut waits).await.is_none() && poll_once(&mut also).await.is_none());
            assert!(poll_once(last.as_mut()).await.is_none());
            // One poll leaves while it waits, another one when its turn has come already.
            drop(waits);
            first.give_back();
            first.give_back();
            assert!(poll_once(pin!(first.hold())).await.is_none(), "it is passed on");
            drop(also);
            assert!(poll_once(last.as_mut()).await.is_some());
            assert!(!second.is_held() && !third.is_held());
        });
        assert!(fourth.is_held() && places.free.get() == 0);
        drop(fourth);
        assert_eq!((places.free.get(), places.waiting.borrow().len()), (1, 0));
    }

    /// Catches: a place that must be given back though no other poll waits, or too early, or never.
    #[test]
    fn it_is_held_as_long_as_nobody_waits() {
        let time = Time::default();
        let places = Places::new(&time, 1);
        let [mut place, mut other] = [(); 2].map(|()| places.place());
        block_on(async {
            place.hold().await;
            time.advance(LEASE);
            assert!(!place.is_overdue());
            {
                let mut waits = pin!(other.hold());
                assert!(poll_once(waits.as_mut()).await.is_none() && place.is_overdue());
                place.give_back();
                assert!(!place.is_overdue() && poll_once(waits).await.is_some());
            }
            let mut waits = pin!(place.hold());
            assert!(poll_once(waits.as_mut()).await.is_none() && !other.is_overdue());
        });
    }
}
