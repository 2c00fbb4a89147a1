//! The order of the mechanisms, and when the next one follows.

use async_io::block_on;

use super::*;

/// A login as `tim` at a server that offers these words: names of mechanisms, `APOP`, and `USER` or `LOGINCOMMAND`.
fn begin(auth: SourceAuth, tls: bool, offered: &str) -> (Login, Result<Next, Error>) {
    let password = Secret::new("tanstaaf").unwrap();
    let mut login = Login::new(Credentials {
        username: "tim".to_owned(),
        proof: Proof::Password(password, auth),
        habit: Habit::default(),
    })
    .unwrap();
    let has = |word| offered.split(' ').any(|it| it == word);
    let offer = Offer {
        mechanisms: offered.split(' ').filter_map(Mechanism::named).collect(),
        timestamp: has("APOP").then(|| "<1896.697170952@dbc.mtview.ca.us>".to_owned()),
        command: Some(match has("IMAP") {
            true => (SourceAuth::Login, has("COMMAND")),
            false => (SourceAuth::User, has("COMMAND")),
        }),
    };
    let next = login.begin(offer, tls);
    (login, next)
}

/// Plays a dialog. `S: + challenge`, `S: OK`, `S: now`, `S: method` and `S: login` are answers of the server, the
/// last three refusals that are about that. `C:` is what the client does, its responses without their octets. The
/// last line is `IN` or the error.
fn play(auth: SourceAuth, tls: bool, offered: &str, dialog: &str) {
    let (mut login, mut next) = begin(auth, tls, offered);
    for line in dialog.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some(said) = line.strip_prefix("S: ") else {
            let did = match &next {
                Ok(Next::Auth(mechanism, initial)) => {
                    format!("C: AUTH {}{}", mechanism.name(), if initial.is_some() { " initial" } else { "" })
                }
                Ok(Next::Response(line)) if **line == "*" => "C: *".to_owned(),
                Ok(Next::Response(_)) => "C: response".to_owned(),
                Ok(Next::Apop(digest)) => format!("C: APOP {digest}"),
                Ok(Next::Command) => "C: name".to_owned(),
                Ok(Next::Password) => "C: password".to_owned(),
                Ok(Next::Done) => "IN".to_owned(),
                Err(error) => error.to_string(),
            };
            assert_eq!(did, line, "in{dialog}");
            continue;
        };
        assert!(next.is_ok(), "{next:?} in{dialog}");
        let refused = |about| Answer::Refused(about, "no".to_owned());
        next = block_on(login.answer(match said {
            "OK" => Answer::Granted,
            "now" => refused(About::Now),
            "method" => refused(About::Method),
            "login" => refused(About::Login),
            "weak" => refused(About::MethodOrLogin),
            said => Answer::Challenge(said.strip_prefix("+").unwrap()),
        }));
    }
}

const ALL: &str = "LOGIN PLAIN CRAM-MD5 APOP SCRAM-SHA-256 COMMAND";

/// Catches: another order, a mechanism that is left out, and one that is tried though it is not offered.
#[test]
fn what_is_refused_at_once_is_followed_by_the_next_from_the_strongest_to_the_weakest() {
    // The mechanism is refused, or the server does not tell why: nothing was proved.
    for (no, end) in [
        ("S: method", "the server refuses the way to log in: no"),
        ("S: weak", "the server refuses the way to log in: no"),
        ("S: login", "the login was refused: no"),
    ] {
        let dialog = format!(
            "
            C: AUTH SCRAM-SHA-256
            {no}
            C: AUTH CRAM-MD5
            {no}
            C: APOP c4c9334bac560ecc979e58001b3e22fb
            S: method
            C: AUTH PLAIN
            {no}
            C: AUTH LOGIN
            {no}
            C: name
            {no}
            {end}"
        );
        play(SourceAuth::Auto, true, ALL, &dialog);
        play(SourceAuth::Auto, false, ALL, &dialog);
    }
    play(SourceAuth::Auto, true, "PLAIN LOGIN", "C: AUTH PLAIN\nS: login\nC: AUTH LOGIN");
    let nothing = "the server offers no way to log in that is known here and allowed by auth";
    play(SourceAuth::Auto, true, "NTLM XOAUTH2", nothing);
}

