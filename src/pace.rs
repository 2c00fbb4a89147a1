//! Work that leaves others their turn. What counts is the work, so that a slow board answers after as many steps as a
//! fast one; and the time as well, since the same step takes microseconds from memory and milliseconds from a slow card.

use std::cell::Cell;
use std::time::{Duration, Instant};

use smol::LocalExecutor;
use smol::future::{or, yield_now};

/// Work between two turns of others, in octets that were looked at.
pub const TURN: u64 = 64 * 1024;
/// What an item of a list (a name, a number, a test that the index answers) counts for, at the least.
pub const ITEM: u64 = 64;
/// What a step through a message counts for, at the least: many parts of no length are work, too. So much work may be
/// done between two looks at the clock.
pub const STEP: u64 = 1024;
/// How long others may wait for a turn.
const AT_A_STRETCH: Duration = Duration::from_millis(2);
/// Turns of tasks between two looks at what has come in.
const TURNS: u32 = 8;

/// When the turn began, and the work since then.
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

    /// Gives others their turn when it is time to.
    pub async fn keep(&self) {
        self.did(STEP).await;
    }

    /// So much was done, in octets, and an item at the least: gives others their turn when it has become [`TURN`], or
    /// when it is time to.
    pub async fn did(&self, octets: u64) {
        // Tests give the work up at every place where it may give way.
        if cfg!(test) {
            return yield_now().await;
        }
        let before = self.work.get();
        let work = before + octets.max(ITEM);
        self.work.set(work);
        if work / STEP > before / STEP && (work >= TURN || self.since.get().elapsed() >= AT_A_STRETCH) {
            yield_now().await;
            self.work.set(work % TURN);
            self.since.set(Instant::now());
        }
    }

    /// As [`Pace::did`], for `n` items of a list.
    pub async fn did_items(&self, n: usize) {
        self.did(n as u64 * ITEM).await;
    }
}

/// Runs the tasks of `executor` until `main` is done.
///
/// In place of [`LocalExecutor::run`], which looks at what has come in after two hundred turns: whoever works hard would
/// keep everyone waiting for so many. This one looks after a few, or when they have taken long.
pub async fn run<T>(executor: &LocalExecutor<'_>, main: impl Future<Output = T>) -> T {
    let tasks = async {
        loop {
            // Where nothing is left to do, waiting for it is looking.
            executor.tick().await;
            let (begun, mut turns) = (Instant::now(), 1);
            while executor.try_tick() {
                turns += 1;
                if turns >= TURNS || begun.elapsed() >= AT_A_STRETCH {
                    yield_now().await;
                    break;
                }
            }
        }
    };
    or(main, tasks).await
}
