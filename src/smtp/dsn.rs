//! The parameters of a sender about delivery status notifications (RFC 3461 section 4).

use serde::{Deserialize, Serialize};

/// The NOTIFY parameter of RCPT (RFC 3461 section 4.1): in which cases the sender wants a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Notify {
    /// Not given: reports of failures and of delays.
    #[default]
    Unsaid,
    /// Never.
    Never,
    /// In these cases.
    When {
        /// The message was delivered, or handed to a server that sends no report of a success.
        success: bool,
        /// The message will not be delivered.
        failure: bool,
        /// The message waits for longer than usual.
        delay: bool,
    },
}

impl Notify {
    /// Joins the wishes for a recipient that is named twice.
    pub fn and(self, other: Notify) -> Notify {
        match (self, other) {
            (Notify::Unsaid, wish) | (wish, Notify::Unsaid) => wish,
            (Notify::Never, wish) | (wish, Notify::Never) => wish,
            (one, other) => Notify::When {
                success: one.success() || other.success(),
                failure: one.failure() || other.failure(),
                delay: one.delay() || other.delay(),
            },
        }
    }

    /// Whether a delivery is reported.
    pub fn success(self) -> bool {
        matches!(self, Notify::When { success: true, .. })
    }

    /// Whether a failure is reported.
    pub fn failure(self) -> bool {
        matches!(self, Notify::Unsaid | Notify::When { failure: true, .. })
    }

    /// Whether a delay is reported.
    pub fn delay(self) -> bool {
        matches!(self, Notify::Unsaid | Notify::When { delay: true, .. })
    }
}

/// The RET parameter of MAIL (RFC 3461 section 4.3): how much of the message a report of a failure encloses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ret {
    /// The whole message.
    Full,
    /// The header.
    Headers,
}

/// The DSN parameters of MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Request {
    /// The value of RET, if it was given.
    pub ret: Option<Ret>,
    /// The value of ENVID (RFC 3461 section 4.4) as it came, in xtext; empty if it was not given.
    pub envid: String,
}

/// Octets of the value of ENVID as it comes, at most (RFC 3461 section 4.4).
const MAX_ENVID: usize = 100;
/// Octets of the value of ORCPT as it comes, at most (RFC 3461 section 4.2).
const MAX_ORIGINAL: usize = 500;

/// Parses the value of NOTIFY (RFC 3461 section 4.1): `NEVER` alone, or a list of the other words, in any case.
/// `None` if it is malformed.
pub fn notify(value: &str) -> Option<Notify> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for event in value.split(',') {
        match event.to_ascii_uppercase().as_str() {
            "SUCCESS" => success = true,
            "FAILURE" => failure = true,
            "DELAY" => delay = true,
            _ => return None,
        }
    }
    Some(Notify::When { success, failure, delay })
}

