//! Dialogs as transcripts of what the client sends and gets.

use super::*;
use crate::config::PlaintextLogin;
use crate::store::LastLine;

/// A client on the loopback interface, or over TLS, that can log in as `demo` with `right`.
struct Client {
    session: Session,
    config: Config,
}

impl Client {
    fn from(peer: &str, tls: bool) -> Client {
        Client { session: Session::new(peer.parse().unwrap(), tls), config: Config::default() }
    }

    /// A client that has logged in, with three messages in the maildrop.
    fn logged_in() -> Client {
        let mut client = Client::from("127.0.0.1", false);
        client.hears("USER demo", "+OK And the password?");
        client.hears("PASS right", "+OK Welcome, 3 messages (360 octets)");
        client
    }

    /// What the server sends for a line; effects are in brackets.
    fn says(&mut self, line: &str) -> String {
        let mut effect = self.session.line(line.as_bytes(), &self.config);
        if let Effect::Login { claim, exchange } = effect {
            let Claim::Password { login, password } = claim else {
                let Claim::Login(login) = claim else { panic!("{claim:?}") };
                assert_eq!(login, "demo");
                let answer = Answer::Salt(crate::credential::Verifier::with("right", 1, [7; 16]).salt());
                let Effect::Reply(reply) = self.session.answered(exchange, answer) else { panic!() };
                return text(&reply);
            };
            let drop = Maildrop::new(
                0x65_u32,
                [(1, 120), (2, 200), (0x1f, 40)].map(|(uid, size)| (uid, size, LastLine::Ended)),
            );
            effect = match (login.as_str(), &password[..]) {
                ("demo", b"right") => self.session.opened("demo".into(), drop),
                ("demo", b"trouble") => self.session.troubled(),
                _ => self.session.refused(),
            };
        }
        match effect {
            Effect::Reply(reply) => text(&reply),
            Effect::Close(reply) => format!("{} [closed]", text(&reply)),
            Effect::StartTls(reply) => {
                self.session.secured(true);
                format!("{} [TLS]", text(&reply))
            }
            Effect::List(head, mut listing) => {
                let lines = std::iter::from_fn(|| self.session.listed(&mut listing));
                let lines: Vec<String> = lines.map(|line| format!("{line} | ")).collect();
                format!("{} | {}.", text(&head), lines.concat())
            }
            Effect::Message { uid, lines } => format!("[message {uid}, lines {lines:?}]"),
            Effect::Update(uids) => format!("[remove {uids:?}]"),
            Effect::Login { .. } => unreachable!(),
        }
    }

    #[track_caller]
    fn hears(&mut self, line: &str, expected: &str) {
        assert_eq!(self.says(line), expected, "{line}");
    }
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.to_octets()).unwrap().trim_end().replace("\r\n", " | ")
}

#[test]
fn a_session_with_deletions() {
    let mut client = Client::logged_in();
    for (line, expected) in [
        ("STAT", "+OK 3 360"),
        ("LIST", "+OK 3 messages (360 octets) | 1 120 | 2 200 | 3 40 | ."),
        ("UIDL", "+OK 3 messages (360 octets) | 1 65.1 | 2 65.2 | 3 65.1f | ."),
        ("RETR 3", "[message 31, lines None]"),
        ("TOP 1 10", "[message 1, lines Some(10)]"),
        ("DELE 2", "+OK Deleted at QUIT"),
        ("DELE 2", "-ERR No such message"),
        ("RETR 2", "-ERR No such message"),
        ("LIST 2", "-ERR No such message"),
        ("UIDL 2", "-ERR No such message"),
        ("TOP 2 0", "-ERR No such message"),
        ("LIST 3", "+OK 3 40"),
        ("UIDL 3", "+OK 3 65.1f"),
        ("STAT", "+OK 2 160"),
        ("LIST", "+OK 2 messages (160 octets) | 1 120 | 3 40 | ."),
        ("RSET", "+OK Nothing is deleted"),
        ("STAT", "+OK 3 360"),
        ("DELE 1", "+OK Deleted at QUIT"),
        ("DELE 3", "+OK Deleted at QUIT"),
        ("NOOP", "+OK Here I am"),
        ("QUIT", "[remove [1, 31]]"),
    ] {
        client.hears(line, expected);
    }
    assert_eq!(client.session.updated(Update::Done), Effect::Close(Reply::Ok("Goodbye".into())));
    let Effect::Close(Reply::Err(failed)) = client.session.updated(Update::Failed) else { panic!() };
    assert_eq!(failed, "[SYS/TEMP] Nothing was deleted, try again later");
    let Effect::Close(Reply::Err(failed)) = client.session.updated(Update::ReadOnly) else { panic!() };
    assert_eq!(failed, "[SYS/PERM] Nothing was deleted: the flash takes no changes");
}

