//! Kinds of values with a unit: durations and sizes.

use toml::de::DeValue;

use super::Interval;
use super::kind::{Kind, Wrong, quoted};

/// Parses a number with a unit, such as `10m` or `25MiB`; a bare number has the unit 1. `units` has the greatest unit first.
fn units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let number: u64 = number.parse().ok()?;
    match units.iter().find(|(name, _)| *name == unit.trim_start()) {
        Some((_, size)) => number.checked_mul(*size),
        None => None,
    }
}

/// Prints `value` in the greatest unit that loses nothing.
fn in_units(value: u64, units: &[(&str, u64)]) -> String {
    let (name, size) = units.iter().find(|(_, size)| value.is_multiple_of(*size)).unwrap_or(&("", 1));
    format!("{}{name}", value / size)
}

const TIMES: &[(&str, u64)] = &[("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
const SIZES: &[(&str, u64)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)];

/// Seconds from `LEAST` to `MOST`, written `10m`, `1h`, `5d`. Where 0 has a meaning, `LEAST` is 0.
pub struct Duration<const LEAST: u32, const MOST: u32>;

impl<const LEAST: u32, const MOST: u32> Kind for Duration<LEAST, MOST> {
    type Value = u32;
    fn form() -> String {
        let most = in_units(MOST.into(), TIMES);
        match LEAST {
            0 => format!(r#""0" or a duration such as "90s", "10m", "1h" or "5d", at most {most}"#),
            _ => format!(
                r#"a duration such as "90s", "10m", "1h" or "5d", from {least} to {most}"#,
                least = in_units(LEAST.into(), TIMES)
            ),
        }
    }
    fn read(value: &DeValue<'_>) -> Result<u32, Wrong> {
        let seconds = match value.as_str() {
            Some("0") => Some(0),
            Some(text) => units(text, TIMES),
            None => None,
        };
        seconds
            .and_then(|seconds| u32::try_from(seconds).ok())
            .filter(|seconds| (LEAST..=MOST).contains(seconds))
            .ok_or_else(|| Wrong::form::<Self>(value))
    }
    fn print(value: &u32) -> String {
        match value {
            0 => quoted("0"),
            _ => quoted(&in_units((*value).into(), TIMES)),
        }
    }
}

/// As [`Duration`]; or empty, where another setting's value counts; or `push`.
pub struct SourceInterval<const LEAST: u32, const MOST: u32>;

impl<const LEAST: u32, const MOST: u32> Kind for SourceInterval<LEAST, MOST> {
    type Value = Interval;
    fn form() -> String {
        format!(r#""", "push" or {}"#, Duration::<LEAST, MOST>::form())
    }
    fn read(value: &DeValue<'_>) -> Result<Interval, Wrong> {
        match value.as_str() {
            Some("") => Ok(Interval::Inherited),
            Some("push") => Ok(Interval::Push),
            _ => Duration::<LEAST, MOST>::read(value)
                .map(Interval::Every)
                .map_err(|_| Wrong::form::<Self>(value)),
        }
    }
    fn print(value: &Interval) -> String {
        match value {
            Interval::Inherited => quoted(""),
            Interval::Every(seconds) => Duration::<LEAST, MOST>::print(seconds),
            Interval::Push => quoted("push"),
        }
    }
}

/// Octets from `LEAST` to `MOST`, written `25MiB`, `1GiB`.
pub struct Size<const LEAST: u64, const MOST: u64>;

impl<const LEAST: u64, const MOST: u64> Kind for Size<LEAST, MOST> {
    type Value = u64;
    fn form() -> String {
        let most = in_units(MOST, SIZES);
        match LEAST {
            0 => format!(r#""0" or a size such as "500KiB", "25MiB" or "1GiB", at most {most}"#),
            _ => format!(
                r#"a size such as "500KiB", "25MiB" or "1GiB", from {least} to {most}"#,
                least = in_units(LEAST, SIZES)
            ),
        }
    }
    fn read(value: &DeValue<'_>) -> Result<u64, Wrong> {
        value
            .as_str()
            .and_then(|text| units(text, SIZES))
            .filter(|octets| (LEAST..=MOST).contains(octets))
            .ok_or_else(|| Wrong::form::<Self>(value))
    }
    fn print(value: &u64) -> String {
        match value {
            0 => quoted("0"),
            _ => quoted(&in_units(*value, SIZES)),
        }
    }
}
