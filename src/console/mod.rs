//! The operator's console: on the unix socket `console.sock` in the data folder and on a serial line.
//!
//! `table` holds the commands, [`command`] their grammar, [`session`] what they do to a candidate copy of the settings, [`line`] the
//! keys; none of these does any I/O. [`terminal`] moves the octets, for [`socket`] and [`serial`]. [`client`] is the
//! other side of the socket, for the verbs of the command line.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use smol::lock::Mutex;

use crate::board::device::{Device, Ending, Standing};
use crate::clock::unix_now;
use crate::config::{Config, Service};
use crate::context::{Connected, Context};
use crate::flash::{Space, wear};
use crate::multipop::Poller;
use crate::oauth2::Tokens;
use crate::relay::{Act, Relay, Shown, Which};
use crate::status::{self, Status};
use session::{Step, World};

pub mod backup;
pub mod client;
mod columns;
pub mod command;
mod device;
pub mod line;
pub mod mail;
mod permission;
mod probe;
mod qr;
pub mod queue;
mod secret;
pub mod serial;
pub mod session;
mod show;
pub mod socket;
mod sources;
pub mod state;
mod table;
mod terminal;

/// The socket's name in the data folder.
pub const SOCKET: &str = "console.sock";

/// Pause after a wrong password.
const AFTER_A_WRONG_PASSWORD: Duration = Duration::from_secs(2);

/// What the console asks of the appliance that it operates.
pub trait Operator {
    /// Stores `config` with one write and puts it in force, without dropping sessions that keep their
    /// right. The error says in one line what forbids it; the configuration before it stays in force then.
    fn apply(&self, config: Config) -> Pin<Box<dyn Future<Output = Result<(), String>> + '_>>;
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
}

/// What all sessions of operators share.
pub struct Console {
    context: Rc<Context>,
    poller: Rc<Poller>,
    relay: Rc<Relay>,
    operator: Rc<dyn Operator>,
    tokens: Rc<Tokens>,
    /// Held while settings are stored and put in force: of two commits at once the second sees the first.
    commits: Mutex<()>,
    /// Held while mail is exported or imported: of two at once neither would know what the other does.
    mail: Mutex<()>,
    /// Held while a source is tried out.
    tests: Mutex<()>,
}

impl Console {
    /// Puts the parts together; [`socket::serve`] and [`serial::serve`] let operators in.
    pub fn new(
        context: Rc<Context>,
        poller: Rc<Poller>,
        relay: Rc<Relay>,
        operator: Rc<dyn Operator>,
        tokens: Rc<Tokens>,
    ) -> Rc<Console> {
        let (commits, mail, tests) = Default::default();
        Rc::new(Console { context, poller, relay, operator, tokens, commits, mail, tests })
    }

    /// What is out of the ordinary, a line each.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.operator.remarks();
        if self.context.config().accounts.is_empty() {
            remarks.push(
                "there is no account yet: `add account NAME`, `password NAME` and `commit` make one"
                    .to_owned(),
            );
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
            uptime: self.operator.uptime(),
            memory: status::memory(),
            sessions: [Service::Pop3, Service::Imap, Service::Submission]
                .map(|service| places.count(service)),
            listeners: self.operator.listeners(),
            queue: self.relay.entries(),
            unlisted: self.relay.unlisted(),
            troubles: self.relay.troubles(),
            sources: self.poller.status(),
            space: self.operator.space(),
            no_changes: self.operator.no_changes(),
            written: wear::of_process(),
            device_written: self.operator.device_written(),
        }
    }

    /// Stores and puts in force what was made from `base`, unless someone else has been faster.
    async fn commit(&self, base: &Rc<Config>, mut candidate: Config) -> Result<(), String> {
        let _one_at_a_time = self.commits.lock().await;
        let now = self.context.config();
        if !Rc::ptr_eq(base, &now) {
            // A refresh token that was replaced meanwhile is nobody's change, and must not be lost.
            candidate.take_tokens(base, &now);
        }
        if !Rc::ptr_eq(base, &now) && !base.differs_in_tokens_only(&now) {
            return Err(
                "the settings were changed by someone else meanwhile: `rollback` takes theirs, then make \
                        your changes again"
                    .to_owned(),
            );
        }
        self.operator.apply(candidate).await
    }

    /// Puts in force what another process has stored.
    async fn reload(&self) -> Result<(), String> {
        let _one_at_a_time = self.commits.lock().await;
        self.operator.reload().await
    }

    /// Takes an update from a file: what it is and what happens now, or why it is not taken.
    async fn update(&self, file: &str) -> Result<String, String> {
        let device = self.context.device.as_ref().ok_or(device::NO_DEVICE)?;
        match Box::pin(device.receive_file(Path::new(file))).await {
            Ok(update) => Ok(device.promise(&update)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether a password is wanted of the operator.
    fn is_locked(&self) -> bool {
        self.context.config().server.operator_verifier.is_set()
    }

    /// Whether this is the operator's password. A wrong one takes a while, so that few can be tried.
    async fn unlocks(&self, password: &[u8]) -> bool {
        let right = self.context.config().server.operator_verifier.verify(password);
        if !right {
            log::warn!("console: a wrong password of the operator");
            self.context.time.sleep(AFTER_A_WRONG_PASSWORD).await;
        }
        right
    }

    /// Ends the appliance, when the last words to the operator have left.
    fn end(&self, ending: Ending) {
        if let Some(device) = &self.context.device {
            device.end(ending);
        }
    }

    async fn operate(&self, act: Act, which: &Which) -> Step {
        match self.relay.operate(act, which).await {
            Ok(done) => queue::outcome(act, which, done),
            Err(error) => Step::Refuse(format!("the queue: {error}")),
        }
    }

    async fn remove_message(&self, number: u32) -> Result<(), String> {
        match self.relay.remove(number).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("message {number} is not in the queue, or on its way this very moment")),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl World for Console {
    fn config(&self) -> Rc<Config> {
        self.context.config()
    }
    fn status(&self) -> Status {
        Console::status(self)
    }
    fn board(&self) -> Option<Standing> {
        self.context.device.as_ref().map(Device::standing)
    }
    fn log(&self) -> Option<String> {
        self.context.device.as_ref().map(|device| device.board().log())
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
    fn message(&self, id: u32) -> Option<Shown> {
        self.relay.show(id)
    }
    fn retry(&self) {
        self.relay.retry_now();
    }
}

#[cfg(test)]
mod tests;