/// Catches: a login that gives up when the first message of SCRAM, which names only the user, is refused.
#[test]
fn scram_without_a_verifier_is_followed_by_plain() {
    play(
        SourceAuth::Auto,
        true,
        "PLAIN SCRAM-SHA-256",
        "
        C: AUTH SCRAM-SHA-256
        S: +
        C: response
        S: login
        C: AUTH PLAIN
        S: +
        C: response
        S: OK
        IN",
    );
}

/// Catches: a wrong password that is tried by other mechanisms; a mechanism that is refused after the proof and ends
/// the login.
#[test]
fn a_refused_proof_is_the_end_unless_the_way_is_the_trouble() {
    for (first, begun) in [
        ("CRAM-MD5", "C: AUTH CRAM-MD5\nS: + PDFAYj4=\nC: response"),
        ("APOP", "C: APOP c4c9334bac560ecc979e58001b3e22fb"),
        ("PLAIN", "C: AUTH PLAIN\nS: +\nC: response"),
        // A server that asks for the user name knows the mechanism.
        ("LOGIN", "C: AUTH LOGIN\nS: + VXNlcm5hbWU6\nC: response"),
    ] {
        let offered = format!("{first} COMMAND");
        // A server that keeps only a hash cannot check these proofs.
        let doubtful = ["CRAM-MD5", "APOP"].contains(&first);
        for (no, end) in [("login", "the login was refused: no"), ("method", "C: name")] {
            let within_tls = if doubtful { "C: name" } else { end };
            play(SourceAuth::Auto, true, &offered, &format!("{begun}\nS: {no}\n{within_tls}"));
            play(SourceAuth::Auto, false, &offered, &format!("{begun}\nS: {no}\n{end}"));
        }
    }
    let command = "C: name\nS: +\nC: password";
    play(SourceAuth::Auto, true, "COMMAND", &format!("{command}\nS: OK\nIN"));
    play(SourceAuth::Auto, true, "COMMAND", &format!("{command}\nS: login\nthe login was refused: no"));
}

/// Catches: a mailbox in use that costs a try with each mechanism.
#[test]
fn a_refusal_for_now_is_the_end_for_now() {
    let busy = "the mailbox cannot be opened now: no";
    for dialog in ["", "S: +\nC: response\n"] {
        let dialog = format!("C: AUTH SCRAM-SHA-256\n{dialog}S: now\n{busy}");
        play(SourceAuth::Auto, true, ALL, &dialog);
    }
}

/// Catches: a broken mechanism that ends the login although there is another one; a mechanism that an attacker in
/// between breaks to be shown the password.
#[test]
fn what_breaks_is_cancelled_and_followed_by_plain_within_tls_only() {
    let broken = "the login failed: the server's challenge makes no sense: not base64";
    for (tls, then) in [(true, "C: AUTH PLAIN"), (false, broken)] {
        let dialog = "C: AUTH CRAM-MD5\nS: + !\nC: *\nS: login\n";
        play(SourceAuth::Auto, tls, "CRAM-MD5 PLAIN LOGIN COMMAND", &format!("{dialog}{then}"));
        let dialog = format!("C: AUTH SCRAM-SHA-256\nS: + !\nC: *\nS: method\n{dialog}{then}");
        play(SourceAuth::Auto, tls, "SCRAM-SHA-256 CRAM-MD5 PLAIN", &dialog);
    }
    play(
        SourceAuth::CramMd5,
        true,
        "CRAM-MD5 PLAIN",
        &format!("C: AUTH CRAM-MD5\nS: + !\nC: *\nS: login\n{broken}"),
    );
    // The server does not treat the cancellation as one.
    for taken in ["OK", "+"] {
        play(
            SourceAuth::Auto,
            true,
            ALL,
            &format!("C: AUTH SCRAM-SHA-256\nS: + !\nC: *\nS: {taken}\n{broken}"),
        );
    }
}

