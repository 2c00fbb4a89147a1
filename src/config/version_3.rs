//! The shape that [`super::Config`] had in format version 3: accounts and sources without a lasting identity, and sources of
//! one folder each.

use serde::Deserialize;

use super::identity::{hash, of_folder};
use super::version_4::{Server, Smarthost};
use super::{
    Address, AppPassword, FilePath, Host, Interval, Listen, Multipop, Network, Protocol, Secret, Security,
    SourceAuth, Text, Tls,
};
use crate::credential::Verifier;

#[derive(Deserialize)]
pub(super) struct Config {
    server: Server,
    listen: Listen,
    network: Network,
    tls: Tls,
    smarthost: Smarthost,
    multipop: Multipop,
    accounts: Vec<Account>,
}

#[derive(Deserialize)]
pub(super) struct Account {
    pub name: Text<64>,
    pub address: Address,
    pub aliases: Vec<Address>,
    pub verifier: Verifier,
    pub enabled: bool,
    pub pop: bool,
    pub pop_lan_only: bool,
    pub imap: bool,
    pub imap_lan_only: bool,
    pub connector: bool,
    pub multipop: bool,
    pub smarthost_username: Address,
    pub smarthost_password: Secret,
    pub quota: u64,
    pub sources: Vec<Source>,
    pub app_passwords: Vec<AppPassword>,
}

#[derive(Deserialize)]
pub(super) struct Source {
    host: Host,
    port: u16,
    protocol: Protocol,
    security: Security,
    username: Address,
    password: Secret,
    auth: SourceAuth,
    oauth2: Option<Box<OAuth2>>,
    leave_on_server: bool,
    delete_after: u32,
    max_size: u64,
    folder: Text<128>,
    interval: u32,
    ca: FilePath,
}

#[derive(Deserialize)]
struct OAuth2 {
    token_url: Text<512>,
    client_id: Text<512>,
    client_secret: Secret,
    refresh_token: Secret<4096>,
}

impl From<Config> for super::Config {
    fn from(config: Config) -> super::Config {
        let Config { server, listen, network, tls, smarthost, multipop, accounts } = config;
        let accounts = accounts.into_iter().map(super::Account::from).collect();
        let (server, smarthost) = (server.into(), smarthost.into());
        super::Config { server, listen, network, tls, smarthost, multipop, accounts }
    }
}

impl From<Account> for super::Account {
    fn from(account: Account) -> super::Account {
        super::Account {
            // The identity is the same at each start, until the configuration is stored with it.
            id: hash(format!("account\0{}", account.name).as_bytes()),
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
            sources: account.sources.into_iter().map(super::Source::from).collect(),
            app_passwords: account.app_passwords,
        }
    }
}

impl From<Source> for super::Source {
    fn from(source: Source) -> super::Source {
        super::Source {
            id: source.id(),
            enabled: true,
            host: source.host,
            port: source.port,
            protocol: source.protocol,
            security: source.security,
            username: source.username,
            password: source.password,
            auth: source.auth,
            oauth2: source.oauth2.map(|client| Box::new((*client).into())),
            leave_on_server: source.leave_on_server,
            delete_after: source.delete_after,
            max_size: source.max_size,
            folders: vec![source.folder],
            interval: if source.interval == 0 {
                Interval::Inherited
            } else {
                Interval::Every(source.interval)
            },
            ca: source.ca,
            ..super::Source::default()
        }
    }
}

impl Source {
    /// The identity whose ledger is the one in which format version 3 kept what was collected from this source: that version
    /// named the ledger by a hash of everything that says where the mailbox is.
    fn id(&self) -> u64 {
        let (protocol, folder) = match self.protocol {
            Protocol::Pop3 => ("pop3", ""),
            Protocol::Imap => ("imap", self.folder.as_str()),
        };
        let host = self.host.to_ascii_lowercase();
        let name = [protocol, &host, &self.port.to_string(), &self.username, folder].join("\0");
        let folder = if self.protocol == Protocol::Imap { of_folder(&self.folder) } else { 0 };
        hash(name.as_bytes()) ^ folder
    }
}

impl From<OAuth2> for super::OAuth2 {
    fn from(client: OAuth2) -> super::OAuth2 {
        let OAuth2 { token_url, client_id, client_secret, refresh_token } = client;
        super::OAuth2 { token_url, client_id, client_secret, refresh_token, ..super::OAuth2::default() }
    }
}
