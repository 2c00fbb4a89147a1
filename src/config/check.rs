//! The rules between settings, which cannot be judged by one value alone.
//!
//! The same findings serve the text form, where each becomes a line, and the console, where each
//! becomes the path of a setting.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use super::identity::is_inbox;
use super::kind::shown_text;
use super::problem::{At, Place, Problem, Section, Severity};
use super::{
    Account, Config, Interval, Listener, OPERATOR, Protocol, Security, Smarthost, Source, SourceAuth,
    network, oauth2, server,
};

/// Everything that is wrong with `config`, errors and warnings, by the paths of the settings.
pub fn check(config: &Config) -> Vec<Problem> {
    let problem = |finding: Finding| Problem {
        at: At::Path(finding.place.path(config)),
        severity: finding.severity,
        text: finding.text,
    };
    findings(config).into_iter().map(problem).collect()
}

/// A rule that is broken.
pub(super) struct Finding {
    /// The setting to change.
    pub place: Place,
    /// Another setting that the rule looked at. While that one is faulty itself, this finding is not reported.
    pub beside: Option<Place>,
    pub severity: Severity,
    pub text: String,
}

impl Finding {
    pub fn error(place: Place, text: impl Into<String>) -> Finding {
        Finding { place, beside: None, severity: Severity::Error, text: text.into() }
    }
    pub fn warning(place: Place, text: impl Into<String>) -> Finding {
        Finding { severity: Severity::Warning, ..Finding::error(place, text) }
    }
    pub fn beside(self, place: Place) -> Finding {
        Finding { beside: Some(place), ..self }
    }
}

/// Every broken rule, in the order of the text form.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut found = needed(config);
    listeners(config, &mut found);
    network::check(config, &mut found);
    tls(config, &mut found);
    server::check(config, &mut found);
    smarthost(config, &mut found);
    oauth2::of_smarthost(&config.smarthost, &mut found);
    let mut names = HashMap::new();
    let (mut addresses, mut mailboxes) = (HashMap::new(), HashMap::new());
    for (a, account) in config.accounts.iter().enumerate() {
        if !account.name.is_empty() && names.insert(&*account.name, a).is_some() {
            let text = format!("another account is called {} already: choose another name", account.name);
            found.push(Finding::error(Section::Account(a).at("name"), text));
        }
        own_addresses(config, a, &mut addresses, &mut found);
        rights(config, a, account, &mut found);
        app_passwords(a, account, &mut found);
        for (s, source) in account.sources.iter().enumerate() {
            self::source(config, Section::Source(a, s), source, &mut found);
            collected_once(config, (a, s), source, &mut mailboxes, &mut found);
            oauth2::of_source((a, s), source, &mut found);
        }
    }
    if config.accounts.len() > Config::MAX_ACCOUNTS {
        let text = format!("{} accounts are too many: {} fit", config.accounts.len(), Config::MAX_ACCOUNTS);
        found.push(Finding::error(Section::Account(Config::MAX_ACCOUNTS).at(""), text));
    }
    if config.accounts.is_empty() {
        let text = "no account is configured: no one can log in";
        found.push(Finding::warning(Section::Account(0).at(""), text));
    }
    found
}

/// Finds settings without a default that have no value.
fn needed(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    for section in Section::all(config) {
        for setting in section.settings().iter().filter(|setting| setting.needed) {
            if setting.is_empty(config, section) {
                let text = format!("{} is missing: it is {}", setting.key, (setting.form)());
                found.push(Finding::error(section.at(setting.key), text));
            }
        }
    }
    found
}

/// Finds listeners that share an address. `0.0.0.0` and `[::]` take every address of their family.
fn listeners(config: &Config, found: &mut Vec<Finding>) {
    let overlap = |a: SocketAddr, b: SocketAddr| {
        a.port() == b.port()
            && a.port() != 0
            && a.is_ipv4() == b.is_ipv4()
            && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
    };
    let mut taken: Vec<(Listener, SocketAddr)> = Vec::new();
    for (listener, address) in config.listen.all() {
        if let Some((other, by)) = taken.iter().find(|(_, t)| overlap(*t, address)) {
            let text = format!("{address} is taken by {by} of {}: choose another port", other.name());
            found.push(Finding::error(Section::Listen.at(listener.name()), text));
        }
        taken.push((listener, address));
    }
}

