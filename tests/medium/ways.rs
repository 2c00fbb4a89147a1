//! The two ways in which a sync reaches the kernel: through io_uring, and, where the kernel refuses that, on the spot.

use std::panic::resume_unwind;
use std::thread::{Builder, current, scope};

use io_uring::IoUring;

use super::medium::Medium;
use super::recorder::{Mounted, Recorder};
use super::support::allowed_to_skip;
use super::thread::refuse_io_uring;

/// Does `deed` with an empty medium, where syncs go through io_uring.
pub fn through_io_uring(deed: impl FnOnce(Recorder)) {
    match IoUring::new(1) {
        Ok(_) => {
            if let Some(mounted) = Mounted::new(Medium::empty()) {
                deed(mounted.recorder.clone());
            }
        }
        Err(error) => assert!(allowed_to_skip("io_uring"), "this kernel has no io_uring for us: {error}"),
    }
}

/// Does `deed` with an empty medium, in a thread for which the kernel has no io_uring, nor for the programs that it starts.
pub fn on_the_spot(deed: impl FnOnce(Recorder) + Send) {
    // The thread gives up more than that: fusermount3 would get no rights from it.
    let Some(mounted) = Mounted::new(Medium::empty()) else { return };
    let recorder = mounted.recorder.clone();
    let ended = scope(|scope| {
        let confined = move || {
            refuse_io_uring().unwrap();
            assert!(IoUring::new(1).is_err(), "the kernel has io_uring all the same");
            deed(recorder);
        };
        let name = current().name().unwrap_or_default().to_owned();
        Builder::new().name(name).spawn_scoped(scope, confined).unwrap().join()
    });
    ended.unwrap_or_else(|panic| resume_unwind(panic));
}
