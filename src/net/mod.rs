//! The network: streams that can turn to TLS in place, bounded lines, listeners, names to addresses.

mod dns;
pub mod line;
pub mod listener;
mod local_ca;
pub mod resolve;
mod secure;
pub mod stream;
pub mod tls;
mod trust;

use std::future::Future;
use std::io;
use std::time::Duration;

/// Runs `future`, for `limit` at the most.
///
/// # Errors
/// `TimedOut`, or the future's own.
pub async fn deadline<T>(limit: Duration, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    smol::future::or(future, async {
        async_io::Timer::after(limit).await;
        Err(io::ErrorKind::TimedOut.into())
    })
    .await
}