#[test]
fn quit_without_deletions_asks_nothing_of_the_store() {
    Client::logged_in().hears("QUIT", "+OK Goodbye [closed]");
    Client::from("127.0.0.1", false).hears("QUIT", "+OK Goodbye [closed]");
}

#[test]
fn numbers_out_of_range() {
    let mut client = Client::logged_in();
    for line in ["RETR 0", "RETR 4", "DELE 4294967295", "LIST 99999999999", "TOP 0 1", "UIDL 4"] {
        client.hears(line, "-ERR No such message");
    }
}

#[test]
fn every_command_has_its_state() {
    let mut client = Client::from("127.0.0.1", false);
    for line in ["STAT", "LIST", "RETR 1", "RSET", "NOOP", "UIDL"] {
        client.hears(line, "-ERR Log in first");
    }
    client.hears("PASS right", "-ERR USER comes first");
    let mut client = Client::logged_in();
    for line in ["USER demo", "PASS right", "AUTH PLAIN", "AUTH", "STLS", "UTF8"] {
        client.hears(line, "-ERR You are logged in already");
    }
}

#[test]
fn refusals_look_alike_and_the_third_ends_it() {
    let mut client = Client::from("127.0.0.1", false);
    client.hears("USER nobody", "+OK And the password?");
    client.hears("PASS right", "-ERR [AUTH] Name or password is wrong");
    client.hears("PASS right", "-ERR USER comes first");
    client.hears("USER demo", "+OK And the password?");
    client.hears("PASS trouble", "-ERR [SYS/TEMP] The mail cannot be read now, try again later");
    client.hears("USER demo", "+OK And the password?");
    client.hears("PASS wrong", "-ERR [AUTH] Name or password is wrong");
    client.hears("AUTH PLAIN AGRlbW8Ad3Jvbmc=", "-ERR [AUTH] Name or password is wrong [closed]");
}

#[test]
fn auth_with_and_without_an_initial_response() {
    let mut client = Client::from("127.0.0.1", false);
    client.hears("AUTH", "+OK Mechanisms | SCRAM-SHA-256 | PLAIN | .");
    client.hears("AUTH LOGIN", "-ERR No such mechanism");
    client.hears("AUTH PLAIN", "+");
    client.hears("*", "-ERR Login cancelled");
    client.hears("AUTH PLAIN", "+");
    client.hears("not base64", "-ERR That is no response of this mechanism");
    client.hears("AUTH PLAIN =", "-ERR That is no response of this mechanism");
    client.hears("AUTH PLAIN", "+");
    assert!(client.session.line_limit() > MAX_LINE, "responses may be long");
    client.hears("AGRlbW8AcmlnaHQ=", "+OK Welcome, 3 messages (360 octets)");

    let mut client = Client::from("127.0.0.1", false);
    client.hears("auth plain AGRlbW8AcmlnaHQ=", "+OK Welcome, 3 messages (360 octets)");
}

/// `auth/mod.rs` tests the rest of the exchange.
#[test]
fn scram_with_and_without_an_initial_response() {
    let mut client = Client::from("127.0.0.1", false);
    client.hears("AUTH SCRAM-SHA-256-PLUS", "-ERR No such mechanism");
    client.hears("AUTH SCRAM-SHA-256", "+");
    let challenge = client.says("biwsbj1kZW1vLHI9bm9uY2U=");
    assert!(challenge.starts_with("+ cj1ub25jZ"), "r=nonce…: {challenge}");
    client.hears("bm9uc2Vuc2U=", "-ERR That is no response of this mechanism");
    assert!(client.says("AUTH SCRAM-SHA-256 biwsbj1kZW1vLHI9bm9uY2U=").starts_with("+ cj1ub25jZ"));
    client.hears("*", "-ERR Login cancelled");
    client.hears("STAT", "-ERR Log in first");
}

