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

/// What is done with it.
pub type Waits<'w> = Pin<Box<dyn Future<Output = ()> + 'w>>;

/// One poll of one source.
pub struct Errand<'e, 'w> {
    /// Whose mail it is.
    pub account: Rc<Account>,
    /// Where it is.
    pub source: &'e Source,
    /// The settings in force.
    pub config: &'e Config,
    /// What earlier polls have found out.
    pub experience: &'e Experience,
    /// Places for transfers.
    pub places: &'e Places,
    /// The clock.
    pub time: &'e Time,
    /// What comes this moment, of all sources.
    pub twins: &'e Twins,
    /// For who looks on.
    pub progress: Rc<Progress>,
    /// Is told what was done, before the server is waited for to have news.
    pub waits: &'e dyn Fn(Outcome) -> Waits<'w>,
}

impl Errand<'_, '_> {
    /// What this poll brings from `folder`.
    pub fn collection(&self, folder: &str) -> Collection {
        let key = source_key(self.source, folder);
        let needs = self.experience.needs(key);
        let mut collection =
            Collection::new(self.account.clone(), self.source, key, self.config, needs, self.time);
        collection.progress = self.progress.clone();
        if self.source.dedupe {
            collection.look_for(self.twins.clone());
        }
        collection
    }
}

/// What polls of one source have found out; clones are the same. Nothing of it outlives the process.
#[derive(Debug, Clone, Default)]
pub struct Experience {
    folders: Rc<RefCell<BTreeMap<SourceKey, Needs>>>,
    /// About the server.
    pub manners: Manners,
}

impl Experience {
    /// About the messages of a folder.
    pub fn needs(&self, folder: SourceKey) -> Needs {
        self.folders.borrow_mut().entry(folder).or_default().clone()
    }
}

/// The manners of a server; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Manners(Rc<Known>);

#[derive(Debug, Default)]
struct Known {
    slow: Cell<bool>,
    pause: Cell<Duration>,
    habit: Habit,
    /// Each with whether a poll has gone well without it.
    avoided: RefCell<BTreeMap<Feature, bool>>,
}

/// What can be done without, where a server hangs up on it. UIDL is not: without it messages are known by other identities, and a
/// line that breaks by chance would give everything twice.
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

impl Manners {
    /// From now on one request waits for the other: PIPELINING may be a lie.
    pub fn slow_down(&self) {
        self.0.slow.set(true);
    }

    /// Whether it does.
    pub fn is_slow(&self) -> bool {
        self.0.slow.get()
    }

    /// What its logins have found out.
    pub fn habit(&self) -> Habit {
        self.0.habit.clone()
    }

    /// The server wants so much time between two logins (RFC 2449 section 6.5).
    pub fn wants_pause(&self, pause: Duration) {
        self.0.pause.set(pause.min(LONGEST_PAUSE));
    }

    /// How much.
    pub fn pause(&self) -> Duration {
        self.0.pause.get()
    }

    /// The server hangs up on `feature`: whether that is news.
    fn avoid(&self, feature: Feature) -> bool {
        self.0.avoided.borrow_mut().insert(feature, false).is_none()
    }

    /// Whether it is to be done without it.
    pub fn avoids(&self, feature: Feature) -> bool {
        self.0.avoided.borrow().contains_key(&feature)
    }

    /// A login or a poll has ended so, and the server had been asked `asked` last: whether it is worth trying again, without that.
    /// Where the server has hung up all the same, it was not that.
    pub fn tries_without<T>(&self, ended: &Result<T, Error>, asked: Option<Feature>) -> bool {
        let hung_up = ended.as_ref().is_err_and(Error::is_a_hang_up);
        let tries = hung_up && asked.is_some_and(|feature| self.avoid(feature));
        if hung_up && !tries {
            self.0.avoided.borrow_mut().retain(|_, proved| *proved);
        }
        tries
    }

    /// A poll went well as it was done.
    pub fn prove(&self) {
        self.0.avoided.borrow_mut().values_mut().for_each(|proved| *proved = true);
    }
}
