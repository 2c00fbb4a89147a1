//! The CA itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};

use super::{CA, CA_KEY, DAY, EPOCH, Shelf, read};
use crate::net::tls::{self, TlsError};

/// Apple's devices refuse a server certificate that is valid for longer.
const VALIDITY: u64 = 825 * DAY;
const CA_VALIDITY: u64 = 30 * 365 * DAY;

/// How long before its end a certificate is replaced.
const RENEWAL: u64 = 30 * DAY;

/// The CA, with its certificate and its key.
pub(super) struct Authority {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    /// The CA in `tls/`, made at the first start. Its key is what counts: the certificate can be made
    /// again from it, and what was signed before still fits.
    pub(super) async fn open(shelf: &Shelf<'_>, now: Option<u64>) -> Result<Authority, TlsError> {
        let flash = shelf.flash;
        // Once devices trust the CA no cut may take it away, with its folder: neither now, nor when a process that
        // was killed has left names that are only in the system's memory.
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
        if let Some(certificate) = known.and_then(|pem| tls::chain(&pem).ok()?.pop()) {
            return Ok(Authority { certificate, key });
        }
        let mut parameters = parameters(&key);
        validity(&mut parameters, now, CA_VALIDITY);
        let certificate = parameters.self_signed(&key).map_err(|error| TlsError::file(CA, error))?;
        shelf.put(CA, &certificate.pem()).await?;
        Ok(Authority { certificate: certificate.der().clone(), key })
    }

    /// Whether a client that trusts the CA accepts this certificate under all of `names`, now and for
    /// [`RENEWAL`] more. Before the clock is set, a certificate of the future is one of the past.
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
        let accepted = |name: &ServerName<'_>| {
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
        names.iter().all(|name| ServerName::try_from(name.as_str()).is_ok_and(|name| accepted(&name)))
    }

    /// A certificate for `names`, and its key, both as PEM.
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

/// The CA's certificate but for its period. Its name holds a part of its key's hash, so that several
/// appliances' CAs can stand in one device's list.
fn parameters(key: &KeyPair) -> CertificateParams {
    let hash = ring::digest::digest(&ring::digest::SHA256, key.public_key_raw());
    let mark = data_encoding::HEXLOWER.encode(hash.as_ref().get(..4).unwrap_or_default());
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, format!("Pillarbox local CA {mark}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

/// From the day before `now`, since clocks differ, for `span` seconds.
fn validity(parameters: &mut CertificateParams, now: Option<u64>, span: u64) {
    parameters.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.unwrap_or(EPOCH) - DAY);
    parameters.not_after = parameters.not_before + Duration::from_secs(span);
}
