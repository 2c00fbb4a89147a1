//! The configuration as plain data with bounded strings.
//!
//! [`text`] reads the TOML form and [`export`] writes it, [`check`] judges it, [`mod@file`] keeps it on
//! flash, [`path`] reaches single settings.

mod addresses;
pub mod check;
mod defaults;
pub mod encoding;
pub mod export;
pub mod file;
mod frame;
mod grammar;
pub mod help;
mod holder;
mod identity;
mod kind;
mod listen;
mod meant;
mod nearest;
mod network;
mod oauth2;
mod password;
pub mod path;
pub mod problem;
pub mod schema;
pub mod secrets;
mod section;
mod server;
pub mod shown;
mod stored;
pub mod text;
pub mod typed;
mod units;
mod version_1;
mod version_2;
mod version_3;
mod version_4;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::credential::Verifier;

pub use addresses::Destination;
pub use holder::{Held, Holder};
pub use listen::{Listen, Listener, ServerProtocol};
pub use network::Network;
pub use oauth2::{Endpoint, Purpose};
pub use password::MIN_PASSWORD;

/// A bounded string: at most `N` bytes of UTF-8.
pub type Text<const N: usize> = heapless::String<N>;
/// A host name or an address literal (RFC 1035 section 2.3.4: at most 253 octets).
pub type Host = Text<255>;
/// A mail address (RFC 5321 section 4.5.3.1: at most 254 octets).
pub type Address = Text<254>;
/// A path of a file on the appliance.
pub type FilePath = Text<255>;

/// A password that prints as `[secret]` and is wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize = 512>(Text<N>);

impl<const N: usize> Secret<N> {
    /// `None` when `text` is longer than `N` octets.
    pub fn new(text: &str) -> Option<Secret<N>> {
        Text::try_from(text).ok().map(Secret)
    }
    /// The password itself: for the protocol that needs it, never for a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }
    /// Whether no password is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<const N: usize> std::fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// Everything the appliance can be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// `[server]`.
    pub server: Server,
    /// `[listen]`.
    pub listen: Listen,
    /// `[network]`.
    pub network: Network,
    /// `[tls]`.
    pub tls: Tls,
    /// `[smarthost]`.
    pub smarthost: Smarthost,
    /// `[multipop]`.
    pub multipop: Multipop,
    /// `[[account]]`, in the order of the text.
    pub accounts: Vec<Account>,
}

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// The name in greetings, EHLO and Received fields.
    pub hostname: Host,
    /// The local domains, in lower case.
    pub domains: Vec<Host>,
    /// The networks that count as the LAN.
    pub lan: Vec<IpNet>,
    /// Whether the Connector is active on this server.
    pub connector: bool,
    /// Connections served at once, all services together.
    pub max_connections: u32,
    /// Octets.
    pub max_message_size: u64,
    /// What the password of updates over HTTP is checked against; not set: there are none.
    pub operator_verifier: Verifier,
    /// Domains of providers, in lower case: accounts may have addresses there, everyone else there is outside.
    pub shared_domains: Vec<Host>,
    /// The account that gets what is for postmaster; empty: the first one.
    pub postmaster: Text<64>,
    /// Whether devices on `lan_smtp` may write to addresses outside.
    pub lan_smtp_relay: bool,
    /// As whom they do, and who is told when it fails.
    pub lan_smtp_sender: Address,
    /// Whether users may change their own sources.
    pub users_edit_sources: bool,
}

/// `[tls]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tls {
    /// PEM chain; empty: made once, signed by a local CA.
    pub certificate: FilePath,
    /// PEM private key.
    pub key: FilePath,
    /// Where a password may travel without TLS.
    pub plaintext_login: PlaintextLogin,
}

/// Where a password may travel without TLS. Loopback, which has no wire, is always allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum PlaintextLogin {
    #[default]
    Never,
    Lan,
    Always,
}

/// How a connection to another server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Security {
    /// TLS from the first octet (RFC 8314).
    #[default]
    Tls,
    /// STARTTLS or STLS, demanded, never optional.
    Starttls,
    /// Plain text.
    None,
}

