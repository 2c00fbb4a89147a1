//! Syncs that stall nobody.
//!
//! They go through io_uring, whose completion wakes an eventfd that async-io waits for: the thread serves
//! other sessions meanwhile, however long an SD card takes. Where the kernel refuses io_uring, every sync
//! is made on the spot.

use std::cell::OnceCell;
use std::fs::File;
use std::rc::Rc;

use super::Sync;
use super::uring::Ring;

/// Makes files durable.
pub struct Syncer {
    /// Set up with the first sync; `None` once the kernel has refused.
    ring: OnceCell<Option<Rc<Ring>>>,
}

impl Syncer {
    /// Asks the kernel for nothing yet.
    pub fn new() -> Syncer {
        Syncer { ring: OnceCell::new() }
    }

    /// Makes content and length of `file` durable (for a folder: its names).
    pub fn sync(self: &Rc<Self>, file: Rc<File>) -> Sync {
        let syncer = self.clone();
        Box::pin(async move {
            match syncer.ring() {
                Some(ring) => ring.fdatasync(file).await,
                None => file.sync_data(),
            }
        })
    }

    fn ring(&self) -> Option<Rc<Ring>> {
        let refused = |error: &_| log::info!("no io_uring, syncs will stall: {error}");
        self.ring.get_or_init(|| Ring::new().map(Rc::new).inspect_err(refused).ok()).clone()
    }
}
