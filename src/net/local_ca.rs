//! A certificate authority of one's own, for an appliance that nobody gave a certificate.
//!
//! `tls/ca.pem` is what the devices at home import once. It and its key stay for good; the certificate
//! that it signed is replaced whenever it does not fit any more, which no device notices.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
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

use super::tls::{self, TlsError};
use crate::flash::{self, Flash, Mode};

/// The server's certificate.
pub(super) const CERTIFICATE: &str = "tls/certificate.pem";
const KEY: &str = "tls/key.pem";
const CA: &str = "tls/ca.pem";
const CA_KEY: &str = "tls/ca.key";

const DAY: u64 = 24 * 60 * 60;

/// 2026-01-01: what a clock shows before that is not the time, on a board whose clock has no battery.
const EPOCH: u64 = 1_767_225_600;

/// Apple's devices refuse a server certificate that is valid for longer.
const VALIDITY: u64 = 825 * DAY;
const CA_VALIDITY: u64 = 30 * 365 * DAY;

/// How long before its end a certificate is replaced.
const RENEWAL: u64 = 30 * DAY;

type ServerIdentity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificate in `tls/` and its key, made where they are missing, do not belong together, lack one
/// of `names` or end soon after `now` (seconds since 1970). Where the flash takes no changes, what is made lasts
/// as long as the process: mail can be read meanwhile.
pub(super) async fn identity(
    names: &BTreeSet<String>,
    flash: &dyn Flash,
    now: i64,
) -> Result<ServerIdentity, TlsError> {
    let now = u64::try_from(now).ok().filter(|now| (EPOCH..EPOCH + 100 * 365 * DAY).contains(now));
    let shelf = Shelf { flash, refuses: Cell::new(false) };
    let ca = Authority::open(&shelf, now).await?;
    if let (Some(certificate), Some(key)) = (read(flash, CERTIFICATE)?, read(flash, KEY)?)
        && let (Ok(chain), Ok(key)) = (tls::chain(&certificate), tls::private_key(&key))
        && ca.would_vouch(&chain, &key, names, now)
    {
        return Ok((chain, key));
    }
    log::info!("tls: a new certificate for {}", names.iter().cloned().collect::<Vec<_>>().join(", "));
    let (certificate, key) = ca.issue(names, now).map_err(|error| TlsError::file(CERTIFICATE, error))?;
    // A cut between the two leaves a pair that does not fit, which the next start replaces.
    shelf.put(KEY, &key).await?;
    shelf.put(CERTIFICATE, &certificate).await?;
    let chain = tls::chain(certificate.as_bytes()).map_err(|problem| TlsError::file(CERTIFICATE, problem))?;
    let key = tls::private_key(key.as_bytes()).map_err(|problem| TlsError::file(KEY, problem))?;
    Ok((chain, key))
}

/// The CA's certificate, in PEM, if there is one.
pub(super) fn certificate(flash: &dyn Flash) -> Result<Option<Vec<u8>>, TlsError> {
    read(flash, CA)
}

