//! The order of UIDVALIDITYs.
//!
//! UIDVALIDITYs have 32 bits, are never 0, and their order is circular: of two values, the later one is that which is
//! reached first by counting up from the other (RFC 1982). So they continue after 4294967295, which an import may
//! bring any day, and which the clock reaches on 2106-02-07. RFC 3501 section 2.3.1.1 wants a greater value for a
//! name that is used again; clients only check whether it is a different one.

/// The later of two values; 0 stands for no value.
pub fn later(a: u32, b: u32) -> u32 {
    match (a, b) {
        (0, other) | (other, 0) => other,
        // At half the circle neither is later: `a` stays.
        _ if b.wrapping_sub(a).cast_signed() > 0 => b,
        _ => a,
    }
}

/// The value `steps` after `value`. 0 is skipped.
pub fn behind(value: u32, steps: u32) -> u32 {
    match value.overflowing_add(steps) {
        (sum, true) => sum.wrapping_add(1),
        (0, false) => 1,
        (sum, false) => sum,
    }
}

/// The value for a time in seconds since 1970, which goes round the circle; 0 where the time gives no usable value.
pub fn of_clock(seconds: i64) -> u32 {
    const CIRCLE: i64 = 1 << 32;
    u32::try_from(seconds.rem_euclid(CIRCLE)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u32 = u32::MAX;
    /// A time in 2026, in seconds since 1970.
    const NOW: u32 = 1_790_000_000;

    /// Catches: `max` in place of the comparison, in either direction, and a 0 that counts as a value.
    #[test]
    fn the_later_one_is_the_nearer_one_by_counting_up() {
        for (earlier, late) in [
            (1, 2),
            (0, 1),
            (0, MAX),
            (MAX, 1),
            (MAX - 5, 3),
            (NOW, NOW + 1),
            // An imported value that is earlier than the clock.
            (MAX, NOW),
            (NOW, NOW + (1 << 31) - 1),
        ] {
            assert_eq!(later(earlier, late), late, "{earlier} {late}");
            assert_eq!(later(late, earlier), late, "{late} {earlier}");
        }
        assert_eq!(later(7, 7), 7);
        assert_eq!(later(0, 0), 0);
        // Neither is later: the first one stays.
        assert_eq!(later(NOW, NOW + (1 << 31)), NOW);
    }

    /// Catches: a sum that saturates, a sum that is 0, and a sum that is the same value again.
    #[test]
    fn counting_goes_on_behind_the_last_one_and_never_gives_0() {
        for (value, steps, sum) in [
            (1, 1, 2),
            (MAX - 1, 1, MAX),
            (MAX, 1, 1),
            (MAX, 2, 2),
            (MAX - 1, 2, 1),
            (MAX - 2, 5, 3),
            (0, 0, 1),
        ] {
            assert_eq!(behind(value, steps), sum, "{value} {steps}");
        }
        let mut value = MAX - 3;
        for _ in 0..10 {
            let next = behind(value, 1);
            assert!(next != 0 && next != value && later(value, next) == next, "{value} {next}");
            value = next;
        }
    }

    #[test]
    fn the_clock_goes_on_after_2106() {
        assert_eq!(of_clock(NOW.into()), NOW);
        assert_eq!(of_clock(MAX.into()), MAX);
        assert_eq!(of_clock(i64::from(MAX) + 1), 0);
        assert_eq!(of_clock(i64::from(MAX) + 2), 1);
        assert!(later(MAX, of_clock(i64::from(MAX) + 100)) == 99);
    }
}
