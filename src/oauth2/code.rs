//! The authorization code flow (RFC 6749 section 4.1) with PKCE (RFC 7636), for users whose browser runs on another
//! machine. The provider sends the browser to an address of its own machine (RFC 8252 section 7.3), where nothing
//! answers, and the user pastes that address here.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::Error;
use super::form::{self, Form};
use crate::config::OAuth2;
use crate::credential::random;

/// A request for a permission that waits for the user.
pub struct Code {
    address: String,
    redirect: String,
    state: String,
    verifier: Zeroizing<String>,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

impl Code {
    /// Begins a request for `client`; `login` is the user name that the page is to suggest.
    ///
    /// # Errors
    /// The client has no authorization page.
    pub(super) fn begin(client: &OAuth2, scope: &str, login: &str) -> Result<Code, Error> {
        let page = client.authorization_endpoint();
        if page.is_empty() {
            return Err(Error::Settings("there is neither a device_url nor an auth_url"));
        }
        let verifier = Zeroizing::new(BASE64URL_NOPAD.encode(&random::<32>()));
        let challenge = BASE64URL_NOPAD.encode(digest(&SHA256, verifier.as_bytes()).as_ref());
        let state = BASE64URL_NOPAD.encode(&random::<16>());
        // Any port is allowed (RFC 8252 section 7.3): a random one in the range of ephemeral ports.
        let port = 49_152 + u16::from_le_bytes(random()) % 16_000;
        let redirect = format!("http://127.0.0.1:{port}");
        let mut query = Form::new()
            .with("response_type", "code")
            .with("client_id", &client.client_id)
            .with("redirect_uri", &redirect)
            .with("scope", scope)
            .with("state", &state)
            .with("code_challenge", &challenge)
            .with("code_challenge_method", "S256")
            .with("login_hint", login);
        if client.provider == "google" {
            // Asks for a refresh token even if a permission was given before.
            query = query.with("access_type", "offline").with("prompt", "consent");
        }
        // The address may have a query already (RFC 6749 section 3.1).
        let separator = if page.contains('?') { '&' } else { '?' };
        Ok(Code { address: format!("{page}{separator}{}", query.text()), redirect, state, verifier })
    }

    /// The address to open in a browser.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The code in the address at which the browser ended.
    ///
    /// # Errors
    /// The address belongs to another request, or tells that there is no code.
    pub(super) fn code(&self, pasted: &str) -> Result<Zeroizing<String>, Error> {
        let pasted = pasted.trim();
        let (_, query) = pasted.split_once('?').ok_or(Error::Pasted(
            "paste the whole address at which the browser ended: it begins with http://127.0.0.1",
        ))?;
        let query = query.split('#').next().unwrap_or_default();
        // The state must be that of this request (RFC 6749 section 10.12).
        if form::field(query, "state").is_none_or(|state| **state != *self.state) {
            return Err(Error::Pasted(
                "this address answers another question: open the address above, and paste where that ends",
            ));
        }
        if let Some(word) = form::field(query, "error") {
            return Err(match word.as_str() {
                "access_denied" => Error::Denied,
                word => {
                    let words = form::field(query, "error_description");
                    let words = words.as_ref().map_or("", |words| words.as_str());
                    Error::Refused(super::response::shown(format!("{word} {words}").trim()))
                }
            });
        }
        form::field(query, "code")
            .filter(|code| !code.is_empty())
            .ok_or(Error::Pasted("there is no code in this address: paste all of it"))
    }

    /// The request for the tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
    pub(super) fn ask(&self, client: &OAuth2, code: &str) -> Form {
        Form::new()
            .with("grant_type", "authorization_code")
            .with("code", code)
            .with("redirect_uri", &self.redirect)
            .with("code_verifier", &self.verifier)
            .with("client_id", &client.client_id)
            .with("client_secret", client.client_secret.reveal())
    }
}
