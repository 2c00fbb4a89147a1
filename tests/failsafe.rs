//! `--failsafe`: nobody but loopback is served and nothing leaves, but the operator can mend the settings.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use support::{Appliance, Connection, Imap};

const CONFIG: &str = r#"
[server]
domains = ["home.example"]
[smarthost]
host = "127.0.0.1"
port = 9
security = "none"
[[account]]
name = "demo"
address = "demo@home.example"
password = "pass"
multipop = true
[[account.source]]
host = "127.0.0.1"
port = 9
security = "none"
username = "demo"
password = "pass"
"#;

#[test]
fn the_operator_gets_in_where_the_settings_keep_the_appliance_from_its_start() {
    let mut appliance = Appliance::start_with(CONFIG, &["--failsafe"]);
    let every_address = appliance.verb("export", &[]).success().replacen(
        &format!("imap = [\"{}\"]", appliance.ports.imap.address()),
        &format!("imap = [\"0.0.0.0:{}\"]", appliance.ports.imap.address().port()),
        1,
    );
    let file = appliance.scratch.write("every.toml", &every_address);
    appliance.verb("import", &[file.to_str().unwrap()]).success();
    appliance.stop();
    appliance.restart();
    let status = appliance.verb("status", &[]).success();
    assert!(status.contains("attention  failsafe: only loopback is served"), "{status}");
    assert!(status.contains(&format!("imap {}", appliance.ports.imap.address())), "{status}");
    assert!(!status.contains("0.0.0.0"), "{status}");

    Imap::new(Connection::open(appliance.ports.imap.address())).try_login("demo", "pass").ok();
    let refused = appliance.verb("console", &["-c", "collect"]);
    assert!(refused.stderr.contains("no source to collect from"), "{}", refused.stderr);
    assert!(!appliance.log.lines().iter().any(|line| line.contains("127.0.0.1:9")));
}

#[test]
fn a_board_starts_without_what_cannot_be_had() {
    let mut appliance = Appliance::prepare();
    let run = appliance.scratch.join("run");
    std::fs::create_dir(&run).unwrap();
    let config = appliance.text(CONFIG).replacen(
        &format!("imaps = [\"{}\"]", appliance.ports.imaps.address()),
        "imaps = [\"203.0.113.7:993\"]",
        1,
    );
    let config = config + "[tls]\ncertificate = \"/nowhere.pem\"\nkey = \"/nowhere.key\"\n";
    let file = appliance.scratch.write("config.toml", &config);
    appliance.verb("import", &[file.to_str().unwrap()]).success();
    appliance.restart_with(&["--board", run.to_str().unwrap()]);
    let status = appliance.verb("status", &[]).success();
    assert!(
        status.contains("attention  listen.imaps = 203.0.113.7:993: this machine has no such address"),
        "{status}"
    );
    assert!(status.contains("attention  waiting for the time"), "{status}");
    Imap::new(Connection::open(appliance.ports.imap.address())).try_login("demo", "pass").ok();
    assert!(appliance.log.lines().iter().any(|line| line.contains("/nowhere.pem")));
}
