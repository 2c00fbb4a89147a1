//! What a poll is for, and what polls of one source have found out for those that follow.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use super::Error;
use super::collection::{Collection, Outcome};
use super::ledger::source_key;
use super::needs::Needs;
use super::places::Places;
use super::progress::Progress;
use super::twins::Twins;
use crate::clock::Time;
use crate::config::{Config, Source};
use crate::outgoing::Habit;
use crate::store::{Account, SourceKey};

/// The longest pause between logins that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// The future that handles what was done before the wait for news.
pub type Waits<'w> = Pin<Box<dyn Future<Output = ()> + 'w>>;

/// One poll of one source.
pub struct Errand<'e, 'w> {
    /// The account that the mail is for.
    pub account: Rc<Account>,
    /// The source to poll.
    pub source: &'e Source,
    /// The settings in force.
    pub config: &'e Config,
    /// What earlier polls of the source have found out.
    pub experience: &'e Experience,
    /// Places for transfers.
    pub places: &'e Places,
    /// The clock.
    pub time: &'e Time,
    /// The messages that sources are bringing right now, for `dedupe`.
    pub twins: &'e Twins,
    /// How far the poll has come, for the operator.
    pub progress: Rc<Progress>,
    /// Is given what was done so far, before the poll waits for the server to have news.
    pub waits: &'e dyn Fn(Outcome) -> Waits<'w>,
}

impl Errand<'_, '_> {
    /// The collection of `folder` in this poll.
    pub fn collection(&self, folder: &str) -> Collection {
        let key = source_key(self.source, folder);
        let needs = self.experience.needs(key);
        let mut collection =
            Collection::new(self.account.clone(), self.source, key, self.config, needs, self.time);
        collection.progress = self.progress.clone();
        if self.source.dedupe {
            collection.leave_out_duplicates(self.twins.clone());
        }
        collection
    }
}

/// What polls of one source have found out. Clones share it. It ends with the process.
#[derive(Debug, Clone, Default)]
pub struct Experience {
    folders: Rc<RefCell<BTreeMap<SourceKey, Needs>>>,
    /// The folder at which the latest poll broke off, and whether all of it had come by then.
    broken: Rc<RefCell<Option<(String, bool)>>>,
    /// What is known of the server.
    pub quirks: ServerQuirks,
}

impl Experience {
    /// The folders in the order in which they are visited. The first one comes last: the session then stays in it to wait
    /// for news. The one at which the latest poll broke off must not keep the others away.
    pub fn order<'f>(&self, folders: &'f [String]) -> Vec<&'f str> {
        let broken = self.broken.borrow();
        let (last, others): (Vec<_>, Vec<_>) =
            folders.iter().rev().partition(|folder| broken.as_ref().is_some_and(|(it, _)| it == *folder));
        others.into_iter().chain(last).map(String::as_str).collect()
    }

    /// Whether the latest poll broke off at this folder before everything had come: then a poll that does as much before
    /// its deletions would break off there again.
    pub fn breaks_at(&self, folder: &str) -> bool {
        self.broken.borrow().as_ref().is_some_and(|(it, has_come)| it == folder && !has_come)
    }

    /// Notes at which folder a poll broke off, if it did.
    pub fn ended(&self, broken: Option<(&str, &Error)>) {
        let broken = broken.filter(|(_, error)| error.is_of_the_server());
        *self.broken.borrow_mut() =
            broken.map(|(folder, error)| (folder.to_owned(), error.is_of_deletions()));
    }

    /// What is known of the messages of a folder.
    pub fn needs(&self, folder: SourceKey) -> Needs {
        self.folders.borrow_mut().entry(folder).or_default().clone()
    }
}

/// What is known of a server's behaviour. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct ServerQuirks(Rc<Known>);

#[derive(Debug, Default)]
struct Known {
    slow: Cell<bool>,
    pause: Cell<Duration>,
    habit: Habit,
    /// The features that are avoided, each with whether a poll has gone well without it.
    avoided: RefCell<BTreeMap<Feature, bool>>,
}

/// A feature that a poll can do without if the server hangs up on it, or has no answer to it. UIDL is not among them: without it messages are
/// known by other identities, so a line that breaks by chance would bring every message twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the command of that name")]
pub enum Feature {
    /// CAPA, and CAPABILITY.
    Capabilities,
    /// AUTH, and AUTHENTICATE.
    Sasl,
    Stat,
    Top,
    Id,
}

impl ServerQuirks {
    /// Sends one request at a time from now on: the server's PIPELINING may not work.
    pub fn slow_down(&self) {
        self.0.slow.set(true);
    }

    /// Whether one request is sent at a time.
    pub fn is_slow(&self) -> bool {
        self.0.slow.get()
    }

    /// What the logins at this server have found out.
    pub fn habit(&self) -> Habit {
        self.0.habit.clone()
    }

    /// Notes that the server wants this much time between two logins (RFC 2449 section 6.5).
    pub fn wants_pause(&self, pause: Duration) {
        self.0.pause.set(pause.min(LONGEST_PAUSE));
    }

    /// The time that the server wants between two logins.
    pub fn pause(&self) -> Duration {
        self.0.pause.get()
    }

    /// Avoids `feature`, on which the server hangs up. Returns whether that is new.
    fn avoid(&self, feature: Feature) -> bool {
        self.0.avoided.borrow_mut().insert(feature, false).is_none()
    }

    /// Whether `feature` is avoided.
    pub fn avoids(&self, feature: Feature) -> bool {
        self.0.avoided.borrow().contains_key(&feature)
    }

    /// Whether a login or a poll that `ended` is worth trying again at once without `asked`, the feature that the
    /// server had been asked for last. A feature without which the server still hangs up is not to blame, and is used
    /// again.
    pub fn tries_without<T>(&self, ended: &Result<T, Error>, asked: Option<Feature>) -> bool {
        let hung_up = ended.as_ref().is_err_and(Error::is_a_hang_up);
        let broke = hung_up || ended.as_ref().is_err_and(Error::is_no_answer);
        // Somebody in between who answers a mechanism with nonsense must not be shown the password for it.
        let is_to_blame = |feature| if feature == Feature::Sasl { hung_up } else { broke };
        let tries = asked.is_some_and(|feature| is_to_blame(feature) && self.avoid(feature));
        if broke && !tries {
            self.0.avoided.borrow_mut().retain(|_, proved| *proved);
        }
        tries
    }

    /// Notes that a poll went well without the features that are avoided.
    pub fn prove(&self) {
        self.0.avoided.borrow_mut().values_mut().for_each(|proved| *proved = true);
    }
}
