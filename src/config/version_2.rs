//! The shape that [`super::Config`] had in format version 2: no `[network]`, no HTTP over TLS, and no
//! operator's password.

use std::net::SocketAddr;

use ipnet::IpNet;
use serde::Deserialize;

use super::version_3::Account;
use super::version_4::Smarthost;
use super::{Host, Multipop, Network, Tls};

#[derive(Deserialize)]
pub(super) struct Config {
    pub server: Server,
    pub listen: Listen,
    pub tls: Tls,
    pub smarthost: Smarthost,
    pub multipop: Multipop,
    pub accounts: Vec<Account>,
}

#[derive(Deserialize)]
pub(super) struct Server {
    hostname: Host,
    domains: Vec<Host>,
    lan: Vec<IpNet>,
    connector: bool,
    max_connections: u32,
    max_message_size: u64,
}

#[derive(Deserialize)]
pub(super) struct Listen {
    pop3: Vec<SocketAddr>,
    pop3s: Vec<SocketAddr>,
    imap: Vec<SocketAddr>,
    imaps: Vec<SocketAddr>,
    submission: Vec<SocketAddr>,
    submissions: Vec<SocketAddr>,
    lan_smtp: Vec<SocketAddr>,
    http: Vec<SocketAddr>,
}

impl From<Config> for super::Config {
    fn from(config: Config) -> super::Config {
        let Config { server, listen, tls, smarthost, multipop, accounts } = config;
        super::Config {
            server: server.into(),
            listen: listen.into(),
            network: Network::default(),
            tls,
            smarthost: smarthost.into(),
            multipop,
            accounts: accounts.into_iter().map(super::Account::from).collect(),
        }
    }
}

impl From<Server> for super::Server {
    fn from(server: Server) -> super::Server {
        let Server { hostname, domains, lan, connector, max_connections, max_message_size } = server;
        super::Server {
            hostname,
            domains,
            lan,
            connector,
            max_connections,
            max_message_size,
            ..super::Server::default()
        }
    }
}

impl From<Listen> for super::Listen {
    fn from(listen: Listen) -> super::Listen {
        let Listen { pop3, pop3s, imap, imaps, submission, submissions, lan_smtp, http } = listen;
        let https = Vec::new();
        super::Listen { pop3, pop3s, imap, imaps, submission, submissions, lan_smtp, http, https }
    }
}
