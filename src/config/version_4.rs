//! The shape that [`super::Config`] had in format version 4: a smarthost without OAuth 2.0, and a server without the settings
//! that came with it.

use ipnet::IpNet;
use serde::Deserialize;

use super::{Account, Address, FilePath, Host, Listen, Multipop, Network, Secret, Security, Tls};
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
pub(super) struct Server {
    hostname: Host,
    domains: Vec<Host>,
    lan: Vec<IpNet>,
    connector: bool,
    max_connections: u32,
    max_message_size: u64,
    operator_verifier: Verifier,
}

#[derive(Deserialize)]
pub(super) struct Smarthost {
    host: Host,
    port: u16,
    security: Security,
    username: Address,
    password: Secret,
    per_account_authentication: bool,
    ca: FilePath,
    retry: Vec<u32>,
    expire: u32,
}

impl From<Config> for super::Config {
    fn from(config: Config) -> super::Config {
        let Config { server, listen, network, tls, smarthost, multipop, accounts } = config;
        super::Config {
            server: server.into(),
            listen,
            network,
            tls,
            smarthost: smarthost.into(),
            multipop,
            accounts,
        }
    }
}

impl From<Server> for super::Server {
    fn from(server: Server) -> super::Server {
        super::Server {
            hostname: server.hostname,
            domains: server.domains,
            lan: server.lan,
            connector: server.connector,
            max_connections: server.max_connections,
            max_message_size: server.max_message_size,
            operator_verifier: server.operator_verifier,
            ..super::Server::default()
        }
    }
}

impl From<Smarthost> for super::Smarthost {
    fn from(smarthost: Smarthost) -> super::Smarthost {
        super::Smarthost {
            host: smarthost.host,
            port: smarthost.port,
            security: smarthost.security,
            username: smarthost.username,
            password: smarthost.password,
            per_account_authentication: smarthost.per_account_authentication,
            ca: smarthost.ca,
            retry: smarthost.retry,
            expire: smarthost.expire,
            ..super::Smarthost::default()
        }
    }
}
