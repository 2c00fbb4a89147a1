//! Why a message is still here.

use std::io;

use crate::outgoing::{self, PASSES, Party};
use crate::smtp::Reply;

/// Why the mail is still here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server cannot be used now.
    #[error("{0}")]
    Unavailable(String),
    /// The server has looked at what proves who we are, and does not let us in.
    #[error("the smarthost refuses the login: {0}")]
    Login(String),
    /// The server takes no login now: it has trouble, or there were too many.
    #[error("the smarthost takes no login now: {0}")]
    Busy(String),
    /// A login is not possible as the settings are.
    #[error("{0}")]
    Settings(String),
    /// The same for an access token, which may be another one a moment later.
    #[error("{0}")]
    Token(String),
    /// The server does not do what it offers. The next connection does without, so that it is worth another try at once; that
    /// happens once an hour for each extension at the most.
    #[error("{0}")]
    Again(String),
}

impl From<outgoing::Error> for Failure {
    fn from(error: outgoing::Error) -> Failure {
        match error {
            outgoing::Error::Login(reason) => Failure::Login(reason),
            outgoing::Error::Busy(reason) => Failure::Busy(reason),
            outgoing::Error::NoMechanism
            | outgoing::Error::Method(_)
            | outgoing::Error::Unsendable
            | outgoing::Error::NoToken => {
                Failure::Settings(format!("{error}. {}", error.advice(Party::Smarthost)))
            }
            error @ outgoing::Error::TokenRefused { .. } => Failure::Token(error.to_string()),
            // What the server says makes no sense, or it is another one: the password is not the trouble.
            error @ outgoing::Error::Sasl(_) => Failure::Unavailable(error.to_string()),
            // What passes on its own needs no advice in each line of the queue.
            error => Failure::Unavailable(match error.advice(Party::Smarthost) {
                advice if advice == PASSES => error.to_string(),
                advice => format!("{error}. {advice}"),
            }),
        }
    }
}

/// The connection ended.
pub fn lost(error: io::Error) -> Failure {
    Failure::Unavailable(format!("the connection to the smarthost was lost: {error}"))
}

/// The flash does not give the content.
pub fn unreadable(error: io::Error) -> Failure {
    Failure::Unavailable(format!("the message cannot be read: {error}"))
}

/// MAIL was refused for want of a login (RFC 4954 section 6).
pub fn login_wanted(reply: &Reply) -> Failure {
    match reply.code {
        535 => Failure::Login(reply.to_string()),
        // Nobody has tried to log in, or not as is wanted.
        _ => Failure::Settings(format!("the smarthost wants another login than the settings have: {reply}")),
    }
}

/// An answer that fits nothing.
pub fn nonsense(reply: &Reply) -> String {
    format!("the smarthost gives an answer that fits nothing: {reply}")
}

/// The message may have been taken.
pub fn in_doubt(failure: &Failure) -> Failure {
    Failure::Unavailable(format!("{failure}, after all was sent: it may arrive twice"))
}
