//! The contents of a server's certificate, for a person who has to decide whether to trust it.
//!
//! The verifier tells its period and its names. No verifier tells its issuer, so the two names that every certificate
//! holds are read here (RFC 5280 section 4.1, X.690 sections 8.1 and 8.9), and nothing else.

use std::fmt::Write;

use ring::digest::{SHA256, digest};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error};

use super::trust;

/// Names of a certificate that are shown, at most.
const NAMES: usize = 10;
/// Characters of a name that are shown, at most.
const NAME: usize = 100;

/// What is shown of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its SHA-256, as `openssl x509 -fingerprint -sha256` writes it.
    pub fingerprint: String,
    /// The host names and addresses that it is for, as far as they are shown.
    pub names: Vec<String>,
    /// The beginning and end of its validity, in seconds since 1970, if they can be read.
    pub period: Option<(u64, u64)>,
    /// The issuer: its common name, or else its organization. Empty if it cannot be read.
    pub issuer: String,
    /// The subject: its common name, or else its organization. Empty if it cannot be read.
    pub subject: String,
    self_signed: bool,
}

impl Certificate {
    /// What can be read of this certificate.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Certificate {
        let mut fingerprint = String::new();
        for octet in digest(&SHA256, certificate).as_ref() {
            let colon = if fingerprint.is_empty() { "" } else { ":" };
            // Writing to a String cannot fail.
            let _ = write!(fingerprint, "{colon}{octet:02X}");
        }
        let (issuer, subject) = issuer_and_subject(certificate).unwrap_or_default();
        Certificate {
            fingerprint,
            names: names(certificate),
            period: trust::period(certificate),
            issuer: readable(issuer),
            subject: readable(subject),
            self_signed: !issuer.is_empty() && issuer == subject,
        }
    }

    /// Whether its issuer is its subject.
    pub fn is_self_signed(&self) -> bool {
        self.self_signed
    }
}

/// The names of a certificate. The verifier lists them when it refuses another name.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let (Ok(parsed), Ok(nobody)) =
        (ParsedCertificate::try_from(certificate), ServerName::try_from("nobody.invalid"))
    else {
        return Vec::new();
    };
    match verify_server_name(&parsed, &nobody) {
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. })) => {
            presented
                .iter()
                .filter_map(|name| printable(bare(name)?.as_bytes()).map(usual))
                .take(NAMES)
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The name within `DnsName("…")` and `IpAddress(…)`.
fn bare(presented: &str) -> Option<&str> {
    let inner = presented.strip_suffix(')')?.split_once('(')?.1;
    Some(inner.trim_matches('"'))
}

/// An address in its usual form; the verifier writes `0::1`.
fn usual(name: String) -> String {
    name.parse::<std::net::IpAddr>().map_or(name, |address| address.to_string())
}

fn printable(octets: &[u8]) -> Option<String> {
    let text: String = std::str::from_utf8(octets).ok()?.chars().filter(|c| !c.is_control()).collect();
    (!text.is_empty()).then(|| text.chars().take(NAME).collect())
}

/// The issuer and the subject of a certificate, as DER Names without their heads.
fn issuer_and_subject(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let Begun { issuer, rest, .. } = begun(certificate)?;
    // The validity is between them.
    Some((issuer, element(element(rest)?.rest)?.content))
}

/// The issuer and the serial number of a certificate in DER, each without its head.
pub(super) fn issuer_and_serial(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    begun(certificate).map(|Begun { issuer, serial, .. }| (issuer, serial))
}

/// The beginning of a certificate (RFC 5280 section 4.1).
struct Begun<'a> {
    serial: &'a [u8],
    issuer: &'a [u8],
    /// The octets after the issuer.
    rest: &'a [u8],
}

fn begun(certificate: &[u8]) -> Option<Begun<'_>> {
    let mut fields = element(element(certificate)?.content)?.content;
    let mut next = || {
        let element = element(fields)?;
        fields = element.rest;
        Some(element)
    };
    let mut first = next()?;
    if first.tag == VERSION {
        first = next()?;
    }
    // The first element is the serial number; the signature algorithm is between it and the issuer.
    (first.tag == INTEGER).then_some(())?;
    next()?;
    let Element { content: issuer, rest, .. } = next()?;
    Some(Begun { serial: first.content, issuer, rest })
}

/// The common name in a Name, or else its organization.
fn readable(name: &[u8]) -> String {
    const COMMON_NAME: [u8; 3] = [0x55, 4, 3];
    const ORGANIZATION: [u8; 3] = [0x55, 4, 10];
    let of = |wanted: [u8; 3]| {
        let mut sets = name;
        while let Some(set) = element(sets) {
            sets = set.rest;
            let attribute = element(set.content)?;
            let kind = element(attribute.content)?;
            if kind.content == wanted {
                return printable(element(kind.rest)?.content);
            }
        }
        None
    };
    of(COMMON_NAME).or_else(|| of(ORGANIZATION)).unwrap_or_default()
}

const INTEGER: u8 = 0x02;
/// The tag `[0] EXPLICIT`.
const VERSION: u8 = 0xA0;

/// An element of DER, and the octets after it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

fn element(der: &[u8]) -> Option<Element<'_>> {
    let (&tag, der) = der.split_first()?;
    let (&short, der) = der.split_first()?;
    let (length, der) = match short {
        ..=0x7F => (usize::from(short), der),
        0x81..=0x83 => {
            let (long, der) = der.split_at_checked(usize::from(short - 0x80))?;
            (long.iter().fold(0, |length, &octet| length << 8 | usize::from(octet)), der)
        }
        _ => return None,
    };
    let (content, rest) = der.split_at_checked(length)?;
    Some(Element { tag, content, rest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn parameters(names: &[&str], kind: DnType, value: &str) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(kind, value);
        parameters
    }

    /// Catches: a name of the certificate that is left out, an issuer that is really the subject, and one that is not
    /// read.
    #[test]
    fn a_certificate_says_whose_it_is_and_who_signed_it() {
        let (key, ca_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let ca = parameters(&[], DnType::OrganizationName, "A Club\u{7}");
        let own = parameters(&["mail.example", "*.b.example", "10.0.0.1", "::1"], DnType::CommonName, "mail");
        let signed = own.signed_by(&key, &rcgen::Issuer::from_params(&ca, &ca_key)).unwrap();
        let told = Certificate::of(signed.der());
        assert_eq!(told.names, ["mail.example", "*.b.example", "10.0.0.1", "::1"]);
        assert_eq!((told.issuer.as_str(), told.is_self_signed()), ("A Club", false));
        let told = Certificate::of(own.self_signed(&key).unwrap().der());
        assert_eq!((told.issuer.as_str(), told.is_self_signed()), ("mail", true));
        assert!(told.period.is_some() && told.fingerprint.len() == 32 * 3 - 1);
    }

    /// Catches: a read beyond the end of a certificate that is cut short, or in which any octet is wrong.
    #[test]
    fn what_is_no_certificate_is_looked_at_without_harm() {
        let key = KeyPair::generate().unwrap();
        let der =
            parameters(&["a.example"], DnType::CommonName, "a").self_signed(&key).unwrap().der().to_vec();
        for end in 0..der.len() {
            Certificate::of(&der[..end].to_vec().into());
        }
        for place in 0..der.len().min(200) {
            for octet in [0, 0x7F, 0x80, 0x83, 0x84, 0xFF] {
                let mut der = der.clone();
                der[place] = octet;
                Certificate::of(&der.into());
            }
        }
    }
}
