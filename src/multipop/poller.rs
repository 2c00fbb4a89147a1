//! Polls all sources: each has a task of its own, a limited number of them work at once, and none disturbs another.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::LocalExecutor;

use super::Error;
use super::budget::Budget;
use super::collection::Outcome;
use super::driver;
use super::ending::Ending;
#[cfg(any(test, fuzzing))]
use super::errand::Experience;
use super::errand::{Errand, Waits};
use super::ledger::source_key;
use super::letters::Told;
use super::notice;
use super::places::{CONNECTIONS, Place, Places, TRANSFERS};
use super::probe;
use super::status::SourceStatus;
use super::twins::Twins;
use super::watch::{Tell, Watch};
use super::wire::{Wire, Withdrawal};
#[cfg(any(test, fuzzing))]
use crate::clock::Time;
#[cfg(any(test, fuzzing))]
use crate::config::Protocol;
use crate::config::{Config, Security, Source};
use crate::context::Context;
use crate::oauth2::Tokens;
use crate::pace;
use crate::sasl::client::AccessToken;
use crate::store::{self, Flags, INBOX, SourceKey};

/// The pause between two looks at whether all polls have ended, when the appliance stops.
const LOOK: Duration = Duration::from_millis(20);
/// The pause between two looks at whether another task's poll of the same source has ended.
const ENDING: Duration = Duration::from_millis(100);

/// Polls all sources, each at its own interval.
pub struct Poller {
    context: Rc<Context>,
    pub(super) tokens: Rc<Tokens>,
    connections: Places,
    transfers: Places,
    twins: Twins,
    /// The watches by account and identity of the source. A removed source stays until its last poll has ended, so
    /// that there are never two polls of one source: the second would not see what the first is about to commit.
    watches: RefCell<BTreeMap<(String, u64), Rc<Watch>>>,
    /// Those of them that wait for a task of their own.
    new: RefCell<Vec<Rc<Watch>>>,
    /// Whether [`Poller::run`] has begun: with `--failsafe` it never does.
    runs: Cell<bool>,
}

impl Poller {
    /// A poller that contacts no server before [`Poller::run`].
    pub fn new(context: Rc<Context>, tokens: Rc<Tokens>) -> Rc<Poller> {
        let connections = Places::new(&context.time, CONNECTIONS);
        let transfers = Places::new(&context.time, TRANSFERS);
        Rc::new(Poller {
            context,
            tokens,
            connections,
            transfers,
            twins: Twins::default(),
            watches: RefCell::default(),
            new: RefCell::default(),
            runs: Cell::new(false),
        })
    }

    /// Polls until dropped; new settings take effect at once.
    pub async fn run(&self) {
        self.runs.set(true);
        let tasks = LocalExecutor::new();
        pace::run(&tasks, async {
            loop {
                let changed = self.context.changed();
                self.arrange();
                for watch in self.new.take() {
                    tasks.spawn(self.keep(watch)).detach();
                }
                changed.await;
            }
        })
        .await
    }

    /// Polls the sources of `account`, or all sources, without waiting for their interval. Returns how many sources
    /// will be polled.
    pub fn collect_now(&self, account: Option<&str>) -> usize {
        self.arrange();
        let watches = self.watches.borrow();
        watches
            .values()
            .filter(|watch| account.is_none_or(|account| watch.account == account))
            .filter(|watch| watch.hurry())
            .count()
    }

    /// Whether `source` of `account` is being polled now.
    pub fn is_polling(&self, account: &str, source: &Source) -> bool {
        let key = (account.to_owned(), source.id);
        self.watches.borrow().get(&key).is_some_and(|watch| watch.status().polling)
    }

    /// Tries out `source`, which need not be in force, for `account`: see `probe::probe`.
    ///
    /// # Errors
    /// The step that failed: what went wrong, and what to do.
    pub async fn test(&self, account: &str, source: &Source, tell: &dyn Fn(String)) -> Result<(), String> {
        if self.is_polling(account, source) {
            tell("it is being polled this moment, and some servers let nobody else in: `collect stop` ends that".to_owned());
        }
        let permission = Box::pin(self.permission(source));
        probe::probe(&self.context, account, source, permission, tell).await
    }

