//! The commands of a client (RFC 5321 section 4.1.1 and the extensions offered): parsed once, without
//! I/O and without knowing what the session allows.

use super::mailbox::{self, Mailbox, PathError, ReversePath};
use super::reply::Reply;
use crate::sasl::server::Password;

/// Octets of a command line without its line end (RFC 5321 section 4.5.3.1.4).
pub const MAX_LINE: usize = 510;
/// What the parameters SIZE, BODY and AUTH add to that for MAIL (RFC 1870, RFC 6152, RFC 4954).
pub const MAX_MAIL_LINE: usize = MAX_LINE + 26 + 17 + 500;
/// AUTH with an initial response, and the lines of its exchange (RFC 4954 section 4).
pub const MAX_AUTH_LINE: usize = 12288 - 2;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The client names itself, and wants to know what is offered.
    Ehlo(String),
    /// The same before extensions were invented.
    Helo(String),
    /// Begins a transaction.
    Mail {
        /// Where bounces go.
        from: ReversePath,
        /// RFC 1870: what the client thinks the size will be.
        size: Option<u64>,
    },
    /// Names a recipient.
    Rcpt {
        /// The forward-path.
        to: Mailbox,
    },
    /// The content comes next.
    Data,
    /// Forgets the transaction.
    Rset,
    /// Nothing.
    Noop,
    /// The end.
    Quit,
    /// Asks whether there is such a user.
    Vrfy,
    /// Asks for help.
    Help,
    /// RFC 3207.
    StartTls,
    /// RFC 4954.
    Auth {
        /// The name of a SASL mechanism.
        mechanism: String,
        /// The initial response, in base64; `=` for an empty one.
        initial: Option<Password>,
    },
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// No command begins like that.
    Unknown,
    /// RFC 5321 section 4.2.4: known, and not to be had here.
    NotImplemented,
    /// Longer than the command may be.
    TooLong,
    /// What the command would have looked like.
    Syntax(&'static str),
    /// An address beyond ASCII: SMTPUTF8 is not offered.
    NotAscii,
    /// A parameter of an extension that is not offered.
    UnknownParameter,
    /// A parameter whose value makes no sense.
    BadParameter,
}

impl From<Error> for Reply {
    fn from(error: Error) -> Reply {
        match error {
            Error::Unknown => Reply::new(500, (5, 1), "No such command"),
            Error::NotImplemented => Reply::new(502, (5, 1), "Not implemented"),
            Error::TooLong => Reply::new(500, (5, 2), "Line too long"),
            Error::Syntax(usage) => Reply::new(501, (5, 4), usage),
            Error::NotAscii => Reply::new(553, (6, 7), "Addresses beyond ASCII are not supported"),
            Error::UnknownParameter => Reply::new(555, (5, 4), "No such parameter"),
            Error::BadParameter => Reply::new(501, (5, 4), "That value makes no sense"),
        }
    }
}

impl Command {
    /// The command that a line, its line end taken off, holds.
    ///
    /// # Errors
    /// It holds none.
    pub fn parse(line: &[u8]) -> Result<Command, Error> {
        let end = line.iter().position(|&b| b == b' ').unwrap_or(line.len());
        let (verb, rest) = line.split_at_checked(end).unwrap_or((line, b""));
        let verb = verb.to_ascii_uppercase();
        let limit = match verb.as_slice() {
            b"AUTH" => MAX_AUTH_LINE,
            b"MAIL" => MAX_MAIL_LINE,
            _ => MAX_LINE,
        };
        if line.len() > limit {
            return Err(Error::TooLong);
        }
        // Octets that are not UTF-8 stand nowhere in a command, and U+FFFD is refused like any other
        // character beyond ASCII.
        let text = String::from_utf8_lossy(rest);
        let arguments = text.trim_matches(' ');
        match verb.as_slice() {
            b"EHLO" => name(arguments).map(Command::Ehlo).ok_or(Error::Syntax("EHLO needs your name")),
            b"HELO" => name(arguments).map(Command::Helo).ok_or(Error::Syntax("HELO needs your name")),
            b"MAIL" => mail(arguments),
            b"RCPT" => rcpt(arguments),
            b"AUTH" => auth(arguments),
            b"DATA" => alone(arguments, Command::Data),
            b"RSET" => alone(arguments, Command::Rset),
            b"QUIT" => alone(arguments, Command::Quit),
            b"STARTTLS" => alone(arguments, Command::StartTls),
            b"NOOP" => Ok(Command::Noop),
            b"VRFY" => Ok(Command::Vrfy),
            b"HELP" => Ok(Command::Help),
            b"EXPN" | b"BDAT" | b"ETRN" | b"TURN" | b"ATRN" | b"SEND" | b"SOML" | b"SAML" => {
                Err(Error::NotImplemented)
            }
            _ => Err(Error::Unknown),
        }
    }
}

