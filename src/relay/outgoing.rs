//! The way through the smarthost.
//!
//! Two couriers go there, so that there are two connections at the most. A courier takes a login, all
//! that is due for it goes over one connection, and no other courier uses that login meanwhile.
//! Settings are looked at anew for each connection, and after each message.

use std::fmt;
use std::rc::Rc;

use smol::future::or;

use super::delivery::{has_news, take, unreadable};
use super::entry::{Attempt, Entry, Work};
use super::queue::Claim;
use super::{Relay, permission};
use crate::clock::unix_now;
use crate::config::{Config, Security, SourceAuth};
use crate::outgoing::{Credentials, Habit, Proof};
use crate::smtp::Mailbox;
use crate::smtp::client::{Client, Failure, Message};

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
    /// The login that a message is sent with: its account's own, where that has one and may use it.
    fn of(entry: &Entry, config: &Config) -> Login {
        match entry.submitter.account(config) {
            Some(account)
                if config.smarthost.per_account_authentication && !account.smarthost_password.is_empty() =>
            {
                Login::Account(account.name.to_string())
            }
            _ => Login::Global,
        }
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
                let own = &account.smarthost_username;
                let username = if own.is_empty() { &account.address } else { own };
                // The permission is the global login's own; an account has a password.
                let auth = match config.smarthost.auth {
                    SourceAuth::OAuth2 => SourceAuth::Auto,
                    auth => auth,
                };
                let password = account.smarthost_password.clone();
                let proof = Proof::Password(password, auth);
                Credentials { username: username.to_string(), proof, habit: Habit::default() }
            }),
        }
    }
}

/// A login that a courier talks to the smarthost with.
struct Talk<'a> {
    relay: &'a Relay,
    login: Login,
}

impl Drop for Talk<'_> {
    fn drop(&mut self) {
        self.relay.talking.borrow_mut().remove(&self.login);
        self.relay.queue.wake();
    }
}

impl Relay {
    /// Takes what is due to the smarthost, forever.
    pub(super) async fn courier(&self) {
        loop {
            let changed = self.queue.changed();
            match self.next_talk() {
                Some((talk, claim)) => Box::pin(self.converse(talk, claim)).await,
                None => {
                    let rest = self.rest(changed, Work::Smarthost);
                    or(rest, self.context.clock.comes()).await;
                }
            }
        }
    }

    /// The oldest message that is due with a login that no courier uses.
    fn next_talk(&self) -> Option<(Talk<'_>, Claim<'_>)> {
        if self.standing.is_ending() {
            return None;
        }
        let (config, now) = (self.context.config(), unix_now());
        // A certificate cannot be judged: the messages wait, and that is no attempt.
        let judges = config.smarthost.security != Security::None || permission::client(&config).is_some();
        if !self.context.clock.is_known() && judges {
            return None;
        }
        if self.stands_still() {
            return None;
        }
        let wanted = |_, entry: &mut Entry| {
            entry.due(Work::Smarthost, &config, now).next().is_some()
                && !self.talking.borrow().contains(&Login::of(entry, &config))
        };
        let claim = self.queue.claims(wanted).next()?;
        let login = Login::of(&claim.entry, &config);
        self.talking.borrow_mut().insert(login.clone());
        Some((Talk { relay: self, login }, claim))
    }

    /// All other messages that are due with this login.
    fn due_with<'a>(&'a self, login: &Login, config: &Config) -> impl Iterator<Item = Claim<'a>> {
        let now = unix_now();
        self.queue.claims(move |_, entry| {
            entry.due(Work::Smarthost, config, now).next().is_some() && Login::of(entry, config) == *login
        })
    }

    /// One connection: all that is due with one login.
    async fn converse(&self, talk: Talk<'_>, first: Claim<'_>) {
        let config = self.context.config();
        let mut client = match self.connect(&talk.login, &config).await {
            Ok(client) => client,
            Err(failure) => return self.turned_away(&talk.login, first, &failure, &config).await,
        };
        self.troubles.borrow_mut().remove(&talk.login);
        self.login_works(&talk.login).await;
        let mut next = Some(first);
        while let Some(claim) = next.filter(|_| !self.standing.is_ending()) {
            if let Err(failure) = self.hand_over(&mut client, claim, &config).await {
                self.note_trouble(&talk.login, &failure).await;
                return;
            }
            let goes_on = self.is_current(&config) && !self.stands_still();
            next = if goes_on { self.due_with(&talk.login, &config).next() } else { None };
        }
        // Who has a new message with this login need not wait for the goodbye.
        drop(talk);
        client.quit().await;
    }

    /// Whether what a person has set is still so: a refresh token may have been replaced meanwhile.
    fn is_current(&self, config: &Rc<Config>) -> bool {
        let now = self.context.config();
        Rc::ptr_eq(config, &now) || config.differs_in_tokens_only(&now)
    }

    /// No connection, so none of the messages of this login gets anywhere. They wait; that the login
    /// was refused is no reason to use another one.
    async fn turned_away(&self, login: &Login, first: Claim<'_>, failure: &Failure, config: &Rc<Config>) {
        self.note_trouble(login, failure).await;
        if !self.is_current(config) {
            // With settings that are not in force any more: it is tried again at once with the new ones.
            return;
        }
        let mut claims: Vec<_> = std::iter::once(first).chain(self.due_with(login, config)).collect();
        for claim in &mut claims {
            postpone(&mut claim.entry, config, &failure.to_string());
        }
        if self.queue.save(&claims).await {
            for claim in claims.into_iter().filter(|claim| has_news(&claim.entry)) {
                self.settle(claim).await;
            }
        }
    }

    /// Tells the operator, and by mail whom it concerns.
    async fn note_trouble(&self, login: &Login, failure: &Failure) {
        log::warn!("{login}: {failure}");
        self.troubles.borrow_mut().insert(login.clone(), failure.to_string());
        self.tell_of(login, failure).await;
    }

    /// Sends one message. After an error the connection is of no more use.
    async fn hand_over(
        &self,
        client: &mut Client,
        mut claim: Claim<'_>,
        config: &Rc<Config>,
    ) -> Result<(), Failure> {
        let _in_doubt = self.standing.hands_over();
        let due = claim.entry.due(Work::Smarthost, config, unix_now());
        let recipients: Vec<Mailbox> = due.map(|recipient| recipient.mailbox.clone()).collect();
        let (entry, size) = (&claim.entry, claim.size);
        let sent = match claim.body().await {
            Ok(body) => {
                let message = Message {
                    sender: &entry.sender,
                    recipients: &recipients,
                    size,
                    eight_bit: entry.eight_bit,
                };
                client.send(message, &body).await
            }
            Err(error) => Ok(vec![unreadable(&error); recipients.len()]),
        };
        match &sent {
            Ok(replies) => {
                for (recipient, reply) in recipients.iter().zip(replies) {
                    log::info!("queue {}: <{recipient}>: {reply}", claim.uid());
                    take(&mut claim.entry, recipient, reply, &config.smarthost.host, false, config);
                }
            }
            Err(_) if !self.is_current(config) => return sent.map(drop),
            Err(failure) => postpone(&mut claim.entry, config, &failure.to_string()),
        }
        self.settle(claim).await;
        sent.map(drop)
    }
}

/// Another attempt failed for all that is due.
fn postpone(entry: &mut Entry, config: &Config, trouble: &str) {
    let (since, now) = (entry.since, unix_now());
    entry.happened(now, trouble);
    for recipient in entry.due(Work::Smarthost, config, now) {
        recipient.postpone(Attempt::failed(now, &config.smarthost.host, trouble), since, &config.smarthost);
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
