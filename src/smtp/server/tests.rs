//! Dialogs with the server over loopback, on the simulated flash. Whatever is accepted goes into the
//! INBOX of `demo`, whose password is `secret`.

use std::net::TcpListener;

use async_io::Async;
use smol::LocalExecutor;

use super::content::CONTENT;
use super::*;
use crate::certificate;
use crate::config::{Account, Config};
use crate::credential::Verifier;
use crate::flash::ReadAt;
use crate::flash::sim::SimFlash;
use crate::net::deadline;
use crate::net::line::read_line;
use crate::smtp::{Content, Envelope, Later, Mailbox, store_trouble};
use crate::store::{Flags, INBOX, Store};

/// A limit that no wait in these tests reaches.
const PATIENCE: Duration = Duration::from_secs(20);
const LOGIN: &str = "S: 220 *\nC: EHLO x\n...\nC: AUTH PLAIN AGRlbW8Ac2VjcmV0\nS: 235 *\n";
const MAIL: &str = "C: MAIL FROM:<demo@home.example>\nS: 250 *\nC: RCPT TO:<demo@home.example>\nS: 250 *\n";

mod content;
mod post;

struct Inbox(Rc<Context>);

impl Post for Inbox {
    fn recipient<'a>(
        &'a self,
        _account: Option<u64>,
        recipient: &'a Mailbox,
        _size: u64,
    ) -> Later<'a, Result<(), Reply>> {
        let known = ["demo@home.example", "friend@else.example"].contains(&recipient.as_str());
        Box::pin(async move { known.then_some(()).ok_or_else(|| Reply::new(550, (1, 1), "No such mailbox")) })
    }
    fn incoming<'a>(&'a self, _envelope: &'a Envelope, _size: u64) -> Later<'a, Result<Content, Reply>> {
        Box::pin(async {
            let store = self.0.store.account("demo").await.map_err(|error| store_trouble(&error))?;
            Ok(Content { message: store.incoming(), store, direct: true })
        })
    }
    fn accept(&self, _envelope: Envelope, content: Content) -> Later<'_, Result<(), Reply>> {
        Box::pin(async move {
            let mut transaction = content.store.begin();
            transaction.deliver(INBOX, content.message, Flags::NONE, &[], 0);
            transaction.commit().await.map(drop).map_err(|error| store_trouble(&error))
        })
    }
}

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
        let mut config = Config::default();
        config.server.domains.push("home.example".try_into().unwrap());
        config.server.max_message_size = 300_000;
        config.accounts.push(Account {
            id: 1,
            name: "demo".try_into().unwrap(),
            address: "demo@home.example".try_into().unwrap(),
            verifier: Verifier::with("secret", 1, [7; 16]),
            ..Account::default()
        });
        let server = certificate::server_config(&config, &flash).await.unwrap();
        let store = Store::new(Rc::new(flash.clone()));
        let context = Rc::new(Context::new(config, server, store));
        tell(Rc::new(World { context, flash, executor: executor.clone() })).await;
    }));
}

impl World {
    fn place(&self) -> Place {
        let peer = [127, 0, 0, 1].into();
        self.context
            .places
            .open("submission", Some(Service::Submission), peer, &self.context.config())
            .unwrap()
    }

    async fn connect(&self, role: Role) -> Client {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        let address = listener.get_ref().local_addr().unwrap();
        let (client, server) = smol::future::zip(Stream::connect(address), listener.accept()).await;
        let server = Stream::new(server.unwrap().0).unwrap();
        let post = Rc::new(Inbox(self.context.clone()));
        let place = self.place();
        self.executor.spawn(serve(server, role, place, self.context.clone(), post)).detach();
        Client(client.unwrap())
    }

    async fn device(&self) -> Client {
        self.connect(Role::LanSmtp).await
    }

    async fn submission(&self) -> Client {
        self.connect(Role::Submission { implicit_tls: false }).await
    }

    fn reconfigure(&self, change: impl FnOnce(&mut Config)) {
        let mut config = (*self.context.config()).clone();
        change(&mut config);
        self.context.reconfigure(config, self.context.tls());
    }

