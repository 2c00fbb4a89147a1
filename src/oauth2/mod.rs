//! Permissions to log in elsewhere without a password: a client of OAuth 2.0 (RFC 6749).
//!
//! [`Tokens`] hands out access tokens, and renews them with the refresh tokens of the settings. A permission is asked for by a
//! [`Device`] flow (RFC 8628), where the provider has one, or by a [`Code`] flow with PKCE (RFC 7636), whose end a browser cannot
//! load and a person pastes: both are states without I/O, for the console and for whatever page comes.
//!
//! - An access token is in memory only. It is renewed a minute before it ends, and once when a server refuses it.
//! - A provider may replace the refresh token with each renewal, and then takes the old one for stolen. So what it sends is durable
//!   before anything is done with it; the work is not that of the poll that needs the token, which may be dropped at any moment.
//! - A permission that the provider takes back is asked for no more until somebody gives a new one.
//!
//! Secrets are wiped, and are in no log and no error.

mod answer;
mod ask;
mod code;
mod device;
mod error;
mod form;
mod response;
mod tokens;

pub use code::Code;
pub use device::Device;
pub use error::Error;
pub use tokens::{Asking, Keeper, Tokens};

/// What the octets of an answer that come in pieces of `n` mean, in words; for the tests of all of them.
#[cfg(any(test, fuzzing))]
pub(crate) fn heard(octets: &[u8], n: usize) -> Vec<String> {
    let mut answer = answer::Answer::new();
    for piece in octets.chunks(n) {
        match answer.take(piece) {
            Ok(false) => {}
            Ok(true) => break,
            Err(error) => return vec![error.to_string()],
        }
    }
    let (status, content) = match answer.end() {
        Ok(whole) => whole,
        Err(error) => return vec![error.to_string()],
    };
    let tokens = match response::tokens(status, &content) {
        Ok(granted) => format!("{:?} {:?}", granted.access, granted.refresh),
        Err(refusal) => Error::from(refusal).to_string(),
    };
    let codes = match response::device_codes(status, &content) {
        Ok(codes) => [codes.user_code, codes.uri, codes.complete.unwrap_or_default()].join(" "),
        Err(error) => error.to_string(),
    };
    vec![status.to_string(), tokens, codes]
}

#[cfg(test)]
pub(crate) mod tests;
