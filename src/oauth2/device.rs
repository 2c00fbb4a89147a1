//! The device flow (RFC 8628): the user types a short code into the provider's page on any device. A state machine
//! without I/O.

use std::time::Duration;

use super::Error;
use super::form::Form;
use super::response::{self, DeviceCodes, Granted, Refusal};
use crate::config::OAuth2;

/// How much longer `slow_down` makes the pause (section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// The longest pause, however often the server asks for a longer one.
const SLOWEST: Duration = Duration::from_secs(300);

/// A request for a permission that waits for the user.
pub struct Device {
    codes: DeviceCodes,
}

impl Device {
    /// The request that begins the flow (section 3.1).
    pub(super) fn begin(client: &OAuth2, scope: &str) -> Form {
        Form::new().with("client_id", &client.client_id).with("scope", scope)
    }

    /// Takes the response to the first request.
    ///
    /// # Errors
    /// There is no code.
    pub(super) fn new(status: u16, content: &[u8]) -> Result<Device, Error> {
        response::device_codes(status, content).map(|codes| Device { codes })
    }

    /// The code that the user is to type.
    pub fn user_code(&self) -> &str {
        &self.codes.user_code
    }

    /// The address where the user is to type the code.
    pub fn uri(&self) -> &str {
        &self.codes.uri
    }

    /// The address for a QR code: with the code in it, if the provider gives such an address.
    pub fn complete_uri(&self) -> &str {
        self.codes.complete.as_deref().unwrap_or(&self.codes.uri)
    }

    /// How long the code is valid, from the beginning.
    pub fn lasts(&self) -> Duration {
        self.codes.lasts
    }

    /// The pause before the next request.
    pub fn pause(&self) -> Duration {
        self.codes.interval
    }

    /// The request for the tokens (section 3.4).
    pub(super) fn ask(&self, client: &OAuth2) -> Form {
        Form::new()
            .with("grant_type", "urn:ietf:params:oauth:grant-type:device_code")
            .with("device_code", self.codes.device_code.text())
            .with("client_id", &client.client_id)
            .with("client_secret", client.client_secret.reveal())
    }

    /// Takes the response (section 3.5); `None` if the user has not decided yet.
    ///
    /// # Errors
    /// There will be no tokens.
    pub(super) fn hear(&mut self, status: u16, content: &[u8]) -> Result<Option<Granted>, Error> {
        match response::tokens(status, content) {
            Ok(granted) => Ok(Some(granted)),
            Err(Refusal::Word(word, words)) => match &*word {
                "authorization_pending" => Ok(None),
                "slow_down" => {
                    self.slow_down();
                    Ok(None)
                }
                "expired_token" | "code_expired" => Err(Error::Late),
                // Microsoft uses the second word.
                "access_denied" | "authorization_declined" => Err(Error::Denied),
                _ => Err(Refusal::Word(word, words).into()),
            },
            // An error at the server that passes, and of which the user need not know.
            Err(Refusal::Other(Error::Status(500..))) => {
                self.slow_down();
                Ok(None)
            }
            Err(Refusal::Other(error)) => Err(error),
        }
    }

    /// Makes the pause longer, as after `slow_down`: there was no response.
    pub(super) fn slow_down(&mut self) {
        self.codes.interval = (self.codes.interval + SLOWER).min(SLOWEST);
    }
}
