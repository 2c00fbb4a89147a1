//! The one table of settings: text form, export, paths, help and checks all read it.

use toml::de::DeValue;

use super::grammar::{
    AccountName, ClientId, Domain, EndpointUrl, Folder, HostName, Login, MailAddress, OrEmpty, PemFile,
    ProviderName, Scope, Server as ServerName,
};
use super::identity::Identity;
use super::kind::{Choice, Count, Kind, List, OneOrMore, Port, Quoted, Switch, Words, Wrong};
use super::listen::listeners;
use super::network::{Gateway, OwnAddress};
use super::password::{NewPassword, OptionalPassword, OptionalVerifier, Password, StoredVerifier};
use super::problem::Section;
use super::units::{Duration, Size, SourceInterval};
use super::{
    Account, AppPassword, Config, Large, Listen, Multipop, Network, OAuth2, PlaintextLogin, Protocol,
    Security, Server, Service, Smarthost, Source, SourceAuth, Tls,
};

/// One setting: how it is called, read and printed.
pub struct Setting {
    /// Its key in the TOML form.
    pub key: &'static str,
    /// One line for the operator.
    pub help: &'static str,
    /// Has no default: the operator has to give it.
    pub needed: bool,
    /// Not shown unasked.
    pub secret: bool,
    /// A list: the console takes its elements without brackets.
    pub list: bool,
    /// What a value looks like.
    pub form: fn() -> String,
    /// The words that there are to choose from, where it is one of a few.
    pub words: fn() -> Vec<&'static str>,
    read: fn(&mut Config, Section, &DeValue<'_>) -> Result<(), Wrong>,
    print: fn(&Config, Section) -> Option<String>,
}

impl Setting {
    /// Sets it in `section` of `config`.
    ///
    /// # Errors
    /// The value does not fit; nothing has changed then.
    pub fn set(&self, config: &mut Config, section: Section, value: &DeValue<'_>) -> Result<(), Wrong> {
        (self.read)(config, section, value)?;
        drop_empty_oauth2(config, section);
        Ok(())
    }

    /// Its value as TOML; `None` when there is no such section, or nothing that could be told.
    pub fn print(&self, config: &Config, section: Section) -> Option<String> {
        (self.print)(config, section)
    }

