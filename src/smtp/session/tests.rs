//! Transcripts. `C:` is a line of the client, `S:` the reply to it (a `*` at its end stands for anything), `...` all
//! but the last line of a reply, `!` what the server is asked to do. Logins succeed with the password `right`, and
//! recipients at `home.example` exist.

use super::*;
use crate::access::Refusal;
use crate::auth::Verdict;
use crate::config::{Account, PlaintextLogin};
use crate::credential::Verifier;
use crate::sasl::server::Answer;
use crate::smtp::Mailbox;

mod transactions;

const SUBMISSION: Role = Role::Submission { implicit_tls: false };

fn config() -> Config {
    let mut config = Config::default();
    config.server.domains.push("home.example".try_into().unwrap());
    config.server.max_message_size = 1000;
    config.accounts.push(Account {
        id: 1,
        name: "demo".try_into().unwrap(),
        address: "demo@home.example".try_into().unwrap(),
        aliases: vec!["info@home.example".try_into().unwrap()],
        ..Account::default()
    });
    config
}

/// What a server would do, as transcript lines.
fn perform(session: &mut Session, effect: Effect) -> Vec<String> {
    let replies = |replies: &[Reply]| -> Vec<String> {
        let octets: Vec<u8> = replies.iter().flat_map(Reply::to_octets).collect();
        String::from_utf8(octets).unwrap().lines().map(|line| format!("S: {line}")).collect()
    };
    match effect {
        Effect::Reply(reply) => replies(&[reply]),
        Effect::Close(last_words) => {
            let mut lines = replies(&last_words);
            lines.push("! close".into());
            lines
        }
        Effect::StartTls(reply) => {
            session.secured(true);
            let mut lines = replies(&[reply]);
            lines.push("! handshake".into());
            lines
        }
        Effect::Login { claim, exchange } => {
            let verdict = match claim {
                Claim::Password { login, password } if &password[..] == b"right" => {
                    Verdict::Welcome(login, Box::new(Verifier::with("right", 1, [7; 16])))
                }
                Claim::Login(_) => Verdict::Answer(Answer::Salt(Verifier::with("right", 1, [7; 16]).salt())),
                _ => Verdict::Refused(Refusal::WrongPassword),
            };
            let effect = session.judged(exchange, verdict);
            perform(session, effect)
        }
        Effect::Recipient { to, .. } => {
            let exists = to.mailbox.domain() == "home.example";
            let outcome = if exists { Ok(()) } else { Err(Reply::new(550, (7, 1), "No relay")) };
            let effect = session.recipient(to, outcome);
            perform(session, effect)
        }
        Effect::Chunk { octets, last, begins } => {
            let from = begins
                .as_ref()
                .map_or("more", |(envelope, _)| envelope.sender.as_ref().map_or("", Mailbox::as_str));
            vec![format!("! chunk of {octets} from {from}{}", if last { ", the last" } else { "" })]
        }
        Effect::Swallow { octets, reply } => {
            let mut lines = vec![format!("! swallow {octets}")];
            lines.extend(replies(&[reply]));
            lines
        }
        Effect::Content { envelope, .. } => {
            let to: Vec<_> = envelope.recipients.iter().map(|to| to.mailbox.as_str()).collect();
            let from = envelope.sender.as_ref().map_or("", Mailbox::as_str);
            vec![format!(
                "! content from <{from}> to {} with {}",
                to.join(" "),
                session.protocol(envelope.utf8)
            )]
        }
    }
}

fn play_as(role: Role, peer: &str, config: &Config, transcript: &str) {
    let tls = role == Role::Submission { implicit_tls: true };
    let mut session = Session::new(role, peer.parse().unwrap(), tls);
    let greeting = session.greeting(config);
    let mut said = perform(&mut session, greeting).into_iter();
    for expected in transcript.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(line) = expected.strip_prefix("C: ") {
            assert_eq!(said.next(), None, "more was said before {expected}");
            let effect = session.line(line.as_bytes(), config);
            said = perform(&mut session, effect).into_iter();
        } else if expected == "..." {
            said = said.next_back().into_iter().collect::<Vec<_>>().into_iter();
        } else {
            let said = said.next().unwrap_or_default();
            let fits = match expected.strip_suffix('*') {
                Some(start) => said.starts_with(start),
                None => said == expected,
            };
            assert!(fits, "expected {expected}\n    said {said}");
        }
    }
    assert_eq!(said.next(), None, "more was said at the end");
}

fn play(transcript: &str) {
    play_as(SUBMISSION, "127.0.0.1", &config(), transcript);
}

