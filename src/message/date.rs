//! Dates in mail: date-time of RFC 5322 in header fields, date-time of RFC 3501 for INTERNALDATE, and the days of
//! SEARCH. The calendar is proleptic Gregorian, without leap seconds.
//!
//! Parsing is lenient where real mail needs it (obsolete zones, comments, two-digit years, a missing weekday), and
//! returns `None` instead of a guess when no day can be found.

const DAY: i64 = 86_400;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// The names of weekdays from Thursday on, since 1970-01-01 was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A moment, and the zone in which it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime {
    /// Seconds since 1970-01-01 UTC.
    pub unix: i64,
    /// Seconds by which the writer's clock was ahead of UTC.
    pub zone: i32,
}

impl DateTime {
    /// The day on the writer's calendar, counted from 1970-01-01: SENTON and the similar keys ignore time and zone
    /// (RFC 3501 section 6.4.4).
    pub fn day(self) -> i32 {
        day_of(self.unix.saturating_add(self.zone.into()))
    }
}

/// The UTC day of a moment, counted from 1970-01-01.
pub fn day_of(unix: i64) -> i32 {
    i32::try_from(unix.div_euclid(DAY)).unwrap_or(if unix < 0 { i32::MIN } else { i32::MAX })
}

/// Parses the content of a Date field (RFC 5322 sections 3.3 and 4.3), or the day and time as asctime and `date` print
/// them, or as RFC 850 and RFC 3339 have them. A time or zone that is missing or invalid counts as midnight and UTC.
pub fn parse_rfc5322(text: &[u8]) -> Option<DateTime> {
    let mut words = Words(text);
    let mut word = words.next()?;
    if word.first()?.is_ascii_alphabetic() && month(word).is_none() {
        word = words.next()?; // the weekday, which follows from the date
    }
    if let Some((day, rest)) = day_in_one_word(word) {
        let time = if rest.is_empty() { words.next().unwrap_or_default() } else { rest };
        // In RFC 3339 the zone follows without a blank.
        let end = time.iter().position(|b| matches!(b, b'Z' | b'+' | b'-')).unwrap_or(time.len());
        let (time, zone) = time.split_at(end);
        let zone = if zone.is_empty() { words.next().unwrap_or_default() } else { zone };
        return moment(day, clock_time(time).unwrap_or(0), zone_offset(zone));
    }
    let month_first = month(word);
    let (d, m) = match month_first {
        Some(m) => (day_of_month(words.next()?)?, m),
        None => (day_of_month(word)?, month(words.next()?)?),
    };
    let mut next = words.next();
    let (mut time, mut zone) = (None, None);
    if month_first.is_some() {
        time = next.and_then(clock_time);
        if time.is_some() {
            next = words.next();
            if next.is_some_and(|word| year(word).is_none()) {
                zone = next;
                next = words.next();
            }
        }
    }
    let y = year(next?)?;
    if time.is_none() {
        time = words.next().and_then(clock_time);
    }
    let zone = zone.or_else(|| words.next()).map_or(0, zone_offset);
    moment(days_of(y, m, d)?, time.unwrap_or(0), zone)
}

/// The day in a word like `05-Jan-26` or `2026-01-05T10:00:00Z`, and what follows it.
fn day_in_one_word(word: &[u8]) -> Option<(i64, &[u8])> {
    let mut parts = word.splitn(3, |b| matches!(b, b'-' | b'/'));
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    if first.len() < 4 {
        return Some((days_of(year(third)?, month(second)?, number(first)?)?, &[]));
    }
    let m = number(second).filter(|m| (1..=12).contains(m))?;
    let end = third.iter().position(|b| !b.is_ascii_digit()).unwrap_or(third.len());
    let (d, rest) = third.split_at_checked(end)?;
    let day = days_of(i64::from(number(first)?), m, number(d)?)?;
    Some((day, rest.strip_prefix(b"T").or_else(|| rest.strip_prefix(b"t")).unwrap_or(rest)))
}

/// The number of a day, which some languages write with a dot.
fn day_of_month(word: &[u8]) -> Option<u32> {
    number(word.strip_suffix(b".").unwrap_or(word))
}

