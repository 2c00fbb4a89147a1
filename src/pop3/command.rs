//! Command lines (RFC 1939 section 3, RFC 2449 section 4, RFC 5034 section 4), parsed.

use crate::sasl::server::Password;

/// Octets of a command line without its CRLF, at most (RFC 2449 section 4 asks for 255 with it).
pub const MAX_LINE: usize = 510;

/// A message-number (RFC 1939 section 4) as the client wrote it, whether or not there is such a message.
pub type MessageNumber = u32;

/// A command of a client.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFCs' own names")]
pub enum Command {
    User(String),
    Pass(Password),
    Auth {
        mechanism: String,
        initial: Option<Password>,
    },
    /// AUTH without an argument, which asks for the mechanisms (RFC 5034 section 4, as clients of RFC 1734 do).
    Mechanisms,
    Stls,
    Capa,
    /// UTF8 (RFC 6856 section 2.1).
    Utf8,
    /// LANG with a language range, or without one to ask for the languages (RFC 6856 section 3.2).
    Lang(Option<String>),
    Stat,
    List(Option<MessageNumber>),
    Uidl(Option<MessageNumber>),
    Retr(MessageNumber),
    Top {
        message: MessageNumber,
        lines: u32,
    },
    Dele(MessageNumber),
    Noop,
    Rset,
    Quit,
}

/// Why a line is not a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The keyword is not known.
    #[error("Unknown command")]
    Unknown,
    /// The arguments are wrong; with what is expected.
    #[error("That is: {0}")]
    Arguments(&'static str),
}

impl Command {
    /// Parses a line without its line end. Keywords may be in any case. More than one space between arguments is
    /// accepted, but in a password every octet counts.
    ///
    /// # Errors
    /// The line is not a command.
    pub fn parse(line: &[u8]) -> Result<Command, Error> {
        let space = memchr::memchr(b' ', line).unwrap_or(line.len());
        let (keyword, rest) = line.split_at_checked(space).unwrap_or((line, b""));
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let words: Vec<&[u8]> = rest.split(|&octet| octet == b' ').filter(|word| !word.is_empty()).collect();
        let (syntax, command) = match keyword.to_ascii_uppercase().as_slice() {
            b"USER" => ("USER name", user(rest)),
            b"PASS" => ("PASS password", pass(rest)),
            b"AUTH" => ("AUTH mechanism [initial-response]", auth(&words)),
            b"STLS" => ("STLS", alone(&words, Command::Stls)),
            b"CAPA" => ("CAPA", alone(&words, Command::Capa)),
            b"UTF8" => ("UTF8", alone(&words, Command::Utf8)),
            b"LANG" => ("LANG [language]", language(&words)),
            b"STAT" => ("STAT", alone(&words, Command::Stat)),
            b"LIST" => ("LIST [message]", one_or_all(&words).map(Command::List)),
            b"UIDL" => ("UIDL [message]", one_or_all(&words).map(Command::Uidl)),
            b"RETR" => ("RETR message", one(&words).map(Command::Retr)),
            b"TOP" => ("TOP message lines", top(&words)),
            b"DELE" => ("DELE message", one(&words).map(Command::Dele)),
            b"NOOP" => ("NOOP", alone(&words, Command::Noop)),
            b"RSET" => ("RSET", alone(&words, Command::Rset)),
            b"QUIT" => ("QUIT", alone(&words, Command::Quit)),
            _ => return Err(Error::Unknown),
        };
        command.ok_or(Error::Arguments(syntax))
    }
}

/// Parses the argument of USER as a whole: a name may hold spaces.
fn user(rest: &[u8]) -> Option<Command> {
    text(rest.trim_ascii()).map(Command::User)
}

fn pass(rest: &[u8]) -> Option<Command> {
    (!rest.is_empty()).then(|| Command::Pass(Password::from(rest)))
}

fn auth(words: &[&[u8]]) -> Option<Command> {
    match words {
        [] => Some(Command::Mechanisms),
        [mechanism] => Some(Command::Auth { mechanism: text(mechanism)?, initial: None }),
        [mechanism, initial] => {
            Some(Command::Auth { mechanism: text(mechanism)?, initial: Some(Password::from(*initial)) })
        }
        _ => None,
    }
}

fn language(words: &[&[u8]]) -> Option<Command> {
    match words {
        [] => Some(Command::Lang(None)),
        [range] => Some(Command::Lang(Some(text(range)?))),
        _ => None,
    }
}

