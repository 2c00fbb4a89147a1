//! Puts the parts of the appliance together, starts them and stops them.
//!
//! Everything runs on one [`LocalExecutor`] in the calling thread. The [`Appliance`] owns what has a
//! lifetime of its own: the listeners, the tasks of relay, poller and consoles, the lock on the data folder.

mod announcing;
mod ending;
pub(crate) mod extracting;
mod folders;
mod identity;
mod listeners;
mod logging;
mod restore;
mod start;

use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_signal::{Signal, Signals};
use smol::LocalExecutor;
use smol::lock::Mutex;
use smol::stream::StreamExt;

use crate::board::device::Ending;
use crate::board::remarks::Remark;
use crate::board::{Board, LOG, card, etc, health, media, ports};
use crate::certificate::Present;
use crate::config::{self, Config};
use crate::context::Context;
use crate::data_folder::{self, DataFolder};
use crate::failure::Failure;
use crate::flash::disk::Disk;
use crate::flash::{self, Flash, Space, wear};
use crate::http::Site;
use crate::multipop::Poller;
use crate::net::certificate::Certificate;
use crate::net::mdns;
use crate::oauth2::{Keeper, Tokens};
use crate::operator::{self, Appliance as _, Operator, Restoring};
use crate::relay::Relay;
use crate::sandbox::owner::{Started, become_owner};
use crate::store::Store;
use crate::{certificate, console, pace, sandbox, say};

use listeners::{Listeners, Parts};
pub use restore::{Restored, finish_restore, restore};
pub use start::{panic_in_one_line, read_configuration};

/// Time between two rounds of maintenance of the store: checkpoints, compaction, room on the flash.
const LOOK_AFTER: Duration = Duration::from_secs(10);
/// Time between two searches for accounts that nobody uses, which are closed.
const TIDY: Duration = Duration::from_secs(60);

/// The notice to the operator while the appliance is in failsafe mode.
const FAILSAFE: &str = "failsafe: only loopback is served, nothing is collected and nothing sent; a restart without it ends this";
/// The notice to the operator while the clock has not been set.
const NO_TIME: &str = "waiting for the time: until the network tells it, nothing is collected or sent over TLS, since no certificate can be judged";
/// The name of the file in the run folder of a board that exists once the clock was set.
const CLOCK: &str = "clock";
/// Time between two looks for the file `CLOCK`.
const CLOCK_AGAIN: Duration = Duration::from_secs(3);
/// The name of the watchdog's device in the run folder of a board.
const WATCHDOG: &str = "watchdog";

/// The options of `pillarbox run` on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// The data folder.
    pub data: PathBuf,
    /// A TOML file to check and import first.
    pub config: Option<PathBuf>,
    /// A serial device that gets an operator's console.
    pub serial: Option<PathBuf>,
    /// The run folder of a device that boots from a card image: see [`crate::board`].
    pub board: Option<Board>,
    /// Listeners are on loopback only; MultiPOP and relay stand still. Settings can be changed.
    pub failsafe: bool,
}

impl RunOptions {
    /// Whether the appliance starts without a listener that cannot be bound, and with its own certificate where the operator's
    /// cannot be used. On a board there would otherwise be no console to mend the settings on. A version on trial has to show
    /// that it can do everything.
    fn tolerates_failures(&self) -> bool {
        self.failsafe || self.board.as_ref().is_some_and(|board| !board.on_trial())
    }
}

/// Serves in the foreground until a signal ends it, or until the operator of a device that boots from a card image does. Then
/// returns what is to follow.
///
/// # Errors
/// Why the appliance does not start.
pub fn run(options: RunOptions) -> Result<Option<Ending>, Failure> {
    logging::begin(options.board.is_some());
    let data = options.data.clone();
    data_folder::tried(&data, || confined_and_served(options))
}

