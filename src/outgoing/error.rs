//! Errors on the way to a server and with the login there, in words that fit all kinds of servers.

use std::io;

use super::Problem;
use crate::net::tls::TlsError;
use crate::sasl::client;

/// Why there is no connection or no login, or why the connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name has no address, or no resolver could be asked.
    #[error("the address of {host} cannot be found: {source}")]
    Resolve {
        /// The server's name.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// No address of the server answered.
    #[error("no connection to {host} port {port}: {source}")]
    Connect {
        /// The server's name.
        host: String,
        /// TCP port.
        port: u16,
        /// The error of the last address that was tried.
        source: io::Error,
    },
    /// The handshake failed, most often because the certificate is not trusted.
    #[error("no secure connection: {0}")]
    Tls(Box<Problem>),
    /// The server does not greet us. It may wait for TLS, in which the client speaks first.
    #[error("the server does not greet us")]
    NoGreeting,
    /// The server begins with TLS although the settings say that it does not.
    #[error("the server speaks TLS where its settings expect none")]
    TlsFirst,
    /// The PEM file with further trusted certificates cannot be used.
    #[error(transparent)]
    Trust(#[from] TlsError),
    /// TLS is demanded, and the server does not offer it.
    #[error("the server offers no STARTTLS: {0}")]
    NoStartTls(String),
    /// Octets came after the answer to STARTTLS and before the handshake: anybody may have sent them.
    #[error("something was said in the open between STARTTLS and TLS: somebody may be in between")]
    Injected,
    /// The server offers no mechanism that is known here and allowed.
    #[error("the server offers no way to log in that is known here and allowed by auth")]
    NoMechanism,
    /// The server refuses the mechanism that the settings demand, or the last one that was left.
    #[error("the server refuses the way to log in: {0}")]
    Method(String),
    /// The user name or the password is wrong, or the server does not let this user in.
    #[error("the login was refused: {0}")]
    Login(String),
    /// The mailbox is in use, or logins come too often.
    #[error("the mailbox cannot be opened now: {0}")]
    Busy(String),
    /// The dialog of the login broke off.
    #[error("the login failed: {0}")]
    Sasl(#[from] client::Error),
    /// The user name or the password holds an octet that no command can carry.
    #[error("the user name or the password holds a line end or a NUL")]
    Unsendable,
    /// `auth` is `oauth2`, and there is no access token.
    #[error("there is no permission to log in with")]
    NoToken,
    /// The access token was refused: it is invalid, another user's, or has ended.
    #[error("the access token was refused: {words}{}", in_brackets(status))]
    TokenRefused {
        /// The status of the mechanism, such as `invalid_token` (RFC 7628 section 3.2.2); empty for none.
        status: String,
        /// The server's words.
        words: String,
    },
    /// The access token has more octets than a POP3 command can be expected to carry.
    #[error("the access token has {0} octets, which is more than POP3 servers take")]
    TokenTooLong(usize),
    /// Nothing came within the time for which the server is waited for.
    #[error("the server fell silent")]
    Silence,
    /// The server closed the connection too early.
    #[error("the server closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Connection(io::Error),
}

fn in_brackets(word: &str) -> String {
    if word.is_empty() { String::new() } else { format!(" ({word})") }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::TimedOut => Error::Silence,
            io::ErrorKind::UnexpectedEof => Error::Closed,
            _ => Error::Connection(error),
        }
    }
}