#[test]
fn a_message_is_submitted() {
    play(
        "S: 220 pillarbox.local ESMTP
         C: EHLO client.example
         S: 250-pillarbox.local
         S: 250-PIPELINING
         S: 250-8BITMIME
         S: 250-SMTPUTF8
         S: 250-CHUNKING
         S: 250-DSN
         S: 250-ENHANCEDSTATUSCODES
         S: 250-SIZE 1000
         S: 250-STARTTLS
         S: 250 AUTH SCRAM-SHA-256 PLAIN LOGIN
         C: AUTH PLAIN AGRlbW8AcmlnaHQ=
         S: 235 2.7.0 Welcome
         C: MAIL FROM:<demo@home.example> SIZE=900 BODY=8BITMIME
         S: 250 2.0.0 OK
         C: RCPT TO:<office@home.example>
         S: 250 2.1.5 OK
         C: RCPT TO:<someone@else.example>
         S: 550 5.7.1 No relay
         C: RCPT TO:<office@home.example>
         S: 250 2.1.5 OK
         C: RCPT TO:<Postmaster>
         S: 250 2.1.5 OK
         C: DATA
         ! content from <demo@home.example> to office@home.example Postmaster@home.example with ESMTPA
         C: MAIL FROM:<INFO@home.example>
         S: 250 *
         C: RSET
         S: 250 2.0.0 OK
         C: NOOP
         S: 250 2.0.0 OK
         C: VRFY demo
         S: 252 *
         C: HELP
         S: 214 *
         C: QUIT
         S: 221 2.0.0 Goodbye
         ! close",
    );
}

#[test]
fn commands_out_of_order() {
    play(
        "S: 220 *
         C: MAIL FROM:<demo@home.example>
         S: 503 5.5.1 Say EHLO first
         C: AUTH PLAIN AGRlbW8AcmlnaHQ=
         S: 503 5.5.1 Say EHLO first
         C: EHLO x
         ...
         S: 250 *
         C: MAIL FROM:<demo@home.example>
         S: 530 5.7.0 Log in first
         C: RCPT TO:<demo@home.example>
         S: 503 5.5.1 MAIL comes first
         C: DATA
         S: 503 5.5.1 MAIL and RCPT come first
         C: AUTH PLAIN AGRlbW8AcmlnaHQ=
         S: 235 *
         C: AUTH PLAIN AGRlbW8AcmlnaHQ=
         S: 503 5.5.1 You are logged in already
         C: MAIL FROM:<demo@home.example>
         S: 250 *
         C: MAIL FROM:<demo@home.example>
         S: 503 5.5.1 One message at a time
         C: DATA
         S: 554 5.5.1 No valid recipients
         C: RCPT TO:<nodomain>
         S: 553 5.1.3 That address has no domain
         C: HELO x
         S: 250 pillarbox.local
         C: RCPT TO:<demo@home.example>
         S: 503 5.5.1 MAIL comes first
         C: BDAT 4 LAST
         ! swallow 4
         S: 503 5.5.1 MAIL and RCPT come first
         C: FROB
         S: 500 5.5.1 No such command",
    );
}

#[test]
fn senders_are_the_accounts_own() {
    play(
        "S: 220 *
         C: EHLO x
         ...
         S: 250 *
         C: AUTH LOGIN ZGVtbw==
         S: 334 UGFzc3dvcmQ6
         C: cmlnaHQ=
         S: 235 2.7.0 Welcome
         C: MAIL FROM:<office@home.example>
         S: 553 5.7.1 That is not an address of yours
         C: MAIL FROM:<demo@elsewhere.example>
         S: 553 5.7.1 *
         C: MAIL FROM:<demo>
         S: 553 5.7.1 *
         C: MAIL FROM:<demo@home.example> SIZE=1001
         S: 552 5.3.4 Messages of up to 1000 octets are taken
         C: MAIL FROM:<>
         S: 250 2.0.0 OK",
    );
}

#[test]
fn logins_that_fail_look_alike_and_end_the_dialog() {
    play(
        "S: 220 *
         C: EHLO x
         ...
         S: 250 *
         C: AUTH CRAM-MD5
         S: 504 5.5.4 No such mechanism
         C: AUTH SCRAM-SHA-256-PLUS
         S: 504 5.5.4 No such mechanism
         C: AUTH SCRAM-SHA-256
         S: 334 *
         C: biwsbj1kZW1vLHI9bm9uY2U=
         S: 334 cj1ub25jZ*
         C: *
         S: 501 5.7.0 Login cancelled
         C: AUTH SCRAM-SHA-256 biwsbj1kZW1vLHI9bm9uY2U=
         S: 334 cj1ub25jZ*
         C: bm9uc2Vuc2U=
         S: 501 5.5.2 *
         C: AUTH PLAIN
         S: 334 *
         C: *
         S: 501 5.7.0 Login cancelled
         C: AUTH PLAIN !
         S: 501 5.5.2 *
         C: AUTH PLAIN AGRlbW8Ad3Jvbmc=
         S: 535 5.7.8 Authentication credentials invalid
         C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6
         C: bm9ib2R5
         S: 334 UGFzc3dvcmQ6
         C: d3Jvbmc=
         S: 535 5.7.8 Authentication credentials invalid
         C: AUTH PLAIN AGRlbW8Ad3Jvbmc=
         S: 535 5.7.8 Authentication credentials invalid
         S: 421 4.7.0 Too many refused logins
         ! close",
    );
}

