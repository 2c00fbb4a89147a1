//! Gives other tasks a turn during long work. The work is counted, so that a slow board answers after as many steps
//! as a fast one. The time counts as well, since the same step takes microseconds from memory and milliseconds from a
//! slow card.

use std::cell::Cell;
use std::time::{Duration, Instant};

use smol::LocalExecutor;
use smol::future::{or, yield_now};

/// Work between two turns of other tasks, in octets.
pub const TURN: u64 = 64 * 1024;
/// What an item of a list (a name, a number, a test that the index answers) counts for at least, in octets.
pub const ITEM: u64 = 64;
/// What a step through a message counts for at least, in octets: many empty parts are work, too. The clock is looked
/// at after so much work.
pub const STEP: u64 = 1024;
/// How long other tasks may wait for a turn.
const AT_A_STRETCH: Duration = Duration::from_millis(2);
/// Turns of tasks between two looks at the sockets.
const TURNS: u32 = 8;

/// The beginning of the present turn, and the work since then.
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
    /// Begins a turn.
    pub fn new() -> Pace {
        Pace { since: Cell::new(Instant::now()), work: Cell::new(0) }
    }

    /// Counts a step, and gives other tasks a turn when it is time.
    pub async fn keep(&self) {
        self.did(STEP).await;
    }

    /// Counts work in octets, at least as much as an item. Gives other tasks a turn when the work has reached
    /// [`TURN`], or too much time has passed.
    pub async fn did(&self, octets: u64) {
        // Tests give way at every possible place.
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

    /// Counts the work for `n` items of a list, like [`Pace::did`].
    pub async fn did_items(&self, n: usize) {
        self.did(n as u64 * ITEM).await;
    }
}

/// Runs the tasks of `executor` until `main` has ended.
///
/// It replaces [`LocalExecutor::run`], which looks at the sockets only after two hundred turns: one busy task would
/// make everybody wait for so many. This function looks after a few turns, or when they have taken long.
pub async fn run<T>(executor: &LocalExecutor<'_>, main: impl Future<Output = T>) -> T {
    let tasks = async {
        loop {
            // With nothing to do, this waits for the sockets.
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
