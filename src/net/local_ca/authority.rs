//! The CA itself: a key, and a certificate that can be made again from it.
//!
//! The certificate limits the names for which the key may sign (RFC 5280 section 4.2.1.10): a thief of the key cannot
//! pretend to be a bank to the devices that trust it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SerialNumber, date_time_ymd,
};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};

use super::{CA, CA_KEY, DAY, EPOCH, Shelf, read};
use crate::net::tls::{self, TlsError};
use crate::net::trust;

/// Domains that belong to nobody outside: RFC 6762, RFC 8375, RFC 6761.
const HOME_DOMAINS: [&str; 3] = ["local", "home.arpa", "localhost"];
/// Networks that belong to nobody outside, with their prefix lengths: loopback, private and link-local ones.
const HOME_NETWORKS: [(&str, u8); 8] = [
    ("127.0.0.0", 8),
    ("10.0.0.0", 8),
    ("172.16.0.0", 12),
    ("192.168.0.0", 16),
    ("169.254.0.0", 16),
    ("::1", 128),
    ("fc00::", 7),
    ("fe80::", 10),
];

/// Seconds for which a server certificate is valid: Apple's devices refuse a longer time.
const VALIDITY: u64 = 825 * DAY;
/// Seconds for which the CA's certificate is valid.
const CA_VALIDITY: u64 = 30 * 365 * DAY;

/// Seconds before its end when a certificate is replaced.
const RENEWAL: u64 = 30 * DAY;

/// The CA: its certificate and its key.
pub(super) struct Authority {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: KeyPair,
}

impl Authority {
    /// The CA in `tls/`, which may sign for `names`; it is made at the first start. The key is kept for ever. The
    /// certificate is made again from it when it does not fit, and earlier signatures stay valid.
    pub(super) async fn open(
        shelf: &Shelf<'_>,
        names: &BTreeSet<String>,
        now: Option<u64>,
    ) -> Result<Authority, TlsError> {
        let flash = shelf.flash;
        // Once devices trust the CA, a power cut must not take it away together with its folder: neither now, nor
        // after a killed process has left directory entries that are only in the system's memory.
        let made = async {
            flash.create_dir("tls")?;
            flash.sync_dir("tls").await?;
            flash.sync_dir("").await
        };
        shelf.taken("tls", made.await)?;
        let mut known = read(flash, CA)?;
        let key = match read(flash, CA_KEY)? {
            Some(pem) => std::str::from_utf8(&pem)
                .map_err(|error| error.to_string())
                .and_then(|pem| KeyPair::from_pem(pem).map_err(|error| error.to_string()))
                .map_err(|problem| {
                    let advice = "remove it to have a new CA made, which the devices then have to import";
                    TlsError::file(CA_KEY, format!("{problem}; {advice}"))
                })?,
            None => {
                let key = KeyPair::generate().map_err(|error| TlsError::file(CA_KEY, error))?;
                shelf.taken(CA, flash.remove(CA))?;
                known = None;
                shelf.put(CA_KEY, &key.serialize_pem()).await?;
                key
            }
        };
        let known = known.and_then(|pem| tls::chain(&pem).ok()?.pop());
        let mut parameters = parameters(&key);
        parameters.name_constraints = Some(at_home(names));
        // Certificate lists refuse a different certificate with the same issuer and number (NSS).
        parameters.serial_number = Some(SerialNumber::from_slice(&serial()?));
        validity(&mut parameters, now, CA_VALIDITY);
        let certificate = parameters.self_signed(&key).map_err(|error| TlsError::file(CA, error))?;
        if let Some(known) = known {
            let why = if constraints(&known) != constraints(certificate.der()) {
                "for the present host name and what is at home only"
            } else if !covers(&known, now) {
                "since it is not valid yet, or does not last"
            } else {
                return Ok(Authority { certificate: known, key });
            };
            log::warn!(
                "tls: the CA's certificate is made anew, {why}; what trusts its key goes on, and takes the new one from {CA} if it has to"
            );
        }
        shelf.put(CA, &certificate.pem()).await?;
        Ok(Authority { certificate: certificate.der().clone(), key })
    }

