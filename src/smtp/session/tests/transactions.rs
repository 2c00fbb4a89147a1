//! Transactions: chunks, addresses above ASCII, DSN parameters, and which clients lose their session.

use super::*;
use crate::smtp::dsn;

const LOGIN: &str = "S: 220 *
         C: EHLO x
         ...
         S: 250 *
         C: AUTH PLAIN AGRlbW8AcmlnaHQ=
         S: 235 *
         ";

/// Catches: chunks and DATA in one message, refused chunks that are taken for commands, and a transaction that goes
/// on after its message.
#[test]
fn chunks() {
    play(&format!(
        "{LOGIN}C: MAIL FROM:<demo@home.example> BODY=8BITMIME
         S: 250 *
         C: BDAT 7
         ! swallow 7
         S: 554 5.5.1 No valid recipients
         C: RCPT TO:<demo@home.example>
         S: 250 *
         C: BDAT 10
         ! chunk of 10 from demo@home.example
         C: DATA
         S: 503 5.5.1 What began with BDAT ends with BDAT
         C: RCPT TO:<demo@home.example>
         S: 503 5.5.1 The content has begun
         C: MAIL FROM:<demo@home.example>
         S: 503 5.5.1 One message at a time
         C: NOOP
         S: 250 *
         C: BDAT 5
         ! chunk of 5 from more
         C: BDAT 0 LAST
         ! chunk of 0 from more, the last
         C: BDAT 0 LAST
         ! swallow 0
         S: 503 5.5.1 MAIL and RCPT come first
         C: MAIL FROM:<>
         S: 250 *
         C: RCPT TO:<demo@home.example>
         S: 250 *
         C: BDAT 3
         ! chunk of 3 from *
         C: RSET
         S: 250 *
         C: BDAT 3 LAST
         ! swallow 3
         S: 503 5.5.1 *
         C: BDAT
         ! swallow 0
         S: 501 5.5.4 Use BDAT, *
         C: BDAT 3 FIRST
         ! swallow 3
         S: 501 5.5.4 *
         C: MAIL FROM:<demo@home.example> BODY=BINARYMIME
         S: 501 5.5.4 *
         C: BDAT three
         S: 501 5.5.4 *
         ! close",
    ));
}

/// Catches: an address above ASCII without SMTPUTF8, and a domain that is local in one spelling only.
#[test]
fn addresses_beyond_ascii() {
    let mut config = config();
    config.server.domains.push("xn--mnchen-3ya.example".try_into().unwrap());
    config.accounts[0].aliases.push("demo@xn--mnchen-3ya.example".try_into().unwrap());
    let transcript = "C: MAIL FROM:<demo@münchen.example>
         S: 553 5.6.7 *
         C: MAIL FROM:<demo@home.example>
         S: 250 *
         C: RCPT TO:<jürgen@home.example>
         S: 553 5.6.7 *
         C: RCPT TO:<demo@home.example> ORCPT=utf-8;jürgen@home.example
         S: 553 5.6.7 *
         C: RSET
         S: 250 *
         C: MAIL FROM:<jürgen@home.example> SMTPUTF8
         S: 553 5.7.1 *
         C: MAIL FROM:<demo@MÜNCHEN.example> smtputf8
         S: 250 *
         C: RCPT TO:<jürgen@home.example> ORCPT=utf-8;jürgen@home.example
         S: 250 *
         C: DATA
         ! content from <demo@xn--mnchen-3ya.example> to jürgen@home.example with UTF8SMTPA";
    play_as(SUBMISSION, "127.0.0.1", &config, &format!("{LOGIN}{transcript}"));
}

