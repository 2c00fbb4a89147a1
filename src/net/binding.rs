//! Channel bindings (RFC 5056): data that both ends of a TLS connection know and that nobody in between can make
//! equal. SCRAM's PLUS variants prove with it that client and server share one connection.
//!
//! The unbuffered API of rustls exports no keying material, but gives a [`KeyLog`] the secret from which it is made.
//! Our log derives the binding from the secret and keeps only that, until [`taken`] is called. With TLS 1.2 there is
//! no binding: `tls-exporter` is safe there only with an extension that rustls cannot demand (RFC 9266 section 4).
//! Without a binding that every client knows, clients that want another one would fail to log in, which works without
//! any.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use ring::{digest, hkdf};
use rustls::KeyLog;
use rustls::pki_types::CertificateDer;

/// The data to which a client may bind its login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelBindings {
    /// `tls-exporter` (RFC 9266).
    pub exporter: [u8; 32],
    /// `tls-server-end-point` (RFC 5929 section 4), if the certificate's signature uses exactly one hash.
    pub end_point: Option<Arc<[u8]>>,
}

impl ChannelBindings {
    /// The data of the binding with this registered name.
    pub fn named(&self, name: &str) -> Option<&[u8]> {
        match name {
            "tls-exporter" => Some(&self.exporter),
            "tls-server-end-point" => self.end_point.as_deref(),
            _ => None,
        }
    }
}

thread_local! {
    /// Handshakes are computed without a pause, so what is here after a part of one belongs to it.
    static LATEST: Cell<Option<ChannelBindings>> = const { Cell::new(None) };
}

/// The bindings of the handshake that was just computed, if it has come far enough.
pub(super) fn taken() -> Option<ChannelBindings> {
    LATEST.take()
}

/// Derives the bindings of a server's connections.
pub(super) struct Bindings {
    end_point: Option<Arc<[u8]>>,
}

impl Bindings {
    /// The bindings of a server with this certificate.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Bindings {
        Bindings { end_point: end_point(certificate).map(|hash| hash.as_ref().into()) }
    }
}

impl fmt::Debug for Bindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bindings")
    }
}

impl KeyLog for Bindings {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        if self.will_log(label)
            && let Some(exporter) = exporter(secret)
        {
            LATEST.set(Some(ChannelBindings { exporter, end_point: self.end_point.clone() }));
        }
    }
    fn will_log(&self, label: &str) -> bool {
        label == "EXPORTER_SECRET"
    }
}

/// `TLS-Exporter("EXPORTER-Channel-Binding", "", 32)` of RFC 8446 section 7.5, with the hash of the cipher suite,
/// which the length of the secret tells.
fn exporter(secret: &[u8]) -> Option<[u8; 32]> {
    let (hmac, hash) = match secret.len() {
        32 => (hkdf::HKDF_SHA256, &digest::SHA256),
        48 => (hkdf::HKDF_SHA384, &digest::SHA384),
        _ => return None,
    };
    let nothing = digest::digest(hash, b"");
    let mut derived = [0; digest::MAX_OUTPUT_LEN];
    let derived = derived.get_mut(..secret.len())?;
    expand_label(hmac, secret, b"EXPORTER-Channel-Binding", nothing.as_ref(), derived)?;
    let mut exporter = [0; 32];
    expand_label(hmac, derived, b"exporter", nothing.as_ref(), &mut exporter)?;
    Some(exporter)
}

/// HKDF-Expand-Label (RFC 8446 section 7.1).
fn expand_label(
    hmac: hkdf::Algorithm,
    secret: &[u8],
    label: &[u8],
    context: &[u8],
    out: &mut [u8],
) -> Option<()> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_length = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    let context_length = [u8::try_from(context.len()).ok()?];
    let info = [&length[..], &label_length, PREFIX, label, &context_length, context];
    let key = hkdf::Prk::new_less_safe(hmac, secret);
    key.expand(&info, Length(out.len())).ok()?.fill(out).ok()
}

/// The certificate's hash for `tls-server-end-point` (RFC 5929 section 4.1), with the hash of the certificate's own
/// signature, but SHA-256 instead of MD5 and SHA-1. `None` if the signature uses no hash (Ed25519) or more than one.
fn end_point(certificate: &[u8]) -> Option<digest::Digest> {
    let (_, certificate_content, _) = element(certificate)?;
    let (_, _, after_tbs) = element(certificate_content)?;
    let (_, algorithm, _) = element(after_tbs)?;
    let (_, identifier, parameters) = element(algorithm)?;
    let identifier = match identifier {
        RSASSA_PSS => pss_hash(parameters)?,
        other => other,
    };
    let (_, hash) = HASHES.iter().find(|(known, _)| *known == identifier)?;
    Some(digest::digest(hash, certificate))
}