/// Decodes xtext (RFC 3461 section 4): printable ASCII, in which `+`, `=` and all other octets are written as `+` and
/// two hexadecimal digits in capitals. `None` if it is malformed.
pub fn xtext(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        decoded.push(match octet {
            b'+' => hex(octets.next()?)? << 4 | hex(octets.next()?)?,
            b'=' => return None,
            b'!'..=b'~' => octet,
            _ => return None,
        });
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Whether a report can hold these octets (RFC 3461 sections 4.2 and 4.4). A line end in them would begin another
/// field of the report.
fn is_printable(octets: &[u8]) -> bool {
    octets.iter().all(|octet| matches!(octet, b' '..=b'~'))
}

/// Whether `value` is a valid value of ENVID.
pub fn is_envid(value: &str) -> bool {
    (1..=MAX_ENVID).contains(&value.len()) && xtext(value).is_some_and(|octets| is_printable(&octets))
}

/// Whether `value` is a valid value of ORCPT: an address type and an address; for the type `utf-8` with the address
/// of RFC 6533 section 3.
pub fn is_original(value: &str) -> bool {
    let Some((kind, address)) = value.split_once(';') else { return false };
    let is_atom = !kind.is_empty()
        && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*-/?^_`{|}~.".contains(&b));
    let is_address = match kind.eq_ignore_ascii_case("utf-8") {
        true => is_utf8_address(address),
        false => xtext(address).is_some_and(|octets| is_printable(&octets)),
    };
    is_atom && !address.is_empty() && value.len() <= MAX_ORIGINAL && is_address
}

/// Whether an address is valid for the type `utf-8` (RFC 6533 section 3): characters above ASCII are themselves or
/// `\x{HEX}`. Some clients write the backslash and the brackets as xtext.
fn is_utf8_address(address: &str) -> bool {
    let ascii: String = address.chars().filter(char::is_ascii).collect();
    let decoded =
        xtext(&ascii).filter(|octets| is_printable(octets)).and_then(|octets| String::from_utf8(octets).ok());
    let Some(text) = decoded else { return false };
    text.split('\\').skip(1).all(is_escaped_character) && !address.chars().any(char::is_control)
}

/// Whether the text after a backslash begins with `x{HEX}`.
fn is_escaped_character(text: &str) -> bool {
    let code = text.strip_prefix("x{").and_then(|rest| rest.split_once('}')).map_or("", |(code, _)| code);
    let digits = code.bytes().all(|b| b.is_ascii_hexdigit());
    let character = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
    digits && character.is_some_and(|c| !c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a sender without NOTIFY who is not told of a failure, or is told of each delivery.
    #[test]
    fn who_says_nothing_hears_of_failures_and_delays() {
        let told = |notify: Notify| (notify.success(), notify.failure(), notify.delay());
        assert_eq!(told(Notify::Unsaid), (false, true, true));
        assert_eq!(told(Notify::Never), (false, false, false));
        let success = Notify::When { success: true, failure: false, delay: false };
        assert_eq!(told(success), (true, false, false));
    }

    /// Catches: words that are known in one case only, NEVER beside another word, and values that a report cannot
    /// hold.
    #[test]
    fn values() {
        let when = |success, failure, delay| Some(Notify::When { success, failure, delay });
        for (value, parsed) in [
            ("NEVER", Some(Notify::Never)),
            ("never", Some(Notify::Never)),
            ("SUCCESS", when(true, false, false)),
            ("Failure,dElAy", when(false, true, true)),
            ("SUCCESS,FAILURE,DELAY", when(true, true, true)),
            ("NEVER,SUCCESS", None),
            ("SUCCESS,NEVER", None),
            ("SUCCESS,", None),
            (",DELAY", None),
            ("SOMETIMES", None),
            ("", None),
        ] {
            assert_eq!(notify(value), parsed, "{value}");
        }
        let long = |n| "x".repeat(n);
        for (value, good) in [
            ("QQ314159", true),
            ("a+2Bb+3Dc+20d", true),
            (&long(100), true),
            (&long(101), false),
            ("", false),
            ("a+2bc", false),
            ("a+2", false),
            ("a+", false),
            ("a=b", false),
            ("a+0D+0ABcc:", false),
            ("a+FF", false),
            ("jürgen", false),
        ] {
            assert_eq!(is_envid(value), good, "{value}");
        }
    }

    #[test]
    fn original_recipients() {
        let long = |n: usize| format!("rfc822;{}", "x".repeat(n - 7));
        for (value, good) in [
            ("rfc822;bob@home.example", true),
            ("RFC822;bob+2Btag@home.example", true),
            ("x400;/S=bob", false),
            ("x400;/S+3Dbob", true),
            (&long(500), true),
            (&long(501), false),
            ("rfc822;", false),
            (";bob@home.example", false),
            ("rfc822", false),
            ("rfc 822;bob", false),
            ("rfc822;bob+0Atom", false),
            ("rfc822;jürgen@home.example", false),
            ("utf-8;jürgen@home.example", true),
            ("UTF-8;j\\x{FC}rgen@home.example", true),
            ("utf-8;j+5Cx+7BFC+7Drgen@home.example", true),
            ("utf-8;j\\x{A}rgen@home.example", false),
            ("utf-8;j\\x{110000}rgen@home.example", false),
            ("utf-8;j\\x{}rgen@home.example", false),
            ("utf-8;j\\rgen@home.example", false),
            ("utf-8;j\\x{FCrgen@home.example", false),
            ("utf-8;j\u{85}rgen@home.example", false),
        ] {
            assert_eq!(is_original(value), good, "{value}");
        }
    }

    #[test]
    fn a_recipient_that_is_named_twice_asks_for_both() {
        let when = |success, failure, delay| Notify::When { success, failure, delay };
        assert_eq!(Notify::Never.and(when(true, false, false)), when(true, false, false));
        assert_eq!(Notify::Unsaid.and(Notify::Never), Notify::Never);
        assert_eq!(when(true, false, false).and(when(false, false, true)), when(true, false, true));
    }
}
