//! The server's certificate as the settings and the network want it: from the files in `[tls]`, or made here for every name
//! and address of the server.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::config::Config;
use crate::flash::Flash;
use crate::net::certificate::Certificate;
use crate::net::mdns::local_name;
use crate::net::tls::{self, TlsError};
use crate::net::{addresses, cms, presented};

/// How the network knows the device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Present {
    /// The name that is announced there: another one than the settings give where that was taken.
    pub announced: Option<String>,
    /// The addresses that it has there to stay.
    pub addresses: Vec<IpAddr>,
}

impl Present {
    /// As it is now, but for the announced name, which is given.
    pub fn now(announced: Option<String>) -> Present {
        Present { announced, addresses: addresses::lasting() }
    }
}

/// The server's TLS configuration from `[tls]`; with nothing configured, of the local CA, for the names that stand in the settings.
///
/// # Errors
/// A file that cannot be read or does not fit.
pub async fn server_config(config: &Config, flash: &dyn Flash) -> Result<Arc<ServerConfig>, TlsError> {
    for_network(config, &Present::default(), flash).await
}

/// The same, for the names and addresses that the network knows, too.
///
/// # Errors
/// A file that cannot be read or does not fit.
pub async fn for_network(
    config: &Config,
    present: &Present,
    flash: &dyn Flash,
) -> Result<Arc<ServerConfig>, TlsError> {
    match is_given(config) {
        true => tls::from_files(&config.tls.certificate, &config.tls.key),
        false => tls::from_local_ca(&names(config, present), flash).await,
    }
}

/// Whether the settings name a certificate from elsewhere.
pub fn is_given(config: &Config) -> bool {
    !config.tls.certificate.is_empty() || !config.tls.key.is_empty()
}

/// What clients will refuse of a certificate from elsewhere, or soon: a line each, at `now`, where the time is known. Of one
/// made here nothing has to be said.
pub fn concerns(config: &Config, announced: Option<&str>, now: Option<i64>) -> Vec<String> {
    let name = name_for_clients(config, announced);
    match is_given(config) {
        true => presented::concerns(&config.tls.certificate, &config.tls.key, &name, now),
        false => Vec::new(),
    }
}

/// What tells whether the files of a certificate from elsewhere are others than before; empty where there is none.
pub fn stamps(config: &Config) -> Vec<Option<[i64; 5]>> {
    let stamp = |path: &str| {
        let file = fs::metadata(path).ok()?;
        let place = [file.dev().cast_signed(), file.ino().cast_signed(), file.len().cast_signed()];
        Some([place[0], place[1], place[2], file.mtime(), file.mtime_nsec()])
    };
    let files = [config.tls.certificate.as_str(), config.tls.key.as_str()];
    files.into_iter().filter(|path| !path.is_empty()).map(stamp).collect()
}

/// The name that clients are to use: the host name, but where that is one of mDNS the one that was announced, since another
/// device may have had it already.
pub fn name_for_clients(config: &Config, announced: Option<&str>) -> String {
    let hostname = config.server.hostname.as_str();
    let is_announced = hostname.to_lowercase().trim_end_matches('.').ends_with(".local");
    announced.filter(|_| is_announced).unwrap_or(hostname).to_owned()
}

/// The certificate of the local CA, in PEM: what the devices at home import once. `None` where `[tls]` names a certificate
/// from elsewhere, or nothing was made yet.
pub fn local_ca(config: &Config, flash: &dyn Flash) -> Option<String> {
    let own = config.tls.certificate.is_empty();
    own.then(|| tls::local_ca(flash)).flatten()
}

/// What the server's certificate says of itself, where there is one.
pub fn of_server(config: &Config, flash: &dyn Flash) -> Option<Certificate> {
    Some(Certificate::of(identity(config, flash)?.0.first()?))
}

/// What the certificate of a PEM text says of itself.
pub fn of_pem(pem: &str) -> Option<Certificate> {
    Some(Certificate::of(&der_of(pem)?.into()))
}

/// A fingerprint in two lines that fit on any screen.
pub fn in_lines(fingerprint: &str, indent: &str) -> String {
    let (first, second) =
        fingerprint.split_at_checked(fingerprint.len().div_ceil(2)).unwrap_or((fingerprint, ""));
    format!("{indent}{first}\n{indent}{second}\n")
}

/// The certificate of a PEM text, in DER; the last one, where there are several.
pub fn der_of(pem: &str) -> Option<Vec<u8>> {
    Some(tls::chain(pem.as_bytes()).ok()?.pop()?.to_vec())
}

/// `content`, signed by the server's key (RFC 5652), for devices that trust its certificate. `None` where the files are not there,
/// or the key is of a kind that cannot.
pub fn signed(config: &Config, flash: &dyn Flash, content: &[u8]) -> Option<Vec<u8>> {
    let (chain, key) = identity(config, flash)?;
    cms::signed(content, &chain, &key)
}

/// The server's certificate, with those that vouch for it, and its key.
fn identity(config: &Config, flash: &dyn Flash) -> Option<tls::Identity> {
    match is_given(config) {
        true => tls::identity_in(&config.tls.certificate, &config.tls.key).ok(),
        false => tls::own_identity(flash),
    }
}

/// What clients may call the server: its host name, the one by which a board is announced, `localhost`, and the addresses it listens
/// on: with one for all addresses, all that it has.
fn names(config: &Config, present: &Present) -> BTreeSet<String> {
    let listeners: Vec<IpAddr> =
        config.listen.all().map(|(_, address)| address.ip().to_canonical()).collect();
    let all = listeners.iter().any(IpAddr::is_unspecified);
    let own = listeners.iter().filter(|ip| !ip.is_unspecified());
    let own = own.chain(present.addresses.iter().filter(|_| all));
    let mut names: BTreeSet<String> = own.map(ToString::to_string).collect();
    names.extend(["localhost", "127.0.0.1", "::1", &config.server.hostname].map(str::to_lowercase));
    names.insert(local_name(&config.server.hostname));
    names.extend(present.announced.clone());
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
        let present = Present {
            announced: Some("mail-2.local".to_owned()),
            addresses: ["192.168.1.5", "10.8.0.2", "fe80::5"].map(|it| it.parse().unwrap()).into(),
        };
        let named = names(&config, &present);
        for name in ["mail.home.example", "mail.local", "mail-2.local", "localhost", "127.0.0.1", "::1"] {
            assert!(named.contains(name), "{name} of {named:?}");
        }
        for address in ["192.168.7.5", "192.168.1.5", "10.8.0.2", "fe80::5"] {
            assert!(named.contains(address), "{address} of {named:?}");
        }
        assert!(!named.contains("0.0.0.0"));
        // Where nobody is served at the others, they are nobody's business.
        config.listen.imaps.pop();
        let named = names(&config, &present);
        assert!(named.contains("192.168.7.5") && !named.contains("192.168.1.5"), "{named:?}");
    }

    /// Catches: two appliances in one network, and the second one sends its users' logins to the first.
    #[test]
    fn clients_are_told_the_name_that_the_network_knows() {
        let mut config = Config::default();
        for (hostname, announced, name) in [
            ("pillarbox.local", Some("pillarbox-2.local"), "pillarbox-2.local"),
            ("Pillarbox.LOCAL", Some("pillarbox.local"), "pillarbox.local"),
            ("pillarbox.local", None, "pillarbox.local"),
            ("mail.home.example", Some("mail-2.local"), "mail.home.example"),
        ] {
            config.server.hostname = hostname.try_into().unwrap();
            assert_eq!(name_for_clients(&config, announced), name);
        }
    }
}
