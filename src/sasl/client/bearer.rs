//! Access tokens as credentials: OAUTHBEARER (RFC 7628) and its predecessor XOAUTH2, which only Google and Microsoft
//! document.
//!
//! The client sends everything first. If the server accepts it, that is all. Otherwise the server sends a challenge
//! with the reason in JSON, and the client sends a dummy response, so that the server can refuse.

use std::fmt;
use std::rc::Rc;

use miniserde::Deserialize;
use zeroize::Zeroizing;

use super::{Mechanism, SecretOctets};
use crate::json::{self, Loose};

/// The separator of fields in a message (RFC 7628 section 3.1).
const KVSEP: &str = "\x01";
/// Characters of a server's word that are shown, at most.
const SHOWN: usize = 80;

/// An access token (RFC 6750 section 2.1). It cannot be printed, and is wiped when the last holder drops it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(Rc<Zeroizing<String>>);

impl AccessToken {
    /// An access token; `None` for text with characters that would not be kept apart in a message.
    pub fn new(text: &str) -> Option<AccessToken> {
        let is_token = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic());
        is_token.then(|| AccessToken(Rc::new(Zeroizing::new(text.to_owned()))))
    }

    /// The token itself: only for the server that it was issued for, never for a log.
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
    /// The server's name, which OAUTHBEARER sends.
    pub host: String,
    /// The TCP port, which OAUTHBEARER sends.
    pub port: u16,
}

impl Bearer {
    /// The message of `mechanism`, OAUTHBEARER or XOAUTH2, for `user`.
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
        // All room is reserved at once: a buffer that grows would leave pieces of the token behind.
        let mut message = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| message.extend_from_slice(part.as_bytes()));
        message
    }
}

/// The response to the challenge with the reason (RFC 7628 section 3.2.3).
pub(super) fn dummy(mechanism: Mechanism) -> SecretOctets {
    match mechanism {
        Mechanism::OAuthBearer => KVSEP.as_bytes().to_vec().into(),
        _ => SecretOctets::default(),
    }
}

/// The challenge with the reason (RFC 7628 section 3.2.2).
#[derive(Deserialize)]
struct Why {
    status: Option<Loose>,
}

/// The status in the challenge, such as `invalid_token` or `401`; empty for none.
pub(super) fn status(challenge: &[u8]) -> String {
    let status = json::read(challenge).and_then(|why: Why| why.status);
    let printable = |text: &str| text.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    status.map_or_else(String::new, |status| printable(status.text()))
}
