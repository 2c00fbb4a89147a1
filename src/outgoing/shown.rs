//! The steps on the way to a server in words, for a person who tries the settings out.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Error, Route};
use crate::clock::Time;
use crate::message::date::rfc5322;
use crate::net::certificate::Certificate;
use crate::net::resolve;

/// Addresses of a name that are shown, at most.
const ADDRESSES: usize = 8;

/// The line for a step and its result, without line end.
pub fn step(step: &str, words: &str) -> String {
    format!("{step:<11}{words}")
}

/// The addresses of the server's name, in words.
///
/// # Errors
/// [`Error::Resolve`].
pub async fn name(route: &Route<'_>, patience: Duration, time: &Time) -> Result<String, Error> {
    let addresses = time.deadline(patience, resolve::resolve(route.host, route.port)).await;
    let addresses = addresses.map_err(|source| Error::Resolve { host: route.host.to_owned(), source })?;
    let shown: Vec<String> =
        addresses.iter().take(ADDRESSES).map(|address| address.ip().to_string()).collect();
    Ok(format!("{} is {}", route.host, shown.join(", ")))
}

/// The address and port at the other end of a connection, in words.
pub fn peer(peer: SocketAddr) -> String {
    format!("{} port {}", peer.ip(), peer.port())
}

/// The version of TLS and the chain of certificates, the server's own first, one line for each.
pub fn chain(version: &str, certificates: &[Certificate]) -> Vec<String> {
    let date = |seconds: u64| rfc5322(i64::try_from(seconds).unwrap_or(i64::MAX));
    let in_words = |(n, certificate): (usize, &Certificate)| {
        let Certificate { names, period, issuer, subject, .. } = certificate;
        let known =
            |name: &str| if name.is_empty() { "somebody without a name".to_owned() } else { name.to_owned() };
        let mut words = match n {
            0 => format!("{version}, certificate for {}", names.join(", ")),
            _ => format!("that is {}", known(subject)),
        };
        if let Some((from, until)) = period {
            if n > 0 {
                words += &format!(", from {}", date(*from));
            }
            words += &format!(", until {}", date(*until));
        }
        words += &match (n, certificate.is_self_signed()) {
            (0, true) => ", signed by itself and trusted since ca names it".to_owned(),
            (_, true) => ", signed by itself".to_owned(),
            (_, false) => format!(", signed by {}", known(issuer)),
        };
        words
    };
    certificates.iter().enumerate().map(in_words).collect()
}
