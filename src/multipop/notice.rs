//! Letters to the users about their sources.

use std::fmt::{self, Write};

use super::Error;
use super::content::Content;
use crate::config::{Config, Source};
use crate::message::compose::message_id;
use crate::message::date::rfc5322;
use crate::message::encoded_word;
use crate::outgoing::rhythm::how_often;

/// The sender, the recipient and the source of letters.
#[derive(Debug, Clone)]
pub struct Letterhead {
    hostname: String,
    recipient: String,
    host: String,
    username: String,
}

impl Letterhead {
    /// The letterhead for letters to the user of `account` about `source`.
    pub fn new(config: &Config, account: &str, source: &Source) -> Letterhead {
        Letterhead {
            hostname: config.server.hostname.as_str().to_owned(),
            recipient: config.account(account).map_or_else(String::new, |a| a.address.as_str().to_owned()),
            host: source.host.as_str().to_owned(),
            username: source.username.as_str().to_owned(),
        }
    }

    /// The letter about a source that failed `failures` times in a row; it is letter number `count` about that.
    pub fn failing(&self, failures: u32, error: &Error, count: u32, now: i64) -> String {
        let subject = format!("Mail cannot be collected from {}", self.host);
        // After a restart the series goes on, but the failures before it were not kept.
        let times = if failures > 1 { format!("{failures} times in a row") } else { "again".to_owned() };
        let body = [
            wrapped(&format!(
                "Your mail at {} (user {}) could not be collected, {times}.",
                self.host, self.username
            )),
            Letterhead::trouble(error),
            wrapped(&format!(
                "It is tried again and again, and no mail is lost meanwhile: it stays with the provider. As long as this \
                 lasts you get this message {}.",
                how_often(count)
            )),
        ];
        self.letter(&subject, &body.join("\n"), now)
    }

    /// The letter about a source of which `troubled` messages cannot be collected, poll after poll; it is letter
    /// number `count` about that.
    pub fn partly(&self, troubled: u32, error: &Error, count: u32, now: i64) -> String {
        if error.is_of_deletions() {
            return self.undeleted(error, count, now);
        }
        let what = if error.is_of_a_folder() { "a folder".to_owned() } else { messages(troubled) };
        let subject = match troubled {
            _ if error.is_of_a_folder() => format!("A folder at {} cannot be collected", self.host),
            0 | 1 => format!("A message at {} cannot be collected", self.host),
            _ => format!("{what} at {} cannot be collected", self.host),
        };
        let body = [
            wrapped(&format!(
                "Your mail at {} (user {}) is collected as usual, but {what} cannot be had.",
                self.host, self.username
            )),
            Letterhead::trouble(error),
            wrapped(&format!(
                "It is tried again, and all others come meanwhile. As long as this lasts you get this message {}.",
                how_often(count)
            )),
        ];
        self.letter(&subject, &body.join("\n"), now)
    }

    /// The letter about a server that does not delete what was collected.
    fn undeleted(&self, error: &Error, count: u32, now: i64) -> String {
        let subject = format!("Collected mail is not deleted at {}", self.host);
        let body = [
            wrapped(&format!(
                "Your mail at {} (user {}) is collected as usual, but the server does not delete it there afterwards.",
                self.host, self.username
            )),
            Letterhead::trouble(error),
            wrapped(&format!(
                "It is tried again. As long as this lasts you get this message {}.",
                how_often(count)
            )),
        ];
        self.letter(&subject, &body.join("\n"), now)
    }

    fn trouble(error: &Error) -> String {
        let wrong = wrapped(&format!("What went wrong: {}", error.sentence()));
        wrong + &wrapped(&format!("What to do: {}", error.advice()))
    }

    /// The letter about a source that waits for a new permission. The operator types `command` to set it up.
    pub fn permission(&self, command: &str, error: &Error, now: i64) -> String {
        let subject = format!("Your mail at {} needs a new permission", self.host);
        let body = format!(
            "Your mail at {} (user {}) is not collected any more:\n\
             {}\n\
             \n\
             What to do: the operator types\n\
             \n\
             \x20   {command}\n\
             \n\
             in the console. It shows an address, which you open in any browser, where\n\
             you log in and agree. Then the mail comes again by itself.\n\
             \n\
             No mail is lost meanwhile: it stays with the provider.\n",
            self.host,
            self.username,
            error.sentence(),
        );
        self.letter(&subject, &body, now)
    }

