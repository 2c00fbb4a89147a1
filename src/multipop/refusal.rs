//! Why a server said no: POP3's `-ERR`, IMAP's `NO` and `BAD`.

use std::fmt;

use crate::outgoing::{About, Answer};

/// A response code (RFC 2449 section 8, RFC 5530) and the words after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its name in upper case, and its arguments, without its brackets; empty for none.
    pub code: String,
    /// The text, without control characters and cut to a limit.
    pub text: String,
}

/// Words of a refusal that passes, where it has no code.
const LATER: [&str; 15] = [
    "too many",
    "too often",
    "try again",
    "try later",
    "later",
    "temporar",
    "in use",
    "busy",
    "lock maildrop",
    "lock mailbox",
    "locked by",
    "already locked",
    "login limit",
    "another session",
    "unavailable",
];
/// Words of a refusal that concerns the user or the password, whatever else it says.
const WRONG: [&str; 7] = ["password", "invalid", "incorrect", "wrong", "failed", "login failure", "unknown"];

impl Refusal {
    /// Parses the text after `-ERR`, `NO` or `BAD`.
    pub fn parse(text: &str) -> Refusal {
        let (code, text) = text
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .map_or(("", text), |(code, text)| (code, text.trim()));
        // What follows the name of the code may be an address, to be opened as it stands.
        let code = printable(code);
        let (name, rest) = code.split_at(code.find(' ').unwrap_or(code.len()));
        Refusal { code: name.to_ascii_uppercase() + rest, text: printable(text) }
    }

    /// What a refused login is about. The codes for "later" are those of RFC 2449 section 8.1, RFC 3206 section 4 and
    /// RFC 5530 section 3. Without a code the words decide.
    pub fn about(&self) -> About {
        let codes = ["IN-USE", "LOGIN-DELAY", "SYS/TEMP", "UNAVAILABLE", "INUSE", "LIMIT"];
        if codes.contains(&self.code.as_str()) {
            return About::Now;
        }
        let text = self.text.to_ascii_lowercase();
        // Codes that say nothing about the reason: Gmail has [ALERT] for too many connections.
        let is_untold = ["", "ALERT"].contains(&self.code.as_str());
        let is_of_the_login = WRONG.iter().any(|word| text.contains(word));
        if is_untold && !is_of_the_login && LATER.iter().any(|words| text.contains(words)) {
            return About::Now;
        }
        let words = ["command", "mechanism", "implement", "support", "recogni"];
        match self.code.is_empty() && words.iter().any(|word| text.contains(word)) {
            true => About::MethodOrLogin,
            false => About::Login,
        }
    }

    /// The refusal as an answer to a login.
    pub fn answer(&self) -> Answer<'static> {
        Answer::Refused(self.about(), self.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.text.as_str()) {
            ("", "") => f.write_str("no reason given"),
            ("", text) => f.write_str(text),
            (code, text) => write!(f, "[{code}] {text}"),
        }
    }
}

/// A server's text, fit for a log, a console and a mail: without control characters, at most 200 characters.
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_a_command_and_of_a_person() {
        for (text, about) in [
            ("Unknown command", About::MethodOrLogin),
            ("Authentication mechanism not supported", About::MethodOrLogin),
            ("unimplemented", About::MethodOrLogin),
            ("Unknown user", About::Login),
            ("[AUTH] Unsupported password", About::Login),
            ("Authentication failed", About::Login),
            ("[in-use] Do you have another session?", About::Now),
            ("[UNAVAILABLE] User's backend is down", About::Now),
            // Catches: a mailbox that is in use and is reported as a wrong password, and then left alone for hours.
            ("[ALERT] Too many simultaneous connections. (Failure)", About::Now),
            ("Unable to lock maildrop: mailbox is locked by another POP session", About::Now),
            (
                "Exceeded the login limit for a 15 minute period. Reduce the frequency of requests.",
                About::Now,
            ),
            ("Server temporarily unavailable", About::Now),
            ("[ALERT] Invalid credentials (Failure)", About::Login),
            ("Too many failed logins", About::Login),
            ("[AUTH] Wrong password, try again", About::Login),
            ("Account is locked", About::Login),
            ("", About::Login),
        ] {
            assert_eq!(Refusal::parse(text).about(), about, "{text}");
        }
    }

    #[test]
    fn words_are_shown_without_what_could_spoil_a_terminal_or_a_mail() {
        for (text, shown) in [
            ("[AUTH] no\u{7}", "[AUTH] no"),
            ("[broken", "[broken"),
            // Catches: an address in capitals, which cannot be opened.
            ("[webalert https://x/Abc] Log in there", "[WEBALERT https://x/Abc] Log in there"),
            ("a\r\nSubject: b", "aSubject: b"),
            ("", "no reason given"),
        ] {
            assert_eq!(Refusal::parse(text).to_string(), shown);
        }
        assert_eq!(Refusal::parse(&"x".repeat(5000)).text.len(), 200);
    }
}
