//! Settings on trial: in force at once, not stored, and taken back unless somebody says in time that they are right. For changes
//! that may shut out whoever makes them. A restart, or a power cut, takes them back too.

use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::future::or;

use super::Operator;
use super::status::span;
use crate::config::Config;

/// How long settings stay on trial where nobody says otherwise.
pub const TRIAL: Duration = Duration::from_secs(5 * 60);

impl Operator {
    /// Puts in force what was made from `base`, as [`Operator::commit`] does, for `time`.
    ///
    /// # Errors
    /// As [`Operator::commit`].
    pub async fn try_out(&self, base: &Rc<Config>, candidate: Config, time: Duration) -> Result<(), String> {
        let _one_at_a_time = self.commits.lock().await;
        let candidate = self.made_from(base, candidate)?;
        self.appliance.try_out(candidate).await?;
        log::warn!("settings are on trial for {}", span(time.as_secs()));
        self.trial.set(Some(self.context.time.now() + time));
        self.trial_changed.notify(usize::MAX);
        Ok(())
    }

    /// What is on trial stays: whether anything was.
    ///
    /// # Errors
    /// It cannot be stored, and stays on trial.
    pub async fn confirm(&self) -> Result<bool, String> {
        let _one_at_a_time = self.commits.lock().await;
        if self.trial.get().is_none() {
            return Ok(false);
        }
        self.appliance.apply(Config::clone(&self.context.config())).await?;
        self.trial.set(None);
        log::info!("the settings on trial are confirmed");
        Ok(true)
    }

    /// For how long what is in force is still on trial.
    pub fn on_trial(&self) -> Option<Duration> {
        let until = self.trial.get()?;
        Some(until.saturating_duration_since(self.context.time.now()))
    }

    /// Takes settings back whose time is over, for ever.
    pub async fn run(&self) {
        loop {
            let changed = self.trial_changed.listen();
            let Some(until) = self.trial.get() else {
                changed.await;
                continue;
            };
            let time = until.saturating_duration_since(self.context.time.now());
            or(self.context.time.sleep(time), changed).await;
            self.take_back(self.context.time.now()).await;
        }
    }

    async fn take_back(&self, now: Instant) {
        let _one_at_a_time = self.commits.lock().await;
        if self.trial.get().is_none_or(|until| now < until) {
            return;
        }
        self.trial.set(None);
        match self.appliance.reload().await {
            Ok(()) => {
                log::warn!("nobody confirmed the settings on trial: those before them are in force again")
            }
            Err(error) => log::error!("the settings on trial cannot be taken back: {error}"),
        }
    }
}
