//! One thread serves everything; besides it there is only async-io's parked helper.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use support::mail::named;
use support::proc::assert_one_thread;
use support::{Appliance, Connection, Dovecot, Imap, Pop3, Postfix, Smtp, dovecot, wait_for};

#[test]
fn no_use_of_the_appliance_starts_a_thread() {
    let dovecot = Dovecot::start(&[("u0", "pass"), ("box", "global")]);
    let postfix = Postfix::start(&dovecot);
    dovecot.fill("u0", [&named("collected", 100_000)]);
    let appliance = Appliance::start(&format!(
        r#"
[server]
domains = ["home.example"]
[smarthost]
host = "localhost"
port = {}
username = "box"
password = "global"
ca = "{}"
[[account]]
name = "demo"
address = "demo@home.example"
password = "pass"
multipop = true
{}
"#,
        postfix.submissions.number,
        postfix.ca.display(),
        dovecot::source(dovecot.ports.pop3s.address(), "tls", "u0", "pass", dovecot.ca()),
    ));
    let (ports, ca) = (&appliance.ports, appliance.ca());
    assert_one_thread(appliance.pid());

    let mut imap = Imap::login(Connection::open_tls(ports.imaps.address(), &ca), "demo", "pass");
    imap.append("INBOX", &named("small", 1_000));
    imap.append("INBOX", &named("large", 300_000));
    wait_for("the collected message", || (imap.fetch_all("INBOX").len() == 3).then_some(()));
    imap.command("SEARCH TEXT ends").ok();
    imap.command("STORE 1 +FLAGS (\\Deleted)").ok();
    imap.command("EXPUNGE").ok();

    let mut smtp = Smtp::login(Connection::open_tls(ports.submissions.address(), &ca), "demo", "pass");
    smtp.send("demo@home.example", &["demo@home.example", "friend@outside.example"], &named("sent", 500));
    wait_for("the relayed message", || postfix.relayed().pop());
    Smtp::new(Connection::open(ports.lan_smtp.address())).send(
        "printer@home.example",
        &["demo@home.example"],
        &named("scan", 100_000),
    );
    let refused = Pop3::new(Connection::open(ports.pop3.address())).try_login("demo", "wrong");
    assert!(refused.starts_with("-ERR"), "{refused}");
    let pop3 = Pop3::login(Connection::open(ports.pop3.address()), "demo", "pass").retrieve_all();
    assert_eq!(pop3.len(), 4);

    appliance.console("collect");
    appliance.console("show status");
    assert_one_thread(appliance.pid());
}
