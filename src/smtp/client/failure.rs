//! Why a message could not be handed over.

use std::io;

use crate::outgoing::{self, PASSES, Party};
use crate::smtp::Reply;

/// Why a message could not be handed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server cannot be used now.
    #[error("{0}")]
    Unavailable(String),
    /// The server has checked the password and refuses the login.
    #[error("the smarthost refuses the login: {0}")]
    Login(String),
    /// The server takes no login now: it has trouble, or there were too many logins.
    #[error("the smarthost takes no login now: {0}")]
    Busy(String),
    /// With these settings no login is possible.
    #[error("{0}")]
    Settings(String),
    /// The access token was refused, or there is none. The next one may be accepted a moment later.
    #[error("{0}")]
    Token(String),
    /// The server does not do what it offers. The next connection does without that extension, so another try at once
    /// makes sense. This happens once an hour for each extension at most. Or it takes no further message on this
    /// connection, on which it has taken one.
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
            // The server's message makes no sense, or it is an impostor: the password is not to blame.
            error @ outgoing::Error::Sasl(_) => Failure::Unavailable(error.to_string()),
            // An error that passes by itself needs no advice in each line of the queue.
            error => Failure::Unavailable(match error.advice(Party::Smarthost) {
                advice if advice == PASSES => error.to_string(),
                advice => format!("{error}. {advice}"),
            }),
        }
    }
}

/// The failure for a connection that ended.
pub fn lost(error: io::Error) -> Failure {
    Failure::Unavailable(format!("the connection to the smarthost was lost: {error}"))
}

/// The failure for a content that cannot be read from flash.
pub fn unreadable(error: io::Error) -> Failure {
    Failure::Unavailable(format!("the message cannot be read: {error}"))
}

/// The failure for a MAIL command that was refused for lack of a login (RFC 4954 section 6).
pub fn login_wanted(reply: &Reply) -> Failure {
    match reply.code {
        535 => Failure::Login(reply.to_string()),
        // There was no login, or not the one that the server wants.
        _ => Failure::Settings(format!("the smarthost wants another login than the settings have: {reply}")),
    }
}

/// The words for an answer that does not fit the command.
pub fn nonsense(reply: &Reply) -> String {
    format!("the smarthost gives an answer that fits nothing: {reply}")
}

/// The failure for a message that was sent whole and may have been taken.
pub fn in_doubt(failure: &Failure) -> Failure {
    Failure::Unavailable(format!("{failure}, after all was sent: it may arrive twice"))
}
