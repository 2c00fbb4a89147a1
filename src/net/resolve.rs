//! Resolves host names without a helper thread.
//!
//! The system's resolver blocks, so it would need a thread. This one does what a small machine needs: it reads
//! `/etc/hosts`, and the servers and search domains of `/etc/resolv.conf`. Both files are read each time, so a new
//! DHCP lease takes effect at once.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::dns;

/// Octets of `/etc/hosts` and `/etc/resolv.conf` that are read, at most.
const MAX_FILE: u64 = 1024 * 1024;

/// DNS servers that are asked, at most: the limit of `resolv.conf(5)`.
const MAX_SERVERS: usize = 3;
/// Search domains that are used, at most: the limit of `resolv.conf(5)`.
const MAX_SEARCH: usize = 6;

/// The addresses of `host`: an address literal, a name in `/etc/hosts`, or the answer of the DNS servers in
/// `/etc/resolv.conf` (A and AAAA, RFC 1035), IPv4 and IPv6 in turn.
///
/// # Errors
/// `NotFound` when there is no such name, `TimedOut` when no server answers.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let (hosts, resolv_conf) = (read("/etc/hosts"), read("/etc/resolv.conf"));
    let addresses = lookup(host, &hosts, &Servers::parse(&resolv_conf)).await?;
    Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

async fn lookup(host: &str, hosts: &str, servers: &Servers) -> io::Result<Vec<IpAddr>> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
        return Ok(vec![address]);
    }
    let listed = in_hosts(host, hosts);
    if !listed.is_empty() {
        return Ok(listed);
    }
    // This name is never asked for (RFC 6761 section 6.3).
    if host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    for name in servers.candidates(host) {
        let addresses = dns::addresses(&servers.addresses, &name).await?;
        if !addresses.is_empty() {
            return Ok(addresses);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no host {host}")))
}

/// The addresses of a name in the text of `/etc/hosts` (hosts(5)), IPv4 first.
fn in_hosts(host: &str, hosts: &str) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = hosts
        .lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
        })
        .collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses
}

/// The servers and search domains of `/etc/resolv.conf`.
#[derive(Debug, PartialEq, Eq)]
struct Servers {
    addresses: Vec<SocketAddr>,
    search: Vec<String>,
}

impl Servers {
    /// Parses the text of `/etc/resolv.conf` (resolv.conf(5)). Without a server in it, the machine itself is asked.
    fn parse(text: &str) -> Servers {
        let mut servers = Servers { addresses: Vec::new(), search: Vec::new() };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    servers
                        .addresses
                        .extend(words.next().and_then(|word| Some(SocketAddr::new(word.parse().ok()?, 53))));
                }
                Some("search" | "domain") => servers.search = words.map(str::to_owned).collect(),
                _ => {}
            }
        }
        servers.addresses.truncate(MAX_SERVERS);
        servers.search.truncate(MAX_SEARCH);
        if servers.addresses.is_empty() {
            servers.addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
        }
        servers
    }

    /// The names to ask for: for a single label first those in the search domains.
    fn candidates(&self, host: &str) -> Vec<String> {
        let search = if host.contains('.') { &[] } else { self.search.as_slice() };
        let within = search.iter().map(|domain| format!("{host}.{}", domain.trim_matches('.')));
        within.chain([host.to_owned()]).collect()
    }
}

/// The text of a system file, as far as it can be read; empty if it is missing.
fn read(path: &str) -> String {
    let mut content = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        // After an error, what was read before it is used.
        let _ = file.take(MAX_FILE).read_to_end(&mut content);
    }
    String::from_utf8_lossy(&content).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_need_no_server() {
        let hosts =
            "# the machine\n127.0.0.1 localhost\n::1 nas nas.home\n192.168.7.2\tNAS.home # old\nx y\n";
        let nobody = Servers { addresses: Vec::new(), search: Vec::new() };
        for (host, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("nas.HOME", Some("192.168.7.2 ::1")),
            ("nas.home.", Some("192.168.7.2 ::1")),
            ("localhost", Some("127.0.0.1")),
            ("mail.localhost", Some("127.0.0.1 ::1")),
            ("y", None),
            ("#", None),
        ] {
            let found = async_io::block_on(lookup(host, hosts, &nobody)).ok();
            let found =
                found.map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), expected, "{host}");
        }
        let found = async_io::block_on(lookup("localhost", "", &nobody)).unwrap();
        assert_eq!(found.len(), 2, "whatever the file says");
    }

    #[test]
    fn resolv_conf() {
        let text = "; by DHCP\nsearch home.example lan.\nnameserver 192.168.7.1\nnameserver fe80::1%eth0\n\
             nameserver 2001:db8::53\noptions ndots:1\nnameserver 9.9.9.9\nnameserver 1.1.1.1\n";
        let servers = Servers::parse(text);
        let addresses: Vec<String> = servers.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["192.168.7.1:53", "[2001:db8::53]:53", "9.9.9.9:53"]);
        assert_eq!(servers.candidates("nas"), ["nas.home.example", "nas.lan", "nas"]);
        assert_eq!(servers.candidates("mail.example"), ["mail.example"]);
        assert_eq!(Servers::parse("").addresses, ["127.0.0.1:53".parse().unwrap()]);
    }
}