fn tls(config: &Config, found: &mut Vec<Finding>) {
    let missing = match (config.tls.certificate.is_empty(), config.tls.key.is_empty()) {
        (true, false) => "certificate",
        (false, true) => "key",
        _ => return,
    };
    let text = format!("{missing} is missing: give both the certificate and its key, or neither");
    found.push(Finding::error(Section::Tls.at(missing), text));
}

/// Whether `host` is surely on the LAN: loopback, an address inside `server.lan`, or a name that no
/// public DNS answers for (RFC 6762, RFC 8375, and the names of one label).
fn is_near(config: &Config, host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback() || config.server.is_on_lan(address),
        Err(_) => {
            let host = host.to_ascii_lowercase();
            !host.contains('.')
                || [".local", ".home.arpa", ".internal", ".localhost"].iter().any(|end| host.ends_with(end))
        }
    }
}

const NEAR: &str =
    "an address in server.lan, a name without dots, or one that ends in .local, .home.arpa or .internal";

fn smarthost(config: &Config, found: &mut Vec<Finding>) {
    let Smarthost { host, port, security, username, password, auth, .. } = &config.smarthost;
    let at = |key| Section::Smarthost.at(key);
    if host.is_empty() {
        return;
    }
    if *security == Security::None && !is_near(config, host) {
        let text = format!(
            "none sends passwords and mail in the clear to {host}: use tls or starttls, or a host on the LAN ({NEAR})"
        );
        found.push(Finding::error(at("security"), text).beside(at("host")));
    }
    if let Some(usual) = mismatch(*port, *security, &[(465, Security::Tls), (587, Security::Starttls)]) {
        found.push(Finding::warning(at("port"), usual).beside(at("security")));
    }
    if matches!(auth, SourceAuth::Apop | SourceAuth::User) {
        found.push(Finding::error(
            at("auth"),
            "APOP and USER are POP3's: use auto, or a mechanism that SMTP has",
        ));
    }
    match (username.is_empty(), password.is_empty()) {
        (true, _) if *auth == SourceAuth::OAuth2 => {
            let text = "username is missing: auth = \"oauth2\" needs it, mostly it is the mail address";
            found.push(Finding::error(at("username"), text).beside(at("auth")));
        }
        (false, true) if *auth == SourceAuth::OAuth2 => {}
        (false, true) => {
            let text = "password is missing: the smarthost's username needs one";
            found.push(Finding::error(at("password"), text).beside(at("username")));
        }
        (true, false) => {
            let text = "username is missing: the smarthost's password needs one";
            found.push(Finding::error(at("username"), text).beside(at("password")));
        }
        _ => {}
    }
}

/// What to tell the operator when `port` is the usual one of a security other than `security`.
fn mismatch(port: u16, security: Security, usual: &[(u16, Security)]) -> Option<String> {
    let (_, expected) = usual.iter().find(|(p, _)| *p == port)?;
    if *expected == security || security == Security::None {
        return None;
    }
    let word = if *expected == Security::Tls { "tls" } else { "starttls" };
    Some(format!("port {port} is usually that of security = \"{word}\""))
}