fn confined_and_served(options: RunOptions) -> Result<Option<Ending>, Failure> {
    let started = match &options.board {
        Some(_) => Started::AsUser,
        None => become_owner(&options.data).map_err(Failure::at(&options.data))?,
    };
    let flash = confined(&options)?;
    let executor: &'static LocalExecutor<'static> = Box::leak(Box::new(LocalExecutor::new()));
    async_io::block_on(pace::run(executor, serve(executor, options, flash, started)))
}

/// Gives up all rights that are not needed from here on. Returns the data folder.
fn confined(options: &RunOptions) -> Result<Disk, Failure> {
    let flash = Disk::new(&options.data).map_err(Failure::at(&options.data))?;
    // The rights are given up before async-io starts its thread, which inherits the restrictions.
    if let Some(board) = &options.board {
        let named = [&options.serial, &options.config].into_iter().flatten().cloned();
        let own = [options.data.clone(), board.folder().to_owned(), board.file(WATCHDOG), card(), media()];
        sandbox::files([etc(), board.file(LOG)], own.into_iter().chain(named));
        // A device takes its settings from its data folder; the ports that another file names become known too late.
        if options.config.is_none() {
            let config = config::file::peek(&flash).unwrap_or_default();
            sandbox::ports(ports::of(&config));
        }
    }
    sandbox::system_calls();
    Ok(flash)
}

/// For the tests of the sandbox: gives up what [`run`] gives up, and then tries to do what is forbidden.
///
/// # Errors
/// As [`run`].
#[cfg(debug_assertions)]
pub fn attempt(options: &RunOptions) -> Result<(), Failure> {
    logging::begin(options.board.is_some());
    let _flash = confined(options)?;
    sandbox::attempts::all(&options.data).for_each(|line| say::out(format_args!("{line}")));
    Ok(())
}

async fn serve(
    executor: &'static LocalExecutor<'static>,
    options: RunOptions,
    flash: Disk,
    started: Started,
) -> Result<Option<Ending>, Failure> {
    let mut signals = Signals::new([Signal::Term, Signal::Int]).map_err(Failure::system("signals"))?;
    let watchdog = options.board.as_ref().and_then(|board| start::watchdog(&board.file(WATCHDOG)));
    let feeding = watchdog.map(|watchdog| executor.spawn(watchdog.feed()));
    let appliance = Appliance::start(executor, &options, Rc::new(flash)).await?;
    say::out(format_args!("ready: {}", appliance.listeners.borrow()));
    match started {
        Started::AsUser => {}
        Started::Became(user) => {
            log::info!("started as root, goes on as user {user}, who has the data folder")
        }
        Started::AsRoot => {
            log::warn!(
                "runs as root, since the data folder is root's: give it to a user of its own, who is taken then"
            );
        }
    }
    let stopped = async {
        if let Some(Ok(signal)) = signals.next().await {
            log::info!("{signal:?} received, the appliance stops");
        }
        None
    };
    let ended = async {
        match &appliance.context.device {
            Some(device) => Some(device.ended().await),
            None => std::future::pending().await,
        }
    };
    let ending = smol::future::or(stopped, ended).await;
    let at_once = async {
        if let Some(Ok(signal)) = signals.next().await {
            log::warn!("{signal:?} received again, the appliance ends at once");
        }
    };
    smol::future::or(appliance.stop(), at_once).await;
    appliance.context.store.mark_end();
    appliance.decide_restore().await;
    if let Some(feeding) = feeding {
        feeding.cancel().await; // which disarms the watchdog
    }
    Ok(ending)
}

