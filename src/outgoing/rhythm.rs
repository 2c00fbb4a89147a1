//! How often a person is told by mail of a trouble that lasts: daily for a week, and then weekly. Arithmetic without
//! a clock.

/// Seconds between two letters about the same trouble in the first week.
pub const DAY: u64 = 24 * 3600;
/// Letters after the first one that come daily.
const DAILY: u32 = 7;
/// Seconds between two letters about the same trouble after that.
const WEEK: u64 = 7 * DAY;

/// Seconds until the next letter of a series of which `count` were sent.
pub fn until_next_letter(count: u32) -> u64 {
    if count <= DAILY { DAY } else { WEEK }
}

/// Whether the next letter of a series is due at `now`. `count` letters were sent, the last one at `at`. A clock that
/// is set back must not stop the letters for long.
pub fn is_next_letter_due(count: u32, at: i64, now: i64) -> bool {
    now.abs_diff(at) >= until_next_letter(count)
}

/// How often letters come after letter number `count`, in words.
pub fn how_often(count: u32) -> &'static str {
    if until_next_letter(count) > DAY { "once a week" } else { "once a day" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a letter each day for as long as a password is wrong, and no letters for long after a clock was
    /// wrong.
    #[test]
    fn daily_for_a_week_and_then_weekly() {
        let day = i64::try_from(DAY).unwrap();
        for (count, days, due) in [
            (1, 0, false),
            (1, 1, true),
            (7, 1, true),
            (8, 6, false),
            (8, 7, true),
            (99, 7, true),
            (1, -2, true),
        ] {
            assert_eq!(is_next_letter_due(count, 0, days * day), due, "{count} {days}");
        }
        assert!(!is_next_letter_due(1, 0, day - 1));
        assert_eq!((how_often(7), how_often(8)), ("once a day", "once a week"));
    }
}
