//! Why there is no token, in words.

use crate::outgoing;

/// What went wrong with a permission.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The way to the server that gives tokens.
    #[error("the token server {host}: {source}")]
    Server {
        /// Its name.
        host: String,
        /// What was in the way.
        source: outgoing::Error,
    },
    /// What it answers is not HTTP, has no end, or holds no token.
    #[error("the token server's answer makes no sense: {0}")]
    Nonsense(&'static str),
    /// It cannot answer now, or not this.
    #[error("the token server answers with status {0}")]
    Status(u16),
    /// It refuses (RFC 6749 section 5.2): the client is not known, or may not do this.
    #[error("the token server refuses: {0}")]
    Refused(String),
    /// `invalid_grant`: the permission has ended or was taken back.
    #[error("the permission has ended or was taken back: {0}")]
    Ended(String),
    /// There was none yet.
    #[error("there is no permission yet")]
    None,
    /// Nobody answered before the code ended (RFC 8628 section 3.5).
    #[error("the code has ended: nobody gave the permission in time")]
    Late,
    /// The user said no.
    #[error("the permission was refused at the provider's page")]
    Denied,
    /// What was pasted.
    #[error("{0}")]
    Pasted(&'static str),
    /// A setting is missing, or was changed meanwhile.
    #[error("{0}")]
    Settings(&'static str),
    /// No certificate can be judged.
    #[error("the clock does not show the time yet")]
    Clock,
    /// A new refresh token cannot be kept: without it the permission would soon be worth nothing.
    #[error("the new refresh token cannot be stored: {0}")]
    Store(String),
}

impl Error {
    /// Whether only a person can help, with a new permission.
    pub fn needs_permission(&self) -> bool {
        matches!(self, Error::Ended(_) | Error::None)
    }

    /// What to do about it, as a sentence for the user.
    pub fn advice(&self) -> &'static str {
        match self {
            Error::Ended(_) | Error::None | Error::Late | Error::Denied | Error::Pasted(_) => {
                "Give a new permission: the operator types `oauth2` and the source in the console."
            }
            Error::Refused(_) | Error::Settings(_) => {
                "Check client_id, client_secret and the addresses of the source's oauth2."
            }
            Error::Store(_) => "Make room by deleting mail, or have the appliance looked at.",
            Error::Server { .. } | Error::Nonsense(_) | Error::Status(_) | Error::Clock => {
                "This often passes on its own. If it lasts, ask the provider."
            }
        }
    }
}
