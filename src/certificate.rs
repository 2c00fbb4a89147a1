//! The server's certificate as the settings want it: from the files in `[tls]`, or made here for every name of the server.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::config::Config;
use crate::flash::Flash;
use crate::net::mdns::local_name;
use crate::net::tls::{self, TlsError};

/// The server's TLS configuration from `[tls]`; with nothing configured, of the local CA.
///
/// # Errors
/// A file that cannot be read or does not fit.
pub async fn server_config(config: &Config, flash: &dyn Flash) -> Result<Arc<ServerConfig>, TlsError> {
    let (certificate, key) = (config.tls.certificate.as_str(), config.tls.key.as_str());
    if certificate.is_empty() && key.is_empty() {
        return tls::from_local_ca(&names(config), flash).await;
    }
    tls::from_files(certificate, key)
}

/// The certificate of the local CA, in PEM: what the devices at home import once. `None` where `[tls]` names a certificate
/// from elsewhere, or nothing was made yet.
pub fn local_ca(config: &Config, flash: &dyn Flash) -> Option<String> {
    let own = config.tls.certificate.is_empty();
    own.then(|| tls::local_ca(flash)).flatten()
}

/// What clients may call the server: its host name, the one by which a board is announced, `localhost`, and the addresses it listens on.
fn names(config: &Config) -> BTreeSet<String> {
    let addresses = config.listen.services().into_iter().flat_map(|(_, addresses)| addresses);
    let addresses = addresses.map(|address| address.ip());
    let mut names: BTreeSet<String> =
        addresses.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()).collect();
    names.extend(["localhost", "127.0.0.1", "::1", &config.server.hostname].map(str::to_lowercase));
    names.insert(local_name(&config.server.hostname));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a name or an address by which clients reach the server, and its certificate does not know it.
    #[test]
    fn every_name_of_the_server_is_in_its_certificate() {
        let mut config = Config::default();
        config.server.hostname = "Mail.home.example".try_into().unwrap();
        config.listen.imaps = vec!["192.168.7.5:993".parse().unwrap(), "0.0.0.0:1993".parse().unwrap()];
        let names = names(&config);
        for name in ["mail.home.example", "mail.local", "localhost", "127.0.0.1", "::1", "192.168.7.5"] {
            assert!(names.contains(name), "{name} of {names:?}");
        }
        assert!(!names.contains("0.0.0.0"));
    }
}
