//! A message of 50 MiB passes through the appliance, in and out by every way, and takes no more memory than a small one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::time::Duration;

use support::dovecot::{self, Certificate};
use support::{Appliance, Connection, Imap, Pop3, Provider, Scratch, Smarthost, Smtp, proc, wait_for};

const SMALL: usize = 1 << 20;
const LARGE: usize = 50 << 20;
/// What a message may take besides what a smaller one took.
const GROWTH: u64 = 1 << 20;

/// Lines of mail, so many octets.
fn message(size: usize) -> Vec<u8> {
    let mut message = b"Subject: a large one\r\nFrom: anna@home.example\r\n\r\n".to_vec();
    message.extend(b"A line of an ordinary length, as base64 has them\r\n".repeat(size / 50));
    message
}

/// The appliance, and a provider and a smarthost that speak as it does: with TLS, or all without.
struct World {
    appliance: Appliance,
    provider: Provider,
    smarthost: Smarthost,
    tls: bool,
    _certificate: Scratch,
}

impl World {
    fn new(tls: bool) -> World {
        let scratch = Scratch::new("memory");
        let certificate = Certificate::make(&scratch);
        let used = tls.then_some(&certificate);
        let provider = Provider::start(used, Duration::ZERO);
        let smarthost = Smarthost::start(used, Duration::ZERO);
        let security = if tls { "tls" } else { "none" };
        let appliance = Appliance::start(&format!(
            "[server]\ndomains = [\"home.example\"]\nmax_message_size = \"64MiB\"\n\
             [multipop]\ninterval = \"1h\"\n\
             [smarthost]\nhost = \"localhost\"\nport = {}\nsecurity = \"{security}\"\nca = \"{}\"\n\
             [[account]]\nname = \"anna\"\naddress = \"anna@home.example\"\npassword = \"pass\"\nmultipop = true\n{}",
            smarthost.address().port(),
            certificate.ca.display(),
            dovecot::source(provider.address(), security, "anna", "x", &certificate.ca),
        ));
        World { appliance, provider, smarthost, tls, _certificate: scratch }
    }

    fn connect(&self, plain: &support::Port, tls: &support::Port) -> Connection {
        if self.tls {
            Connection::open_tls(tls.address(), &self.appliance.ca())
        } else {
            Connection::open(plain.address())
        }
    }
    fn imap(&self) -> Imap {
        let ports = &self.appliance.ports;
        let mut imap = Imap::login(self.connect(&ports.imap, &ports.imaps), "anna", "pass");
        imap.command("SELECT INBOX").ok();
        imap
    }
    fn smtp(&self) -> Smtp {
        let ports = &self.appliance.ports;
        Smtp::login(self.connect(&ports.submission, &ports.submissions), "anna", "pass")
    }

    /// Every way in and out, with `message`: what each of them took at the most, in octets.
    fn passes(&self, message: &[u8]) -> Vec<(&'static str, u64)> {
        let (mut took, mut imap) = (Vec::new(), self.imap());
        let pid = self.appliance.pid();
        let mut measure = |way, pass: &mut dyn FnMut()| {
            let before = proc::resident(pid);
            proc::reset_peak(pid);
            pass();
            took.push((way, proc::peak(pid).saturating_sub(before)));
        };
        measure("APPEND", &mut || imap.append("INBOX", message));
        measure("submission", &mut || {
            self.smtp().send("anna@home.example", &["anna@home.example"], message);
        });
        let before = count(&mut imap);
        measure("MultiPOP", &mut || {
            self.provider.add("anna", &message.len().to_string(), message.to_vec());
            self.appliance.console("collect");
            wait_for("the collected message", || (count(&mut imap) == before + 1).then_some(()));
        });
        measure("relay", &mut || {
            let before = self.smarthost.letters().len();
            self.smtp().send("anna@home.example", &["friend@outside.example"], message);
            let letter = wait_for("the letter", || self.smarthost.letters().get(before).cloned());
            assert!(letter.octets >= message.len() as u64);
        });
        let last = count(&mut imap);
        for item in ["BODY[]", "BODY[TEXT]", "BODY[1]", "BODY.PEEK[]<0.100000>"] {
            measure(item, &mut || {
                let octets = imap.drain(&format!("FETCH {last} ({item})"));
                assert!(
                    octets >= if item.ends_with('>') { 100_000 } else { message.len() - 100 },
                    "{octets}"
                );
            });
        }
        measure("SEARCH TEXT", &mut || drop(imap.command(&format!("SEARCH {last} TEXT nowhere")).ok()));
        measure("RETR", &mut || {
            let ports = &self.appliance.ports;
            let mut pop3 = Pop3::login(self.connect(&ports.pop3, &ports.pop3s), "anna", "pass");
            assert!(pop3.drain(last) >= message.len());
        });
        took
    }
}

/// Messages in the INBOX.
fn count(imap: &mut Imap) -> usize {
    // SEARCH looks at what the client has heard of.
    imap.command("NOOP").ok();
    let found = imap.command("UID SEARCH ALL");
    found.text().split_whitespace().filter(|word| word.parse::<u32>().is_ok()).count()
}

fn a_large_message_takes_no_more_memory_than_a_small_one(tls: bool) {
    let world = World::new(tls);
    // Once for what is there for good after the first use: code, tables, the allocator's own.
    world.passes(&message(SMALL));
    let small = world.passes(&message(SMALL + 1000));
    let large = world.passes(&message(LARGE));
    let mut too_much = Vec::new();
    for ((way, small), (_, large)) in small.into_iter().zip(large) {
        println!("{way}: {} KiB for 1 MiB, {} KiB for 50 MiB", small >> 10, large >> 10);
        if large > GROWTH {
            too_much.push(way);
        }
    }
    assert!(too_much.is_empty(), "more than {} KiB: {too_much:?}", GROWTH >> 10);
}

#[test]
fn in_plain_text() {
    a_large_message_takes_no_more_memory_than_a_small_one(false);
}

#[test]
fn with_tls() {
    a_large_message_takes_no_more_memory_than_a_small_one(true);
}