/// A moment as it is written in a Date field, in UTC: `Sat, 01 Jan 2000 00:00:00 +0000`.
#[expect(clippy::indexing_slicing, reason = "`Civil::of` gives weekdays from 0 to 6")]
pub fn rfc5322(unix: i64) -> String {
    let c = Civil::of(unix);
    let weekday = WEEKDAYS[usize::from(c.weekday)];
    format!(
        "{weekday}, {:02} {} {:04} {:02}:{:02}:{:02} +0000",
        c.day,
        c.month_name(),
        c.year,
        c.hour,
        c.minute,
        c.second
    )
}

/// A moment in UTC for the name of a file: `20000101-000000`.
pub fn stamp(unix: i64) -> String {
    let c = Civil::of(unix);
    format!("{:04}{:02}{:02}-{:02}{:02}{:02}", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

/// A moment in UTC as in logs (RFC 3339): `2000-01-01T00:00:00Z`.
pub fn rfc3339(unix: i64) -> String {
    let c = Civil::of(unix);
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

/// Parses a `date-time` of RFC 3501 section 9 without its quotes: ` 1-Feb-2000 10:00:00 +0200`.
pub fn parse_internal(text: &str) -> Option<DateTime> {
    let (date, rest) = text.trim_start_matches(' ').split_once(' ')?;
    let (time, zone) = rest.split_once(' ')?;
    let zone = zone.as_bytes();
    let digits = zone.get(1..)?;
    if digits.len() != 4 || !matches!(zone.first()?, b'+' | b'-') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    moment(i64::from(parse_day(date)?), clock_time(time.as_bytes())?, zone_offset(zone))
}

/// Appends a moment as INTERNALDATE, in UTC and without the quotes.
pub fn write_internal(unix: i64, out: &mut Vec<u8>) {
    let c = Civil::of(unix);
    let two = |out: &mut Vec<u8>, n: u8| out.extend([b'0' + n / 10, b'0' + n % 10]);
    out.extend(if c.day < 10 { [b' ', b'0' + c.day] } else { [b'0' + c.day / 10, b'0' + c.day % 10] });
    out.push(b'-');
    out.extend(c.month_name().as_bytes());
    out.push(b'-');
    two(out, c.year.div_euclid(100) as u8);
    two(out, c.year.rem_euclid(100) as u8);
    for (before, n) in [(b' ', c.hour), (b':', c.minute), (b':', c.second)] {
        out.push(before);
        two(out, n);
    }
    out.extend(b" +0000");
}

/// Parses a `date-text` of RFC 3501 section 9, `1-Feb-2000`. Returns the day counted from 1970-01-01.
pub fn parse_day(text: &str) -> Option<i32> {
    let mut parts = text.split('-');
    let (d, m, y) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || m.len() != 3 || y.len() != 4 || !digits(d) || !digits(y) {
        return None;
    }
    let days = days_of(y.parse().ok()?, month(m.as_bytes())?, d.parse().ok()?)?;
    i32::try_from(days).ok()
}

fn moment(day: i64, seconds: i64, zone: i32) -> Option<DateTime> {
    Some(DateTime { unix: day * DAY + seconds - i64::from(zone), zone })
}

/// Iterates over the words of a date. Blanks, commas and nested comments separate them.
struct Words<'a>(&'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        let between = |b: u8| b.is_ascii_whitespace() || b == b',';
        let mut depth = 0usize;
        let start = self.0.iter().position(|&b| {
            match b {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                _ => return depth == 0 && !between(b),
            }
            false
        })?;
        let rest = self.0.get(start..)?;
        let end = rest.iter().position(|&b| between(b) || b == b'(').unwrap_or(rest.len());
        let (word, rest) = rest.split_at_checked(end)?;
        self.0 = rest;
        Some(word)
    }
}

fn number(word: &[u8]) -> Option<u32> {
    if word.is_empty() || word.len() > 4 {
        return None;
    }
    word.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
}

/// The month, 1 to 12. Its name may be abbreviated or not.
fn month(word: &[u8]) -> Option<u32> {
    let &[first, second, third] = word.first_chunk()?;
    let name = [first.to_ascii_uppercase(), second.to_ascii_lowercase(), third.to_ascii_lowercase()];
    let at = MONTHS.iter().position(|known| known.as_bytes().first_chunk() == Some(&name))?;
    u32::try_from(at + 1).ok()
}

/// The year. RFC 5322 section 4.3 defines years of two and three digits.
fn year(word: &[u8]) -> Option<i64> {
    let n = i64::from(number(word)?);
    Some(match (word.len(), n) {
        (1 | 2, 0..=49) => n + 2000,
        (1..=3, _) => n + 1900,
        _ => n,
    })
}

/// The time `hh:mm` or `hh:mm:ss` in seconds. A leap second counts as the second before it.
fn clock_time(word: &[u8]) -> Option<i64> {
    let mut parts = word.split(|&b| b == b':' || b == b'.');
    let (h, m) = (number(parts.next()?)?, number(parts.next()?)?);
    let s = parts.next().map_or(Some(0), number)?;
    (h < 24 && m < 60 && s <= 60).then(|| i64::from(h * 3600 + m * 60 + s.min(59)))
}

/// The zone in seconds ahead of UTC. Military zones and unknown names count as UTC (RFC 5322 section 4.3), and so
/// does a zone with more than 59 minutes (section 3.3, RFC 5256 section 2.2).
fn zone_offset(word: &[u8]) -> i32 {
    let hours = |name: &[u8]| {
        const NAMES: [(&[u8; 3], i32); 8] = [
            (b"EDT", -4),
            (b"EST", -5),
            (b"CDT", -5),
            (b"CST", -6),
            (b"MDT", -6),
            (b"MST", -7),
            (b"PDT", -7),
            (b"PST", -8),
        ];
        NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(*known)).map_or(0, |&(_, hours)| hours)
    };
    match word.split_first() {
        Some((sign @ (b'+' | b'-'), &[h, hh, b':', m, mm])) => zone_offset(&[*sign, h, hh, m, mm]),
        Some((sign @ (b'+' | b'-'), digits)) if digits.len() == 4 => {
            let hhmm = number(digits)
                .filter(|hhmm| hhmm % 100 < 60)
                .and_then(|n| i32::try_from(n).ok())
                .unwrap_or(0);
            let seconds = (hhmm / 100) * 3600 + (hhmm % 100) * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => hours(word) * 3600,
    }
}

/// Days from 1970-01-01 to this day; `None` when the day does not exist, or the year is not from 1 to 9999.
fn days_of(y: i64, m: u32, d: u32) -> Option<i64> {
    let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let last = match m {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=9999).contains(&y) || !(1..=last).contains(&d) {
        return None;
    }
    // In years that begin in March the leap day is the last day.
    let (m, d) = (i64::from(m), i64::from(d));
    let y = if m <= 2 { y - 1 } else { y };
    let day_of_year = (153 * ((m + 9) % 12) + 2) / 5 + d - 1;
    Some(365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + day_of_year - 719_468)
}

/// A moment in UTC, as a date and a time.
struct Civil {
    year: i64,
    month: u8,
    day: u8,
    weekday: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Civil {
    /// The date and time of a moment. Moments outside of the years 0 to 9999, which need more than four digits,
    /// become the nearest within.
    fn of(unix: i64) -> Civil {
        let unix = unix.clamp(-62_167_219_200, 253_402_300_799);
        let (days, seconds) = (unix.div_euclid(DAY), unix.rem_euclid(DAY));
        // The reverse of `days_of`, by eras of 400 years.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: month as u8,
            day: (day_of_year - (153 * from_march + 2) / 5 + 1) as u8,
            weekday: days.rem_euclid(7) as u8,
            hour: (seconds / 3600) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
        }
    }

    #[expect(clippy::indexing_slicing, reason = "`Civil::of` gives months from 1 to 12")]
    fn month_name(&self) -> &'static str {
        MONTHS[usize::from(self.month) - 1]
    }
}

#[cfg(test)]
mod tests;
