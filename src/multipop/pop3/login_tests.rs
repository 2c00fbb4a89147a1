//! Logins as dialogs.

use smol::future::block_on;

use super::*;
use crate::config::Secret;
use crate::multipop::wire::Opening as _;

/// Plays a dialog with a login as `tim` with the password `tanstaaf`. `S:` lines are the server's, `C:` lines are
/// what the client must send. The last line is the result: `OPEN`, `OPEN pipelining` or `ERROR` and how the error
/// begins.
fn play(auth: SourceAuth, security: Security, dialog: &str) {
    let source = Source {
        username: "tim".try_into().unwrap(),
        password: Secret::new("tanstaaf").unwrap(),
        auth,
        security,
        ..Source::default()
    };
    let mut login = Opening::new(&source, None, security == Security::Tls).unwrap();
    let mut step = Ok(Step::Read);
    for line in dialog.lines().map(str::trim).filter(|line| !line.is_empty()) {
        step = match (line.split_once(' ').unwrap_or((line, "")), step) {
            (("S:", text), Ok(Step::Read)) => block_on(login.line(text.as_bytes())),
            (("C:", text), Ok(Step::Send(sent))) => {
                assert_eq!(*sent, text, "in{dialog}");
                Ok(Step::Read)
            }
            (("TLS", _), Ok(Step::StartTls)) => login.secured(),
            (("OPEN", text), Ok(Step::Done(pipelining))) => {
                assert_eq!(pipelining.pipelining, text == "pipelining", "in{dialog}");
                return;
            }
            (("ERROR", text), Err(error)) => {
                assert!(error.to_string().starts_with(text), "{error} in{dialog}");
                return;
            }
            (_, step) => panic!("{step:?} at {line:?} in{dialog}"),
        };
    }
    panic!("no end in{dialog}");
}

fn auto(dialog: &str) {
    play(SourceAuth::Auto, Security::Tls, dialog);
}

#[test]
fn plain_is_preferred_to_login_and_user() {
    auto(
        "
        S: +OK ready
        C: CAPA
        S: +OK
        S: USER
        S: SASL LOGIN PLAIN
        S: PIPELINING
        S: .
        C: AUTH PLAIN
        S: +
        C: AHRpbQB0YW5zdGFhZg==
        S: +OK
        OPEN pipelining",
    );
}

#[test]
fn without_capa_there_are_apop_and_user() {
    auto(
        "
        S: +OK <1896.697170952@dbc.mtview.ca.us>
        C: CAPA
        S: -ERR unknown command
        C: APOP tim c4c9334bac560ecc979e58001b3e22fb
        S: -ERR unimplemented
        C: USER tim
        S: +OK
        C: PASS tanstaaf
        S: +OK
        OPEN",
    );
}

#[test]
fn a_mechanism_that_the_server_takes_back_gives_way_to_the_next() {
    auto(
        "
        S: +OK
        C: CAPA
        S: +OK
        S: SASL CRAM-MD5 PLAIN
        S: .
        C: AUTH CRAM-MD5
        S: -ERR no
        C: AUTH PLAIN
        S: -ERR Unrecognized authentication type
        C: USER tim
        S: +OK
        C: PASS tanstaaf
        S: +OK
        OPEN",
    );
}

#[test]
fn a_refused_password_is_not_tried_again() {
    for refusal in ["-ERR [AUTH] Authentication failed.", "-ERR no such user", "-ERR"] {
        auto(&format!(
            "
            S: +OK <1@example>
            C: CAPA
            S: +OK
            S: SASL CRAM-MD5 PLAIN
            S: .
            C: AUTH CRAM-MD5
            S: + PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+
            C: dGltIDg1YTJkZWFlYjUyMDliMGY1NGQ0MDc1OWRhY2MyNGM0
            S: {refusal}
            C: AUTH PLAIN
            S: +
            C: AHRpbQB0YW5zdGFhZg==
            S: {refusal}
            ERROR the login was refused"
        ));
    }
}

#[test]
fn a_mailbox_in_use_is_not_a_wrong_password() {
    auto(
        "
        S: +OK
        C: CAPA
        S: -ERR
        C: USER tim
        S: +OK
        C: PASS tanstaaf
        S: -ERR [IN-USE] Do you have another POP session running?
        ERROR the mailbox cannot be opened now: [IN-USE] Do you",
    );
}

#[test]
fn starttls_forgets_what_was_said_before() {
    play(
        SourceAuth::Auto,
        Security::Starttls,
        "
        S: +OK
        C: CAPA
        S: +OK
        S: STLS
        S: SASL CRAM-MD5
        S: PIPELINING
        S: .
        C: STLS
        S: +OK
        TLS
        C: CAPA
        S: +OK
        S: SASL PLAIN
        S: .
        C: AUTH PLAIN
        S: +
        C: AHRpbQB0YW5zdGFhZg==
        S: +OK
        OPEN",
    );
}

#[test]
fn starttls_is_never_given_up() {
    for (capa, end) in [
        ("S: +OK\nS: USER\nS: .", "ERROR the server offers no STARTTLS"),
        ("S: -ERR\nC: STLS\nS: -ERR not here", "ERROR the server offers no STARTTLS: not here"),
        ("S: -ERR\nC: STLS\nS: what?", "ERROR the server does not keep to the protocol: it said \"what?\""),
    ] {
        play(SourceAuth::Auto, Security::Starttls, &format!("\nS: +OK\nC: CAPA\n{capa}\n{end}"));
    }
}

#[test]
fn without_tls_silence_about_user_keeps_the_password_at_home() {
    let dialog = "\nS: +OK\nC: CAPA\nS: +OK\nS: UIDL\nS: .\n";
    play(SourceAuth::Auto, Security::None, &format!("{dialog}ERROR the server offers no way"));
    play(
        SourceAuth::Auto,
        Security::Tls,
        &format!("{dialog}C: USER tim\nS: -ERR\nERROR the login was refused"),
    );
}

