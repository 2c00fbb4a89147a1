//! One source over all its polls: its settings, when it is due, and how its polls ended.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::time::{Duration, Instant};

use event_listener::Event;
use smol::future::or;

use super::collection::Outcome;
use super::ending::Ending;
use super::errand::Experience;
use super::letters::{Told, Trouble};
use super::notice::Letterhead;
use super::progress::Progress;
use super::schedule::{is_letter_due, pause};
use super::status::{PollResult, SourceStatus};
use super::wire::Withdrawal;
use super::{Error, permission};
use crate::clock::{Time, unix_now};
use crate::config::{Config, Interval, Source};
use crate::oauth2;

/// A source and all that is remembered of it while the appliance runs.
pub struct Watch {
    /// The account that it collects for.
    pub account: String,
    time: Time,
    source: RefCell<Rc<Source>>,
    /// Whether MultiPOP is on, for the server and for the account.
    enabled: Cell<bool>,
    /// Whether the source is no longer in the configuration.
    removed: Cell<bool>,
    /// Whether a poll is due at once, whatever the interval.
    urgent: Cell<bool>,
    /// Whether a poll is due but waits, since the clock is not set.
    waiting: Cell<bool>,
    interval: Cell<Duration>,
    history: RefCell<History>,
    polling: RefCell<Option<Rc<Withdrawal>>>,
    /// Whether its poll waits for the server to have news.
    waits_for_news: Cell<bool>,
    /// Whether the operator stopped it.
    held: Cell<bool>,
    /// What its polls have found out for later ones.
    pub experience: Experience,
    /// How far the poll under way has come.
    pub progress: Rc<Progress>,
    wake: Event,
}

/// What a user is to be told after a poll.
#[derive(Debug, PartialEq, Eq)]
pub enum Tell {
    /// Nothing.
    Nothing,
    /// Nothing is to be told, and the series of earlier letters has ended.
    Forget,
    /// This letter is to be sent, and this note is to be kept.
    Letter(String, Told),
}

/// How the polls of a source ended.
#[derive(Default)]
struct History {
    ended: Option<Instant>,
    ended_unix: Option<i64>,
    result: Option<PollResult>,
    /// See [`SourceStatus::again`].
    again: u64,
    jitter: u8,
    /// Polls in a row that failed.
    failures: u32,
    /// Polls in a row that failed, without those that failed only for lack of room.
    broken: u32,
    /// Whether the login was refused in the last poll.
    refused: bool,
    /// Polls in a row in which all but some messages came.
    partial: u32,
    /// Whether the settings were changed since the last letter.
    anew: bool,
    /// Whether it waits for a new permission.
    paused: bool,
    collected: u64,
}

impl Watch {
    /// A new source, due at once. `time` is the clock that tells when it is due again.
    pub fn new(account: &str, source: &Source, time: &Time) -> Watch {
        Watch {
            account: account.to_owned(),
            time: time.clone(),
            source: RefCell::new(Rc::new(source.clone())),
            enabled: Cell::new(false),
            removed: Cell::new(false),
            urgent: Cell::new(true),
            waiting: Cell::new(false),
            interval: Cell::new(Duration::MAX),
            history: RefCell::default(),
            polling: RefCell::default(),
            waits_for_news: Cell::new(false),
            held: Cell::new(false),
            experience: Experience::default(),
            progress: Rc::default(),
            wake: Event::new(),
        }
    }

    /// Takes in the settings. A change that matters to a poll ends the one under way and begins a new one at once;
    /// any other change moves only the time of the next poll.
    pub fn arrange(&self, config: &Config, source: &Source) {
        let account = config.account(&self.account);
        let enabled =
            config.multipop.enabled && source.enabled && account.is_some_and(|a| a.enabled && a.multipop);
        let returns = self.removed.replace(false) || (enabled && !self.enabled.get());
        let (changed, permitted) = {
            let before = self.source.borrow();
            (!before.differs_in_token_only(source), **before != *source)
        };
        self.enabled.set(enabled);
        let seconds = match source.interval {
            Interval::Every(seconds) => seconds,
            Interval::Inherited | Interval::Push => config.multipop.interval,
        };
        self.interval.set(Duration::from_secs(seconds.max(1).into()));
        if changed || permitted {
            *self.source.borrow_mut() = Rc::new(source.clone());
        }
        // A replaced refresh token is no change, except for a source that waits for a new permission.
        let resumes = permitted && self.history.borrow().paused;
        if changed || resumes {
            let mut history = self.history.borrow_mut();
            (history.failures, history.broken, history.partial) = (0, 0, 0);
            (history.refused, history.anew, history.paused) = (false, true, false);
        }
        if changed || returns || resumes {
            self.urgent.set(true);
        }
        if changed || !enabled {
            self.withdraw();
        }
        self.wake.notify(usize::MAX);
    }

