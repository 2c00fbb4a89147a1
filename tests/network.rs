//! What the network sees of pages and certificates, of the real binary.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use support::{Appliance, Connection, PATIENCE, Port, wait_for};

/// The whole answer to a request's head.
fn ask(http: SocketAddr, head: &str) -> String {
    let mut connection = TcpStream::connect(http).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.write_all(format!("{head}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

/// Catches: pages that tell a browser at home, or a page from elsewhere that is open in it, who has mail here and where from.
#[test]
fn the_pages_are_for_this_device_only_and_tell_nothing_of_persons() {
    const CONFIG: &str = r#"
[server]
hostname = "mail.home.example"
domains = ["home.example"]
[[account]]
name = "anna-account"
address = "anna-address@home.example"
password = "pass"
multipop = true
[[account.source]]
host = "127.0.0.1"
port = 9
security = "none"
username = "anna-login"
password = "pass"
"#;
    let appliance = Appliance::start(CONFIG);
    let http = Port::reserve();
    let listen = format!("http = [\"{}\"]", http.address());
    let text = appliance.text(CONFIG).replace("http = []", &listen);
    let file = appliance.scratch.write("with-http.toml", text);
    appliance.verb("import", &[file.to_str().unwrap()]).success();
    wait_for("a poll that fails", || {
        appliance.verb("status", &["--json"]).success().contains("\"failures\":1").then_some(())
    });
    let operator = appliance.verb("status", &["--json"]).success();
    assert!(operator.contains("anna-account") && operator.contains("anna-login"), "the operator sees it all");
    for path in ["/", "/status.json", "/metrics", "/ca.pem", "/mail/config-v1.1.xml", "/nothing"] {
        let answer = ask(http.address(), &format!("GET {path} HTTP/1.1\r\nHost: mail.home.example"));
        assert!(!answer.contains("anna"), "{answer}");
        assert_eq!(answer.starts_with("HTTP/1.1 200 OK"), path != "/nothing", "{answer}");
        assert!(path != "/metrics" || answer.contains("\npillarbox_sources_failing 1\n"), "{answer}");
        assert!(path != "/status.json" || answer.contains("\"failures\":1,"), "{answer}");
        let answer = ask(http.address(), &format!("GET {path} HTTP/1.1\r\nHost: evil.example"));
        assert!(answer.starts_with("HTTP/1.1 421 ") && !answer.contains("mail.home"), "{answer}");
    }
}

/// A certificate for `localhost` that ends in so many days, and its key.
fn put(certificate: &Path, key: &Path, days: u64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let pair = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
    parameters.not_before = date_time_ymd(2026, 1, 1);
    parameters.not_after = date_time_ymd(1970, 1, 1) + now + Duration::from_secs(days * 24 * 60 * 60);
    std::fs::write(certificate, parameters.self_signed(&pair).unwrap().pem()).unwrap();
    std::fs::write(key, pair.serialize_pem()).unwrap();
}

/// Catches: a user's own certificate that ends and nobody is told, and a new one that is used after a restart only.
#[test]
fn an_own_certificate_is_watched() {
    let files = support::Scratch::new("certificate");
    let (certificate, key) = (files.join("certificate.pem"), files.join("key.pem"));
    put(&certificate, &key, 12);
    let config = format!(
        "[server]\nhostname = \"localhost\"\ndomains = [\"home.example\"]\n[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
        certificate.display(),
        key.display()
    );
    let appliance = Appliance::start(&config);
    let concern = "tls.certificate: it ends within 12 days";
    assert!(appliance.log.find(concern).is_some(), "{}", appliance.log.lines().join("\n"));
    let status = appliance.console("show status");
    assert!(status.contains(&format!("attention  {concern}")), "{status}");
    Connection::open_tls(appliance.ports.imaps.address(), &certificate).line();

    put(&certificate, &key, 90);
    wait_for("the new one", || (!appliance.console("show status").contains(concern)).then_some(()));
    Connection::open_tls(appliance.ports.imaps.address(), &certificate).line();
}
