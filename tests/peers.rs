//! The peers of the scenarios themselves: the provider serves what was put into it, the smarthost takes mail only after a
//! login and notes it. When this fails, look here before looking at the appliance.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use support::mail::{canonical, corpus, difference, generated};
use support::{Appliance, Connection, Dovecot, Imap, Pop3, Postfix, Smtp, TokenServer, wait_for};

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

/// Dovecot takes access tokens by both mechanisms, over IMAP and POP3, and asks the token server what they are worth. Catches: a
/// message of a mechanism that only our own tests understand; a permission that the console does not store; a refresh token
/// whose successor is lost with the process, or pushes the previous settings away; one that was taken back and is not told.
#[test]
fn a_mailbox_is_collected_with_a_permission() {
    for mechanism in ["oauthbearer", "xoauth2"] {
        let tokens = TokenServer::start();
        let dovecot = Dovecot::with_tokens(mechanism, &tokens.url("/introspect"));
        let messages: Vec<_> = (0..20).map(generated).collect();
        for user in ["u0", "u1"] {
            dovecot.fill(user, &messages);
        }
        let account = |name: &str, user: &str, protocol: &str, port: u16| {
            format!(
                "[[account]]\nname = \"{name}\"\naddress = \"{name}@home.example\"\npassword = \"{name} password\"\n\
                 multipop = true\n[[account.source]]\nprotocol = \"{protocol}\"\nhost = \"localhost\"\nport = {port}\n\
                 username = \"{user}\"\nauth = \"oauth2\"\nleave_on_server = true\nca = \"{}\"\n\
                 oauth2 = {{ token_url = \"{}\", device_url = \"{}\", scope = \"{user}\", client_id = \"id\" }}\n",
                dovecot.ca().display(),
                tokens.url("/token"),
                tokens.url("/device"),
            )
        };
        let mut appliance = Appliance::start(&format!(
            "[server]\ndomains = [\"home.example\"]\n{}{}",
            account("anna", "u0", "imap", dovecot.ports.imaps.number),
            account("ben", "u1", "pop3", dovecot.ports.pop3s.number),
        ));
        let count = |appliance: &Appliance, name: &str| {
            let connection = Connection::open_tls(appliance.ports.imaps.address(), &appliance.ca());
            Imap::login(connection, name, &format!("{name} password")).fetch_all("INBOX").len()
        };
        wait_for("the first poll", || {
            appliance.console("show sources").contains("`oauth2 anna 1`").then_some(())
        });
        for name in ["anna", "ben"] {
            let said = appliance.console(&format!("oauth2 {name}"));
            assert!(said.contains("WXYZ-1234") && said.contains("█") && said.ends_with("in use\n"), "{said}");
            wait_for("all mail", || (count(&appliance, name) == messages.len()).then_some(()));
        }
        let log = dovecot.log();
        for service in ["imap", "pop3"] {
            let login = format!("{service}-login: Info: Login: user=<");
            let method = format!("method={}", mechanism.to_uppercase());
            assert!(log.lines().any(|line| line.contains(&login) && line.contains(&method)), "{log}");
        }

        // The tokens from the console are good for a second beyond the minute: then the first one is replaced.
        let previous = std::fs::read(appliance.data().join("config.postcard.prev")).ok();
        let before = tokens.renewals().0;
        std::thread::sleep(std::time::Duration::from_secs(2));
        appliance.console("collect");
        wait_for("the renewals", || (tokens.renewals().0 >= before + 2).then_some(()));
        wait_for("the poll with them", || {
            (appliance.console("show sources").matches("good").count() == 2).then_some(())
        });
        assert!(std::fs::read(appliance.data().join("config.postcard.prev")).ok() == previous);
        let (before, used) = tokens.renewals();
        appliance.kill();
        appliance.restart();
        wait_for("the polls after a cut", || {
            (appliance.console("show sources").matches("good").count() == 2).then_some(())
        });
        let (after, last) = tokens.renewals();
        assert!(after >= before + 2 && last != used);
        assert_eq!(count(&appliance, "anna"), messages.len());

        tokens.revoke();
        std::thread::sleep(std::time::Duration::from_secs(2));
        appliance.console("collect");
        wait_for("the letters", || (count(&appliance, "ben") == messages.len() + 1).then_some(()));
        let shown = appliance.console("show sources");
        assert!(shown.contains("waits for a new permission: `oauth2 ben 1`"), "{shown}");
    }
}

/// Catches: folders of a real server that are not found, or another's news; mail that waits for the next interval though the
/// server has told of it, and a login for each of them.
#[test]
fn dovecot_tells_of_news_and_its_folders_are_collected() {
    let dovecot = Dovecot::start(&[("u0", "secret")]);
    let open = || Connection::open_tls(dovecot.ports.imaps.address(), dovecot.ca());
    let mut there = Imap::login(open(), "u0", "secret");
    let messages: Vec<_> = (0..6).map(generated).collect();
    for folder in ["\"Lists/Entw&APw-rfe\"", "Lists/Other", "Else"] {
        there.command(&format!("CREATE {folder}")).ok();
    }
    there.append("INBOX", &messages[0]);
    there.append("Lists/Entw&APw-rfe", &messages[1]);
    there.append("Else", &messages[2]);
    there.command("SELECT INBOX").ok();
    there.command("STORE 1 +FLAGS (\\Flagged $Forwarded)").ok();
    let appliance = Appliance::start(&format!(
        "[server]\ndomains = [\"home.example\"]\n[[account]]\nname = \"anna\"\naddress = \"anna@home.example\"\n\
         password = \"anna password\"\nmultipop = true\n[[account.source]]\nprotocol = \"imap\"\nhost = \"localhost\"\n\
         port = {}\nusername = \"u0\"\npassword = \"secret\"\nleave_on_server = true\nca = \"{}\"\n\
         folder = [\"INBOX\", \"Lists*\"]\ninto = \"Provider\"\ninterval = \"push\"\n",
        dovecot.ports.imaps.number,
        dovecot.ca().display(),
    ));
    let here = || {
        Imap::login(
            Connection::open_tls(appliance.ports.imaps.address(), &appliance.ca()),
            "anna",
            "anna password",
        )
    };
    let count = || here().fetch_all("Provider").len();
    wait_for("the poll", || appliance.console("show sources").contains("waiting for news").then_some(()));
    assert_eq!(count(), 2);
    let mut client = here();
    client.command("SELECT Provider").ok();
    let flagged = client.command("SEARCH FLAGGED KEYWORD $Forwarded").text();
    assert_eq!(flagged.split_whitespace().count(), 2, "one of them: {flagged}");
    for (n, message) in messages.iter().enumerate().skip(3) {
        there.append("INBOX", message);
        wait_for("the news", || (count() == n).then_some(()));
    }
    let log = dovecot.log();
    assert_eq!(
        log.matches("imap-login: Info: Login: user=<u0>").count(),
        2,
        "the one here, and the appliance: {log}"
    );
}
