//! The ways to log in, what a server offers of them, and which are tried.

use std::collections::VecDeque;

use crate::config::SourceAuth;
use crate::sasl::client::Mechanism;

/// A way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Sasl(Mechanism),
    /// RFC 1939 section 7.
    Apop,
    /// The protocol's own command for a name and a password.
    Command,
}

impl Method {
    /// The strongest first: those that do not show the password come before those that do.
    pub const ALL: [Method; 6] = [
        Method::Sasl(Mechanism::ScramSha256),
        Method::Sasl(Mechanism::CramMd5),
        Method::Apop,
        Method::Sasl(Mechanism::Plain),
        Method::Sasl(Mechanism::Login),
        Method::Command,
    ];

    /// The same with an access token.
    pub const WITH_TOKEN: [Method; 2] =
        [Method::Sasl(Mechanism::OAuthBearer), Method::Sasl(Mechanism::XOAuth2)];

    pub fn reveals_password(self) -> bool {
        match self {
            Method::Sasl(mechanism) => mechanism.reveals_password(),
            Method::Apop => false,
            Method::Command => true,
        }
    }

    /// What it is called.
    pub fn in_words(self) -> &'static str {
        match self {
            Method::Sasl(mechanism) => mechanism.name(),
            Method::Apop => "APOP",
            Method::Command => "the protocol's own command",
        }
    }

    /// Whether a server that keeps a hash of the password cannot check it (RFC 2195 section 2, RFC 1939 section 7).
    pub fn needs_the_password_itself(self) -> bool {
        matches!(self, Method::Apop | Method::Sasl(Mechanism::CramMd5))
    }
}

/// What a server offers.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// SASL.
    pub mechanisms: Vec<Mechanism>,
    /// For APOP.
    pub timestamp: Option<String>,
    /// The protocol's own command for a name and a password: what it is called as a source's `auth`, and whether the
    /// server lets it be used.
    pub command: Option<(SourceAuth, bool)>,
}

impl Offer {
    fn has(&self, method: Method) -> bool {
        match method {
            Method::Sasl(mechanism) => self.mechanisms.contains(&mechanism),
            Method::Apop => self.timestamp.is_some(),
            Method::Command => self.command.is_some_and(|(_, offered)| offered),
        }
    }

    fn name(&self, method: Method) -> Option<SourceAuth> {
        Some(match method {
            Method::Sasl(Mechanism::ScramSha256) => SourceAuth::ScramSha256,
            Method::Sasl(Mechanism::CramMd5) => SourceAuth::CramMd5,
            Method::Sasl(Mechanism::Plain) => SourceAuth::Plain,
            Method::Sasl(Mechanism::Login) => SourceAuth::Login,
            Method::Sasl(Mechanism::OAuthBearer | Mechanism::XOAuth2) => SourceAuth::OAuth2,
            Method::Apop => SourceAuth::Apop,
            Method::Command => return self.command.map(|(name, _)| name),
        })
    }
}

/// The ways to show a password, in their order.
pub(super) fn ways(auth: SourceAuth, offer: &Offer) -> VecDeque<Method> {
    let named = |method| offer.name(method) == Some(auth);
    // Where one name stands for two ways, as LOGIN does in IMAP, the server has to say which one it knows.
    let alone = Method::ALL.into_iter().filter(|&method| named(method)).count() == 1;
    let tried = |&method: &Method| match auth {
        SourceAuth::Auto => offer.has(method),
        _ => named(method) && (alone || offer.has(method)),
    };
    Method::ALL.into_iter().filter(tried).collect()
}

/// The same for a token. A server that names no mechanism at all, as some of POP3 do, may have the elder one.
pub(super) fn ways_with_token(offer: &Offer) -> VecDeque<Method> {
    let silent = offer.mechanisms.is_empty();
    let tried = |method: &Method| offer.has(*method) || silent && *method == Method::Sasl(Mechanism::XOAuth2);
    Method::WITH_TOKEN.into_iter().filter(tried).collect()
}
