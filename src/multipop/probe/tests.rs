//! Probes of sources: every step is reported, a failing one with advice, and nothing is changed.

use std::cell::RefCell;
use std::net::TcpListener;

use async_io::{Async, block_on};
use smol::future::or;

use super::*;
use crate::certificate;
use crate::config::{Account, Config, OAuth2, Secret, SourceAuth};
use crate::flash::sim::SimFlash;
use crate::multipop::errand::Experience;
use crate::multipop::fake::{Mail, Provider};
use crate::multipop::tests::inbox;
use crate::net::line::{LineEnd, read_line};
use crate::net::stream::Stream;
use crate::net::tls;
use crate::oauth2;
use crate::store::Store;

fn source(port: u16) -> Source {
    Source {
        id: 7,
        host: "127.0.0.1".try_into().unwrap(),
        port,
        security: Security::None,
        username: "ann".try_into().unwrap(),
        password: Secret::new("secret").unwrap(),
        ..Source::default()
    }
}

async fn context(source: &Source) -> Context {
    let account = Account {
        name: "ann".try_into().unwrap(),
        multipop: true,
        sources: vec![source.clone()],
        ..Account::default()
    };
    let config = Config { accounts: vec![account], ..Config::default() };
    let flash = SimFlash::default();
    let tls = certificate::server_config(&config, &flash).await.unwrap();
    Context::new(config, tls, Store::new(Rc::new(flash)))
}

/// The lines that a probe reports, and its result.
async fn probed(context: &Context, source: &Source) -> (String, Result<(), String>) {
    let told = RefCell::new(String::new());
    let tell = |line: String| {
        assert!(!line.contains('\n'), "{line}");
        *told.borrow_mut() += &(line.trim_end().to_owned() + "\n");
    };
    let permission = async {
        match source.auth {
            SourceAuth::OAuth2 if source.oauth2.is_none() => Err(oauth2::Error::None.into()),
            SourceAuth::OAuth2 => Ok(AccessToken::new("token")),
            _ => Ok(None),
        }
    };
    let result = probe(context, "ann", source, Box::pin(permission), &tell).await;
    let port = source.port.to_string();
    (told.take().replace(&port, "PORT"), result.map_err(|error| error.replace(&port, "PORT")))
}

/// Catches: a step that is not reported, or wrongly; a message that is deleted, collected or noted by a probe.
#[test]
fn a_pop3_source_is_told_of_step_by_step_and_left_as_it_is() {
    block_on(async {
        let mails: Vec<Mail> =
            (0..4).map(|n| Mail::new(&n.to_string(), "x".repeat(1024 * (n + 1) - 2) + "\r\n")).collect();
        let provider = Provider::new(&mails);
        let source = source(provider.address.port());
        let context = context(&source).await;
        let account = context.store.account("ann").await.unwrap();
        let key = source_key(&source, "INBOX");
        let test = async {
            // The first two messages are collected, and stay at the server, since the poll breaks off before its
            // QUIT.
            provider.behaviour.borrow_mut().silent_at = Some("RETR 3");
            let mut wire =
                Wire::connect(&source, Duration::from_secs(60), Rc::default(), Budget::usual(&provider.time))
                    .await
                    .unwrap();
            let (config, experience) = (context.config(), Experience::default());
            let poll = driver::collect_once(
                &mut wire,
                &source,
                account.clone(),
                &config,
                &experience,
                &provider.time,
            );
            poll.await.0.unwrap_err();
            drop(wire);
            provider.behaviour.borrow_mut().silent_at = None;
            provider.heard.borrow_mut().clear();
            let before = (inbox(&context.store).await, account.ledger_of(key));
            assert_eq!(before.0.len(), 2);
            let source = Source { max_size: 3 * 1024, ..source.clone() };
            let (told, result) = probed(&context, &source).await;
            assert_eq!(
                told,
                "name       127.0.0.1 is 127.0.0.1\n\
                 connection 127.0.0.1 port PORT\n\
                 TLS        none: whoever is on the way can read the password and the mail\n\
                 login      as ann by USER\n\
                 mailbox    INBOX: 4 messages, 10 KiB\n\
                 \u{20}          to be collected: a message, 3 KiB\n\
                 \u{20}          larger than max_size, and left there: a message\n\
                 \u{20}          collected before, and to be deleted there: 2 messages\n\
                 \u{20}          what is collected is deleted there once it is safe here\n"
            );
            assert_eq!(result, Ok(()));
            assert_eq!((inbox(&context.store).await, account.ledger_of(key)), before);
            assert_eq!(*provider.maildrop.borrow(), mails);
            let heard = provider.heard.borrow().join(" ");
            assert!(heard.ends_with("QUIT") && !heard.contains("RETR") && !heard.contains("DELE"), "{heard}");
            // A source that is not in force yet.
            let (told, _) = probed(&context, &Source { id: 0, ..source.clone() }).await;
            assert!(told.contains("to be collected: 3 messages, 6 KiB\n"), "{told}");
        };
        or(test, async { provider.serve().await }).await;
    });
}

