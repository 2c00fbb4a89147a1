//! The way through the smarthost.
//!
//! [`super::lines`] decides how many connections there are. A connection has one login, and takes the messages that
//! are due with it until none is left, those of each submitter in their order. The settings are looked at anew for
//! each connection and after each message.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use smol::LocalExecutor;
use smol::future::or;

use super::delivery::has_news;
use super::entry::{Attempt, Entry, Submitter, Work};
use super::index::LARGE;
use super::lines::Line;
use super::queue::Claim;
use super::{Relay, permission};
use crate::clock::unix_now;
use crate::config::{Config, Security, SourceAuth};
use crate::outgoing::{Credentials, Habit, Proof};
use crate::pace;
use crate::smtp::client::Failure;

/// Messages whose failed attempt is written down in one commit, at most.
const AT_ONCE: usize = 64;
/// The shortest time in seconds between two occasions when everything that waits is tried because a message got
/// through.
const TRY_ALL_AGAIN: u64 = 60;

/// The connections that a login may have.
fn connections(config: &Config) -> usize {
    usize::try_from(config.smarthost.connections).unwrap_or(usize::MAX).max(1)
}

/// The credentials that the smarthost gets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Login {
    /// The credentials in `[smarthost]`.
    Global,
    /// The credentials of the account with this name.
    Account(String),
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Login::Global => f.write_str("smarthost"),
            Login::Account(name) => write!(f, "smarthost, login of account {name}"),
        }
    }
}

impl Login {
    /// The login with which messages of `submitter` are sent: the account's own, if it has one and may use it.
    /// `None`: they are not sent, since the account is gone or disabled.
    pub(super) fn of(submitter: Submitter, config: &Config) -> Option<Login> {
        let Submitter::Account(id) = submitter else { return Some(Login::Global) };
        let account = config.account_by_id(id).filter(|account| account.enabled)?;
        let own = config.smarthost.per_account_authentication && !account.smarthost_password.is_empty();
        Some(if own { Login::Account(account.name.to_string()) } else { Login::Global })
    }

    /// The credentials of the login; `None` where the smarthost needs no login.
    pub(super) fn credentials(&self, config: &Config) -> Option<Credentials> {
        match self {
            Login::Global => {
                let smarthost = &config.smarthost;
                (!smarthost.username.is_empty()).then(|| Credentials {
                    username: smarthost.username.to_string(),
                    proof: Proof::Password(smarthost.password.clone(), smarthost.auth),
                    habit: Habit::default(),
                })
            }
            Login::Account(name) => config.account(name).map(|account| {
                // The access token belongs to the global login; an account has a password.
                let auth = match config.smarthost.auth {
                    SourceAuth::OAuth2 => SourceAuth::Auto,
                    auth => auth,
                };
                let password = account.smarthost_password.clone();
                let proof = Proof::Password(password, auth);
                Credentials { username: account.smarthost_login().to_owned(), proof, habit: Habit::default() }
            }),
        }
    }
}

impl Relay {
    /// Sends what is due to the smarthost, for ever: opens the connections that are needed, and runs them.
    pub(super) async fn courier(&self) {
        let connections = LocalExecutor::new();
        let dispatch = async {
            loop {
                let changed = self.queue.changed();
                self.queue.tick();
                match self.next_line() {
                    Some((line, claim)) => {
                        connections.spawn(Box::pin(self.run_connection(line, claim))).detach();
                    }
                    None => {
                        let waits = self.queue.index().ready().next().is_some();
                        let rest = self.rest(changed, self.lines.ask_again(waits));
                        or(rest, self.context.clock.comes()).await;
                    }
                }
            }
        };
        pace::run(&connections, dispatch).await
    }

    /// Whether no message may go out now. Without the time no certificate can be judged: the messages wait, and that
    /// does not count as an attempt.
    pub(super) fn is_paused(&self, config: &Config) -> bool {
        let judges = config.smarthost.security != Security::None || permission::client(config).is_some();
        self.standing.is_ending() || self.stands_still() || !self.context.clock.is_known() && judges
    }

    /// A connection that is needed, with its first message.
    fn next_line(&self) -> Option<(Line<'_>, Claim<'_>)> {
        let config = self.context.config();
        if self.is_paused(&config) {
            return None;
        }
        let mut ready = BTreeMap::new();
        for (submitter, waiting) in self.queue.index().ready() {
            if let Some(login) = Login::of(submitter, &config) {
                *ready.entry(login).or_insert(0) += waiting;
            }
        }
        let most = connections(&config);
        let needed = ready.into_iter().filter(|(login, ready)| self.lines.wants_one(login, *ready, most));
        for (login, _) in needed {
            let line = self.lines.open(login);
            if let Some(claim) = self.next_of(&line, &config) {
                return Some((line, claim));
            }
        }
        None
    }

