//! What can go wrong with a source, and what its user can do about it.

use std::io;

use crate::oauth2;
use crate::outgoing;
use crate::store;

/// The advice on what nobody here can change.
const PASSES: &str = "This often passes on its own. If it lasts, ask the provider.";

/// Why a poll, or a part of it, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no connection, or none any more.
    #[error(transparent)]
    Outgoing(#[from] outgoing::Error),
    /// There is no access token to log in with.
    #[error(transparent)]
    Token(#[from] oauth2::Error),
    /// It says too much that is no mail.
    #[error("the server goes on and on without sending mail")]
    Chatter,
    /// A message that is listed does not come when it is asked for.
    #[error("a message that the server lists was not sent")]
    NotSent,
    /// A message is much shorter than the server lists it, twice.
    #[error("a message has {octets} octets, where the server lists {listed}")]
    Short {
        /// Octets that came.
        octets: u64,
        /// Octets that were announced.
        listed: u64,
    },
    /// A message is far larger than the source's limit, and not over.
    #[error("a message is larger than the {0} octets that are allowed, and has no end")]
    Endless(u64),
    /// It keeps the poll going, and hardly anything comes of it.
    #[error("the server is too slow: less than 1 KiB of mail a second for half an hour")]
    TooSlow,
    /// The other end is no such server, or a very broken one.
    #[error("the server does not keep to the protocol: {0}")]
    Protocol(String),
    /// Turned away before the login.
    #[error("the server turned us away: {0}")]
    TurnedAway(String),
    /// A command that does not usually fail.
    #[error("the server refused {command}: {reason}")]
    Refused {
        /// The command.
        command: String,
        /// The server's words.
        reason: String,
    },
    /// The source's settings were changed during the poll.
    #[error("the source was changed or removed")]
    Withdrawn,
    /// The mail store.
    #[error("the mail store: {0}")]
    Store(#[from] store::Error),
}

impl Error {
    /// Whether nothing is wrong with the connection.
    pub fn is_of_the_store(&self) -> bool {
        matches!(self, Error::Store(_))
    }

    /// Whether the server is why the poll ended.
    pub fn is_of_the_server(&self) -> bool {
        !matches!(self, Error::Store(_) | Error::Withdrawn | Error::Token(_))
    }

    /// What to do about it, as a sentence for the user.
    pub fn advice(&self) -> &'static str {
        match self {
            Error::Outgoing(error) => advice_on_the_way(error),
            Error::Token(error) => error.advice(),
            Error::Withdrawn => "Nothing.",
            Error::TooSlow | Error::TurnedAway(_) => PASSES,
            Error::Endless(_) => {
                "It stays with the provider, and the others come with the next poll. To have it collected, set a \
                 larger max_size for the source."
            }
            Error::NotSent => {
                "The others are collected all the same. If it lasts, look for it with the provider's own web page."
            }
            Error::Short { .. } => {
                "It was collected as it came. If something is missing in it, look at it with the provider's own web page."
            }
            Error::Protocol(_) | Error::Chatter => {
                "Check that protocol, port and security are those that the provider tells."
            }
            Error::Refused { .. } => {
                "The other messages are collected all the same. If it lasts, ask the provider."
            }
            Error::Store(store::Error::OverQuota) => {
                "The mail stays with the provider. Delete mail here, or have the quota raised."
            }
            Error::Store(store::Error::ReadOnly) => {
                "The mail stays with the provider. Back up with `pillarbox mail export`, then replace the card."
            }
            Error::Store(store::Error::Limit(_)) => {
                "The mail stays with the provider. Delete mail here or there."
            }
            Error::Store(_) => {
                "The mail stays with the provider. Make room by deleting mail, or have the appliance looked at."
            }
        }
    }
}

/// The same about the way to the server, and the login there.
fn advice_on_the_way(error: &outgoing::Error) -> &'static str {
    match error {
        outgoing::Error::Resolve { .. } => {
            "Check the name of the server and this network's connection to the Internet."
        }
        outgoing::Error::Connect { .. } => {
            "Check the name of the server, its port and this network's connection to the Internet."
        }
        outgoing::Error::Tls(_) => {
            "Check that name, port and security are those that the provider tells. If the server's \
             certificate is its own, name its file as the source's ca."
        }
        outgoing::Error::Trust(_) => "Put the file of the source's ca in order.",
        outgoing::Error::NoStartTls(_) | outgoing::Error::Injected => {
            "Set the source's security to \"tls\", with the port that the provider tells for it."
        }
        outgoing::Error::NoMechanism => {
            "Set the source's auth to \"auto\", or ask the provider how to log in."
        }
        outgoing::Error::Login(_) | outgoing::Error::Sasl(_) => {
            "Check the user name and the password of the source. Some providers want POP3 or IMAP to be \
             switched on first, or a password of its own for each program."
        }
        outgoing::Error::Unsendable => "Enter the user name and the password anew.",
        outgoing::Error::NoToken => {
            "Give a permission, or use a password that the provider makes for programs."
        }
        outgoing::Error::TokenRefused { .. } => {
            "Check that the user name is that of the account that gave the permission, and that this account \
             may use POP3 or IMAP. If so, give the permission anew."
        }
        outgoing::Error::TokenTooLong(_) => {
            "Set the source's protocol to \"imap\", with port 993: IMAP takes it."
        }
        outgoing::Error::Silence
        | outgoing::Error::Closed
        | outgoing::Error::Connection(_)
        | outgoing::Error::Busy(_) => PASSES,
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Outgoing(error.into())
    }
}