/// Serves one connection by this script: a command that begins, after its tag, with the first text gets the second
/// one.
async fn imap(listener: &Async<TcpListener>, script: &[(&str, &str)], heard: &RefCell<Vec<String>>) {
    let (tcp, _) = listener.accept().await.unwrap();
    let mut stream = Stream::new(tcp).unwrap();
    stream.write(b"* OK ready\r\n").await.unwrap();
    let mut line = Vec::new();
    loop {
        stream.flush().await.unwrap();
        let Ok(LineEnd::Complete) = read_line(&mut stream, &mut line, 1000).await else { return };
        let line = String::from_utf8(line.clone()).unwrap();
        let (tag, command) = line.split_once(' ').unwrap_or(("", &line));
        heard.borrow_mut().push(command.to_owned());
        let reply = script.iter().find(|(begins, _)| command.starts_with(begins));
        let reply = reply.map_or("TAG OK\n", |(_, reply)| reply);
        stream.write(reply.replace("TAG", tag).replace('\n', "\r\n").as_bytes()).await.unwrap();
    }
}

const SCRIPT: &[(&str, &str)] = &[
    ("CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\nTAG OK\n"),
    ("AUTHENTICATE", "+\n"),
    ("AGFubgBzZWNyZXQ=", "P2 OK\n"),
    (
        "LIST \"\" \"*\"",
        "* LIST () \"/\" INBOX\n* LIST (\\Noselect) \"/\" Lists\n* LIST () \"/\" {7}\nLists/a\n* LIST () \"/\" \"Entw&APw-rfe\"\nTAG OK\n",
    ),
    ("LIST \"\" \"Lists*\"", "* LIST (\\Noselect) \"/\" Lists\n* LIST () \"/\" Lists/a\nTAG OK\n"),
    ("EXAMINE \"INBOX\"", "* 2 EXISTS\n* OK [UIDVALIDITY 7]\nTAG OK\n"),
    ("EXAMINE \"Gone\"", "TAG NO there is none\n"),
    ("EXAMINE", "* 1 EXISTS\n* OK [UIDVALIDITY 8]\nTAG OK\n"),
    (
        "UID FETCH 1:*",
        "* 1 FETCH (UID 5 RFC822.SIZE 2048 FLAGS ())\n* 2 FETCH (UID 6 RFC822.SIZE 2048 FLAGS (\\Deleted))\nTAG OK\n",
    ),
];

/// A probe of an IMAP server with this script. Returns also the commands that the server heard.
fn imap_probed(
    change: fn(Source) -> Source,
    script: &[(&str, &str)],
) -> (String, Result<(), String>, String) {
    block_on(async {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        let port = listener.get_ref().local_addr().unwrap().port();
        let source = change(Source { protocol: Protocol::Imap, ..source(port) });
        let (context, heard) = (context(&source).await, RefCell::default());
        let serves = async {
            imap(&listener, script, &heard).await;
            std::future::pending().await
        };
        let (told, result) = or(probed(&context, &source), serves).await;
        (told, result, heard.take().join("\n"))
    })
}

/// Catches: folders that are not named, or that are opened in a way that changes flags there.
#[test]
fn an_imap_source_tells_its_folders() {
    let folders = |source| Source {
        folders: vec!["INBOX".try_into().unwrap(), "Lists*".try_into().unwrap()],
        leave_on_server: false,
        ..source
    };
    let (told, result, heard) = imap_probed(folders, SCRIPT);
    assert_eq!(
        told,
        "name       127.0.0.1 is 127.0.0.1\n\
         connection 127.0.0.1 port PORT\n\
         TLS        none: whoever is on the way can read the password and the mail\n\
         login      as ann by PLAIN\n\
         folders    INBOX, Lists/a, Entwürfe\n\
         mailbox    INBOX: 2 messages, 4 KiB\n\
         \u{20}          to be collected: a message, 2 KiB\n\
         \u{20}          what is collected is deleted there once it is safe here\n\
         mailbox    Lists/a: 2 messages, 4 KiB; what the server says of their number does not agree\n\
         \u{20}          to be collected: a message, 2 KiB\n\
         \u{20}          what is collected is deleted there once it is safe here\n"
            .replace("; what the server says of their number does not agree", "")
    );
    assert_eq!(result, Ok(()));
    for changes in ["SELECT", "STORE", "EXPUNGE", "BODY"] {
        assert!(!heard.contains(changes), "{heard}");
    }
    assert!(heard.ends_with("LOGOUT"), "{heard}");
}

