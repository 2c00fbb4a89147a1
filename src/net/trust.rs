//! The trust of clients in other servers.
//!
//! Every server is verified. Chains to the built-in roots and to the certificates in a file are trusted. Besides, a
//! certificate in that file is trusted if the server presents exactly it, whatever it says of itself: the operator
//! has vouched for it, and the handshake proves that the server has its key.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use super::certificate::Certificate;
use super::handshake::{Distrust, Failure};
use super::tls::{self, TlsError, provider};

/// A client configuration that trusts the built-in roots and the PEM file `ca` (empty: none). A certificate in the
/// file that is the server's own pins exactly that certificate: its name, expiry and issuer do not count then.
///
/// # Errors
/// A file that cannot be read or holds no certificate.
pub fn client_config(ca: &str) -> Result<Arc<ClientConfig>, TlsError> {
    let named = if ca.is_empty() {
        Vec::new()
    } else {
        tls::chain(&tls::read_pem(ca)?).map_err(|problem| TlsError::file(ca, problem))?
    };
    shared(named).map_err(|error| TlsError::file(ca, error))
}

type Certificates = Vec<CertificateDer<'static>>;

thread_local! {
    static IN_USE: RefCell<Vec<(Certificates, Weak<ClientConfig>)>> = const { RefCell::new(Vec::new()) };
}

/// The configuration for these certificates, shared by all connections that trust the same ones for as long as there
/// are any: the built-in roots alone take 12 KB.
fn shared(named: Certificates) -> Result<Arc<ClientConfig>, Error> {
    IN_USE.with_borrow_mut(|in_use| {
        in_use.retain(|(_, config)| config.strong_count() > 0);
        let same = in_use.iter().find(|(other, _)| *other == named);
        if let Some(config) = same.and_then(|(_, config)| config.upgrade()) {
            return Ok(config);
        }
        let config = config(named.clone())?;
        in_use.push((named, Arc::downgrade(&config)));
        Ok(config)
    })
}

pub(super) fn config(named: Certificates) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // A certificate that cannot be read as an issuer can still be pinned.
    roots.add_parsable_certificates(named.iter().cloned());
    let provider = provider();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trust { verifier, pinned: named, provider }))
        .with_no_client_auth();
    // A poll every ten minutes can afford a full handshake, and each one verifies the server.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// The beginning and end of a certificate's validity in seconds since 1970; `None` if they cannot be read.
///
/// The verifier tells them, since it checks the time before anything else. So no other parser reads certificates.
pub(super) fn period(certificate: &CertificateDer<'_>) -> Option<(u64, u64)> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    let refused_at = |seconds| {
        let moment = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        match verifier.verify_server_cert(certificate, &[], &name, &[], moment) {
            Err(Error::InvalidCertificate(why)) => Some(why),
            _ => None,
        }
    };
    // No certificate is valid for so long: its year has four digits.
    let Some(CertificateError::ExpiredContext { not_after, .. }) = refused_at(1 << 48) else { return None };
    let from = match refused_at(0) {
        Some(CertificateError::NotValidYetContext { not_before, .. }) => not_before.as_secs(),
        _ => 0,
    };
    Some((from, not_after.as_secs()))
}

/// The verifier's refusal, with the certificate that it concerns.
fn untrusted(certificate: &CertificateDer<'_>, why: &CertificateError) -> Error {
    let certificate = Box::new(Certificate::of(certificate));
    let failure = Failure::Untrusted(Distrust::of(why, &certificate), certificate);
    CertificateError::Other(OtherError(Arc::new(failure))).into()
}

