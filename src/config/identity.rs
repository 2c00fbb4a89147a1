//! The lasting identities of accounts and sources: random numbers that stay when their other settings change. So what was
//! collected from a source stays known when its provider's server gets another name.

use std::collections::HashSet;

use ring::digest::{SHA256, digest};
use toml::de::DeValue;

use super::kind::{Kind, Wrong, quoted};
use super::{Account, Config, Large, Protocol, Security, Smarthost, Source};
use crate::credential::random;

/// An identity as 16 hexadecimal digits. None is 0, and printed as the empty text.
pub struct Identity;

impl Kind for Identity {
    type Value = u64;
    // An identity is not confidential. But a text that is edited and copied must not bring another account's identity along.
    const SECRET: bool = true;
    fn form() -> String {
        "16 hexadecimal digits as an export with secrets has them".to_owned()
    }
    fn read(value: &DeValue<'_>) -> Result<u64, Wrong> {
        let text = value.as_str().filter(|text| text.is_empty() || text.len() == 16);
        let digits = text.filter(|text| text.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits {
            Some("") => Ok(0),
            Some(digits) => u64::from_str_radix(digits, 16).map_err(|_| Wrong::form::<Self>(value)),
            None => Err(Wrong::form::<Self>(value)),
        }
    }
    fn print(value: &u64) -> String {
        quoted(&if *value == 0 { String::new() } else { format!("{value:016x}") })
    }
}

/// The first 64 bits of the SHA-256 hash of `octets`.
pub(super) fn hash(octets: &[u8]) -> u64 {
    digest(&SHA256, octets).as_ref().iter().take(8).fold(0, |hash, &octet| hash << 8 | u64::from(octet))
}

/// A random identity that is not in `taken`. Adds it to `taken`.
fn new(taken: &mut HashSet<u64>) -> u64 {
    loop {
        let id = u64::from_le_bytes(random());
        if id != 0 && taken.insert(id) {
            return id;
        }
    }
}

impl Config {
    /// Gives an identity to each account and source that has none: the one in `before` where it is the same account or source,
    /// else a new one. An account is the same if its name is. A source is the same if its account and login are; one at the
    /// same host is preferred. A source whose login has changed is a new one: what was collected from the old mailbox says
    /// nothing about this one.
    pub fn identify(&mut self, before: &Config) {
        let mut taken = HashSet::new();
        for account in &mut self.accounts {
            if !taken.insert(account.id) {
                account.id = 0;
            }
        }
        for account in &mut self.accounts {
            let known = before.accounts.iter().find(|known| known.id == account.id && known.id != 0);
            let known = known.or_else(|| before.account(&account.name));
            if account.id == 0 {
                let same = known.map(|known| known.id).filter(|id| *id != 0 && taken.insert(*id));
                account.id = same.unwrap_or_else(|| new(&mut taken));
            }
            account.identify_sources(known.map_or(&[], |known| &known.sources));
        }
    }
}

impl Config {
    /// Tells this appliance from others: 16 hexadecimal digits, or nothing where the accounts have no identities yet. It is in
    /// the greetings, so that an appliance does not collect from itself.
    pub fn token(&self) -> String {
        let mut ids: Vec<u64> = self.accounts.iter().map(|account| account.id).collect();
        if ids.is_empty() || ids.contains(&0) {
            return String::new();
        }
        ids.sort_unstable();
        let octets: Vec<u8> = ids.iter().flat_map(|id| id.to_be_bytes()).collect();
        format!("{:016x}", hash(&[b"token", &octets[..]].concat()))
    }
}

impl Account {
    fn identify_sources(&mut self, before: &[Source]) {
        let mut taken = HashSet::new();
        for source in &mut self.sources {
            let known = before.iter().find(|known| known.id == source.id);
            let is_other = known.is_some_and(|known| known.username != source.username);
            if is_other || !taken.insert(source.id) {
                source.id = 0;
            }
        }
        let at_same_host = |a: &Source, b: &Source| a.host.eq_ignore_ascii_case(&b.host);
        for same_host in [true, false] {
            for source in self.sources.iter_mut().filter(|source| source.id == 0) {
                let mut same = before.iter().filter(|known| {
                    known.id != 0
                        && known.username == source.username
                        && (!same_host || at_same_host(known, source) && known.folders == source.folders)
                        && !taken.contains(&known.id)
                });
                if let Some(known) = same.next() {
                    source.id = known.id;
                    taken.insert(known.id);
                }
            }
        }
        for source in self.sources.iter_mut().filter(|source| source.id == 0) {
            source.id = new(&mut taken);
        }
    }
}

impl Smarthost {
    /// The usual port for the security (RFC 8314 section 3, RFC 6409 section 3.1, RFC 5321 section 4.5.4.2).
    pub fn usual_port(&self) -> u16 {
        match self.security {
            Security::Tls => 465,
            Security::Starttls => 587,
            Security::None => 25,
        }
    }
}

impl Source {
    /// The usual port for protocol and security (RFC 8314 section 3, RFC 1939, RFC 3501).
    pub fn usual_port(&self) -> u16 {
        match (self.protocol, self.security) {
            (Protocol::Pop3, Security::Tls) => 995,
            (Protocol::Pop3, _) => 110,
            (Protocol::Imap, Security::Tls) => 993,
            (Protocol::Imap, _) => 143,
        }
    }

