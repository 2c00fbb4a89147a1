//! Wall-clock time in seconds since 1970, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01 UTC; 0 while the machine's clock stands before it.
pub fn unix_now() -> i64 {
    #[cfg(test)]
    if let Some(now) = FIXED.get() {
        return now;
    }
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
thread_local! {
    /// What tests that must be repeatable set this thread's clock to.
    pub static FIXED: std::cell::Cell<Option<i64>> = const { std::cell::Cell::new(None) };
}
