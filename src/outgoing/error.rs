//! What can go wrong on the way to a server and with the login there, in words that fit all of them.

use std::io;

use super::Problem;
use crate::net::tls::TlsError;
use crate::sasl::client;

/// Why there is no connection, no login, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name has no address, or nobody could be asked.
    #[error("the address of {host} cannot be found: {source}")]
    Resolve {
        /// The server's name.
        host: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// No address of the server answered.
    #[error("no connection to {host} port {port}: {source}")]
    Connect {
        /// The server's name.
        host: String,
        /// TCP port.
        port: u16,
        /// What the last address tried said.
        source: io::Error,
    },
    /// The handshake failed, most often because the certificate is not trusted.
    #[error("no secure connection: {0}")]
    Tls(Box<Problem>),
    /// Nobody says a word before we do, which is how TLS begins.
    #[error("the server does not greet us")]
    NoGreeting,
    /// It speaks TLS, and the settings say that it does not.
    #[error("the server speaks TLS where its settings expect none")]
    TlsFirst,
    /// The PEM file of extra trust.
    #[error(transparent)]
    Trust(#[from] TlsError),
    /// TLS is demanded, and the server does not have it.
    #[error("the server offers no STARTTLS: {0}")]
    NoStartTls(String),
    /// Octets behind the answer to STARTTLS, before the handshake: they may be anybody's.
    #[error("something was said in the open between STARTTLS and TLS: somebody may be in between")]
    Injected,
    /// No common mechanism.
    #[error("the server offers no way to log in that is known here and allowed by auth")]
    NoMechanism,
    /// The way to log in that is set, or the last one that is left, is not known there or not allowed.
    #[error("the server refuses the way to log in: {0}")]
    Method(String),
    /// The wrong user name or password, or a right one that is not welcome.
    #[error("the login was refused: {0}")]
    Login(String),
    /// The mailbox is in use, or logins come too often.
    #[error("the mailbox cannot be opened now: {0}")]
    Busy(String),
    /// The login broke off.
    #[error("the login failed: {0}")]
    Sasl(#[from] client::Error),
    /// A user name or a password that no command can carry.
    #[error("the user name or the password holds a line end or a NUL")]
    Unsendable,
    /// `auth` is `oauth2`, and there is no access token.
    #[error("there is no permission to log in with")]
    NoToken,
    /// The server takes the access token for no or another user's, or for one that has ended.
    #[error("the access token was refused: {words}{}", in_brackets(status))]
    TokenRefused {
        /// The word of the mechanism, such as `invalid_token` (RFC 7628 section 3.2.2); empty for none.
        status: String,
        /// The server's words.
        words: String,
    },
    /// More octets than a command of POP3 can be expected to carry.
    #[error("the access token has {0} octets, which is more than POP3 servers take")]
    TokenTooLong(usize),
    /// Nothing came for as long as the server is waited for.
    #[error("the server fell silent")]
    Silence,
    /// The connection ended before its time.
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
