//! Whom a request is for (RFC 9110 section 7.2): only what is for this device is answered.
//!
//! A page from elsewhere can give its own name this device's address (DNS rebinding). The browser then takes what the
//! device answers for that page's own; only the name in the request tells.

use std::net::{IpAddr, Ipv6Addr};

use crate::config::Config;
use crate::context::Context;
use crate::net::{addresses, mdns};

/// Whom a request is for, its port left out: whoever passes ports on may change them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// A name, in lower case, without a dot at its end.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl Authority {
    /// `name`, `name:80`, `192.168.1.5`, `[fe80::1]:80`; `None` where it is none of these.
    pub fn parse(text: &str) -> Option<Authority> {
        let (host, port) = match text.strip_prefix('[') {
            Some(text) => text.split_once(']')?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let digits = port.strip_prefix(':').unwrap_or(port);
        if port.len() == digits.len() && !port.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
            return None;
        }
        if text.starts_with('[') {
            // A browser's own zone means nothing here (RFC 6874).
            let address = host.split_once('%').map_or(host, |(address, _)| address);
            return address.parse::<Ipv6Addr>().ok().map(|it| Authority::Address(it.to_canonical()));
        }
        if let Ok(address) = host.parse() {
            return Some(Authority::Address(IpAddr::V4(address)));
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        let fits = |it: u8| it.is_ascii_alphanumeric() || b"-._".contains(&it);
        (!name.is_empty() && name.bytes().all(fits)).then(|| Authority::Name(name.to_ascii_lowercase()))
    }
}

/// What a request that is for somebody may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It is for this device.
    Everything,
    /// It is for one of the mail domains, where mail programs look for their settings.
    Autoconfiguration,
    /// It is for somebody else.
    Nothing,
}

/// How this device is called.
pub struct Own<'a> {
    config: &'a Config,
    announced: Option<String>,
    present: Vec<IpAddr>,
}

impl<'a> Own<'a> {
    /// As it is now.
    pub fn now(config: &'a Config, context: &Context) -> Own<'a> {
        Own { config, announced: context.announced(), present: addresses::present() }
    }

    /// What a request for `authority` may see.
    pub fn sight(&self, authority: &Authority) -> Sight {
        match authority {
            Authority::Address(address) if self.is_here(*address) => Sight::Everything,
            Authority::Address(_) => Sight::Nothing,
            Authority::Name(name) if self.names().any(|own| own == *name) => Sight::Everything,
            Authority::Name(name) if self.is_of_mail(name) => Sight::Autoconfiguration,
            Authority::Name(_) => Sight::Nothing,
        }
    }

    fn is_here(&self, address: IpAddr) -> bool {
        let mut listening = self.config.listen.all();
        address.is_loopback()
            || self.present.contains(&address)
            || !address.is_unspecified() && listening.any(|(_, own)| own.ip().to_canonical() == address)
    }

    /// In lower case: whole names, and what a resolver with a search list takes.
    fn names(&self) -> impl Iterator<Item = String> {
        let hostname = self.config.server.hostname.to_ascii_lowercase();
        let hostname = hostname.trim_end_matches('.').to_owned();
        let local = mdns::local_name(&hostname);
        let whole = [Some(hostname), Some(local), self.announced.clone(), Some("localhost".to_owned())];
        whole.into_iter().flatten().flat_map(|name| {
            let first = name.split('.').next().unwrap_or_default().to_owned();
            [name, first]
        })
    }

    fn is_of_mail(&self, name: &str) -> bool {
        let looks = ["autoconfig.", "autodiscover."].iter().find_map(|prefix| name.strip_prefix(prefix));
        let name = looks.unwrap_or(name);
        self.config.server.domains.iter().any(|domain| domain.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a port, a zone, a dot or capitals that make another name, and octets that make none.
    #[test]
    fn names_and_addresses_are_told_apart() {
        let name = |name: &str| Some(Authority::Name(name.to_owned()));
        let address = |address: &str| Some(Authority::Address(address.parse().unwrap()));
        for (text, authority) in [
            ("pillarbox.local", name("pillarbox.local")),
            ("Pillarbox.LOCAL.:8080", name("pillarbox.local")),
            ("pillarbox:", name("pillarbox")),
            ("192.168.1.5:1080", address("192.168.1.5")),
            ("[fe80::1%25eth0]:80", address("fe80::1")),
            ("[::ffff:192.168.1.5]", address("192.168.1.5")),
            // What some resolvers take for 127.0.0.1 is a name here.
            ("127.1", name("127.1")),
            ("2130706433", name("2130706433")),
        ] {
            assert_eq!(Authority::parse(text), authority, "{text}");
        }
        for text in [
            "",
            ".",
            ":80",
            "a:b",
            "a:80:80",
            "fe80::1",
            "[fe80::1",
            "[fe80::1]x",
            "[]",
            "[a]",
            "a b",
            "u@a",
            "a/b",
            "a%2e",
            "ä",
            "a:+80",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }

    /// Catches: a name that only looks like an own one, and an own one that is forgotten.
    #[test]
    fn only_what_is_for_this_device_sees_anything() {
        let mut config = Config::default();
        config.server.hostname = "Mail.Home.example".try_into().unwrap();
        config.server.domains = vec!["home.example".try_into().unwrap()];
        config.listen.http = vec!["203.0.113.7:80".parse().unwrap(), "[::]:80".parse().unwrap()];
        let announced = Some("mail-2.local".to_owned());
        let present = vec!["192.168.1.5".parse().unwrap(), "fd00::5".parse().unwrap()];
        let own = Own { config: &config, announced, present };
        let sight = |text: &str| own.sight(&Authority::parse(text).unwrap());
        for text in [
            "mail.home.example",
            "mail",
            "mail.local",
            "MAIL-2.local:80",
            "mail-2",
            "localhost:1080",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "192.168.1.5",
            "[fd00::5]:80",
            "203.0.113.7",
        ] {
            assert_eq!(sight(text), Sight::Everything, "{text}");
        }
        for text in ["home.example", "autoconfig.home.example", "autodiscover.home.example"] {
            assert_eq!(sight(text), Sight::Autoconfiguration, "{text}");
        }
        for text in [
            "evil.example",
            "mail.home.example.evil.example",
            "evil.mail.home.example",
            "evil.localhost",
            "localhost.evil.example",
            "mail-3.local",
            "autoconfig.example",
            "example",
            "192.168.1.6",
            "0.0.0.0",
            "[::]",
            "[fd00::6]",
        ] {
            assert_eq!(sight(text), Sight::Nothing, "{text}");
        }
    }
}
