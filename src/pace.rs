//! Work that leaves others their turn. What counts is the work, so that a slow board answers after as many steps as a
//! fast one; and the time as well, since the same step takes microseconds from memory and milliseconds from a slow card.

use std::cell::Cell;
use std::time::{Duration, Instant};

use async_io::Timer;
use smol::future::yield_now;

/// Work between two turns of others, in octets that were looked at.
pub const TURN: u64 = 64 * 1024;
/// What an item of a list (a name, a number, a test that the index answers) counts for, at the least.
pub const ITEM: u64 = 64;
/// What a step through a message counts for, at the least: many parts of no length are work, too.
pub const STEP: u64 = 1024;
/// Turns of others between two pauses.
const TURNS: u64 = 32;
/// How long sessions may wait for it.
const AT_A_STRETCH: Duration = Duration::from_millis(2);
/// Long enough that the executor runs out of work and looks at what has come in; merely to yield does not make it look.
const PAUSE: Duration = Duration::from_micros(100);

/// When the last pause ended, and the work since then.
pub struct Pace {
    since: Cell<Instant>,
    work: Cell<u64>,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace::new()
    }
}

impl Pace {
    /// The work begins.
    pub fn new() -> Pace {
        Pace { since: Cell::new(Instant::now()), work: Cell::new(0) }
    }

    /// Pauses when it is time to.
    pub async fn keep(&self) {
        self.did(0).await;
    }

    /// So much was done, in octets: gives others their turn when it has become [`TURN`], and pauses when it is time to.
    pub async fn did(&self, octets: u64) {
        // Tests give the work up at every place where it may pause.
        if cfg!(test) {
            return yield_now().await;
        }
        let before = self.work.get();
        let work = before + octets;
        self.work.set(work);
        if work >= TURN * TURNS || self.since.get().elapsed() >= AT_A_STRETCH {
            Timer::after(PAUSE).await;
            self.work.set(0);
            self.since.set(Instant::now());
        } else if work / TURN > before / TURN {
            yield_now().await;
        }
    }

    /// As [`Pace::did`], for `n` items of a list.
    pub async fn did_items(&self, n: usize) {
        self.did(n as u64 * ITEM).await;
    }
}

/// Carries a command out; then others have their turn.
pub async fn in_turn<T>(command: impl Future<Output = T>) -> T {
    let pace = Pace::new();
    let outcome = command.await;
    pace.did(TURN).await;
    outcome
}

thread_local! {
    /// How often [`between_commands`] was called. Of all sessions together: the thread is one.
    static TOGETHER: Cell<u64> = const { Cell::new(0) };
}

/// Between commands that came together, of which each alone would be followed by a wait: now and then a pause in its place.
pub async fn between_commands() {
    let together = TOGETHER.get().wrapping_add(1);
    TOGETHER.set(together);
    if together.is_multiple_of(TURNS) {
        Timer::after(PAUSE).await;
    }
}