#[test]
fn no_password_travels_in_the_open() {
    let far = "S: 220 *
         C: EHLO x
         ...
         S: 250 STARTTLS
         C: AUTH PLAIN AGRlbW8AcmlnaHQ=
         S: 538 5.7.11 *
         C: MAIL FROM:<demo@home.example>
         S: 530 5.7.0 Use STARTTLS, then log in
         C: STARTTLS
         S: 220 2.0.0 Go ahead
         ! handshake
         C: AUTH PLAIN AGRlbW8AcmlnaHQ=
         S: 503 5.5.1 Say EHLO first
         C: EHLO x
         ...
         S: 250 AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN
         C: STARTTLS
         S: 503 5.5.1 TLS is in force already
         C: AUTH PLAIN AGRlbW8AcmlnaHQ=
         S: 235 *
         C: MAIL FROM:<demo@home.example>
         S: 250 *
         C: RCPT TO:<demo@home.example>
         S: 250 *
         C: DATA
         ! content from <demo@home.example> to demo@home.example with ESMTPSA";
    play_as(SUBMISSION, "192.168.1.2", &config(), far);

    let mut config = config();
    config.tls.plaintext_login = PlaintextLogin::Lan;
    let open = "S: 220 *
         C: EHLO x
         ...
         S: 250 AUTH SCRAM-SHA-256 PLAIN LOGIN";
    play_as(SUBMISSION, "192.168.1.2", &config, open);
}

#[test]
fn devices_on_the_lan_need_no_login() {
    let transcript = "S: 220 *
         C: EHLO scanner
         S: 250-pillarbox.local
         S: 250-PIPELINING
         S: 250-8BITMIME
         S: 250-SMTPUTF8
         S: 250-CHUNKING
         S: 250-DSN
         S: 250-ENHANCEDSTATUSCODES
         S: 250-SIZE 1000
         S: 250 STARTTLS
         C: AUTH PLAIN AGRlbW8AcmlnaHQ=
         S: 502 5.5.1 Not implemented
         C: MAIL FROM:<scanner@elsewhere.example>
         S: 553 5.7.1 Devices *
         C: MAIL FROM:<scanner>
         S: 250 *
         C: RCPT TO:<demo@home.example>
         S: 250 *
         C: DATA
         ! content from <scanner@home.example> to demo@home.example with ESMTP";
    play_as(Role::LanSmtp, "192.168.1.2", &config(), transcript);
    play_as(Role::LanSmtp, "::ffff:192.168.1.2", &config(), transcript);
    play_as(Role::LanSmtp, "198.51.100.7", &config(), "S: 554 5.7.1 *\n! close");
}

#[test]
fn recipients_and_nonsense_have_limits() {
    let mut session = Session::new(Role::LanSmtp, "127.0.0.1".parse().unwrap(), false);
    let config = config();
    for line in ["HELO x", "MAIL FROM:<>"] {
        let effect = session.line(line.as_bytes(), &config);
        assert!(perform(&mut session, effect)[0].starts_with("S: 250"));
    }
    for i in 0..MAX_RECIPIENTS {
        let effect = session.line(format!("RCPT TO:<{i}@home.example>").as_bytes(), &config);
        assert_eq!(perform(&mut session, effect), ["S: 250 2.1.5 OK"]);
    }
    let effect = session.line(b"RCPT TO:<x@home.example>", &config);
    assert_eq!(perform(&mut session, effect), ["S: 452 4.5.3 Too many recipients"]);

    let mut replies = Vec::new();
    for _ in 0..MAX_ERRORS {
        let effect = session.too_long();
        replies = perform(&mut session, effect);
    }
    assert_eq!(replies, ["S: 500 5.5.2 Line too long", "S: 421 4.7.0 Too many errors", "! close"]);
}

/// Catches: a login or a message begun in plaintext, by anybody, that still counts within TLS (RFC 3207 section 4.2).
#[test]
fn nothing_that_was_said_in_the_open_counts_within_tls() {
    play(
        "S: 220 *
        C: EHLO x
        ...
        S: 250 *
        C: AUTH PLAIN AGRlbW8AcmlnaHQ=
        S: 235 *
        C: MAIL FROM:<demo@home.example>
        S: 250 *
        C: RCPT TO:<demo@home.example>
        S: 250 *
        C: STARTTLS
        S: 220 *
        ! handshake
        C: RCPT TO:<demo@home.example>
        S: 503 *
        C: DATA
        S: 503 *
        C: EHLO x
        ...
        S: 250 *
        C: MAIL FROM:<demo@home.example>
        S: 530 *",
    );
}
