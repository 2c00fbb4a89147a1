//! A sync that takes long is felt by nobody but those who wait for what it makes durable. Nothing here is timed: a sync
//! ends when the test lets it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use support::mail::named;
use support::{Connection, Imap, OnCard, Pop3, Smtp, wait_for};

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

fn imap(appliance: &OnCard, account: &str) -> Imap {
    let mut imap = Imap::login(Connection::open(appliance.address("imap")), account, "pass");
    imap.command("SELECT INBOX").ok();
    imap
}

/// Sends an APPEND without waiting for its answer; its tag.
fn begin_append(imap: &mut Imap, name: &str) -> String {
    let message = named(name, 1_000);
    let head = format!("APPEND INBOX {{{}+}}\r\n", message.len());
    imap.send(&[head.as_bytes(), &message].concat()).unwrap()
}

fn acknowledged(imap: &mut Imap, tag: &str) {
    imap.answer(tag).expect("an answer to APPEND").ok();
}

#[test]
fn others_are_served_while_a_sync_is_under_way() {
    let appliance = OnCard::start(CONFIG);
    let [mut writer, mut reader] = ["anna", "anna"].map(|account| imap(&appliance, account));
    writer.append("INBOX", &named("before", 3_000));
    imap(&appliance, "ben").append("INBOX", &named("of ben", 3_000));

    appliance.card.let_end(0);
    let tag = begin_append(&mut writer, "slow");
    wait_for("the sync", || (appliance.card.pending() == 1).then_some(()));

    let news = reader.command("NOOP").ok();
    assert!(news.iter().any(|line| line == b"1 EXISTS"), "{news:?}");
    assert_eq!(reader.fetch_all("INBOX").len(), 1, "what is not durable is not shown");
    assert_eq!(imap(&appliance, "ben").fetch_all("INBOX").len(), 1);
    let mut pop3 = Pop3::login(Connection::open(appliance.address("pop3")), "ben", "pass");
    assert_eq!(pop3.retr(1), named("of ben", 3_000));
    Smtp::login(Connection::open(appliance.address("submission")), "ben", "pass");
    assert_eq!(appliance.card.pending(), 1, "the sync is under way still");

    appliance.card.let_all_end();
    acknowledged(&mut writer, &tag);
    assert_eq!(reader.fetch_all("INBOX").len(), 2);
}

#[test]
fn what_comes_during_a_sync_shares_the_next_one() {
    let appliance = OnCard::start(CONFIG);
    let card = &appliance.card;
    let mut first = imap(&appliance, "anna");
    first.append("INBOX", &named("before", 1_000));
    let mut others: Vec<Imap> = (0..8).map(|_| imap(&appliance, "anna")).collect();

    let ended = card.ended();
    card.let_end(0);
    let tag = begin_append(&mut first, "first");
    wait_for("the first sync", || (card.pending() == 1).then_some(()));
    let writes = card.writes();
    let tags: Vec<String> = others.iter_mut().map(|imap| begin_append(imap, "together")).collect();
    wait_for("eight commits", || (card.writes() >= writes + 8).then_some(()));

    card.let_end(1);
    acknowledged(&mut first, &tag);
    wait_for("the second sync", || (card.pending() == 1).then_some(()));
    card.let_end(1);
    for (imap, tag) in others.iter_mut().zip(&tags) {
        acknowledged(imap, tag);
    }
    assert_eq!(card.ended() - ended, 2, "one sync for the first, one for the eight others");
    card.let_all_end();
}