    /// Whether a client that trusts the CA accepts this certificate for all of `names`, now and for [`RENEWAL`] more.
    /// Before the clock is set, a certificate from the future counts as one from the past.
    pub(super) fn would_vouch(
        &self,
        chain: &[CertificateDer<'static>],
        key: &PrivateKeyDer<'static>,
        names: &BTreeSet<String>,
        now: Option<u64>,
    ) -> bool {
        let Some((end_entity, intermediates)) = chain.split_first() else { return false };
        let mut roots = RootCertStore::empty();
        let provider = tls::provider();
        let belongs =
            rustls::sign::CertifiedKey::from_der(chain.to_vec(), key.clone_key(), &provider).is_ok();
        if !belongs || roots.add(self.certificate.clone()).is_err() {
            return false;
        }
        let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()
        else {
            return false;
        };
        let verify = |name: &ServerName<'_>, at| {
            verifier.verify_server_cert(end_entity, intermediates, name, &[], at).map(drop)
        };
        let is_of_time = |name: &ServerName<'_>| {
            let mut at = Duration::from_secs(now.unwrap_or(EPOCH));
            if now.is_none()
                && let Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
                    not_before,
                    ..
                })) = verify(name, UnixTime::since_unix_epoch(at))
            {
                at = Duration::from_secs(not_before.as_secs());
            }
            [at, at + Duration::from_secs(RENEWAL)]
                .into_iter()
                .all(|at| verify(name, UnixTime::since_unix_epoch(at)).is_ok())
        };
        // Signatures are verified for the first name only: that is most of the work, and the same for all names.
        let mut names = names.iter().map(|name| ServerName::try_from(name.as_str()));
        let Ok(certificate) = ParsedCertificate::try_from(end_entity) else { return false };
        names.next().is_none_or(|name| name.is_ok_and(|name| is_of_time(&name)))
            && names.all(|name| name.is_ok_and(|name| verify_server_name(&certificate, &name).is_ok()))
    }

    /// A certificate for `names` and its key, both in PEM.
    pub(super) fn issue(
        &self,
        names: &BTreeSet<String>,
        now: Option<u64>,
    ) -> Result<(String, String), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
        validity(&mut parameters, now, VALIDITY);
        parameters.distinguished_name.push(DnType::CommonName, "Pillarbox");
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let issuer = Issuer::new(self::parameters(&self.key), &self.key);
        Ok((parameters.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
    }
}

/// Whether the CA may sign for this address.
pub(super) fn is_at_home(address: IpAddr) -> bool {
    let home = |(network, prefix): &(&str, u8)| {
        let network = network.parse().ok().and_then(|it| ipnet::IpNet::new(it, *prefix).ok());
        network.is_some_and(|network| network.contains(&address))
    };
    HOME_NETWORKS.iter().any(home)
}

/// The name constraints: the home's domains and networks, and those of `names` that are not in these domains.
fn at_home(names: &BTreeSet<String>) -> NameConstraints {
    let is_inside = |name: &str, domain: &str| {
        name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let own = names.iter().map(String::as_str).filter(|name| {
        name.parse::<IpAddr>().is_err() && !HOME_DOMAINS.iter().any(|domain| is_inside(name, domain))
    });
    let domains = HOME_DOMAINS.into_iter().chain(own).map(|name| GeneralSubtree::DnsName(name.to_owned()));
    let networks = HOME_NETWORKS.iter().filter_map(|(network, prefix)| {
        let subnet = CidrSubnet::from_addr_prefix(network.parse().ok()?, *prefix);
        Some(GeneralSubtree::IpAddress(subnet))
    });
    NameConstraints { permitted_subtrees: domains.chain(networks).collect(), excluded_subtrees: Vec::new() }
}

/// The name constraints extension in a certificate: after its identifier, the critical flag and an octet string.
fn constraints<'a>(certificate: &'a CertificateDer<'_>) -> Option<&'a [u8]> {
    const ID: [u8; 5] = [0x06, 0x03, 0x55, 0x1d, 0x1e];
    let start = certificate.windows(ID.len()).position(|octets| octets == ID)?;
    let extension = certificate.get(start..)?;
    let value = extension.get(ID.len()..)?;
    let value = value.strip_prefix(&[0x01, 0x01, 0xff]).unwrap_or(value).strip_prefix(&[0x04])?;
    // A length up to 127 is one octet, a longer one follows the number of its octets (X.690 section 8.1.3).
    let (len, rest) = match value {
        [len @ ..=0x7f, rest @ ..] => (usize::from(*len), rest),
        [0x81, len, rest @ ..] => (usize::from(*len), rest),
        [0x82, high, low, rest @ ..] => (usize::from(*high) << 8 | usize::from(*low), rest),
        _ => return None,
    };
    extension.get(..extension.len() - rest.len() + len)
}

/// Whether the CA's certificate is valid now, and for as long as a certificate that it signs now. True while the
/// clock is not set.
fn covers(certificate: &CertificateDer<'_>, now: Option<u64>) -> bool {
    let Some(now) = now else { return true };
    trust::period(certificate).is_some_and(|(from, until)| from <= now && now + VALIDITY <= until)
}

/// A new serial number of a certificate (RFC 5280 section 4.1.2.2): positive and random.
fn serial() -> Result<[u8; 16], TlsError> {
    let mut octets = [0; 16];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut octets).map_err(|error| TlsError::file(CA, error))?;
    octets[0] = octets[0] & 0x7f | 0x40;
    Ok(octets)
}

/// The CA's certificate without its period, its number and its name constraints. Its name holds a part of the key's
/// hash, so that the CAs of several appliances can be told apart on a device.
pub(super) fn parameters(key: &KeyPair) -> CertificateParams {
    let hash = ring::digest::digest(&ring::digest::SHA256, key.public_key_raw());
    let mark = data_encoding::HEXLOWER.encode(hash.as_ref().get(..4).unwrap_or_default());
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, format!("Pillarbox local CA {mark}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Not for mail signatures or programs, whose names the constraints do not cover.
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters
}

/// Sets a validity of `span` seconds from the day before `now`, since clocks differ.
fn validity(parameters: &mut CertificateParams, now: Option<u64>, span: u64) {
    parameters.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.unwrap_or(EPOCH) - DAY);
    parameters.not_after = parameters.not_before + Duration::from_secs(span);
}
