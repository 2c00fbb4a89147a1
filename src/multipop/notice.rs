//! What the users are told by mail about their sources.

use std::fmt::{self, Write};

use super::Error;
use super::content::Content;
use crate::config::{Config, Source};
use crate::message::compose::message_id;
use crate::message::date::rfc5322;
use crate::message::encoded_word;

/// Who writes to whom about which source.
#[derive(Debug, Clone)]
pub struct Letterhead {
    hostname: String,
    recipient: String,
    host: String,
    username: String,
}

impl Letterhead {
    /// To the user of `account` about `source`.
    pub fn new(config: &Config, account: &str, source: &Source) -> Letterhead {
        Letterhead {
            hostname: config.server.hostname.as_str().to_owned(),
            recipient: config.account(account).map_or_else(String::new, |a| a.address.as_str().to_owned()),
            host: source.host.as_str().to_owned(),
            username: source.username.as_str().to_owned(),
        }
    }

    /// The source fails time after time.
    pub fn failing(&self, failures: u32, error: &Error, now: i64) -> String {
        let subject = format!("Mail cannot be collected from {}", self.host);
        let body = format!(
            "Your mail at {} (user {}) could not be collected, {failures} times in a row.\n\
             \n\
             What went wrong: {error}.\n\
             What to do: {}\n\
             \n\
             It is tried again and again, and no mail is lost meanwhile: it stays with the\n\
             provider. As long as this lasts you get this message once a day.\n",
            self.host,
            self.username,
            error.advice(),
        );
        self.letter(&subject, &body, now)
    }

    /// The source waits for a new permission, which the operator asks for with this command.
    pub fn permission(&self, command: &str, error: &Error, now: i64) -> String {
        let subject = format!("Your mail at {} needs a new permission", self.host);
        let body = format!(
            "Your mail at {} (user {}) is not collected any more:\n\
             {error}.\n\
             \n\
             What to do: the operator types\n\
             \n\
             \x20   {command}\n\
             \n\
             in the console. It shows an address, which you open in any browser, where\n\
             you log in and agree. Then the mail comes again by itself.\n\
             \n\
             No mail is lost meanwhile: it stays with the provider.\n",
            self.host, self.username,
        );
        self.letter(&subject, &body, now)
    }

    /// Messages stay at the server since they are larger than the source's limit.
    pub fn too_large(&self, messages: &[Large], now: i64) -> String {
        let subject = match messages {
            [message] => format!("A message of {message} stays at {}", self.host),
            _ => format!("{} large messages stay at {}", messages.len(), self.host),
        };
        let mut body = format!(
            "In your mailbox at {} (user {}) there is mail that is larger than\n\
             the limit that is set for collecting it:\n\n",
            self.host, self.username,
        );
        for message in messages.iter().take(LISTED) {
            // Writing to a String cannot fail.
            let _ = writeln!(body, "  - a message of {message}");
        }
        if messages.len() > LISTED {
            let _ = writeln!(body, "  - and {} others", messages.len() - LISTED);
        }
        body.push_str(
            "\nIt stays there. Read it with the provider's own web page or program, or have\n\
             a larger max_size set for the source: then it is collected with the next poll.\n",
        );
        self.letter(&subject, &body, now)
    }

    /// A message cannot be had: polls have broken off at it again and again.
    pub fn stuck(&self, message: &Stuck, now: i64) -> String {
        let subject = format!("A message at {} cannot be collected", self.host);
        let body = format!(
            "In your mailbox at {} (user {}) there is a message that the server does\n\
             not hand over: each time the connection breaks off at it.\n\
             \n\
             {message}\
             \n\
             It stays there, and is tried again once a day. All others are collected as\n\
             before. Read it with the provider's own web page or program.\n",
            self.host, self.username,
        );
        self.letter(&subject, &body, now)
    }

    /// The message (RFC 5322), marked as nobody's own (RFC 3834) so that nobody's vacation answers it.
    fn letter(&self, subject: &str, body: &str, now: i64) -> String {
        let body = body.replace('\n', "\r\n");
        format!(
            "From: Pillarbox <postmaster@{host}>\r\n\
             To: <{to}>\r\n\
             Subject: {subject}\r\n\
             Date: {date}\r\n\
             Message-ID: {id}\r\n\
             Auto-Submitted: auto-generated\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\
             \r\n\
             {body}",
            host = self.hostname,
            to = self.recipient,
            date = rfc5322(now),
            id = message_id(&self.hostname),
        )
    }
}

