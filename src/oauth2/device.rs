//! The device flow (RFC 8628): a short code that is typed into the provider's page anywhere. A state machine without I/O.

use std::time::Duration;

use super::Error;
use super::form::Form;
use super::response::{self, DeviceCodes, Granted, Refusal};
use crate::config::OAuth2;

/// What `slow_down` adds (section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// The longest pause, however often a server asks for more.
const SLOWEST: Duration = Duration::from_secs(300);

/// A permission that is waited for.
pub struct Device {
    codes: DeviceCodes,
}

impl Device {
    /// The request that begins it (section 3.1).
    pub(super) fn begin(client: &OAuth2, scope: &str) -> Form {
        Form::new().with("client_id", &client.client_id).with("scope", scope)
    }

    /// Takes the answer to it.
    ///
    /// # Errors
    /// Why there is no code.
    pub(super) fn new(status: u16, content: &[u8]) -> Result<Device, Error> {
        response::device_codes(status, content).map(|codes| Device { codes })
    }

    /// The code that is to be typed.
    pub fn user_code(&self) -> &str {
        &self.codes.user_code
    }

    /// The address where.
    pub fn uri(&self) -> &str {
        &self.codes.uri
    }

    /// The address for a QR code: with the code in it, where the provider has that.
    pub fn complete_uri(&self) -> &str {
        self.codes.complete.as_deref().unwrap_or(&self.codes.uri)
    }

    /// How long the code is good, from the beginning.
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

    /// Takes the answer (section 3.5); `None`: nobody has said yes or no yet.
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
                // What Microsoft calls it.
                "access_denied" | "authorization_declined" => Err(Error::Denied),
                _ => Err(Refusal::Word(word, words).into()),
            },
            // The server has trouble, which the user need not hear of.
            Err(Refusal::Other(Error::Status(500..))) => {
                self.slow_down();
                Ok(None)
            }
            Err(Refusal::Other(error)) => Err(error),
        }
    }

    /// The same where there was no answer.
    pub(super) fn slow_down(&mut self) {
        self.codes.interval = (self.codes.interval + SLOWER).min(SLOWEST);
    }
}
