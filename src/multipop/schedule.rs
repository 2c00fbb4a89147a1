//! When a source is polled next, and when its user hears of trouble: arithmetic without a clock.

use std::time::Duration;

/// A source in trouble is tried no less often than this, unless its interval is longer.
const BACKED_OFF: Duration = Duration::from_secs(3600);
/// Between two letters about the same trouble.
const LETTERS: Duration = Duration::from_secs(24 * 3600);

/// From the end of a poll to the next one. Failed connections in a row double the interval, up to an
/// hour, and `jitter`, 0 for less and 255 for more, moves it by a tenth: sources that failed together,
/// when the line was down, shall not come back together each time.
pub fn pause(interval: Duration, failures: u32, jitter: u8) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let backed_off = interval.saturating_mul(1 << doublings).min(BACKED_OFF.max(interval));
    backed_off.saturating_mul(900 + u32::from(jitter) * 200 / 255) / 1000
}

/// Whether the user is to be told by mail, after `failures` in a row, and after the last letter of this
/// row was sent that long ago. A limit of 0 never tells.
pub fn is_letter_due(failures: u32, warn_after: u32, last_letter: Option<Duration>) -> bool {
    warn_after > 0 && failures >= warn_after && last_letter.is_none_or(|since| since >= LETTERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_failing_source_is_tried_less_and_less_often() {
        for (interval, failures, expected) in [
            (10, 0, 10),
            (10, 1, 10),
            (10, 2, 20),
            (10, 3, 40),
            (10, 4, 60),
            (10, u32::MAX, 60),
            (1440, 9, 1440),
        ] {
            let pause = pause(MINUTE * interval, failures, 127);
            assert!(pause.abs_diff(MINUTE * expected) < pause / 500, "{interval} {failures}: {pause:?}");
        }
        assert_eq!(pause(MINUTE * 10, 0, 0), MINUTE * 9);
        assert_eq!(pause(MINUTE * 10, 0, 255), MINUTE * 11);
    }

    #[test]
    fn the_user_hears_after_some_failures_and_then_once_a_day() {
        let day = MINUTE * 24 * 60;
        for (failures, warn_after, last, due) in [
            (4, 5, None, false),
            (5, 5, None, true),
            (6, 5, Some(MINUTE), false),
            (90, 5, Some(day), true),
            (90, 0, None, false),
        ] {
            assert_eq!(is_letter_due(failures, warn_after, last), due, "{failures} {last:?}");
        }
    }
}
