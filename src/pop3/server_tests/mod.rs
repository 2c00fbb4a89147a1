//! Dialogs with the server over loopback, on the simulated flash, for what needs a store.

mod deadlines;
mod exact;

use super::*;
use std::net::TcpListener;

use async_io::Async;
use smol::LocalExecutor;

use crate::certificate;
use crate::config::{self, Config};
use crate::credential::Verifier;
use crate::flash::sim::SimFlash;
use crate::net::deadline;
use crate::net::line::read_line;
use crate::store::{Flags, Store};

/// A limit that no wait in these tests reaches.
const PATIENCE: Duration = Duration::from_secs(20);

/// An appliance with the account `demo`, whose password is `right`.
struct World {
    context: Rc<Context>,
    flash: SimFlash,
    executor: Rc<LocalExecutor<'static>>,
}

/// Runs a test in a world whose deadlines expire only when the test lets time pass.
fn story<F: Future<Output = ()>>(tell: impl FnOnce(Rc<World>) -> F) {
    let executor = Rc::new(LocalExecutor::new());
    async_io::block_on(executor.clone().run(async {
        let flash = SimFlash::default();
        let account = config::Account {
            name: "demo".try_into().unwrap(),
            verifier: Verifier::with("right", 1, [7; 16]),
            ..config::Account::default()
        };
        let config = Config { accounts: vec![account], ..Config::default() };
        let server = certificate::server_config(&config, &flash).await.unwrap();
        let store = Store::new(Rc::new(flash.clone()));
        let context = Rc::new(Context::new(config, server, store));
        tell(Rc::new(World { context, flash, executor })).await;
    }));
}

impl World {
    async fn mail(&self) -> Rc<Account> {
        self.context.store.account("demo").await.unwrap()
    }

    async fn deliver(&self, text: &[u8]) {
        let mail = self.mail().await;
        let mut transaction = mail.begin();
        let mut message = mail.incoming();
        message.write(text).unwrap();
        transaction.deliver(INBOX, message, Flags::NONE, &[], 0);
        transaction.commit().await.unwrap();
    }

    async fn uids(&self) -> Vec<Uid> {
        let uids = |inbox: &store::Mailbox| inbox.messages.iter().map(|message| message.uid).collect();
        self.mail().await.view(INBOX, uids).unwrap()
    }

    async fn expunge(&self, uids: &[Uid]) {
        let mut transaction = self.mail().await.begin();
        transaction.expunge(INBOX, uids);
        transaction.commit().await.unwrap();
    }

    fn place(&self) -> Place {
        let peer = [127, 0, 0, 1].into();
        self.context.places.open("pop3", Some(Service::Pop3), peer, &self.context.config()).unwrap()
    }

    async fn connect(&self) -> Client {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        let address = listener.get_ref().local_addr().unwrap();
        let (client, server) = smol::future::zip(Stream::connect(address), listener.accept()).await;
        let server = Stream::new(server.unwrap().0).unwrap();
        let place = self.place();
        self.executor.spawn(serve(server, false, place, self.context.clone())).detach();
        let mut client = Client(client.unwrap());
        client.hears("+OK ").await;
        client
    }

    async fn login(&self) -> Client {
        let mut client = self.connect().await;
        client.play(&[("USER demo", "+OK "), ("PASS right", "+OK Welcome")]).await;
        client
    }
}

/// A client's end.
struct Client(Stream);

impl Client {
    /// Sends commands, and checks how the first line of each answer begins.
    async fn play(&mut self, dialog: &[(&str, &str)]) {
        for (command, answer) in dialog {
            self.says(command).await;
            self.hears(answer).await;
        }
    }

    async fn says(&mut self, command: &str) {
        self.0.queue(format!("{command}\r\n").as_bytes());
        deadline(PATIENCE, self.0.flush()).await.unwrap();
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let end = deadline(PATIENCE, read_line(&mut self.0, &mut line, 1000)).await.unwrap();
        (end == LineEnd::Complete).then(|| String::from_utf8(line).unwrap())
    }

    async fn hears(&mut self, start: &str) {
        let line = self.line().await.unwrap_or_else(|| panic!("closed, not {start:?}"));
        assert!(line.starts_with(start), "{line:?}, not {start:?}");
    }

    /// Everything that comes until the server closes.
    async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        loop {
            let piece = deadline(PATIENCE, self.0.fill()).await.unwrap();
            if piece.is_empty() {
                return rest;
            }
            rest.extend_from_slice(piece);
            let len = piece.len();
            self.0.consume(len);
        }
    }
}

#[test]
fn what_is_deleted_goes_at_quit_and_only_then() {
    story(async |world| {
        for text in [b"one\r\n", b"two\r\n"] {
            world.deliver(text).await;
        }
        let mut client = world.login().await;
        client.play(&[("DELE 1", "+OK")]).await;
        client.0.close().await;
        assert_eq!(world.uids().await, [1, 2], "a connection that breaks deletes nothing");

        let mut client = world.login().await;
        client.play(&[("DELE 1", "+OK"), ("QUIT", "+OK")]).await;
        assert_eq!(client.rest().await, b"");
        assert_eq!(world.uids().await, [2]);
    });
}

#[test]
fn a_commit_that_fails_is_told_at_quit() {
    story(async |world| {
        world.deliver(b"one\r\n").await;
        let mut client = world.login().await;
        client.play(&[("DELE 1", "+OK")]).await;
        world.flash.cut_at(world.flash.steps());
        client.play(&[("QUIT", "-ERR [SYS/TEMP] Nothing was deleted")]).await;
        assert_eq!(client.rest().await, b"");
    });
}

