//! The appliance is killed a hundred times while IMAP, submission, POP3 and MultiPOP are all at work. Whatever was
//! acknowledged is there, once and whole; what was not is there whole or not at all.
//!
//! SIGKILL leaves the kernel's page cache alone, so this is not about syncs (the simulated flash is): it is about what
//! belongs into one commit, and what may be said before it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

mod collected;
mod imap;
mod pop3;
mod submitted;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use support::mail::{Dice, named};
use support::{Appliance, Connection, Imap, Provider, Smarthost, random};

const KILLS: usize = 100;
/// Everything is looked at after so many kills; what the next round builds on, after each.
const LOOK: usize = 20;

fn config(smarthost: SocketAddr, provider: SocketAddr) -> String {
    let account = |name: &str| {
        format!(
            "[[account]]\nname = \"{name}\"\naddress = \"{name}@home.example\"\npassword = \"pass\"\nmultipop = true\n"
        )
    };
    let source = |user: &str, stays: bool| {
        format!(
            "[[account.source]]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\nusername = \"{user}\"\n\
             password = \"x\"\nleave_on_server = {stays}\n",
            provider.port()
        )
    };
    format!(
        "[server]\ndomains = [\"home.example\"]\n[multipop]\ninterval = \"1s\"\n\
         [smarthost]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n{}{}{}{}{}{}",
        smarthost.port(),
        account("anna"),
        account("ben"),
        account("carl"),
        account("dora"),
        source("stays", true),
        source("goes", false),
    )
}

#[test]
fn what_was_acknowledged_survives_a_hundred_kills() {
    let seed = random();
    println!("seed {seed}");
    let mut dice = Dice(seed);
    // They take so long that most kills come while one of them waits.
    let smarthost = Smarthost::start(None, Duration::from_millis(6));
    let provider = Provider::start(None, Duration::from_millis(6));
    let mut appliance = Appliance::start(&config(smarthost.address(), provider.address()));
    let mut readers = [0, 1].map(|n| imap::Reader::new(&appliance, n, dice.next()));
    let mut fetcher = pop3::Fetcher::new(dice.next());
    let mut submitted = submitted::Submitted::default();
    let mut collected = collected::Collected::default();
    for round in 0..KILLS {
        let ports = &appliance.ports;
        let (imap, pop3) = (ports.imap.address(), ports.pop3.address());
        let senders = submitted::senders(ports.submission.address(), ports.lan_smtp.address());
        let (seeds, data) = (senders.each_ref().map(|_| dice.next()), appliance.data());
        let cut_after = Duration::from_millis(20 + dice.next() % 180);
        let over = AtomicBool::new(false);
        scope(|scope| {
            readers.iter_mut().for_each(|reader| drop(scope.spawn(|| reader.work(imap, round))));
            scope.spawn(|| fetcher.work(pop3));
            scope.spawn(|| collected.feed(&provider, round, &over));
            scope.spawn(|| collected::hurry(&data, &over));
            let senders: Vec<_> = senders
                .iter()
                .zip(seeds)
                .map(|(sender, seed)| scope.spawn(move || sender.deliver(round, seed)))
                .collect();
            sleep(cut_after);
            appliance.kill();
            over.store(true, Ordering::Relaxed);
            senders.into_iter().for_each(|sender| submitted.extend(sender.join().unwrap()));
        });
        appliance.restart();
        readers.iter_mut().for_each(|reader| reader.compare(&appliance));
        fetcher.compare(&appliance, submitted.to("carl"));
        if (round + 1) % LOOK == 0 {
            submitted.compare_here(&appliance);
            collected.compare(&appliance, &provider);
        }
    }
    let doubled = submitted.compare_outside(&smarthost);
    collected.compare_all(&appliance, &provider);
    println!(
        "acknowledged: {:?} changes by IMAP, {} messages by SMTP, {} deletions by POP3; {} were collected; \
         {doubled} came to the smarthost again",
        readers.each_ref().map(|reader| reader.acknowledged),
        submitted.len(),
        fetcher.deleted(),
        collected.len(),
    );
    assert!(readers.iter().all(|reader| reader.acknowledged > KILLS), "hardly anything by IMAP");
    assert!(submitted.len() > KILLS, "hardly anything was submitted");
    assert!(fetcher.deleted() > KILLS, "hardly anything by POP3");
    assert!(collected.len() > KILLS, "hardly anything was collected");
}

/// A name that says how large the message of this name is.
fn name(prefix: &str, number: usize, dice: &mut Dice) -> String {
    // Some larger than the store keeps in its log.
    let size = if dice.below(8) == 0 { 60_000 + dice.below(40_000) } else { 200 + dice.below(4_000) };
    format!("{prefix}-{number}-{size}")
}

/// The message of this name.
fn message(name: &str) -> Vec<u8> {
    let size = name.rsplit('-').next().and_then(|size| size.parse().ok());
    named(name, size.unwrap_or_else(|| panic!("{name:?} is no message of ours")))
}

/// The name of a message as it came back. The test fails unless all that follows its header is as it was sent.
#[track_caller]
fn name_of_whole(octets: &[u8]) -> String {
    let header = &octets[..octets.len() - body(octets).len()];
    let header = String::from_utf8_lossy(header).into_owned();
    let name = header.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default();
    assert!(body(octets) == body(&message(name)), "{name:?} is not what was sent");
    name.to_owned()
}

/// What follows the header, to which SMTP adds fields.
fn body(message: &[u8]) -> &[u8] {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n");
    end.map_or(&[], |end| &message[end + 4..])
}

/// How many times each message is in an account's INBOX; all of them are whole.
fn inbox(appliance: &Appliance, account: &str) -> BTreeMap<String, usize> {
    let mut imap = Imap::login(Connection::open(appliance.ports.imap.address()), account, "pass");
    let mut found = BTreeMap::new();
    for message in imap.fetch_all("INBOX").into_values() {
        *found.entry(name_of_whole(&message)).or_default() += 1;
    }
    found
}

/// Fails when a message is there more than once.
#[track_caller]
fn assert_once(account: &str, found: &BTreeMap<String, usize>) {
    for (name, copies) in found {
        assert_eq!(*copies, 1, "{account}: {name} is there {copies} times");
    }
}
