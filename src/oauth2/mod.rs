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

#[cfg(test)]
pub(crate) mod tests;
