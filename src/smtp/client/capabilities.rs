//! The extensions that a server offers.

use crate::smtp::Reply;

/// What the reply to EHLO offers (RFC 5321 section 4.1.1.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The server's name for itself; empty if it gives none.
    pub name: String,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// SMTPUTF8 (RFC 6531).
    pub utf8: bool,
    /// CHUNKING, which brings BDAT (RFC 3030).
    pub chunking: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// SIZE (RFC 1870): octets of the largest message, 0 for no limit; `None` if not offered.
    pub size: Option<u64>,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// LIMITS (RFC 9422): the most messages on a connection, where it tells.
    pub mail_max: Option<u32>,
    /// LIMITS: the most recipients of a message, where it tells.
    pub rcpt_max: Option<u32>,
    /// AUTH (RFC 4954): the names of the SASL mechanisms.
    pub mechanisms: Vec<String>,
}

impl Capabilities {
    /// The capabilities in a reply to EHLO.
    pub(super) fn of(reply: &Reply) -> Capabilities {
        let first = reply.lines.first().and_then(|line| line.split(' ').next()).unwrap_or_default();
        let mut found = Capabilities { name: name(first), ..Capabilities::default() };
        for line in reply.lines.iter().skip(1) {
            if let Some(limits) = keyword(line, "LIMITS") {
                (found.mail_max, found.rcpt_max) = (limit(limits, "MAILMAX"), limit(limits, "RCPTMAX"));
                continue;
            }
            // `AUTH=LOGIN` is how servers wrote it before RFC 2554.
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
            match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
                "PIPELINING" => found.pipelining = true,
                "8BITMIME" => found.eight_bit = true,
                "SMTPUTF8" => found.utf8 = true,
                "CHUNKING" => found.chunking = true,
                "DSN" => found.dsn = true,
                "STARTTLS" => found.starttls = true,
                "SIZE" => found.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
                "AUTH" => found.mechanisms.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        found
    }
}

/// What stands behind `word` in a line that begins with it.
fn keyword<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let (first, rest) = line.split_once(' ')?;
    first.eq_ignore_ascii_case(word).then_some(rest)
}

/// The value of the limit `name`; `None` for none and for nonsense such as 0 (RFC 9422 section 3).
fn limit(limits: &str, name: &str) -> Option<u32> {
    let mut found = limits.split(' ').filter_map(|limit| limit.split_once('='));
    let (_, value) = found.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    value.parse().ok().filter(|&value| value > 0)
}

/// `word` if it may be the name or the address of a host, otherwise an empty string.
fn name(word: &str) -> String {
    let fits = word.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._:[]".contains(&octet));
    if fits && word.len() <= 255 { word.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::reply::ReplyReader;

    fn offered(lines: &[&str]) -> Capabilities {
        let mut reader = ReplyReader::default();
        let last = lines.iter().filter_map(|line| reader.line(line.as_bytes()).unwrap()).last();
        Capabilities::of(&last.unwrap())
    }

    /// Catches: a keyword that is known in one case only, one in the greeting line that is taken for an offer, and an
    /// invalid name.
    #[test]
    fn what_the_reply_to_ehlo_tells() {
        let found = offered(&[
            "250-mx.example at your service, DSN",
            "250-Pipelining",
            "250-size 1000",
            "250-8bitMIME",
            "250-SMTPUTF8",
            "250-CHUNKING",
            "250-BINARYMIME",
            "250-limits RCPTMAX=100 X=Y mailmax=2",
            "250 AUTH PLAIN LOGIN",
        ]);
        let expected = Capabilities {
            name: "mx.example".into(),
            pipelining: true,
            eight_bit: true,
            utf8: true,
            chunking: true,
            dsn: false,
            size: Some(1000),
            starttls: false,
            mail_max: Some(2),
            rcpt_max: Some(100),
            mechanisms: vec!["PLAIN".into(), "LOGIN".into()],
        };
        assert_eq!(found, expected);
        assert!(offered(&["250-x", "250 DSN"]).dsn);
        for odd in ["LIMITS", "LIMITS RCPTMAX", "LIMITS RCPTMAX=0 MAILMAX=-1", "LIMITS RCPTMAX=99999999999"] {
            let found = offered(&["250-x", &format!("250 {odd}")]);
            assert_eq!((found.rcpt_max, found.mail_max), (None, None), "{odd}");
        }
        assert_eq!(offered(&["250 Hello, there!"]).name, "");
        assert_eq!(offered(&["250"]), Capabilities::default());
    }
}
