//! IDLE (RFC 2177): what happens elsewhere reaches a waiting client by itself. How fast is for the bench to say.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use support::mail::named;
use support::{Appliance, Connection, Imap, Pop3, Smtp};

const CONFIG: &str = r#"
[server]
domains = ["home.example"]
[[account]]
name = "demo"
address = "demo@home.example"
password = "pass"
"#;

fn login(appliance: &Appliance) -> Imap {
    let mut imap = Imap::login(Connection::open(appliance.ports.imap.address()), "demo", "pass");
    imap.command("SELECT INBOX").ok();
    imap
}

/// Reads until a response contains `words`: waits as long as the connection does.
fn hears(idler: &mut Imap, words: &str) {
    loop {
        let line = idler.connection.line();
        if line.contains(words) {
            return;
        }
        assert!(line.starts_with("* "), "{line} while waiting for {words}");
    }
}

#[test]
fn an_idling_client_hears_what_others_do() {
    let appliance = Appliance::start(CONFIG);
    let (mut idler, mut other) = (login(&appliance), login(&appliance));
    let tag = idler.send(b"IDLE").unwrap();
    assert!(idler.connection.line().starts_with('+'));

    other.append("INBOX", &named("appended", 100));
    hears(&mut idler, "1 EXISTS");
    other.append("INBOX", &named("appended and large", 200_000));
    hears(&mut idler, "2 EXISTS");

    Smtp::login(Connection::open(appliance.ports.submission.address()), "demo", "pass").send(
        "demo@home.example",
        &["demo@home.example"],
        &named("submitted", 100),
    );
    hears(&mut idler, "3 EXISTS");
    Smtp::new(Connection::open(appliance.ports.lan_smtp.address())).send(
        "printer@home.example",
        &["demo@home.example"],
        &named("scanned", 100),
    );
    hears(&mut idler, "4 EXISTS");

    other.command("NOOP").ok();
    other.command("STORE 1 +FLAGS (\\Seen)").ok();
    hears(&mut idler, "1 FETCH (");
    other.command("STORE 2 +FLAGS (\\Deleted)").ok();
    other.command("EXPUNGE").ok();
    hears(&mut idler, "2 EXPUNGE");

    let mut pop3 = Pop3::login(Connection::open(appliance.ports.pop3.address()), "demo", "pass");
    assert!(pop3.command("DELE 1").starts_with("+OK"));
    assert!(pop3.command("QUIT").starts_with("+OK"));
    hears(&mut idler, "1 EXPUNGE");

    idler.connection.send("DONE\r\n");
    idler.answer(&tag).unwrap().ok();
    assert_eq!(idler.fetch_all("INBOX").len(), 2);
}

/// Dozens of idling clients all hear of one delivery.
#[test]
fn all_idling_clients_hear_of_one_delivery() {
    let appliance = Appliance::start(CONFIG);
    let mut idlers: Vec<Imap> = (0..50).map(|_| login(&appliance)).collect();
    for idler in &mut idlers {
        idler.send(b"IDLE").unwrap();
        assert!(idler.connection.line().starts_with('+'));
    }
    login(&appliance).append("INBOX", &named("one", 100));
    idlers.iter_mut().for_each(|idler| hears(idler, "1 EXISTS"));
}