#[derive(Debug)]
struct Trust {
    verifier: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.pinned.contains(end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let verified =
            self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| match error {
            Error::InvalidCertificate(why) => untrusted(end_entity, &why),
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream::tests::pair;
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::sign::{CertifiedKey, SingleCertAndKey};

    /// A server's certificate and its key.
    struct Identity {
        certificate: CertificateDer<'static>,
        key: KeyPair,
    }

    fn parameters(name: &str) -> CertificateParams {
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters
    }

    fn ca_parameters(name: &str) -> CertificateParams {
        let mut parameters = parameters(name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters
    }

    fn self_signed(parameters: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity { certificate: parameters.self_signed(&key).unwrap().der().clone(), key }
    }

    fn signed(parameters: &CertificateParams, ca: &Identity) -> Identity {
        let key = KeyPair::generate().unwrap();
        let ca_parameters = ca_parameters("the CA");
        let issuer = Issuer::from_params(&ca_parameters, &ca.key);
        Identity { certificate: parameters.signed_by(&key, &issuer).unwrap().der().clone(), key }
    }

    /// A server that may present a certificate whose key it does not have.
    fn server(identity: &Identity) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
        let key = provider().key_provider.load_private_key(key).unwrap();
        let certified = CertifiedKey::new(vec![identity.certificate.clone()], key);
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        Arc::new(config)
    }

    /// The result of a client that trusts `named` at a server that should be `localhost`.
    async fn connect(presented: &Identity, named: &[&Identity]) -> Result<(), Failure> {
        let client_config = shared(named.iter().map(|named| named.certificate.clone()).collect()).unwrap();
        let (mut client, mut server_side) = pair().await;
        let (result, _) = smol::future::zip(
            async {
                let result = client.connect_tls(client_config, "localhost").await;
                if result.is_ok() {
                    assert_eq!(client.fill().await.unwrap(), b"hello");
                }
                client.close().await;
                result
            },
            async {
                if server_side.accept_tls(server(presented)).await.is_ok() {
                    server_side.queue(b"hello");
                }
                server_side.close().await;
            },
        )
        .await;
        result.map_err(Failure::from)
    }

    /// Catches: trust in certificates of another source's file, and a configuration that is kept when no connection
    /// uses it.
    #[test]
    fn only_those_who_trust_the_same_share_it() {
        let [one, other] = ["one", "other"].map(|name| self_signed(&ca_parameters(name)).certificate);
        let (none, first) = (shared(Vec::new()).unwrap(), shared(vec![one.clone()]).unwrap());
        let others =
            [vec![other.clone()], vec![one.clone(), other.clone()]].map(|named| shared(named).unwrap());
        for different in others.iter().chain([&none]) {
            assert!(!Arc::ptr_eq(different, &first));
        }
        assert!(Arc::ptr_eq(&shared(vec![one]).unwrap(), &first));
        drop((first, others));
        assert!(Arc::ptr_eq(&shared(Vec::new()).unwrap(), &none));
        assert_eq!(IN_USE.with_borrow(Vec::len), 1);
    }

    fn distrust(failure: Failure) -> Distrust {
        let Failure::Untrusted(distrust, _) = failure else { panic!("{failure:?}") };
        distrust
    }

    #[test]
    fn chains_are_verified_strictly() {
        async_io::block_on(async {
            let [ca, other_ca] = [(); 2].map(|()| self_signed(&ca_parameters("the CA")));
            let good = signed(&parameters("localhost"), &ca);
            let misnamed = signed(&parameters("elsewhere.example"), &ca);
            let mut expired = parameters("localhost");
            expired.not_after = date_time_ymd(2020, 1, 1);
            let expired = signed(&expired, &ca);

            assert_eq!(connect(&good, &[&ca]).await, Ok(()));
            assert_eq!(connect(&good, &[&other_ca, &ca]).await, Ok(()));
            for (presented, named, problem) in [
                (&good, &[][..], Distrust::Issuer),
                (&good, &[&other_ca], Distrust::Issuer),
                (&misnamed, &[&ca], Distrust::Name),
                (&expired, &[&ca], Distrust::Ended(1_577_836_800)),
            ] {
                assert_eq!(distrust(connect(presented, named).await.unwrap_err()), problem);
            }
        });
    }

    /// Catches: a self-signed certificate in the file that is refused since it says that it is a CA, as `openssl req
    /// -x509` makes it.
    #[test]
    fn a_certificate_in_the_file_is_pinned_whatever_it_says() {
        async_io::block_on(async {
            let home_made = self_signed(&ca_parameters("localhost"));
            let misnamed = self_signed(&ca_parameters("nas.example"));
            let mut expired = parameters("localhost");
            expired.not_after = date_time_ymd(2020, 1, 1);
            let expired = self_signed(&expired);
            for presented in [&home_made, &misnamed, &expired] {
                assert_eq!(connect(presented, &[presented]).await, Ok(()));
                // Without the file each is refused as untrusted, also the second one, which is for another name, and
                // the third one, which has ended.
                distrust(connect(presented, &[]).await.unwrap_err());
            }
            assert_eq!(distrust(connect(&home_made, &[]).await.unwrap_err()), Distrust::Issuer);
            connect(&misnamed, &[&home_made]).await.unwrap_err();
            connect(&self_signed(&ca_parameters("localhost")), &[&home_made]).await.unwrap_err();
        });
    }

    #[test]
    fn a_pinned_certificate_is_worth_nothing_without_its_key() {
        async_io::block_on(async {
            let pinned = self_signed(&ca_parameters("localhost"));
            let copied =
                Identity { certificate: pinned.certificate.clone(), key: KeyPair::generate().unwrap() };
            let error = connect(&copied, &[&pinned]).await.unwrap_err();
            assert_eq!(error, Failure::NoKey);
        });
    }

    /// Catches: a period other than the one in the certificate, whoever signed it and for whatever purpose.
    #[test]
    fn a_certificate_tells_its_period() {
        let ca = self_signed(&ca_parameters("the CA"));
        let (from, until) = (date_time_ymd(2031, 2, 3), date_time_ymd(2033, 4, 5));
        for mut parameters in [parameters("localhost"), ca_parameters("localhost")] {
            (parameters.not_before, parameters.not_after) = (from, until);
            for identity in [self_signed(&parameters), signed(&parameters, &ca)] {
                let told = [from, until].map(|it| it.unix_timestamp().unsigned_abs());
                assert_eq!(period(&identity.certificate), Some(told.into()));
            }
        }
        let mut oldest = parameters("localhost");
        oldest.not_before = date_time_ymd(1970, 1, 1);
        oldest.not_after = date_time_ymd(9999, 12, 31);
        assert_eq!(period(&self_signed(&oldest).certificate).map(|(from, _)| from), Some(0));
        assert_eq!(period(&CertificateDer::from(vec![0x30, 0x00])), None);
    }

    #[test]
    fn files_without_a_certificate_are_refused() {
        let folder = std::env::temp_dir().join(format!("pillarbox-trust-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("ca.pem");
        let error = || client_config(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(error().ends_with("No such file or directory (os error 2)"), "{}", error());
        std::fs::write(&path, "hello\n").unwrap();
        assert!(error().contains("it holds no certificate"), "{}", error());
        std::fs::write(&path, self_signed(&parameters("localhost")).key.serialize_pem()).unwrap();
        assert!(error().contains("it holds no certificate"), "{}", error());
        client_config("").unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
