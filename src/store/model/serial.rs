//! UIDVALIDITYs in their order.
//!
//! They are 32 bits and never 0, and their order goes round: of two, the later one is the one that is reached first by
//! counting up from the other (RFC 1982). So they go on after 4294967295, which an import may bring any day, and which the
//! clock reaches on 2106-02-07. RFC 3501 section 2.3.1.1 wants a greater value for a name that is used again; clients only
//! look whether it is another one.

/// The later of two; 0 is none yet.
pub fn later(a: u32, b: u32) -> u32 {
    match (a, b) {
        (0, other) | (other, 0) => other,
        // Half the circle away is as early as it is late.
        _ if b.wrapping_sub(a).cast_signed() > 0 => b,
        _ => a,
    }
}

/// The one `steps` behind `value`, which jumps over 0.
pub fn behind(value: u32, steps: u32) -> u32 {
    match value.overflowing_add(steps) {
        (sum, true) => sum.wrapping_add(1),
        (0, false) => 1,
        (sum, false) => sum,
    }
}

/// What the clock says, for as long as clocks go; 0 at the moments when it says nothing of use.
pub fn of_clock(seconds: i64) -> u32 {
    const CIRCLE: i64 = 1 << 32;
    u32::try_from(seconds.rem_euclid(CIRCLE)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u32 = u32::MAX;
    /// 2026.
    const NOW: u32 = 1_790_000_000;

    /// Catches `max` in the place of the comparison, in either direction, and a 0 that counts.
    #[test]
    fn the_later_one_is_the_nearer_one_by_counting_up() {
        for (earlier, late) in [
            (1, 2),
            (0, 1),
            (0, MAX),
            (MAX, 1),
            (MAX - 5, 3),
            (NOW, NOW + 1),
            // Imported: it lies behind the clock, not before it.
            (MAX, NOW),
            (NOW, NOW + (1 << 31) - 1),
        ] {
            assert_eq!(later(earlier, late), late, "{earlier} {late}");
            assert_eq!(later(late, earlier), late, "{late} {earlier}");
        }
        assert_eq!(later(7, 7), 7);
        assert_eq!(later(0, 0), 0);
        // Nobody can say: the one that was there stays.
        assert_eq!(later(NOW, NOW + (1 << 31)), NOW);
    }

    /// Catches a sum that saturates, one that gives 0, and one that gives the same value again.
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