/// A message that cannot be had, as far as anything is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    from: String,
    subject: String,
    octets: Option<u64>,
}

impl Stuck {
    /// Of which so much came, and which is listed with so many octets.
    pub fn new(content: &Content, octets: Option<u64>) -> Stuck {
        let (from, subject) = content.said();
        let readable = |value: &[u8]| {
            let text: String = encoded_word::decode(value).chars().filter(|c| !c.is_control()).collect();
            text.chars().take(SHOWN).collect()
        };
        Stuck { from: readable(from), subject: readable(subject), octets }
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |value: &'_ str| if value.is_empty() { "not known".to_owned() } else { value.to_owned() };
        writeln!(f, "  From:    {}", known(&self.from))?;
        writeln!(f, "  Subject: {}", known(&self.subject))?;
        match self.octets {
            Some(octets) => writeln!(f, "  Size:    {octets} octets"),
            None => writeln!(f, "  Size:    not known"),
        }
    }
}

/// Characters of a field that are shown.
const SHOWN: usize = 200;
/// Messages that are named one by one.
const LISTED: usize = 20;

/// A message that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Large {
    /// Octets that it is known to have.
    pub octets: u64,
    /// Whether it goes on behind them.
    pub goes_on: bool,
}

impl fmt::Display for Large {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.goes_on { "more than " } else { "" };
        write!(f, "{more}{}", mebibytes(self.octets))
    }
}

fn mebibytes(octets: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if octets < MIB { format!("{} KiB", octets / 1024) } else { format!("{} MiB", octets / MIB) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Account;
    use crate::outgoing;

    fn letterhead() -> Letterhead {
        let config = Config {
            accounts: vec![Account {
                name: "ann".try_into().unwrap(),
                address: "ann@home.example".try_into().unwrap(),
                ..Account::default()
            }],
            ..Config::default()
        };
        let source = Source {
            host: "pop.provider.example".try_into().unwrap(),
            username: "ann@provider.example".try_into().unwrap(),
            ..Source::default()
        };
        Letterhead::new(&config, "ann", &source)
    }

    #[test]
    fn a_failing_source_says_who_what_and_what_to_do() {
        let letter = letterhead().failing(5, &outgoing::Error::Login("[AUTH] no".to_owned()).into(), 0);
        for part in [
            "To: <ann@home.example>\r\n",
            "Subject: Mail cannot be collected from pop.provider.example\r\n",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n",
            "(user ann@provider.example) could not be collected, 5 times in a row.\r\n",
            "What went wrong: the login was refused: [AUTH] no.\r\n",
            "What to do: Check the user name and the password of the source.",
        ] {
            assert!(letter.contains(part), "{part:?} in {letter}");
        }
        assert!(letter.replace("\r\n", "").find(['\r', '\n']).is_none());
    }

    /// Catches: a user who is not told what to press.
    #[test]
    fn a_permission_that_has_ended_says_what_to_type() {
        let error = crate::oauth2::Error::Ended("revoked".to_owned()).into();
        let letter = letterhead().permission("oauth2 ann 1", &error, 0);
        for part in [
            "Subject: Your mail at pop.provider.example needs a new permission\r\n",
            "(user ann@provider.example) is not collected any more:\r\nthe permission has ended or was taken back: revoked.\r\n",
            "the operator types\r\n\r\n    oauth2 ann 1\r\n\r\nin the console.",
        ] {
            assert!(letter.contains(part), "{part:?} in {letter}");
        }
    }

    fn large(octets: u64, goes_on: bool) -> Large {
        Large { octets, goes_on }
    }

    #[test]
    fn one_letter_tells_of_all_large_messages() {
        let one = letterhead().too_large(&[large(31 << 20, false)], 0);
        assert!(one.contains("Subject: A message of 31 MiB stays at pop.provider.example\r\n"), "{one}");
        let endless = letterhead().too_large(&[large(200 << 20, true)], 0);
        assert!(endless.contains("Subject: A message of more than 200 MiB stays at pop."), "{endless}");
        let many = letterhead().too_large(&[large(2048, false); 30], 0);
        assert!(many.contains("Subject: 30 large messages stay at"), "{many}");
        assert!(many.contains("- a message of 2 KiB\r\n  - and 10 others\r\n"), "{many}");
    }
}
