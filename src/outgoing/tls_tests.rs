//! Handshakes that fail, each with a server that a user may have set up, and what the user is told.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use async_io::{Async, Timer, block_on};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use smol::future::or;

use super::super::{Error, Party, Route};
use crate::clock::{Time, unix_now};
use crate::config::Security;
use crate::message::date::rfc5322;
use crate::net::stream::Stream;
use crate::net::tls;

/// A certificate and its key.
struct Identity {
    parameters: CertificateParams,
    key: KeyPair,
    pem: String,
}

fn parameters(name: &str, common: &str) -> CertificateParams {
    let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, common);
    parameters
}

fn self_signed(parameters: CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    let pem = parameters.self_signed(&key).unwrap().pem();
    Identity { parameters, key, pem }
}

fn ca() -> Identity {
    let mut parameters = parameters("ca.example", "A Club");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    self_signed(parameters)
}

fn signed(parameters: CertificateParams, ca: &Identity) -> Identity {
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&ca.parameters, &ca.key);
    let pem = parameters.signed_by(&key, &issuer).unwrap().pem();
    Identity { parameters, key, pem }
}

/// The files of a test, which are removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("pillarbox-outgoing-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// The error and the advice for a user whose server is `serves`.
fn told(
    security: Security,
    protocol: &'static str,
    ca: &str,
    serves: impl AsyncFnOnce(Stream),
) -> (String, String) {
    block_on(async {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        let port = listener.get_ref().local_addr().unwrap().port();
        let route = Route { host: "127.0.0.1", port, security, ca, protocol };
        let (time, party) =
            (Time::default(), if protocol == "smtp" { Party::Smarthost } else { Party::Source });
        let dials = async {
            let mut stream = route.dial(Duration::from_secs(60), &time).await?;
            if security == Security::Starttls {
                let greeting = stream.buffered().len();
                stream.consume(greeting);
                route.secure(&mut stream, Duration::from_secs(60), &time).await?;
            }
            Ok(stream)
        };
        let server = async {
            let (tcp, _) = listener.accept().await.unwrap();
            serves(Stream::new(tcp).unwrap()).await;
            for _ in 0..200 {
                Timer::after(Duration::from_millis(1)).await;
                time.advance(Duration::from_secs(1));
            }
            panic!("nothing went wrong");
        };
        let error: Error = or(dials, server).await.map(drop).unwrap_err();
        let told = (error.to_string(), error.advice(party));
        assert!(!told.0.contains('\n') && told.1.ends_with('.'), "{told:?}");
        (told.0.replace(&port.to_string(), "PORT"), told.1.replace(&port.to_string(), "PORT"))
    })
}