/// The running appliance.
pub struct Appliance {
    executor: &'static LocalExecutor<'static>,
    flash: Rc<dyn Flash>,
    context: Rc<Context>,
    tokens: Rc<Tokens>,
    poller: Rc<Poller>,
    /// Held while settings are stored and put in force: two tasks at once would write the same file.
    storing: Mutex<()>,
    /// The stored settings, while other settings are on trial.
    stored: RefCell<Option<Config>>,
    /// Set once, at the start: the console, which is one of the parts, needs the appliance first.
    parts: OnceCell<Rc<Parts>>,
    listeners: RefCell<Listeners>,
    started: Instant,
    options: RunOptions,
    /// Why listeners could not be bound, where that does not end the appliance.
    refused: RefCell<Vec<String>>,
    /// The appliance is stopping: no listener is opened any more.
    stopping: Cell<bool>,
    identity: identity::Identity,
    /// A backup was read; at the end of this run it is decided that it takes the place of the data.
    restored: Cell<bool>,
    /// Folders of accounts have to be renamed when nobody has them open.
    renames_pending: Cell<bool>,
    announcing: announcing::Announcing,
    /// The data folder is a copy, and the operator has not said yet whether it takes the place of the original.
    is_copy: bool,
    /// The lock on the data folder, held as long as the appliance lives.
    folder: DataFolder,
}

impl Appliance {
    /// Starts every part; returns when all listeners are bound. `flash` is the data folder: [`Disk`], or what a
    /// measurement puts around it.
    ///
    /// # Errors
    /// Why the appliance does not start.
    pub async fn start(
        executor: &'static LocalExecutor<'static>,
        options: &RunOptions,
        flash: Rc<dyn Flash>,
    ) -> Result<Rc<Appliance>, Failure> {
        start::raise_file_limit();
        let data = options.data.display().to_string();
        let folder = DataFolder::hold(&options.data, flash.clone())?;
        finish_restore(&*flash).await?;
        let is_copy = folder.is_copy();
        if is_copy {
            log::warn!("{}", data_folder::COPY);
        }
        if let Some(board) = &options.board {
            // The board tells what happened before the daemon started: a partition was repaired, a first configuration was
            // read.
            let notice = board.text("notice").unwrap_or_default();
            notice.lines().for_each(|line| log::warn!("{line}"));
        }
        let config = start::configuration(&folder, options).await?;
        let tls =
            start::certificate(&config, &Present::now(None), &*flash, options.tolerates_failures()).await?;
        let store = Store::new(flash.clone());
        let settled = folders::name_folders(&store, &config).await;
        let device = start::device(options, &flash)?;
        let listen = config.listen.clone();
        let key = start::login_key(&*flash).await?;
        let mut context = Context::new(config, tls, store).with_login_key(&key).with_device(device);
        if options.board.as_ref().is_some_and(|board| !board.has(CLOCK)) {
            context = context.without_time();
        }
        let context = Rc::new(context);
        let queue =
            context.store.queue().await.map_err(|error| Failure::System(format!("{data}/queue: {error}")))?;
        let tokens = Tokens::new(context.clone());
        let relay = Relay::new(context.clone(), queue, tokens.clone());
        let poller = Poller::new(context.clone(), tokens.clone());
        let appliance = Rc::new(Appliance {
            executor,
            flash,
            context: context.clone(),
            tokens: tokens.clone(),
            poller: poller.clone(),
            storing: Mutex::new(()),
            stored: RefCell::default(),
            parts: OnceCell::new(),
            listeners: RefCell::default(),
            started: Instant::now(),
            options: options.clone(),
            refused: RefCell::default(),
            stopping: Cell::new(false),
            identity: identity::Identity::default(),
            restored: Cell::new(false),
            renames_pending: Cell::new(!settled),
            announcing: announcing::Announcing::default(),
            is_copy,
            folder,
        });
        tokens.keep_with(appliance.clone());
        let operator =
            Operator::new(context.clone(), poller.clone(), relay.clone(), appliance.clone(), tokens.clone());
        let parts =
            Parts { context: context.clone(), relay: relay.clone(), site: Site::new(operator.clone()) };
        appliance.parts.get_or_init(|| Rc::new(parts));
        appliance.listen(&listen, options.tolerates_failures()).await.map_err(Failure::System)?;
        appliance.follow_certificate().await;
        let socket = console::socket::bind(&options.data)
            .map_err(Failure::system(&format!("{data}/{}", console::SOCKET)))?;
        executor.spawn(console::socket::serve(socket, operator.clone())).detach();
        if let Some(path) = options.serial.clone() {
            let device =
                console::serial::open_device(&path).map_err(Failure::system(&path.display().to_string()))?;
            let operator = operator.clone();
            executor.spawn(async move { console::serial::serve(&path, device, &operator).await }).detach();
        }
        let trials = operator.clone();
        executor.spawn(async move { trials.run().await }).detach();
        if options.failsafe {
            log::warn!("{FAILSAFE}");
        } else {
            executor.spawn(async move { relay.run().await }).detach();
            executor.spawn(async move { poller.run().await }).detach();
        }
        executor.spawn(async move { tokens.run().await }).detach();
        executor.spawn(extracting::run(context.clone())).detach();
        executor.spawn(prove(context.clone())).detach();
        executor.spawn(folders::finish_deleting(context)).detach();
        executor.spawn(tidy_accounts(appliance.clone())).detach();
        executor.spawn(maintain_store(appliance.clone())).detach();
        if options.board.is_some() {
            appliance.announcing.begin(&appliance, executor);
        }
        executor.spawn(wait_for_time(appliance.clone())).detach();
        executor.spawn(follow(appliance.clone())).detach();
        Ok(appliance)
    }