/// For each address, in lower case: the index of its account, and the key of the setting that has it.
type Owners = HashMap<String, (usize, &'static str)>;

/// Checks that each address of account `a` is in a local or shared domain, and that a main address belongs to one account only.
/// `owners` holds the addresses of the accounts before it.
fn own_addresses(config: &Config, a: usize, owners: &mut Owners, found: &mut Vec<Finding>) {
    let Some(account) = config.accounts.get(a) else { return };
    let mut seen = HashSet::new();
    let main = (!account.address.is_empty()).then_some(("address", &account.address));
    for (key, address) in main.into_iter().chain(account.aliases.iter().map(|alias| ("aliases", alias))) {
        let place = Section::Account(a).at(key);
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        if !config.is_local_domain(domain) && !config.is_shared_domain(domain) {
            let text = format!(
                "{address}: {domain} is not one of server.domains: add it there, or to server.shared_domains where it is a provider's"
            );
            found.push(Finding::error(place, text).beside(Section::Server.at("domains")));
        }
        let lower = address.to_ascii_lowercase();
        let owner = match owners.get(&lower) {
            _ if !seen.insert(lower.clone()) => "this account",
            // An alias reaches all accounts that have it.
            Some((owner, as_what)) if (key, *as_what) != ("aliases", "aliases") => {
                config.accounts.get(*owner).map_or("", |owner| &owner.name)
            }
            _ => {
                owners.entry(lower).or_insert((a, key));
                continue;
            }
        };
        let text =
            format!("{address} belongs to {owner} already: only an alias may be that of several accounts");
        found.push(Finding::error(place, text));
    }
}

/// Finds what keeps an account from doing what it may do.
fn rights(config: &Config, a: usize, account: &Account, found: &mut Vec<Finding>) {
    let at = |key| Section::Account(a).at(key);
    if !account.has_password() {
        let text = "password is missing: without one no one can log in";
        found.push(Finding::error(at("password"), text).beside(at("verifier")));
    }
    if account.name == OPERATOR {
        let text = "that is the operator's name on the pages: there this account logs in by its address only";
        found.push(Finding::warning(at("name"), text));
    }
    if account.connector && !account.imap {
        let text = "connector = true needs imap = true: Connector clients are IMAP clients";
        found.push(Finding::error(at("connector"), text).beside(at("imap")));
    } else if account.connector && !config.server.connector {
        let text = "connector = true has no effect while server.connector is false";
        found.push(Finding::warning(at("connector"), text).beside(Section::Server.at("connector")));
    }
    if !account.sources.is_empty() && !account.multipop {
        let text = "multipop is false: none of the account's sources is contacted";
        found.push(Finding::warning(at("multipop"), text));
    }
    if !account.smarthost_password.is_empty() && !config.smarthost.per_account_authentication {
        let text = "smarthost_password has no effect while smarthost.per_account_authentication is off: the account's mail goes under \
                    the global login";
        let place = at("smarthost_password");
        found.push(Finding::warning(place, text).beside(Section::Smarthost.at("per_account_authentication")));
    }
    if account.sources.len() > Config::MAX_SOURCES {
        let text = format!("{} sources are too many: {} fit", account.sources.len(), Config::MAX_SOURCES);
        found.push(Finding::error(at(""), text));
    }
}

/// Checks the names of an account's app passwords, and that all have the account's salt: [`super::AppPassword`] says why.
fn app_passwords(a: usize, account: &Account, found: &mut Vec<Finding>) {
    if account.app_passwords.len() > Config::MAX_APP_PASSWORDS {
        let text = format!("more than {} app passwords do not fit", Config::MAX_APP_PASSWORDS);
        found.push(Finding::error(Section::Account(a).at(""), text));
    }
    for (p, app) in account.app_passwords.iter().enumerate() {
        let at = |key| Section::AppPassword(a, p).at(key);
        if !app.name.is_empty() && account.app_passwords.iter().take(p).any(|other| other.name == app.name) {
            let text = format!("another app password is called {} already: choose another name", app.name);
            found.push(Finding::error(at("name"), text));
        }
        if !app.verifier.is_set() {
            let text = "password is missing: the app password opens nothing without one";
            found.push(Finding::error(at("password"), text).beside(at("verifier")));
        } else if account.has_password() && app.verifier.salt() != account.verifier.salt() {
            let text =
                "this verifier was made with another salt than the account's own: give its password anew";
            found.push(Finding::error(at("verifier"), text).beside(Section::Account(a).at("password")));
        }
    }
}

fn source(config: &Config, section: Section, source: &Source, found: &mut Vec<Finding>) {
    let at = |key| section.at(key);
    let Source { host, port, protocol, security, auth, .. } = source;
    if source.password.is_empty() && *auth != SourceAuth::OAuth2 {
        let text = "password is missing: only auth = \"oauth2\" does without";
        found.push(Finding::error(at("password"), text).beside(at("auth")));
    }
    if *protocol == Protocol::Imap && matches!(auth, SourceAuth::Apop | SourceAuth::User) {
        let text =
            "APOP and USER are POP3's: with protocol = \"imap\" use auto, or a mechanism that IMAP has";
        found.push(Finding::error(at("auth"), text).beside(at("protocol")));
    }
    if *security == Security::None && !host.is_empty() && !is_near(config, host) {
        let text = format!(
            "none sends the password in the clear to {host}: use tls or starttls where it offers them"
        );
        found.push(Finding::warning(at("security"), text).beside(at("host")));
    }
    let (own, others) = match protocol {
        Protocol::Pop3 => ([(995, Security::Tls), (110, Security::Starttls)], [993, 143]),
        Protocol::Imap => ([(993, Security::Tls), (143, Security::Starttls)], [995, 110]),
    };
    if others.contains(port) {
        let [(tls, _), (starttls, _)] = own;
        let text = format!(
            "port {port} is usually that of the other protocol: {tls} is usual for tls, {starttls} for starttls"
        );
        found.push(Finding::warning(at("port"), text).beside(at("protocol")));
    } else if let Some(usual) = mismatch(*port, *security, &own) {
        found.push(Finding::warning(at("port"), usual).beside(at("security")));
    }
    if source.delete_after > 0 && !source.leave_on_server {
        let text =
            "delete_after has no effect: without leave_on_server what was collected is deleted at once";
        found.push(Finding::warning(at("delete_after"), text).beside(at("leave_on_server")));
    }
    if *protocol == Protocol::Pop3 && source.interval == Interval::Push {
        let text = "POP3 servers cannot push: use protocol = \"imap\", or an interval such as \"10m\"";
        found.push(Finding::error(at("interval"), text).beside(at("protocol")));
    }
    let other = source.folders.iter().find(|folder| !is_inbox(folder));
    if *protocol == Protocol::Pop3
        && let Some(folder) = other
    {
        let text = format!(
            "folder {} has no effect: POP3 knows the INBOX only, use protocol = \"imap\"",
            shown_text(folder)
        );
        found.push(Finding::warning(at("folder"), text).beside(at("protocol")));
    }
}

/// Where a mailbox is: protocol, host in lower case, port, login, folder.
type Elsewhere<'a> = (Protocol, String, u16, &'a str, &'a str);

/// Finds sources that collect the same mailbox: each would get only what the other has left. `mailboxes` holds the sources
/// before.
fn collected_once<'a>(
    config: &Config,
    (a, s): (usize, usize),
    source: &'a Source,
    mailboxes: &mut HashMap<Elsewhere<'a>, (usize, usize)>,
    found: &mut Vec<Finding>,
) {
    if source.host.is_empty() || source.username.is_empty() {
        return;
    }
    let (host, username) = (source.host.to_ascii_lowercase(), source.username.as_str());
    let mailbox = |folder| (source.protocol, host.clone(), source.port, username, folder);
    let folders = source.wanted_folders().map(|folder| if is_inbox(folder) { "INBOX" } else { folder });
    let other =
        folders.filter_map(|folder| mailboxes.insert(mailbox(folder), (a, s))).find(|other| *other != (a, s));
    let Some((other, number)) = other else { return };
    let (at, number) = (Section::Source(a, s).at("host"), number + 1);
    if other == a {
        let text =
            format!("source {number} of this account collects this mailbox already: remove one of them");
        found.push(Finding::error(at, text));
    } else if !source.leave_on_server {
        // Two accounts may share a mailbox, as long as all of its mail stays there.
        let other = config.accounts.get(other).map_or("", |account| account.name.as_str());
        let text =
            format!("source {number} of {other} collects this mailbox, too: each gets what the other leaves");
        found.push(Finding::warning(at, text));
    }
}
