//! The mechanisms with the examples of their RFCs.

use smol::future::block_on;

use super::*;

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

/// Plays `dialog`: pairs of a challenge and the expected response.
fn play(client: &mut Client, dialog: &[(&str, &str)]) {
    for (challenge, response) in dialog {
        let got = block_on(client.respond(challenge.as_bytes())).unwrap();
        assert_eq!(std::str::from_utf8(&got).unwrap(), *response, "to {challenge:?}");
    }
}

#[test]
fn plain_is_one_message() {
    let mut client = Client::new(Mechanism::Plain, "tim", &secret("tanstaaftanstaaf"));
    assert_eq!(client.finish(), Err(Error::Unproven), "nothing was sent yet");
    assert_eq!(client.initial().unwrap().as_slice(), b"\0tim\0tanstaaftanstaaf");
    assert_eq!(client.finish(), Ok(()));
}

#[test]
fn plain_waits_for_an_empty_challenge_where_there_is_no_initial_response() {
    let mut client = Client::new(Mechanism::Plain, "tim", &secret("pw"));
    play(&mut client, &[("", "\0tim\0pw")]);
    assert_eq!(client.finish(), Ok(()));
}

#[test]
fn login_asks_twice() {
    let mut client = Client::new(Mechanism::Login, "tim", &secret("pw"));
    assert!(client.initial().is_none());
    play(&mut client, &[("Username:", "tim"), ("Password:", "pw")]);
    assert_eq!(client.finish(), Ok(()));
    assert!(block_on(client.respond(b"And now?")).is_err());
}

/// The example of RFC 2195 section 2.
#[test]
fn cram_md5_of_rfc_2195() {
    let mut client = Client::new(Mechanism::CramMd5, "tim", &secret("tanstaaftanstaaf"));
    assert!(client.initial().is_none());
    play(
        &mut client,
        &[("<1896.697170952@postoffice.reston.mci.net>", "tim b913a602c7eda7a495b4e6e7334d3890")],
    );
    assert_eq!(client.finish(), Ok(()));
}

const SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

/// The client of RFC 7677 section 3, after its first message.
fn scram() -> Client {
    let mut client = Client::new(Mechanism::ScramSha256, "user", &secret("pencil"));
    client.state = State::ScramFirst { nonce: "rOprNGfwEbeRWgbNEkqO".to_owned() };
    assert_eq!(client.initial().unwrap().as_slice(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    client
}

fn scram_with_proof_sent() -> Client {
    let mut client = scram();
    play(
        &mut client,
        &[(
            SERVER_FIRST,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        )],
    );
    client
}

#[test]
fn scram_sha_256_of_rfc_7677() {
    let mut client = scram_with_proof_sent();
    assert_eq!(client.finish(), Err(Error::Unproven), "success without the server's proof is none");
    play(&mut client, &[("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "")]);
    assert_eq!(client.finish(), Ok(()));
}

#[test]
fn scram_refuses_what_a_server_must_not_say() {
    for (server_first, error) in [
        (
            "r=someoneElses0123456789,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            Error::Challenge("the nonce is not ours"),
        ),
        (
            "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            Error::Challenge("the nonce is not ours"),
        ),
        ("m=new,r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4096", Error::Challenge("no nonce")),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=?,i=4096", Error::Challenge("the salt is not base64")),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA", Error::Challenge("no iteration count")),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=1", Error::Iterations(1)),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4000000000", Error::Iterations(4_000_000_000)),
    ] {
        let mut client = scram();
        assert_eq!(block_on(client.respond(server_first.as_bytes())).unwrap_err(), error, "{server_first}");
        assert!(client.finish().is_err());
    }
    for (server_final, error) in [
        ("v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", Error::Unproven),
        ("v=", Error::Unproven),
        ("e=invalid-proof", Error::Refused("invalid-proof".to_owned())),
        ("", Error::Challenge("no verifier")),
    ] {
        let mut client = scram_with_proof_sent();
        assert_eq!(block_on(client.respond(server_final.as_bytes())).unwrap_err(), error, "{server_final}");
        assert!(client.finish().is_err());
    }
}

#[test]
fn scram_names_may_hold_its_separators() {
    let mut client = Client::new(Mechanism::ScramSha256, "a=b,c", &secret("pw"));
    client.state = State::ScramFirst { nonce: "x".to_owned() };
    assert_eq!(client.initial().unwrap().as_slice(), b"n,,n=a=3Db=2Cc,r=x");
}

#[test]
fn names_are_known_in_any_case() {
    for (name, mechanism) in [
        ("scram-sha-256", Some(Mechanism::ScramSha256)),
        ("PLAIN", Some(Mechanism::Plain)),
        ("SCRAM-SHA-256-PLUS", None),
        ("xoauth2", Some(Mechanism::XOAuth2)),
        ("OAUTHBEARER", Some(Mechanism::OAuthBearer)),
        ("NTLM", None),
        ("", None),
    ] {
        assert_eq!(Mechanism::named(name), mechanism, "{name}");
    }
}
