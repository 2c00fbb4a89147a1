//! How others reach this device: the address of its pages, for a browser or a telephone, and its ports for mail programs.

use std::net::{IpAddr, Ipv6Addr};

use crate::certificate;
use crate::config::{Config, Security, ServerProtocol};
use crate::net::addresses;

/// How the pages are asked for (RFC 9110 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The site of `host`, a name or an address, without a slash at the end. The usual port goes without saying.
    pub fn site(self, host: &str, port: u16) -> String {
        let (scheme, usual) = match self {
            Scheme::Http => ("http", 80),
            Scheme::Https => ("https", 443),
        };
        let host = match host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => host.to_owned(),
        };
        if port == usual { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") }
    }

    /// The port of the pages for other devices. `None` where they are closed.
    pub fn port(self, config: &Config) -> Option<u16> {
        let wanted = match self {
            Scheme::Http => Security::None,
            Scheme::Https => Security::Tls,
        };
        let found = config.listen.ports(ServerProtocol::Http).find(|(security, _)| *security == wanted);
        found.map(|(_, port)| port)
    }
}

/// What mail programs ask for: each service that there is, the port, and how it is secured.
pub fn services(config: &Config) -> Vec<(&'static str, u16, &'static str)> {
    let all = [
        ("IMAP", ServerProtocol::Imap),
        ("POP3", ServerProtocol::Pop3),
        ("SMTP", ServerProtocol::Submission),
    ];
    let best = |(name, protocol)| {
        let (security, port) = config.listen.ports(protocol).next()?;
        Some((name, port, if security == Security::Tls { "TLS" } else { "STARTTLS" }))
    };
    all.into_iter().filter_map(best).collect()
}

/// Whether `host` means this device elsewhere, too: neither a name or address that leads each device to itself (RFC 6761 section
/// 6.3), nor an address of one link, which is none without the other device's name for the link (RFC 4007 section 6).
pub fn is_known_elsewhere(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    match host.parse::<IpAddr>().map(|it| it.to_canonical()) {
        Ok(IpAddr::V6(address)) => !address.is_loopback() && !address.is_unicast_link_local(),
        Ok(IpAddr::V4(address)) => !address.is_loopback(),
        Err(_) => name != "localhost" && !name.ends_with(".localhost"),
    }
}

/// What another device may call this one: the name for clients, or, where that means nothing there, the first address of the
/// network. `None` without a network.
pub fn host_for_others(config: &Config, announced: Option<&str>) -> Option<String> {
    host_among(config, announced, &addresses::lasting())
}

fn host_among(config: &Config, announced: Option<&str>, present: &[IpAddr]) -> Option<String> {
    let name = certificate::name_for_clients(config, announced);
    let first = || present.iter().map(ToString::to_string).find(|it| is_known_elsewhere(it));
    if is_known_elsewhere(&name) { Some(name) } else { first() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: an address that no browser opens.
    #[test]
    fn a_site_is_what_a_browser_opens() {
        for (scheme, host, port, site) in [
            (Scheme::Https, "pillarbox.local", 443, "https://pillarbox.local"),
            (Scheme::Https, "pillarbox.local", 80, "https://pillarbox.local:80"),
            (Scheme::Http, "192.168.1.5", 80, "http://192.168.1.5"),
            (Scheme::Http, "fd00::5", 1080, "http://[fd00::5]:1080"),
            (Scheme::Https, "fd00::5", 443, "https://[fd00::5]"),
        ] {
            assert_eq!(scheme.site(host, port), site);
        }
    }

    /// Catches: a telephone that is led to itself, or to a port that only this device reaches.
    #[test]
    fn another_device_is_led_here() {
        let mut config = Config::default();
        let listen = |all: &[&str]| all.iter().map(|it| it.parse().unwrap()).collect();
        config.listen.https = listen(&["127.0.0.1:1443", "[::1]:2443", "0.0.0.0:443", "192.168.1.5:3443"]);
        config.listen.http = listen(&["127.0.0.1:1080"]);
        assert_eq!(Scheme::Https.port(&config), Some(443));
        // With a port that is passed on it may be reached all the same.
        assert_eq!(Scheme::Http.port(&config), Some(1080));
        config.listen.http.clear();
        assert_eq!(Scheme::Http.port(&config), None);
        config.listen.imaps = listen(&["127.0.0.1:1993", "0.0.0.0:993"]);
        config.listen.pop3s.clear();
        config.listen.pop3 = listen(&["0.0.0.0:110"]);
        config.listen.submissions.clear();
        config.listen.submission.clear();
        assert_eq!(services(&config), [("IMAP", 993, "TLS"), ("POP3", 110, "STARTTLS")]);

        let present: Vec<IpAddr> =
            ["fe80::5", "192.168.1.5", "fd00::5"].iter().map(|it| it.parse().unwrap()).collect();
        for (hostname, announced, host) in [
            ("mail.home.example", None, Some("mail.home.example")),
            ("pillarbox.local", Some("pillarbox-2.local"), Some("pillarbox-2.local")),
            ("localhost", None, Some("192.168.1.5")),
            ("LOCALHOST", Some("localhost.local"), Some("192.168.1.5")),
            ("box.localhost", None, Some("192.168.1.5")),
        ] {
            config.server.hostname = hostname.try_into().unwrap();
            assert_eq!(host_among(&config, announced, &present).as_deref(), host, "{hostname}");
        }
        assert_eq!(host_among(&config, None, &present[..1]), None);
        for (host, is_known) in [
            ("localhost.", false),
            ("127.3.4.5", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("localhost.example", true),
            ("mylocalhost", true),
            ("128.0.0.1", true),
            ("::2", true),
            ("fe80::5", false),
            ("fd00::5", true),
        ] {
            assert_eq!(is_known_elsewhere(host), is_known, "{host}");
        }
    }
}