/// Catches: an impostor that gets the password after it could not prove itself, and one that accepts the login too
/// early.
#[test]
fn who_does_not_prove_itself_is_told_no_more() {
    let unproven =
        "the login failed: the server did not prove that it knows this account: it may be an impostor";
    play(SourceAuth::Auto, true, ALL, &format!("C: AUTH SCRAM-SHA-256\nS: OK\n{unproven}"));
    play(
        SourceAuth::Auto,
        true,
        ALL,
        &format!("C: AUTH SCRAM-SHA-256\nS: +\nC: response\nS: OK\n{unproven}"),
    );

    let (mut login, _) = begin(SourceAuth::Auto, true, ALL);
    let Ok(Next::Response(first)) = block_on(login.answer(Answer::Challenge(""))) else { panic!() };
    let first = String::from_utf8(decode(&first).unwrap()).unwrap();
    let nonce = first.split_once("r=").unwrap().1;
    let challenge = encode(format!("r={nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096").as_bytes());
    assert!(matches!(block_on(login.answer(Answer::Challenge(&challenge))), Ok(Next::Response(_))));
    let cancelled = block_on(login.answer(Answer::Challenge(&encode(b"v=AAAA"))));
    assert!(matches!(cancelled, Ok(Next::Response(line)) if *line == "*"));
    let end = block_on(login.answer(Answer::Refused(About::Method, "no".to_owned()))).unwrap_err();
    assert_eq!(end.to_string(), unproven);
}

/// Catches: a password that is tried by other mechanisms after the server hung up on it; a configured mechanism that
/// gives way to another.
#[test]
fn a_way_is_felt_until_something_was_proved() {
    let (mut login, _) = begin(SourceAuth::Auto, true, "PLAIN");
    assert!(login.is_probing());
    assert!(matches!(block_on(login.answer(Answer::Challenge(""))), Ok(Next::Response(_))));
    assert!(!login.is_probing());
    for (auth, offered) in [(SourceAuth::Plain, "PLAIN"), (SourceAuth::Auto, "COMMAND")] {
        assert!(!begin(auth, true, offered).0.is_probing());
    }
}

/// Catches: a configured mechanism that gives way to another, or is not tried since the server forgot to offer it.
#[test]
fn a_configured_way_is_the_only_one() {
    let nothing = "the server offers no way to log in that is known here and allowed by auth";
    for (auth, offered, dialog) in [
        (SourceAuth::Plain, ALL, "C: AUTH PLAIN\nS: method\nthe server refuses the way to log in: no"),
        (SourceAuth::Plain, "", "C: AUTH PLAIN"),
        (SourceAuth::ScramSha256, "PLAIN", "C: AUTH SCRAM-SHA-256"),
        (SourceAuth::User, "PLAIN", "C: name"),
        (SourceAuth::Login, "PLAIN", "C: AUTH LOGIN"),
        (SourceAuth::Apop, "APOP PLAIN", "C: APOP c4c9334bac560ecc979e58001b3e22fb"),
        (SourceAuth::Apop, "PLAIN", nothing),
        // IMAP has a mechanism and a command named LOGIN.
        (SourceAuth::Login, "IMAP COMMAND PLAIN", "C: name"),
        (SourceAuth::Login, "IMAP COMMAND LOGIN", "C: AUTH LOGIN\nS: method\nC: name"),
        (SourceAuth::Login, "IMAP PLAIN", nothing),
        (SourceAuth::User, "IMAP COMMAND PLAIN", nothing),
    ] {
        play(auth, true, offered, dialog);
    }
}

#[test]
fn what_cannot_be_sent_is_refused_at_home() {
    let login = |password: &str, auth| {
        let password = Secret::new(password).unwrap();
        Login::new(Credentials {
            username: "tim".to_owned(),
            proof: Proof::Password(password, auth),
            habit: Habit::default(),
        })
        .map(drop)
    };
    assert!(matches!(login("a\0b", SourceAuth::Auto), Err(Error::Unsendable)));
    assert!(matches!(login("", SourceAuth::OAuth2), Err(Error::NoToken)));
}