    async fn inbox(&self) -> Vec<String> {
        let demo = self.context.store.account("demo").await.unwrap();
        let messages = demo.view(INBOX, |inbox| inbox.messages.clone()).unwrap();
        let read = |message| {
            let body = demo.body(message).unwrap();
            let mut octets = vec![0; body.len().unwrap() as usize];
            body.read_exact_at(0, &mut octets).unwrap();
            String::from_utf8(octets).unwrap()
        };
        messages.iter().map(read).collect()
    }
}

struct Client(Stream);

impl Client {
    async fn send(&mut self, octets: &[u8]) {
        let sent = async {
            self.0.write(octets).await?;
            self.0.flush().await
        };
        deadline(PATIENCE, sent).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        match deadline(PATIENCE, read_line(&mut self.0, &mut line, 1000)).await {
            Ok(LineEnd::Closed) => "closed".into(),
            other => {
                assert_eq!(other.unwrap(), LineEnd::Complete);
                String::from_utf8(line).unwrap()
            }
        }
    }

    /// Plays a transcript. `C:` is sent, `S:` is what the next line must be (`*` for any end), `...` stands for a
    /// reply of several lines.
    async fn play(&mut self, transcript: &str) {
        for expected in transcript.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(line) = expected.strip_prefix("C: ") {
                self.send(format!("{line}\r\n").as_bytes()).await;
            } else if expected == "..." {
                while self.line().await.as_bytes()[3] == b'-' {}
            } else {
                let line = self.line().await;
                let wanted = expected.strip_prefix("S: ").unwrap();
                let fits = wanted.strip_suffix('*').map_or(line == wanted, |start| line.starts_with(start));
                assert!(fits, "expected {wanted}\n     got {line}");
            }
        }
    }
}

#[test]
fn a_message_in_one_packet_and_the_next_one_behind_it() {
    story(async |world| {
        let mut client = world.submission().await;
        client.play(LOGIN).await;
        let batch = "MAIL FROM:<demo@home.example>\r\nRCPT TO:<nobody@home.example>\r\n\
                     RCPT TO:<demo@home.example>\r\nDATA\r\n";
        client
            .send(
                format!("{batch}Subject: one\r\n\r\n..\r\n.\r\n{batch}Subject: two\r\n\r\n.\r\nQUIT\r\n")
                    .as_bytes(),
            )
            .await;
        let replies = "S: 250 *\nS: 550 5.1.1 *\nS: 250 2.1.5 *\nS: 354 *\nS: 250 2.0.0 It is safe with me\n";
        client.play(&format!("{replies}{replies}S: 221 *\nS: closed")).await;
        let inbox = world.inbox().await;
        assert!(
            inbox[0].starts_with("Received: from pillarbox.local\r\n\tby pillarbox.local with ESMTPA id ")
        );
        assert!(
            inbox[0].contains("\r\nSubject: one\r\nFrom: <demo@home.example>\r\nDate: ")
                && inbox[0].ends_with("\r\n\r\n.\r\n")
        );
        assert!(inbox[1].contains("\r\nSubject: two\r\n"));
    });
}

#[test]
fn a_message_that_breaks_off_leaves_nothing_behind() {
    story(async |world| {
        let mut client = world.submission().await;
        client.play(&format!("{LOGIN}{MAIL}C: DATA\nS: 354 *")).await;
        client.send(&[&b"A: b\r\n\r\n"[..], &b"0123456789\r\n".repeat(20_000)].concat()).await;
        let bodies = || world.flash.files().iter().filter(|(path, _)| path.contains("/body/")).count();
        while bodies() == 0 {
            async_io::Timer::after(Duration::from_millis(1)).await;
        }
        client.0.close().await;
        while bodies() > 0 {
            async_io::Timer::after(Duration::from_millis(1)).await;
        }
        assert!(world.inbox().await.is_empty());
    });
}