/// `[smarthost]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Smarthost {
    /// Empty: nothing leaves the appliance.
    pub host: Host,
    /// TCP port.
    pub port: u16,
    /// TLS, STARTTLS, or none towards a host on the LAN.
    pub security: Security,
    /// The global credentials.
    pub username: Address,
    /// Their password.
    pub password: Secret,
    /// Whether accounts with a password of their own use it.
    pub per_account_authentication: bool,
    /// PEM file of extra trust, empty for none.
    pub ca: FilePath,
    /// Seconds between tries; the last one repeats.
    pub retry: Vec<u32>,
    /// Seconds until the sender gets a bounce.
    pub expire: u32,
    /// Seconds until the sender is told that it waits; 0: never.
    pub delay_notice: u32,
    /// At once for each login.
    pub connections: u32,
    /// The mechanism of the global login.
    pub auth: SourceAuth,
    /// Only with [`SourceAuth::OAuth2`].
    pub oauth2: Option<Box<OAuth2>>,
}

/// `[multipop]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Multipop {
    /// Whether any source is contacted at all.
    pub enabled: bool,
    /// Seconds between polls of a source.
    pub interval: u32,
    /// Seconds of silence after which a poll is given up.
    pub timeout: u32,
    /// Failures in a row before the user is told by mail.
    pub warn_after: u32,
}

/// `[[account]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// What it is known by whatever it is called; 0 until it is stored.
    pub id: u64,
    /// Names the login and the folder of the mail store: `[a-z0-9._-]`, unique.
    pub name: Text<64>,
    /// The address it sends as.
    pub address: Address,
    /// Further addresses of its own.
    pub aliases: Vec<Address>,
    /// What its password is checked against.
    pub verifier: Verifier,
    /// Off: the account can neither log in nor collect; mail for it is still accepted.
    pub enabled: bool,
    /// May use POP3.
    pub pop: bool,
    /// POP3 only from `server.lan`.
    pub pop_lan_only: bool,
    /// May use IMAP.
    pub imap: bool,
    /// IMAP only from `server.lan`.
    pub imap_lan_only: bool,
    /// The right to use Connector clients.
    pub connector: bool,
    /// Whether its sources are collected.
    pub multipop: bool,
    /// Empty: the account's address.
    pub smarthost_username: Address,
    /// Empty: this account does not use per-account authentication.
    pub smarthost_password: Secret,
    /// Octets; 0: no limit but the flash.
    pub quota: u64,
    /// `[[account.source]]`.
    pub sources: Vec<Source>,
    /// `[[account.app_password]]`.
    pub app_passwords: Vec<AppPassword>,
}

/// `[[account.app_password]]`: a further password of an account, for one device or program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppPassword {
    /// What the operator calls it; unique in the account.
    pub name: Text<64>,
    /// Of the same salt and rounds as the account's own: a SCRAM client hears one salt before it
    /// shows which password it knows, and one hash is checked against all of them.
    pub verifier: Verifier,
    /// Empty: all of them.
    pub services: Vec<Service>,
}

/// A service that a login opens, and that an app password can be limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Service {
    /// POP3 (RFC 1939).
    Pop3,
    /// IMAP (RFC 3501).
    Imap,
    /// Message submission (RFC 6409).
    Submission,
}

/// How MultiPOP reads a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Protocol {
    #[default]
    Pop3,
    Imap,
}

/// How MultiPOP, and the relay, log in elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the mechanism of that name")]
pub enum SourceAuth {
    /// The strongest that the server offers.
    #[default]
    Auto,
    ScramSha256,
    CramMd5,
    Apop,
    Plain,
    Login,
    User,
    OAuth2,
}

/// `[[account.source]]`: a mailbox elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// What it is known by wherever its server is; 0 until it is stored.
    pub id: u64,
    /// Off: it is not contacted.
    pub enabled: bool,
    /// The provider's server.
    pub host: Host,
    /// TCP port.
    pub port: u16,
    /// POP3 or IMAP.
    pub protocol: Protocol,
    /// TLS, STARTTLS or none.
    pub security: Security,
    /// The login at the provider.
    pub username: Address,
    /// Its password.
    pub password: Secret,
    /// The mechanism.
    pub auth: SourceAuth,
    /// Only with [`SourceAuth::OAuth2`].
    pub oauth2: Option<Box<OAuth2>>,
    /// Keep collected messages at the provider.
    pub leave_on_server: bool,
    /// Seconds after collection; 0: never.
    pub delete_after: u32,
    /// Octets; larger messages stay. 0: no limit.
    pub max_size: u64,
    /// What becomes of larger ones.
    pub large: Large,
    /// The mailboxes to collect, IMAP only: names or patterns.
    pub folders: Vec<Text<128>>,
    /// The local mailbox that gets what is collected.
    pub into: Text<128>,
    /// Whether what another such source of the account has brought already is passed by.
    pub dedupe: bool,
    /// When it is polled.
    pub interval: Interval,
    /// PEM file of extra trust, empty for none.
    pub ca: FilePath,
}

