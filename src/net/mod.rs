//! The network: streams that can turn to TLS in place, bounded lines, listeners, names to addresses.

pub mod addresses;
mod binding;
pub(crate) mod dns;
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

/// Runs `future`, for `limit` at the most.
///
/// Not an `async fn`: that would hold `future` twice, once as its argument and once where it is awaited.
///
/// # Errors
/// `TimedOut`, or the future's own.
pub fn deadline<T>(
    limit: Duration,
    future: impl Future<Output = io::Result<T>>,
) -> impl Future<Output = io::Result<T>> {
    smol::future::or(future, async move {
        async_io::Timer::after(limit).await;
        Err(io::ErrorKind::TimedOut.into())
    })
}
