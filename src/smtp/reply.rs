//! Replies (RFC 5321 section 4.2) with enhanced status codes (RFC 2034, RFC 3463): written by the
//! server, read by the client.

use std::borrow::Cow;
use std::fmt;

/// Lines of a reply from another server, at most.
const MAX_LINES: usize = 128;
/// Octets that are kept of each line of a reply from another server.
const MAX_TEXT: usize = 512;

/// An enhanced status code: `class.subject.detail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnhancedStatus {
    /// 2, 4 or 5, as the first digit of the reply code.
    pub class: u8,
    /// The subject (RFC 3463 section 3).
    pub subject: u16,
    /// The detail (RFC 3463 section 3).
    pub detail: u16,
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl EnhancedStatus {
    /// The enhanced status at the beginning of `text`, if it has this `class`, and the rest.
    fn split(text: &str, class: u8) -> Option<(EnhancedStatus, &str)> {
        let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut numbers = code.splitn(3, '.');
        let mut next = |limit: u16| -> Option<u16> {
            let digits = numbers.next().filter(|n| n.bytes().all(|b| b.is_ascii_digit()))?;
            digits.parse().ok().filter(|&n| n <= limit)
        };
        let (found, subject, detail) = (next(5)?, next(999)?, next(999)?);
        (found == u16::from(class)).then_some((EnhancedStatus { class, subject, detail }, rest))
    }
}

/// A reply to a command.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The code: three digits, 200 to 599.
    pub code: u16,
    /// The enhanced status; absent in greetings, replies to EHLO and intermediate replies (RFC 2034 section 4).
    pub status: Option<EnhancedStatus>,
    /// The text, at least one line.
    pub lines: Vec<Cow<'static, str>>,
    /// Whether it came from another server, and is not our own verdict in the form of a reply: only then a report
    /// quotes it as a reply (RFC 3464 section 2.3.6). Comparisons ignore it.
    pub heard: bool,
}

impl PartialEq for Reply {
    fn eq(&self, other: &Reply) -> bool {
        (self.code, self.status, &self.lines) == (other.code, other.status, &other.lines)
    }
}

impl Eq for Reply {}

impl Reply {
    /// A reply with the enhanced status `code/100.subject.detail`.
    pub fn new(code: u16, (subject, detail): (u16, u16), text: impl Into<Cow<'static, str>>) -> Reply {
        let class = if code < 400 { 2 } else { (code / 100) as u8 };
        let status = Some(EnhancedStatus { class, subject, detail });
        Reply { code, status, lines: vec![text.into()], heard: false }
    }

    /// A reply without an enhanced status.
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { code, status: None, lines: vec![text.into()], heard: false }
    }

    /// Whether it is 2yz: done.
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// Whether it is 3yz: go on.
    pub fn is_intermediate(&self) -> bool {
        (300..400).contains(&self.code)
    }

    /// Whether it is 5yz: another try would not help.
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// The octets of the reply.
    pub fn to_octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(80 * self.lines.len());
        for (i, line) in self.lines.iter().enumerate() {
            let last = i + 1 == self.lines.len();
            octets.extend_from_slice(format!("{}{}", self.code, if last { ' ' } else { '-' }).as_bytes());
            if let Some(status) = self.status {
                octets.extend_from_slice(format!("{status} ").as_bytes());
            }
            octets.extend_from_slice(line.as_bytes());
            octets.extend_from_slice(b"\r\n");
        }
        octets
    }
}

/// Writes the reply on one line, for logs and notes.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        self.lines.iter().filter(|line| !line.is_empty()).try_for_each(|line| write!(f, " {line}"))
    }
}

/// The other end does not speak SMTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other end does not answer as an SMTP server does")]
pub struct NotSmtp;

/// Joins the lines of a reply.
#[derive(Debug, Default)]
pub struct ReplyReader {
    reply: Option<Reply>,
}

impl ReplyReader {
    /// Takes the next line without its line end. Returns the reply when it is complete.
    ///
    /// # Errors
    /// A line without a code, a code that changes from line to line (RFC 5321 section 4.2.1), or far too many lines.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, NotSmtp> {
        let (digits, rest) = line.split_at_checked(3).unwrap_or((line, b""));
        let code = match digits {
            [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
            }
            _ => return Err(NotSmtp),
        };
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(NotSmtp),
        };
        let text = printable(text);
        let class = (code / 100) as u8;
        let split = EnhancedStatus::split(&text, class);
        let status = split.map(|(status, _)| status);
        let text = split.map_or(text.as_str(), |(_, rest)| rest).to_owned();

        let reply = self.reply.get_or_insert_with(|| Reply { code, status, lines: Vec::new(), heard: true });
        if reply.code != code || reply.lines.len() == MAX_LINES {
            return Err(NotSmtp);
        }
        reply.lines.push(text.into());
        Ok(if last { self.reply.take() } else { None })
    }
}

/// The text of another server, fit for logs and bounces.
fn printable(text: &[u8]) -> String {
    let text = text.get(..MAX_TEXT).unwrap_or(text);
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Option<Reply>, NotSmtp> {
        let mut reader = ReplyReader::default();
        let mut last = Ok(None);
        for line in lines {
            assert_eq!(last, Ok(None), "more lines after the end");
            last = reader.line(line.as_bytes());
            if last.is_err() {
                break;
            }
        }
        last
    }

    #[test]
    fn written_and_read_again() {
        let mut reply = Reply::new(550, (1, 1), "No such mailbox here");
        assert_eq!(reply.to_octets(), b"550 5.1.1 No such mailbox here\r\n");
        assert_eq!(read(&["550 5.1.1 No such mailbox here"]), Ok(Some(reply.clone())));

        reply.lines.push("Ask the postmaster".into());
        assert_eq!(reply.to_octets(), b"550-5.1.1 No such mailbox here\r\n550 5.1.1 Ask the postmaster\r\n");
        assert_eq!(
            read(&["550-5.1.1 No such mailbox here", "550 5.1.1 Ask the postmaster"]),
            Ok(Some(reply.clone()))
        );
        assert_eq!(reply.to_string(), "550 5.1.1 No such mailbox here Ask the postmaster");
    }

    #[test]
    fn replies_of_all_kinds_of_servers() {
        for (lines, code, status, text) in [
            (&["250"][..], 250, None, ""),
            (&["250 "], 250, None, ""),
            (&["250 2.0.0"], 250, Some("2.0.0"), ""),
            (&["354 End data with a dot"], 354, None, "End data with a dot"),
            (&["550 4.1.1 class and code differ"], 550, None, "4.1.1 class and code differ"),
            (&["550 5.1.1.1 no"], 550, None, "5.1.1.1 no"),
            (&["451 4.7.\u{7f}1 \u{1b}[31mred"], 451, Some("4.7.1"), "[31mred"),
        ] {
            let reply = read(lines).unwrap().unwrap();
            assert_eq!((reply.code, reply.status.map(|s| s.to_string()).as_deref()), (code, status));
            assert_eq!(reply.lines.join("\n"), text);
        }
    }

    #[test]
    fn what_is_not_smtp() {
        for lines in [
            &[""][..],
            &["25"],
            &["+OK POP3"],
            &["* OK IMAP"],
            &["150 no such class"],
            &["250_"],
            &["HTTP/1.1 400 Bad Request"],
            &["250-one", "251 two"],
        ] {
            assert_eq!(read(lines), Err(NotSmtp), "{lines:?}");
        }
        let mut reader = ReplyReader::default();
        assert!((0..=MAX_LINES).any(|_| reader.line(b"250-again") == Err(NotSmtp)), "endless replies end");
    }
}
