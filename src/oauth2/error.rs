//! Why there is no access token, in words.

use crate::outgoing;

/// Why there is no access token or no permission.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token server could not be reached.
    #[error("the token server {host}: {source}")]
    Server {
        /// The server's name.
        host: String,
        /// What went wrong on the way.
        source: outgoing::Error,
    },
    /// The response is not HTTP, has no end, or holds no token.
    #[error("the token server's answer makes no sense: {0}")]
    Nonsense(&'static str),
    /// The token server answers with an error status.
    #[error("the token server answers with status {0}")]
    Status(u16),
    /// The token server refuses the request (RFC 6749 section 5.2): it does not know the client, or the client may
    /// not do this.
    #[error("the token server refuses: {0}")]
    Refused(String),
    /// `invalid_grant`: the permission has ended or was revoked.
    #[error("the permission has ended or was taken back: {0}")]
    Ended(String),
    /// No permission was given yet.
    #[error("there is no permission yet")]
    None,
    /// The user did not answer before the code ended (RFC 8628 section 3.5).
    #[error("the code has ended: nobody gave the permission in time")]
    Late,
    /// The user refused.
    #[error("the permission was refused at the provider's page")]
    Denied,
    /// The pasted address cannot be used.
    #[error("{0}")]
    Pasted(&'static str),
    /// A setting is missing, or was changed meanwhile.
    #[error("{0}")]
    Settings(&'static str),
    /// The clock is not set, so no certificate can be judged.
    #[error("the clock does not show the time yet")]
    Clock,
    /// A new refresh token cannot be stored. Without it the permission would soon be lost.
    #[error("the new refresh token cannot be stored: {0}")]
    Store(String),
}

impl Error {
    /// Whether only the user can help, with a new permission.
    pub fn needs_permission(&self) -> bool {
        matches!(self, Error::Ended(_) | Error::None)
    }

    /// What to do about the error, as a sentence for the user.
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
