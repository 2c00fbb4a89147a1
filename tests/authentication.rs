//! Logins by the mechanisms of RFC 7677 with programs of other people: the password stays where it is, and with
//! PLUS the login is bound to the TLS connection.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use support::process::run_with_input;
use support::{Appliance, Connection, PATIENCE, Scratch, run, wait_for};

const CONFIG: &str = r#"
[server]
domains = ["home.example"]
[[account]]
name = "anna"
address = "anna@home.example"
password = "jürgen's own"
"#;

/// What the appliance's log says of logins.
fn logins(appliance: &Appliance) -> Vec<String> {
    appliance.log.lines().into_iter().filter(|line| line.contains("login")).collect()
}

/// GNU SASL's own client; `password` as it was typed.
fn gsasl(appliance: &Appliance, protocol: &str, more: &[&str], password: &str) -> Result<String, String> {
    let port = match protocol {
        "--imap" => appliance.ports.imap.number,
        _ => appliance.ports.submission.number,
    };
    let mut gsasl = Command::new("gsasl");
    gsasl.args([protocol, "localhost", &port.to_string(), "--authentication-id=anna", "--no-client-first"]);
    gsasl.arg(format!("--password={password}")).args(more);
    gsasl.arg(format!("--x509-ca-file={}", appliance.ca().display()));
    let outcome = run_with_input(&mut gsasl, b"", PATIENCE);
    let text = outcome.text();
    if outcome.code == Some(0) { Ok(text) } else { Err(text) }
}

#[test]
fn gnu_sasl_binds_its_logins_to_the_connection() {
    let appliance = Appliance::start(CONFIG);
    for protocol in ["--imap", "--smtp"] {
        let bound = gsasl(&appliance, protocol, &["--mechanism=SCRAM-SHA-256-PLUS"], "jürgen's own").unwrap();
        assert!(bound.contains("SCRAM-SHA-256-PLUS"), "{bound}");
        let unbound = ["--mechanism=SCRAM-SHA-256", "--no-cb"];
        gsasl(&appliance, protocol, &unbound, "jürgen's own").unwrap();
        // The same password from a keyboard that sends the umlaut in two pieces.
        gsasl(&appliance, protocol, &unbound, "ju\u{308}rgen's own").unwrap();
        gsasl(&appliance, protocol, &["--mechanism=SCRAM-SHA-256-PLUS"], "anna's own").unwrap_err();
    }
    let refused = wait_for("two refusals", || {
        let refused: Vec<_> =
            logins(&appliance).into_iter().filter(|line| line.contains("wrong password")).collect();
        (refused.len() == 2).then_some(refused)
    });
    assert!(refused[0].contains("login refused: service=imap account=anna address=127.0.0.1"), "{refused:?}");
    assert!(refused[1].contains("login refused: service=submission account=anna"), "{refused:?}");
}

fn private(file: &Path) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn mpop_and_msmtp_log_in_by_scram() {
    let appliance = Appliance::start(CONFIG);
    let scratch = Scratch::new("scram");
    let login = format!(
        "host localhost\nauth scram-sha-256\nuser anna\npassword \"jürgen's own\"\ntls on\ntls_starttls off\n\
         tls_trust_file {}\n",
        appliance.ca().display()
    );
    let sender = scratch.write(
        "msmtprc",
        format!("account box\n{login}port {}\nfrom anna@home.example\n", appliance.ports.submissions.number),
    );
    private(&sender);
    let mut msmtp = Command::new("msmtp");
    msmtp.arg("-C").arg(sender).args(["-a", "box", "anna@home.example"]);
    run_with_input(&mut msmtp, b"Subject: to myself\n\nhello\n", PATIENCE).success();

    let reader = scratch.write(
        "mpoprc",
        format!(
            "account box\n{login}port {}\nkeep on\nuidls_file {}\ndelivery mbox {}\n",
            appliance.ports.pop3s.number,
            scratch.join("uidls").display(),
            scratch.join("mbox").display()
        ),
    );
    private(&reader);
    run(Command::new("mpop").arg("-C").arg(reader).arg("--quiet").arg("box"), PATIENCE).success();
    let read = std::fs::read_to_string(scratch.join("mbox")).unwrap();
    assert!(read.contains("\nSubject: to myself\n"), "{read}");
}

#[test]
fn the_documented_filter_finds_the_refusals_of_all_three_servers() {
    let appliance = Appliance::start(CONFIG);
    let wrong = ["--mechanism=SCRAM-SHA-256", "--no-cb"];
    gsasl(&appliance, "--imap", &wrong, "wrong").unwrap_err();
    gsasl(&appliance, "--smtp", &["--mechanism=PLAIN"], "wrong").unwrap_err();
    let mut pop3 = Connection::open(appliance.ports.pop3.address());
    pop3.line();
    for (command, reply) in
        [("USER anna", "+OK"), ("PASS wrong", "-ERR [AUTH]"), ("USER x\ty", "+OK"), ("PASS z", "-ERR [AUTH]")]
    {
        pop3.send(format!("{command}\r\n"));
        assert!(pop3.line().starts_with(reply));
    }
    gsasl(&appliance, "--imap", &wrong, "jürgen's own").unwrap();
    let lines = wait_for("four refusals and a login", || {
        let lines = logins(&appliance);
        (lines.len() == 5).then_some(lines)
    });

    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operator.md")).unwrap();
    let filter = manual.lines().find_map(|line| line.strip_prefix("failregex = ")).unwrap();
    let pattern = filter.replace("<HOST>", r"(?:::f{4,6}:)?(?<host>\d+\.\d+\.\d+\.\d+|[0-9a-fA-F:]+)");
    let mut grep = Command::new("grep");
    let found = run_with_input(grep.args(["-P", &pattern]), lines.join("\n").as_bytes(), PATIENCE).success();
    let services: Vec<&str> =
        found.lines().filter_map(|line| line.split(' ').find(|w| w.starts_with("service="))).collect();
    let mut services = services;
    services.sort_unstable();
    assert_eq!(services, ["service=imap", "service=pop3", "service=pop3", "service=submission"], "{found}");
}
