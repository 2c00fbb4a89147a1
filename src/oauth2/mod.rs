//! Permissions to log in elsewhere without a password: an OAuth 2.0 client (RFC 6749).
//!
//! [`Tokens`] hands out access tokens, and renews them with the refresh tokens in the settings. A permission is asked
//! for by a [`Device`] flow (RFC 8628) where the provider has one, or by a [`Code`] flow with PKCE (RFC 7636), at
//! whose end the user pastes the address that the browser could not load. Both are state machines without I/O, for
//! the console and for pages.
//!
//! - An access token is kept in memory only. It is renewed a minute before it ends, and once when a server refuses
//!   it.
//! - A provider may replace the refresh token with each renewal, and then treats the old one as stolen. So a new
//!   refresh token is made durable before anything else is done with it. The renewal runs in a task of its own, since
//!   the poll that needs the token may be dropped at any moment.
//! - A permission that the provider has revoked is not used again until the user gives a new one.
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

/// The events of a response that comes in pieces of `n` octets, in words; for the tests of all its parsers.
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