    /// Ends the polls of `account`, or all polls, and begins no other before [`Poller::collect_now`]. Returns how
    /// many sources were stopped.
    pub fn stop(&self, account: Option<&str>) -> usize {
        self.arrange();
        let watches = self.watches.borrow();
        let meant = watches.values().filter(|watch| account.is_none_or(|account| watch.account == account));
        meant.filter(|watch| watch.hold()).count()
    }

    /// Waits until no source is being polled.
    pub async fn rested(&self) {
        while self.watches.borrow().values().any(|watch| watch.status().polling) {
            self.context.time.sleep(LOOK).await;
        }
    }

    /// The status of every source, in the order of the configuration.
    pub fn status(&self) -> Vec<SourceStatus> {
        let (config, watches) = (self.context.config(), self.watches.borrow());
        sources(&config)
            .map(|(account, source)| match watches.get(&(account.to_owned(), source.id)) {
                Some(watch) => watch.status(),
                None => SourceStatus::unknown(account, source),
            })
            .collect()
    }

    /// Puts the settings in force, where sources are polled. Whoever asks for a poll right after a commit need not wait for [`Poller::run`], which
    /// hears of it in its own turn.
    fn arrange(&self) {
        if !self.runs.get() {
            return;
        }
        let config = self.context.config();
        let mut watches = self.watches.borrow_mut();
        let mut wanted = BTreeSet::new();
        for (account, source) in sources(&config) {
            let key = (account.to_owned(), source.id);
            if !wanted.insert(key.clone()) {
                log::warn!("{account}: {} is a source twice, the second one is not polled", source.host);
                continue;
            }
            let watch = watches.entry(key).or_insert_with(|| {
                let watch = Rc::new(Watch::new(account, source, &self.context.time));
                self.new.borrow_mut().push(watch.clone());
                watch
            });
            watch.arrange(&config, source);
        }
        watches.iter().filter(|(key, _)| !wanted.contains(key)).for_each(|(_, watch)| watch.remove());
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
            // Its account was renamed, and its last poll under the old name has not ended yet.
            while self.is_polled_by_another(&watch) {
                self.context.time.sleep(ENDING).await;
            }
            if watch.is_due() {
                Box::pin(self.poll(&watch, connection)).await;
            }
        }
    }

    /// Whether another task still has the same source.
    fn is_polled_by_another(&self, watch: &Watch) -> bool {
        let id = watch.source().id;
        let watches = self.watches.borrow();
        watches
            .iter()
            .any(|((account, other), it)| *other == id && *account != watch.account && it.is_removed())
    }

    async fn poll(&self, watch: &Watch, connection: Place<'_>) {
        let source = watch.source();
        let (withdrawal, began) = (watch.begin(), self.context.time.now());
        let mut outcome = Outcome::default();
        let connection = RefCell::new(connection);
        let waits = |outcome| -> Waits<'_> {
            // A poll that waits for news gives its connection's place to others.
            connection.borrow_mut().give_back();
            watch.waits();
            let source = source.clone();
            Box::pin(async move {
                self.note(watch, &source, began, Ok(()), outcome).await;
                watch.progress.begin();
            })
        };
        let result = self.collect(watch, &source, withdrawal, &waits, &mut outcome).await;
        drop(connection.into_inner());
        self.note(watch, &source, began, result, outcome).await;
        watch.end();
    }

    /// Puts what a poll did into the log and the status, and tells the user what went wrong.
    async fn note(
        &self,
        watch: &Watch,
        source: &Source,
        began: Instant,
        result: Result<(), Error>,
        mut outcome: Outcome,
    ) {
        let ending = Ending::of(result, &mut outcome);
        let name = format!("{}: {} at {}", watch.account, source.username, source.host);
        let (octets, time) = (watch.progress.octets(), self.context.time.since(began));
        let (level, line) = report(&name, &ending, &outcome, octets, time);
        log::log!(level, "{line}");
        if matches!(ending, Ending::Well) {
            self.context.has_got_through();
        }
        let [jitter] = crate::credential::random();
        // If the account cannot be opened, its user cannot be told.
        let account = self.context.store.account(&watch.account).await.ok();
        let key = source_key(source, "INBOX");
        let told = account.as_ref().and_then(|account| Told::read(account, key));
        let tell = watch.note(&ending, &outcome, &self.context.config(), jitter, told);
        if let Some(account) = account
            && let Err(error) = tell_user(&account, key, tell).await
        {
            log::warn!("{name}: the user cannot be told: {error}");
        }
    }

    /// Connects, logs in and collects.
    pub(super) async fn collect_with<'w>(
        &self,
        watch: &Watch,
        source: &Source,
        token: Option<AccessToken>,
        withdrawal: Rc<Withdrawal>,
        waits: &dyn Fn(Outcome) -> Waits<'w>,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        // Nothing could be kept: the mail stays at the server.
        if self.context.store.read_only().is_some() {
            return Err(store::Error::ReadOnly.into());
        }
        let config = self.context.config();
        let timeout = Duration::from_secs(config.multipop.timeout.max(1).into());
        let time = &self.context.time;
        let wire = Wire::connect(source, timeout, withdrawal, Budget::usual(time)).await?;
        let mut wire = wire.with_token(token).knowing(config.token());
        let account = self.context.store.account(&watch.account).await?;
        let errand = Errand {
            account,
            source,
            config: &config,
            experience: &watch.experience,
            places: &self.transfers,
            time,
            waits,
            twins: &self.twins,
            progress: watch.progress.clone(),
        };
        driver::collect(&mut wire, &errand, outcome).await
    }
}

