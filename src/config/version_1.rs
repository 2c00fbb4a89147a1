//! The shape that [`super::Config`] had in format version 1: accounts without app passwords.

use serde::Deserialize;

use super::version_2::{self, Listen, Server};
use super::version_3::{self, Source};
use super::version_4::Smarthost;
use super::{Address, Multipop, Secret, Text, Tls};
use crate::credential::Verifier;

#[derive(Deserialize)]
pub(super) struct Config {
    server: Server,
    listen: Listen,
    tls: Tls,
    smarthost: Smarthost,
    multipop: Multipop,
    accounts: Vec<Account>,
}

#[derive(Deserialize)]
struct Account {
    name: Text<64>,
    address: Address,
    aliases: Vec<Address>,
    verifier: Verifier,
    enabled: bool,
    pop: bool,
    pop_lan_only: bool,
    imap: bool,
    imap_lan_only: bool,
    connector: bool,
    multipop: bool,
    smarthost_username: Address,
    smarthost_password: Secret,
    quota: u64,
    sources: Vec<Source>,
}

impl From<Config> for super::Config {
    fn from(config: Config) -> super::Config {
        let Config { server, listen, tls, smarthost, multipop, accounts } = config;
        let accounts = accounts.into_iter().map(version_3::Account::from).collect();
        version_2::Config { server, listen, tls, smarthost, multipop, accounts }.into()
    }
}

impl From<Account> for version_3::Account {
    fn from(account: Account) -> version_3::Account {
        version_3::Account {
            name: account.name,
            address: account.address,
            aliases: account.aliases,
            verifier: account.verifier,
            enabled: account.enabled,
            pop: account.pop,
            pop_lan_only: account.pop_lan_only,
            imap: account.imap,
            imap_lan_only: account.imap_lan_only,
            connector: account.connector,
            multipop: account.multipop,
            smarthost_username: account.smarthost_username,
            smarthost_password: account.smarthost_password,
            quota: account.quota,
            sources: account.sources,
            app_passwords: Vec::new(),
        }
    }
}
