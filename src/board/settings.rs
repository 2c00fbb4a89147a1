//! The settings that the scripts of a card image need, in a form that `sh` reads.

use std::fmt::Write;

use crate::config::Config;

/// One a line, each value in double quotes: `HOSTNAME` (the first label of the server's name), `ADDRESS`
/// (`dhcp`, or with the length of the prefix), `GATEWAY`, `DNS` and `NTP` (separated by spaces).
pub fn for_sh(config: &Config) -> String {
    let network = &config.network;
    let joined = |words: Vec<String>| words.join(" ");
    let hostname = config.server.hostname.split('.').next().unwrap_or_default();
    let mut text = String::new();
    for (name, value) in [
        ("HOSTNAME", hostname.to_ascii_lowercase()),
        ("ADDRESS", network.address.map_or("dhcp".to_owned(), |address| address.to_string())),
        ("GATEWAY", network.gateway.map(|address| address.to_string()).unwrap_or_default()),
        ("DNS", joined(network.dns.iter().map(ToString::to_string).collect())),
        ("NTP", joined(network.ntp.iter().map(ToString::to_string).collect())),
    ] {
        // The grammars of the settings allow no others; that it is safe is to be seen here.
        let is_safe = |c: &char| c.is_ascii_alphanumeric() || ".:/- ".contains(*c);
        let value: String = value.chars().filter(is_safe).collect();
        let _ = writeln!(text, "{name}=\"{value}\"");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::path::set;

    #[test]
    fn the_shell_gets_what_it_needs() {
        let mut config = Config::default();
        let defaults =
            "HOSTNAME=\"pillarbox\"\nADDRESS=\"dhcp\"\nGATEWAY=\"\"\nDNS=\"\"\nNTP=\"pool.ntp.org\"\n";
        assert_eq!(for_sh(&config), defaults);
        for (path, value) in [
            ("server.hostname", "Mail.home.example"),
            ("network.address", "192.168.1.5/24"),
            ("network.gateway", "192.168.1.1"),
            ("network.dns", "192.168.1.1, 2001:db8::1"),
            ("network.ntp", "ntp.home.example 192.168.1.1"),
        ] {
            set(&mut config, path, value).unwrap();
        }
        let fixed = "HOSTNAME=\"mail\"\nADDRESS=\"192.168.1.5/24\"\nGATEWAY=\"192.168.1.1\"\n\
                     DNS=\"192.168.1.1 2001:db8::1\"\nNTP=\"ntp.home.example 192.168.1.1\"\n";
        assert_eq!(for_sh(&config), fixed);
        config.network.ntp = vec!["$(reboot)`\"".try_into().unwrap()];
        assert!(for_sh(&config).ends_with("NTP=\"reboot\"\n"));
    }
}