    /// The folders to collect, as names or patterns. POP3 knows only the INBOX.
    pub fn wanted_folders(&self) -> impl Iterator<Item = &str> {
        let of_imap =
            self.folders.iter().filter(|_| self.protocol == Protocol::Imap).map(|folder| folder.as_str());
        let inbox = (self.protocol == Protocol::Pop3 || self.folders.is_empty()).then_some("INBOX");
        of_imap.chain(inbox)
    }

    /// Whether messages above `max_size` are deleted at the provider, and not left there.
    pub fn deletes_large(&self) -> bool {
        self.large == Large::Delete && self.max_size > 0
    }

    /// Whether anything may be deleted at the provider.
    pub fn deletes(&self) -> bool {
        !self.leave_on_server || self.delete_after > 0 || self.deletes_large()
    }

    /// The number under which the account's ledger keeps what was collected from `folder` of this source.
    pub fn ledger(&self, folder: &str) -> u64 {
        self.id ^ of_folder(folder)
    }
}

/// The part of [`Source::ledger`] that `folder` adds: 0 for the INBOX, so that a source keeps its ledger when it changes
/// from POP3 to IMAP.
pub(super) fn of_folder(folder: &str) -> u64 {
    if is_inbox(folder) { 0 } else { hash(folder.as_bytes()) }
}

/// Whether `folder` is the INBOX, in any case (RFC 3501 section 5.1).
pub(super) fn is_inbox(folder: &str) -> bool {
    folder.eq_ignore_ascii_case("INBOX")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(host: &str, username: &str) -> Source {
        Source { host: host.try_into().unwrap(), username: username.try_into().unwrap(), ..Source::default() }
    }

    fn config(accounts: &[(&str, Vec<Source>)]) -> Config {
        let account = |(name, sources): &(&str, Vec<Source>)| Account {
            name: (*name).try_into().unwrap(),
            sources: sources.clone(),
            ..Account::default()
        };
        Config { accounts: accounts.iter().map(account).collect(), ..Config::default() }
    }

    fn ids(config: &Config) -> (Vec<u64>, Vec<u64>) {
        let sources = config.accounts.iter().flat_map(|account| &account.sources);
        (
            config.accounts.iter().map(|account| account.id).collect(),
            sources.map(|source| source.id).collect(),
        )
    }

    /// Catches: an identity that changes with host, port or place in the list; one that stays with another login, or is taken
    /// from a source that still exists; and two sources with one identity.
    #[test]
    fn an_identity_stays_with_the_mailbox() {
        let (a, b, c) = (source("pop.one", "ann"), source("pop.one", "bob"), source("pop.two", "ann"));
        let mut before = config(&[("x", vec![a.clone(), b.clone(), c.clone()]), ("y", vec![a.clone()])]);
        before.identify(&Config::default());
        let (accounts, sources) = ids(&before);
        let distinct: HashSet<_> = accounts.iter().chain(&sources).collect();
        assert!(distinct.len() == 6 && !distinct.contains(&0));
        let identified = |accounts: &[(&str, Vec<Source>)]| {
            let mut config = config(accounts);
            config.identify(&before);
            ids(&config)
        };
        // The same accounts and sources in another order.
        let (x, y) = (("x", vec![c.clone(), a.clone(), b.clone()]), ("y", vec![a.clone()]));
        let moved = [sources[3], sources[2], sources[0], sources[1]].to_vec();
        assert_eq!(identified(&[y.clone(), x]), (vec![accounts[1], accounts[0]], moved));
        // Another host and port; the other "ann" keeps its identity.
        let renamed = Source { port: 1, ..source("mail.one", "ann") };
        let (_, found) = identified(&[("x", vec![renamed.clone(), c.clone()])]);
        assert_eq!(found, [sources[0], sources[2]]);
        // A source with another login is another mailbox, even where the console has edited the source that was there.
        let edited = Source { id: sources[1], ..source("pop.one", "carl") };
        let (_, found) = identified(&[("x", vec![edited, a.clone()])]);
        assert!(!sources.contains(&found[0]) && found[1] == sources[0]);
        // Two sources with one login, where one was before.
        let (_, found) = identified(&[("y", vec![renamed, a.clone()])]);
        assert!(found[1] == sources[3] && !sources.contains(&found[0]));
        // Of two copies with one identity the second gets another one; an identity that comes from an export stays.
        let kept = Source { id: 77, ..a.clone() };
        let (_, found) = identified(&[("z", vec![kept.clone(), kept])]);
        assert!(found[0] == 77 && found[1] != 77);
    }

    /// Catches: a token that reveals an identity, or that two appliances share.
    #[test]
    fn an_appliance_is_told_from_others() {
        let mut one = config(&[("x", vec![]), ("y", vec![])]);
        assert_eq!((one.token(), Config::default().token()), (String::new(), String::new()));
        let mut other = one.clone();
        one.identify(&Config::default());
        other.identify(&Config::default());
        assert_eq!(one.token().len(), 16);
        assert_ne!(one.token(), other.token());
        assert!(one.accounts.iter().all(|account| format!("{:016x}", account.id) != one.token()));
        other.accounts = one.accounts.iter().rev().cloned().collect();
        assert_eq!(one.token(), other.token());
    }

    #[test]
    fn it_has_16_digits() {
        let read = |text: &str| Identity::read(&DeValue::String(text.into()));
        for id in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            assert_eq!(read(Identity::print(&id).trim_matches('"')), Ok(id));
        }
        for text in ["1", "+123456789abcdef", "0123456789abcdeg", "0123456789abcdef0"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
