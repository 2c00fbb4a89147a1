//! Submission with a login, and the LAN's printer without: to accounts here, to people outside, and to both at once.
//!
//! Outside nothing may be lost, and nothing comes twice but for one reason that no protocol can do away with: the kill
//! came after the smarthost had taken a message and before that was written down. The smarthost tells these apart: as
//! soon as the appliance sends another command on the same connection, it must have written down the message before.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::support::client::auth_plain;
use super::support::mail::Dice;
use super::support::{Appliance, Connection, Smarthost, Smtp, wait_for};
use super::{assert_once, body, inbox, message, name};

/// One message and whom the appliance has promised it to.
pub struct Delivery {
    name: String,
    to: Vec<&'static str>,
}

/// A client that delivers until the appliance is gone.
pub struct Sender {
    name: &'static str,
    address: SocketAddr,
    /// `None`: the printer, from the LAN.
    account: Option<&'static str>,
    /// Sets of recipients that it chooses from.
    to: &'static [&'static [&'static str]],
}

const FRIEND: &str = "friend@outside.example";
const OTHER: &str = "other@outside.example";

/// All of them.
pub fn senders(submission: SocketAddr, lan: SocketAddr) -> [Sender; 4] {
    let anna: &[&[&str]] = &[&["anna"], &["anna", "ben"], &[FRIEND], &["ben", FRIEND, OTHER]];
    let ben: &[&[&str]] = &[&["ben"], &[FRIEND], &[FRIEND, OTHER], &["anna", OTHER]];
    [
        Sender { name: "anna", address: submission, account: Some("anna"), to: anna },
        Sender { name: "ben", address: submission, account: Some("ben"), to: ben },
        Sender { name: "printer", address: lan, account: None, to: &[&["ben"], &["anna", "ben"]] },
        // What the POP3 client finds, and nothing that is still on its way when it looks.
        Sender { name: "scanner", address: lan, account: None, to: &[&["carl"]] },
    ]
}

impl Sender {
    /// Delivers; those that were acknowledged.
    pub fn deliver(&self, round: usize, seed: u64) -> Vec<Delivery> {
        let mut dice = Dice(seed);
        let mut acknowledged = Vec::new();
        let Some(mut smtp) = self.begin() else { return acknowledged };
        let from = format!("{}@home.example", self.name);
        for number in 0.. {
            let name = name(&format!("{}-{round}", self.name), number, &mut dice);
            let to = self.to[dice.below(self.to.len())].to_vec();
            let addresses: Vec<String> = to.iter().map(|to| address(to)).collect();
            let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
            let Some(reply) = smtp.try_send(&from, &addresses, &message(&name)) else { break };
            assert!(reply.starts_with("250"), "{name}: {reply}");
            acknowledged.push(Delivery { name, to });
        }
        acknowledged
    }

    fn begin(&self) -> Option<Smtp> {
        let mut smtp = Smtp::try_begin(Connection::try_open(self.address).ok()?)?;
        if let Some(account) = self.account {
            smtp.try_command(auth_plain(account, "pass").as_bytes())?.starts_with("235").then_some(())?;
        }
        Some(smtp)
    }
}

fn address(to: &str) -> String {
    if to.contains('@') { to.to_owned() } else { format!("{to}@home.example") }
}

/// All that was acknowledged.
#[derive(Default)]
pub struct Submitted(Vec<Delivery>);

impl Submitted {
    pub fn extend(&mut self, deliveries: Vec<Delivery>) {
        self.0.extend(deliveries);
    }
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// The names of what was promised to `recipient`.
    pub fn to(&self, recipient: &'static str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |delivery| delivery.to.contains(&recipient)).map(|d| d.name.as_str())
    }

    /// Both accounts hold what was promised to them, everything once and whole.
    pub fn compare_here(&self, appliance: &Appliance) {
        for account in ["anna", "ben"] {
            // What went through the queue may still be on its way into the account.
            let found = wait_for(&format!("{account}: what was acknowledged"), || {
                let found = inbox(appliance, account);
                self.to(account).all(|name| found.contains_key(name)).then_some(found)
            });
            assert_once(account, &found);
        }
    }

    /// Everyone outside has what was promised to them: how many messages came again.
    pub fn compare_outside(&self, smarthost: &Smarthost) -> usize {
        let arrived = wait_for("what was acknowledged at the smarthost", || {
            let mut arrived = BTreeMap::<(String, String), Vec<bool>>::new();
            for letter in smarthost.letters() {
                let whole = message(&letter.subject);
                let same = letter.checksum == crc32c::crc32c(body(&whole));
                assert!(same, "{} came to the smarthost in another form", letter.subject);
                for to in letter.to {
                    arrived.entry((letter.subject.clone(), to)).or_default().push(letter.settled);
                }
            }
            let there = |to: &'static str| {
                self.to(to).all(|name| arrived.contains_key(&(name.to_owned(), to.to_owned())))
            };
            (there(FRIEND) && there(OTHER)).then_some(arrived)
        });
        let mut again = 0;
        for ((name, to), settled) in arrived {
            let (_last, before) = settled.split_last().unwrap();
            assert!(!before.contains(&true), "{name} came to {to} again after it was settled");
            again += before.len();
        }
        again
    }
}
