//! From the greeting to the login, as dialogs.

use super::*;
use crate::config::{Secret, SourceAuth};
use crate::outgoing::{Credentials, Habit, Proof};
use crate::smtp::reply::ReplyReader;
use data_encoding::BASE64;

fn demo() -> Option<Login> {
    login("demo password")
}

fn login(password: &str) -> Option<Login> {
    let password = Secret::new(password).unwrap();
    Some(
        super::super::login(Credentials {
            username: "demo".into(),
            proof: Proof::Password(password, SourceAuth::Auto),
            habit: Habit::default(),
        })
        .unwrap(),
    )
}

/// `S:` is a line of the server, `C:` the client's answer to a reply, `!` anything else that it does.
fn play(security: Security, login: Option<Login>, transcript: &str) {
    let mut opening = Opening::new("pillarbox.local", security, login);
    let mut reader = ReplyReader::default();
    let mut did = String::new();
    for expected in transcript.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some(line) = expected.strip_prefix("S: ") else {
            assert_eq!(std::mem::take(&mut did), expected);
            continue;
        };
        assert_eq!(did, "", "before {expected}");
        let Some(reply) = reader.line(line.as_bytes()).unwrap() else { continue };
        let next = async_io::block_on(opening.reply(&reply));
        did = match next {
            Ok(Step::StartTls) => {
                let Step::Send(line) = opening.secured() else { panic!("no EHLO") };
                format!("! handshake, C: {}", *line)
            }
            Ok(Step::Send(line)) => format!("C: {}", *line),
            Ok(Step::Done(found)) => format!("! ready, size {:?}", found.size),
            Ok(Step::Read) => panic!("nothing to say"),
            Err(Failure::Token(reason)) => format!("! token: {reason}"),
            Err(Failure::Login(reason)) => format!("! login: {reason}"),
            Err(Failure::Busy(reason)) => format!("! busy: {reason}"),
            Err(Failure::Settings(reason)) => format!("! settings: {reason}"),
            Err(Failure::Unavailable(reason)) => format!("! later: {reason}"),
            Err(Failure::Again(reason)) => format!("! again: {reason}"),
        };
    }
    assert_eq!(did, "");
}

#[test]
fn a_login_over_implicit_tls() {
    play(
        Security::Tls,
        demo(),
        "S: 220-smarthost.example
         S: 220 ESMTP
         C: EHLO pillarbox.local
         S: 250-smarthost.example
         S: 250-SIZE 1000
         S: 250 AUTH LOGIN PLAIN
         C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
         S: 235 2.7.0 Welcome
         ! ready, size Some(1000)",
    );
}

/// What LOGIN asks is known, however it is said. Catches: a login given up since the server asks in words.
#[test]
fn login_goes_on_where_the_server_asks_in_words() {
    play(
        Security::Tls,
        demo(),
        "S: 220 smarthost.example
         C: EHLO pillarbox.local
         S: 250-smarthost.example
         S: 250 AUTH LOGIN
         C: AUTH LOGIN
         S: 334 Your name!
         C: ZGVtbw==
         S: 334 Your password!
         C: ZGVtbyBwYXNzd29yZA==
         S: 235 2.7.0 Welcome
         ! ready, size None",
    );
}

#[test]
fn starttls_is_demanded_and_forgets_what_was_offered_before() {
    play(
        Security::Starttls,
        demo(),
        "S: 220 smarthost.example
         C: EHLO pillarbox.local
         S: 250-smarthost.example
         S: 250-SIZE 5
         S: 250-AUTH PLAIN
         S: 250 STARTTLS
         C: STARTTLS
         S: 220 Go
         ! handshake, C: EHLO pillarbox.local
         S: 250-smarthost.example
         S: 250 AUTH=LOGIN
         C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6
         C: ZGVtbw==
         S: 334 UGFzc3dvcmQ6
         C: ZGVtbyBwYXNzd29yZA==
         S: 235 Welcome
         ! ready, size None",
    );
    play(
        Security::Starttls,
        None,
        "S: 220 smarthost.example
         C: EHLO pillarbox.local
         S: 250 AUTH PLAIN
         ! later: the server offers no STARTTLS: it is not among its extensions. Set the smarthost's security to \"tls\", with the port that the provider tells for it.",
    );
    play(
        Security::Starttls,
        None,
        "S: 220 smarthost.example
         C: EHLO pillarbox.local
         S: 250-smarthost.example
         S: 250 STARTTLS
         C: STARTTLS
         S: 454 4.7.0 No entropy today
         ! later: the smarthost answers 454 4.7.0 No entropy today",
    );
}

#[test]
fn logins_that_go_wrong() {
    let start = "S: 220 smarthost.example
         C: EHLO pillarbox.local
         S: 250-smarthost.example\n";
    for rest in [
        "S: 250 AUTH PLAIN
         C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
         S: 535 5.7.8 Wrong
         ! login: 535 5.7.8 Wrong",
        "S: 250 AUTH PLAIN
         C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
         S: 454 4.7.0 Directory is down
         ! busy: 454 4.7.0 Directory is down",
        "S: 250 AUTH PLAIN
         C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
         S: 421 4.3.2 Going down
         ! busy: 421 4.3.2 Going down",
        "S: 250 AUTH GSSAPI NTLM
         ! settings: the smarthost offers no way to log in that is known here and allowed by auth, but GSSAPI, NTLM. Set the smarthost's auth to \"auto\", or ask the provider how to log in.",
        "S: 250 SIZE
         ! settings: the smarthost offers no way to log in. Take the user name out of the smarthost's settings if it wants none, or ask the provider for the port of submission.",
        "S: 250 AUTH PLAIN
         C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
         S: 334
         C: *
         S: 501 5.0.0 Cancelled
         ! later: the login failed: the server's challenge makes no sense: one more than the mechanism has",
    ] {
        play(Security::Tls, demo(), &format!("{start}{rest}"));
    }
}

