//! The machine-readable part of a report (RFC 3464 section 2).

use std::net::IpAddr;

use super::super::entry::{Attempt, Progress, Recipient};
use super::{Action, Report, wrapped};
use crate::message::date;

/// Whether an address in the fields of this recipient has characters above ASCII.
pub(super) fn needs_utf8(recipient: &Recipient) -> bool {
    !recipient.mailbox.as_str().is_ascii()
        || !original(recipient).is_none_or(|(_, address)| address.is_ascii())
}

/// All fields. With `utf8` they may have characters above ASCII.
pub(super) fn body(report: &Report<'_>, utf8: bool) -> String {
    let entry = report.entry;
    let mut fields = String::new();
    let envid = one_line(&xtext(&entry.dsn.envid), utf8);
    if !envid.is_empty() {
        fields += &wrapped(&envid, "Original-Envelope-Id: ", " ");
    }
    fields += &format!("Reporting-MTA: dns; {}\r\n", report.letter.hostname);
    fields += &format!("Arrival-Date: {}\r\n", date::rfc5322(entry.created));
    for (action, recipient) in report.actions() {
        fields += "\r\n";
        fields += &of_recipient(action, recipient, report, utf8);
    }
    fields
}

/// The fields of a recipient, in the order of the grammar (RFC 3464 section 2.3).
fn of_recipient(action: Action, recipient: &Recipient, report: &Report<'_>, utf8: bool) -> String {
    let mut fields = String::new();
    if let Some((kind, address)) = original(recipient) {
        fields += &format!("Original-Recipient: {kind}; {}\r\n", one_line(&address, utf8));
    }
    let mailbox = recipient.mailbox.as_str();
    let kind = if mailbox.is_ascii() { "rfc822" } else { "utf-8" };
    fields += &format!("Final-Recipient: {kind}; {}\r\n", one_line(mailbox, utf8));
    fields += &format!("Action: {}\r\nStatus: {}\r\n", action.name(), status(recipient));
    if let Some(attempt) = attempt(recipient) {
        if !attempt.remote.is_empty() {
            fields += &format!("Remote-MTA: dns; {}\r\n", one_line(&host(&attempt.remote), utf8));
        }
        if attempt.is_reply {
            fields += &diagnostic(&attempt.text, utf8);
        }
        if attempt.at != 0 {
            fields += &format!("Last-Attempt-Date: {}\r\n", date::rfc5322(attempt.at));
        }
    }
    // If the clock was set meanwhile, the end of the attempts is not known.
    if action == Action::Delayed && report.until > report.letter.date {
        fields += &format!("Will-Retry-Until: {}\r\n", date::rfc5322(report.until));
    }
    fields
}

/// The latest attempt for a recipient.
pub(super) fn attempt(recipient: &Recipient) -> Option<&Attempt> {
    match &recipient.progress {
        Progress::Pending { latest, .. } => latest.as_ref(),
        Progress::Failed { latest, .. } | Progress::Arrived { latest, .. } => Some(latest),
        Progress::Done | Progress::Reported => None,
    }
}

/// The status of a recipient: always an enhanced status code (RFC 3463).
pub(super) fn status(recipient: &Recipient) -> String {
    let (class, text) = match &recipient.progress {
        Progress::Failed { status, .. } => return status.clone(),
        Progress::Arrived { latest, .. } => ('2', latest.text.as_str()),
        Progress::Pending { latest: Some(latest), .. } => ('4', latest.text.as_str()),
        Progress::Pending { latest: None, .. } | Progress::Done | Progress::Reported => ('4', ""),
    };
    let said = text.split([' ', '\n']).nth(1).filter(|code| is_status(code) && code.starts_with(class));
    said.map_or_else(|| format!("{class}.0.0"), str::to_owned)
}

/// The `Diagnostic-Code` for a reply as it came: each line with its code, and all lines but the first begin with a
/// blank (RFC 3464 section 2.3.6, RFC 3461 section 9.2).
fn diagnostic(text: &str, utf8: bool) -> String {
    let (code, first) = text.split_once(' ').unwrap_or((text, ""));
    let status = first.split([' ', '\n']).next().filter(|word| is_status(word));
    let lines: Vec<&str> = first.split('\n').collect();
    let mut field = String::new();
    for (n, line) in lines.iter().enumerate() {
        let blank = if n + 1 == lines.len() { ' ' } else { '-' };
        let status = status.filter(|_| n > 0).map_or(String::new(), |status| format!("{status} "));
        let line = one_line(&format!("{code}{blank}{status}{line}"), utf8);
        field += &wrapped(line.trim_end(), if n == 0 { "Diagnostic-Code: smtp; " } else { " " }, " ");
    }
    field
}

fn is_status(word: &str) -> bool {
    let mut numbers = word.split('.');
    let mut number = |longest| {
        numbers.next().is_some_and(|n| {
            !n.is_empty() && n.len() <= longest && n.bytes().all(|octet| octet.is_ascii_digit())
        })
    };
    number(1) && number(3) && number(3) && numbers.next().is_none()
}