    /// Takes in that the source is no longer in the configuration.
    pub fn remove(&self) {
        self.removed.set(true);
        self.withdraw();
        self.wake.notify(usize::MAX);
    }

    /// Makes a poll due at once, also after [`Watch::hold`]. False if the source is not enabled.
    pub fn hurry(&self) -> bool {
        if !self.enabled.get() || self.removed.get() {
            return false;
        }
        self.held.set(false);
        self.urgent.set(true);
        if let Some(polling) = &*self.polling.borrow() {
            polling.hurry();
        }
        self.wake.notify(usize::MAX);
        true
    }

    /// Ends the poll under way, after its commit, and begins none before [`Watch::hurry`]. False if the source is not
    /// enabled.
    pub fn hold(&self) -> bool {
        if !self.enabled.get() || self.removed.get() {
            return false;
        }
        self.held.set(true);
        self.withdraw();
        self.wake.notify(usize::MAX);
        true
    }

    /// The settings in force.
    pub fn source(&self) -> Rc<Source> {
        self.source.borrow().clone()
    }

    /// Whether it is no longer in the configuration.
    pub fn is_removed(&self) -> bool {
        self.removed.get()
    }

    /// Whether a poll is due now.
    pub fn is_due(&self) -> bool {
        !self.removed.get() && self.due_in().is_some_and(|time| time.is_zero())
    }

    /// Waits until a poll is due, or the source is removed.
    pub async fn due_or_removed(&self) {
        loop {
            let wake = self.wake.listen();
            if self.removed.get() || self.is_due() {
                return;
            }
            let timer = async {
                match self.due_in() {
                    Some(time) => self.time.sleep(time).await,
                    None => pending().await,
                }
            };
            or(wake, timer).await;
        }
    }

    /// Waits for `time`, or until there may be something else to do. The source counts as due meanwhile, and as
    /// neither polled nor failed.
    pub async fn wait_for(&self, time: impl Future<Output = ()>) {
        let wake = self.wake.listen();
        self.waiting.set(true);
        or(wake, time).await;
        self.waiting.set(false);
    }

    /// Begins a poll, which ends early when the returned withdrawal says so.
    pub fn begin(&self) -> Rc<Withdrawal> {
        let withdrawal = Rc::new(Withdrawal::default());
        *self.polling.borrow_mut() = Some(withdrawal.clone());
        self.urgent.set(false);
        self.progress.begin();
        withdrawal
    }

    /// Notes that the poll waits for the server to have news.
    pub fn waits(&self) {
        self.urgent.set(false);
        self.waits_for_news.set(true);
    }

    /// Notes that the poll has ended.
    pub fn end(&self) {
        self.waits_for_news.set(false);
        *self.polling.borrow_mut() = None;
    }