#[test]
fn too_much_is_refused_and_far_too_much_ends_it() {
    story(async |world| {
        let mut client = world.submission().await;
        client.play(&format!("{LOGIN}{MAIL}C: DATA\nS: 354 *")).await;
        client.send(&[&b"A: b\r\n\r\n"[..], &b"0123456789\r\n".repeat(30_000)].concat()).await;
        client.play(&format!("C: .\nS: 552 5.3.4 *\n{MAIL}C: DATA\nS: 354 *")).await;
        let flood = async {
            // The server hangs up within it.
            while client.0.write(&[b'x'; 10_000]).await.is_ok() && client.0.flush().await.is_ok() {}
            Ok(())
        };
        deadline(PATIENCE, flood).await.unwrap();
        assert!(world.inbox().await.is_empty());
    });
}

/// Catches: a header of any length that is kept or passed on (2.5 million Sender fields took 268 MiB).
#[test]
fn a_header_that_is_too_much_is_refused() {
    story(async |world| {
        let mut client = world.connect(Role::LanSmtp).await;
        client.play(&format!("S: 220 *\nC: HELO x\nS: 250 *\n{MAIL}C: DATA\nS: 354 *")).await;
        world.reconfigure(|config| config.server.max_message_size = 50 << 20);
        client.send(&b"Sender: a@home.example\r\n".repeat(1001)).await;
        client.play(&format!("C: .\nS: 554 5.6.0 *\n{MAIL}C: DATA\nS: 354 *")).await;
        client.send(&b"Sender: a@home.example\r\n".repeat(1000)).await;
        client.play("C: .\nS: 250 *").await;
        let taken = world.inbox().await;
        let length = crate::message::header::length(&taken[0].as_bytes()).unwrap();
        assert_eq!(
            (taken.len(), length),
            (1, taken[0].len() as u64),
            "what was added is read as header, too"
        );
    });
}

#[test]
fn a_full_flash_refuses_for_now() {
    story(async |world| {
        let mut client = world.submission().await;
        client.play(&format!("{LOGIN}{MAIL}C: DATA\nS: 354 *")).await;
        let used: usize = world.flash.files().iter().map(|(_, len)| len).sum();
        world.flash.limit(Some(used as u64));
        client.send(&[&b"A: b\r\n\r\n"[..], &b"0123456789\r\n".repeat(20_000)].concat()).await;
        client.play("C: .\nS: 452 4.3.1 *").await;
        world.flash.limit(None);
        client.play(&format!("{MAIL}C: DATA\nS: 354 *\nC: Subject: x\nC: .\nS: 250 *")).await;
        let used: usize = world.flash.files().iter().map(|(_, len)| len).sum();
        world.flash.limit(Some(used as u64));
        client.play(&format!("{MAIL}C: BDAT 240000")).await;
        client.send(&[&b"A: b\r\n\r\n1234"[..], &b"0123456789\r\n".repeat(19_999)].concat()).await;
        client.play("S: 452 4.3.1 *\nC: BDAT 0 LAST\nS: 503 *").await;
        assert_eq!(world.inbox().await.len(), 1);
    });
}

#[test]
fn a_session_ends_with_its_right() {
    story(async |world| {
        let (mut ours, mut lan) = (world.submission().await, world.connect(Role::LanSmtp).await);
        ours.play(LOGIN).await;
        lan.play("S: 220 *\nC: HELO x\nS: 250 *").await;
        world.reconfigure(|config| config.server.max_message_size = 1000);
        ours.play("C: NOOP\nS: 250 *").await;
        lan.play("C: NOOP\nS: 250 *").await;
        world.reconfigure(|config| config.accounts[0].enabled = false);
        ours.play("S: 421 4.7.0 *\nS: closed").await;
        world.reconfigure(|config| config.server.lan.clear());
        lan.play("S: 421 4.7.0 *\nS: closed").await;
        world.connect(Role::LanSmtp).await.play("S: 554 5.7.1 *\nS: closed").await;
    });
}

#[test]
fn an_idle_connection_is_small() {
    story(async |world| {
        let client = world.submission().await;
        let post = Rc::new(Inbox(world.context.clone()));
        let served = serve(client.0, Role::LanSmtp, world.place(), world.context.clone(), post);
        let size = size_of_val(&served);
        assert!(size < 2500, "{size} octets");
    });
}