/// The log line for a poll of the source `name`: what it did, and what went wrong.
fn report(
    name: &str,
    ending: &Ending,
    outcome: &Outcome,
    octets: u64,
    time: Duration,
) -> (log::Level, String) {
    let Outcome { collected, deleted, again, doubles, troubled, .. } = outcome;
    let (seconds, tenths) = (time.as_secs(), time.subsec_millis() / 100);
    let mut done =
        format!("{collected} collected, {deleted} deleted there, {octets} octets, {seconds}.{tenths} s");
    if *again > 0 {
        done += &format!(", {again} came before under other identities and stay there");
    }
    if *doubles > 0 {
        done += &format!(", {doubles} came from another source before");
    }
    match ending {
        Ending::Well | Ending::Failed(Error::Withdrawn) => {
            let did_something = outcome.has_brought() || *deleted > 0;
            let level = if did_something { log::Level::Info } else { log::Level::Debug };
            (level, format!("{name}: {done}"))
        }
        Ending::Partly(error) => {
            let but = match error {
                error if error.is_of_deletions() => "not all is deleted there".to_owned(),
                error if error.is_of_a_folder() => "a folder cannot be had".to_owned(),
                Error::Short { .. } => "something may be missing".to_owned(),
                _ => format!("{} cannot be had", notice::messages(*troubled)),
            };
            (log::Level::Warn, format!("{name}: {done}; but {but}: {error}"))
        }
        Ending::Full(error) | Ending::Failed(error) => {
            (log::Level::Warn, format!("{name}: {error} ({done})"))
        }
    }
}

/// Writes the letter into the account's INBOX, and its note into the ledger.
async fn tell_user(account: &Rc<store::Account>, key: SourceKey, tell: Tell) -> Result<(), store::Error> {
    let mut transaction = account.begin();
    match tell {
        Tell::Nothing => return Ok(()),
        Tell::Forget => Told::forget(&mut transaction, key),
        Tell::Letter(letter, told) => {
            let mut message = account.incoming();
            message.write(letter.as_bytes())?;
            transaction.deliver(INBOX, message, Flags::NONE, &[], told.at);
            told.note(&mut transaction, key);
        }
    }
    transaction.commit().await.map(drop)
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
mod operator_tests;
#[cfg(test)]
mod tests;
