//! Access tokens as credentials: OAUTHBEARER (RFC 7628) and XOAUTH2, its elder sister, which is documented by Google and
//! Microsoft alone.
//!
//! The client begins, with all that it has. Where the server takes it that is all; else there is a challenge that says why, in
//! JSON, which has an answer without meaning, so that the server can say no.

use std::fmt;
use std::rc::Rc;

use miniserde::Deserialize;
use zeroize::Zeroizing;

use super::{Mechanism, SecretOctets};
use crate::json::{self, Loose};

/// What fields of a message are separated by (RFC 7628 section 3.1).
const KVSEP: &str = "\x01";
/// Characters of a server's word that are shown.
const SHOWN: usize = 80;

/// An access token (RFC 6750 section 2.1). It does not print; the last one who has it wipes it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(Rc<Zeroizing<String>>);

impl AccessToken {
    /// `None` for what could not be told apart from what is around it.
    pub fn new(text: &str) -> Option<AccessToken> {
        let is_token = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic());
        is_token.then(|| AccessToken(Rc::new(Zeroizing::new(text.to_owned()))))
    }

    /// The token itself: for who it was issued for, never for a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A token for one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The token.
    pub token: AccessToken,
    /// The server's name, which OAUTHBEARER tells it.
    pub host: String,
    /// TCP port, the same.
    pub port: u16,
}

impl Bearer {
    /// The message of `mechanism`, which is one of the two, for `user`.
    pub(super) fn message(&self, mechanism: Mechanism, user: &str) -> SecretOctets {
        let port = self.port.to_string();
        let name = user.replace('=', "=3D").replace(',', "=2C");
        let token = self.token.reveal();
        let parts: &[&str] = match mechanism {
            // RFC 7628 section 3.1, after the header of RFC 5801 section 4.
            Mechanism::OAuthBearer => &[
                "n,a=",
                &name,
                ",",
                KVSEP,
                "host=",
                &self.host,
                KVSEP,
                "port=",
                &port,
                KVSEP,
                "auth=Bearer ",
                token,
                KVSEP,
                KVSEP,
            ],
            _ => &["user=", user, KVSEP, "auth=Bearer ", token, KVSEP, KVSEP],
        };
        // Room for all of it at once: growing would leave pieces of the token behind.
        let mut message = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| message.extend_from_slice(part.as_bytes()));
        message
    }
}

/// What is answered to the challenge that says why (RFC 7628 section 3.2.3).
pub(super) fn dummy(mechanism: Mechanism) -> SecretOctets {
    match mechanism {
        Mechanism::OAuthBearer => KVSEP.as_bytes().to_vec().into(),
        _ => SecretOctets::default(),
    }
}

/// That challenge (RFC 7628 section 3.2.2).
#[derive(Deserialize)]
struct Why {
    status: Option<Loose>,
}

/// The status that it tells, such as `invalid_token` or `401`; empty for none.
pub(super) fn status(challenge: &[u8]) -> String {
    let status = json::read(challenge).and_then(|why: Why| why.status);
    let printable = |text: &str| text.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    status.map_or_else(String::new, |status| printable(status.text()))
}
