//! The commands of a client (RFC 5321 section 4.1.1 and the extensions that are offered), parsed without I/O and
//! without regard to the state of the session.

mod parameters;

use std::borrow::Cow;

use super::Recipient;
use super::dsn;
use super::mailbox::ReversePath;
use super::reply::Reply;
use crate::sasl::server::Password;

/// Octets of a command line without its line end, at most (RFC 5321 section 4.5.3.1.4).
pub const MAX_LINE: usize = 510;
/// Octets of a MAIL line, at most, with the parameters SIZE (RFC 1870), BODY (RFC 6152), AUTH (RFC 4954), SMTPUTF8
/// (RFC 6531), RET and ENVID (RFC 3461).
pub const MAX_MAIL_LINE: usize = MAX_LINE + 26 + 17 + 500 + 10 + 9 + 107;
/// Octets of a RCPT line, at most, with the parameters NOTIFY and ORCPT (RFC 3461).
pub const MAX_RCPT_LINE: usize = MAX_LINE + 29 + 507;
/// Octets of an AUTH line with an initial response, and of the lines of its exchange, at most (RFC 4954 section 4).
pub const MAX_AUTH_LINE: usize = 12288 - 2;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// EHLO with the client's name: asks for the extensions.
    Ehlo(String),
    /// HELO with the client's name, as it was before there were extensions.
    Helo(String),
    /// MAIL: begins a transaction.
    Mail {
        /// The address for bounces.
        from: ReversePath,
        /// The size that the client declares (RFC 1870).
        size: Option<u64>,
        /// SMTPUTF8: addresses may be above ASCII (RFC 6531).
        utf8: bool,
        /// The DSN parameters.
        dsn: dsn::Request,
    },
    /// RCPT: names a recipient.
    Rcpt {
        /// The forward-path with its DSN parameters.
        to: Recipient,
        /// Whether the line has characters above ASCII, which need SMTPUTF8 in MAIL.
        beyond_ascii: bool,
    },
    /// DATA: the content comes next.
    Data,
    /// BDAT: octets of the content come next (RFC 3030).
    Bdat {
        /// How many octets come.
        octets: u64,
        /// Whether they are the last ones of the content.
        last: bool,
    },
    /// RSET: ends the transaction.
    Rset,
    /// NOOP: does nothing.
    Noop,
    /// QUIT: ends the session.
    Quit,
    /// VRFY: asks whether a user exists.
    Vrfy,
    /// HELP.
    Help,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH (RFC 4954).
    Auth {
        /// The name of a SASL mechanism.
        mechanism: String,
        /// The initial response, in base64; `=` for an empty one.
        initial: Option<Password>,
    },
}

/// Why a line is not a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// No command begins in this way.
    Unknown,
    /// The command exists and is not implemented here (RFC 5321 section 4.2.4).
    NotImplemented,
    /// The line is longer than the command may be.
    TooLong,
    /// Wrong syntax; with what is expected.
    Syntax(&'static str),
    /// A malformed BDAT, with the number of octets that follow all the same; `None` if that is not known.
    BadChunk(Option<u64>),
    /// An address above ASCII without SMTPUTF8.
    NotAscii,
    /// A parameter of an extension that is not offered.
    UnknownParameter,
    /// A parameter with an invalid value.
    BadParameter,
}

impl From<Error> for Reply {
    fn from(error: Error) -> Reply {
        match error {
            Error::Unknown => Reply::new(500, (5, 1), "No such command"),
            Error::NotImplemented => Reply::new(502, (5, 1), "Not implemented"),
            Error::TooLong => Reply::new(500, (5, 2), "Line too long"),
            Error::Syntax(usage) => Reply::new(501, (5, 4), usage),
            Error::BadChunk(_) => {
                Reply::new(501, (5, 4), "Use BDAT, a number of octets, and LAST with the last ones")
            }
            Error::NotAscii => Reply::new(553, (6, 7), "An address beyond ASCII needs SMTPUTF8 with MAIL"),
            Error::UnknownParameter => Reply::new(555, (5, 4), "No such parameter"),
            Error::BadParameter => Reply::new(501, (5, 4), "That value makes no sense"),
        }
    }
}