    /// Opens the listeners that `listen` names and that are not open, and closes those that it no longer names. With `tolerates_failures`,
    /// listeners that cannot be bound are left out; without it, they are an error.
    async fn listen(&self, listen: &config::Listen, tolerates_failures: bool) -> Result<(), String> {
        let listen = match self.options.failsafe {
            true => &listen.on_loopback(),
            false => listen,
        };
        let unwanted = self.listeners.borrow_mut().take_unwanted(listen);
        for accepting in unwanted {
            accepting.cancel().await;
        }
        if self.stopping.get() {
            return Ok(());
        }
        let mut listeners = self.listeners.borrow_mut();
        let (bound, refused) = listeners.bind_missing(listen);
        if let Some(why) = refused.first().filter(|_| !tolerates_failures) {
            return Err(why.clone());
        }
        if *self.refused.borrow() != refused {
            refused.iter().for_each(|why| log::error!("{why}"));
            *self.refused.borrow_mut() = refused;
        }
        let Some(parts) = self.parts.get() else { return Ok(()) };
        listeners.open(bound, |kind, socket| {
            self.executor.spawn(listeners::accept(self.executor, kind, socket, parts.clone()))
        });
        Ok(())
    }

    /// The notice that the device is announced under another name than its own, where it is.
    fn other_name(&self) -> Option<String> {
        let (announced, own) =
            (self.context.announced()?, mdns::local_name(&self.context.config().server.hostname));
        (announced != own).then(|| {
            format!("another device of this network is called {own}: this one is found as {announced}")
        })
    }

    async fn follow_certificate(&self) {
        self.identity.follow(&self.context, &*self.flash).await;
    }