    /// The next message for this connection.
    pub(super) fn next_of(&self, line: &Line<'_>, config: &Config) -> Option<Claim<'_>> {
        let large = self.lines.takes_large(line.login(), connections(config));
        let is_its = |submitter| {
            Login::of(submitter, config).as_ref() == Some(line.login())
                && !self.lines.leaves_to_another(submitter, line)
        };
        let claim = self.queue.next_outside(is_its, line.number(), large)?;
        line.carries(claim.entry.submitter, claim.size >= LARGE.into());
        Some(claim)
    }

    /// Whether the settings are unchanged, apart from refresh tokens that were replaced.
    pub(super) fn is_current(&self, config: &Rc<Config>) -> bool {
        let now = self.context.config();
        Rc::ptr_eq(config, &now) || config.differs_in_tokens_only(&now)
    }

    /// Takes in that no connection could be made: it counts as a failed attempt for all messages of this login. They
    /// wait. A refused login is never replaced by another one.
    pub(super) async fn turned_away(
        &self,
        line: &Line<'_>,
        first: Claim<'_>,
        failure: &Failure,
        config: &Rc<Config>,
    ) {
        self.did_not_get_through(line.login(), failure);
        self.note_trouble(line.login(), failure).await;
        if !self.is_current(config) {
            // The settings have changed: the messages are tried at once with the new ones.
            return;
        }
        let is_its = |submitter| Login::of(submitter, config).as_ref() == Some(line.login());
        let waiting = |(submitter, n)| if is_its(submitter) { n } else { 0 };
        let mut left: usize = self.queue.index().ready().map(waiting).sum();
        let mut claims = vec![first];
        loop {
            for claim in &mut claims {
                self.postpone(&mut claim.entry, config, &failure.to_string());
            }
            if self.queue.save(&claims).await {
                for claim in claims.drain(..).filter(|claim| has_news(&claim.entry)) {
                    self.write_outcome(claim).await;
                }
            }
            // Messages that come meanwhile get an attempt of their own.
            let more = std::iter::from_fn(|| self.queue.next_outside(is_its, line.number(), true));
            claims = more.take(left.min(AT_ONCE)).collect();
            left = left.saturating_sub(claims.len());
            if claims.is_empty() {
                return;
            }
        }
    }

    /// Notes that a message got through. If the smarthost was out of reach before, everything that waits is tried at
    /// once, but not too often.
    pub(super) fn got_through(&self) {
        if self.failing.take() {
            self.try_all();
        }
    }

    /// Tries everything that waits, since the smarthost may be in reach again.
    pub(super) fn try_all(&self) {
        let now = unix_now();
        if now.abs_diff(self.tried_all.get()) >= TRY_ALL_AGAIN {
            self.tried_all.set(now);
            let config = self.context.config();
            let refused = self.refused.borrow().clone();
            // A login that is refused is tried by its schedule only: some providers lock accounts.
            self.queue.hasten(|it| Login::of(it, &config).is_some_and(|login| !refused.contains(&login)));
        }
    }

    /// Notes what a failure means for messages that wait: a smarthost out of reach comes back for all logins at once,
    /// a refused password concerns one login.
    pub(super) fn did_not_get_through(&self, login: &Login, failure: &Failure) {
        match failure {
            Failure::Login(_) | Failure::Settings(_) | Failure::Token(_) => {
                self.refused.borrow_mut().insert(login.clone());
            }
            Failure::Unavailable(_) | Failure::Busy(_) => self.failing.set(true),
            Failure::Again(_) => {}
        }
    }

    /// Notes a failed attempt for all recipients that are due.
    pub(super) fn postpone(&self, entry: &mut Entry, config: &Config, trouble: &str) {
        let (since, now) = (entry.since, unix_now());
        entry.happened(now, trouble);
        for recipient in entry.due(Work::Smarthost, config, now) {
            let failed = Attempt::failed(now, &config.smarthost.host, trouble);
            recipient.postpone(failed, since, &config.smarthost);
            recipient.spread(now, self.jitter);
        }
    }

    /// Notes a trouble for the operator, and sends the letters about it.
    pub(super) async fn note_trouble(&self, login: &Login, failure: &Failure) {
        log::warn!("{login}: {failure}");
        self.troubles.borrow_mut().insert(login.clone(), failure.to_string());
        self.tell_of(login, failure).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Account, Secret};

    /// Catches: a smarthost's `auth` that is not used, and an account that is to log in with the access token of the
    /// global login.
    #[test]
    fn the_way_to_log_in_is_the_smarthost_s_but_a_permission_is_of_one_login() {
        let account = Account {
            name: "ann".try_into().unwrap(),
            smarthost_password: Secret::new("hush").unwrap(),
            ..Account::default()
        };
        let mut config = Config { accounts: vec![account], ..Config::default() };
        config.smarthost.username = "home".try_into().unwrap();
        for (auth, of_account) in [
            (SourceAuth::Auto, SourceAuth::Auto),
            (SourceAuth::Login, SourceAuth::Login),
            (SourceAuth::OAuth2, SourceAuth::Auto),
        ] {
            config.smarthost.auth = auth;
            let way = |login: Login| match login.credentials(&config).unwrap().proof {
                Proof::Password(_, auth) => auth,
                Proof::Token(_) => panic!("a token"),
            };
            assert_eq!((way(Login::Global), way(Login::Account("ann".into()))), (auth, of_account));
        }
    }
}
