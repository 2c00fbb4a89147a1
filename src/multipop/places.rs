//! Places for polls, so that memory stays bounded and no slow server holds up what is due at others.
//!
//! A poll begins in one of few places. Whoever has had one for a while gives it up once somebody waits for it, and goes on
//! beside: there are places for that too, of which an account has no more than its share. Where none is left the poll ends;
//! what it has brought is kept.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use event_listener::Event;
use smol::lock::{Semaphore, SemaphoreGuard};

use crate::clock::Time;

/// Polls at once: each holds a batch of messages in memory, and a connection.
pub const AT_ONCE: usize = 4;
/// Polls that have lasted long, besides.
const BESIDE: usize = 8;
/// Those of one account among them.
const BESIDE_EACH: usize = 2;
/// How long a place is held whoever waits.
pub const LEASE: Duration = Duration::from_secs(60);

/// All places.
pub struct Places {
    first: Semaphore,
    time: Time,
    waiting: Cell<usize>,
    /// Those who have a place, and those of them who will give it up.
    held: Cell<usize>,
    leaving: Cell<usize>,
    /// The accounts of the polls beside.
    beside: RefCell<Vec<String>>,
    changed: Event,
}

impl Places {
    /// All are free; how long one is held `time` tells.
    pub fn new(time: &Time) -> Places {
        Places {
            first: Semaphore::new(AT_ONCE),
            time: time.clone(),
            waiting: Cell::new(0),
            held: Cell::new(0),
            leaving: Cell::new(0),
            beside: RefCell::default(),
            changed: Event::new(),
        }
    }

    /// Waits for a place for a poll of `account`.
    pub async fn take(&self, account: &str) -> Place<'_> {
        let waiter = Waiter::new(self);
        let first = self.first.acquire().await;
        drop(waiter);
        self.held.set(self.held.get() + 1);
        Place { places: self, account: account.to_owned(), first: Some(first), leaving: false }
    }

    /// Whether more wait than there are places about to be free.
    fn are_short(&self) -> bool {
        let free = AT_ONCE.saturating_sub(self.held.get());
        self.waiting.get() > free + self.leaving.get()
    }

    /// Whether a poll of `account` may go on beside; if so, it does.
    fn goes_beside(&self, account: &str) -> bool {
        let mut beside = self.beside.borrow_mut();
        let own = beside.iter().filter(|other| *other == account).count();
        let goes = beside.len() < BESIDE && own < BESIDE_EACH;
        if goes {
            beside.push(account.to_owned());
        }
        goes
    }
}

/// Somebody who waits for a place.
struct Waiter<'p>(&'p Places);

impl<'p> Waiter<'p> {
    fn new(places: &'p Places) -> Waiter<'p> {
        places.waiting.set(places.waiting.get() + 1);
        places.changed.notify(usize::MAX);
        Waiter(places)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
    }
}

/// A place, held until this is dropped.
pub struct Place<'p> {
    places: &'p Places,
    account: String,
    /// `None`: it is one beside.
    first: Option<SemaphoreGuard<'p>>,
    leaving: bool,
}

impl Place<'_> {
    /// Comes back when the poll has to end for the sake of others.
    pub async fn is_needed(&mut self) {
        self.places.time.sleep(LEASE).await;
        while self.first.is_some() {
            let changed = self.places.changed.listen();
            if self.places.are_short() {
                if !self.places.goes_beside(&self.account) {
                    self.places.leaving.set(self.places.leaving.get() + 1);
                    self.leaving = true;
                    return;
                }
                self.first = None;
                self.places.held.set(self.places.held.get() - 1);
            } else {
                changed.await;
            }
        }
        std::future::pending().await
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let places = self.places;
        if self.first.is_some() {
            places.held.set(places.held.get() - 1);
            places.leaving.set(places.leaving.get() - usize::from(self.leaving));
            return;
        }
        let mut beside = places.beside.borrow_mut();
        if let Some(own) = beside.iter().position(|account| *account == self.account) {
            beside.swap_remove(own);
        }
    }
}

#[cfg(test)]
mod tests {
    use smol::LocalExecutor;

    use super::*;

    /// Catches: places that slow polls keep, a share that one account exceeds, and places beside that are not given back.
    #[test]
    fn who_waits_gets_a_place_however_many_others_never_end() {
        let time = Time::default();
        let places = Places::new(&time);
        async_io::block_on(async {
            // None of them ends by itself: of the six of one account only two may go beside.
            let (ended, tasks) = (RefCell::new(Vec::new()), LocalExecutor::new());
            for account in ["a", "a", "a", "a", "a", "a", "b", "c", "d"] {
                let (places, ended) = (&places, &ended);
                tasks
                    .spawn(async move {
                        let mut place = places.take(account).await;
                        place.is_needed().await;
                        ended.borrow_mut().push(account);
                    })
                    .detach();
            }
            let others = async {
                for _ in 0..20 {
                    drop(places.take("e").await);
                    smol::future::yield_now().await;
                }
                let ended = ended.borrow();
                assert!(ended.iter().all(|account| *account == "a"), "nobody else has to: {ended:?}");
                assert!((1..=4).contains(&ended.len()), "only for the sake of others: {ended:?}");
                let beside = places.beside.borrow();
                assert!(beside.iter().filter(|account| *account == "a").count() == 2, "{beside:?}");
            };
            // Leases end all the while.
            let passing = async {
                loop {
                    time.advance(LEASE);
                    smol::future::yield_now().await;
                }
            };
            smol::future::or(others, smol::future::or(passing, tasks.run(std::future::pending()))).await;
            drop(tasks);
            assert_eq!((places.beside.borrow().len(), places.held.get(), places.leaving.get()), (0, 0, 0));
            // Where all is free, nobody is sent away.
            let mut all = Vec::new();
            for _ in 0..AT_ONCE {
                all.push(places.take("e").await);
            }
            let alone = async {
                for _ in 0..5 {
                    time.advance(LEASE);
                    smol::future::yield_now().await;
                }
            };
            smol::future::or(alone, async {
                all[0].is_needed().await;
                panic!("for whom?")
            })
            .await;
        });
    }
}
