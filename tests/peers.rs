//! The peers of the scenarios themselves: the provider serves what was put into it, the smarthost takes mail only after a
//! login and notes it. When this fails, look here before looking at the appliance.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use support::mail::{canonical, corpus, difference, generated};
use support::{Connection, Dovecot, Imap, Pop3, Postfix, Smtp, wait_for};

#[test]
fn the_provider_serves_byte_for_byte_what_was_put_into_it() {
    let dovecot = Dovecot::start(&[("u0", "pass")]);
    let mut messages: Vec<_> = corpus().into_iter().map(|(_, message)| message).collect();
    messages.extend((0..100).map(generated));
    dovecot.fill("u0", &messages);

    let by_pop3 =
        Pop3::login(Connection::open_tls(dovecot.ports.pop3s.address(), dovecot.ca()), "u0", "pass")
            .retrieve_all();
    assert_eq!(difference(&messages, &by_pop3), None);

    let mut imap =
        Imap::login(Connection::open_tls(dovecot.ports.imaps.address(), dovecot.ca()), "u0", "pass");
    let by_imap: Vec<_> = imap.fetch_all("INBOX").into_values().collect();
    assert_eq!(difference(&messages, &by_imap), None);
}

#[test]
fn the_smarthost_notes_the_login() {
    let dovecot = Dovecot::start(&[("global", "one"), ("own", "two")]);
    let postfix = Postfix::start(&dovecot);
    let open = || Connection::open_tls(postfix.submissions.address(), &postfix.ca);

    let refused = Smtp::new(open()).try_send("a@home.example", &["b@outside.example"], b"x\r\n").unwrap();
    assert!(refused.starts_with('5'), "relays for everyone: {refused}");

    Smtp::login(open(), "own", "two").send(
        "a@home.example",
        &["b@outside.example"],
        &canonical(b"Subject: hello\n\n.\n"),
    );
    let relayed = wait_for("the message", || postfix.relayed().pop());
    assert_eq!(
        (relayed.login.as_str(), relayed.sender.as_str(), relayed.recipient.as_str()),
        ("own", "a@home.example", "b@outside.example")
    );
    assert!(relayed.message.contains("Subject: hello"), "{relayed:?}");
}