/// The error and the advice for a user whose server has this certificate.
fn told_of(folder: &Folder, identity: &Identity, ca: &str) -> (String, String) {
    let (certificate, key) =
        (folder.file("own.pem", &identity.pem), folder.file("key.pem", &identity.key.serialize_pem()));
    let config = tls::from_files(&certificate, &key).unwrap();
    told(Security::Tls, "imap", ca, async move |mut stream| {
        let _ = stream.accept_tls(config).await;
    })
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

/// A command that fetches the server's certificate into a file, which then pins the server.
const FETCH: &str = "fetch its certificate with `openssl s_client -connect 127.0.0.1:PORT </dev/null | openssl x509 -out \
                     127.0.0.1.pem`, compare its fingerprint";

/// Catches: a certificate that its owner made, whose user is not told how to trust it; one that was renewed since it
/// was pinned.
#[test]
fn an_unknown_certificate_can_be_pinned() {
    let folder = Folder::new("unknown");
    let own = self_signed(parameters("127.0.0.1", "My NAS"));
    let (problem, advice) = told_of(&folder, &own, "");
    says(
        &problem,
        &["no secure connection: the server's certificate is signed by itself", "(SHA-256 fingerprint "],
    );
    says(&advice, &["If you know the server, ", FETCH, "name the file as the source's ca."]);
    let file = folder.file("old.pem", &self_signed(parameters("127.0.0.1", "My NAS")).pem);
    let (_, advice) = told_of(&folder, &own, &file);
    says(&advice, &["It is not what the file in ca vouches for. If the server has a new certificate, fetch"]);
    let (problem, _) = told_of(&folder, &signed(parameters("127.0.0.1", "x"), &ca()), "");
    says(&problem, &["the server's certificate is signed by A Club, who is not trusted"]);
    // It was made with one command, and says that it is a CA.
    let mut home_made = parameters("127.0.0.1", "My NAS");
    home_made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (problem, _) = told_of(&folder, &self_signed(home_made), "");
    says(&problem, &["signed by itself, and by nobody who is trusted"]);
}

/// Catches: a fingerprint other than the one that other programs show.
#[test]
fn the_fingerprint_is_that_of_the_whole_certificate() {
    let folder = Folder::new("fingerprint");
    let own = self_signed(parameters("127.0.0.1", "My NAS"));
    let der = own.parameters.self_signed(&own.key).unwrap();
    let (problem, _) = told_of(&folder, &own, "");
    // ECDSA signs the same text in different ways, so the certificate is read back.
    drop(der);
    let der = rustls::pki_types::pem::PemObject::from_pem_slice(own.pem.as_bytes());
    let der: rustls::pki_types::CertificateDer<'_> = der.unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, &der);
    let hex: Vec<String> = digest.as_ref().iter().map(|octet| format!("{octet:02X}")).collect();
    says(&problem, &[&format!("(SHA-256 fingerprint {})", hex.join(":"))]);
}

/// Catches: a certificate that has ended or has not begun, whose user cannot tell whether the clock is wrong.
#[test]
fn a_certificate_out_of_its_time_says_both_times() {
    let folder = Folder::new("time");
    let ca = ca();
    let file = folder.file("ca.pem", &ca.pem);
    let mut ended = parameters("127.0.0.1", "x");
    ended.not_after = date_time_ymd(2020, 1, 1);
    let (problem, advice) = told_of(&folder, &signed(ended, &ca), &file);
    let today = rfc5322(unix_now());
    says(&problem, &[&format!("and here it is {}", &today[..16])]);
    says(&problem, &["the server's certificate ended on Wed, 01 Jan 2020 00:00:00 +0000, and here it is "]);
    says(&advice, &["If the date here is wrong, set the clock. Else the server needs another certificate"]);
    assert!(!advice.contains("openssl"), "{advice}");
    let mut early = parameters("127.0.0.1", "x");
    early.not_before = date_time_ymd(2090, 1, 1);
    early.not_after = date_time_ymd(2091, 1, 1);
    let (problem, _) = told_of(&folder, &signed(early, &ca), &file);
    says(&problem, &["the server's certificate begins on Sun, 01 Jan 2090 00:00:00 +0000, and here it is "]);
}

/// Catches: a host that is an alias, whose user is not told which names are in the certificate.
#[test]
fn a_certificate_for_another_name_tells_its_names() {
    let folder = Folder::new("name");
    let ca = ca();
    let other = signed(parameters("mail.provider.example", "x"), &ca);
    let (problem, advice) = told_of(&folder, &other, &folder.file("ca.pem", &ca.pem));
    says(&problem, &["the server's certificate is not for 127.0.0.1, but for mail.provider.example ("]);
    says(&advice, &["Set the source's host to the name that the provider tells."]);
}

/// Catches: "corrupt message" where the port is the one without TLS.
#[test]
fn a_server_that_greets_without_tls_is_on_another_port() {
    for (protocol, greeting, port, whose) in [
        ("pop3", "+OK ready\r\n", "995", "source"),
        ("imap", "* OK ready\r\n", "993", "source"),
        ("smtp", "220 mail.example ESMTP\r\n", "465", "smarthost"),
    ] {
        let (problem, advice) = told(Security::Tls, protocol, "", async |mut stream| {
            stream.write(greeting.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            Timer::after(Duration::from_millis(50)).await;
        });
        says(&problem, &[&format!("the server answers without TLS: \"{}\"", greeting.trim_end())]);
        says(
            &advice,
            &[
                &format!("Set the {whose}'s security to \"starttls\""),
                &format!("the one for TLS, which usually is {port}."),
            ],
        );
    }
}

/// Catches: an endless wait where the port is the one for TLS: its server waits for us, or refuses what it takes for
/// a broken handshake.
#[test]
fn a_server_that_waits_for_tls_is_on_another_port() {
    for security in [Security::None, Security::Starttls] {
        let held = std::cell::RefCell::new(None);
        let (problem, advice) = told(security, "pop3", "", async |stream| drop(held.replace(Some(stream))));
        says(&problem, &["the server does not greet us"]);
        says(&advice, &["On this port TLS may have to come first: set the source's security to \"tls\""]);
        let (problem, advice) = told(security, "smtp", "", async |mut stream| {
            stream.write(&[21, 3, 1, 0, 2, 2, 10]).await.unwrap();
            stream.flush().await.unwrap();
            Timer::after(Duration::from_millis(50)).await;
        });
        says(&problem, &["the server speaks TLS where its settings expect none"]);
        says(&advice, &["Set the smarthost's security to \"tls\""]);
    }
}

/// Dials a server that handles each connection with `serves`. Returns the result and how long it took by the clock.
fn dialled(
    security: Security,
    serves: impl AsyncFn(usize, Stream, &Time),
) -> (Result<Stream, Error>, Duration) {
    block_on(async {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        let port = listener.get_ref().local_addr().unwrap().port();
        let route = Route { host: "127.0.0.1", port, security, ca: "", protocol: "smtp" };
        let (time, began) = (Time::default(), Time::default().now());
        let dials = async { Some(route.dial(Duration::from_secs(300), &time).await) };
        let server = async {
            let mut n = 0;
            let first = listener.accept().await.unwrap().0;
            let meets_first = serves(0, Stream::new(first).unwrap(), &time);
            let others = async {
                loop {
                    n += 1;
                    serves(n, Stream::new(listener.accept().await.unwrap().0).unwrap(), &time).await;
                }
            };
            smol::future::zip(meets_first, others).await;
            None
        };
        let passes = async {
            loop {
                Timer::after(Duration::from_millis(10)).await;
                time.advance(Duration::from_millis(100));
            }
        };
        let dialled = or(dials, or(server, passes)).await.unwrap();
        (dialled, time.now().saturating_duration_since(began))
    })
}

/// Catches: a wrong setting that is reported only after five minutes, the limit for a greeting: a server on a port
/// for TLS says nothing until we begin.
#[test]
fn a_server_that_waits_for_tls_is_found_out_within_five_seconds() {
    let folder = Folder::new("waits");
    let own = self_signed(parameters("mail.example", "Some server"));
    let (certificate, key) =
        (folder.file("own.pem", &own.pem), folder.file("key.pem", &own.key.serialize_pem()));
    let config = tls::from_files(&certificate, &key).unwrap();
    for security in [Security::None, Security::Starttls] {
        let (dialled, took) = dialled(security, async |_, mut stream, _| {
            let _ = stream.accept_tls(config.clone()).await;
            Timer::after(Duration::from_secs(60)).await;
        });
        assert!(matches!(dialled, Err(Error::TlsFirst)), "{:?}", dialled.map(drop));
        assert!(took <= Duration::from_secs(5), "{took:?}");
    }
}

/// Catches: a server that looks up things before it greets and is taken for one that waits for TLS.
#[test]
fn a_server_that_greets_late_is_waited_for() {
    let (dialled, took) = dialled(Security::Starttls, async |_, mut stream, time| {
        time.sleep(Duration::from_secs(20)).await;
        stream.queue(b"220 at last\r\n");
        let _ = stream.flush().await;
        Timer::after(Duration::from_secs(60)).await;
    });
    assert_eq!(dialled.unwrap().buffered(), b"220 at last\r\n");
    assert!(took >= Duration::from_secs(19), "{took:?}");
}

/// Sends octets in place of a handshake, and waits a little.
async fn answers(mut stream: Stream, octets: &[u8]) {
    stream.fill().await.unwrap();
    stream.write(octets).await.unwrap();
    stream.flush().await.unwrap();
    Timer::after(Duration::from_millis(50)).await;
}

/// Catches: an old server whose alert, or whose hello, is reported as an unknown error.
#[test]
fn a_server_with_old_tls_is_named_so() {
    // A ServerHello of TLS 1.1 (RFC 4346 section 7.4.1.3) with TLS_RSA_WITH_AES_128_CBC_SHA.
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2F, 0]);
    for octets in [&[21, 3, 1, 0, 2, 2, 70][..], &hello] {
        let (problem, advice) = told(Security::Tls, "imap", "", async |stream| answers(stream, octets).await);
        says(&problem, &["no secure connection: the server knows TLS in versions before 1.2 only"]);
        says(&advice, &["Have the server updated"]);
    }
}

