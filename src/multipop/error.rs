//! What can go wrong with a source, and what its user can do about it.

use std::io;

use crate::oauth2;
use crate::outgoing::{self, PASSES, Party};
use crate::store;

/// Why a poll, or a part of it, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection could not be made, or broke, or the login failed.
    #[error(transparent)]
    Outgoing(#[from] outgoing::Error),
    /// There is no access token to log in with.
    #[error(transparent)]
    Token(#[from] oauth2::Error),
    /// The server sends too much that is not mail.
    #[error("the server goes on and on without sending mail")]
    Chatter,
    /// A message that is listed does not come when it is asked for.
    #[error("a message that the server lists was not sent")]
    NotSent,
    /// A message came twice much shorter than it is listed.
    #[error("a message has {octets} octets, where the server lists {listed}")]
    Short {
        /// Octets that came.
        octets: u64,
        /// Octets that the server lists.
        listed: u64,
    },
    /// A message is far larger than the source's limit and goes on.
    #[error("a message is larger than the {0} octets that are allowed, and has no end")]
    Endless(u64),
    /// The server keeps the poll going and hardly sends anything.
    #[error("the server is too slow: less than 1 KiB of mail a second for half an hour")]
    TooSlow,
    /// The other end does not speak the protocol, or is badly broken.
    #[error("the server does not keep to the protocol: {0}")]
    Protocol(String),
    /// The server is this appliance.
    #[error("the source is this appliance itself: its mail would go round in a circle")]
    Itself,
    /// The server refused the session before the login.
    #[error("the server turned us away: {0}")]
    TurnedAway(String),
    /// The server refused a command that does not usually fail.
    #[error("the server refused {command}: {reason}")]
    Refused {
        /// The command.
        command: String,
        /// The server's words.
        reason: String,
    },
    /// Everything came, and then the connection broke, or the server fell silent, at the deletions.
    #[error("the server did not delete what was collected: {0}")]
    Undeleted(Box<Error>),
    /// The source's settings were changed during the poll.
    #[error("the source was changed or removed")]
    Withdrawn,
    /// A name or pattern in the settings that matches no folder there.
    #[error("the source's folder = \"{0}\" names no folder that can be opened there")]
    NoFolder(String),
    /// The clock is not set, so no certificate can be judged.
    #[error("the clock does not show the time yet, so no certificate can be judged")]
    NoTime,
    /// The mail store failed.
    #[error("the mail store: {0}")]
    Store(#[from] store::Error),
}

impl Error {
    /// Whether the error is the store's, so that nothing is wrong with the connection.
    pub fn is_of_the_store(&self) -> bool {
        matches!(self, Error::Store(_))
    }

    /// Whether the server refused the login: each further try may cost something.
    pub fn is_a_refused_login(&self) -> bool {
        matches!(self, Error::Outgoing(outgoing::Error::Login(_)))
    }

    /// Whether the server has hung up.
    pub fn is_a_hang_up(&self) -> bool {
        use outgoing::Error as Way;
        matches!(self, Error::Outgoing(Way::Closed | Way::Connection(_)))
    }

    /// The error of a poll that had nothing more to do than to delete what it has collected.
    pub fn at_deletions(self) -> Error {
        match self {
            Error::Refused { .. } | Error::Undeleted(_) => self,
            error if error.is_a_hang_up() || error.is_no_answer() => Error::Undeleted(Box::new(error)),
            error => error,
        }
    }

    /// Whether the server did not delete what was collected.
    pub fn is_of_deletions(&self) -> bool {
        let deletes = ["DELE ", "QUIT", "UID STORE ", "UID EXPUNGE ", "EXPUNGE"];
        match self {
            Error::Undeleted(_) => true,
            Error::Refused { command, .. } => deletes.iter().any(|verb| command.starts_with(verb)),
            _ => false,
        }
    }

    /// The error as a sentence: words of servers often end with a full stop, and some with several.
    pub fn sentence(&self) -> String {
        format!("{}.", self.to_string().trim_end_matches('.'))
    }

    /// Whether the server refused a list, or a folder, without which nothing can be collected from it.
    pub fn is_of_a_folder(&self) -> bool {
        let lists = ["LIST", "UIDL", "SELECT ", "EXAMINE ", "UID FETCH 1:"];
        matches!(self, Error::Refused { command, .. } if lists.iter().any(|verb| command.starts_with(verb)))
    }

    /// Whether the server has said nothing, or nothing that makes sense, to what it was asked last.
    pub fn is_no_answer(&self) -> bool {
        matches!(self, Error::Outgoing(outgoing::Error::Silence) | Error::Protocol(_))
    }

    /// Whether the server is the reason that the poll ended.
    pub fn is_of_the_server(&self) -> bool {
        !matches!(self, Error::Store(_) | Error::Withdrawn | Error::Token(_))
    }

    /// What the user can do about the error, as a sentence.
    pub fn advice(&self) -> String {
        let advice = match self {
            Error::Outgoing(error) => return error.advice(Party::Source),
            Error::Token(error) => error.advice(),
            Error::Withdrawn => "Nothing.",
            Error::Itself => "Remove the source, or give it the server of the provider.",
            Error::NoFolder(_) => "Set folder to one of those that the server has.",
            Error::NoTime => "Wait until the network has told the time, or set the clock.",
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
            Error::Refused { .. } | Error::Undeleted(_) if self.is_of_deletions() => {
                "All of it was collected, and none of it comes twice. Look whether the provider lets programs delete mail, \
                 or set leave_on_server for the source."
            }
            Error::Refused { .. } if self.is_of_a_folder() => {
                "Check that the folder is one that the server has. If it lasts, ask the provider."
            }
            Error::Refused { .. } | Error::Undeleted(_) => {
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
        };
        advice.to_owned()
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Outgoing(error.into())
    }
}
