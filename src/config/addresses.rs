//! Where an address leads: to accounts of this appliance, to somebody outside, or to nobody.

use std::net::{IpAddr, Ipv6Addr};

use super::{Account, Config};
use crate::net::addresses::present;

/// Where an address leads.
#[derive(Debug, Clone, PartialEq)]
pub enum Destination<'a> {
    /// To these accounts, at least one.
    Here(Vec<&'a Account>),
    /// To the smarthost.
    Outside,
    /// Nowhere: its domain is local, and no account has the address.
    Nobody,
}

/// Local parts that reach the postmaster at every local domain (RFC 5321 section 4.5.1, RFC 2142 section 4).
const OF_THE_POSTMASTER: [&str; 2] = ["postmaster", "abuse"];

/// The local part and the domain of an address; the domain is empty where there is none.
fn parts(address: &str) -> (&str, &str) {
    address.rsplit_once('@').unwrap_or((address, ""))
}

/// A local part without its detail: `ann` for `ann+shop` (RFC 5233 section 4). `None` where there is no detail.
fn without_detail(local: &str) -> Option<&str> {
    local.split_once('+').map(|(user, _)| user).filter(|user| !user.is_empty())
}

/// The address of an address literal (RFC 5321 section 4.1.3), brackets included.
fn literal(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    match inner.split_at_checked(5) {
        Some((tag, v6)) if tag.eq_ignore_ascii_case("IPv6:") => {
            v6.parse::<Ipv6Addr>().ok().map(|v6| IpAddr::V6(v6).to_canonical())
        }
        _ => inner.parse().ok(),
    }
}

