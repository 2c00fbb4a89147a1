//! Tests of the relay as a whole: a relay on the simulated flash, and a smarthost on loopback that does as it is told
//! and remembers what it got.

mod breaking_off;
mod conversation;
mod handing_over;
mod letters;
mod limits;
mod lines;
mod local;
mod outgoing;
mod permission;
mod power;
mod probe;
mod reports;
mod smarthost;

use std::rc::Rc;
use std::time::{Duration, Instant};

use async_io::Timer;
use smol::{LocalExecutor, Task};

use super::Relay;
use crate::certificate;
use crate::config::{Account, Config, Secret, Security, Text};
use crate::context::Context;
use crate::flash::ReadAt;
use crate::flash::refusing::Refusing;
use crate::flash::sim::SimFlash;
use crate::oauth2::Tokens;
use crate::smtp::{self, Envelope, Mailbox, Post, Reply};
use crate::store::{INBOX, Store};
use smarthost::Smarthost;

/// A limit that no wait in these tests reaches.
const PATIENCE: Duration = Duration::from_secs(20);

const MESSAGE: &str = "Message-ID: <1@home.example>\r\nSubject: hello\r\n\r\n.dots\r\n..and dots\r\nbye\r\n";

/// An appliance with the accounts `demo` (which is `info` as well), `anna` and `fred`.
struct World {
    context: Rc<Context>,
    flash: SimFlash,
    /// The flash that the store writes to; it passes on to `flash`.
    card: Rc<Refusing>,
    relay: Rc<Relay>,
    smarthost: Rc<Smarthost>,
    executor: Rc<LocalExecutor<'static>>,
}

/// Runs a test in a world of its own.
fn story<F: Future<Output = ()>>(tell: impl FnOnce(Rc<World>) -> F) {
    let executor = Rc::new(LocalExecutor::new());
    async_io::block_on(executor.clone().run(async {
        let smarthost = Smarthost::listen(&executor);
        let flash = SimFlash::default();
        let mut config = config();
        config.smarthost.host = text("127.0.0.1");
        config.smarthost.port = smarthost.port;
        let server = certificate::server_config(&config, &flash).await.unwrap();
        let card = Rc::new(Refusing::new(flash.clone(), None));
        let store = Store::new(card.clone());
        let context = Rc::new(Context::new(config, server, store));
        let queue = context.store.queue().await.unwrap();
        let relay = Relay::new(context.clone(), queue, Tokens::new(context.clone()));
        tell(Rc::new(World { context, flash, card, relay, smarthost, executor: executor.clone() })).await;
    }));
}

fn text<const N: usize>(text: &str) -> Text<N> {
    Text::try_from(text).unwrap()
}

fn config() -> Config {
    let account = |(name, id): (&str, u64)| Account {
        id,
        name: text(name),
        address: text(&format!("{name}@home.example")),
        ..Account::default()
    };
    let mut config = Config::default();
    config.server.domains = vec![text("home.example")];
    config.smarthost.security = Security::None;
    config.server.lan_smtp_relay = true;
    config.server.lan_smtp_sender = text("devices@home.example");
    config.accounts = ["demo", "anna", "fred"].into_iter().zip(1..).map(account).collect();
    config.accounts[0].aliases.push(text("info@home.example"));
    config
}

fn mailbox(address: &str) -> Mailbox {
    Mailbox::parse(address).unwrap()
}

fn envelope(from: &str, to: &str) -> Envelope {
    Envelope {
        sender: Mailbox::parse(from).ok(),
        account: None,
        recipients: to.split(' ').map(|to| mailbox(to).into()).collect(),
        eight_bit: false,
        utf8: false,
        dsn: smtp::dsn::Request::default(),
    }
}

impl World {
    /// Runs the relay. It ends with the returned task.
    fn run(&self) -> Task<()> {
        let relay = self.relay.clone();
        self.executor.spawn(async move { relay.run().await })
    }

    /// Changes the settings in force.
    fn reconfigure(&self, change: impl FnOnce(&mut Config)) {
        let mut config = (*self.context.config()).clone();
        change(&mut config);
        self.context.reconfigure(config, self.context.tls());
    }

    /// Submits a message of `account` and returns the server's answer. `from` and `to` are addresses; `to` may hold
    /// several, with spaces between them.
    async fn post_as(&self, account: Option<&str>, from: &str, to: &str) -> Result<(), Reply> {
        self.post_text_as(account, from, to, MESSAGE).await
    }

    async fn post_text_as(
        &self,
        account: Option<&str>,
        from: &str,
        to: &str,
        text: &str,
    ) -> Result<(), Reply> {
        let account = account.and_then(|name| self.context.config().account(name).map(|account| account.id));
        let recipients: Vec<Mailbox> = to.split(' ').map(mailbox).collect();
        for recipient in &recipients {
            self.relay.recipient(account, recipient, text.len() as u64).await?;
        }
        let envelope = Envelope { account, ..envelope(from, to) };
        let mut content = self.relay.incoming(&envelope, text.len() as u64).await?;
        content.message.write(text.as_bytes()).unwrap();
        self.relay.accept(envelope, content).await
    }

    /// Submits a message of the account `demo`.
    async fn post(&self, to: &str) -> Result<(), Reply> {
        self.post_as(Some("demo"), "demo@home.example", to).await
    }

    /// All messages in the INBOX of an account.
    async fn inbox(&self, account: &str) -> Vec<String> {
        let account = self.context.store.account(account).await.unwrap();
        let messages = account.view(INBOX, |inbox| inbox.messages.clone()).unwrap();
        let read = |message| {
            let body = account.body(message).unwrap();
            let mut octets = vec![0; body.len().unwrap() as usize];
            body.read_exact_at(0, &mut octets).unwrap();
            String::from_utf8(octets).unwrap()
        };
        messages.iter().map(read).collect()
    }

    /// The queued messages, one line for each.
    fn queue(&self) -> Vec<String> {
        let line = |entry: super::QueueEntry| {
            format!(
                "{} attempts {} {}",
                entry.to.join(" "),
                entry.attempts,
                entry.last_error.unwrap_or_default()
            )
        };
        self.relay.entries().into_iter().map(line).collect()
    }

    /// Waits until something has happened.
    async fn until(&self, what: &str, come_about: impl AsyncFn() -> bool) {
        let start = Instant::now();
        while !come_about().await {
            assert!(start.elapsed() < PATIENCE, "never: {what}; queued: {:?}", self.queue());
            Timer::after(Duration::from_millis(2)).await;
        }
    }

    async fn until_queue_is_empty(&self) {
        self.until("the queue is empty", async || self.queue().is_empty()).await;
    }

    async fn until_queue_is(&self, expected: &str) {
        self.until(expected, async || self.queue() == [expected]).await;
    }
}

/// Gives an account a login of its own at the smarthost.
fn own_login(config: &mut Config, account: usize, username: &str, password: &str) {
    config.smarthost.per_account_authentication = true;
    config.accounts[account].smarthost_username = text(username);
    config.accounts[account].smarthost_password = Secret::new(password).unwrap();
}

/// Sets the global login.
fn global_login(config: &mut Config, username: &str, password: &str) {
    config.smarthost.username = text(username);
    config.smarthost.password = Secret::new(password).unwrap();
}
