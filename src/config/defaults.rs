//! What each setting is when nobody says otherwise, and the demonstration configuration.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    Account, AppPassword, Config, Host, Interval, Large, Listen, Multipop, Network, Protocol, Secret,
    Security, Server, Smarthost, Source, SourceAuth, Text, Tls,
};
use crate::credential::Verifier;

/// A literal of this module, which the tests prove to fit.
fn text<const N: usize>(literal: &str) -> Text<N> {
    Text::try_from(literal).unwrap_or_default()
}

impl Default for Config {
    /// Every setting at its default, without local domains and accounts.
    fn default() -> Config {
        Config {
            server: Server::default(),
            listen: Listen::default(),
            network: Network::default(),
            tls: Tls::default(),
            smarthost: Smarthost::default(),
            multipop: Multipop::default(),
            accounts: Vec::new(),
        }
    }
}

impl Config {
    /// Accounts that fit: more than a home or a small office has, and few enough to keep in memory.
    pub const MAX_ACCOUNTS: usize = 500;
    /// App passwords that fit in one account.
    pub const MAX_APP_PASSWORDS: usize = 16;
    /// Sources that fit in one account.
    pub const MAX_SOURCES: usize = 16;

    /// What a device that boots from a card image begins with: the usual ports on all addresses, and
    /// no account, so nobody can log in.
    pub fn on_a_board() -> Config {
        Config { listen: Listen::on_a_board(), ..Config::default() }
    }

    /// What runs when nothing is configured: loopback only, one account `demo`, whose domain is the host name, so that
    /// mail programs find their settings by its address.
    pub fn demonstration(demo: Verifier) -> Config {
        Config::demonstration_of("pillarbox.local", demo)
    }

    /// Whether it still is the demonstration, or that of an earlier version, whose domain nobody could look up.
    pub fn is_demonstration(&self) -> bool {
        let Some(demo) = self.accounts.first() else { return false };
        ["pillarbox.local", "home.example"].into_iter().any(|domain| {
            let mut demonstration = Config::demonstration_of(domain, demo.verifier.clone());
            demonstration.identify(self);
            *self == demonstration
        })
    }

    fn demonstration_of(domain: &str, demo: Verifier) -> Config {
        let mut config = Config::default();
        config.server.domains.push(text(domain));
        config.accounts.push(Account {
            name: text("demo"),
            address: text(&format!("demo@{domain}")),
            verifier: demo,
            ..Account::default()
        });
        config
    }
}

impl Default for Server {
    fn default() -> Server {
        let v4 = |a, b, c, d, prefix| (IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix);
        let v6 = |first: u16, last: u16, prefix| {
            (IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, last)), prefix)
        };
        let lan = [
            v4(127, 0, 0, 0, 8),
            v4(10, 0, 0, 0, 8),
            v4(172, 16, 0, 0, 12),
            v4(192, 168, 0, 0, 16),
            v6(0, 1, 128),
            v6(0xfc00, 0, 7),
            v6(0xfe80, 0, 10),
        ];
        Server {
            hostname: text("pillarbox.local"),
            domains: Vec::new(),
            lan: lan.into_iter().filter_map(|(address, prefix)| IpNet::new(address, prefix).ok()).collect(),
            connector: false,
            max_connections: 200,
            max_message_size: 50 << 20,
            operator_verifier: NO_PASSWORD,
            shared_domains: Vec::new(),
            postmaster: text(""),
            lan_smtp_relay: false,
            lan_smtp_sender: text(""),
            users_edit_sources: false,
        }
    }
}

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;
const DAY: u32 = 24 * HOUR;

impl Default for Smarthost {
    fn default() -> Smarthost {
        Smarthost {
            host: Host::new(),
            port: 465,
            security: Security::Tls,
            username: text(""),
            password: Secret::default(),
            per_account_authentication: false,
            ca: text(""),
            retry: vec![MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR],
            expire: 5 * DAY,
            delay_notice: 4 * HOUR,
            connections: 4,
            auth: SourceAuth::Auto,
            oauth2: None,
        }
    }
}

impl Default for Multipop {
    fn default() -> Multipop {
        Multipop { enabled: true, interval: 10 * MINUTE, timeout: MINUTE, warn_after: 5 }
    }
}

/// The verifier of a password that was never set: no hash gives zeros.
const NO_PASSWORD: Verifier =
    Verifier { iterations: 0, salt: [0; 16], stored_key: [0; 32], server_key: [0; 32] };

impl Default for Account {
    /// Without name and address, and with no password yet: see [`Account::has_password`].
    fn default() -> Account {
        Account {
            id: 0,
            name: text(""),
            address: text(""),
            aliases: Vec::new(),
            verifier: NO_PASSWORD,
            enabled: true,
            pop: true,
            pop_lan_only: false,
            imap: true,
            imap_lan_only: false,
            connector: false,
            multipop: false,
            smarthost_username: text(""),
            smarthost_password: Secret::default(),
            quota: 0,
            sources: Vec::new(),
            app_passwords: Vec::new(),
        }
    }
}

impl Account {
    /// Whether a password was set. Until then no password opens the account: the keys of its verifier
    /// are zeros, which no hash gives.
    pub fn has_password(&self) -> bool {
        self.verifier.is_set()
    }

    /// An app password without a name, and no password yet.
    pub fn new_app_password(&self) -> AppPassword {
        AppPassword { name: text(""), verifier: self.verifier.unset(), services: Vec::new() }
    }
}

impl Default for Source {
    /// Without host and login.
    fn default() -> Source {
        Source {
            id: 0,
            enabled: true,
            host: Host::new(),
            port: 995,
            protocol: Protocol::Pop3,
            security: Security::Tls,
            username: text(""),
            password: Secret::default(),
            auth: SourceAuth::Auto,
            oauth2: None,
            leave_on_server: false,
            delete_after: 0,
            max_size: 0,
            large: Large::Leave,
            folders: vec![text("INBOX")],
            into: text("INBOX"),
            dedupe: false,
            interval: Interval::Inherited,
            ca: text(""),
        }
    }
}
