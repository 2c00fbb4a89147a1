//! Logins with an access token: RFC 7628, and XOAUTH2 as Google's and Microsoft's manuals describe it.

use async_io::block_on;

use super::*;

/// The token of RFC 7628 section 4.
const TOKEN: &str = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";

fn login(user: &str, token: &str) -> Login {
    let bearer =
        Bearer { token: AccessToken::new(token).unwrap(), host: "server.example.com".to_owned(), port: 143 };
    Login::new(Credentials {
        username: user.to_owned(),
        proof: Proof::Token(bearer),
        habit: Habit::default(),
    })
    .unwrap()
}

fn offer(offered: &str) -> Offer {
    let mechanisms = offered.split(' ').filter_map(Mechanism::named).collect();
    Offer { mechanisms, timestamp: Some("<1@x>".to_owned()), command: Some((SourceAuth::User, true)) }
}

/// What the client does next, with the octets that it sends.
fn did(next: Result<Next, Error>) -> String {
    match next {
        Ok(Next::Auth(mechanism, initial)) => {
            format!("AUTH {} {}", mechanism.name(), initial.as_deref().map_or("", |it| it)).trim().to_owned()
        }
        Ok(Next::Response(line)) => line.to_string(),
        Ok(Next::Done) => "IN".to_owned(),
        Ok(Next::Apop(_) | Next::Command | Next::Password) => "shows a password".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

fn answer(login: &mut Login, answer: Answer<'_>) -> String {
    did(block_on(login.answer(answer)))
}

fn no(about: About) -> Answer<'static> {
    Answer::Refused(about, "no".to_owned())
}

const MESSAGE: &str = "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB";

/// RFC 7628 section 4.1. Catches: a message of another form, and a weaker mechanism before a stronger one.
#[test]
fn oauthbearer_comes_first_and_says_what_the_standard_says() {
    let mut it = login("user@example.com", TOKEN);
    assert_eq!(did(it.begin(offer("PLAIN XOAUTH2 OAUTHBEARER SCRAM-SHA-256"), true)), "AUTH OAUTHBEARER");
    assert_eq!(answer(&mut it, Answer::Challenge("")), MESSAGE);
    assert_eq!(answer(&mut it, Answer::Granted), "IN");
    // With an initial response in the command, where that is allowed.
    let mut it = login("user@example.com", TOKEN).with_initial_response(350);
    assert_eq!(did(it.begin(offer("OAUTHBEARER"), true)), format!("AUTH OAUTHBEARER {MESSAGE}"));
    // Characters that a name must not hold are escaped (RFC 5801 section 4).
    let mut it = login("a=b,c", TOKEN);
    let _ = it.begin(offer("OAUTHBEARER"), true);
    let message = decode(&answer(&mut it, Answer::Challenge(""))).unwrap();
    assert!(message.starts_with(b"n,a=a=3Db=2Cc,\x01host="));
}

/// RFC 7628 section 4.3. Catches: a challenge that is not answered, or with another message; a refused token that is
/// reported as a wrong password, or is tried by other mechanisms.
#[test]
fn a_refused_token_is_told_with_the_server_s_word() {
    let why = "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNvbmZpZ3VyYXRpb24iOiJodHRwczovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1cmF0aW9uIn0=";
    for (mechanism, dummy) in [("OAUTHBEARER", "AQ=="), ("XOAUTH2", "")] {
        for (challenge, status) in [(why, "invalid_token"), ("", ""), ("bm8=", "")] {
            let mut it = login("user@example.com", TOKEN);
            let _ = it.begin(offer(&format!("{mechanism} XOAUTH2 PLAIN")), true);
            let _ = answer(&mut it, Answer::Challenge(""));
            assert_eq!(answer(&mut it, Answer::Challenge(challenge)), dummy);
            let refused = format!("TokenRefused {{ status: {status:?}, words: \"no\" }}");
            assert_eq!(answer(&mut it, no(About::Login)), refused);
        }
        // A status with characters that would spoil a log.
        let mut it = login("user@example.com", TOKEN);
        let _ = it.begin(offer(mechanism), true);
        let _ = answer(&mut it, Answer::Challenge(""));
        let odd = format!(r#"{{"status":"a\u0007\r\n{}"}}"#, "x".repeat(200));
        let _ = answer(&mut it, Answer::Challenge(&data_encoding::BASE64.encode(odd.as_bytes())));
        let shown = format!("TokenRefused {{ status: \"a{}\", words: \"no\" }}", "x".repeat(79));
        assert_eq!(answer(&mut it, no(About::Login)), shown);
        // A refusal without a challenge.
        let mut it = login("user@example.com", TOKEN);
        let _ = it.begin(offer(mechanism), true);
        let _ = answer(&mut it, Answer::Challenge(""));
        assert_eq!(answer(&mut it, no(About::Login)), "TokenRefused { status: \"\", words: \"no\" }");
        // A server that accepts the login after it has sent an error.
        let mut it = login("user@example.com", TOKEN);
        let _ = it.begin(offer(mechanism), true);
        let _ = answer(&mut it, Answer::Challenge(""));
        let _ = answer(&mut it, Answer::Challenge(why));
        assert_eq!(answer(&mut it, Answer::Granted), "Sasl(Unproven)");
    }
}

/// Google's manual of XOAUTH2. Catches: a message of another form.
#[test]
fn xoauth2_is_for_servers_that_do_not_know_the_standard() {
    let mut it = login("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
    assert_eq!(did(it.begin(offer("LOGIN XOAUTH2"), true)), "AUTH XOAUTH2");
    let message = "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==";
    assert_eq!(answer(&mut it, Answer::Challenge("")), message);
    assert_eq!(answer(&mut it, Answer::Granted), "IN");
    // What RFC 5801 escapes is sent as it is here.
    let mut it = login("a=b,c", TOKEN);
    let _ = it.begin(offer("XOAUTH2"), true);
    let message = decode(&answer(&mut it, Answer::Challenge(""))).unwrap();
    assert!(message.starts_with(b"user=a=b,c\x01auth=Bearer "));
    // The stronger mechanism itself is refused: nothing was shown.
    let mut it = login("user@example.com", TOKEN);
    let _ = it.begin(offer("XOAUTH2 OAUTHBEARER"), true);
    assert_eq!(answer(&mut it, no(About::Method)), "AUTH XOAUTH2");
    assert_eq!(answer(&mut it, no(About::Method)), "TokenRefused { status: \"\", words: \"no\" }");
    // A mailbox in use does not concern the token.
    let mut it = login("user@example.com", TOKEN);
    let _ = it.begin(offer("XOAUTH2"), true);
    assert_eq!(answer(&mut it, no(About::Now)), "Busy(\"no\")");
}

/// Catches: a password that is sent with a mechanism for tokens, and a token with one for passwords.
#[test]
fn a_token_has_ways_of_its_own() {
    let mut it = login("user@example.com", TOKEN);
    assert_eq!(did(it.begin(offer("PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256"), true)), "NoMechanism");
    // A POP3 server that offers no mechanism at all.
    assert_eq!(did(login("user@example.com", TOKEN).begin(offer(""), true)), "AUTH XOAUTH2");
    let password = Proof::Password(Secret::new("x").unwrap(), SourceAuth::Auto);
    let mut it =
        Login::new(Credentials { username: "user".to_owned(), proof: password, habit: Habit::default() })
            .unwrap();
    assert_eq!(
        did(it.begin(Offer { command: None, timestamp: None, ..offer("XOAUTH2 OAUTHBEARER") }, true)),
        "NoMechanism"
    );
}

/// Catches: a long token in the command itself, whose line would be too long, and a token that adds fields to the
/// message.
#[test]
fn long_tokens_wait_for_the_challenge_and_odd_ones_are_none() {
    for octets in [400, 2048, 8192] {
        let mut it = login("user@example.com", &"t".repeat(octets)).with_initial_response(350);
        assert_eq!(did(it.begin(offer("XOAUTH2"), true)), "AUTH XOAUTH2");
        assert!(answer(&mut it, Answer::Challenge("")).len() > octets);
        assert_eq!(answer(&mut it, Answer::Granted), "IN");
    }
    for odd in ["", "a b", "a\x01auth=Bearer b", "a\r\n", "ä"] {
        assert!(AccessToken::new(odd).is_none(), "{odd:?}");
    }
    let bearer = Bearer { token: AccessToken::new("t").unwrap(), host: String::new(), port: 1 };
    let username = "user\x01auth=Bearer other".to_owned();
    let login =
        Login::new(Credentials { username, proof: Proof::Token(bearer.clone()), habit: Habit::default() });
    assert!(matches!(login, Err(Error::Unsendable)));
    assert_eq!(format!("{bearer:?}"), "Bearer { token: [secret], host: \"\", port: 1 }");
}