    /// The letter about messages that are larger than the source's limit, and stay at the server or were deleted
    /// there.
    pub fn too_large(&self, messages: &[&Large], is_deleted: bool, now: i64) -> String {
        let subject = match messages {
            [message] if is_deleted => format!("A message of {message} was deleted at {}", self.host),
            _ if is_deleted => format!("{} large messages were deleted at {}", messages.len(), self.host),
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
            if let Some(said) = &message.said {
                let _ = write!(body, "{said}");
            }
        }
        if messages.len() > LISTED {
            let _ = writeln!(body, "  - and {} others", messages.len() - LISTED);
        }
        body.push_str(if is_deleted {
            "\nAs the source is set (large = \"delete\"), it is deleted there. Ask the sender for it if\n\
             it is missed.\n"
        } else {
            "\nIt stays there. Read it with the provider's own web page or program, or have\n\
             a larger max_size set for the source: then it is collected with the next poll.\n"
        });
        self.letter(&subject, &body, now)
    }

    /// The letter about a message that cannot be had: polls have broken off at it again and again.
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

    /// The letter about messages of which less than half came, twice.
    pub fn short(&self, messages: &[Stuck], now: i64) -> String {
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let subject = match count {
            1 => format!("A message at {} came incomplete", self.host),
            _ => format!("{count} messages at {} came incomplete", self.host),
        };
        let first = wrapped(&format!(
            "Your mailbox at {} (user {}) handed over less than half of what it lists, twice. What came is in your INBOX, and is \
             treated there like all that was collected:",
            self.host, self.username
        ));
        let list: Vec<String> = messages.iter().map(Stuck::to_string).collect();
        let last = wrapped(
            "If something is missing, look whether the provider keeps it among deleted mail, or ask the sender for it.",
        );
        self.letter(&subject, &[first, list.join("\n"), last].join("\n"), now)
    }

    /// The letter as a message (RFC 5322), marked as sent automatically (RFC 3834) so that no vacation message
    /// answers it.
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

/// The From and Subject fields of a message, as far as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    from: String,
    subject: String,
}

impl Said {
    /// The fields of a message of which `content` came.
    pub fn new(content: &Content) -> Said {
        let (from, subject) = content.said();
        let readable = |value: &[u8]| {
            let text: String = encoded_word::decode(value).chars().filter(|c| !c.is_control()).collect();
            text.chars().take(SHOWN).collect()
        };
        Said { from: readable(from), subject: readable(subject) }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |value: &'_ str| if value.is_empty() { "not known".to_owned() } else { value.to_owned() };
        writeln!(f, "  From:    {}", known(&self.from))?;
        writeln!(f, "  Subject: {}", known(&self.subject))
    }
}

/// A message that cannot be had, with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    said: Said,
    octets: Option<u64>,
}

impl Stuck {
    /// A message of which `content` came and which is listed with so many octets.
    pub fn new(content: &Content, octets: Option<u64>) -> Stuck {
        Stuck { said: Said::new(content), octets }
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.said)?;
        match self.octets {
            Some(octets) => writeln!(f, "  Size:    {octets} octets"),
            None => writeln!(f, "  Size:    not known"),
        }
    }
}

/// A number of messages in words.
pub fn messages(count: u32) -> String {
    if count > 1 { format!("{count} messages") } else { "a message".to_owned() }
}

/// Wraps a paragraph into lines of a letter. Text in backquotes, which is to be copied, stays in one line.
fn wrapped(text: &str) -> String {
    let (mut lines, mut width, mut copied) = (String::new(), 0, false);
    for word in text.split(' ') {
        let len = word.chars().count();
        if width > 0 {
            let fits = copied || width + 1 + len <= LINE;
            lines.push(if fits { ' ' } else { '\n' });
            width = if fits { width + 1 } else { 0 };
        }
        lines.push_str(word);
        width += len;
        copied ^= word.matches('`').count() % 2 == 1;
    }
    lines + "\n"
}

/// Characters of a line of a letter, at most (RFC 5322 section 2.1.1 recommends 78).
const LINE: usize = 76;
/// Characters of a field that are shown, at most.
const SHOWN: usize = 200;
/// Messages that a letter names one by one, at most.
const LISTED: usize = 20;

/// A message that is too large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Large {
    /// Octets that the message is known to have.
    pub octets: u64,
    /// Whether the message may be longer than `octets`.
    pub goes_on: bool,
    /// Its From and Subject fields, where its beginning was read.
    pub said: Option<Said>,
}

impl Large {
    /// A message of so many octets.
    pub fn new(octets: u64) -> Large {
        Large { octets, goes_on: false, said: None }
    }
}