/// A host name, or an address as a literal (RFC 5321 section 4.1.3).
fn host(name: &str) -> String {
    match name.parse() {
        Ok(IpAddr::V4(address)) => format!("[{address}]"),
        Ok(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        Err(_) => name.to_owned(),
    }
}

/// The address type and the address of ORCPT; `None` where ORCPT is missing or malformed (RFC 3461 section 4.2).
fn original(recipient: &Recipient) -> Option<(String, String)> {
    let (kind, address) = recipient.original.split_once(';')?;
    let is_atom =
        !kind.is_empty() && kind.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    let decoded = match kind.eq_ignore_ascii_case("utf-8") {
        true => unitext(&xtext(address)),
        false => xtext(address),
    };
    let decoded = decoded.trim();
    (is_atom && !decoded.is_empty()).then(|| (kind.to_ascii_lowercase(), decoded.to_owned()))
}

/// Decodes xtext: `+` and two hexadecimal digits are an octet (RFC 3461 section 4). Malformed parts stay as they are.
fn xtext(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|_| *first == b'+');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        // `from_str_radix` would also take a sign.
        let digits = digits.filter(|digits| digits.bytes().all(|octet| octet.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(octet) => {
                octets.push(octet);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                octets.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// Decodes `\x{…}` to a character (RFC 6533 section 3).
fn unitext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x{") {
        out += before;
        let character = after.split_once('}').and_then(|(digits, after)| {
            let plain = digits.len() <= 6 && digits.bytes().all(|octet| octet.is_ascii_hexdigit());
            let number = u32::from_str_radix(digits, 16).ok().filter(|_| plain)?;
            Some((char::from_u32(number)?, after))
        });
        match character {
            Some((character, after)) => {
                out.push(character);
                rest = after;
            }
            None => {
                out += "\\x{";
                rest = after;
            }
        }
    }
    out + rest
}

/// The text without line ends and other control characters, and in ASCII unless `utf8` (RFC 3464 section 2.1).
fn one_line(text: &str, utf8: bool) -> String {
    text.chars()
        .map(|c| {
            if c == ' ' || c.is_ascii_graphic() || (utf8 && !c.is_ascii() && !c.is_control()) {
                c
            } else {
                '?'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a reply of several lines that ends the field early, one that has the code in its first line only, and
    /// a line longer than mail may have.
    #[test]
    fn a_diagnostic_is_the_reply_line_for_line() {
        for (text, field) in [
            ("550 5.1.1 Unknown", "Diagnostic-Code: smtp; 550 5.1.1 Unknown\r\n"),
            ("550", "Diagnostic-Code: smtp; 550\r\n"),
            ("550 no\nnot here", "Diagnostic-Code: smtp; 550-no\r\n 550 not here\r\n"),
            (
                "550 5.7.1 no\nsee\nthere",
                "Diagnostic-Code: smtp; 550-5.7.1 no\r\n 550-5.7.1 see\r\n 550 5.7.1 there\r\n",
            ),
            ("550 5.1.1 gr\u{fc}n\u{7}", "Diagnostic-Code: smtp; 550 5.1.1 gr?n?\r\n"),
        ] {
            assert_eq!(diagnostic(text, false), field);
        }
        assert!(diagnostic("550 5.1.1 gr\u{fc}n\u{7}", true).contains(" gr\u{fc}n?\r\n"));
        let long =
            format!("550 5.1.1 {} {}\n{}", "word ".repeat(60), "x".repeat(3000), "\u{fc}".repeat(1000));
        for line in diagnostic(&long, true).split_terminator("\r\n").skip(1) {
            assert!(line.len() <= 998 && line.starts_with(' ') && line.len() > 1, "{line}");
        }
        assert!(diagnostic(&long, true).split_terminator("\r\n").next().unwrap().len() <= 78);
    }

    #[test]
    fn xtext_is_decoded() {
        for (coded, plain) in [
            ("", ""),
            ("a+2Bb", "a+b"),
            ("a+2bb+3D", "a+b="),
            ("+C3+BC", "\u{fc}"),
            ("+", "+"),
            ("+2", "+2"),
            ("++2B", "++"),
            ("+-1", "+-1"),
            ("+FF", "\u{fffd}"),
        ] {
            assert_eq!(xtext(coded), plain, "{coded}");
        }
        for (coded, plain) in [
            (r"\x{FC}@x", "\u{fc}@x"),
            (r"a\x{1F600}b", "a\u{1f600}b"),
            (r"\x{D800}", r"\x{D800}"),
            (r"\x{", r"\x{"),
            (r"\x{+1}", r"\x{+1}"),
        ] {
            assert_eq!(unitext(coded), plain, "{coded}");
        }
    }

    /// Catches: an ORCPT that adds a field of its own, and one without an address type that is reported as if it had
    /// one.
    #[test]
    fn an_original_recipient_is_told_as_it_was_said() {
        let told = |text: &str| {
            let mailbox = crate::smtp::Mailbox::parse("a@b.c").unwrap();
            let to = crate::smtp::Recipient { original: text.to_owned(), ..mailbox.into() };
            let recipient = Recipient::new(to, 0);
            original(&recipient).map(|(kind, address)| format!("{kind}; {}", one_line(&address, true)))
        };
        for (orcpt, field) in [
            ("rfc822;a+2Bb@x.example", Some("rfc822; a+b@x.example")),
            ("RFC822;a@x.example", Some("rfc822; a@x.example")),
            (r"utf-8;\x{FC}@x.example", Some("utf-8; \u{fc}@x.example")),
            ("rfc822;a+0D+0ABcc:+20b", Some("rfc822; a??Bcc: b")),
            ("a@x.example", None),
            ("rfc822;", None),
            ("rf c;a", None),
            ("", None),
        ] {
            assert_eq!(told(orcpt).as_deref(), field, "{orcpt}");
        }
    }

    #[test]
    fn hosts_are_names_or_literals() {
        assert_eq!(host("mx.example"), "mx.example");
        assert_eq!(host("192.0.2.1"), "[192.0.2.1]");
        assert_eq!(host("2001:db8::1"), "[IPv6:2001:db8::1]");
    }
}