#[test]
fn a_configured_mechanism_is_the_only_one() {
    for (auth, dialog) in [
        (
            SourceAuth::Login,
            "C: AUTH LOGIN\nS: -ERR unknown mechanism\nERROR the server refuses the way to log in: unknown",
        ),
        (SourceAuth::User, "C: USER tim\nS: +OK\nC: PASS tanstaaf\nS: +OK\nOPEN"),
        (SourceAuth::Apop, "ERROR the server offers no way to log in"),
    ] {
        play(
            auth,
            Security::Tls,
            &format!("\nS: +OK\nC: CAPA\nS: +OK\nS: SASL PLAIN SCRAM-SHA-256\nS: .\n{dialog}"),
        );
    }
}

#[test]
fn scram_without_a_verifier_at_the_server_gives_way_but_an_impostor_does_not() {
    // The client's nonce is random, so the dialog is played step by step.
    let source = Source { username: "tim".try_into().unwrap(), ..Source::default() };
    let begin = || {
        let mut login = Opening::new(&source, None, true).unwrap();
        for line in ["+OK", "+OK", "SASL SCRAM-SHA-256", ".", "+"] {
            block_on(login.line(line.as_bytes())).unwrap();
        }
        login
    };
    let fallback = block_on(begin().line(b"-ERR [AUTH] Authentication failed.")).unwrap();
    assert_eq!(fallback, Step::Send("USER tim".to_owned().into()));
    let early = block_on(begin().line(b"+OK welcome")).unwrap_err();
    assert!(
        matches!(early, Error::Outgoing(outgoing::Error::Sasl(crate::sasl::client::Error::Unproven))),
        "{early}"
    );
}

#[test]
fn strange_servers_end_the_login() {
    for (dialog, end) in [
        ("S: 220 mail.example ESMTP", "the server does not keep to the protocol: it said \"220 mail"),
        ("S: -ERR [SYS/PERM] blocked", "the server turned us away: [SYS/PERM] blocked"),
        ("S: +OK\nC: CAPA\nS: -ERR\nC: USER tim\nS: + more", "the server does not keep to"),
        (
            "S: +OK\nC: CAPA\nS: +OK\nS: SASL SCRAM-SHA-256\nS: .\nC: AUTH SCRAM-SHA-256\nS: +OK",
            "the login failed",
        ),
    ] {
        auto(&format!("\n{dialog}\nERROR {end}"));
    }
    let endless = format!("\nS: +OK\nC: CAPA\nS: +OK\n{}ERROR the server does not", "S: X\n".repeat(201));
    auto(&endless);
}

/// Catches: a server that asks for PLAIN and LOGIN in other ways than RFC 5034 section 4 says, and that nobody can log
/// in to without TLS.
#[test]
fn plain_and_login_go_on_however_they_are_asked_for() {
    for challenge in ["+OK", "+OK go on", "+", "+ go ahead, please!", "+ \"\""] {
        let dialog = format!(
            "\nS: +OK\nC: CAPA\nS: +OK\nS: SASL PLAIN\nS: .\nC: AUTH PLAIN\nS: {challenge}\n\
             C: AHRpbQB0YW5zdGFhZg==\nS: +OK\nOPEN"
        );
        play(SourceAuth::Auto, Security::None, &dialog);
    }
    let dialog = "\nS: +OK\nC: CAPA\nS: +OK\nS: SASL LOGIN\nS: .\nC: AUTH LOGIN\nS: + Username:\nC: dGlt\n\
                  S: + Password:\nC: dGFuc3RhYWY=\nS: +OK\nOPEN";
    play(SourceAuth::Auto, Security::None, dialog);
}

#[test]
fn what_cannot_be_sent_is_refused_at_home() {
    let source = Source { password: Secret::new("a\r\nDELE 1").unwrap(), ..Source::default() };
    assert!(matches!(Opening::new(&source, None, true), Err(Error::Outgoing(outgoing::Error::Unsendable))));
    let source = Source { auth: SourceAuth::OAuth2, ..Source::default() };
    assert!(matches!(Opening::new(&source, None, true), Err(Error::Outgoing(outgoing::Error::NoToken))));
}

/// Catches: a token in the command itself, which has 255 octets at most (RFC 2449 section 4) and where Microsoft's
/// servers do not take it; a token that is too long for any server and is sent all the same.
#[test]
fn a_token_follows_in_a_line_of_its_own_and_has_a_limit() {
    let source =
        Source { username: "tim".try_into().unwrap(), auth: SourceAuth::OAuth2, ..Source::default() };
    let token = |octets: usize| AccessToken::new(&"t".repeat(octets)).unwrap();
    for octets in [20, 2048, 8192] {
        let mut login = Opening::new(&source, Some(&token(octets)), true).unwrap();
        let mut sent = Vec::new();
        for line in ["+OK", "+OK", "SASL PLAIN XOAUTH2", ".", "+ "] {
            if let Step::Send(line) = block_on(login.line(line.as_bytes())).unwrap() {
                sent.push(line.to_string());
            }
        }
        assert_eq!(sent[..2], ["CAPA", "AUTH XOAUTH2"]);
        assert!(sent[2].starts_with("dXNlcj10aW0BYXV0aD1CZWFyZXIgdHR0") && sent[2].len() > octets);
        assert_eq!(block_on(login.line(b"+OK")).unwrap(), Step::Done(Opened::default()));
    }
    let refused = Opening::new(&source, Some(&token(8193)), true);
    assert!(matches!(refused, Err(Error::Outgoing(outgoing::Error::TokenTooLong(8193)))));
}
