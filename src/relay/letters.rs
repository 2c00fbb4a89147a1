//! Letters about a login that the smarthost refuses: to the postmaster about the global login, to an account about
//! its own.
//!
//! The letters that were sent are noted in the log of the account that got them, in the commit that brings them, so a
//! restart does not begin the series anew. A series ends when the login works.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::outgoing::Login;
use super::report::Letter;
use super::{Relay, deposit};
use crate::clock::unix_now;
use crate::config::{Account, Config};
use crate::outgoing::rhythm::{how_often, is_next_letter_due};
use crate::smtp::client::Failure;
use crate::store::{Error, SourceKey, identity_hash};

/// The key of these notes in an account's ledger.
const LETTERS: SourceKey = SourceKey(u64::from_be_bytes(*b"\0letters"));
/// The identity of the note about the account's own login.
const OWN: &[u8] = b"the smarthost refuses the login";
/// The identity of the note about the global login.
const GLOBAL: &[u8] = b"the smarthost refuses the global login";
/// How the identity of a note about another account's login begins; the lasting identity of that account follows.
const OTHER: &[u8] = b"the smarthost refuses the login of ";

/// For each login whether somebody may have been told that it is refused; no entry before the notes were looked up
/// once.
pub(super) type Rows = RefCell<BTreeMap<Login, bool>>;

/// Characters of the server's words in a letter, at most: a line of a mail has 998 octets at most.
const REASON: usize = 200;

/// A login that was refused.
#[derive(Clone, Copy)]
struct Refusal<'a> {
    login: &'a Login,
    /// The server's words.
    reason: &'a str,
    /// Whether the login was made with an access token instead of a password.
    is_token: bool,
}

/// The series of letters to one account about a login.
struct Row<'a> {
    to: &'a Account,
    /// The identity of its note.
    identity: Vec<u8>,
    /// Whether only one letter is sent for as long as the trouble lasts.
    once: bool,
}

/// The series about `login`: one for each account that is to be told.
fn rows<'a>(login: &Login, config: &'a Config) -> Vec<Row<'a>> {
    let operator = config.postmaster();
    match login {
        Login::Global => {
            operator.map(|to| Row { to, identity: GLOBAL.to_vec(), once: false }).into_iter().collect()
        }
        Login::Account(name) => {
            let Some(account) = config.account(name) else { return Vec::new() };
            let identity = [OTHER, &account.id.to_be_bytes()].concat();
            let told = operator.filter(|to| to.id != account.id).map(|to| Row { to, identity, once: true });
            let own = Row { to: account, identity: OWN.to_vec(), once: false };
            std::iter::once(own).chain(told).collect()
        }
    }
}

impl Relay {
    /// Sends the letters about `login` if it was refused. Any other trouble passes by itself, or lies in the
    /// operator's settings, for which `show status` is there.
    pub(super) async fn tell_of(&self, login: &Login, failure: &Failure) {
        let (Failure::Login(reason) | Failure::Token(reason)) = failure else { return };
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(REASON).collect();
        let refusal = Refusal { login, reason: &reason, is_token: matches!(failure, Failure::Token(_)) };
        let config = self.context.config();
        for row in rows(login, &config) {
            if let Err(error) = self.write(&row, &refusal, &config).await {
                log::warn!("account {} could not be told: {error}", row.to.name);
            }
        }
        self.rows.borrow_mut().insert(login.clone(), true);
    }

    /// Notes that `login` was accepted: the next letter about it begins a new series.
    pub(super) async fn login_works(&self, login: &Login) {
        if self.rows.borrow().get(login) == Some(&false) {
            return;
        }
        let config = self.context.config();
        for row in rows(login, &config) {
            if let Err(error) = self.forget(&row).await {
                // At worst the old series goes on.
                log::debug!("account {}: {error}", row.to.name);
            }
        }
        self.rows.borrow_mut().insert(login.clone(), false);
    }

    async fn forget(&self, row: &Row<'_>) -> Result<(), Error> {
        let store = self.context.store.account(&row.to.name).await?;
        if store.collected(LETTERS, &row.identity).is_none() {
            return Ok(());
        }
        let mut transaction = store.begin();
        transaction.forget(LETTERS, &[identity_hash(&row.identity)]);
        transaction.commit().await.map(drop)
    }

