//! What an operator sees and does, once for the console and the pages: one look at everything, changes of the settings,
//! and what is asked of relay and poller.
//!
//! [`Operator`] holds what it is asked of; [`World`] is the part of it that needs no `.await`, so that a session of the console
//! can be told as a transcript; [`Appliance`] is what lies above: listeners, the data folder, the certificate.

use std::cell::Cell;
use std::future::Future;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use event_listener::Event;
use smol::lock::Mutex;

use crate::archive::backup::place;
use crate::board::device::{Device, Ending, Standing};
use crate::certificate;
use crate::clock::unix_now;
use crate::config::{Config, Holder, Service};
use crate::context::{Connected, Context};
use crate::failure::Failure;
use crate::flash::{Space, wear};
use crate::multipop::Poller;
use crate::net::certificate::Certificate;
use crate::oauth2::Tokens;
use crate::relay::{Relay, Shown};
use crate::store::Unclaimed;
use status::Status;

mod json;
pub mod qr;
pub mod reach;
pub mod status;
mod trial;
pub use trial::TRIAL;

/// What others hear who ask for these commands.
pub const NO_DEVICE: &str =
    "this appliance does not run from a card image: whoever started it updates, restarts and stops it";

/// What others hear who ask for the log.
pub const NO_LOG: &str =
    "this appliance does not run from a card image: its log is where whoever started it keeps it";

/// Why changes are not taken that were made to settings which are no longer in force.
pub const CHANGED: &str = "the settings were changed by someone else meanwhile";
/// Pause after a wrong password.
const AFTER_A_WRONG_PASSWORD: Duration = Duration::from_secs(2);

/// A backup while it is read.
pub type Restoring<'a> = Pin<Box<dyn Future<Output = Result<String, Failure>> + 'a>>;

/// What an operator asks of the appliance, beneath what its services do.
pub trait Appliance {
    /// Stores `config` with one write and puts it in force, without dropping sessions that keep their
    /// right. The error says in one line what forbids it; the configuration before it stays in force then.
    fn apply(&self, config: Config) -> Pin<Box<dyn Future<Output = Result<(), String>> + '_>>;
    /// Puts `config` in force and stores nothing: the next start knows nothing of it, and [`Appliance::reload`] takes it back.
    fn try_out(&self, config: Config) -> Pin<Box<dyn Future<Output = Result<(), String>> + '_>>;
    /// Puts in force what another process has stored.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + '_>>;
    /// How long the appliance has been running.
    fn uptime(&self) -> Duration;
    /// Every listener that is bound, by the names of `[listen]`.
    fn listeners(&self) -> Vec<(&'static str, SocketAddr)>;
    /// Room on the flash, where the system tells.
    fn space(&self) -> Option<Space>;
    /// Why the flash takes no changes; `None` when it does.
    fn no_changes(&self) -> Option<String>;
    /// Octets written to the data partition of a board since it was switched on.
    fn device_written(&self) -> Option<u64>;
    /// What is out of the ordinary for as long as it is so, a line each.
    fn remarks(&self) -> Vec<String>;
    /// What the server's certificate says of itself, where there is one.
    fn certificate(&self) -> Option<Certificate>;
    /// The certificate of the local CA, in PEM, where there is one.
    fn local_ca(&self) -> Option<String>;
    /// `content`, signed by the server's key (RFC 5652), where that can be done.
    fn signed(&self, content: &[u8]) -> Option<Vec<u8>>;
    /// Reads a backup, which takes the place of what is here when the appliance has ended: what was read, in words. `heard` is told
    /// how many octets were.
    fn restore<'a>(&'a self, source: &'a mut dyn Read, heard: &'a dyn Fn(u64)) -> Restoring<'a> {
        let _ = (source, heard);
        Box::pin(async { Err(Failure::System(NO_DEVICE.to_owned())) })
    }
}

/// What of the appliance is seen, and done at once, without an `.await`: all that a session of the console needs.
pub trait World {
    /// The settings in force.
    fn config(&self) -> Rc<Config>;
    /// How everything stands.
    fn status(&self) -> Status;
    /// What it runs on, where that is a device that boots from a card image.
    fn board(&self) -> Option<Standing>;
    /// The latest lines of that device's log.
    fn log(&self) -> Option<String>;
    /// Whether the clock shows the time.
    fn knows_time(&self) -> bool;
    /// The latest refused logins, one a line.
    fn refusals(&self) -> Vec<String>;
    /// Who is connected, the oldest first.
    fn sessions(&self) -> Vec<Connected>;
    /// Ends a session; `false` when there is none.
    fn disconnect(&self, id: u64) -> bool;
    /// When an account's app password was used last, in seconds since 1970.
    fn last_use(&self, account: &str, app: &str) -> Option<i64>;
    /// Polls the sources of `account`, or all, now: how many.
    fn collect(&self, account: Option<&str>) -> usize;
    /// Ends their polls, and begins none before [`World::collect`]: how many.
    fn stop_collecting(&self, account: Option<&str>) -> usize;
    /// What the server's certificate says of itself, and the local CA's, where it is of that.
    fn certificates(&self) -> [Option<Certificate>; 2] {
        [None, None]
    }
    /// The name that is announced in the network, where one is.
    fn announced(&self) -> Option<String> {
        None
    }
    /// The folders with what was there before a restore.
    fn set_aside(&self) -> Vec<String> {
        Vec::new()
    }
    /// Mail that removed accounts have left.
    fn unclaimed(&self) -> Vec<Unclaimed> {
        Vec::new()
    }
    /// All about a queued message.
    fn message(&self, id: u32) -> Option<Shown>;
    /// Makes everything in the queue due at once.
    fn retry(&self);
}