    async fn put_in_force(&self, mut config: Config, kept: Persistence) -> Result<(), String> {
        let _one_at_a_time = self.storing.lock().await;
        let before = self.context.config();
        if kept != Persistence::Already {
            config.identify(&before);
        }
        // These settings may have been made before a provider replaced a refresh token.
        let succeeded = self.tokens.succeed(&mut config);
        let present = Present::now(self.context.announced());
        let tls = certificate::for_network(&config, &present, &*self.flash);
        let tls = tls.await.map_err(|error| error.to_string())?;
        self.folder.note_owners(&before, &config).await?;
        // Settings that cannot be bound must not be stored: the next start would fail. But some ports can only be opened by
        // that start.
        let tolerates_failures = self.options.failsafe || ports::wait(&config);
        if let Err(error) = self.listen(&config.listen, tolerates_failures).await {
            self.listen(&before.listen, self.options.tolerates_failures()).await?;
            return Err(error);
        }
        let stored = match kept {
            Persistence::Now => self.folder.save(&config).await,
            Persistence::Already if succeeded => self.folder.renew(&config).await,
            Persistence::Already | Persistence::Not => Ok(()),
        };
        if let Err(error) = stored {
            self.listen(&before.listen, self.options.tolerates_failures()).await?;
            return Err(error.to_string());
        }
        let apart = self.stored.take();
        *self.stored.borrow_mut() = match kept {
            Persistence::Not => apart.or_else(|| Some(Config::clone(&before))),
            Persistence::Now | Persistence::Already => None,
        };
        // From here until the settings are in force, no other task has a turn.
        self.settle_folders(&config, kept != Persistence::Not).await;
        self.context.reconfigure(config, tls);
        self.announcing.look();
        self.follow_certificate().await;
        Ok(())
    }
}

/// How the settings that are put in force relate to those of the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Persistence {
    /// The settings are stored before they are in force.
    Now,
    /// The settings were read from the flash.
    Already,
    /// The settings are on trial, and not stored.
    Not,
}

/// Runs checkpoints and compaction. Tells the operator when the flash takes no changes, and when it is nearly full, before mail
/// is refused.
async fn maintain_store(appliance: Rc<Appliance>) {
    let (mut was_low, mut refused) = (false, None);
    loop {
        let refuses = appliance.no_changes();
        if refuses != refused {
            match &refuses {
                Some(why) => log::error!("{}", flash::advice(why)),
                None => log::info!("the flash takes changes again"),
            }
            refused = refuses;
        }
        async_io::Timer::after(LOOK_AFTER).await;
        // Maintenance leaves alone what cannot be written, and checks whether it can be written again.
        appliance.context.store.maintain().await;
        // An address may have become available: the network of a board is slower than the daemon.
        let is_missing = !appliance.refused.borrow().is_empty();
        if is_missing && let Err(why) = appliance.listen(&appliance.context.config().listen, true).await {
            log::error!("{why}");
        }
        let Ok(space) = appliance.flash.space() else { continue };
        if space.is_low() && !was_low {
            log::warn!(
                "the flash is nearly full: {} MiB are free, and new mail is refused below {} MiB; delete mail or use a larger card",
                space.free >> 20,
                space.reserve() >> 20
            );
        }
        was_low = space.is_low();
    }
}

/// Tells the supervisor of a device that this version works, once every store has been opened.
async fn prove(context: Rc<Context>) {
    let Some(device) = &context.device else { return };
    if let Err(error) = health::prove(device.board(), open_every_store(&context)).await {
        log::error!("the run folder: {error}");
    }
}

/// Opens the stores one after the other and closes those that nobody uses, so that memory use stays low.
async fn open_every_store(context: &Context) -> Result<(), String> {
    let names: Vec<String> = context.config().accounts.iter().map(|it| it.name.to_string()).collect();
    for name in names {
        context.store.account(&name).await.map(drop).map_err(|error| format!("{name}: {error}"))?;
        // An account that was used since the last call stays open. So it takes two calls to close the one that was just opened.
        context.store.close_unused();
        context.store.close_unused();
        smol::future::yield_now().await;
    }
    Ok(())
}

async fn tidy_accounts(appliance: Rc<Appliance>) {
    loop {
        async_io::Timer::after(TIDY).await;
        appliance.context.store.close_unused();
        folders::finish_deleting(appliance.context.clone()).await;
        appliance.retry_renames().await;
    }
}

/// Keeps the certificate up to date with the network and the operator's files.
async fn follow(appliance: Rc<Appliance>) {
    loop {
        async_io::Timer::after(identity::LOOK).await;
        appliance.follow_certificate().await;
    }
}

