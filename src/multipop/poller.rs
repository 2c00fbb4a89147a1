//! Polls all sources: a task for each, so many of them at once, and none disturbs another.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use smol::LocalExecutor;

use super::Error;
use super::budget::Budget;
use super::collection::Outcome;
use super::driver;
#[cfg(any(test, fuzzing))]
use super::errand::Experience;
use super::errand::{Errand, Waits};
use super::places::{CONNECTIONS, Place, Places, TRANSFERS};
use super::status::SourceStatus;
use super::watch::Watch;
use super::wire::{Wire, Withdrawal};
#[cfg(any(test, fuzzing))]
use crate::clock::Time;
use crate::clock::unix_now;
#[cfg(any(test, fuzzing))]
use crate::config::Protocol;
use crate::config::{Config, Security, Source};
use crate::context::Context;
use crate::oauth2::Tokens;
use crate::pace;
use crate::sasl::client::AccessToken;
use crate::store::{self, Flags, INBOX};

/// Polls all sources, each at its own interval.
pub struct Poller {
    context: Rc<Context>,
    pub(super) tokens: Rc<Tokens>,
    connections: Places,
    transfers: Places,
    /// By account and identity of the source. One that is removed stays until its last poll has ended, so that there are
    /// never two polls of one source: the second would not see what the first is about to commit.
    watches: RefCell<BTreeMap<(String, u64), Rc<Watch>>>,
}

impl Poller {
    /// Contacts nobody yet.
    pub fn new(context: Rc<Context>, tokens: Rc<Tokens>) -> Rc<Poller> {
        let connections = Places::new(&context.time, CONNECTIONS);
        let transfers = Places::new(&context.time, TRANSFERS);
        Rc::new(Poller { context, tokens, connections, transfers, watches: RefCell::default() })
    }

    /// Polls until dropped; new settings take effect at once.
    pub async fn run(&self) {
        let tasks = LocalExecutor::new();
        pace::run(&tasks, async {
            loop {
                let changed = self.context.changed();
                for watch in self.arrange(&self.context.config()) {
                    tasks.spawn(self.keep(watch)).detach();
                }
                changed.await;
            }
        })
        .await
    }

    /// Polls the sources of `account`, or all of them, without waiting for their time. Returns how many
    /// will be.
    pub fn collect_now(&self, account: Option<&str>) -> usize {
        let watches = self.watches.borrow();
        watches
            .values()
            .filter(|watch| account.is_none_or(|account| watch.account == account))
            .filter(|watch| watch.hurry())
            .count()
    }

    /// Every source, in the order of the configuration.
    pub fn status(&self) -> Vec<SourceStatus> {
        let (config, watches) = (self.context.config(), self.watches.borrow());
        sources(&config)
            .map(|(account, source)| match watches.get(&(account.to_owned(), source.id)) {
                Some(watch) => watch.status(),
                None => SourceStatus::unknown(account, source),
            })
            .collect()
    }

    /// Puts `config` in force: returns the sources that are new and need a task.
    fn arrange(&self, config: &Config) -> Vec<Rc<Watch>> {
        let mut watches = self.watches.borrow_mut();
        let mut new = Vec::new();
        let mut wanted = BTreeSet::new();
        for (account, source) in sources(config) {
            let key = (account.to_owned(), source.id);
            if !wanted.insert(key.clone()) {
                log::warn!("{account}: {} is a source twice, the second one is not polled", source.host);
                continue;
            }
            let watch = watches.entry(key).or_insert_with(|| {
                let watch = Rc::new(Watch::new(account, source, &self.context.time));
                new.push(watch.clone());
                watch
            });
            watch.arrange(config, source);
        }
        watches.iter().filter(|(key, _)| !wanted.contains(key)).for_each(|(_, watch)| watch.remove());
        new
    }

    /// Polls one source until it is removed.
    async fn keep(&self, watch: Rc<Watch>) {
        loop {
            watch.due_or_removed().await;
            if watch.is_removed() {
                let key = (watch.account.clone(), watch.source().id);
                self.watches.borrow_mut().remove(&key);
                return;
            }
            let source = watch.source();
            let judges = source.security != Security::None || source.oauth2.is_some();
            if !self.context.clock.is_known() && judges {
                watch.wait_for(self.context.clock.comes()).await;
                continue;
            }
            let mut connection = self.connections.place();
            connection.hold().await;
            if watch.is_due() {
                Box::pin(self.poll(&watch, connection)).await;
            }
        }
    }