#[test]
fn a_password_goes_only_where_it_may() {
    const OFFERED: &str = " | USER | SASL SCRAM-SHA-256 PLAIN";
    const BOUND: &str = " | USER | SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN";
    let advice = "-ERR Use STLS first: a password is not for everyone on the way";
    for (peer, tls, rule, offered) in [
        ("127.0.0.1", false, PlaintextLogin::Never, true),
        ("192.168.7.5", false, PlaintextLogin::Never, false),
        ("192.168.7.5", true, PlaintextLogin::Never, true),
        ("192.168.7.5", false, PlaintextLogin::Lan, true),
        ("198.51.100.7", false, PlaintextLogin::Lan, false),
        ("198.51.100.7", false, PlaintextLogin::Always, true),
    ] {
        let mut client = Client::from(peer, tls);
        client.config.tls.plaintext_login = rule;
        let capabilities = client.says("CAPA");
        assert_eq!(capabilities.contains(OFFERED), offered, "{peer} {capabilities}");
        assert_eq!(capabilities.contains(" | STLS"), !tls, "{peer}");
        if !offered {
            client.hears("AUTH", "+OK Mechanisms | .");
            for line in
                ["USER demo", "PASS right", "AUTH PLAIN", "AUTH PLAIN AGRlbW8AcmlnaHQ=", "AUTH SCRAM-SHA-256"]
            {
                client.hears(line, advice);
            }
        }
        if !tls {
            client.hears("STLS", "+OK Begin the TLS handshake [TLS]");
            assert!(client.says("CAPA").contains(BOUND));
        }
        client.hears("STLS", "-ERR TLS is in force already");
    }
}

#[test]
fn stls_forgets_what_was_said_before() {
    let mut client = Client::from("127.0.0.1", false);
    client.hears("USER demo", "+OK And the password?");
    client.hears("STLS", "+OK Begin the TLS handshake [TLS]");
    client.hears("PASS right", "-ERR USER comes first");
}

#[test]
fn capabilities_after_the_login() {
    Client::logged_in().hears(
        "CAPA",
        "+OK This is what I can do | TOP | UIDL | RESP-CODES | AUTH-RESP-CODE | PIPELINING | EXPIRE NEVER \
         | LOGIN-DELAY 0 | IMPLEMENTATION Pillarbox | UTF8 USER | LANG | USER | SASL SCRAM-SHA-256 PLAIN | .",
    );
}

#[test]
fn languages_in_every_state() {
    for mut client in [Client::from("127.0.0.1", false), Client::logged_in()] {
        for (line, expected) in [
            ("LANG", "+OK These are the languages | i-default Default language | en English | ."),
            ("LANG EN", "+OK en is spoken from here on"),
            ("LANG i-default", "+OK i-default is spoken from here on"),
            ("LANG *", "+OK i-default is spoken from here on"),
            ("LANG de", "-ERR That language is not spoken here, LANG lists those that are"),
            ("LANG .", "-ERR That language is not spoken here, LANG lists those that are"),
        ] {
            client.hears(line, expected);
        }
    }
}

#[test]
fn utf8_changes_nothing_but_is_understood() {
    let mut client = Client::from("127.0.0.1", false);
    client.hears("UTF8", "+OK UTF-8 it is");
    client.hears("USER dämo", "+OK And the password?");
    client.hears("PASS wröng", "-ERR [AUTH] Name or password is wrong");
}

#[test]
fn a_client_that_makes_no_sense_is_sent_away() {
    let mut client = Client::logged_in();
    let senseless = |client: &mut Client| {
        for _ in 0..3 {
            client.hears("EHLO client.example", "-ERR Unknown command");
            client.hears("TOP 1", "-ERR That is: TOP message lines");
            assert_eq!(client.session.too_long(), err("That line is too long"));
        }
    };
    // Catches: invalid lines that are counted over the whole session, and those before the login that are not.
    senseless(&mut client);
    client.hears("RETR 9", "-ERR No such message");
    senseless(&mut client);
    client.hears("", "-ERR Too many errors, goodbye [closed]");
    let mut client = Client::from("127.0.0.1", false);
    for _ in 0..9 {
        client.hears("CAPAX", "-ERR Unknown command");
        client.hears("UTF8", "+OK UTF-8 it is");
    }
    client.hears("", "-ERR Too many errors, goodbye [closed]");
}

#[test]
fn a_response_that_is_too_long_ends_the_exchange() {
    let mut client = Client::from("127.0.0.1", false);
    client.hears("AUTH PLAIN", "+");
    assert_eq!(client.session.too_long(), err("That line is too long"));
    client.hears("AGRlbW8AcmlnaHQ=", "-ERR Unknown command");
}