/// What a client calls itself. Devices put all sorts of things there, so anything printable without
/// a space does (RFC 5321 section 4.1.4 forbids to refuse mail for it).
fn name(arguments: &str) -> Option<String> {
    let name = arguments.split(' ').next().filter(|n| !n.is_empty() && n.len() <= 255)?;
    name.bytes().all(|b| b.is_ascii_graphic()).then(|| name.to_owned())
}

fn alone(arguments: &str, command: Command) -> Result<Command, Error> {
    if arguments.is_empty() { Ok(command) } else { Err(Error::Syntax("That command has no arguments")) }
}

const MAIL_USAGE: Error = Error::Syntax("Use MAIL FROM:<address>");
const RCPT_USAGE: Error = Error::Syntax("Use RCPT TO:<address>");

/// RFC 5321 section 4.1.1.2.
fn mail(arguments: &str) -> Result<Command, Error> {
    let (from, parameters) = path_after("FROM:", arguments, MAIL_USAGE)?;
    let mut size = None;
    for (keyword, value) in parameters.split(' ').filter(|p| !p.is_empty()).map(parameter) {
        match keyword.to_ascii_uppercase().as_str() {
            "SIZE" => size = Some(number(value).ok_or(Error::BadParameter)?),
            "BODY" if ["7BIT", "8BITMIME"].iter().any(|body| body.eq_ignore_ascii_case(value)) => {}
            "BODY" => return Err(Error::BadParameter),
            // RFC 4954 section 5: who sent it first, as another server says. Nobody is trusted with
            // that here, so it counts as `<>`.
            "AUTH" if !value.is_empty() => {}
            "AUTH" => return Err(Error::BadParameter),
            _ => return Err(Error::UnknownParameter),
        }
    }
    Ok(Command::Mail { from, size })
}

/// RFC 5321 section 4.1.1.3.
fn rcpt(arguments: &str) -> Result<Command, Error> {
    let (to, parameters) = path_after("TO:", arguments, RCPT_USAGE)?;
    if !parameters.is_empty() {
        return Err(Error::UnknownParameter);
    }
    to.map(|to| Command::Rcpt { to }).ok_or(RCPT_USAGE)
}

/// The path after `FROM:` or `TO:`, and its parameters. A space before the path is against the
/// grammar and sent by many.
fn path_after<'a>(prefix: &str, arguments: &'a str, usage: Error) -> Result<(ReversePath, &'a str), Error> {
    let rest = match arguments.split_at_checked(prefix.len()) {
        Some((found, rest)) if found.eq_ignore_ascii_case(prefix) => rest.trim_start_matches(' '),
        _ => return Err(usage),
    };
    let (path, parameters) = mailbox::path(rest).map_err(|error| match error {
        PathError::Syntax => usage,
        PathError::NotAscii => Error::NotAscii,
    })?;
    if parameters.is_empty() || parameters.starts_with(' ') {
        Ok((path, parameters.trim_matches(' ')))
    } else {
        Err(usage)
    }
}

fn parameter(text: &str) -> (&str, &str) {
    text.split_once('=').unwrap_or((text, ""))
}

/// RFC 1870 section 4: up to 20 digits.
fn number(digits: &str) -> Option<u64> {
    let digits = Some(digits).filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))?;
    (digits.len() <= 20).then(|| digits.parse().unwrap_or(u64::MAX))
}