/// Waits for the file that shows that the clock was set.
async fn wait_for_time(appliance: Rc<Appliance>) {
    let Some(board) = &appliance.options.board else { return };
    let clock = &appliance.context.clock;
    while !clock.is_known() {
        async_io::Timer::after(CLOCK_AGAIN).await;
        if board.has(CLOCK) {
            log::info!("the clock was set");
            clock.set_known();
            appliance.follow_certificate().await;
        }
    }
}

impl Keeper for Appliance {
    fn keep<'a>(
        &'a self,
        change: &'a dyn Fn(&mut Config),
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + 'a>> {
        Box::pin(async move {
            let _one_at_a_time = self.storing.lock().await;
            let mut config = (*self.context.config()).clone();
            change(&mut config);
            if config != *self.context.config() {
                // While other settings are on trial, the stored settings are not those in force: both are changed.
                let apart = self.stored.borrow().clone();
                let stored = apart.map(|mut stored| {
                    change(&mut stored);
                    stored
                });
                let renewed = self.folder.renew(stored.as_ref().unwrap_or(&config)).await;
                renewed.map_err(|error| error.to_string())?;
                *self.stored.borrow_mut() = stored;
                self.context.renew_tokens(config);
            }
            Ok(())
        })
    }
}

impl operator::Appliance for Appliance {
    fn apply(&self, config: Config) -> Pin<Box<dyn Future<Output = Result<(), String>> + '_>> {
        Box::pin(self.put_in_force(config, Persistence::Now))
    }

    fn try_out(&self, config: Config) -> Pin<Box<dyn Future<Output = Result<(), String>> + '_>> {
        Box::pin(self.put_in_force(config, Persistence::Not))
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + '_>> {
        Box::pin(async {
            let loaded = self.folder.load().map_err(|error| error.to_string())?;
            match loaded {
                Some(loaded) => self.put_in_force(loaded.config, Persistence::Already).await,
                None => Err("no configuration is stored".to_owned()),
            }
        })
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        self.listeners.borrow().bound().into_iter().map(|(listener, at)| (listener.name(), at)).collect()
    }

    fn space(&self) -> Option<Space> {
        self.flash.space().ok()
    }

    fn no_changes(&self) -> Option<String> {
        // This is known before anybody has tried to write.
        let mounted = || self.flash.is_read_only().then(|| flash::READ_ONLY.to_owned());
        self.context.store.read_only().or_else(mounted)
    }

    fn device_written(&self) -> Option<u64> {
        self.options.board.as_ref().and_then(|_| wear::of_device(&self.options.data))
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        remarks.extend(self.refused.borrow().iter().cloned());
        remarks.extend(self.identity.concerns());
        remarks.extend(self.other_name());
        if self.is_copy {
            remarks.push(data_folder::COPY.to_owned());
        }
        if self.options.failsafe {
            remarks.push(FAILSAFE.to_owned());
        }
        if !self.context.clock.is_known() {
            remarks.push(NO_TIME.to_owned());
        }
        if let Some(board) = &self.options.board {
            let noticed = board.remarks();
            if self.context.config().accounts.is_empty() && !noticed.iter().any(Remark::is_why_nothing_is_set)
            {
                remarks.push(start::NOT_CONFIGURED.to_owned());
            }
            remarks.extend(noticed.into_iter().map(|remark| remark.words));
        }
        remarks
    }

    fn certificate(&self) -> Option<Certificate> {
        certificate::of_server(&self.context.config(), &*self.flash)
    }

    fn restore<'a>(&'a self, source: &'a mut dyn Read, heard: &'a dyn Fn(u64)) -> Restoring<'a> {
        Box::pin(self.prepare_restore(source, heard))
    }

    fn local_ca(&self) -> Option<String> {
        certificate::local_ca(&self.context.config(), &*self.flash)
    }

    fn signed(&self, content: &[u8]) -> Option<Vec<u8>> {
        certificate::signed(&self.context.config(), &*self.flash, content)
    }
}