/// Plays the rest of a dialog with a server that offers these mechanisms.
fn offered(security: Security, mechanisms: &str, rest: &str) {
    let start = "S: 220 smarthost.example
         C: EHLO pillarbox.local
         S: 250-smarthost.example";
    play(security, demo(), &format!("{start}\nS: 250 AUTH {mechanisms}\n{rest}"));
}

/// Catches: a login that gives up when SCRAM is refused at its first message, by a server without a verifier for the
/// user, and never tries PLAIN; one that takes a wrong password for that.
#[test]
fn scram_that_is_refused_at_once_is_followed_by_plain() {
    // The first message holds a random nonce.
    let mut opening = Opening::new("pillarbox.local", Security::Tls, demo());
    let mut reader = ReplyReader::default();
    let mut hear = |line: &str| {
        let reply = reader.line(line.as_bytes()).unwrap()?;
        Some(match async_io::block_on(opening.reply(&reply)) {
            Ok(Step::Send(line)) => line.to_string(),
            Ok(_) => "!".to_owned(),
            Err(failure) => failure.to_string(),
        })
    };
    hear("220 smarthost.example");
    hear("250-smarthost.example");
    let first = hear("250 AUTH PLAIN SCRAM-SHA-256 LOGIN").unwrap();
    assert!(first.starts_with("AUTH SCRAM-SHA-256 biws"), "{first}");
    let second = hear("535 5.7.8 Error: authentication failed: no secret in database");
    assert_eq!(second.unwrap(), "AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==");
    let end = "535-5.7.8 Username and Password not accepted. For more information, go to";
    assert_eq!(hear(end), None);
    let end = hear("535 5.7.8 https://support.example/mail").unwrap();
    assert!(end.starts_with("the smarthost refuses the login: 535 5.7.8"), "{end}");
}

/// Catches: a mechanism that is refused or breaks and ends the login although there is another one; a password that
/// is shown without TLS to an attacker who broke the better mechanism.
#[test]
fn cram_md5_that_is_offered_and_broken_is_followed_by_plain_within_tls() {
    let plain = "C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==";
    let answered = "S: 334 PDFAYj4=\nC: ZGVtbyBiMWUzNWIwNTBjNzExNGQyNTQxZGI1MTMwOWFhMmNhNw==";
    for (broken, without_tls) in [
        ("S: 504 5.5.4 Unrecognized authentication type".to_owned(), plain),
        ("S: 535 5.7.8 No".to_owned(), plain),
        (
            "S: 334 not base64!\nC: *\nS: 501 5.7.0 Cancelled".to_owned(),
            "! later: the login failed: the server's challenge makes no sense: not base64",
        ),
        (format!("{answered}\nS: 534 5.7.9 Mechanism too weak"), plain),
        (format!("{answered}\nS: 432 4.7.12 Password transition needed"), plain),
    ] {
        let dialog = |then| format!("C: AUTH CRAM-MD5\n{broken}\n{then}");
        offered(Security::Tls, "CRAM-MD5 PLAIN", &dialog(plain));
        offered(Security::None, "CRAM-MD5 PLAIN", &dialog(without_tls));
    }
    // The password may be right all the same, if the server keeps only a hash of it.
    for (security, then) in [
        (Security::Tls, format!("{plain}\nS: 535 5.7.8 Wrong\n! login: 535 5.7.8 Wrong")),
        (Security::Tls, format!("{plain}\nS: 235 Welcome\n! ready, size None")),
        (Security::None, "! login: 535 5.7.8 Wrong".to_owned()),
    ] {
        let dialog = format!("C: AUTH CRAM-MD5\n{answered}\nS: 535 5.7.8 Wrong\n{then}");
        offered(security, "CRAM-MD5 PLAIN", &dialog);
    }
}

#[test]
fn a_long_password_waits_for_the_challenge() {
    let login = login(&"x".repeat(400));
    let response = BASE64.encode(format!("\0demo\0{}", "x".repeat(400)).as_bytes());
    let transcript = "S: 220 smarthost.example
         C: EHLO pillarbox.local
         S: 250-smarthost.example
         S: 250 AUTH PLAIN
         C: AUTH PLAIN
         S: 334
         C: ";
    play(Security::Tls, login, &format!("{transcript}{response}\nS: 235 Welcome\n! ready, size None"));
}

#[test]
fn servers_that_are_old_or_unwilling() {
    play(
        Security::Tls,
        None,
        "S: 220 old.example
         C: EHLO pillarbox.local
         S: 500 What?
         C: HELO pillarbox.local
         S: 250 old.example
         ! ready, size None",
    );
    play(Security::Tls, None, "S: 554 5.3.2 No service\n! later: the smarthost answers 554 5.3.2 No service");
    play(
        Security::Tls,
        demo(),
        "S: 220 old.example
         C: EHLO pillarbox.local
         S: 500 What?
         ! later: the smarthost answers 500 What?",
    );
}
