//! Documents signed by a server's key: SignedData of CMS (RFC 5652 section 5), which devices want for a profile.

use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::issuer_and_serial;

/// 1.2.840.113549.1.7.1, data.
const DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 1];
/// 1.2.840.113549.1.7.2, signed data.
const SIGNED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 2];
/// 2.16.840.1.101.3.4.2.1, SHA-256 (RFC 5754 section 2.2).
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
/// 1.2.840.10045.4.3.2, ECDSA with SHA-256 (RFC 5758 section 3.2).
const ECDSA_SHA256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2];
/// 1.2.840.113549.1.1.11, RSA with SHA-256 (RFC 4055 section 5).
const RSA_SHA256: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 11];

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const NULL: &[u8] = &[5, 0];
const OBJECT: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The tag `[0]`, constructed.
const FIRST: u8 = 0xA0;

/// An element of DER (X.690 section 8.1).
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => der.push(short),
        _ => {
            let len = content.len().to_be_bytes();
            let len: Vec<u8> = len.into_iter().skip_while(|&octet| octet == 0).collect();
            der.push(0x80 | u8::try_from(len.len()).unwrap_or_default());
            der.extend(len);
        }
    }
    der.extend_from_slice(content);
    der
}

/// SignedData with `content`, its signature by `key`, and the certificates of `chain`, the key's own first. `None` if
/// the key cannot make such a signature, or its certificate cannot be read.
pub fn signed(content: &[u8], chain: &[CertificateDer<'_>], key: &PrivateKeyDer<'_>) -> Option<Vec<u8>> {
    let key = any_supported_type(key).ok()?;
    let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
    let signer = key.choose_scheme(&schemes)?;
    let algorithm = match signer.scheme() {
        SignatureScheme::ECDSA_NISTP256_SHA256 => element(OBJECT, ECDSA_SHA256),
        _ => [&element(OBJECT, RSA_SHA256), NULL].concat(),
    };
    let (issuer, serial) = issuer_and_serial(chain.first()?)?;
    // Without signed attributes the signature is over the content itself (section 5.4).
    let signature = signer.sign(content).ok()?;
    let sha256 = element(SEQUENCE, &element(OBJECT, SHA256));
    let version = element(INTEGER, &[1]);
    let signer_info = [
        version.clone(),
        element(SEQUENCE, &[element(SEQUENCE, issuer), element(INTEGER, serial)].concat()),
        sha256.clone(),
        element(SEQUENCE, &algorithm),
        element(OCTETS, &signature),
    ];
    let certificates: Vec<u8> = chain.iter().flat_map(|certificate| certificate.as_ref().to_vec()).collect();
    let content = element(FIRST, &element(OCTETS, content));
    let signed_data = [
        version,
        element(SET, &sha256),
        element(SEQUENCE, &[element(OBJECT, DATA), content].concat()),
        element(FIRST, &certificates),
        element(SET, &element(SEQUENCE, &signer_info.concat())),
    ];
    let signed_data = element(FIRST, &element(SEQUENCE, &signed_data.concat()));
    Some(element(SEQUENCE, &[element(OBJECT, SIGNED_DATA), signed_data].concat()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::PrivatePkcs8KeyDer;

    /// Catches: a wrong length, a signature over something else, a certificate that is not found, as another program
    /// sees it.
    #[test]
    fn another_program_verifies_what_is_signed() {
        let pair = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["pillarbox.local".to_owned()]).unwrap().self_signed(&pair).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let folder = std::env::temp_dir().join(format!("pillarbox-cms-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for len in [1, 100, 127, 128, 300, 70_000] {
            let content = "x".repeat(len);
            let der = signed(content.as_bytes(), &[certificate.der().clone()], &key).unwrap();
            let (file, ca) = (folder.join("signed"), folder.join("ca.pem"));
            std::fs::write(&file, &der).unwrap();
            std::fs::write(&ca, certificate.pem()).unwrap();
            let verify = |file: &std::path::Path| {
                let mut openssl = Command::new("openssl");
                openssl.args(["cms", "-verify", "-inform", "DER", "-purpose", "any", "-in"]).arg(file);
                openssl.arg("-CAfile").arg(&ca).output().unwrap()
            };
            let told = verify(&file);
            assert!(told.status.success(), "{len}: {}", String::from_utf8_lossy(&told.stderr));
            assert_eq!(String::from_utf8(told.stdout).unwrap(), content);
            let at =
                der.windows(len.min(50)).position(|part| part.iter().all(|&octet| octet == b'x')).unwrap();
            let mut wrong = der.clone();
            wrong[at] = b'y';
            std::fs::write(&file, &wrong).unwrap();
            assert!(!verify(&file).status.success(), "{len}: what was changed is not verified");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
