//! Status lines and capabilities of a POP3 server (RFC 1939 section 3, RFC 2449, RFC 5034).

use std::time::Duration;

use crate::multipop::refusal::Refusal;
use crate::sasl::client::Mechanism;

/// Octets of a line that are kept; what a server sends beyond them is of no use.
pub const LINE_LIMIT: usize = 8192;

/// A status line, or a SASL challenge.
#[derive(Debug, PartialEq, Eq)]
pub enum Status {
    /// `+OK`, and the text after it.
    Ok(String),
    /// `-ERR`.
    Refused(Refusal),
    /// `+`, and a SASL challenge (RFC 5034 section 4).
    Challenge(String),
}

impl Status {
    /// Parses a status line. `None` for a line that is not POP3.
    pub fn parse(line: &[u8]) -> Option<Status> {
        let line = String::from_utf8_lossy(line);
        let rest = |prefix: &str| {
            let head = line.get(..prefix.len())?;
            head.eq_ignore_ascii_case(prefix).then(|| line.get(prefix.len()..).unwrap_or_default().trim())
        };
        if let Some(text) = rest("+OK") {
            return Some(Status::Ok(text.to_owned()));
        }
        if let Some(text) = rest("-ERR") {
            return Some(Status::Refused(Refusal::parse(text)));
        }
        rest("+").map(|challenge| Status::Challenge(challenge.to_owned()))
    }
}

/// The capabilities of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether the server knows CAPA; if not, the other fields say nothing.
    pub known: bool,
    /// STLS (RFC 2595 section 4).
    pub stls: bool,
    /// USER and PASS.
    pub user: bool,
    /// Whether commands may be sent before the replies to earlier ones (RFC 2449 section 6.6).
    pub pipelining: bool,
    /// The SASL mechanisms (RFC 5034 section 3) that Pillarbox knows, too.
    pub sasl: Vec<Mechanism>,
    /// The least time between two logins (RFC 2449 section 6.5).
    pub login_delay: Duration,
}

impl Capabilities {
    /// Takes in a line of the response to CAPA.
    pub fn add(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).to_ascii_uppercase();
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("STLS") => self.stls = true,
            Some("USER") => self.user = true,
            Some("PIPELINING") => self.pipelining = true,
            Some("LOGIN-DELAY") => {
                let seconds = words.next().and_then(|seconds| seconds.parse().ok());
                self.login_delay = Duration::from_secs(seconds.unwrap_or(0));
            }
            Some("SASL") => self.sasl = words.filter_map(Mechanism::named).collect(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, text: &str) -> Option<Status> {
        Some(Status::Refused(Refusal { code: code.to_owned(), text: text.to_owned() }))
    }

    #[test]
    fn status_lines() {
        for (line, status) in [
            ("+OK", Some(Status::Ok(String::new()))),
            ("+OK ready <1@x>", Some(Status::Ok("ready <1@x>".to_owned()))),
            ("+ok", Some(Status::Ok(String::new()))),
            ("+ ", Some(Status::Challenge(String::new()))),
            ("+", Some(Status::Challenge(String::new()))),
            ("+ dj0x", Some(Status::Challenge("dj0x".to_owned()))),
            ("-ERR", refused("", "")),
            ("-err no", refused("", "no")),
            ("-ERR [in-use] busy\u{7}", refused("IN-USE", "busy")),
            ("-ERR [broken", refused("", "[broken")),
            ("220 smtp.example ESMTP", None),
            ("* OK IMAP4rev1", None),
            ("", None),
        ] {
            assert_eq!(Status::parse(line.as_bytes()), status, "{line:?}");
        }
        assert_eq!(Status::parse(b"-ERR \xff"), refused("", "\u{fffd}"));
    }

    #[test]
    fn capabilities_are_read_in_any_case_and_unknown_ones_passed_over() {
        let mut capabilities = Capabilities::default();
        for line in
            ["TOP", "stls", "SASL LOGIN plain X-NEW SCRAM-SHA-256", "PIPELINING", "", "LOGIN-DELAY 900 USER"]
        {
            capabilities.add(line.as_bytes());
        }
        assert_eq!(
            capabilities,
            Capabilities {
                known: false,
                stls: true,
                user: false,
                pipelining: true,
                sasl: vec![Mechanism::Login, Mechanism::Plain, Mechanism::ScramSha256],
                login_delay: Duration::from_secs(900),
            }
        );
    }
}