/// Catches: commands without a login that extend the limit of one minute, and a login that does not end it.
#[test]
fn who_is_silent_is_let_go_before_the_login_and_after() {
    story(async |world| {
        for said in ["", "EHLO x\r\n", "EH", "EHLO x\r\nAUTH PLAIN\r\n"] {
            let mut client = world.submission().await;
            client.play("S: 220 *").await;
            world.context.time.advance(Duration::from_secs(59));
            client.play("C: NOOP\nS: 250 *").await;
            client.send(said.as_bytes()).await;
            world.context.time.advance(Duration::from_secs(1));
            let mut last = String::new();
            loop {
                match client.line().await.as_str() {
                    "closed" => break,
                    line => last = line.to_owned(),
                }
            }
            assert!(last.starts_with("421 4.4.2 "), "{said:?}: {last:?}");
        }
        for (role, until) in [(Role::Submission { implicit_tls: false }, LOGIN), (Role::LanSmtp, "S: 220 *")]
        {
            let mut client = world.connect(role).await;
            client.play(until).await;
            for _ in 0..3 {
                world.context.time.advance(Duration::from_secs(299));
                client.play("C: NOOP\nS: 250 *").await;
            }
            world.context.time.advance(Duration::from_secs(300));
            client.play("S: 421 4.4.2 *\nS: closed").await;
        }
    });
}

/// Catches: content that may take for ever (RFC 5321 section 4.5.3.2.5).
#[test]
fn who_stops_in_the_middle_of_a_message_is_let_go() {
    story(async |world| {
        let mut client = world.submission().await;
        client.play(&format!("{LOGIN}{MAIL}C: DATA\nS: 354 *")).await;
        world.context.time.advance(CONTENT);
        client.play("S: 421 4.4.2 *\nS: closed").await;
        assert!(world.inbox().await.is_empty());
    });
}

/// Catches: a web page that makes a browser at home send mail by `lan_smtp`, or log in.
#[test]
fn a_browser_is_sent_away() {
    story(async |world| {
        for role in [Role::LanSmtp, Role::Submission { implicit_tls: false }] {
            for request in ["POST / HTTP/1.1", "get /", "PUT", "HEAD /", "OPTIONS *", "CONNECT x:1"] {
                let mut client = world.connect(role).await;
                client.send(format!("{request}\r\nHost: x\r\n\r\nEHLO x\r\nNOOP\r\n").as_bytes()).await;
                client.play("S: 220 *\nS: 421 4.7.0 This is no web server\nS: closed").await;
            }
        }
        let mut late = world.device().await;
        late.play("S: 220 *\nC: HELO x\nS: 250 *\nC: POST / HTTP/1.1\nS: 421 *\nS: closed").await;
        // Content and responses are not commands, and a client that has logged in is not a browser.
        let mut device = world.device().await;
        device.play(&format!("S: 220 *\nC: HELO x\nS: 250 *\n{MAIL}C: DATA\nS: 354 *")).await;
        device.send(b"Subject: x\r\n\r\nGET / HTTP/1.1\r\n.\r\n").await;
        device.play("S: 250 *").await;
        let mut client = world.submission().await;
        client.play("S: 220 *\nC: EHLO x\n...\nC: AUTH PLAIN\nS: 334 *\nC: POST\nS: 501 *").await;
        client.play("C: AUTH PLAIN AGRlbW8Ac2VjcmV0\nS: 235 *\nC: GET / HTTP/1.1\nS: 500 *").await;
    });
}

/// Catches: a login that is checked though too many from its address wait, and a session that goes on after that.
#[test]
fn who_is_turned_away_hears_why_and_the_session_ends() {
    story(async |world| {
        world.context.logins.crowd([127, 0, 0, 1].into());
        let mut client = world.submission().await;
        client
            .play("S: 220 *\nC: EHLO client\n...\nC: AUTH PLAIN AGRlbW8Ac2VjcmV0\nS: 421 4.7.0 *\nS: closed")
            .await;
    });
}