#[test]
fn the_maildrop_is_a_snapshot() {
    story(async |world| {
        world.deliver(b"one\r\n").await;
        world.deliver(b"two\r\n").await;
        let mut client = world.login().await;
        world.deliver(b"three\r\n").await;
        world.expunge(&[1]).await;
        client
            .play(&[
                ("STAT", "+OK 2 10"),
                ("RETR 1", "-ERR Another client has removed that message"),
                ("TOP 1 0", "-ERR Another client has removed that message"),
                ("DELE 1", "+OK"),
                ("DELE 2", "+OK"),
                ("RETR 3", "-ERR No such message"),
                ("QUIT", "+OK"),
            ])
            .await;
        assert_eq!(world.uids().await, [3]);
    });
}

#[test]
fn commands_and_answers_travel_together() {
    story(async |world| {
        // Larger than the pieces in which it is read, and than a small body of the store.
        let lines: String = (0..20_000).map(|n| format!(".{n}\r\n")).collect();
        world.deliver(format!("Subject: long\r\n\r\n{lines}").as_bytes()).await;
        let mut client = world.connect().await;
        client.says("USER demo\r\nPASS right\r\nUIDL 1\r\nRETR 1\r\nTOP 1 1\r\nQUIT").await;
        let rest = String::from_utf8(client.rest().await).unwrap();
        let uid_validity = world.mail().await.view(INBOX, |inbox| inbox.uid_validity).unwrap();
        let head =
            format!("+OK 1 {uid_validity:x}.1\r\n+OK {} octets\r\nSubject: long\r\n\r\n", lines.len() + 17);
        let (_, rest) = rest.split_once(&head).unwrap();
        let stuffed = lines.replace("\r\n.", "\r\n..");
        assert!(rest.starts_with(&format!(".{stuffed}.\r\n+OK ")));
        assert!(
            rest.ends_with(
                "The top of the message follows\r\nSubject: long\r\n\r\n..0\r\n.\r\n+OK Goodbye\r\n"
            )
        );
    });
}

#[test]
fn a_damaged_message_is_refused_and_the_others_are_served() {
    story(async |world| {
        world.deliver(&[b'x'; 1000]).await;
        world.deliver(b"two\r\n").await;
        let mut client = world.login().await;
        let (log, _) = world.flash.files().into_iter().find(|(path, _)| path.contains("demo/log")).unwrap();
        world.flash.flip(&log, 8 * 600);
        client
            .play(&[("RETR 1", "-ERR [SYS/PERM] That message is damaged"), ("RETR 2", "+OK 5 octets")])
            .await;
    });
}

#[test]
fn a_session_ends_when_its_right_does() {
    story(async |world| {
        let mut idle = world.login().await;
        let mut unknown = world.connect().await;
        let mut config = (*world.context.config()).clone();
        config.server.connector = true;
        world.context.reconfigure(config.clone(), world.context.tls());
        idle.play(&[("NOOP", "+OK")]).await;
        config.accounts[0].pop = false;
        world.context.reconfigure(config, world.context.tls());
        idle.hears("-ERR [SYS/PERM] The settings no longer allow").await;
        assert_eq!(idle.rest().await, b"");
        unknown.play(&[("USER demo", "+OK"), ("PASS right", "-ERR [AUTH]"), ("QUIT", "+OK")]).await;
    });
}

#[test]
fn trouble_with_the_store_is_no_refusal() {
    story(async |world| {
        world.flash.cut_at(world.flash.steps());
        let mut client = world.connect().await;
        client.play(&[("USER demo", "+OK"), ("PASS right", "-ERR [SYS/TEMP]"), ("QUIT", "+OK")]).await;
    });
}

#[test]
fn an_idle_connection_is_small() {
    story(async |world| {
        let client = world.connect().await;
        let size = size_of_val(&serve(client.0, false, world.place(), world.context.clone()));
        assert!(size <= 1024, "{size} octets");
    });
}

/// Catches: a login that is checked though too many from its address wait, and a session that goes on after that.
#[test]
fn who_is_turned_away_hears_why_and_the_session_ends() {
    story(async |world| {
        world.context.logins.crowd([127, 0, 0, 1].into());
        let mut client = world.connect().await;
        client.play(&[("USER demo", "+OK "), ("PASS right", "-ERR [SYS/TEMP] ")]).await;
        assert_eq!(client.rest().await, b"");
    });
}

/// Catches: a web page that makes a browser at home log in, or send mail, with the content of its request.
#[test]
fn a_browser_is_sent_away() {
    story(async |world| {
        for request in ["POST / HTTP/1.1", "get /", "PUT", "HEAD\t/", "OPTIONS *", "CONNECT x:1"] {
            let mut client = world.connect().await;
            client.says(&format!("{request}\r\nHost: home\r\n\r\nUSER demo\r\nPASS right")).await;
            assert_eq!(client.rest().await, b"-ERR This is no web server, goodbye\r\n", "{request}");
        }
        // A path that is longer than a line, after a command, and a word that is not an HTTP method.
        let mut client = world.connect().await;
        client.play(&[("CAPA", "+OK")]).await;
        client.says(&format!("GET /{}", "x".repeat(1000))).await;
        assert!(client.rest().await.ends_with(b".\r\n-ERR This is no web server, goodbye\r\n"));
        let mut client = world.connect().await;
        client
            .play(&[("GETX", "-ERR"), ("AUTH LOGIN", "-ERR"), ("AUTH PLAIN", "+ "), ("POST", "-ERR")])
            .await;
        client.play(&[("USER demo", "+OK"), ("PASS right", "+OK"), ("GET / HTTP/1.1", "-ERR")]).await;
        client.play(&[("NOOP", "+OK")]).await;
    });
}
