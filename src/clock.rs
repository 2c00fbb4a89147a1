//! Wall-clock time in seconds since 1970, read in one place, whether it is the time at all, and the time that
//! deadlines are measured by.

use std::cell::Cell;
use std::future::pending;
use std::io;
#[cfg(test)]
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use event_listener::Event;

/// Seconds since 1970-01-01 UTC; 0 while the machine's clock stands before it.
pub fn unix_now() -> i64 {
    #[cfg(test)]
    if let Some(now) = FIXED.get() {
        return now;
    }
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Whether the clock shows the time. On a board without a battery it does not, until the network has told
/// it: then no certificate can be judged, for it might have ended long ago.
pub struct Knowledge {
    known: Cell<bool>,
    came: Event,
}

impl Knowledge {
    /// At the start.
    pub fn new(known: bool) -> Knowledge {
        Knowledge { known: Cell::new(known), came: Event::new() }
    }

    /// Whether it shows the time.
    pub fn is_known(&self) -> bool {
        self.known.get()
    }

    /// From now on it does.
    pub fn set_known(&self) {
        self.known.set(true);
        self.came.notify(usize::MAX);
    }

    /// As if the power had been away.
    #[cfg(test)]
    pub fn forget(&self) {
        self.known.set(false);
    }

    /// Ends when the time comes; never where it is known already. Nothing is missed between a look at
    /// [`Knowledge::is_known`] and the first poll of this, as long as nothing is awaited in between.
    pub async fn comes(&self) {
        if self.known.get() {
            return pending().await;
        }
        self.came.listen().await;
    }
}

/// The time that deadlines are measured by; its clones show the same. In unit tests it stands still until
/// `Time::advance` moves it.
#[derive(Debug, Clone)]
#[cfg_attr(not(test), derive(Default))]
pub struct Time {
    #[cfg(test)]
    shows: Rc<Cell<Instant>>,
    #[cfg(test)]
    moved: Rc<Event>,
}

impl Time {
    /// How long ago `since` was.
    pub fn since(&self, since: Instant) -> Duration {
        self.now().saturating_duration_since(since)
    }

    /// Runs `future`, for `limit` at the most.
    ///
    /// # Errors
    /// `TimedOut`, or the future's own.
    pub fn deadline<T>(
        &self,
        limit: Duration,
        future: impl Future<Output = io::Result<T>>,
    ) -> impl Future<Output = io::Result<T>> {
        until(self.sleep(limit), future)
    }
}

/// Runs `future` until `end`.
///
/// Not an `async fn`: that would hold `future` twice, once as its argument and once where it is awaited.
///
/// # Errors
/// `TimedOut`, or the future's own.
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
    /// Now.
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

    /// Lets `time` pass.
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
    /// What tests that must be repeatable set this thread's clock to.
    pub static FIXED: std::cell::Cell<Option<i64>> = const { std::cell::Cell::new(None) };
}
