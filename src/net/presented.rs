//! What clients will object to in a certificate that the operator has set, found before they do.

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use super::tls::{self, TlsError};
use super::trust;

const DAY: u64 = 24 * 60 * 60;
/// Seconds before the certificate's end when a warning begins.
const SOON: u64 = 30 * DAY;

/// The problems that clients which know the server as `name` have, or will soon have, with these PEM files of a
/// certificate (a chain) and a key: one line each, which names the settings and no path. `now` is in seconds since
/// 1970; without it the period is not judged.
pub fn concerns(certificate: &str, key: &str, name: &str, now: Option<i64>) -> Vec<String> {
    let mut concerns = Vec::new();
    let problem = |TlsError::File { problem, .. }| problem;
    let chain = tls::read_pem(certificate).map_err(problem).and_then(|pem| tls::chain(&pem));
    let key = tls::read_pem(key).map_err(problem).and_then(|pem| tls::private_key(&pem));
    if let Err(problem) = &key {
        concerns.push(format!("tls.key: {problem}"));
    }
    let chain = match chain {
        Ok(chain) => chain,
        Err(problem) => {
            concerns.push(format!("tls.certificate: {problem}"));
            return concerns;
        }
    };
    if let Ok(key) = key
        && let Err(error) = CertifiedKey::from_der(chain.clone(), key, &tls::provider())
    {
        concerns.push(match error {
            rustls::Error::InconsistentKeys(_) => {
                "tls.key: this key does not belong to the certificate; put both files in place".to_owned()
            }
            other => format!("tls.certificate: {other}"),
        });
    }
    // The server's own certificate is the first of the chain (RFC 8446 section 4.4.2).
    let Some(own) = chain.first() else { return concerns };
    if !is_for(own, name) {
        concerns.push(format!(
            "tls.certificate: it is not for {name}, by which clients know the server: they refuse it"
        ));
    }
    let now = now.map(|now| u64::try_from(now).unwrap_or_default());
    concerns.extend(now.and_then(|now| of_the_time(trust::period(own)?, now)));
    concerns
}

fn is_for(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok(name) = ServerName::try_from(name.trim_end_matches('.')) else { return false };
    ParsedCertificate::try_from(certificate).is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
}

fn of_the_time((from, until): (u64, u64), now: u64) -> Option<String> {
    let days = |span: u64| match span.div_ceil(DAY) {
        0 | 1 => "a day".to_owned(),
        days => format!("{days} days"),
    };
    if now < from {
        let time = days(from - now);
        Some(format!(
            "tls.certificate: it is not valid yet, but in {time}: clients refuse it; is the clock right?"
        ))
    } else if until <= now {
        let time = days(now - until);
        Some(format!(
            "tls.certificate: it ended, up to {time} ago: clients refuse it; put a new one in its place"
        ))
    } else if until - now <= SOON {
        let time = days(until - now);
        Some(format!(
            "tls.certificate: it ends within {time}; put a new one in its place, it is taken up by itself"
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    /// 2026-07-01 in seconds since 1970.
    const NOW: i64 = 1_782_864_000;
    const DAYS: i64 = DAY as i64;

    /// Catches: a certificate that clients refuse, or will refuse within a month, without a warning.
    #[test]
    fn what_clients_will_refuse_is_told() {
        let folder = std::env::temp_dir().join(format!("pillarbox-presented-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut parameters = CertificateParams::new(["mail.example".to_owned()]).unwrap();
        (parameters.not_before, parameters.not_after) =
            (date_time_ymd(2026, 7, 1), date_time_ymd(2026, 9, 29));
        let certificate = parameters.self_signed(&key).unwrap().pem();
        for (name, content) in [
            ("certificate", certificate),
            ("key", key.serialize_pem()),
            ("other", other.serialize_pem()),
            ("empty", String::new()),
        ] {
            std::fs::write(path(name), content).unwrap();
        }
        let told = |certificate: &str, key: &str, name: &str, now| {
            let told = concerns(&path(certificate), &path(key), name, now).join("\n");
            assert!(!told.contains(folder.to_str().unwrap()), "{told}");
            told
        };
        for (days, words) in [
            (-3, "not valid yet, but in 3 days"),
            (0, ""),
            (59, ""),
            (60, "it ends within 30 days"),
            (78, "it ends within 12 days"),
            (89, "it ends within a day"),
            (90, "it ended, up to a day ago"),
            (100, "it ended, up to 10 days ago"),
        ] {
            let told = told("certificate", "key", "mail.example", Some(NOW + days * DAYS));
            assert!(told.contains(words) && told.is_empty() == words.is_empty(), "day {days}: {told}");
        }
        assert_eq!(told("certificate", "key", "mail.example", None), "", "nobody knows the time");
        for (certificate, key, name, words) in [
            ("certificate", "other", "mail.example", "tls.key: this key does not belong"),
            ("certificate", "empty", "mail.example", "tls.key: it holds no private key"),
            ("certificate", "missing", "mail.example", "tls.key: No such file"),
            ("empty", "key", "mail.example", "tls.certificate: it holds no certificate"),
            ("missing", "missing", "mail.example", "tls.certificate: No such file"),
            ("certificate", "key", "pillarbox.local", "tls.certificate: it is not for pillarbox.local,"),
        ] {
            let told = told(certificate, key, name, Some(NOW));
            assert!(told.contains(words), "{told}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    /// Catches: a device or a pipe in place of a certificate that fills the memory, or blocks everything.
    #[test]
    fn what_is_no_file_is_not_read() {
        let pipe = std::env::temp_dir().join(format!("pillarbox-presented-pipe-{}", std::process::id()));
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for path in ["/dev/zero", pipe.to_str().unwrap(), "/"] {
            let error = tls::read_pem(path).unwrap_err().to_string();
            assert!(error.ends_with("this is no file"), "{error}");
        }
        std::fs::remove_file(&pipe).unwrap();
    }
}
