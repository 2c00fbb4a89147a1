//! Two IMAP sessions with one account behind them. Each line goes to one of them: to the second where it begins with an
//! octet above 127, which is taken off. Whatever they say, both see the same messages with the same flags at the end, and so does
//! who comes anew.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_io::{Async, Timer};
use rustls::ServerConfig;
use smol::LocalExecutor;

use super::wait;
use crate::auth::Verifier;
use crate::config::{Account, Config, Text};
use crate::context::Context;
use crate::flash::sim::SimFlash;
use crate::imap::server::serve;
use crate::message::summarize;
use crate::net::stream::Stream;
use crate::net::tls;
use crate::store::{self, Flags, INBOX, Store};

/// What an answer may have: more than all that so small a mailbox has to tell, for each line.
const MAX_SAID: usize = 16 << 20;

thread_local! {
    static TLS: Arc<ServerConfig> = {
        let tls = wait(tls::server_config(&Config::default(), &SimFlash::default()));
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
            client.silence().await;
        }
        let [one, other] = &mut sessions[..] else { return };
        // The second one's changes are news to the first one: both are asked twice.
        for _ in 0..2 {
            one.ask("n1 NOOP").await;
            other.ask("n1 NOOP").await;
        }
        let mut fresh = Client::inbox(&context, &executor).await;
        if let Some(truth) = fresh.view().await {
            for (client, moved) in [one, other].into_iter().zip(moved) {
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
    let store = Store::new(Rc::new(SimFlash::default()), summarize);
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
}

impl Client {
    /// Somebody who has selected the INBOX.
    async fn inbox(context: &Rc<Context>, executor: &Rc<LocalExecutor<'static>>) -> Client {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).expect("loopback has ports");
        let address = listener.get_ref().local_addr().expect("it is bound");
        let connecting = Async::<TcpStream>::connect(address);
        let (socket, server) = smol::future::zip(connecting, listener.accept()).await;
        let server = Stream::new(server.expect("somebody comes").0).expect("it is connected");
        executor.spawn(serve(server, false, context.clone())).detach();
        let mut client = Client { socket: socket.expect("it listens"), said: Vec::new() };
        client.ask("i1 LOGIN a secret").await;
        client.ask("i2 SELECT INBOX").await;
        client
    }

    fn say(&mut self, octets: &[u8]) {
        // What the kernel does not take at once is lost, as if the client had not said it.
        let _ = self.socket.get_ref().write(octets);
    }

    /// Waits until the server has said all that it wants to.
    async fn silence(&mut self) {
        let (mut quiet, mut buffer) = (0, [0; 16384]);
        while quiet < 4 {
            Timer::after(Duration::from_micros(150)).await;
            quiet += 1;
            while let Ok(n @ 1..) = self.socket.get_ref().read(&mut buffer) {
                self.said.extend_from_slice(buffer.get(..n).unwrap_or_default());
                assert!(self.said.len() < MAX_SAID, "it says more than there is to say");
                quiet = 0;
            }
        }
    }

    /// What the server says to a command, once its tag comes; `None` where it does not within a moment, or not well.
    async fn ask(&mut self, command: &str) -> Option<String> {
        self.said.clear();
        self.say(format!("{command}\r\n").as_bytes());
        let end = format!("{} OK", command.split(' ').next().unwrap_or_default());
        for _ in 0..20 {
            self.silence().await;
            let said = String::from_utf8_lossy(&self.said);
            if said.lines().any(|line| line.starts_with(&end)) {
                return Some(said.into_owned());
            }
            if !said.is_empty() {
                return None;
            }
        }
        None
    }

    /// The messages that it sees with their flags, but for `\Recent`, which is one session's own.
    async fn view(&mut self) -> Option<BTreeSet<String>> {
        let said = self.ask("v1 UID FETCH 1:* (UID FLAGS)").await?;
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
