use super::*;

fn unix(text: &str) -> Option<i64> {
    parse_rfc5322(text.as_bytes()).map(|date| date.unix)
}

#[test]
fn date_fields_as_they_come() {
    let table: [(&str, Option<i64>); 42] = [
        ("Thu, 01 Jan 1970 00:00:00 +0000", Some(0)),
        ("Fri, 21 Nov 1997 09:55:06 -0600", Some(880_127_706)),
        ("21 Nov 97 09:55:06 GMT", Some(880_106_106)),
        ("Fri, 21 Nov 1997 09(comment):55:06 -0600", Some(880_070_400)),
        (
            "Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n -0330 (Newfoundland)",
            Some(-27_723_480),
        ),
        ("Tue, 29 Feb 2000 12:00:00 PST", Some(951_854_400)),
        ("29 Feb 2001 12:00:00 PST", None),
        ("Sat, 1 Jan 2000 0:00 Z", Some(946_684_800)),
        ("1 Jan 00 00:00:00 EDT", Some(946_699_200)),
        ("1 Jan 100 00:00:00", Some(946_684_800)),
        ("Wed Sep  9 01:46:40 2001", Some(1_000_000_000)),
        ("Sun Sep 9 01:46:40 2001 +0200", Some(999_992_800)),
        ("Sun, 9 September 2001 01:46:40 +0000", Some(1_000_000_000)),
        ("9 Sep 2001", Some(999_993_600)),
        ("9 Sep 2001 25:00:00 +0000", Some(999_993_600)),
        ("31 Dec 2016 23:59:60 +0000", Some(1_483_228_799)),
        ("Sun, 9 Sep 2001 01:46:40 Europe/Berlin", Some(1_000_000_000)),
        ("9 Sep 2001 01:46:40 +0099", Some(1_000_000_000)),
        ("9 Sep 2001 01:46:40 -9959", Some(1_000_359_940)),
        // What `date` prints.
        ("Sun Sep  9 01:46:40 MET 2001", Some(1_000_000_000)),
        ("Sun Sep  9 01:46:40 PDT 2001", Some(1_000_025_200)),
        ("Sun Sep  9 01:46:40 +0200 2001", Some(999_992_800)),
        ("Sun, Sep 9, 2001 01:46:40 +0200", Some(999_992_800)),
        ("Sun, Sep 9, 2001 at 1:46 AM", Some(999_993_600)),
        ("Sun., 9. Sep. 2001 01:46:40", Some(1_000_000_000)),
        // RFC 850.
        ("Sunday, 09-Sep-01 01:46:40 GMT", Some(1_000_000_000)),
        ("Sun, 9-Sep-2001 01:46:40 -0330", Some(1_000_012_600)),
        ("9-Sep-2001", Some(999_993_600)),
        ("9-Sep", None),
        ("9-9-2001", None),
        // RFC 3339.
        ("2001-09-09T01:46:40Z", Some(1_000_000_000)),
        ("2001-09-09t01:46:40.250+02:00", Some(999_992_800)),
        ("2001-09-09 01:46:40 +0200", Some(999_992_800)),
        ("2001/09/09 01:46", Some(1_000_000_000 - 40)),
        ("2001-09-09", Some(999_993_600)),
        ("2001-13-09 01:46:40", None),
        ("2001-09-31 01:46:40", None),
        ("2001-09-", None),
        ("9 Sep 2001 01:46:40 -03:30", Some(1_000_012_600)),
        ("(no date)", None),
        ("yesterday, at noon", None),
        ("", None),
    ];
    for (text, expected) in table {
        assert_eq!(unix(text), expected, "{text}");
    }
}

#[test]
fn the_day_is_the_writers() {
    let late = parse_rfc5322(b"Sat, 1 Jan 2000 23:30:00 -0500").unwrap();
    assert_eq!((late.day(), day_of(late.unix)), (10_957, 10_958));
    assert_eq!(Some(late.day()), parse_day("1-Jan-2000"));
}

#[test]
fn internal_dates_there_and_back() {
    for (text, expected) in [
        ("17-Jul-1996 02:44:25 -0700", Some("17-Jul-1996 09:44:25 +0000")),
        (" 1-Feb-2000 00:30:00 +0130", Some("31-Jan-2000 23:00:00 +0000")),
        ("01-Feb-2000 00:30:00 +0000", Some(" 1-Feb-2000 00:30:00 +0000")),
        ("29-Feb-2100 00:30:00 +0000", None),
        ("1-Feb-2000 00:30:00", None),
        ("1-Feb-2000 00:30:00 PST", None),
        ("1-Feb-2000 24:30:00 +0000", None),
    ] {
        let printed = parse_internal(text).map(|date| {
            let mut out = Vec::new();
            write_internal(date.unix, &mut out);
            String::from_utf8(out).unwrap()
        });
        assert_eq!(printed.as_deref(), expected, "{text}");
    }
}

#[test]
fn every_day_of_ten_thousand_years_has_its_name() {
    let mut previous = Civil::of(-62_167_219_200 - 1);
    for day in -719_162..2_932_897_i64 {
        let c = Civil::of(day * DAY);
        assert_eq!(days_of(c.year, u32::from(c.month), u32::from(c.day)), Some(day));
        assert!(c.day == previous.day + 1 || c.day == 1);
        previous = c;
    }
}

#[test]
fn moments_no_calendar_knows_are_written_as_the_nearest() {
    assert_eq!(rfc5322(i64::MAX), "Fri, 31 Dec 9999 23:59:59 +0000");
    assert_eq!(rfc5322(i64::MIN), "Sat, 01 Jan 0000 00:00:00 +0000");
    assert_eq!(rfc5322(1_000_000_000), "Sun, 09 Sep 2001 01:46:40 +0000");
}