    /// Notes how a poll ended and what it did since the last note. `told` is the series of letters that the user had.
    /// Returns what the user is to be told.
    pub fn note(
        &self,
        ending: &Ending,
        outcome: &Outcome,
        config: &Config,
        jitter: u8,
        told: Option<Told>,
    ) -> Tell {
        let mut history = self.history.borrow_mut();
        history.collected += u64::from(outcome.collected);
        history.again += u64::from(outcome.again);
        if matches!(ending, Ending::Failed(Error::Withdrawn)) {
            return Tell::Nothing;
        }
        history.ended = Some(self.time.now());
        history.ended_unix = Some(unix_now());
        history.jitter = jitter;
        if outcome.at_once && !matches!(ending, Ending::Failed(_)) {
            self.urgent.set(true);
        }
        let command = permission::command(config, &self.account, &self.source(), ending);
        history.paused = command.is_some();
        let text = |error: &Error| match &command {
            Some(command) => format!("waits for a new permission: `{command}`. {error}"),
            None => format!("{} {}", error.sentence(), error.advice()),
        };
        let collected = outcome.collected;
        let (trouble, polls) = match ending {
            Ending::Well => {
                history.result = Some(PollResult::Collected(collected));
                (history.failures, history.partial, history.broken, history.refused) = (0, 0, 0, false);
                return if told.is_some() { Tell::Forget } else { Tell::Nothing };
            }
            Ending::Partly(error) => {
                let messages = outcome.troubled.max(1);
                history.result = Some(PollResult::Partly { error: text(error), messages, collected });
                (history.failures, history.broken, history.refused) = (0, 0, false);
                history.partial = history.partial.saturating_add(1);
                (Trouble::Messages, history.partial)
            }
            Ending::Full(error) | Ending::Failed(error) => {
                history.result = Some(PollResult::Failed { error: text(error), collected });
                history.failures = history.failures.saturating_add(1);
                history.broken =
                    if matches!(ending, Ending::Full(_)) { 0 } else { history.broken.saturating_add(1) };
                history.refused = error.is_a_refused_login();
                history.partial = 0;
                (Trouble::of(error), history.failures)
            }
        };
        // A change of the settings ends the series of letters, whatever comes of the change.
        let had = told.filter(|_| !std::mem::take(&mut history.anew));
        let now = unix_now();
        if let Some(command) = &command {
            return self.tell_of_permission(
                ending,
                command,
                config,
                had.filter(|had| had.trouble == trouble),
            );
        }
        if !is_letter_due(trouble, polls, config.multipop.warn_after, had.as_ref(), now) {
            return if had == told { Tell::Nothing } else { Tell::Forget };
        }
        let count = had.filter(|had| had.trouble == trouble).map_or(0, |had| had.count).saturating_add(1);
        let letterhead = Letterhead::new(config, &self.account, &self.source());
        let letter = match ending {
            Ending::Partly(error) => letterhead.partly(outcome.troubled.max(1), error, count, now),
            Ending::Full(error) | Ending::Failed(error) => letterhead.failing(polls, error, count, now),
            Ending::Well => return Tell::Nothing,
        };
        Tell::Letter(letter, Told { trouble, count, at: now })
    }

    /// What to tell the user about a missing permission. An ended one is told at once, since only a person can help.
    /// A source that never had one is not told of: the person who is setting it up knows.
    fn tell_of_permission(&self, ending: &Ending, command: &str, config: &Config, had: Option<Told>) -> Tell {
        let (trouble, now) = (Trouble::Permission, unix_now());
        let patience = config.multipop.warn_after.min(1);
        match ending {
            Ending::Failed(error @ Error::Token(oauth2::Error::Ended(_)))
                if is_letter_due(trouble, 1, patience, had.as_ref(), now) =>
            {
                let count = had.map_or(0, |had| had.count).saturating_add(1);
                let letterhead = Letterhead::new(config, &self.account, &self.source());
                Tell::Letter(letterhead.permission(command, error, now), Told { trouble, count, at: now })
            }
            _ => Tell::Nothing,
        }
    }

    /// The status for the operator.
    pub fn status(&self) -> SourceStatus {
        let history = self.history.borrow();
        let polling = self.polling.borrow().is_some();
        let due_in = if polling { None } else { self.due_in() };
        SourceStatus {
            enabled: self.enabled.get(),
            held: self.held.get(),
            polling,
            waits_for_news: self.waits_for_news.get(),
            going: if polling { self.progress.going(self.time.now()) } else { None },
            waiting_for_time: self.waiting.get(),
            last_poll: history.ended_unix,
            last_result: history.result.clone(),
            next_poll: due_in.map(|time| unix_now().saturating_add_unsigned(time.as_secs())),
            failures: history.failures,
            collected: history.collected,
            again: history.again,
            ..SourceStatus::unknown(&self.account, &self.source())
        }
    }

    /// How long until the next poll is due; `None` for never.
    fn due_in(&self) -> Option<Duration> {
        if !self.enabled.get() || self.held.get() {
            return None;
        }
        let history = self.history.borrow();
        let Some(ended) = history.ended else { return Some(Duration::ZERO) };
        if history.paused && !self.urgent.get() {
            return None;
        }
        // A server turns earlier logins away, also when the operator asks for a poll.
        let least = self.experience.quirks.pause();
        let pause = match self.urgent.get() {
            true => least,
            false => pause(self.interval.get(), history.broken, history.refused, history.jitter).max(least),
        };
        Some(pause.saturating_sub(self.time.since(ended)))
    }

    fn withdraw(&self) {
        if let Some(withdrawal) = &*self.polling.borrow() {
            withdrawal.withdraw();
        }
    }
}
