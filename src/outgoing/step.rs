//! What a connection that is being opened does next, whatever the protocol.

use zeroize::Zeroizing;

/// After a line of the server. It may hold a password, so it does not print.
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
pub enum Step<T> {
    /// Read another line.
    Read,
    /// Send this and a CRLF, then read a line.
    Send(Zeroizing<String>),
    /// Turn the connection to TLS, then tell the opening so.
    StartTls,
    /// The server is ready for what we came for.
    Done(T),
}

impl<T> Step<T> {
    /// Sends a line that is put together here: growing would leave a part of a password behind.
    pub fn send(parts: &[&str]) -> Step<T> {
        Step::Send(Zeroizing::new(parts.concat()))
    }
}
