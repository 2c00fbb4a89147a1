//! The network: streams that change to TLS in place, lines with a limit, listeners, name resolution.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

pub mod addresses;
mod binding;
pub mod certificate;
pub mod cms;
pub(crate) mod dns;
pub mod handshake;
pub mod idna;
pub mod line;
pub mod listener;
mod local_ca;
pub mod mdns;
mod plaintext;
pub mod presented;
pub mod resolve;
mod secure;
pub mod stream;
pub mod tls;
mod trust;

pub use binding::ChannelBindings;

use std::future::Future;
use std::io;
use std::time::Duration;

/// Runs `future` for `limit` at most, by the machine's clock. Only for what has no other clock: DNS questions and the
/// end of a connection. Everything else uses [`crate::clock::Time::deadline`].
///
/// # Errors
/// `TimedOut`, or the error of `future`.
pub fn deadline<T>(
    limit: Duration,
    future: impl Future<Output = io::Result<T>>,
) -> impl Future<Output = io::Result<T>> {
    let end = async move {
        async_io::Timer::after(limit).await;
    };
    crate::clock::until(end, future)
}