    async fn poll(&self, watch: &Watch, connection: Place<'_>) {
        let source = watch.source();
        let withdrawal = watch.begin();
        let mut outcome = Outcome::default();
        let connection = RefCell::new(connection);
        let waits = |outcome| -> Waits<'_> {
            // Who waits for news does not keep others waiting.
            connection.borrow_mut().give_back();
            let letter = self.note(watch, &source, Ok(()), outcome);
            watch.waits();
            Box::pin(self.tell(watch, letter))
        };
        let result = self.collect(watch, &source, withdrawal, &waits, &mut outcome).await;
        drop(connection.into_inner());
        let letter = self.note(watch, &source, result, outcome);
        watch.end();
        self.tell(watch, letter).await;
    }

    /// A round is over: it goes into the log. Returns the letter that the user is to get.
    fn note(
        &self,
        watch: &Watch,
        source: &Source,
        result: Result<(), Error>,
        outcome: Outcome,
    ) -> Option<String> {
        let name = format!("{}: {} at {}", watch.account, source.username, source.host);
        if outcome.collected > 0 || outcome.deleted > 0 {
            log::info!("{name}: {} collected, {} deleted there", outcome.collected, outcome.deleted);
        }
        if outcome.again > 0 {
            log::warn!(
                "{name}: {} messages came before under other identities: they stay there",
                outcome.again
            );
        }
        match (&result, &outcome.problem) {
            (Err(Error::Withdrawn), _) | (Ok(()), None) => {}
            (Err(error), _) | (Ok(()), Some(error)) => log::warn!("{name}: {error}"),
        }
        let [jitter] = crate::credential::random();
        watch.note(result, outcome, &self.context.config(), jitter)
    }

    async fn tell(&self, watch: &Watch, letter: Option<String>) {
        let Some(letter) = letter else { return };
        if let Err(error) = self.deliver(&watch.account, &letter).await {
            log::warn!("{}: the user cannot be told: {error}", watch.account);
        }
    }

    /// The poll itself.
    pub(super) async fn collect_with<'w>(
        &self,
        watch: &Watch,
        source: &Source,
        token: Option<AccessToken>,
        withdrawal: Rc<Withdrawal>,
        waits: &dyn Fn(Outcome) -> Waits<'w>,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        // Nothing could be kept: it stays where it is.
        if self.context.store.read_only().is_some() {
            return Err(store::Error::ReadOnly.into());
        }
        let config = self.context.config();
        let timeout = Duration::from_secs(config.multipop.timeout.max(1).into());
        let time = &self.context.time;
        let mut wire =
            Wire::connect(source, timeout, withdrawal, Budget::usual(time)).await?.with_token(token);
        let account = self.context.store.account(&watch.account).await?;
        let errand = Errand {
            account,
            source,
            config: &config,
            experience: &watch.experience,
            places: &self.transfers,
            time,
            waits,
        };
        driver::collect(&mut wire, &errand, outcome).await
    }

    async fn deliver(&self, account: &str, letter: &str) -> Result<(), store::Error> {
        let account = self.context.store.account(account).await?;
        let mut message = account.incoming();
        message.write(letter.as_bytes())?;
        let mut transaction = account.begin();
        transaction.deliver(INBOX, message, Flags::NONE, &[], unix_now());
        transaction.commit().await.map(drop)
    }
}

/// One poll of a server at `address`, into the INBOX of `account`.
#[cfg(any(test, fuzzing))]
pub(crate) async fn poll(
    protocol: Protocol,
    address: std::net::SocketAddr,
    account: Rc<store::Account>,
) -> Result<(), Error> {
    let source = Source {
        host: "127.0.0.1".try_into().unwrap_or_default(),
        port: address.port(),
        protocol,
        security: Security::None,
        username: "ann".try_into().unwrap_or_default(),
        leave_on_server: true,
        ..Source::default()
    };
    let time = Time::default();
    let budget = Budget::usual(&time);
    let mut wire = Wire::connect(&source, Duration::from_secs(60), Rc::default(), budget).await?;
    driver::collect_once(&mut wire, &source, account, &Config::default(), &Experience::default(), &time)
        .await
        .0
}

/// All sources with the names of their accounts.
fn sources(config: &Config) -> impl Iterator<Item = (&str, &Source)> {
    config.accounts.iter().flat_map(|a| a.sources.iter().map(|source| (a.name.as_str(), source)))
}

#[cfg(test)]
mod tests;
