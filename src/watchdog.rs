//! The hardware watchdog: a timer that resets the board unless somebody writes to it in time.
//!
//! It is fed by a task of the executor that serves the mail. So it is fed while that executor makes progress,
//! and no longer: a task that never ends its turn, a lost wake-up, a system call that does not return, or a
//! kernel that hangs lead to a reset, and after the reset to a working appliance.
//!
//! Protocol: Linux, Documentation/watchdog/watchdog-api.rst. Any octet feeds; the letter V before the file is
//! closed disarms. Whoever ends without it (a crash) leaves the timer running.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// How often it is fed. The shortest time-out among the supported boards is 15 seconds.
const INTERVAL: Duration = Duration::from_secs(3);

/// An armed watchdog, disarmed when dropped.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
    interval: Duration,
}

impl Watchdog {
    /// Opens the device, which arms it.
    ///
    /// # Errors
    /// There is none, somebody else has it, or it may not be opened.
    pub fn open(device: &Path) -> io::Result<Watchdog> {
        let device = File::options().write(true).open(device)?;
        Ok(Watchdog { device, interval: INTERVAL })
    }

    /// Feeds it for as long as this future is polled.
    pub async fn feed(mut self) {
        loop {
            if let Err(error) = self.device.write_all(b"\0") {
                log::error!("the watchdog cannot be fed: {error}");
            }
            async_io::Timer::after(self.interval).await;
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // Where this fails the board is reset, which is what a watchdog is for.
        let _ = self.device.write_all(b"V");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::rc::Rc;

    use smol::LocalExecutor;

    /// A file in the place of the device: how often it was fed is its length.
    struct Simulated(PathBuf);

    impl Simulated {
        fn new() -> Simulated {
            let path = std::env::temp_dir().join(format!("pillarbox-watchdog-{}", std::process::id()));
            std::fs::write(&path, b"").unwrap();
            Simulated(path)
        }
        fn open(&self) -> Watchdog {
            let mut watchdog = Watchdog::open(&self.0).unwrap();
            watchdog.interval = Duration::from_millis(1);
            watchdog
        }
        fn octets(&self) -> Vec<u8> {
            std::fs::read(&self.0).unwrap()
        }
        async fn fed(&self, more_than: usize) -> usize {
            while self.octets().len() <= more_than {
                smol::future::yield_now().await;
            }
            self.octets().len()
        }
    }

    impl Drop for Simulated {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn it_starves_while_a_task_hangs_and_is_disarmed_at_an_orderly_end() {
        let device = Rc::new(Simulated::new());
        let executor = LocalExecutor::new();
        let feeding = executor.spawn(device.open().feed());
        async_io::block_on(executor.run(async {
            let before = device.fed(2).await;
            // A task that does not end its turn for many intervals: nothing else runs meanwhile, however long it takes.
            let hanging = executor.spawn({
                let device = device.clone();
                async move {
                    let before = device.octets().len();
                    std::thread::sleep(Duration::from_millis(50));
                    (before, device.octets().len())
                }
            });
            let (at_first, at_last) = hanging.await;
            assert!(at_first >= before);
            assert_eq!(at_first, at_last, "it was fed while the executor stood still");
            device.fed(at_last).await;
            feeding.cancel().await;
        }));
        let octets = device.octets();
        assert_eq!(octets.iter().filter(|&&octet| octet == b'V').count(), 1);
        assert_eq!(octets.last(), Some(&b'V'));
    }
}
