//! Why there is no TLS with a server, and what to do about it, in words.

use std::fmt;

use rustls::AlertDescription;

use super::advice::{PASSES, Party};
use super::route::Route;
use crate::clock::unix_now;
use crate::config::Security;
use crate::message::date::rfc5322;
use crate::net::certificate::Certificate;
use crate::net::handshake::{Distrust, Failure};

/// A handshake that failed, and the server that it failed with.
#[derive(Debug)]
pub struct Problem {
    failure: Failure,
    host: String,
    port: u16,
    /// The name of the protocol for `openssl s_client -starttls`, if TLS begins with a command.
    starttls: Option<&'static str>,
    /// The port on which the protocol usually begins with TLS.
    tls_port: u16,
    /// Whether the settings name a file with further trusted certificates.
    has_ca: bool,
    now: i64,
}

impl Problem {
    pub(super) fn new(failure: Failure, route: &Route<'_>) -> Problem {
        Problem {
            failure,
            host: route.host.to_owned(),
            port: route.port,
            starttls: (route.security == Security::Starttls).then_some(route.protocol),
            tls_port: match route.protocol {
                "pop3" => 995,
                "imap" => 993,
                "http" => 443,
                _ => 465,
            },
            has_ca: !route.ca.is_empty(),
            now: unix_now(),
        }
    }

    /// What to do about the error.
    pub fn advice(&self, party: Party) -> String {
        let (name, host) = (party.name(), &self.host);
        match &self.failure {
            Failure::TooOld => {
                "Have the server updated, or ask the provider for one with TLS 1.2 or newer. Nothing is sent with less."
                    .to_owned()
            }
            Failure::Untrusted(distrust, certificate) => self.on_distrust(distrust, certificate, party),
            Failure::NoKey => format!("Somebody may be in between. Check that host {host} is right, and ask the provider."),
            Failure::Plaintext(_) if self.port == self.tls_port => {
                "Something else than the provider's server may answer there: check the host, and what is in between."
                    .to_owned()
            }
            Failure::Plaintext(_) => format!(
                "Set the {name}'s security to \"starttls\", or its port to the one for TLS, which usually is {}.",
                self.tls_port
            ),
            Failure::Alert(AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity) => {
                "Have the server updated, or ask the provider for one with today's TLS.".to_owned()
            }
            Failure::Alert(AlertDescription::UnrecognisedName) => {
                format!("Set the {name}'s host to the name that the provider tells.")
            }
            Failure::Closed | Failure::Silence if self.port != self.tls_port && self.starttls.is_none() => format!(
                "TLS may not come first on this port: set the {name}'s security to \"starttls\", or its port to the one \
                 for TLS, which usually is {}.",
                self.tls_port
            ),
            Failure::Alert(_) | Failure::Closed | Failure::Silence | Failure::Other(_) => PASSES.to_owned(),
        }
    }

    fn on_distrust(&self, distrust: &Distrust, certificate: &Certificate, party: Party) -> String {
        let name = party.name();
        match distrust {
            Distrust::Issuer => {
                let first = if self.has_ca {
                    "It is not what the file in ca vouches for. If the server has a new certificate"
                } else {
                    "If you know the server"
                };
                format!("{first}, {}", self.pinning(name))
            }
            Distrust::Ended(_) | Distrust::NotYet(_) => {
                let mut advice =
                    "If the date here is wrong, set the clock. Else the server needs another certificate: \
                                  tell the provider."
                        .to_owned();
                if certificate.is_self_signed() {
                    advice += &format!(" If you know the server, {}", self.pinning(name));
                }
                advice
            }
            Distrust::Name => match certificate.names.first() {
                Some(_) => format!(
                    "Set the {name}'s host to the name that the provider tells. If the server is your own, {}",
                    self.pinning(name)
                ),
                None => format!("If you know the server, {}", self.pinning(name)),
            },
            Distrust::Other(_) => format!("If you know the server, {}", self.pinning(name)),
        }
    }

    /// How to trust only this certificate.
    fn pinning(&self, name: &str) -> String {
        let Problem { host, port, .. } = self;
        let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let starttls = self.starttls.map(|protocol| format!(" -starttls {protocol}")).unwrap_or_default();
        format!(
            "fetch its certificate with `openssl s_client -connect {address}{starttls} </dev/null | openssl x509 -out \
             {host}.pem`, compare its fingerprint with the one that the server's owner tells, and name the file as the \
             {name}'s ca."
        )
    }

    fn of_the_certificate(
        &self,
        f: &mut fmt::Formatter<'_>,
        distrust: &Distrust,
        certificate: &Certificate,
    ) -> fmt::Result {
        let date = |seconds: &u64| rfc5322(i64::try_from(*seconds).unwrap_or(i64::MAX));
        let whose = |seconds: &u64| {
            let own = certificate.period.is_none_or(|(from, until)| [from, until].contains(seconds));
            if own { "the server's certificate" } else { "the certificate of who signed the server's" }
        };
        let here = rfc5322(self.now);
        match distrust {
            Distrust::Issuer if certificate.is_self_signed() => {
                f.write_str("the server's certificate is signed by itself, and by nobody who is trusted")?;
            }
            Distrust::Issuer => {
                let issuer = Some(certificate.issuer.as_str()).filter(|issuer| !issuer.is_empty());
                let issuer = issuer.unwrap_or("somebody without a name");
                write!(f, "the server's certificate is signed by {issuer}, who is not trusted")?;
            }
            Distrust::Ended(at) => write!(f, "{} ended on {}, and here it is {here}", whose(at), date(at))?,
            Distrust::NotYet(at) => {
                write!(f, "{} begins on {}, and here it is {here}", whose(at), date(at))?;
            }
            Distrust::Name if certificate.names.is_empty() => {
                write!(f, "the server's certificate is not for {}, nor for any other name", self.host)?;
            }
            Distrust::Name => {
                let names = certificate.names.join(", ");
                write!(f, "the server's certificate is not for {}, but for {names}", self.host)?;
            }
            Distrust::Other(why) => write!(f, "the server's certificate cannot be used: {why}")?,
        }
        write!(f, " (SHA-256 fingerprint {})", certificate.fingerprint)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            Failure::TooOld => {
                f.write_str("the server knows TLS in versions before 1.2 only, which are not safe")
            }
            Failure::Untrusted(distrust, certificate) => self.of_the_certificate(f, distrust, certificate),
            Failure::Plaintext(greeting) if greeting.is_empty() => {
                f.write_str("what the server answers is no TLS")
            }
            Failure::Plaintext(greeting) => write!(f, "the server answers without TLS: \"{greeting}\""),
            Failure::Alert(alert) => f.write_str(in_words(*alert)).and_then(|()| write!(f, " ({alert:?})")),
            Failure::Closed => f.write_str("the server closed the connection when TLS was to begin"),
            Failure::Silence => f.write_str("the server fell silent when TLS was to begin"),
            other @ (Failure::NoKey | Failure::Other(_)) => write!(f, "{other}"),
        }
    }
}

/// The meaning of an alert (RFC 8446 section 6.2).
fn in_words(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            "the server has no way of ciphering in common with us"
        }
        AlertDescription::UnrecognisedName => "the server does not know itself by this name",
        AlertDescription::InternalError => "the server has trouble of its own",
        AlertDescription::CertificateRequired | AlertDescription::AccessDenied => {
            "the server lets in only those with a certificate of their own"
        }
        _ => "the server broke off when TLS was to begin",
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