impl Config {
    /// Where `address` leads. An account with exactly this address comes before one with the address without its `+detail`. An
    /// alias of several accounts leads to all of them. The host's own name and its own address literals stand for the local
    /// domains.
    pub fn destination(&self, address: &str) -> Destination<'_> {
        let (local, domain) = parts(address);
        let is_host = self.is_own_host(domain);
        let here = match is_host {
            false => self.accounts_by_address(address),
            true => self.accounts_of_host(local),
        };
        if !here.is_empty() {
            return Destination::Here(here);
        }
        if !is_host && !self.is_local_domain(domain) {
            return Destination::Outside;
        }
        let is_postmaster =
            |local: &str| OF_THE_POSTMASTER.iter().any(|name| name.eq_ignore_ascii_case(local));
        let local = without_detail(local).unwrap_or(local);
        match self.postmaster().filter(|_| is_postmaster(local)) {
            Some(postmaster) => Destination::Here(vec![postmaster]),
            None => Destination::Nobody,
        }
    }

    /// Whether mail for `address` stays in this house.
    pub fn stays_here(&self, address: &str) -> bool {
        self.destination(address) != Destination::Outside
    }

    /// The accounts that have `address`; where there are none, those that have it without its detail.
    pub fn accounts_by_address(&self, address: &str) -> Vec<&Account> {
        let owners = |address: &str| -> Vec<&Account> {
            self.accounts.iter().filter(|account| account.owns(address)).collect()
        };
        let exact = owners(address);
        if !exact.is_empty() {
            return exact;
        }
        let (local, domain) = parts(address);
        without_detail(local).map_or_else(Vec::new, |user| owners(&format!("{user}@{domain}")))
    }

    /// Whether `account` may write as `address`.
    pub fn may_send_as(&self, account: &Account, address: &str) -> bool {
        self.accounts_by_address(address).iter().any(|owner| owner.name == account.name)
    }

    /// Whether `address` is how a mail server of this house signs its reports (RFC 3464 section 2): `MAILER-DAEMON` at a local
    /// domain, at this host, or at a host whose name ends in a local domain or in this host's name.
    pub fn is_mailer_daemon(&self, address: &str) -> bool {
        let (local, domain) = parts(address);
        let is_at = |name: &str| {
            domain.len().checked_sub(name.len()).is_some_and(|at| {
                let is_below = at == 0 || domain.as_bytes().get(at - 1) == Some(&b'.');
                is_below && domain.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(name))
            })
        };
        let server = &self.server;
        local.eq_ignore_ascii_case("MAILER-DAEMON")
            && (is_at(&server.hostname) || server.domains.iter().any(|domain| is_at(domain)))
    }

    /// The account that gets mail for the postmaster: the one that is set, or the first one.
    pub fn postmaster(&self) -> Option<&Account> {
        self.account(&self.server.postmaster).or(self.accounts.first())
    }

    /// The account's own address that `address` at the host itself stands for. It still belongs to the same account when the
    /// host gets another name or address.
    pub fn address_of_host(&self, address: &str) -> Option<&str> {
        let (local, domain) = parts(address);
        if !self.is_own_host(domain) {
            return None;
        }
        match self.accounts_of_host(local)[..] {
            [account] => Some(&account.address),
            _ => None,
        }
    }

    /// Whether `domain` is this host itself, and not a local domain.
    fn is_own_host(&self, domain: &str) -> bool {
        if self.is_local_domain(domain) {
            return false;
        }
        domain.eq_ignore_ascii_case(&self.server.hostname)
            || literal(domain).is_some_and(|address| address.is_loopback() || present().contains(&address))
    }

    /// The accounts that have `local` at the first local domain where any account has it; else the account called `local`.
    fn accounts_of_host(&self, local: &str) -> Vec<&Account> {
        let domains = self.server.domains.iter();
        let mut found = domains.map(|domain| self.accounts_by_address(&format!("{local}@{domain}")));
        found.find(|accounts| !accounts.is_empty()).unwrap_or_else(|| {
            let name = without_detail(local).unwrap_or(local);
            self.accounts.iter().filter(|account| account.name.eq_ignore_ascii_case(name)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let account = |name: &str, aliases: &[&str]| Account {
            name: name.try_into().unwrap(),
            address: format!("{name}@home.example").as_str().try_into().unwrap(),
            aliases: aliases.iter().map(|&alias| alias.try_into().unwrap()).collect(),
            ..Account::default()
        };
        let mut config = Config {
            accounts: vec![
                account("ann", &["ann@gmx.example", "family@home.example", "shop@other.example"]),
                account("bob", &["family@home.example", "ann+bob@home.example"]),
            ],
            ..Config::default()
        };
        config.server.hostname = "box.example".try_into().unwrap();
        config.server.domains = vec!["home.example".try_into().unwrap(), "other.example".try_into().unwrap()];
        config.server.shared_domains = vec!["gmx.example".try_into().unwrap()];
        config
    }

    fn leads(config: &Config, address: &str) -> String {
        match config.destination(address) {
            Destination::Here(accounts) => {
                accounts.iter().map(|account| account.name.as_str()).collect::<Vec<_>>().join(" ")
            }
            Destination::Outside => "outside".to_owned(),
            Destination::Nobody => "nobody".to_owned(),
        }
    }

    /// Catches: reports accepted from a provider's domain, where anybody could write them, and those of a server in the house
    /// refused, where nobody else could.
    #[test]
    fn the_daemons_of_this_house_are_known() {
        let config = config();
        for (address, expected) in [
            ("MAILER-DAEMON@home.example", true),
            ("Mailer-Daemon@NAS.Home.Example", true),
            ("mailer-daemon@a.nas.other.example", true),
            ("MAILER-DAEMON@box.example", true),
            ("MAILER-DAEMON@nas.box.example", true),
            ("MAILER-DAEMON@gmx.example", false),
            ("MAILER-DAEMON@else.example", false),
            ("MAILER-DAEMON@example", false),
            ("MAILER-DAEMON@xhome.example", false),
            ("MAILER-DAEMON@home.example.else.example", false),
            ("MAILER-DAEMON@\u{e9}home.example", false),
            ("MAILER-DAEMON", false),
            ("MAILER-DAEMON+x@home.example", false),
            ("bob@nas.home.example", false),
        ] {
            assert_eq!(config.is_mailer_daemon(address), expected, "{address}");
        }
    }

    /// Catches: other customers of a provider who cannot be reached, mail for this house that leaves it, a detail that beats an
    /// exact address, and an alias of several accounts that reaches only one.
    #[test]
    fn addresses_lead_somewhere() {
        let config = config();
        for (address, expected) in [
            ("ann@home.example", "ann"),
            ("ANN@Home.Example", "ann"),
            ("ann+shop@home.example", "ann"),
            ("ann+a+b@home.example", "ann"),
            ("ann+bob@home.example", "bob"),
            ("+shop@home.example", "nobody"),
            ("family@home.example", "ann bob"),
            ("family+x@home.example", "ann bob"),
            ("shop@other.example", "ann"),
            ("ann@other.example", "nobody"),
            ("ann@gmx.example", "ann"),
            ("ann+x@gmx.example", "ann"),
            ("bob@gmx.example", "outside"),
            ("postmaster@gmx.example", "outside"),
            ("postmaster@home.example", "ann"),
            ("Abuse@other.example", "ann"),
            ("postmaster+x@home.example", "ann"),
            ("postmaster@box.example", "ann"),
            ("postmaster@[127.0.0.1]", "ann"),
            ("postmaster@else.example", "outside"),
            ("bob@box.example", "bob"),
            ("BOB+x@Box.Example", "bob"),
            ("shop@box.example", "ann"),
            ("nobody@box.example", "nobody"),
            ("bob@[127.0.0.1]", "bob"),
            ("bob@[IPv6:::1]", "bob"),
            ("bob@[ipv6:::ffff:127.0.0.1]", "bob"),
            ("bob@[203.0.113.7]", "outside"),
            ("bob@sub.home.example", "outside"),
        ] {
            assert_eq!(leads(&config, address), expected, "{address}");
        }
    }

    /// Catches: an address of this machine that is not recognised as its own.
    #[test]
    fn every_address_of_this_machine_is_its_own() {
        let config = config();
        for address in present() {
            let literal = match address {
                IpAddr::V4(v4) => format!("[{v4}]"),
                IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
            };
            assert_eq!(leads(&config, &format!("bob@{literal}")), "bob");
        }
    }

    #[test]
    fn the_postmaster_is_who_is_set() {
        let mut config = config();
        config.server.postmaster = "bob".try_into().unwrap();
        assert_eq!(leads(&config, "postmaster@home.example"), "bob");
        config.accounts[0].aliases.push("abuse@home.example".try_into().unwrap());
        assert_eq!(leads(&config, "abuse@home.example"), "ann", "whoever has the address comes first");
        config.accounts.clear();
        assert_eq!(leads(&config, "postmaster@home.example"), "nobody");
    }

    /// Catches: mail at the host's own name that reaches another account once names have changed.
    #[test]
    fn an_address_at_the_host_stands_for_the_account_s_own() {
        let config = config();
        assert_eq!(config.address_of_host("bob@box.example"), Some("bob@home.example"));
        assert_eq!(config.address_of_host("bob@[127.0.0.1]"), Some("bob@home.example"));
        assert_eq!(config.address_of_host("bob@home.example"), None);
        assert_eq!(config.address_of_host("nobody@box.example"), None);
    }

    /// Catches: a sender who uses another account's address by means of its detail.
    #[test]
    fn an_account_writes_as_its_own_addresses() {
        let config = config();
        let may = |name, address| config.may_send_as(config.account(name).unwrap(), address);
        assert!(may("ann", "ann+x@home.example") && may("ann", "ann@gmx.example"));
        assert!(may("ann", "family@home.example") && may("bob", "family@home.example"));
        assert!(may("bob", "ann+bob@home.example") && !may("ann", "ann+bob@home.example"));
        assert!(!may("bob", "ann@home.example") && !may("ann", "postmaster@home.example"));
    }

    /// Catches: an account's name that gets mail at a local domain, or none at the host's own name, and a quoted local part
    /// that leads away.
    #[test]
    fn names_are_for_the_host_s_own_domain() {
        let mut config = config();
        config.accounts[1].address = "robert@home.example".try_into().unwrap();
        for (address, expected) in [
            ("bob@box.example", "bob"),
            ("BOB+x@box.example", "bob"),
            ("bob@home.example", "nobody"),
            ("\"ann@else.example\"@home.example", "nobody"),
            ("family@box.example", "ann bob"),
        ] {
            assert_eq!(leads(&config, address), expected, "{address}");
        }
        assert_eq!(config.address_of_host("family@box.example"), None, "it is not one account's alone");
        // A host that has the name of its domain.
        config.server.hostname = "home.example".try_into().unwrap();
        assert_eq!(leads(&config, "bob@home.example"), "nobody");
    }
}