/// Catches: a step that fails without saying which, why, and what to do; a missing folder that is reported as empty.
#[test]
fn the_step_that_fails_says_what_to_do() {
    let (told, result, _) = imap_probed(
        |source| source,
        &[&[("AGFubgBzZWNyZXQ=", "P2 NO [AUTHENTICATIONFAILED] no\n")], SCRIPT].concat(),
    );
    assert!(told.ends_with("the password and the mail\n"), "{told}");
    let error = result.unwrap_err();
    assert!(
        error.starts_with("the login was refused: [AUTHENTICATIONFAILED] no. Check the user name"),
        "{error}"
    );
    let gone = |source| Source { folders: vec!["Gone".try_into().unwrap()], ..source };
    let (told, result, _) = imap_probed(gone, &[&[("LIST \"\" \"Gone\"", "TAG OK\n")], SCRIPT].concat());
    assert!(told.contains("folders    INBOX, Lists/a"), "{told}");
    let error = result.unwrap_err();
    assert_eq!(
        error,
        "the source's folder = \"Gone\" names no folder that can be opened there. Set folder to one of those that the server has."
    );
    block_on(async {
        // No server listens there.
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let source = source(free);
        let (told, result) = probed(&context(&source).await, &source).await;
        assert_eq!(told, "name       127.0.0.1 is 127.0.0.1\n");
        assert!(result.unwrap_err().starts_with("no connection to 127.0.0.1 port PORT: "));
        let secure = Source { security: Security::Tls, ..source };
        let (told, result) = probed(&context(&secure).await.without_time(), &secure).await;
        assert_eq!(told, "");
        assert!(result.unwrap_err().starts_with("the clock does not show the time yet"));
    });
}

/// Catches: a source with an access token that is tried out with a password; a missing permission that is not
/// reported before the login.
#[test]
fn a_permission_takes_the_place_of_a_password() {
    let script = [
        ("CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\nTAG OK\n"),
        ("dXNlcj1hbm4BYXV0aD1CZWFyZXIgdG9rZW4B", "P2 OK\n"),
    ];
    let script = [&script[..], SCRIPT].concat();
    let with =
        |source| Source { auth: SourceAuth::OAuth2, oauth2: Some(Box::new(OAuth2::default())), ..source };
    let (told, result, heard) = imap_probed(with, &script);
    assert!(told.contains("permission given\nlogin      as ann by XOAUTH2\nfolders"), "{told} {heard}");
    assert_eq!(result, Ok(()));
    let without = |source| Source { auth: SourceAuth::OAuth2, ..source };
    let (told, result, heard) = imap_probed(without, &script);
    assert!(told.ends_with("the password and the mail\n") && heard.is_empty(), "{told} {heard}");
    assert!(result.unwrap_err().starts_with(&oauth2::Error::None.to_string()));
}

/// Catches: a report that says only that TLS is used.
#[test]
fn tls_is_told_with_the_certificate() {
    let folder = std::env::temp_dir().join(format!("pillarbox-probe-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let own =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "mail.example".to_owned()]).unwrap();
    let file = |name: &str, pem: String| {
        let path = folder.join(name);
        std::fs::write(&path, pem).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) =
        (file("own.pem", own.cert.pem()), file("key.pem", own.signing_key.serialize_pem()));
    block_on(async {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        let port = listener.get_ref().local_addr().unwrap().port();
        let ca = certificate.as_str().try_into().unwrap();
        let source = Source { security: Security::Tls, ca, ..source(port) };
        let config = tls::from_files(&certificate, &key).unwrap();
        let serves = async {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = Stream::new(tcp).unwrap();
            stream.accept_tls(config).await.unwrap();
            stream.write(b"-ERR [SYS/TEMP] later\r\n").await.unwrap();
            stream.flush().await.unwrap();
            std::future::pending().await
        };
        let (told, result) = or(async { probed(&context(&source).await, &source).await }, serves).await;
        let line = told.lines().last().unwrap();
        assert!(
            line.starts_with("TLS        TLS 1.3, certificate for 127.0.0.1, mail.example, until "),
            "{line}"
        );
        assert!(line.ends_with(", signed by itself and trusted since ca names it"), "{line}");
        assert!(
            result.unwrap_err().starts_with("the server turned us away: [SYS/TEMP] later. This often passes")
        );
    });
    std::fs::remove_dir_all(&folder).unwrap();
}
