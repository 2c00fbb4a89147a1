//! What can go wrong on the way to a server, in words that fit all of them.

use std::io;

use crate::net::tls::TlsError;

/// Why there is no connection, or none any more.
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
    Tls(io::Error),
    /// The PEM file of extra trust.
    #[error(transparent)]
    Trust(#[from] TlsError),
    /// TLS is demanded, and the server does not have it.
    #[error("the server offers no STARTTLS: {0}")]
    NoStartTls(String),
    /// Octets behind the answer to STARTTLS, before the handshake: they may be anybody's.
    #[error("something was said in the open between STARTTLS and TLS: somebody may be in between")]
    Injected,
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

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::TimedOut => Error::Silence,
            io::ErrorKind::UnexpectedEof => Error::Closed,
            _ => Error::Connection(error),
        }
    }
}