impl fmt::Display for Large {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.goes_on { "more than " } else { "" };
        write!(f, "{more}{}", mebibytes(self.octets))
    }
}

/// Octets as text, in the unit that a person would use.
pub fn mebibytes(octets: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if octets < 1024 {
        return format!("{octets} octets");
    }
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

    /// Catches: a letter without the reason or the advice, and one that announces letters at other intervals than
    /// they come.
    #[test]
    fn a_failing_source_says_who_what_and_what_to_do() {
        let error = outgoing::Error::Login("[AUTH] no".to_owned()).into();
        let letter = letterhead().failing(5, &error, 1, 0);
        for part in [
            "To: <ann@home.example>\r\n",
            "Subject: Mail cannot be collected from pop.provider.example\r\n",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n",
            "(user ann@provider.example) could not be\r\ncollected, 5 times in a row.\r\n",
            "What went wrong: the login was refused: [AUTH] no.\r\n",
            "What to do: Check the user name and the password of the source.",
            "once a day.\r\n",
        ] {
            assert!(letter.contains(part), "{part:?} in {letter}");
        }
        assert!(letter.replace("\r\n", "").find(['\r', '\n']).is_none());
        assert!(letterhead().failing(5, &error, 7, 0).contains("once a day."));
        assert!(letterhead().failing(1, &error, 8, 0).contains("collected, again.\r\n"));
        assert!(letterhead().failing(5, &error, 8, 0).contains("once a week."));
    }

    /// Catches: a user who is told that no mail comes, when one message does not.
    #[test]
    fn one_message_has_other_words() {
        let letter = letterhead().partly(1, &Error::NotSent, 1, 0);
        assert!(
            letter.contains("Subject: A message at pop.provider.example cannot be collected\r\n"),
            "{letter}"
        );
        assert!(letter.contains("is collected\r\nas usual, but a message cannot be had.\r\n"), "{letter}");
        assert!(!letter.contains("could not be"), "{letter}");
        assert!(letterhead().partly(3, &Error::NotSent, 1, 0).contains("but 3 messages cannot"));
    }

    /// Catches: a user who is told that mail does not come, when all of it has come and is only not deleted there.
    #[test]
    fn what_is_not_deleted_has_been_collected() {
        for command in ["DELE 1", "QUIT", "UID STORE 1 +FLAGS.SILENT (\\Deleted)", "UID EXPUNGE 1", "EXPUNGE"]
        {
            let error = Error::Refused { command: command.to_owned(), reason: "read-only".to_owned() };
            let letter = letterhead().partly(1, &error, 1, 0);
            assert!(letter.contains("Subject: Collected mail is not deleted at pop."), "{letter}");
            assert!(!letter.contains("cannot be"), "{letter}");
        }
        let error = Error::Refused { command: "SELECT \"x\"".to_owned(), reason: "no".to_owned() };
        assert!(!error.advice().contains("collected all the same"));
    }

    /// Catches: a line longer than 998 octets, which no message may have, and a command that is broken although it is
    /// to be copied.
    #[test]
    fn long_words_are_wrapped_but_for_commands() {
        let text =
            format!("{}do `one two {}` now {}", "word ".repeat(300), "three ".repeat(20), "word ".repeat(30));
        let wrapped = wrapped(text.trim_end());
        assert!(
            wrapped.contains("three three ` now\n") || wrapped.contains("three three `\nnow"),
            "{wrapped}"
        );
        assert!(wrapped.lines().filter(|line| !line.contains('`')).all(|line| line.len() <= LINE));
        assert_eq!(
            wrapped.split_whitespace().collect::<Vec<_>>(),
            text.split_whitespace().collect::<Vec<_>>()
        );
    }

    /// Catches: a user who is not told which command to type.
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
        Large { goes_on, ..Large::new(octets) }
    }

    #[test]
    fn one_letter_tells_of_all_large_messages() {
        let one = letterhead().too_large(&[&large(31 << 20, false)], false, 0);
        assert!(one.contains("Subject: A message of 31 MiB stays at pop.provider.example\r\n"), "{one}");
        let endless = letterhead().too_large(&[&large(200 << 20, true)], false, 0);
        assert!(endless.contains("Subject: A message of more than 200 MiB stays at pop."), "{endless}");
        let many = letterhead().too_large(&[&large(2048, false); 30], false, 0);
        assert!(many.contains("Subject: 30 large messages stay at"), "{many}");
        assert!(many.contains("- a message of 2 KiB\r\n  - and 10 others\r\n"), "{many}");
    }
}