/// The CA, with its certificate and its key.
struct Authority {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    /// The CA in `tls/`, made at the first start. Its key is what counts: the certificate can be made
    /// again from it, and what was signed before still fits.
    async fn open(shelf: &Shelf<'_>, now: Option<u64>) -> Result<Authority, TlsError> {
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
    fn would_vouch(
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
    fn issue(&self, names: &BTreeSet<String>, now: Option<u64>) -> Result<(String, String), rcgen::Error> {
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

fn read(flash: &dyn Flash, path: &str) -> Result<Option<Vec<u8>>, TlsError> {
    let read = || -> io::Result<Vec<u8>> {
        let file = flash.open(path, Mode::Read)?;
        let len = file.len()?.min(tls::MAX_PEM);
        let mut content = vec![0; usize::try_from(len).unwrap_or_default()];
        file.read_exact_at(0, &mut content)?;
        Ok(content)
    };
    match read() {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TlsError::file(path, error)),
    }
}

/// Where what is made is kept, unless the flash takes no changes.
struct Shelf<'a> {
    flash: &'a dyn Flash,
    /// It was found out, and told.
    refuses: Cell<bool>,
}

impl Shelf<'_> {
    /// Durable, and whole or not at all.
    async fn put(&self, path: &str, content: &str) -> Result<(), TlsError> {
        if self.refuses.get() {
            return Ok(());
        }
        self.taken(path, flash::replace(self.flash, path, content.as_bytes()).await)
    }

    /// What is made of a change's outcome.
    fn taken(&self, path: &str, outcome: io::Result<()>) -> Result<(), TlsError> {
        match outcome {
            Err(error) if flash::takes_no_changes(&error) => {
                if !self.refuses.replace(true) {
                    let words = flash::words(&error);
                    log::warn!("{path}: {words}; what is made anew in tls/ lasts until the appliance stops");
                }
                Ok(())
            }
            other => other.map_err(|error| TlsError::file(path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::disk::Disk;
    use crate::flash::refusing::Refusing;
    use crate::flash::sim::SimFlash;
    use rustix::io::Errno;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    const NOW: i64 = EPOCH as i64 + 1_000_000;
    const DAYS: i64 = DAY as i64;

    /// A data folder that is removed in the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let folder = std::env::temp_dir().join(format!("pillarbox-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            Folder(folder)
        }
        fn content(&self, path: &str) -> String {
            std::fs::read_to_string(self.0.join(path)).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn named(hostname: &str) -> BTreeSet<String> {
        let names = [hostname, "localhost", "127.0.0.1", "::1", "192.168.7.5"];
        names.map(str::to_lowercase).into()
    }

    #[test]
    fn the_certificate_stays_until_it_does_not_fit_and_the_ca_for_good() {
        async_io::block_on(async {
            let folder = Folder::new("local-ca");
            let disk = Disk::new(&folder.0).unwrap();
            let certificate = async |hostname: &str, now| {
                let (chain, _) = identity(&named(hostname), &disk, now).await.unwrap();
                chain[0].clone()
            };
            let first = certificate("pillarbox.local", NOW).await;
            let (ca, ca_key) = (folder.content(CA), folder.content(CA_KEY));
            assert_eq!(certificate("pillarbox.local", NOW).await, first);
            assert_eq!(certificate("PILLARBOX.local", NOW + 790 * DAYS).await, first);
            assert_eq!(certificate("pillarbox.local", 0).await, first, "no clock yet");

            let renewed = certificate("pillarbox.local", NOW + 800 * DAYS).await;
            assert_ne!(renewed, first);
            let renamed = certificate("mail.home.example", NOW).await;
            assert_ne!(renamed, first);
            std::fs::write(folder.0.join(KEY), "torn").unwrap();
            assert_ne!(certificate("mail.home.example", NOW).await, renamed);
            assert_eq!((folder.content(CA), folder.content(CA_KEY)), (ca, ca_key));
        });
    }

    /// Fails where the folder `tls` is not synced into the one above it.
    #[test]
    fn a_cut_leaves_the_ca_that_devices_were_given() {
        smol::block_on(async {
            let flash = SimFlash::default();
            identity(&named("pillarbox.local"), &flash, NOW).await.unwrap();
            let given = certificate(&flash).unwrap().unwrap();
            for seed in 0..8 {
                let flash = flash.restart(seed);
                identity(&named("pillarbox.local"), &flash, NOW).await.unwrap();
                assert!(certificate(&flash).unwrap().unwrap() == given, "cut {seed}");
            }
        });
    }

    #[test]
    fn clients_that_trust_the_ca_accept_every_name() {
        async_io::block_on(async {
            let folder = Folder::new("local-ca-names");
            let disk = Disk::new(&folder.0).unwrap();
            let (chain, key) = identity(&named("pillarbox.local"), &disk, NOW).await.unwrap();
            let shelf = Shelf { flash: &disk, refuses: Cell::default() };
            let ca = Authority::open(&shelf, None).await.unwrap();
            let vouches = |name: &str| {
                ca.would_vouch(&chain, &key, &BTreeSet::from([name.to_owned()]), Some(NOW.unsigned_abs()))
            };
            for name in ["pillarbox.local", "localhost", "127.0.0.1", "::1", "192.168.7.5"] {
                assert!(vouches(name), "{name}");
            }
            for name in ["elsewhere.example", "0.0.0.0", "192.168.7.6"] {
                assert!(!vouches(name), "{name}");
            }
            for path in [KEY, CA_KEY] {
                let mode = std::fs::metadata(folder.0.join(path)).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{path}");
            }
        });
    }

    /// Catches a TLS that is given up where nothing can be kept, and a new key under the old CA's certificate.
    #[test]
    fn what_cannot_be_kept_is_made_for_as_long_as_the_process_lives() {
        async_io::block_on(async {
            for errno in [Errno::ROFS, Errno::IO] {
                let flash = SimFlash::default();
                let certificate = async |flash: &dyn Flash, hostname: &str| {
                    let (chain, key) = identity(&named(hostname), flash, NOW).await.unwrap();
                    assert!(tls::serve(chain.clone(), key).is_ok());
                    chain[0].clone()
                };
                let first = certificate(&flash, "pillarbox.local").await;
                let before = flash.files();
                let refusing = Refusing::new(flash.clone(), Some(errno));
                assert_eq!(certificate(&refusing, "pillarbox.local").await, first);
                let renamed = certificate(&refusing, "mail.home.example").await;
                assert_ne!(renamed, first);
                let roots = BTreeSet::from(["mail.home.example".to_owned()]);
                let shelf = Shelf { flash: &refusing, refuses: Cell::default() };
                let ca = Authority::open(&shelf, None).await.unwrap();
                let (chain, key) = identity(&named("mail.home.example"), &refusing, NOW).await.unwrap();
                assert!(
                    ca.would_vouch(&chain, &key, &roots, Some(NOW.unsigned_abs())),
                    "by the CA that devices know"
                );
                assert_eq!(flash.files(), before);

                // The key of the CA is lost, its certificate is not.
                flash.remove(CA_KEY).unwrap();
                let ca = Authority::open(&shelf, None).await.unwrap();
                let (chain, key) = ca.issue(&roots, None).unwrap();
                let pair = (tls::chain(chain.as_bytes()).unwrap(), tls::private_key(key.as_bytes()).unwrap());
                assert!(ca.would_vouch(&pair.0, &pair.1, &roots, None));
                certificate(&Refusing::new(SimFlash::default(), Some(errno)), "pillarbox.local").await;
            }
        });
    }

    #[test]
    fn a_damaged_ca_key_is_not_replaced_in_silence() {
        async_io::block_on(async {
            let folder = Folder::new("local-ca-damaged");
            let disk = Disk::new(&folder.0).unwrap();
            disk.create_dir("tls").unwrap();
            std::fs::write(folder.0.join(CA_KEY), "torn").unwrap();
            let error = identity(&named("pillarbox.local"), &disk, NOW).await.unwrap_err().to_string();
            assert!(error.starts_with("tls/ca.key: "), "{error}");
            assert!(error.contains("remove it"), "{error}");
        });
    }
}