/// Catches: a DSN parameter that gets lost between the command and the envelope.
#[test]
fn what_is_asked_for_stands_in_the_envelope() {
    let (mut session, config) = (Session::new(Role::LanSmtp, "127.0.0.1".parse().unwrap(), false), config());
    for line in [
        "EHLO x",
        "MAIL FROM:<> SMTPUTF8 RET=HDRS ENVID=QQ1",
        "RCPT TO:<a@home.example> NOTIFY=SUCCESS",
        "RCPT TO:<b@home.example> ORCPT=rfc822;b+2B@home.example",
        "RCPT TO:<a@home.example> NOTIFY=DELAY",
    ] {
        let effect = session.line(line.as_bytes(), &config);
        assert!(perform(&mut session, effect)[0].starts_with("S: 250"), "{line}");
    }
    let Effect::Content { envelope, .. } = session.line(b"DATA", &config) else { panic!("no content") };
    assert!(envelope.utf8);
    assert_eq!(envelope.dsn, dsn::Request { ret: Some(dsn::Ret::Headers), envid: "QQ1".into() });
    let [a, b] = &envelope.recipients[..] else { panic!("{:?}", envelope.recipients) };
    assert_eq!(a.notify, dsn::Notify::When { success: true, failure: false, delay: true });
    assert_eq!((b.notify, b.original.as_str()), (dsn::Notify::Unsaid, "rfc822;b+2B@home.example"));
}

#[test]
fn the_postmaster_needs_no_domain() {
    play(&format!(
        "{LOGIN}C: MAIL FROM:<>
         S: 250 *
         C: RCPT TO:<PostMaster>
         S: 250 *
         C: RCPT TO:<\"postmaster\">
         S: 250 *
         C: RCPT TO:<postmaster2>
         S: 553 5.1.3 *
         C: DATA
         ! content from <> to PostMaster@home.example postmaster@home.example with ESMTPA"
    ));
}

/// Catches: a mailing that loses its session for a few refusals, and a client with invalid commands, or one that
/// tries names, that never loses it.
#[test]
fn senseless_commands_count_in_a_row() {
    let config = config();
    let begun = || {
        let mut session = Session::new(Role::LanSmtp, "127.0.0.1".parse().unwrap(), false);
        session.line(b"HELO x", &config);
        session
    };
    let said = |session: &mut Session, line: &str| {
        let effect = session.line(line.as_bytes(), &config);
        perform(session, effect)
    };
    let mut mailing = begun();
    for i in 0..500 {
        assert_eq!(said(&mut mailing, "MAIL FROM:<>"), ["S: 250 2.0.0 OK"], "message {i}");
        assert_eq!(said(&mut mailing, "RCPT TO:<nobody>"), ["S: 553 5.1.3 That address has no domain"]);
        assert_eq!(said(&mut mailing, "RCPT TO:<a@elsewhere.example>"), ["S: 550 5.7.1 No relay"]);
        assert_eq!(said(&mut mailing, "RCPT TO:<a@home.example>"), ["S: 250 2.1.5 OK"]);
        said(&mut mailing, "FROB");
        assert_eq!(said(&mut mailing, "RSET"), ["S: 250 2.0.0 OK"]);
    }
    let mut senseless = begun();
    let pairs = (0..100)
        .take_while(|_| said(&mut senseless, "FROB").len() == 1 && said(&mut senseless, "NOOP").len() == 1);
    assert_eq!(pairs.count(), usize::from(MAX_ERRORS) - 1, "what always goes well proves nothing");

    let mut curious = begun();
    said(&mut curious, "MAIL FROM:<>");
    let refused =
        (0..1000).take_while(|i| said(&mut curious, &format!("RCPT TO:<{i}@elsewhere.example>")).len() == 1);
    assert_eq!(refused.count(), usize::from(MAX_REFUSED_RECIPIENTS) - 1);
}

/// Catches: a logged-in client, or a device that has once sent CR LF, whose content can be ended with a bare dot by
/// somebody else.
#[test]
fn bare_line_ends_are_for_devices_that_know_no_others() {
    for (role, ends, lf_only) in [
        (Role::LanSmtp, &[true, true][..], true),
        (Role::LanSmtp, &[true, false, true], false),
        (Role::LanSmtp, &[false], false),
        (SUBMISSION, &[true, true], false),
        (Role::Submission { implicit_tls: true }, &[true], false),
    ] {
        let mut session = Session::new(role, "127.0.0.1".parse().unwrap(), false);
        ends.iter().for_each(|&bare_lf| session.line_ended(bare_lf));
        assert_eq!(session.knows_lf_only(), lf_only, "{role:?} {ends:?}");
    }
}
