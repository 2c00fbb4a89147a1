//! Why a handshake with a server failed, as data: what it means, and what to do about it, `outgoing` says in words.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

use super::certificate::Certificate;

/// Characters of a greeting that are kept.
const GREETING: usize = 80;

/// Why there is no TLS with a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It speaks nothing newer than TLS 1.1.
    #[error("the server's TLS is older than 1.2")]
    TooOld,
    /// Its certificate is not to be trusted.
    #[error("the server's certificate is not trusted: {0:?}")]
    Untrusted(Distrust, Box<Certificate>),
    /// It could not prove that it has the key of its certificate.
    #[error("the server does not have the key of the certificate that it shows")]
    NoKey,
    /// It speaks, but no TLS: this is how it begins, empty where that is no text.
    #[error("the server does not speak TLS")]
    Plaintext(String),
    /// It ended the handshake by this alert (RFC 8446 section 6.2).
    #[error("the server ended the handshake: {0:?}")]
    Alert(AlertDescription),
    /// It closed the connection.
    #[error("the other end closed during the TLS handshake")]
    Closed,
    /// It said nothing for as long as it is waited for.
    #[error("the server fell silent during the handshake")]
    Silence,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// What is wrong with a certificate. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distrust {
    /// Nobody that is trusted has signed it.
    Issuer,
    /// It, or the one of who signed it, ended then.
    Ended(u64),
    /// It, or the one of who signed it, is valid from then on.
    NotYet(u64),
    /// It is for other names.
    Name,
    /// Anything else.
    Other(String),
}

impl Distrust {
    /// What the verifier says of a certificate.
    pub(super) fn of(why: &CertificateError, certificate: &Certificate) -> Distrust {
        match why {
            CertificateError::ExpiredContext { not_after, .. } => Distrust::Ended(not_after.as_secs()),
            CertificateError::NotValidYetContext { not_before, .. } => Distrust::NotYet(not_before.as_secs()),
            CertificateError::NotValidForNameContext { .. } => Distrust::Name,
            // A CA of the same name with another key signs nothing that holds.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Distrust::Issuer,
            // That it says of itself to be a CA, as those made with one command do, is not why nobody trusts it.
            CertificateError::Other(_) if certificate.is_self_signed() => Distrust::Issuer,
            other => Distrust::Other(other.to_string()),
        }
    }
}

impl Failure {
    /// What ended a handshake with a server, of which `heard` came last.
    pub(super) fn of(error: rustls::Error, heard: &[u8]) -> Failure {
        match &error {
            rustls::Error::InvalidCertificate(CertificateError::Other(other))
                if let Some(failure) = other.0.downcast_ref::<Failure>() =>
            {
                failure.clone()
            }
            rustls::Error::InvalidCertificate(CertificateError::BadSignature) => Failure::NoKey,
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge,
            ) => Failure::Plaintext(text(heard)),
            rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
            | rustls::Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => Failure::TooOld,
            rustls::Error::AlertReceived(alert) => Failure::Alert(*alert),
            other => Failure::Other(other.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        let told = error.get_ref().and_then(|inner| (inner as &dyn Error).downcast_ref::<Failure>());
        match (told, error.kind()) {
            (Some(failure), _) => failure.clone(),
            (None, io::ErrorKind::TimedOut) => Failure::Silence,
            (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => Failure::Closed,
            (None, _) => Failure::Other(error.to_string()),
        }
    }
}

/// The first line of what came, if it is text.
fn text(heard: &[u8]) -> String {
    let line = heard.split(|octet| matches!(octet, b'\r' | b'\n')).next().unwrap_or_default();
    let is_text = line.iter().all(|octet| (b' '..=b'~').contains(octet));
    let line = if is_text { std::str::from_utf8(line).unwrap_or_default() } else { "" };
    line.chars().take(GREETING).collect()
}
