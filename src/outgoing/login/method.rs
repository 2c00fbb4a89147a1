//! The mechanisms to log in with, what a server offers, and which of these are tried.

use std::collections::VecDeque;

use crate::config::SourceAuth;
use crate::sasl::client::Mechanism;

/// A mechanism to log in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Sasl(Mechanism),
    /// APOP (RFC 1939 section 7).
    Apop,
    /// The protocol's own command for a name and a password.
    Command,
}

impl Method {
    /// The mechanisms for a password, the strongest first: those that do not show the password come before those that
    /// do.
    pub const ALL: [Method; 6] = [
        Method::Sasl(Mechanism::ScramSha256),
        Method::Sasl(Mechanism::CramMd5),
        Method::Apop,
        Method::Sasl(Mechanism::Plain),
        Method::Sasl(Mechanism::Login),
        Method::Command,
    ];

    /// The mechanisms for an access token, the strongest first.
    pub const WITH_TOKEN: [Method; 2] =
        [Method::Sasl(Mechanism::OAuthBearer), Method::Sasl(Mechanism::XOAuth2)];

    pub fn reveals_password(self) -> bool {
        match self {
            Method::Sasl(mechanism) => mechanism.reveals_password(),
            Method::Apop => false,
            Method::Command => true,
        }
    }

    /// The name of the mechanism.
    pub fn in_words(self) -> &'static str {
        match self {
            Method::Sasl(mechanism) => mechanism.name(),
            Method::Apop => "APOP",
            Method::Command => "the protocol's own command",
        }
    }

    /// Whether the server needs the password itself, and cannot check a proof if it keeps only a hash (RFC 2195
    /// section 2, RFC 1939 section 7).
    pub fn needs_the_password_itself(self) -> bool {
        matches!(self, Method::Apop | Method::Sasl(Mechanism::CramMd5))
    }
}

/// What a server offers.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// The SASL mechanisms.
    pub mechanisms: Vec<Mechanism>,
    /// The timestamp in the greeting, for APOP.
    pub timestamp: Option<String>,
    /// The protocol's own command for a name and a password: the source's `auth` that names it, and whether the
    /// server allows it.
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

/// The mechanisms to try for a password, in this order.
pub(super) fn ways(auth: SourceAuth, offer: &Offer) -> VecDeque<Method> {
    let named = |method| offer.name(method) == Some(auth);
    // Where one name stands for two mechanisms, as LOGIN does in IMAP, only those are tried that the server offers.
    let alone = Method::ALL.into_iter().filter(|&method| named(method)).count() == 1;
    let tried = |&method: &Method| match auth {
        SourceAuth::Auto => offer.has(method),
        _ => named(method) && (alone || offer.has(method)),
    };
    Method::ALL.into_iter().filter(tried).collect()
}

/// The mechanisms to try for an access token, in this order. A server that names no mechanism at all, as some POP3
/// servers do, may have the older one.
pub(super) fn ways_with_token(offer: &Offer) -> VecDeque<Method> {
    let silent = offer.mechanisms.is_empty();
    let tried = |method: &Method| offer.has(*method) || silent && *method == Method::Sasl(Mechanism::XOAuth2);
    Method::WITH_TOKEN.into_iter().filter(tried).collect()
}