/// RFC 4954 section 4.
fn auth(arguments: &str) -> Result<Command, Error> {
    let mut words = arguments.split(' ').filter(|w| !w.is_empty());
    let mechanism = words.next().ok_or(Error::Syntax("Use AUTH and a mechanism"))?.to_owned();
    let initial = words.next().map(|response| Password::from(response.as_bytes()));
    match words.next() {
        None => Ok(Command::Auth { mechanism, initial }),
        Some(_) => Err(Error::Syntax("Use AUTH, a mechanism and its initial response")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, Error> {
        Command::parse(line.as_bytes())
    }

    fn mail(from: &str, size: Option<u64>) -> Command {
        Command::Mail { from: Mailbox::parse(from).ok(), size }
    }

    #[test]
    fn commands() {
        let auth = |mechanism: &str, initial: Option<&str>| Command::Auth {
            mechanism: mechanism.into(),
            initial: initial.map(|response| Password::from(response.as_bytes())),
        };
        for (line, command) in [
            ("EHLO client.example", Command::Ehlo("client.example".into())),
            ("ehlo [192.0.2.1]", Command::Ehlo("[192.0.2.1]".into())),
            ("HELO My_Scanner trailing", Command::Helo("My_Scanner".into())),
            ("MAIL FROM:<>", mail("", None)),
            ("MAIL FROM:<demo@home.example>", mail("demo@home.example", None)),
            ("mail from: demo@home.example ", mail("demo@home.example", None)),
            (
                "MAIL FROM:<demo@home.example> SIZE=12345 BODY=8BITMIME",
                mail("demo@home.example", Some(12345)),
            ),
            ("MAIL FROM:<a@b.example> size=1 body=7bit AUTH=<>", mail("a@b.example", Some(1))),
            ("MAIL FROM:<a@b.example> SIZE=99999999999999999999", mail("a@b.example", Some(u64::MAX))),
            ("RCPT TO:<a@b.example>", Command::Rcpt { to: Mailbox::parse("a@b.example").unwrap() }),
            ("RCPT TO: <Postmaster>", Command::Rcpt { to: Mailbox::parse("Postmaster").unwrap() }),
            ("DATA", Command::Data),
            ("DATA ", Command::Data),
            ("rset", Command::Rset),
            ("NOOP anything at all", Command::Noop),
            ("QUIT", Command::Quit),
            ("VRFY demo", Command::Vrfy),
            ("HELP", Command::Help),
            ("STARTTLS", Command::StartTls),
            ("AUTH PLAIN", auth("PLAIN", None)),
            ("AUTH plain =", auth("plain", Some("="))),
            ("AUTH LOGIN ZGVtbw==", auth("LOGIN", Some("ZGVtbw=="))),
        ] {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_is_no_command() {
        for (line, error) in [
            ("", Error::Unknown),
            ("HELLO", Error::Unknown),
            ("GET / HTTP/1.1", Error::Unknown),
            ("\u{16}\u{3}\u{1}", Error::Unknown),
            ("DATA\0", Error::Unknown),
            ("BDAT 100 LAST", Error::NotImplemented),
            ("EXPN staff", Error::NotImplemented),
            ("EHLO", Error::Syntax("EHLO needs your name")),
            ("HELO \u{7f}", Error::Syntax("HELO needs your name")),
            ("DATA now", Error::Syntax("That command has no arguments")),
            ("MAIL", MAIL_USAGE),
            ("MAIL <a@b.example>", MAIL_USAGE),
            ("MAIL FROM:", MAIL_USAGE),
            ("MAIL FROM:<a@b.example", MAIL_USAGE),
            ("MAIL FROM:<a@b.example>SIZE=1", MAIL_USAGE),
            ("MAIL FROM:<jürgen@b.example>", Error::NotAscii),
            ("MAIL FROM:<a@b.example> SMTPUTF8", Error::UnknownParameter),
            ("MAIL FROM:<a@b.example> SIZE", Error::BadParameter),
            ("MAIL FROM:<a@b.example> SIZE=-1", Error::BadParameter),
            ("MAIL FROM:<a@b.example> SIZE=100000000000000000000", Error::BadParameter),
            ("MAIL FROM:<a@b.example> BODY=BINARYMIME", Error::BadParameter),
            ("RCPT TO:<>", RCPT_USAGE),
            ("RCPT FROM:<a@b.example>", RCPT_USAGE),
            ("RCPT TO:<a@b.example> NOTIFY=NEVER", Error::UnknownParameter),
            ("AUTH", Error::Syntax("Use AUTH and a mechanism")),
            ("AUTH PLAIN a b", Error::Syntax("Use AUTH, a mechanism and its initial response")),
        ] {
            assert_eq!(parse(line), Err(error), "{line}");
        }
    }

    #[test]
    fn every_command_has_its_own_limit() {
        let padded = |start: &str, len: usize| format!("{start}{}", "x".repeat(len - start.len()));
        for (start, limit) in [("NOOP ", MAX_LINE), ("AUTH PLAIN ", MAX_AUTH_LINE)] {
            assert!(parse(&padded(start, limit)).is_ok(), "{start}");
            assert_eq!(parse(&padded(start, limit + 1)), Err(Error::TooLong), "{start}");
        }
        let mail = padded("MAIL FROM:<a@b.example> AUTH=", MAX_MAIL_LINE);
        assert!(parse(&mail).is_ok());
        assert_eq!(parse(&(mail + "x")), Err(Error::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn anything_at_all_is_read_without_a_panic(line in proptest::collection::vec(0u8.., 0..600)) {
            let _ = Command::parse(&line);
        }

        #[test]
        fn anything_as_a_path_is_a_mailbox_that_reads_as_itself(path in "<?[ -~äß]{0,40}>?") {
            if let Ok(Command::Rcpt { to }) = parse(&format!("RCPT TO:{path}")) {
                assert_eq!(Mailbox::parse(to.as_str()), Ok(to));
            }
        }
    }
}
