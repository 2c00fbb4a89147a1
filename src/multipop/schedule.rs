//! When a source is polled next, and when its user hears of trouble: arithmetic without a clock.

use std::time::Duration;

use super::letters::{Told, Trouble};
use crate::outgoing::rhythm::{DAY, is_next_letter_due};

/// The longest pause between two polls of a source that fails, unless its interval is longer.
const BACKED_OFF: Duration = Duration::from_secs(3600);
/// The longest pause between two polls of a source whose login is refused. Some providers lock an account after
/// refused logins: four tries a day lock none. A provider often refuses a good password for some hours, so the source
/// is never given up.
const REFUSED: Duration = Duration::from_secs(6 * 3600);

/// The pause from the end of a poll to the next one. Each failed connection in a row doubles the interval, up to an
/// hour, or up to six where the login was `refused`. `jitter` (0 for less, 255 for more) moves it by up to a tenth,
/// so that sources which failed together do not all come back together.
pub fn pause(interval: Duration, failures: u32, refused: bool, jitter: u8) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let limit = if refused { REFUSED } else { BACKED_OFF };
    let backed_off = interval.saturating_mul(1 << doublings).min(limit.max(interval));
    backed_off.saturating_mul(900 + u32::from(jitter) * 200 / 255) / 1000
}

/// Whether the user is to be told by mail at `now`, after `polls` in a row with this trouble. `told` is the series of
/// letters so far. A `warn_after` of 0 never tells. A series goes on after a restart. A series about another trouble
/// begins once that trouble lasts, and never on the same day.
pub fn is_letter_due(trouble: Trouble, polls: u32, warn_after: u32, told: Option<&Told>, now: i64) -> bool {
    warn_after > 0
        && match told {
            Some(told) if told.trouble == trouble => is_next_letter_due(told.count, told.at, now),
            other => polls >= warn_after && other.is_none_or(|told| now.abs_diff(told.at) >= DAY),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Catches: a provider that is asked every ten minutes with a password that it refuses, and locks the account; a
    /// source that is given up.
    #[test]
    fn a_failing_source_is_tried_less_and_less_often() {
        for (interval, failures, refused, expected) in [
            (10, 0, false, 10),
            (10, 1, false, 10),
            (10, 2, false, 20),
            (10, 3, false, 40),
            (10, 4, false, 60),
            (10, u32::MAX, false, 60),
            (1440, 9, false, 1440),
            (10, 4, true, 80),
            (10, 6, true, 320),
            (10, 7, true, 360),
            (10, u32::MAX, true, 360),
            (1440, 9, true, 1440),
        ] {
            let pause = pause(MINUTE * interval, failures, refused, 127);
            assert!(pause.abs_diff(MINUTE * expected) < pause / 500, "{interval} {failures}: {pause:?}");
        }
        assert_eq!(pause(MINUTE * 10, 0, false, 0), MINUTE * 9);
        assert_eq!(pause(MINUTE * 10, 0, false, 255), MINUTE * 11);
    }

    /// Catches: a letter each day for as long as a mailbox is dead, or one at each change of the trouble; a series
    /// that begins anew with a restart.
    #[test]
    fn the_user_hears_after_some_failures_and_then_once_a_day_and_then_once_a_week() {
        let day = i64::try_from(DAY).unwrap();
        let told = |trouble, count| Some(Told { trouble, count, at: 0 });
        let (login, down) = (Trouble::Login, Trouble::Other);
        for (polls, warn_after, before, days, due) in [
            (4, 5, None, 0, false),
            (5, 5, None, 0, true),
            (90, 0, None, 0, false),
            (6, 5, told(login, 1), 0, false),
            (90, 5, told(login, 1), 1, true),
            (90, 0, told(login, 1), 1, false),
            // After a restart.
            (1, 5, told(login, 1), 1, true),
            (90, 5, told(login, 7), 1, true),
            (90, 5, told(login, 8), 6, false),
            (90, 5, told(login, 8), 7, true),
            (90, 5, told(login, 99), 7, true),
            // Another trouble.
            (4, 5, told(down, 8), 1, false),
            (5, 5, told(down, 8), 0, false),
            (5, 5, told(down, 8), 1, true),
            // The clock went back.
            (90, 5, told(login, 1), -2, true),
        ] {
            let is_due = is_letter_due(login, polls, warn_after, before.as_ref(), days * day);
            assert_eq!(is_due, due, "{polls} {before:?} {days}");
        }
    }
}
