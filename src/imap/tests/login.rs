use super::*;
use crate::imap::state::outcome::Outcome;
use crate::imap::state::session::Session;
use crate::imap::wire::extension::Enabled;
use crate::imap::wire::grammar::parse;

const CAPABILITIES: &str = "IMAP4rev1 IMAP4rev2 LITERAL+ ID IDLE NAMESPACE UNSELECT UIDPLUS CHILDREN \
                            SPECIAL-USE MOVE STATUS=SIZE METADATA LIST-EXTENDED LIST-STATUS ENABLE CONDSTORE QRESYNC \
                            MULTIAPPEND CATENATE REPLACE BINARY PREVIEW LIST-METADATA CREATE-SPECIAL-USE \
                            QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE OBJECTID SAVEDATE ESEARCH SEARCHRES WITHIN PARTIAL \
                            UTF8=ACCEPT CONTEXT=SEARCH NOTIFY SORT SORT=DISPLAY ESORT \
                            THREAD=ORDEREDSUBJECT THREAD=REFERENCES I18NLEVEL=1 INPROGRESS APPENDLIMIT=52428800";

#[test]
fn a_session_from_the_greeting_to_the_goodbye() {
    story(|world| async move {
        let mut client = world.connect().await;
        client
            .play(&format!(
                "S: * OK [CAPABILITY {CAPABILITIES} STARTTLS SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN] pillarbox.local is ready
                C: 1 NOOP
                S: 1 OK *
                C: 2 SELECT INBOX
                S: 2 BAD Log in first
                C: 3 login fred@home.example \"secret\"
                S: 3 OK [CAPABILITY {CAPABILITIES}] Logged in
                C: 4 CAPABILITY
                S: * CAPABILITY {CAPABILITIES}
                S: 4 OK *
                C: 5 LOGIN fred secret
                S: 5 BAD Logged in already
                C: 6 STARTTLS
                S: 6 BAD STARTTLS comes before the login
                C: 7 FETCH 1 FLAGS
                S: 7 BAD Select a mailbox first
                C: 8 NAMESPACE
                S: * NAMESPACE ((\"\" \"/\")) NIL NIL
                S: 8 OK *
                C: 9 LOGOUT
                S: * BYE *
                S: 9 OK *
                S:"
            ))
            .await;
    });
}

#[test]
fn authenticate_with_and_without_an_initial_response() {
    story(|world| async move {
        for dialog in [
            "C: a AUTHENTICATE PLAIN AGZyZWQAc2VjcmV0
             S: a OK *",
            "C: a AUTHENTICATE plain
             S: + *
             C: AGZyZWQAc2VjcmV0
             S: a OK *",
            "C: a AUTHENTICATE LOGIN
             S: + VXNlcm5hbWU6
             C: ZnJlZA==
             S: + UGFzc3dvcmQ6
             C: c2VjcmV0
             S: a OK *",
            "C: a AUTHENTICATE PLAIN
             S: + *
             C: *
             S: a BAD The login was cancelled
             C: b AUTHENTICATE CRAM-MD5
             S: b NO *
             C: b AUTHENTICATE SCRAM-SHA-256-PLUS
             S: b NO *
             C: b AUTHENTICATE SCRAM-SHA-256 biwsbj1mcmVkLHI9bm9uY2U=
             S: + cj1ub25jZ*
             C: *
             S: b BAD The login was cancelled
             C: c LOGIN {4}
             S: + *
             C: fred {6+}
             C: secret
             S: c OK *",
        ] {
            let mut client = world.connect().await;
            client.play("S: * OK *").await;
            client.play(dialog).await;
        }
    });
}

#[test]
fn every_refusal_sounds_the_same_and_the_third_is_the_last() {
    story(|world| async move {
        world.reconfigure(|config| config.accounts[1].imap = false);
        let mut client = world.connect().await;
        client
            .play(
                "S: * OK *
                C: 1 LOGIN fred wrong
                S: 1 NO [AUTHENTICATIONFAILED] Login refused
                C: 2 LOGIN nobody secret
                S: 2 NO [AUTHENTICATIONFAILED] Login refused
                C: 3 LOGIN anna secret
                S: 3 NO [AUTHENTICATIONFAILED] Login refused
                S: * BYE Too many refused logins
                S:",
            )
            .await;
    });
}

/// Loopback counts as safe, so this session pretends to have a client on the LAN.
#[test]
fn no_password_travels_in_the_clear() {
    let config = config();
    let mut session = Session::new([192, 168, 7, 5].into());
    let said = |line: &str, session: &mut Session| {
        let mut out = String::new();
        match session.handle(&config, parse(line.as_bytes(), Enabled::default()).unwrap(), &mut out) {
            Outcome::Reply(reply) => out + &reply.tag + " " + &reply.text,
            Outcome::Login { .. } => "a login".to_owned(),
            _ => "another outcome".to_owned(),
        }
    };
    assert!(
        said("1 CAPABILITY", &mut session)
            .starts_with(&format!("* CAPABILITY {CAPABILITIES} STARTTLS LOGINDISABLED\r\n"))
    );
    assert!(said("2 LOGIN fred secret", &mut session).starts_with("2 NO [PRIVACYREQUIRED] "));
    assert!(said("3 AUTHENTICATE PLAIN", &mut session).starts_with("3 NO [PRIVACYREQUIRED] "));
    session.secured(true);
    assert!(
        said("4 CAPABILITY", &mut session)
            .contains(" SASL-IR AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN\r\n")
    );
    assert_eq!(said("5 LOGIN fred secret", &mut session), "a login");
}

#[test]
fn starttls_forgets_what_came_before_the_handshake() {
    story(|world| async move {
        let mut client = world.connect().await;
        client.play("S: * OK *").await;
        client.send("1 STARTTLS\r\n2 LOGIN fred secret\r\n").await;
        client.play("S: 1 OK *").await;
        client.start_tls(&world).await;
        client
            .play(
                "C: 3 CAPABILITY
                S: * CAPABILITY *
                S: 3 OK *
                C: 4 STARTTLS
                S: 4 BAD TLS is in force already
                C: 5 LOGIN fred secret
                S: 5 OK *",
            )
            .await;
    });
}

#[test]
fn a_session_ends_when_its_right_is_taken_away() {
    story(|world| async move {
        let (mut client, mut idling, mut other) =
            (world.login().await, world.login().await, world.connect().await);
        other.play("S: * OK *\nC: 1 LOGIN anna secret\nS: 1 OK *").await;
        idling.play("C: 1 IDLE\nS: + *").await;
        world.reconfigure(|config| config.accounts[0].imap = false);
        client.play("S: * BYE *\nS:").await;
        idling.play("S: * BYE *\nS:").await;
        other.play("C: 2 NOOP\nS: 2 OK *").await;
    });
}

#[test]
fn connector_clients_need_the_right() {
    story(|world| async move {
        let id = "C: 1 ID (\"version\" \"2.0\" \"name\" \"Outlook Connector for MDaemon\")";
        let mut client = world.login().await;
        client.play(&format!("{id}\nS: * BYE This account may not use Connector *\nS:")).await;

        let mut client = world.connect().await;
        client.play("S: * OK *").await;
        client.play(&format!("{id}\nS: * ID (\"name\" \"Pillarbox\" *\nS: 1 OK *")).await;
        client.play("C: 2 LOGIN fred secret\nS: * BYE This account may not use Connector *\nS:").await;

        world.reconfigure(|config| {
            config.server.connector = true;
            config.accounts[0].connector = true;
        });
        let mut client = world.login().await;
        client.play(&format!("{id}\nS: * ID *\nS: 1 OK *")).await;
        world.reconfigure(|config| config.accounts[0].connector = false);
        client.play("S: * BYE This account may not use Connector *\nS:").await;

        let mut client = world.login().await;
        client
            .play("C: 1 ID NIL\nS: * ID *\nS: 1 OK *\nC: 2 ID (\"name\" \"mutt\")\nS: * ID *\nS: 2 OK *")
            .await;
    });
}

/// Catches: a login that is checked although too many from its address are waiting, and a session that goes on after
/// that.
#[test]
fn who_is_turned_away_hears_why_and_the_session_ends() {
    story(|world| async move {
        world.context.logins.crowd([127, 0, 0, 1].into());
        for login in ["1 LOGIN fred secret", "1 AUTHENTICATE PLAIN AGZyZWQAc2VjcmV0"] {
            let mut client = world.connect().await;
            let refused = "S: 1 NO [UNAVAILABLE] *\nS: * BYE Too many logins *\nS:";
            client.play(&format!("S: * OK *\nC: {login}\n{refused}")).await;
        }
    });
}

/// Catches: a web page that makes a browser in the home network log in with the content of its request.
#[test]
fn a_browser_is_sent_away() {
    story(|world| async move {
        for request in ["POST / HTTP/1.1", "get /", "PUT", "HEAD /", "OPTIONS *", "CONNECT x:1"] {
            let mut client = world.connect().await;
            client.send(&format!("{request}\r\nHost: x\r\n\r\n1 LOGIN fred secret\r\n")).await;
            client.play("S: * OK *\nS: * BYE This is no web server\nS:").await;
        }
        let mut client = world.login().await;
        client.play("C: GET NOOP\nS: GET OK *").await;
    });
}
