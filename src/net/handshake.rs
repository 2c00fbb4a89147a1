//! Why a handshake with a server failed, as data. `outgoing` says in words what it means and what to do.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

use super::certificate::Certificate;

/// Characters of a greeting that are kept, at most.
const GREETING: usize = 80;

/// Why there is no TLS with a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server has no version newer than TLS 1.1.
    #[error("the server's TLS is older than 1.2")]
    TooOld,
    /// The server's certificate is not trusted.
    #[error("the server's certificate is not trusted: {0:?}")]
    Untrusted(Distrust, Box<Certificate>),
    /// The server could not prove that it has the key of its certificate.
    #[error("the server does not have the key of the certificate that it shows")]
    NoKey,
    /// The server does not speak TLS. With the beginning of what it sends; empty if that is not text.
    #[error("the server does not speak TLS")]
    Plaintext(String),
    /// The server ended the handshake with this alert (RFC 8446 section 6.2).
    #[error("the server ended the handshake: {0:?}")]
    Alert(AlertDescription),
    /// The server closed the connection.
    #[error("the other end closed during the TLS handshake")]
    Closed,
    /// The server sent nothing before the deadline.
    #[error("the server fell silent during the handshake")]
    Silence,
    /// Any other error.
    #[error("{0}")]
    Other(String),
}

/// Why a certificate is not trusted. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distrust {
    /// No trusted authority has signed it.
    Issuer,
    /// The certificate, or one of its issuers', ended at this time.
    Ended(u64),
    /// The certificate, or one of its issuers', is valid only from this time on.
    NotYet(u64),
    /// The certificate is for other names.
    Name,
    /// Any other reason.
    Other(String),
}

impl Distrust {
    /// The reason for a refusal by the verifier.
    pub(super) fn of(why: &CertificateError, certificate: &Certificate) -> Distrust {
        match why {
            CertificateError::ExpiredContext { not_after, .. } => Distrust::Ended(not_after.as_secs()),
            CertificateError::NotValidYetContext { not_before, .. } => Distrust::NotYet(not_before.as_secs()),
            CertificateError::NotValidForNameContext { .. } => Distrust::Name,
            // A CA of the same name with another key has not signed it.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Distrust::Issuer,
            // A self-signed certificate often says that it is a CA; the reason for not trusting it is another one.
            CertificateError::Other(_) if certificate.is_self_signed() => Distrust::Issuer,
            other => Distrust::Other(other.to_string()),
        }
    }
}

impl Failure {
    /// The failure of a handshake with a server, of which `heard` came last.
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