impl Command {
    /// The command in a line without its line end.
    ///
    /// # Errors
    /// The line holds no command.
    pub fn parse(line: &[u8]) -> Result<Command, Error> {
        let end = line.iter().position(|&b| b == b' ').unwrap_or(line.len());
        let (verb, rest) = line.split_at_checked(end).unwrap_or((line, b""));
        let verb = verb.to_ascii_uppercase();
        let limit = match verb.as_slice() {
            b"AUTH" => MAX_AUTH_LINE,
            b"MAIL" => MAX_MAIL_LINE,
            b"RCPT" => MAX_RCPT_LINE,
            _ => MAX_LINE,
        };
        if line.len() > limit {
            return Err(if verb == b"BDAT" { Error::BadChunk(None) } else { Error::TooLong });
        }
        let text = String::from_utf8_lossy(rest);
        let arguments = text.trim_matches(' ');
        // Octets that are not UTF-8 are not allowed in a path.
        let is_utf8 = matches!(text, Cow::Borrowed(_));
        match verb.as_slice() {
            b"EHLO" => name(arguments).map(Command::Ehlo).ok_or(Error::Syntax("EHLO needs your name")),
            b"HELO" => name(arguments).map(Command::Helo).ok_or(Error::Syntax("HELO needs your name")),
            b"MAIL" if is_utf8 => parameters::mail(arguments),
            b"MAIL" => Err(parameters::MAIL_USAGE),
            b"RCPT" if is_utf8 => parameters::rcpt(arguments),
            b"RCPT" => Err(parameters::RCPT_USAGE),
            b"BDAT" => bdat(arguments),
            b"AUTH" => auth(arguments),
            b"DATA" => alone(arguments, Command::Data),
            b"RSET" => alone(arguments, Command::Rset),
            b"QUIT" => alone(arguments, Command::Quit),
            b"STARTTLS" => alone(arguments, Command::StartTls),
            b"NOOP" => Ok(Command::Noop),
            b"VRFY" => Ok(Command::Vrfy),
            b"HELP" => Ok(Command::Help),
            b"EXPN" | b"ETRN" | b"TURN" | b"ATRN" | b"SEND" | b"SOML" | b"SAML" => Err(Error::NotImplemented),
            _ => Err(Error::Unknown),
        }
    }
}

/// The name that a client gives itself. Devices send all sorts of names, so any printable text without a space is
/// taken: RFC 5321 section 4.1.4 forbids to refuse mail for it.
fn name(arguments: &str) -> Option<String> {
    let name = arguments.split(' ').next().filter(|n| !n.is_empty() && n.len() <= 255)?;
    name.bytes().all(|b| b.is_ascii_graphic()).then(|| name.to_owned())
}

fn alone(arguments: &str, command: Command) -> Result<Command, Error> {
    if arguments.is_empty() { Ok(command) } else { Err(Error::Syntax("That command has no arguments")) }
}

/// Parses the arguments of BDAT (RFC 3030 section 2).
fn bdat(arguments: &str) -> Result<Command, Error> {
    let mut words = arguments.split(' ').filter(|w| !w.is_empty());
    // No octets are announced.
    let Some(digits) = words.next() else { return Err(Error::BadChunk(Some(0))) };
    let octets = number(digits).ok_or(Error::BadChunk(None))?;
    let last = words.next();
    if words.next().is_some() || last.is_some_and(|word| !word.eq_ignore_ascii_case("LAST")) {
        return Err(Error::BadChunk(Some(octets)));
    }
    Ok(Command::Bdat { octets, last: last.is_some() })
}

/// Parses a number of up to 20 digits (RFC 1870 section 4).
fn number(digits: &str) -> Option<u64> {
    let digits = Some(digits).filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))?;
    (digits.len() <= 20).then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Parses the arguments of AUTH (RFC 4954 section 4).
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
mod tests;
