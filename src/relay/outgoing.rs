//! The way through the smarthost.
//!
//! [`super::lines`] tells how many connections there are. A connection has one login, and takes what is due with it, the messages
//! of each submitter in their order, until nothing is left. Settings are looked at anew for each connection, and after each message.

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

/// Messages whose attempt is written down in one commit.
const AT_ONCE: usize = 64;
/// Seconds until all that waits is tried once more because one got through.
const TRY_ALL_AGAIN: u64 = 60;

/// Connections that a login may have.
fn connections(config: &Config) -> usize {
    usize::try_from(config.smarthost.connections).unwrap_or(usize::MAX).max(1)
}

/// Whose credentials the smarthost gets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Login {
    /// Those of `[smarthost]`.
    Global,
    /// Those of the account of this name.
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
    /// The login that messages of `submitter` are sent with: the account's own, where that has one and may use it. `None`: with
    /// none, since the account is gone, or may do nothing for now.
    pub(super) fn of(submitter: Submitter, config: &Config) -> Option<Login> {
        let Submitter::Account(id) = submitter else { return Some(Login::Global) };
        let account = config.account_by_id(id).filter(|account| account.enabled)?;
        let own = config.smarthost.per_account_authentication && !account.smarthost_password.is_empty();
        Some(if own { Login::Account(account.name.to_string()) } else { Login::Global })
    }

    /// `None` where no login is needed.
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
                // The permission is the global login's own; an account has a password.
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
    /// Takes what is due to the smarthost, forever: sees who needs a connection, and runs those that there are.
    pub(super) async fn courier(&self) {
        let connections = LocalExecutor::new();
        let dispatch = async {
            loop {
                let changed = self.queue.changed();
                self.queue.tick();
                match self.next_line() {
                    Some((line, claim)) => {
                        connections.spawn(Box::pin(self.converse(line, claim))).detach();
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

    /// Whether nothing goes out now. A certificate cannot be judged without the time: the messages wait, and that is no attempt.
    pub(super) fn goes_nothing(&self, config: &Config) -> bool {
        let judges = config.smarthost.security != Security::None || permission::client(config).is_some();
        self.standing.is_ending() || self.stands_still() || !self.context.clock.is_known() && judges
    }

    /// A connection that is needed, and its first message.
    fn next_line(&self) -> Option<(Line<'_>, Claim<'_>)> {
        let config = self.context.config();
        if self.goes_nothing(&config) {
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

    /// Whether what a person has set is still so: a refresh token may have been replaced meanwhile.
    pub(super) fn is_current(&self, config: &Rc<Config>) -> bool {
        let now = self.context.config();
        Rc::ptr_eq(config, &now) || config.differs_in_tokens_only(&now)
    }

    /// No connection, so none of the messages of this login gets anywhere. They wait; that the login
    /// was refused is no reason to use another one.
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
            // With settings that are not in force any more: it is tried again at once with the new ones.
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
                    self.settle(claim).await;
                }
            }
            // What comes meanwhile has its own attempt.
            let more = std::iter::from_fn(|| self.queue.next_outside(is_its, line.number(), true));
            claims = more.take(left.min(AT_ONCE)).collect();
            left = left.saturating_sub(claims.len());
            if claims.is_empty() {
                return;
            }
        }
    }

    /// A message got through. Where the smarthost was out of reach before, everything that waits is tried at once; but not more than
    /// once in a while.
    pub(super) fn got_through(&self) {
        if self.failing.take() {
            self.try_all();
        }
    }

    /// The way may be open again.
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

    /// What a failure means for what waits: for a way that is closed it opens again for all at once, which a wrong password does not.
    pub(super) fn did_not_get_through(&self, login: &Login, failure: &Failure) {
        match failure {
            Failure::Login(_) | Failure::Settings(_) | Failure::Token(_) => {
                self.refused.borrow_mut().insert(login.clone());
            }
            Failure::Unavailable(_) | Failure::Busy(_) => self.failing.set(true),
            Failure::Again(_) => {}
        }
    }

    /// Another attempt failed for all that is due.
    pub(super) fn postpone(&self, entry: &mut Entry, config: &Config, trouble: &str) {
        let (since, now) = (entry.since, unix_now());
        entry.happened(now, trouble);
        for recipient in entry.due(Work::Smarthost, config, now) {
            let failed = Attempt::failed(now, &config.smarthost.host, trouble);
            recipient.postpone(failed, since, &config.smarthost);
            recipient.spread(now, self.jitter);
        }
    }

    /// Tells the operator, and by mail whom it concerns.
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

    /// Catches: a smarthost's `auth` that is not used, and an account that is to log in with the permission of another login.
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