/// What becomes of messages that are larger than `max_size`, at the provider. The user is told in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Large {
    #[default]
    Leave,
    Delete,
}

/// When a source is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Interval {
    /// As `multipop.interval` says.
    #[default]
    Inherited,
    /// After so many seconds.
    Every(u32),
    /// When the server says that mail has come: IDLE (RFC 2177).
    Push,
}

/// OAuth 2.0 client of a source or of the smarthost (RFC 6749).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "RFC 6749's own names, and RFC 8628's")]
pub struct OAuth2 {
    /// Empty, or one whose addresses and scopes are known: they count where the next four are empty.
    pub provider: Text<32>,
    pub auth_url: Text<512>,
    pub device_url: Text<512>,
    pub scope: Text<512>,
    pub token_url: Text<512>,
    pub client_id: Text<512>,
    pub client_secret: Secret,
    pub refresh_token: Secret<4096>,
}

impl Config {
    /// The account whose name or main address is `login`, in any case.
    pub fn account_by_login(&self, login: &str) -> Option<&Account> {
        self.accounts
            .iter()
            .find(|a| a.name.eq_ignore_ascii_case(login) || a.address.eq_ignore_ascii_case(login))
    }

    /// The account of exactly this name.
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|a| a.name == name)
    }

    /// The account of this lasting identity; 0 is none's.
    pub fn account_by_id(&self, id: u64) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id && id != 0)
    }

    /// The accounts by their lasting identities and names, as the store knows them.
    pub fn owners(&self) -> Vec<(u64, String)> {
        self.accounts.iter().map(|account| (account.id, account.name.to_string())).collect()
    }

    /// Rounds of the verifier that takes longest, of those that there are or new ones.
    pub fn rounds(&self) -> u32 {
        let stored = self.accounts.iter().map(|account| account.verifier.iterations);
        stored.fold(crate::credential::DEFAULT_ITERATIONS, u32::max)
    }

    /// Octets that accounts may hold, by name; an account that is not named has no limit.
    pub fn quotas(&self) -> BTreeMap<String, u64> {
        let limited = self.accounts.iter().filter(|account| account.quota > 0);
        limited.map(|account| (account.name.to_string(), account.quota)).collect()
    }

    /// Whether `domain` is one of `server.domains`, in any case.
    pub fn is_local_domain(&self, domain: &str) -> bool {
        self.server.domains.iter().any(|d| d.eq_ignore_ascii_case(domain))
    }

    /// Whether `domain` is one of `server.shared_domains`, in any case.
    pub fn is_shared_domain(&self, domain: &str) -> bool {
        self.server.shared_domains.iter().any(|d| d.eq_ignore_ascii_case(domain))
    }
}

impl Server {
    /// Whether `address` is inside [`Server::lan`]. An IPv4-mapped IPv6 address counts as its IPv4 address.
    pub fn is_on_lan(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.lan.iter().any(|network| network.contains(&address))
    }
}

impl Service {
    /// As the settings and the log call it.
    pub fn name(self) -> &'static str {
        match self {
            Service::Pop3 => "pop3",
            Service::Imap => "imap",
            Service::Submission => "submission",
        }
    }
}

impl Account {
    /// The login that it has at the smarthost where it has one of its own: its address where none is set.
    pub fn smarthost_login(&self) -> &str {
        if self.smarthost_username.is_empty() { &self.address } else { &self.smarthost_username }
    }

    /// Whether `address` is the account's own, in any case.
    pub fn owns(&self, address: &str) -> bool {
        self.address.eq_ignore_ascii_case(address)
            || self.aliases.iter().any(|a| a.eq_ignore_ascii_case(address))
    }
}

impl Tls {
    /// Whether a password may travel without TLS from `address`.
    pub fn plaintext_allowed(&self, on_lan: bool, address: IpAddr) -> bool {
        address.to_canonical().is_loopback()
            || match self.plaintext_login {
                PlaintextLogin::Never => false,
                PlaintextLogin::Lan => on_lan,
                PlaintextLogin::Always => true,
            }
    }
}

#[cfg(test)]
mod tests;
