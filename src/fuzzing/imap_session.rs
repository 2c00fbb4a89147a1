//! Two IMAP sessions with one account behind them. Each line goes to one of them: to the second where it begins with an
//! octet above 127, which is taken off. Whatever they say, both see the same messages with the same flags at the end, and so does
//! who comes anew.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_io::{Async, Timer};
use rustls::ServerConfig;
use smol::LocalExecutor;

use super::wait;
use crate::certificate::server_config;
use crate::config::{Account, Config, Service, Text};
use crate::context::Context;
use crate::credential::Verifier;
use crate::flash::sim::SimFlash;
use crate::imap::server::serve;
use crate::net::stream::Stream;
use crate::store::{self, Flags, INBOX, Store};

/// What an answer may have: more than all that so small a mailbox has to tell, for each line.
const MAX_SAID: usize = 16 << 20;

/// How often a session is looked at that says nothing.
const PATIENCE: u32 = 40;

thread_local! {
    static TLS: Arc<ServerConfig> = {
        let tls = wait(server_config(&Config::default(), &SimFlash::default()));
        tls.expect("a certificate is made")
    };
}

/// One input.
pub fn run(octets: &[u8]) {
    let octets = octets.get(..8192).unwrap_or(octets);
    let executor = Rc::new(LocalExecutor::new());
    wait(executor.clone().run(async {
        let context = Rc::new(context().await);
        let mut sessions = Vec::new();
        for _ in 0..2 {
            sessions.push(Client::inbox(&context, &executor).await);
        }
        let mut moved = [false; 2];
        for line in octets.split_inclusive(|&octet| octet == b'\n') {
            let (at, line) = match line {
                [128..=255, line @ ..] => (1, line),
                line => (0, line),
            };
            let upper = line.to_ascii_uppercase();
            let moves = |word: &[u8]| upper.windows(word.len()).any(|part| part == word);
            moved[at] |= [&b"SELECT"[..], b"EXAMINE", b"CLOSE"].iter().any(|word| moves(word));
            sessions[at].say(line);
        }
        for client in &mut sessions {
            // Out of an IDLE and of a line; out of a literal there is no way.
            client.say(b"\r\nDONE\r\n\r\n");
        }
        // What the second one does is news to the first one: both are asked twice.
        for tag in ["zq1", "zq2"] {
            for client in &mut sessions {
                client.ask(&format!("{tag} NOOP")).await;
                if client.is_stuck {
                    return;
                }
            }
        }
        let mut fresh = Client::inbox(&context, &executor).await;
        if let Some(truth) = fresh.view().await {
            for (client, moved) in sessions.iter_mut().zip(moved) {
                let view = if moved { None } else { client.view().await };
                if let Some(view) = view {
                    assert_eq!(view, truth, "two views of one mailbox");
                }
            }
        }
    }));
}

async fn context() -> Context {
    let account = Account {
        name: Text::try_from("a").expect("it is short"),
        address: Text::try_from("a@home.example").expect("it is short"),
        verifier: Verifier::with("secret", 1, [7; 16]),
        ..Account::default()
    };
    let mut config = Config { accounts: vec![account], ..Config::default() };
    config.server.max_message_size = 4096;
    let store = Store::new(Rc::new(SimFlash::default()));
    let context = Context::new(config, TLS.with(Arc::clone), store);
    let account = context.store.account("a").await.expect("a new account opens");
    deliver(&account).await;
    context
}

async fn deliver(account: &Rc<store::Account>) {
    let mut transaction = account.begin();
    for (text, flags) in [
        ("Subject: one\r\nFrom: a@b.example\r\n\r\nHello\r\n", Flags::NONE),
        (
            "Subject: two\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x--\r\n",
            Flags::NONE,
        ),
        ("no header\r\n", Flags::NONE),
    ] {
        let mut message = account.incoming();
        message.write(text.as_bytes()).expect("there is room");
        transaction.deliver(INBOX, message, flags, &[], 0);
    }
    transaction.commit().await.expect("a simulated flash takes it");
}

/// A client's end, which never waits for the server.
struct Client {
    socket: Async<TcpStream>,
    /// What the server said since the last question.
    said: Vec<u8>,
    is_closed: bool,
    /// It does not answer: most likely it waits for the rest of a literal.
    is_stuck: bool,
}

impl Client {
    /// Somebody who has selected the INBOX.
    async fn inbox(context: &Rc<Context>, executor: &Rc<LocalExecutor<'static>>) -> Client {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).expect("loopback has ports");
        let address = listener.get_ref().local_addr().expect("it is bound");
        let connecting = Async::<TcpStream>::connect(address);
        let (socket, server) = smol::future::zip(connecting, listener.accept()).await;
        let server = Stream::new(server.expect("somebody comes").0).expect("it is connected");
        let (peer, config) = (server.peer().ip(), context.config());
        let place = context.places.open("imap", Some(Service::Imap), peer, &config).expect("there is room");
        executor.spawn(serve(server, false, place, context.clone())).detach();
        let mut client = Client {
            socket: socket.expect("it listens"),
            said: Vec::new(),
            is_closed: false,
            is_stuck: false,
        };
        client.ask("i1 LOGIN a secret").await;
        client.ask("i2 SELECT INBOX").await;
        client
    }

    fn say(&mut self, octets: &[u8]) {
        // What the kernel does not take at once is lost, as if the client had not said it.
        let _ = self.socket.get_ref().write(octets);
    }

    /// Takes in what the server has said; whether there was anything.
    fn hear(&mut self) -> bool {
        let (before, mut buffer) = (self.said.len(), [0; 16384]);
        loop {
            match self.socket.get_ref().read(&mut buffer) {
                Ok(n @ 1..) => self.said.extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Ok(0) | Err(_) => {
                    self.is_closed = true;
                    break;
                }
            }
            assert!(self.said.len() < MAX_SAID, "it says more than there is to say");
        }
        self.said.len() > before
    }

    /// What the server says to a command, once it is done; `None` where it is refused, or the session is over, or does not
    /// come to it.
    async fn ask(&mut self, command: &str) -> Option<String> {
        self.say(format!("{command}\r\n").as_bytes());
        let tag = command.split(' ').next().unwrap_or_default();
        let mut quiet = 0;
        while quiet < PATIENCE && !self.is_closed && !self.is_stuck {
            Timer::after(Duration::from_micros(200)).await;
            quiet = if self.hear() { 0 } else { quiet + 1 };
            let said = String::from_utf8_lossy(&self.said);
            let mut lines = said.lines();
            if let Some(end) = lines.find(|line| line.strip_prefix(tag).is_some_and(|it| it.starts_with(' ')))
            {
                let is_granted = end.get(tag.len()..).is_some_and(|it| it.starts_with(" OK"));
                let said = said.into_owned();
                self.said.clear();
                return is_granted.then_some(said);
            }
        }
        self.is_stuck = !self.is_closed;
        None
    }

    /// The messages that it sees with their flags, but for `\Recent`, which is one session's own.
    async fn view(&mut self) -> Option<BTreeSet<String>> {
        let said = self.ask("zq3 UID FETCH 1:* (UID FLAGS)").await?;
        let fetched = said.lines().filter(|line| line.starts_with("* ") && line.contains(" FETCH ("));
        let flags = |line: &str| {
            let mut words: Vec<&str> =
                line.split([' ', '(', ')']).filter(|word| !["", "\\Recent"].contains(word)).collect();
            words.sort_unstable();
            words.join(" ")
        };
        Some(fetched.map(flags).collect())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.socket.get_ref().shutdown(Shutdown::Both);
    }
}