/// Catches: a server that offers CRAM-MD5 or APOP without having the password, refuses every proof, and can never be
/// logged in to; a password that is sent more than once for that, or without TLS, where an attacker could have
/// refused.
#[test]
fn a_proof_that_the_server_may_not_be_able_to_check_is_followed_by_the_password_once() {
    let cram = "C: AUTH CRAM-MD5\nS: + PDFAYj4=\nC: response\nS: login";
    let apop = "C: APOP c4c9334bac560ecc979e58001b3e22fb\nS: login";
    let refused = "the login was refused: no";
    for begun in [cram, apop] {
        let offered = if begun == cram { "CRAM-MD5 PLAIN LOGIN COMMAND" } else { "APOP PLAIN LOGIN COMMAND" };
        let plain = format!("{begun}\nC: AUTH PLAIN\nS: +\nC: response\nS: ");
        play(SourceAuth::Auto, true, offered, &format!("{plain}OK\nIN"));
        play(SourceAuth::Auto, true, offered, &format!("{plain}login\n{refused}"));
        play(SourceAuth::Auto, true, offered, &format!("{plain}now\nthe mailbox cannot be opened now: no"));
        play(SourceAuth::Auto, false, offered, &format!("{begun}\n{refused}"));
    }
    // Not both of them in a row.
    play(SourceAuth::Auto, true, "CRAM-MD5 APOP PLAIN", &format!("{cram}\nC: AUTH PLAIN"));
    play(SourceAuth::Auto, true, "CRAM-MD5 APOP", &format!("{cram}\n{refused}"));
    play(SourceAuth::CramMd5, true, "CRAM-MD5 PLAIN", &format!("{cram}\n{refused}"));
    // The server does not know the mechanism after all, so the next one is not a second try.
    let dialog = format!("{cram}\nC: AUTH PLAIN\nS: method\nC: AUTH LOGIN");
    play(SourceAuth::Auto, true, "CRAM-MD5 PLAIN LOGIN", &dialog);
    let scram = "C: AUTH SCRAM-SHA-256\nS: +\nC: response\nS: login\nC: AUTH PLAIN";
    play(SourceAuth::Auto, true, "SCRAM-SHA-256 PLAIN", scram);
}

/// Catches: a proof that is refused at each login for ever; a wrong password that is remembered as a server's habit;
/// a habit that is followed without TLS, or where there is no other mechanism.
#[test]
fn what_works_instead_is_remembered() {
    let habit = Habit::default();
    let begins = |offered: &str, tls| {
        let (login, _) = begin(SourceAuth::Auto, tls, offered);
        let mut login = login.with_habit(habit.clone());
        let offer = Offer {
            mechanisms: offered.split(' ').filter_map(Mechanism::named).collect(),
            timestamp: None,
            command: None,
        };
        let next = login.begin(offer, tls);
        let name = match &next {
            Ok(Next::Auth(mechanism, _)) => mechanism.name(),
            other => panic!("{other:?}"),
        };
        (login, name)
    };
    for works in [false, true] {
        let (mut login, first) = begins("CRAM-MD5 PLAIN", true);
        assert_eq!(first, "CRAM-MD5");
        let mut say = |answer| block_on(login.answer(answer));
        say(Answer::Challenge("PDFAYj4=")).unwrap();
        say(Answer::Refused(About::Login, "no".to_owned())).unwrap();
        say(Answer::Challenge("")).unwrap();
        let end = if works { Answer::Granted } else { Answer::Refused(About::Login, "no".to_owned()) };
        assert_eq!(say(end).is_ok(), works);
    }
    assert_eq!(begins("CRAM-MD5 PLAIN", true).1, "PLAIN");
    assert_eq!(begins("CRAM-MD5 PLAIN", false).1, "CRAM-MD5");
    assert_eq!(begins("CRAM-MD5", true).1, "CRAM-MD5");
}
