//! How often somebody is told by mail of a trouble that lasts: daily for a week, and then weekly. Arithmetic without a clock.

/// Between two letters about the same trouble, ...
pub const DAY: u64 = 24 * 3600;
/// ... after the first one and so many more, once a day, ...
const DAILY: u32 = 7;
/// ... this.
const WEEK: u64 = 7 * DAY;

/// Seconds until the next letter of a row in which there were `count`.
pub fn until_next_letter(count: u32) -> u64 {
    if count <= DAILY { DAY } else { WEEK }
}

/// Whether the next letter is due at `now` of a row of `count`, the last of which was written at `at`. A clock that goes back
/// must not silence anybody for long.
pub fn is_next_letter_due(count: u32, at: i64, now: i64) -> bool {
    now.abs_diff(at) >= until_next_letter(count)
}

/// How often a letter comes of which this is number `count`.
pub fn how_often(count: u32) -> &'static str {
    if until_next_letter(count) > DAY { "once a week" } else { "once a day" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a letter a day for as long as a password is wrong, and silence after a clock that was wrong.
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
