//! Syncs that stall nobody.
//!
//! On a fast disk a sync takes less time than handing it to somebody else, so it is made on the spot.
//! Once syncs take longer than [`SLOW`] on average, as on an SD card, the following ones go through
//! io_uring, whose completion wakes an eventfd that async-io waits for: the thread serves other
//! sessions meanwhile. Where the kernel refuses io_uring, every sync is made on the spot.

use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Sync;
use super::uring::Ring;

/// Syncs that take longer than this would be felt by other sessions.
const SLOW: Duration = Duration::from_millis(20);

/// Makes files durable.
pub struct Syncer {
    /// `None` once the kernel has refused.
    ring: OnceCell<Option<Rc<Ring>>>,
    /// The moving average of what syncs take.
    expected: Cell<Duration>,
}

impl Syncer {
    /// Nothing is known about the disk yet.
    pub fn new() -> Syncer {
        Syncer { ring: OnceCell::new(), expected: Cell::new(Duration::ZERO) }
    }

    /// Makes content and length of `file` durable (for a folder: its names).
    pub fn sync(self: &Rc<Self>, file: Rc<File>) -> Sync {
        let syncer = self.clone();
        Box::pin(async move {
            let begin = Instant::now();
            let outcome = match syncer.ring_when_slow() {
                Some(ring) => ring.fdatasync(file).await,
                None => file.sync_data(),
            };
            // One hiccup of a fast disk is not enough to call it slow, a few syncs of a slow card are.
            syncer.expected.set((syncer.expected.get() * 3 + begin.elapsed()) / 4);
            outcome
        })
    }

    fn ring_when_slow(&self) -> Option<Rc<Ring>> {
        if self.expected.get() < SLOW {
            return None;
        }
        self.ring
            .get_or_init(|| {
                Ring::new()
                    .map(Rc::new)
                    .inspect_err(|error| log::info!("no io_uring, syncs will stall: {error}"))
                    .ok()
            })
            .clone()
    }
}