    /// Puts a letter into the INBOX of `account` that says that delivery works.
    ///
    /// # Errors
    /// The store's.
    pub async fn send_test(&self, account: &Account) -> Result<(), Error> {
        let store = self.context.store.account(&account.name).await?;
        let config = self.context.config();
        let letter = Letter { hostname: &config.server.hostname, to: &account.address, date: unix_now() };
        let header = letter.header("Your mailbox works");
        let mut message = store.incoming();
        let text = format!(
            "{header}Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
             This is the mail appliance {}. Whoever reads this in a mail program has everything in\r\n\
             its place.\r\n",
            config.server.hostname
        );
        message.write(text.as_bytes())?;
        deposit::begin(&store, message).commit().await.map(drop)
    }

    /// Sends the next letter of a series, if one is due.
    async fn write(&self, row: &Row<'_>, refusal: &Refusal<'_>, config: &Config) -> Result<(), Error> {
        let (store, now) = (self.context.store.account(&row.to.name).await?, unix_now());
        let hash = identity_hash(&row.identity);
        let noted = store.ledger_of(LETTERS).into_iter().find(|(noted, _)| *noted == hash);
        // Notes of earlier versions have no count.
        let told = noted
            .map(|(_, known)| (u32::try_from(known.content).unwrap_or(u32::MAX).max(1), known.date.get()));
        if told.is_some_and(|(count, at)| row.once || !is_next_letter_due(count, at, now)) {
            return Ok(());
        }
        let count = told.map_or(0, |(count, _)| count).saturating_add(1);
        let letter = Letter { hostname: &config.server.hostname, to: &row.to.address, date: now };
        let mut message = store.incoming();
        message.write(letter.refused_login(row, refusal, count, config).as_bytes())?;
        let mut transaction = deposit::begin(&store, message);
        transaction.forget(LETTERS, &[hash]);
        transaction.collected_message(LETTERS, &row.identity, now, u64::from(count));
        transaction.commit().await.map(drop)
    }
}

impl Letter<'_> {
    /// The text of a letter of a series; `count` is its number.
    fn refused_login(&self, row: &Row<'_>, refusal: &Refusal<'_>, count: u32, config: &Config) -> String {
        let Refusal { login, reason, is_token } = *refusal;
        let username = login.credentials(config).map_or_else(String::new, |credentials| credentials.username);
        let (whose, waits) = match login {
            Login::Global => ("that is set for the whole appliance", "Messages wait here"),
            Login::Account(name) if *name == *row.to.name => {
                ("that is set for you", "Your messages wait here")
            }
            Login::Account(_) => ("of an account", "Its messages wait here"),
        };
        let account = match login {
            Login::Account(name) if *name != *row.to.name => format!("\x20   account:    {name}\r\n"),
            _ => String::new(),
        };
        let again = match row.once {
            true => "The account is told of it, too.".to_owned(),
            false => format!("As long as this lasts you get this message {}.", how_often(count)),
        };
        let todo = match login {
            Login::Global if is_token => {
                "Type `oauth2 smarthost` in the console: it asks for a new permission.".to_owned()
            }
            Login::Global => {
                "Set smarthost.password anew in the console; `test smarthost` there tells whether it is right."
                    .to_owned()
            }
            Login::Account(name) => format!(
                "Have the password of that login set anew: account.{name}.smarthost_password in the\r\n\
                 console, where `test smarthost {name}` tells whether it is right."
            ),
        };
        let header = self.header("Your mail cannot be sent: the login is refused");
        format!(
            "{header}Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\
             \r\n\
             This is the mail appliance {host}. The mail server that takes your outgoing mail\r\n\
             refuses the login {whose}:\r\n\
             \r\n\
             \x20   server:     {server}\r\n\
             {account}\
             \x20   user name:  {username}\r\n\
             \x20   its answer: {reason}\r\n\
             \r\n\
             {waits} and are tried again. {todo}\r\n\
             \r\n\
             {again}\r\n",
            host = self.hostname,
            server = config.smarthost.host,
        )
    }
}