fn top(words: &[&[u8]]) -> Option<Command> {
    let [message, lines] = words else { return None };
    // A number of lines that is too large means all lines.
    Some(Command::Top { message: number(message)?, lines: digits(lines)?.parse().unwrap_or(u32::MAX) })
}

fn alone(words: &[&[u8]], command: Command) -> Option<Command> {
    words.is_empty().then_some(command)
}

fn one(words: &[&[u8]]) -> Option<MessageNumber> {
    let [word] = words else { return None };
    number(word)
}

fn one_or_all(words: &[&[u8]]) -> Option<Option<MessageNumber>> {
    if words.is_empty() { Some(None) } else { one(words).map(Some) }
}

fn text(word: &[u8]) -> Option<String> {
    if word.is_empty() { None } else { String::from_utf8(word.to_vec()).ok() }
}

/// Parses a number; one that is too large becomes the largest, which no message has.
fn number(word: &[u8]) -> Option<MessageNumber> {
    digits(word).map(|digits| digits.parse().unwrap_or(MessageNumber::MAX))
}

fn digits(word: &[u8]) -> Option<&str> {
    let well_formed = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    if well_formed { std::str::from_utf8(word).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        use Command::*;
        let password = |text: &str| Pass(Password::from(text.as_bytes()));
        for (line, expected) in [
            ("USER demo", Ok(User("demo".into()))),
            ("user  demo@home.example ", Ok(User("demo@home.example".into()))),
            ("USER Jörg B", Ok(User("Jörg B".into()))),
            ("USER", Err("USER name")),
            ("USER  ", Err("USER name")),
            ("PASS a  b ", Ok(password("a  b "))),
            ("PASS  a", Ok(password(" a"))),
            ("PASS", Err("PASS password")),
            ("PASS ", Err("PASS password")),
            ("AUTH", Ok(Mechanisms)),
            ("AUTH PLAIN", Ok(Auth { mechanism: "PLAIN".into(), initial: None })),
            (
                "auth plain =",
                Ok(Auth { mechanism: "plain".into(), initial: Some(Password::from(&b"="[..])) }),
            ),
            ("AUTH PLAIN a b", Err("AUTH mechanism [initial-response]")),
            ("STLS", Ok(Stls)),
            ("CAPA", Ok(Capa)),
            ("utf8", Ok(Utf8)),
            ("UTF8 USER", Err("UTF8")),
            ("LANG", Ok(Lang(None))),
            ("LANG en-GB", Ok(Lang(Some("en-GB".into())))),
            ("LANG en de", Err("LANG [language]")),
            ("stat ", Ok(Stat)),
            ("STAT 1", Err("STAT")),
            ("LIST", Ok(List(None))),
            ("LIST 2", Ok(List(Some(2)))),
            ("LIST x", Err("LIST [message]")),
            ("UIDL 3", Ok(Uidl(Some(3)))),
            ("UIDL 3 4", Err("UIDL [message]")),
            ("RETR 1", Ok(Retr(1))),
            ("RETR", Err("RETR message")),
            ("RETR +1", Err("RETR message")),
            ("RETR -1", Err("RETR message")),
            ("RETR 99999999999999999999", Ok(Retr(u32::MAX))),
            ("TOP 1 0", Ok(Top { message: 1, lines: 0 })),
            ("TOP  1   10", Ok(Top { message: 1, lines: 10 })),
            ("TOP 1", Err("TOP message lines")),
            ("TOP 1 99999999999", Ok(Top { message: 1, lines: u32::MAX })),
            ("TOP 1 1x", Err("TOP message lines")),
            ("DELE 0", Ok(Dele(0))),
            ("Noop", Ok(Noop)),
            ("RSET", Ok(Rset)),
            ("QUIT", Ok(Quit)),
            ("QUIT now", Err("QUIT")),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), expected.map_err(Error::Arguments), "{line}");
        }
    }

    #[test]
    fn lines_that_are_no_command() {
        for line in [&b""[..], b" ", b" STAT", b"STAT\t", b"LAST", b"\0", b"\xff\xfe", b"STAT\0", b"EHLO x"] {
            assert_eq!(Command::parse(line), Err(Error::Unknown), "{line:?}");
        }
        assert_eq!(Command::parse(b"USER \xff"), Err(Error::Arguments("USER name")));
    }
}
