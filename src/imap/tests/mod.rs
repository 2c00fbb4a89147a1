//! Dialogs with the server over loopback, on the simulated flash, written as transcripts.

mod cases;
mod deadlines;
mod extracts;
mod fetch;
mod idle;
mod input;
mod limits;
mod list;
mod login;
mod mailboxes;
mod messages;
mod metadata;
mod modseqs;
mod notify;
mod progress;
mod read_only;
mod search;
mod second_opinion;
mod two_clients;
mod watchers;

use std::cell::RefCell;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use async_io::Async;
use smol::LocalExecutor;

use super::server::serve;
use crate::certificate;
use crate::config::{Account, Config, Service, Text};
use crate::context::{Context, Place};
use crate::credential::Verifier;
use crate::flash::refusing::Refusing;
use crate::flash::sim::SimFlash;
use crate::flash::{Flash, Mode};
use crate::net::line::{LineEnd, read_line};
use crate::net::stream::Stream;
use crate::net::{deadline, tls};
use crate::store::{self, Flags, Store};

/// Nothing in these tests takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// An appliance with the accounts `fred` and `anna`, whose password is `secret`.
struct World {
    context: Rc<Context>,
    flash: SimFlash,
    /// The flash through which the store writes to `flash`.
    card: Rc<Refusing>,
    executor: Rc<LocalExecutor<'static>>,
}

/// Runs a test with a world. Its deadlines pass only when the test lets time pass.
fn story<F: Future<Output = ()>>(tell: impl FnOnce(Rc<World>) -> F) {
    let executor = Rc::new(LocalExecutor::new());
    async_io::block_on(executor.clone().run(async {
        let flash = SimFlash::default();
        let config = config();
        let server = certificate::server_config(&config, &flash).await.unwrap();
        let card = Rc::new(Refusing::new(flash.clone(), None));
        let store = Store::new(card.clone());
        let context = Rc::new(Context::new(config, server, store));
        tell(Rc::new(World { context, flash, card, executor })).await;
    }));
}

fn config() -> Config {
    let account = |name: &str| Account {
        name: Text::try_from(name).unwrap(),
        address: Text::try_from(format!("{name}@home.example").as_str()).unwrap(),
        verifier: Verifier::with("secret", 1, [7; 16]),
        ..Account::default()
    };
    Config { accounts: vec![account("fred"), account("anna")], ..Config::default() }
}

impl World {
    /// Changes the settings and puts them in force.
    fn reconfigure(&self, change: impl FnOnce(&mut Config)) {
        let mut config = (*self.context.config()).clone();
        change(&mut config);
        self.context.reconfigure(config, self.context.tls());
    }

    async fn fred(&self) -> Rc<store::Account> {
        self.context.store.account("fred").await.unwrap()
    }

    /// Delivers messages to fred's INBOX.
    async fn deliver(&self, messages: &[&str]) {
        let fred = self.fred().await;
        let mut transaction = fred.begin();
        for text in messages {
            let mut message = fred.incoming();
            message.write(text.as_bytes()).unwrap();
            transaction.deliver(store::INBOX, message, Flags::NONE, &[], 0);
        }
        transaction.commit().await.unwrap();
    }

    fn place(&self) -> Place {
        let peer = [127, 0, 0, 1].into();
        self.context.places.open("imap", Some(Service::Imap), peer, &self.context.config()).unwrap()
    }

    /// A new connection from which nothing was read yet.
    async fn connect(&self) -> Client {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        let address = listener.get_ref().local_addr().unwrap();
        let (client, server) = smol::future::zip(Stream::connect(address), listener.accept()).await;
        let server = Stream::new(server.unwrap().0).unwrap();
        let place = self.place();
        self.executor.spawn(serve(server, false, place, self.context.clone())).detach();
        Client { stream: client.unwrap(), transcript: RefCell::default() }
    }

    /// A connection on which fred is logged in.
    async fn login(&self) -> Client {
        let mut client = self.connect().await;
        client.play("S: * OK *\nC: l LOGIN fred secret\nS: l OK *").await;
        client
    }

    /// A connection on which fred has selected the INBOX.
    async fn inbox(&self) -> Client {
        let mut client = self.login().await;
        client.send("s SELECT INBOX\r\n").await;
        client.until("s OK").await;
        client
    }
}

/// The client's end of a connection.
struct Client {
    stream: Stream,
    /// What both sides have sent, for the message of a test that fails.
    transcript: RefCell<String>,
}

impl Client {
    async fn send(&mut self, text: &str) {
        self.transcript.borrow_mut().push_str(&format!("C: {text}"));
        self.stream.queue(text.as_bytes());
        deadline(PATIENCE, self.stream.flush()).await.unwrap();
    }

    /// Does the TLS handshake, with trust in the appliance's own CA.
    async fn start_tls(&mut self, world: &World) {
        let file = world.flash.open("tls/ca.pem", Mode::Read).unwrap();
        let mut pem = vec![0; file.len().unwrap().try_into().unwrap()];
        file.read_exact_at(0, &mut pem).unwrap();
        let path = std::env::temp_dir().join(format!("pillarbox-imap-test-{}.pem", std::process::id()));
        std::fs::write(&path, pem).unwrap();
        let trust = tls::client_config(path.to_str().unwrap());
        std::fs::remove_file(&path).unwrap();
        self.stream.connect_tls(trust.unwrap(), "pillarbox.local").await.unwrap();
    }

    /// The next line; `None` when the server has closed the connection.
    async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let end = deadline(PATIENCE, read_line(&mut self.stream, &mut line, 100_000)).await;
        let end = end.unwrap_or_else(|error| panic!("{error} after\n{}", self.transcript.borrow()));
        let line = String::from_utf8_lossy(&line).into_owned();
        self.transcript.borrow_mut().push_str(&format!("S: {line}\n"));
        (end == LineEnd::Complete).then_some(line)
    }

    /// All lines up to the first that begins with `start`.
    async fn until(&mut self, start: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line =
                self.line().await.unwrap_or_else(|| panic!("closed after\n{}", self.transcript.borrow()));
            let last = line.starts_with(start);
            lines.push(line);
            if last {
                return lines;
            }
        }
    }

    /// Plays a transcript: lines that the client sends (`C: `) and lines that the server must send (`S: `), where `*`
    /// at the end stands for anything; `S:` alone is the end of the connection.
    async fn play(&mut self, transcript: &str) {
        for line in transcript.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
            if let Some(said) = line.strip_prefix("C:") {
                self.send(&format!("{}\r\n", said.trim_start())).await;
                continue;
            }
            let expected = line.strip_prefix("S:").unwrap_or_else(|| panic!("{line}")).strip_prefix(' ');
            let heard = self.line().await;
            let fits = match (expected, &heard) {
                (None, heard) => heard.is_none(),
                (Some(expected), Some(heard)) => match expected.strip_suffix('*') {
                    Some(start) => heard.starts_with(start),
                    None => heard == expected,
                },
                (Some(_), None) => false,
            };
            assert!(fits, "expected {line:?}, heard {heard:?} in\n{}", self.transcript.borrow());
        }
    }
}
