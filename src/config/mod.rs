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
pub use holder::{Holder, HolderSettings};
pub use listen::{Listen, Listener, ServerProtocol};
pub use network::Network;
pub use oauth2::{Endpoint, Purpose};
pub use password::MIN_PASSWORD;

/// The operator's login. No account gets this name.
pub const OPERATOR: &str = "operator";

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

/// All settings of the appliance.
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
    /// The most connections that are served at once, all services together.
    pub max_connections: u32,
    /// The largest message that is accepted, in octets.
    pub max_message_size: u64,
    /// What the operator's password is checked against, for the console and for updates over HTTP. Not set: the console asks
    /// for none, and no updates are taken.
    pub operator_verifier: Verifier,
    /// Domains of providers, in lower case. Accounts may have addresses there; all other addresses there are outside.
    pub shared_domains: Vec<Host>,
    /// The account that gets mail for postmaster and abuse; empty: the first account.
    pub postmaster: Text<64>,
    /// Whether devices on `lan_smtp` may write to addresses outside.
    pub lan_smtp_relay: bool,
    /// The sender of what devices on `lan_smtp` write to addresses outside; it is told when delivery fails.
    pub lan_smtp_sender: Address,
    /// Whether users may change their own sources.
    pub users_edit_sources: bool,
}

/// `[tls]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tls {
    /// Path of the PEM certificate chain; empty: a certificate is made once, signed by a local CA.
    pub certificate: FilePath,
    /// Path of the PEM private key.
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
    /// STARTTLS or STLS, which is required: a server that does not offer it is not used.
    Starttls,
    /// Plain text.
    None,
}

/// `[smarthost]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Smarthost {
    /// The smarthost's name or address; empty: nothing leaves the appliance.
    pub host: Host,
    /// TCP port.
    pub port: u16,
    /// TLS, STARTTLS, or none towards a host on the LAN.
    pub security: Security,
    /// The global login; empty: none.
    pub username: Address,
    /// The password of the global login.
    pub password: Secret,
    /// Whether an account with a smarthost password logs in with that one.
    pub per_account_authentication: bool,
    /// Path of a PEM file with further trusted certificates; empty: none.
    pub ca: FilePath,
    /// Seconds to wait between tries; the last wait repeats.
    pub retry: Vec<u32>,
    /// Seconds until a message is given up and its sender gets a bounce.
    pub expire: u32,
    /// Seconds until the sender is told that the message waits; 0: never.
    pub delay_notice: u32,
    /// Connections at once for each login.
    pub connections: u32,
    /// The mechanism of the global login.
    pub auth: SourceAuth,
    /// The OAuth 2.0 client, only with [`SourceAuth::OAuth2`].
    pub oauth2: Option<Box<OAuth2>>,
}

/// `[multipop]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Multipop {
    /// Whether sources are contacted; off: none is.
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
    /// The lasting identity, which stays when the account is renamed; 0 until it is stored.
    pub id: u64,
    /// The login and the folder of the mail store: `[a-z0-9._-]`, unique.
    pub name: Text<64>,
    /// The address that the account sends as.
    pub address: Address,
    /// Further addresses of the account.
    pub aliases: Vec<Address>,
    /// What the account's password is checked against.
    pub verifier: Verifier,
    /// Off: the account can neither log in nor collect; mail for it is still accepted.
    pub enabled: bool,
    /// Whether the account may use POP3.
    pub pop: bool,
    /// Whether POP3 is allowed only from `server.lan`.
    pub pop_lan_only: bool,
    /// Whether the account may use IMAP.
    pub imap: bool,
    /// Whether IMAP is allowed only from `server.lan`.
    pub imap_lan_only: bool,
    /// Whether the account has the right to use Connector clients.
    pub connector: bool,
    /// Whether the account's sources are collected.
    pub multipop: bool,
    /// The login at the smarthost; empty: the account's address.
    pub smarthost_username: Address,
    /// The password at the smarthost; empty: this account does not use per-account authentication.
    pub smarthost_password: Secret,
    /// The most octets of mail; 0: only the flash is the limit.
    pub quota: u64,
    /// `[[account.source]]`.
    pub sources: Vec<Source>,
    /// `[[account.app_password]]`.
    pub app_passwords: Vec<AppPassword>,
}

/// `[[account.app_password]]`: a further password of an account, for one device or program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppPassword {
    /// The operator's name for the device or program; unique in the account.
    pub name: Text<64>,
    /// What the app password is checked against. It has the salt and rounds of the account's own verifier: a SCRAM client hears
    /// one salt before it shows which password it knows, and one hash is checked against all of the account's passwords.
    pub verifier: Verifier,
    /// The services that this password opens; empty: all that the account may use.
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

/// How MultiPOP and the relay log in at another server.
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
    /// The lasting identity, which stays when the provider's server gets another name; 0 until it is stored.
    pub id: u64,
    /// Off: the source is not contacted.
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
    /// The password of that login.
    pub password: Secret,
    /// The mechanism of the login.
    pub auth: SourceAuth,
    /// The OAuth 2.0 client, only with [`SourceAuth::OAuth2`].
    pub oauth2: Option<Box<OAuth2>>,
    /// Whether collected messages stay at the provider.
    pub leave_on_server: bool,
    /// Seconds after collection until a message is deleted at the provider; 0: never.
    pub delete_after: u32,
    /// The largest message to collect, in octets; 0: no limit.
    pub max_size: u64,
    /// What becomes, at the provider, of messages larger than `max_size`.
    pub large: Large,
    /// The mailboxes to collect, IMAP only: names or patterns.
    pub folders: Vec<Text<128>>,
    /// The local mailbox that gets what is collected.
    pub into: Text<128>,
    /// Whether a message is skipped that another source with `dedupe` has brought to this account.
    pub dedupe: bool,
    /// When the source is polled.
    pub interval: Interval,
    /// Path of a PEM file with further trusted certificates; empty: none.
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
    /// At the interval that `multipop.interval` sets.
    #[default]
    Inherited,
    /// Every so many seconds.
    Every(u32),
    /// When the server reports new mail: IDLE (RFC 2177).
    Push,
}

/// OAuth 2.0 client of a source or of the smarthost (RFC 6749).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "RFC 6749's own names, and RFC 8628's")]
pub struct OAuth2 {
    /// A known provider, or empty. Its addresses and scopes fill the empty ones of the next four settings.
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

    /// The account with the lasting identity `id`; `None` for 0, which is no identity.
    pub fn account_by_id(&self, id: u64) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id && id != 0)
    }

    /// The lasting identity and the name of each account, as the store knows them.
    pub fn owners(&self) -> Vec<(u64, String)> {
        self.accounts.iter().map(|account| (account.id, account.name.to_string())).collect()
    }

    /// The highest number of rounds among the accounts' verifiers and the default for new ones.
    pub fn rounds(&self) -> u32 {
        let stored = self.accounts.iter().map(|account| account.verifier.iterations);
        stored.fold(crate::credential::DEFAULT_ITERATIONS, u32::max)
    }

    /// The quota of each account that has one, in octets, by the account's name.
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
    /// The name of the service in the settings and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Service::Pop3 => "pop3",
            Service::Imap => "imap",
            Service::Submission => "submission",
        }
    }
}

impl Account {
    /// The login for per-account authentication at the smarthost: the account's address where no other login is set.
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