/// What the console and the pages share.
pub struct Operator {
    /// What the services share.
    pub context: Rc<Context>,
    /// Collects.
    pub poller: Rc<Poller>,
    /// Sends.
    pub relay: Rc<Relay>,
    appliance: Rc<dyn Appliance>,
    /// Permissions to log in elsewhere.
    pub tokens: Rc<Tokens>,
    /// HolderSettings while settings are stored and put in force: of two commits at once the second sees the first.
    commits: Mutex<()>,
    /// HolderSettings while mail is exported or imported: of two at once neither would know what the other does.
    pub mail: Mutex<()>,
    /// HolderSettings while a source is tried out.
    pub tests: Mutex<()>,
    /// Until when the settings in force are on trial.
    trial: Cell<Option<Instant>>,
    trial_changed: Event,
}

impl Operator {
    /// Puts the parts together.
    pub fn new(
        context: Rc<Context>,
        poller: Rc<Poller>,
        relay: Rc<Relay>,
        appliance: Rc<dyn Appliance>,
        tokens: Rc<Tokens>,
    ) -> Rc<Operator> {
        let (commits, mail, tests, trial, trial_changed) = Default::default();
        Rc::new(Operator {
            context,
            poller,
            relay,
            appliance,
            tokens,
            commits,
            mail,
            tests,
            trial,
            trial_changed,
        })
    }

