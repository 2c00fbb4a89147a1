//! Syncs that do not stall the thread.
//!
//! Syncs go through io_uring, whose completion wakes an eventfd that async-io waits for: the thread serves other
//! sessions meanwhile, however long an SD card takes. When the kernel refuses io_uring, every sync blocks the thread.

use std::fs::File;
use std::rc::Rc;

use super::Sync;
use super::uring::Ring;

/// Makes files durable.
pub struct Syncer {
    /// The ring; `None` when the kernel has refused it.
    ring: Option<Rc<Ring>>,
}

impl Syncer {
    /// Sets the ring up. This must be early: later the sandbox forbids it (`crate::sandbox`).
    pub fn new() -> Syncer {
        let refused = |error: &_| log::info!("no io_uring, syncs will stall: {error}");
        Syncer { ring: Ring::new().map(Rc::new).inspect_err(refused).ok() }
    }

    /// Makes content and length of `file` durable; for a folder, its names.
    pub fn sync(self: &Rc<Self>, file: Rc<File>) -> Sync {
        let syncer = self.clone();
        Box::pin(async move {
            match &syncer.ring {
                Some(ring) => ring.fdatasync(file).await,
                None => file.sync_data(),
            }
        })
    }
}
