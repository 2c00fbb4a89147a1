//! What to do next with a connection that is being opened, whatever the protocol.

use zeroize::Zeroizing;

/// The next step after a line of the server. It may hold a password, so it cannot be printed.
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
pub enum Step<T> {
    /// Read another line.
    Read,
    /// Send this and a CRLF, then read a line.
    Send(Zeroizing<String>),
    /// Change the connection to TLS, then call the opening's `secured`.
    StartTls,
    /// The connection is open for its purpose.
    Done(T),
}

impl<T> Step<T> {
    /// Sends a line that consists of `parts`. A string that grows would leave a part of a password in memory.
    pub fn send(parts: &[&str]) -> Step<T> {
        Step::Send(Zeroizing::new(parts.concat()))
    }
}