    /// Whether it has no value: an empty text or list, a password that was never set.
    pub fn is_empty(&self, config: &Config, section: Section) -> bool {
        self.print(config, section).is_none_or(|value| matches!(&*value, r#""""# | "[]"))
    }
}

/// An OAuth2 client of which nothing is known is none, so that equal texts give equal configurations.
fn drop_empty_oauth2(config: &mut Config, section: Section) {
    if let Some(place) = place_of_oauth2(config, section)
        && place.as_deref() == Some(&OAuth2::default())
    {
        *place = None;
    }
}

fn place_of_oauth2(config: &mut Config, section: Section) -> Option<&mut Option<Box<OAuth2>>> {
    match section {
        Section::SmarthostOAuth2 => Some(&mut config.smarthost.oauth2),
        Section::OAuth2(..) => Some(&mut Source::of_mut(config, section)?.oauth2),
        _ => None,
    }
}

/// A part of the configuration that a [`Section`] names.
trait Table: Sized {
    fn of(config: &Config, section: Section) -> Option<&Self>;
    fn of_mut(config: &mut Config, section: Section) -> Option<&mut Self>;
}

macro_rules! only_one {
    ($($table:ident $field:ident)*) => { $(
        impl Table for $table {
            fn of(config: &Config, _: Section) -> Option<&Self> {
                Some(&config.$field)
            }
            fn of_mut(config: &mut Config, _: Section) -> Option<&mut Self> {
                Some(&mut config.$field)
            }
        }
    )* };
}
only_one!(Server server Listen listen Network network Tls tls Smarthost smarthost Multipop multipop);

impl Table for Account {
    fn of(config: &Config, section: Section) -> Option<&Self> {
        config.accounts.get(section.account()?)
    }
    fn of_mut(config: &mut Config, section: Section) -> Option<&mut Self> {
        config.accounts.get_mut(section.account()?)
    }
}

impl Table for Source {
    fn of(config: &Config, section: Section) -> Option<&Self> {
        Account::of(config, section)?.sources.get(section.source()?)
    }
    fn of_mut(config: &mut Config, section: Section) -> Option<&mut Self> {
        Account::of_mut(config, section)?.sources.get_mut(section.source()?)
    }
}

impl Table for AppPassword {
    fn of(config: &Config, section: Section) -> Option<&Self> {
        let Section::AppPassword(account, number) = section else { return None };
        config.accounts.get(account)?.app_passwords.get(number)
    }
    fn of_mut(config: &mut Config, section: Section) -> Option<&mut Self> {
        let Section::AppPassword(account, number) = section else { return None };
        config.accounts.get_mut(account)?.app_passwords.get_mut(number)
    }
}

impl Table for OAuth2 {
    fn of(config: &Config, section: Section) -> Option<&Self> {
        match section {
            Section::SmarthostOAuth2 => config.smarthost.oauth2.as_deref(),
            _ => Source::of(config, section)?.oauth2.as_deref(),
        }
    }
    fn of_mut(config: &mut Config, section: Section) -> Option<&mut Self> {
        Some(place_of_oauth2(config, section)?.get_or_insert_default())
    }
}

/// Rows `key: Kind = "help"`; `needed key` has no default, `key => field` is stored under another name,
/// and `write_only` cannot be printed.
macro_rules! settings {
    ($name:ident: $table:ident { $($rows:tt)* }) => {
        static $name: &[Setting] = &settings!(@rows $table [] $($rows)*);
    };
    (@rows $table:ident [$($done:expr,)*]) => { [$($done),*] };
    (@rows $table:ident [$($done:expr,)*] needed $key:ident: $kind:ty = $help:literal; $($rest:tt)*) => {
        settings!(@rows $table [$($done,)* settings!(@row $table $key $key $kind, $help, true, true),] $($rest)*)
    };
    (@rows $table:ident [$($done:expr,)*] write_only $key:ident => $field:ident: $kind:ty = $help:literal; $($rest:tt)*) => {
        settings!(@rows $table [$($done,)* settings!(@row $table $key $field $kind, $help, false, false),] $($rest)*)
    };
    (@rows $table:ident [$($done:expr,)*] $key:ident => $field:ident: $kind:ty = $help:literal; $($rest:tt)*) => {
        settings!(@rows $table [$($done,)* settings!(@row $table $key $field $kind, $help, false, true),] $($rest)*)
    };
    (@rows $table:ident [$($done:expr,)*] $key:ident: $kind:ty = $help:literal; $($rest:tt)*) => {
        settings!(@rows $table [$($done,)* settings!(@row $table $key $key $kind, $help, false, true),] $($rest)*)
    };
    (@row $table:ident $key:ident $field:ident $kind:ty, $help:literal, $needed:literal, $printed:literal) => {
        Setting {
            key: stringify!($key),
            help: $help,
            needed: $needed,
            secret: <$kind as Kind>::SECRET,
            list: <$kind as Kind>::LIST,
            form: <$kind as Kind>::form,
            words: <$kind as Kind>::words,
            read: |config, section, value| {
                match <$table as Table>::of_mut(config, section) {
                    Some(table) => <$kind as Kind>::assign(&mut table.$field, value),
                    None => Ok(()),
                }
            },
            print: |config, section| {
                let table = <$table as Table>::of(config, section).filter(|_| $printed)?;
                Some(<$kind as Kind>::print(&table.$field))
            },
        }
    };
}

const SECOND: u32 = 1;
const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;
const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;

type Addresses = List<Quoted<std::net::SocketAddr>, 0, 8>;
type Credential = Words<OrEmpty<Login>, 254>;
type Ca = Words<OrEmpty<PemFile>, 255>;

settings!(SERVER: Server {
    hostname: Words<HostName, 255> = "the name in greetings, EHLO and Received fields";
    needed domains: List<Words<Domain, 255>, 1, 64> = "the local domains";
    lan: List<Quoted<ipnet::IpNet>, 0, 64> = "the networks that count as the LAN";
    shared_domains: List<Words<Domain, 255>, 0, 64> = "domains of providers: accounts may have addresses there, everyone else there is outside";
    postmaster: Words<OrEmpty<AccountName>, 64> = "the account that gets postmaster@ and abuse@; empty: the first one";
    connector: Switch = "whether the Connector is active on this server";
    max_connections: Count<1, 10_000> = "connections served at once, all services together";
    max_message_size: Size<{ 64 * KIB }, { 2 * GIB }> = "larger messages are refused";
    lan_smtp_relay: Switch = "whether devices on lan_smtp may write to addresses outside";
    lan_smtp_sender: Words<OrEmpty<MailAddress>, 254> = "as whom they do, and who is told when it fails";
    users_edit_sources: Switch = "whether users may change their own sources on their page";
    write_only operator_password => operator_verifier: OptionalPassword = "for the console and updates over HTTP, kept as a verifier only; empty: the console asks for none, no updates are taken";
    operator_verifier: OptionalVerifier = "what an export holds in place of the operator's password";
});

macro_rules! listen_settings {
    ($($key:ident $name:ident: $protocol:ident $security:ident, $board:literal $loopback:literal, $help:literal;)*) => {
        settings!(LISTEN: Listen { $($key: Addresses = $help;)* });
    };
}
listeners!(listen_settings);

settings!(NETWORK: Network {
    address: OwnAddress = "of a card image: dhcp, or its own IPv4 address; IPv6 comes from the router";
    gateway: Gateway = "the router, where the address is fixed";
    dns: List<Quoted<std::net::IpAddr>, 0, 3> = "DNS servers; empty: those that DHCP names";
    ntp: List<Words<ServerName, 255>, 1, 4> = "whom the time is asked of";
});

settings!(TLS: Tls {
    certificate: Ca = "PEM chain; empty: a local CA and a certificate signed by it are made once";
    key: Ca = "PEM private key of the certificate";
    plaintext_login: Choice<PlaintextLogin> = "where a password may travel without TLS (loopback always)";
});

settings!(SMARTHOST: Smarthost {
    host: Words<OrEmpty<ServerName>, 255> = "where mail for others goes; empty: nothing leaves the appliance";
    port: Port = "465 for tls, 587 for starttls, 25 for none";
    security: Choice<Security> = "none only with a host on the LAN";
    username: Credential = "the global login; empty: none";
    password: Password = "the password of the global login; not needed with oauth2";
    auth: Choice<SourceAuth> = "how the global login is made; auto picks the strongest that the server offers";
    per_account_authentication: Switch = "accounts with a smarthost_password use that";
    ca: Ca = "PEM file of an extra CA, or of the server's own certificate; the built-in roots count besides";
    retry: List<Duration<SECOND, { 7 * DAY }>, 1, 16> = "waits between tries; the last one repeats";
    expire: Duration<SECOND, { 30 * DAY }> = "then the sender gets a bounce";
    delay_notice: Duration<0, { 30 * DAY }> = "then the sender is told that it waits, once; 0: never";
    connections: Count<1, 16> = "connections at once for each login";
});

settings!(MULTIPOP: Multipop {
    enabled: Switch = "whether any source is contacted at all";
    interval: Duration<SECOND, { 30 * DAY }> = "time between polls of a source";
    timeout: Duration<SECOND, HOUR> = "silence after which a poll is given up";
    warn_after: Count<1, 1000> = "failures in a row before the user is told by mail, then once a day";
});

settings!(ACCOUNT: Account {
    id: Identity = "its lasting identity, given to it when it is made";
    needed name: Words<AccountName, 64> = "the login, and the folder of the mail";
    needed address: Words<MailAddress, 254> = "what it sends as; its domain is one of server.domains or server.shared_domains";
    aliases: List<Words<MailAddress, 254>, 0, 64> = "further addresses of its own";
    write_only password => verifier: NewPassword = "kept as a verifier only, never as such";
    verifier: StoredVerifier = "what an export holds in place of the password";
    enabled: Switch = "off: neither login nor collection; mail for it is still accepted";
    pop: Switch = "may use POP3";
    pop_lan_only: Switch = "POP3 only from the networks in server.lan";
    imap: Switch = "may use IMAP";
    imap_lan_only: Switch = "IMAP only from the networks in server.lan";
    connector: Switch = "may use Connector clients; needs imap and server.connector";
    multipop: Switch = "whether its sources are collected";
    smarthost_username: Credential = "its own login at the smarthost; empty: its address";
    smarthost_password: Password = "empty: no login of its own at the smarthost";
    quota: Size<0, { 16_384 * GIB }> = "0: no limit but the flash";
});

settings!(APP_PASSWORD: AppPassword {
    needed name: Words<AccountName, 64> = "the device or program that it is for";
    write_only password => verifier: NewPassword = "kept as a verifier only, never as such";
    verifier: StoredVerifier = "what an export holds in place of the password";
    services: List<Choice<Service>, 0, 3> = "what it opens; empty: all that the account may use";
});

settings!(SOURCE: Source {
    id: Identity = "its lasting identity: by it what was collected stays known";
    needed host: Words<ServerName, 255> = "the provider's server";
    port: Port = "pop3: 995 for tls, 110 for starttls; imap: 993 and 143";
    protocol: Choice<Protocol> = "how mail is collected";
    security: Choice<Security> = "starttls is STLS with pop3";
    needed username: Words<Login, 254> = "the login there";
    password: Password = "its password; not needed with oauth2";
    auth: Choice<SourceAuth> = "auto picks the strongest that the server offers";
    enabled: Switch = "off: it is not contacted";
    leave_on_server: Switch = "collected messages stay there";
    delete_after: Duration<0, { 3650 * DAY }> = "with leave_on_server: how long they stay; 0: for ever";
    max_size: Size<0, { 4 * GIB }> = "larger ones stay, and the user gets a note once; 0: no limit";
    large: Choice<Large> = "what becomes of larger ones there: leave, or delete once the user was told";
    folder => folders: OneOrMore<Words<Folder, 128>, 16> = "the mailboxes to collect, with imap: names, or patterns with * and %";
    into: Words<Folder, 128> = "the mailbox here that gets what is collected, made when needed";
    dedupe: Switch = "a message that another source with dedupe has brought to this account is not delivered again";
    interval: SourceInterval<SECOND, { 30 * DAY }> = "time between polls; empty: multipop.interval; push: when an IMAP server says that mail has come";
    ca: Ca = "PEM file of an extra CA, or of the server's own certificate";
});

settings!(OAUTH2: OAuth2 {
    provider: Words<OrEmpty<ProviderName>, 32> = "its addresses and scopes fill those that are empty";
    token_url: Words<OrEmpty<EndpointUrl>, 512> = "the token endpoint";
    auth_url: Words<OrEmpty<EndpointUrl>, 512> = "the authorization endpoint: where a browser asks for permission";
    device_url: Words<OrEmpty<EndpointUrl>, 512> = "the device authorization endpoint, which gives a short code";
    scope: Words<OrEmpty<Scope>, 512> = "what the permission is to be for";
    client_id: Words<OrEmpty<ClientId>, 512> = "the client's identifier";
    client_secret: Password = "the client's secret, where the provider gave one";
    refresh_token: Password<4096> = "what access tokens are asked for with";
});

impl Section {
    /// Its settings, in the order of the text form.
    pub fn settings(self) -> &'static [Setting] {
        match self {
            Section::Server => SERVER,
            Section::Listen => LISTEN,
            Section::Network => NETWORK,
            Section::Tls => TLS,
            Section::Smarthost => SMARTHOST,
            Section::Multipop => MULTIPOP,
            Section::Account(_) => ACCOUNT,
            Section::AppPassword(..) => APP_PASSWORD,
            Section::Source(..) => SOURCE,
            Section::OAuth2(..) | Section::SmarthostOAuth2 => OAUTH2,
        }
    }

    /// The section of its `oauth2` table, where it may have one.
    pub fn oauth2(self) -> Option<Section> {
        match self {
            Section::Source(account, source) => Some(Section::OAuth2(account, source)),
            Section::Smarthost => Some(Section::SmarthostOAuth2),
            _ => None,
        }
    }

    /// The setting called `key`.
    pub fn setting(self, key: &str) -> Option<&'static Setting> {
        self.settings().iter().find(|setting| setting.key == key)
    }
}