/// Catches: alerts that are not explained.
#[test]
fn an_alert_is_told_in_words() {
    for (alert, words, advice) in [
        (40, "no way of ciphering in common with us (HandshakeFailure)", "Have the server updated"),
        (112, "does not know itself by this name (UnrecognisedName)", "Set the source's host"),
        (80, "has trouble of its own (InternalError)", "passes on its own"),
        (50, "broke off when TLS was to begin (DecodeError)", "passes on its own"),
    ] {
        let octets = [21, 3, 3, 0, 2, 2, alert];
        let told = told(Security::Tls, "pop3", "", async |stream| answers(stream, &octets).await);
        says(&told.0, &[words]);
        says(&told.1, &[advice]);
    }
    let (problem, advice) = told(Security::Tls, "pop3", "", async |mut stream| {
        stream.fill().await.unwrap();
    });
    says(&problem, &["the server closed the connection when TLS was to begin"]);
    says(&advice, &["set the source's security to \"starttls\""]);
}

/// Catches: a command to fetch the certificate that begins with TLS at a server where STARTTLS comes first.
#[test]
fn behind_starttls_the_certificate_is_fetched_so() {
    let folder = Folder::new("starttls");
    let own = self_signed(parameters("127.0.0.1", "My NAS"));
    let (certificate, key) =
        (folder.file("own.pem", &own.pem), folder.file("key.pem", &own.key.serialize_pem()));
    let config = tls::from_files(&certificate, &key).unwrap();
    let (_, advice) = told(Security::Starttls, "smtp", "", async move |mut stream| {
        stream.queue(b"220 hello\r\n");
        stream.flush().await.unwrap();
        let _ = stream.accept_tls(config).await;
    });
    says(&advice, &["-connect 127.0.0.1:PORT -starttls smtp </dev/null", "as the smarthost's ca."]);
}