    /// What is out of the ordinary, a line each.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.appliance.remarks();
        if self.context.config().accounts.is_empty() {
            remarks.push(
                "there is no account yet: `add account NAME`, `password NAME` and `commit` make one"
                    .to_owned(),
            );
        }
        if let Some(time) = self.on_trial() {
            remarks.push(format!(
                "the settings in force are on trial, and taken back in {} unless they are confirmed",
                status::span(time.as_secs())
            ));
        }
        remarks
    }

    /// How everything stands.
    pub fn status(&self) -> Status {
        let places = &self.context.places;
        Status {
            now: unix_now(),
            hostname: self.context.config().server.hostname.to_string(),
            remarks: self.remarks(),
            board: self.context.device.as_ref().map(Device::standing),
            uptime: self.appliance.uptime(),
            memory: status::memory(),
            sessions: [Service::Pop3, Service::Imap, Service::Submission]
                .map(|service| places.count(service)),
            listeners: self.appliance.listeners(),
            queue: self.relay.entries(),
            unlisted: self.relay.unlisted(),
            troubles: self.relay.troubles(),
            sources: self.poller.status(),
            unclaimed: self.context.store.left(),
            space: self.appliance.space(),
            no_changes: self.appliance.no_changes(),
            written: wear::of_process(),
            device_written: self.appliance.device_written(),
        }
    }

    /// The certificate of the local CA, in PEM, where there is one.
    pub fn local_ca(&self) -> Option<String> {
        self.appliance.local_ca()
    }

    /// Whoever has waited for a new permission goes on with it now.
    pub fn use_permission(&self, holder: Holder) {
        match holder {
            Holder::Smarthost => self.relay.retry_now(),
            Holder::Source { account, .. } => {
                if let Some(account) = self.context.config().account_by_id(account) {
                    self.poller.collect_now(Some(&account.name));
                }
            }
        }
    }

    /// `content`, signed by the server's key (RFC 5652), where that can be done.
    pub fn signed(&self, content: &[u8]) -> Option<Vec<u8>> {
        self.appliance.signed(content)
    }

    /// Stores and puts in force what was made from `base`. It ends a trial: who changes more has seen that it works.
    ///
    /// # Errors
    /// Somebody else has been faster, or why the appliance does not take it; all stays as it was.
    pub async fn commit(&self, base: &Rc<Config>, candidate: Config) -> Result<(), String> {
        let _one_at_a_time = self.commits.lock().await;
        let candidate = self.made_from(base, candidate)?;
        self.appliance.apply(candidate).await?;
        self.trial.set(None);
        Ok(())
    }

    /// `candidate`, if what it was made from is still in force.
    fn made_from(&self, base: &Rc<Config>, mut candidate: Config) -> Result<Config, String> {
        let now = self.context.config();
        if Rc::ptr_eq(base, &now) {
            return Ok(candidate);
        }
        if !base.differs_in_tokens_only(&now) {
            return Err(CHANGED.to_owned());
        }
        // A refresh token that was replaced meanwhile is nobody's change, and must not be lost.
        candidate.merge_refresh_tokens(base, &now);
        Ok(candidate)
    }

    /// Stores `config`, which a command has read from a file, and puts it in force, whatever was in force before.
    ///
    /// # Errors
    /// Why the appliance does not take it; what was in force before still is.
    pub async fn import(&self, config: Config) -> Result<(), String> {
        let _one_at_a_time = self.commits.lock().await;
        self.appliance.apply(config).await?;
        self.trial.set(None);
        Ok(())
    }

    /// Reads a backup of so many octets, which takes the place of what is here when the appliance has ended: what was read, in words.
    ///
    /// # Errors
    /// It is none or a damaged one, there is no room for it, or the flash refuses: all stays as it was.
    pub async fn restore(
        &self,
        source: &mut dyn Read,
        octets: u64,
        heard: &dyn Fn(u64),
    ) -> Result<String, Failure> {
        if let Some(why) = self.appliance.no_changes() {
            return Err(Failure::System(format!("the flash takes no changes: {why}")));
        }
        if let Some(space) =
            self.appliance.space().filter(|it| octets > it.free.saturating_sub(it.last_reserve()))
        {
            return Err(Failure::System(format!(
                "no room for the backup beside what is there: {} MiB are free, and it has {}",
                space.free >> 20,
                octets >> 20
            )));
        }
        self.appliance.restore(source, heard).await
    }

    /// Takes an update from a file: what it is and what happens now, or why it is not taken.
    pub async fn update(&self, file: &str) -> Result<String, String> {
        let device = self.context.device.as_ref().ok_or(NO_DEVICE)?;
        match Box::pin(device.receive_file(Path::new(file))).await {
            Ok(update) => Ok(device.promise(&update)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether a password is wanted of the operator.
    pub fn is_locked(&self) -> bool {
        self.context.config().server.operator_verifier.is_set()
    }

    /// Whether this is the operator's password. A wrong one takes a while, so that few can be tried.
    pub async fn unlocks(&self, password: &[u8]) -> bool {
        let right = self.context.config().server.operator_verifier.verify(password);
        if !right {
            log::warn!("console: a wrong password of the operator");
            self.context.time.sleep(AFTER_A_WRONG_PASSWORD).await;
        }
        right
    }

    /// Ends the appliance, when the last words to the operator have left.
    pub fn end(&self, ending: Ending) {
        if let Some(device) = &self.context.device {
            device.end(ending);
        }
    }

    /// Takes a message out of the queue, if it is not on its way this very moment.
    ///
    /// # Errors
    /// It cannot be, or there is none of this number.
    pub async fn remove_message(&self, number: u32) -> Result<(), String> {
        match self.relay.remove(number).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("message {number} is not in the queue, or on its way this very moment")),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl World for Operator {
    fn config(&self) -> Rc<Config> {
        self.context.config()
    }
    fn announced(&self) -> Option<String> {
        self.context.announced()
    }
    fn status(&self) -> Status {
        Operator::status(self)
    }
    fn board(&self) -> Option<Standing> {
        self.context.device.as_ref().map(Device::standing)
    }
    fn log(&self) -> Option<String> {
        self.context.device.as_ref().map(|device| device.board().log())
    }
    fn knows_time(&self) -> bool {
        self.context.clock.is_known()
    }
    fn refusals(&self) -> Vec<String> {
        let (now, refused) = (unix_now(), self.context.logins.refusals());
        refused.iter().map(|login| format!("{}: {login}", status::ago(now, login.time))).collect()
    }
    fn sessions(&self) -> Vec<Connected> {
        self.context.places.list(&self.context.config())
    }
    fn disconnect(&self, id: u64) -> bool {
        self.context.places.disconnect(id)
    }
    fn last_use(&self, account: &str, app: &str) -> Option<i64> {
        self.context.logins.last_use(account, app)
    }
    fn collect(&self, account: Option<&str>) -> usize {
        self.poller.collect_now(account)
    }
    fn stop_collecting(&self, account: Option<&str>) -> usize {
        self.poller.stop(account)
    }
    fn certificates(&self) -> [Option<Certificate>; 2] {
        [self.appliance.certificate(), self.local_ca().and_then(|pem| certificate::of_pem(&pem))]
    }
    fn set_aside(&self) -> Vec<String> {
        place::set_aside(self.context.store.flash())
    }
    fn unclaimed(&self) -> Vec<Unclaimed> {
        let unclaimed = self.context.store.unclaimed(&self.context.config().owners());
        unclaimed.unwrap_or_else(|error| {
            log::warn!("the folders of the accounts: {error}");
            Vec::new()
        })
    }
    fn message(&self, id: u32) -> Option<Shown> {
        self.relay.show(id)
    }
    fn retry(&self) {
        self.relay.retry_now();
    }
}
