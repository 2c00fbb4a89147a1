//! Parses what an OAuth 2.0 server says about tokens and codes: no I/O.

use std::time::Duration;

use miniserde::Deserialize;

use super::Error;
use crate::config::Secret;
use crate::json::{self, Loose};
use crate::sasl::client::AccessToken;

/// How long an access token counts as valid if the server does not say it.
const USUAL: Duration = Duration::from_secs(3600);
/// How long an access token counts as valid at most, whatever the server says.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Characters of a server's words that are shown, at most.
const SHOWN: usize = 200;

/// Tokens that a server has given.
pub struct Granted {
    /// The access token, for the mail server.
    pub access: AccessToken,
    /// How long the access token is valid.
    pub lasts: Duration,
    /// The new refresh token; `None`: the one before stays valid.
    pub refresh: Option<Secret<4096>>,
}

/// The members of a token response (RFC 6749 sections 5.1 and 5.2).
#[derive(Deserialize)]
struct Members {
    access_token: Option<Loose>,
    token_type: Option<Loose>,
    expires_in: Option<Loose>,
    refresh_token: Option<Loose>,
    error: Option<Loose>,
    error_description: Option<Loose>,
}

/// Why a server refuses: its error code, or another error.
pub enum Refusal {
    /// An error code of RFC 6749 section 5.2 or RFC 8628 section 3.5, and the server's description.
    Word(String, String),
    Other(Error),
}

/// The tokens in a response with this status and content.
///
/// # Errors
/// There are no tokens.
pub fn tokens(status: u16, content: &[u8]) -> Result<Granted, Refusal> {
    let other = |error| Err(Refusal::Other(error));
    let members: Option<Members> = json::read(content);
    let Some(members) = members.filter(|_| status < 500) else {
        return other(if status == 200 {
            Error::Nonsense("it holds no token")
        } else {
            Error::Status(status)
        });
    };
    if let Some(word) = &members.error {
        let words = members.error_description.as_ref().map_or(word.text(), Loose::text);
        return Err(Refusal::Word(shown(word.text()), shown(words)));
    }
    if status != 200 {
        return other(Error::Status(status));
    }
    let is_bearer = members.token_type.is_none_or(|it| it.text().eq_ignore_ascii_case("bearer"));
    let access = members.access_token.and_then(|token| AccessToken::new(token.text()));
    let Some(access) = access.filter(|_| is_bearer) else {
        return other(Error::Nonsense("it holds no token"));
    };
    let lasts = members.expires_in.and_then(|it| it.number()).map_or(USUAL, Duration::from_secs);
    let refresh = match members.refresh_token.filter(|token| !token.text().is_empty()) {
        None => None,
        Some(token) => match Secret::new(token.text()) {
            Some(token) => Some(token),
            None => return other(Error::Store("it has more than 4096 octets".to_owned())),
        },
    };
    Ok(Granted { access, lasts: lasts.min(LONGEST), refresh })
}

impl From<Refusal> for Error {
    /// The error for a refusal of a code or a refresh token.
    fn from(refusal: Refusal) -> Error {
        match refusal {
            Refusal::Other(error) => error,
            Refusal::Word(word, words) => match &*word {
                "invalid_grant" => Error::Ended(words),
                "access_denied" => Error::Denied,
                "temporarily_unavailable" | "server_error" => Error::Status(503),
                _ if words == word => Error::Refused(word),
                _ => Error::Refused(format!("{word}: {words}")),
            },
        }
    }
}

/// The members of a device authorization response (RFC 8628 section 3.2).
#[derive(Deserialize)]
struct DeviceMembers {
    device_code: Option<Loose>,
    user_code: Option<Loose>,
    verification_uri: Option<Loose>,
    /// Google's name for `verification_uri`.
    verification_url: Option<Loose>,
    verification_uri_complete: Option<Loose>,
    expires_in: Option<Loose>,
    interval: Option<Loose>,
}

/// The answer of a device authorization endpoint.
pub struct DeviceCodes {
    pub device_code: Loose,
    pub user_code: String,
    pub uri: String,
    /// The address with the code in it.
    pub complete: Option<String>,
    pub lasts: Duration,
    pub interval: Duration,
}

/// The codes in a response with this status and content.
///
/// # Errors
/// There are no codes.
pub fn device_codes(status: u16, content: &[u8]) -> Result<DeviceCodes, Error> {
    if status != 200 {
        return Err(match tokens(status, content) {
            Err(refusal) => refusal.into(),
            Ok(_) => Error::Status(status),
        });
    }
    let nonsense = || Error::Nonsense("it holds no code");
    let members: DeviceMembers = json::read(content).ok_or_else(nonsense)?;
    let address = |it: &Loose| {
        let is_address = it.text().starts_with("https://") || it.text().starts_with("http://");
        (is_address && it.text().bytes().all(|octet| octet.is_ascii_graphic())).then(|| it.text().to_owned())
    };
    let seconds = |it: Option<Loose>, usual: u64, bounds: (u64, u64)| {
        let seconds = it.and_then(|it| it.number()).unwrap_or(usual);
        Duration::from_secs(seconds.clamp(bounds.0, bounds.1))
    };
    let uri = members.verification_uri.or(members.verification_url);
    let user_code = members.user_code.map(|code| shown(code.text())).filter(|code| !code.is_empty());
    Ok(DeviceCodes {
        device_code: members.device_code.ok_or_else(nonsense)?,
        user_code: user_code.ok_or_else(nonsense)?,
        uri: uri.as_ref().and_then(address).ok_or_else(nonsense)?,
        complete: members.verification_uri_complete.as_ref().and_then(address),
        lasts: seconds(members.expires_in, 600, (10, 3600)),
        interval: seconds(members.interval, 5, (1, 60)),
    })
}

/// A server's words, fit for a log, a console and a mail.
pub fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}
