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

/// A deadline that moves away again and again, as that of a connection does with each line.
///
/// To set a timer costs several system calls and a turn of the thread that waits for the sockets, as much as a short
/// reply. So the timer stays where it is when the deadline moves away, and is set again only when it goes off too
/// early.
#[derive(Debug)]
pub struct Alarm {
    time: Time,
    timer: Timer,
    /// When the timer goes off, if it is set.
    set_for: Option<Instant>,
}

impl Alarm {
    /// An alarm that is not set.
    pub fn new(time: Time) -> Alarm {
        Alarm { timer: Timer::new(&time), time, set_for: None }
    }

    /// Ends after `limit`; never if that is too far away to be told.
    pub async fn after(&mut self, limit: Duration) {
        let Some(deadline) = self.time.now().checked_add(limit) else { return pending().await };
        loop {
            if self.set_for.is_none_or(|set| set > deadline) {
                self.timer.set(deadline);
                self.set_for = Some(deadline);
            }
            self.timer.goes_off().await;
            self.set_for = None;
            if self.time.now() >= deadline {
                return;
            }
        }
    }

    /// Runs `future` for `limit` at most.
    ///
    /// # Errors
    /// `TimedOut`, or the error of `future`.
    pub fn deadline<T>(
        &mut self,
        limit: Duration,
        future: impl Future<Output = io::Result<T>>,
    ) -> impl Future<Output = io::Result<T>> {
        until(self.after(limit), future)
    }
}

/// A timer of the clock of deadlines.
#[cfg(not(test))]
#[derive(Debug)]
struct Timer(async_io::Timer);

#[cfg(not(test))]
impl Timer {
    fn new(_time: &Time) -> Timer {
        Timer(async_io::Timer::never())
    }

    fn set(&mut self, at: Instant) {
        self.0.set_at(at);
    }

    async fn goes_off(&mut self) {
        (&mut self.0).await;
    }
}

/// A timer of the clock of deadlines.
#[cfg(test)]
#[derive(Debug)]
struct Timer {
    time: Time,
    at: Instant,
    /// How often it was set.
    settings: u32,
}

#[cfg(test)]
impl Timer {
    fn new(time: &Time) -> Timer {
        Timer { time: time.clone(), at: time.now(), settings: 0 }
    }

    fn set(&mut self, at: Instant) {
        self.at = at;
        self.settings += 1;
    }

    async fn goes_off(&mut self) {
        self.time.sleep(self.at.saturating_duration_since(self.time.now())).await;
    }
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

#[cfg(test)]
mod tests {
    use smol::future::poll_once;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// A line a minute, for which there are ten minutes; then silence. Catches: a timer that is set for each line,
    /// and one that ends a connection ten minutes after its first line.
    #[test]
    fn a_deadline_that_moves_away_sets_no_timer() {
        let time = Time::default();
        let mut alarm = Alarm::new(time.clone());
        smol::block_on(async {
            for _ in 0..100 {
                assert!(poll_once(alarm.after(10 * MINUTE)).await.is_none());
                time.advance(MINUTE);
            }
            assert_eq!(alarm.timer.settings, 10);
            assert!(poll_once(alarm.after(10 * MINUTE)).await.is_none());
            time.advance(10 * MINUTE);
            // The time begins with the wait.
            let mut silent = std::pin::pin!(alarm.after(10 * MINUTE));
            assert!(poll_once(&mut silent).await.is_none());
            time.advance(9 * MINUTE);
            assert!(poll_once(&mut silent).await.is_none());
            time.advance(MINUTE);
            assert!(poll_once(&mut silent).await.is_some());
        });
    }

    /// Catches: a timer that is left where it was although the deadline comes before it.
    #[test]
    fn a_deadline_that_comes_nearer_is_met() {
        let time = Time::default();
        let mut alarm = Alarm::new(time.clone());
        smol::block_on(async {
            assert!(poll_once(alarm.after(10 * MINUTE)).await.is_none());
            let mut near = std::pin::pin!(alarm.after(MINUTE));
            assert!(poll_once(&mut near).await.is_none());
            time.advance(MINUTE);
            assert!(poll_once(&mut near).await.is_some());
        });
        smol::block_on(async {
            assert!(poll_once(alarm.after(Duration::MAX)).await.is_none());
        });
    }
}
