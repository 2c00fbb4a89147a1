//! The time: the wall clock in seconds since 1970, whether it is set, and the clock of deadlines.

use std::cell::Cell;
use std::future::pending;
use std::io;
#[cfg(test)]
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use event_listener::Event;

/// Seconds since 1970-01-01 UTC; 0 if the machine's clock is before that.
pub fn unix_now() -> i64 {
    #[cfg(test)]
    if let Some(now) = FIXED.get() {
        return now;
    }
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Whether the wall clock is set. On a board without a battery it is not, until the network has told the time. Until
/// then no certificate can be judged, since it might have ended long ago.
pub struct Knowledge {
    known: Cell<bool>,
    came: Event,
}

impl Knowledge {
    /// The knowledge at the start.
    pub fn new(known: bool) -> Knowledge {
        Knowledge { known: Cell::new(known), came: Event::new() }
    }

    /// Whether the clock is set.
    pub fn is_known(&self) -> bool {
        self.known.get()
    }

    /// Notes that the clock is set from now on.
    pub fn set_known(&self) {
        self.known.set(true);
        self.came.notify(usize::MAX);
    }

    /// Notes that the clock is no longer set, as after a power cut.
    #[cfg(test)]
    pub fn forget(&self) {
        self.known.set(false);
    }

    /// Ends when the clock is set; never if it is set already. Nothing is missed between a call of
    /// [`Knowledge::is_known`] and the first poll of this future, as long as nothing is awaited in between.
    pub async fn comes(&self) {
        if self.known.get() {
            return pending().await;
        }
        self.came.listen().await;
    }
}

/// The clock of deadlines. Clones share it. In unit tests it stands still until `Time::advance` moves it.
#[derive(Debug, Clone)]
#[cfg_attr(not(test), derive(Default))]
pub struct Time {
    #[cfg(test)]
    shows: Rc<Cell<Instant>>,
    #[cfg(test)]
    moved: Rc<Event>,
}

impl Time {
    /// The time since `since`.
    pub fn since(&self, since: Instant) -> Duration {
        self.now().saturating_duration_since(since)
    }

    /// Runs `future` for `limit` at most.
    ///
    /// # Errors
    /// `TimedOut`, or the error of `future`.
    pub fn deadline<T>(
        &self,
        limit: Duration,
        future: impl Future<Output = io::Result<T>>,
    ) -> impl Future<Output = io::Result<T>> {
        until(self.sleep(limit), future)
    }
}

/// Runs `future` until `end` has ended.
///
/// Not an `async fn`, which would hold `future` twice: as its argument and where it is awaited.
///
/// # Errors
/// `TimedOut`, or the error of `future`.
pub fn until<T>(
    end: impl Future<Output = ()>,
    future: impl Future<Output = io::Result<T>>,
) -> impl Future<Output = io::Result<T>> {
    smol::future::or(future, async move {
        end.await;
        Err(io::ErrorKind::TimedOut.into())
    })
}

#[cfg(not(test))]
impl Time {
    /// The time now.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Ends after `time`.
    pub async fn sleep(&self, time: Duration) {
        async_io::Timer::after(time).await;
    }
}

#[cfg(test)]
#[allow(missing_docs)]
impl Time {
    pub fn now(&self) -> Instant {
        self.shows.get()
    }

    pub async fn sleep(&self, time: Duration) {
        let until = self.now() + time;
        loop {
            let moved = self.moved.listen();
            if self.now() >= until {
                return;
            }
            moved.await;
        }
    }

    /// Moves the clock by `time`.
    pub fn advance(&self, time: Duration) {
        self.shows.set(self.now() + time);
        self.moved.notify(usize::MAX);
    }
}

#[cfg(test)]
impl Default for Time {
    fn default() -> Time {
        Time { shows: Rc::new(Cell::new(Instant::now())), moved: Rc::default() }
    }
}

#[cfg(test)]
thread_local! {
    /// The time to which a test sets this thread's wall clock to be repeatable.
    pub static FIXED: std::cell::Cell<Option<i64>> = const { std::cell::Cell::new(None) };
}
