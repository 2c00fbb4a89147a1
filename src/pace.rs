//! Work that leaves others their turn.

use std::cell::Cell;
use std::time::{Duration, Instant};

use async_io::Timer;

/// How long sessions may wait for it.
const AT_A_STRETCH: Duration = Duration::from_millis(5);
/// Long enough that the executor runs out of work and looks at what has come in; merely to yield does not make it look.
const PAUSE: Duration = Duration::from_micros(100);

/// When the last pause ended.
pub struct Pace(Cell<Instant>);

impl Default for Pace {
    fn default() -> Pace {
        Pace::new()
    }
}

impl Pace {
    /// The work begins.
    pub fn new() -> Pace {
        Pace(Cell::new(Instant::now()))
    }

    /// Pauses when it is time to.
    pub async fn keep(&self) {
        // Tests give the work up at every place where it may pause.
        if cfg!(test) {
            return smol::future::yield_now().await;
        }
        if self.0.get().elapsed() >= AT_A_STRETCH {
            Timer::after(PAUSE).await;
            self.0.set(Instant::now());
        }
    }
}
