//! TLS for the services: the server's certificate, from files or made here.
//!
//! TLS 1.2 and 1.3 only. Sessions resume with stateless tickets, so a phone that comes back costs no public-key
//! operation and no memory.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ServerConfig};

use super::binding::Bindings;
use super::{local_ca, trust};
use crate::flash::Flash;

/// Octets of a PEM file that are read, at most: the bundle of all public CAs has a quarter of that.
pub(super) const MAX_PEM: u64 = 1024 * 1024;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file that cannot be used.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl TlsError {
    pub(super) fn file(path: &str, problem: impl Display) -> TlsError {
        TlsError::File { path: path.to_owned(), problem: problem.to_string() }
    }
}

/// The certificate of the local CA in PEM, which the devices at home import once. `None` if none was made yet.
pub fn local_ca(flash: &dyn Flash) -> Option<String> {
    String::from_utf8(local_ca::certificate(flash).ok().flatten()?).ok()
}

/// A server configuration with the certificate (a chain) and the key of these PEM files.
///
/// # Errors
/// A file that cannot be read, or whose content does not fit.
pub fn from_files(certificate: &str, key: &str) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, private_key) = identity_in(certificate, key)?;
    serve(chain, private_key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::file(key, format!("this key does not belong to the certificate in {certificate}"))
        }
        other => TlsError::file(certificate, other),
    })
}

/// A chain of certificates, the own one first, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificate and key in these PEM files.
///
/// # Errors
/// A file that cannot be read, or holds something else.
pub fn identity_in(certificate: &str, key: &str) -> Result<Identity, TlsError> {
    let (certificate_pem, key_pem) = (read_pem(certificate)?, read_pem(key)?);
    let chain = chain(&certificate_pem).map_err(|problem| TlsError::file(certificate, problem))?;
    let private_key = private_key(&key_pem).map_err(|problem| TlsError::file(key, problem))?;
    Ok((chain, private_key))
}

/// The certificate and key that were made here, as they are in the data folder; `None` if they are missing.
pub fn own_identity(flash: &dyn Flash) -> Option<Identity> {
    super::local_ca::stored(flash)
}

/// A server configuration with a certificate made here for `names` (host names and addresses). It is kept in `tls/`
/// in the data folder. A local CA (`ca.pem`) and a certificate signed by it are made at the first start, and a new
/// certificate whenever the present one does not fit or ends within a month.
///
/// # Errors
/// A file that cannot be read, or whose content does not fit.
pub async fn from_local_ca(
    names: &BTreeSet<String>,
    flash: &dyn Flash,
) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, key) = local_ca::identity(names, flash, crate::clock::unix_now()).await?;
    serve(chain, key).map_err(|error| TlsError::file(local_ca::CERTIFICATE, error))
}

/// A client configuration that trusts the built-in roots and the PEM file `ca` (empty: none). A certificate in the
/// file that is the server's own pins exactly that certificate.
///
/// # Errors
/// A file that cannot be read or holds no certificate.
pub fn client_config(ca: &str) -> Result<Arc<ClientConfig>, TlsError> {
    trust::client_config(ca)
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

pub(super) fn read_pem(path: &str) -> Result<Vec<u8>, TlsError> {
    let read = || {
        // Opening the file must not block, whatever it is.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("this is no file"));
        }
        let mut pem = Vec::new();
        if file.take(MAX_PEM + 1).read_to_end(&mut pem)? as u64 > MAX_PEM {
            return Err(io::Error::other("larger than 1 MiB, which no PEM file of certificates is"));
        }
        Ok(pem)
    };
    read().map_err(|error| TlsError::file(path, error))
}

/// The certificates in a PEM text, at least one.
pub(crate) fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if chain.is_empty() => Err("it holds no certificate; it should be PEM, with \
            -----BEGIN CERTIFICATE----- before each"
            .into()),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("not PEM: {error}")),
    }
}

/// The private key in a PEM text.
pub(super) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        PemError::NoItemsFound => "it holds no private key; it should be PEM, not encrypted, with \
            -----BEGIN PRIVATE KEY----- before it"
            .into(),
        other => format!("not PEM: {other}"),
    })
}

pub(super) fn serve(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let bindings = chain.first().map(Bindings::of);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    if let Some(bindings) = bindings {
        config.key_log = Arc::new(bindings);
    }
    config.ticketer = ring::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::KeyPair;

    #[test]
    fn files_that_do_not_fit_are_named_with_advice() {
        let folder = std::env::temp_dir().join(format!("pillarbox-tls-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let own = rcgen::generate_simple_self_signed(["mail.example".to_owned()]).unwrap();
        for (name, content) in [
            ("certificate.pem", own.cert.pem()),
            ("key.pem", own.signing_key.serialize_pem()),
            ("other.pem", KeyPair::generate().unwrap().serialize_pem()),
            ("empty.pem", String::new()),
        ] {
            std::fs::write(path(name), content).unwrap();
        }
        let outcome = |certificate: &str, key: &str| {
            let outcome = from_files(&path(certificate), &path(key));
            outcome.map(drop).map_err(|error| error.to_string().replace(folder.to_str().unwrap(), ""))
        };
        assert_eq!(outcome("certificate.pem", "key.pem"), Ok(()));
        for (certificate, key, problem) in [
            ("certificate.pem", "other.pem", "/other.pem: this key does not belong to the certificate in"),
            ("certificate.pem", "empty.pem", "/empty.pem: it holds no private key"),
            ("certificate.pem", "certificate.pem", "/certificate.pem: it holds no private key"),
            ("empty.pem", "key.pem", "/empty.pem: it holds no certificate"),
            ("missing.pem", "key.pem", "/missing.pem: No such file"),
        ] {
            let error = outcome(certificate, key).unwrap_err();
            assert!(error.starts_with(problem), "{error}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