/// The hash of RSASSA-PSS parameters: the field `[0]`, or else SHA-1 (RFC 4055 section 3.1).
fn pss_hash(parameters: &[u8]) -> Option<&[u8]> {
    let (_, fields, _) = element(parameters)?;
    match element(fields) {
        Some((0xa0, hash, _)) => {
            let (_, algorithm, _) = element(hash)?;
            let (_, identifier, _) = element(algorithm)?;
            Some(identifier)
        }
        _ => Some(SHA1),
    }
}

/// The tag and the content of the DER element at the beginning of `octets`, and what follows it. Lengths up to
/// 65,535, which are enough for certificates in TLS.
fn element(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = octets.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => rest.split_first().map(|(&length, rest)| (usize::from(length), rest))?,
        0x82 => rest
            .split_first_chunk::<2>()
            .map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// 1.2.840.113549.1.1.10, RSASSA-PSS.
const RSASSA_PSS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
/// 1.3.14.3.2.26, SHA-1.
const SHA1: &[u8] = b"\x2b\x0e\x03\x02\x1a";

/// Object identifiers of signatures, and of hashes in RSASSA-PSS, each with the hash to use.
const HASHES: [(&[u8], &digest::Algorithm); 13] = [
    // 1.2.840.113549.1.1.{4, 5, 11, 12, 13}: RSA with MD5, SHA-1, SHA-256, SHA-384, SHA-512.
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", &digest::SHA256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", &digest::SHA256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", &digest::SHA256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", &digest::SHA384),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", &digest::SHA512),
    // 1.2.840.10045.4.{1, 3.2, 3.3, 3.4}: ECDSA with SHA-1, SHA-256, SHA-384, SHA-512.
    (b"\x2a\x86\x48\xce\x3d\x04\x01", &digest::SHA256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x02", &digest::SHA256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x03", &digest::SHA384),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x04", &digest::SHA512),
    // The hashes alone: SHA-1, and 2.16.840.1.101.3.4.2.{1, 2, 3}.
    (SHA1, &digest::SHA256),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x01", &digest::SHA256),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x02", &digest::SHA384),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x03", &digest::SHA512),
];

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ClientConnection, RootCertStore, version};

    use super::*;
    use crate::net::secure::Secure;
    use crate::net::tls;

    /// The results of a handshake: the client's exporter from rustls itself, and our bindings.
    fn handshake(
        suite: Option<&'static rustls::SupportedProtocolVersion>,
    ) -> (Vec<u8>, Option<ChannelBindings>) {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let mut server = Secure::server(tls::serve(vec![own.cert.der().clone()], key).unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone()).unwrap();
        let versions = suite.map_or_else(|| vec![&version::TLS13], |version| vec![version]);
        let config = rustls::ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(&versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let (mut there, mut back) = (Vec::new(), Vec::new());
            client.write_tls(&mut there).unwrap();
            server.receive(&there, &mut Default::default(), &mut back).unwrap();
            client.read_tls(&mut Cursor::new(back)).unwrap();
            client.process_new_packets().unwrap();
        }
        let exporter =
            client.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).unwrap();
        (exporter.to_vec(), server.bindings().cloned())
    }

    #[test]
    fn both_ends_export_the_same_and_every_connection_something_else() {
        let (client, server) = handshake(None);
        let server = server.unwrap();
        assert_eq!(server.named("tls-exporter"), Some(&client[..]));
        assert_eq!(server.named("tls-unique"), None);
        let (other, _) = handshake(None);
        assert_ne!(client, other);
        assert_eq!(taken(), None, "nothing is left for the next connection");
    }

    #[test]
    fn tls_1_2_has_no_binding() {
        assert_eq!(handshake(Some(&version::TLS12)).1, None);
    }

    #[test]
    fn the_end_point_is_hashed_as_the_certificate_is_signed() {
        let hash =
            |algorithm, certificate: &[u8]| Some(digest::digest(algorithm, certificate).as_ref().to_vec());
        let found = |certificate: &[u8]| end_point(certificate).map(|hash| hash.as_ref().to_vec());
        for (algorithm, expected) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Some(&digest::SHA256)),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Some(&digest::SHA384)),
            (&rcgen::PKCS_ED25519, None),
        ] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let own =
                CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
            assert_eq!(found(own.der()), expected.and_then(|expected| hash(expected, own.der())));
        }
        // Made by openssl: RSA with SHA-1, SHA-512, and RSASSA-PSS with SHA-384.
        for (pem, expected) in [
            (include_str!("binding/rsa_sha1.pem"), &digest::SHA256),
            (include_str!("binding/rsa_sha512.pem"), &digest::SHA512),
            (include_str!("binding/pss_sha384.pem"), &digest::SHA384),
        ] {
            let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            assert_eq!(found(&certificate), hash(expected, &certificate));
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end_point() {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let whole = own.cert.der();
        for end in 0..whole.len() {
            assert!(end_point(&whole[..end]).is_none(), "the first {end} octets");
        }
    }
}
