//! Power is cut while several clients deliver, again and again. Whatever was acknowledged is there, once and whole; what
//! was not acknowledged is there whole or not at all.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use support::mail::{Dice, named};
use support::{Appliance, Connection, Imap, Smtp, random, wait_for};

const ROUNDS: usize = 20;

const CONFIG: &str = r#"
[server]
domains = ["home.example"]
[[account]]
name = "anna"
address = "anna@home.example"
password = "pass"
[[account]]
name = "ben"
address = "ben@home.example"
password = "pass"
"#;

/// One message and whom the appliance has promised it to.
struct Delivery {
    name: String,
    size: usize,
    to: Vec<&'static str>,
}

/// A client that delivers until the appliance is gone.
#[derive(Clone, Copy)]
enum Client {
    Append(&'static str, SocketAddr),
    Submission(&'static str, SocketAddr),
    Printer(SocketAddr),
}

impl Client {
    /// Delivers messages named `prefix` and a number; those that were acknowledged.
    fn deliver(self, prefix: &str, seed: u64) -> Vec<Delivery> {
        let mut dice = Dice(seed);
        let mut acknowledged = Vec::new();
        let Some(mut session) = self.begin() else { return acknowledged };
        for number in 0.. {
            // Some larger than the store keeps in its log.
            let size =
                if dice.below(6) == 0 { 64_000 + dice.below(100_000) } else { 200 + dice.below(8_000) };
            let both = dice.below(4) == 0;
            let delivery = Delivery { name: format!("{prefix}-{number}"), size, to: self.recipients(both) };
            if session.send(&delivery).is_none() {
                return acknowledged;
            }
            acknowledged.push(delivery);
        }
        acknowledged
    }

    fn recipients(self, both: bool) -> Vec<&'static str> {
        match self {
            Client::Append(account, _) => vec![account],
            Client::Submission(account, _) if !both => vec![account],
            Client::Printer(_) if !both => vec!["ben"],
            _ => vec!["anna", "ben"],
        }
    }

    fn begin(self) -> Option<Session> {
        match self {
            Client::Append(account, address) => {
                let connection = Connection::try_open(address).ok()?;
                Some(Session::Imap(Imap::try_begin(connection, account, "pass")?))
            }
            Client::Submission(account, address) => {
                let mut smtp = Smtp::try_begin(Connection::try_open(address).ok()?)?;
                let from = format!("{account}@home.example");
                smtp.try_command(support::client::auth_plain(account, "pass").as_bytes())?
                    .starts_with("235")
                    .then_some(Session::Smtp(smtp, from))
            }
            Client::Printer(address) => {
                let smtp = Smtp::try_begin(Connection::try_open(address).ok()?)?;
                Some(Session::Smtp(smtp, "printer@home.example".to_owned()))
            }
        }
    }
}

enum Session {
    Imap(Imap),
    Smtp(Smtp, String),
}

impl Session {
    /// `Some` once the appliance has acknowledged it; a refusal fails the test.
    fn send(&mut self, delivery: &Delivery) -> Option<()> {
        let message = named(&delivery.name, delivery.size);
        let reply = match self {
            Session::Imap(imap) => imap.try_append("INBOX", &message)?.status,
            Session::Smtp(smtp, from) => {
                let to: Vec<_> = delivery.to.iter().map(|to| format!("{to}@home.example")).collect();
                let to: Vec<&str> = to.iter().map(String::as_str).collect();
                smtp.try_send(from, &to, &message)?
            }
        };
        assert!(reply.starts_with("OK") || reply.starts_with("250"), "{}: {reply}", delivery.name);
        Some(())
    }
}

#[test]
fn what_was_acknowledged_survives_twenty_power_cuts() {
    let seed = random();
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let mut appliance = Appliance::start(CONFIG);
    let (imap, submission, lan_smtp) = (
        appliance.ports.imap.address(),
        appliance.ports.submission.address(),
        appliance.ports.lan_smtp.address(),
    );
    let clients = [
        Client::Append("anna", imap),
        Client::Append("ben", imap),
        Client::Submission("anna", submission),
        Client::Submission("ben", submission),
        Client::Printer(lan_smtp),
    ];
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let cut_after = Duration::from_millis(50 + dice.next() % 500);
        let seeds: Vec<u64> = clients.iter().map(|_| dice.next()).collect();
        std::thread::scope(|scope| {
            let deliveries: Vec<_> = clients
                .iter()
                .zip(seeds)
                .enumerate()
                .map(|(n, (client, seed))| {
                    scope.spawn(move || client.deliver(&format!("r{round}c{n}"), seed))
                })
                .collect();
            std::thread::sleep(cut_after);
            appliance.kill();
            for delivery in deliveries {
                acknowledged.extend(delivery.join().unwrap());
            }
        });
        appliance.restart();
        compare(&appliance, &acknowledged);
    }
    println!("{} deliveries were acknowledged", acknowledged.len());
    assert!(acknowledged.len() > ROUNDS * clients.len(), "hardly anything was delivered");
}

/// Both accounts hold everything acknowledged once and whole, and nothing twice or in part.
fn compare(appliance: &Appliance, acknowledged: &[Delivery]) {
    for account in ["anna", "ben"] {
        let promised: Vec<_> = acknowledged.iter().filter(|d| d.to.contains(&account)).collect();
        // What went through the queue may still be on its way into the account.
        let found = wait_for(&format!("{account}: what was acknowledged"), || {
            let found = inbox(appliance, account);
            promised.iter().all(|delivery| found.contains_key(&delivery.name)).then_some(found)
        });
        for (name, copies) in &found {
            assert_eq!(copies.len(), 1, "{account}: {name} is there {} times", copies.len());
        }
        for delivery in promised {
            let message = named(&delivery.name, delivery.size);
            let whole = body(&found[&delivery.name][0]) == body(&message);
            assert!(whole, "{account}: {} is not what was sent", delivery.name);
        }
    }
}

/// What follows the header, to which submission may add fields.
fn body(message: &[u8]) -> &[u8] {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n");
    end.map_or(&[], |end| &message[end + 4..])
}

/// All messages of an account by name. Each says at its end that it is whole.
fn inbox(appliance: &Appliance, account: &str) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut imap = Imap::login(Connection::open(appliance.ports.imap.address()), account, "pass");
    let mut found = BTreeMap::<String, Vec<Vec<u8>>>::new();
    for message in imap.fetch_all("INBOX").into_values() {
        let text = String::from_utf8_lossy(&message).into_owned();
        let name =
            text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default().to_owned();
        assert!(text.ends_with(&format!("{name} ends\r\n")), "{account}: {name:?} is cut off");
        found.entry(name).or_default().push(message);
    }
    found
}
