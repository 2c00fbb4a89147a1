//! The addresses of this machine, without asking the kernel for a list of interfaces.
//!
//! A netlink socket would need more system calls in the sandbox; here text files below `/proc/net` are read.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// IPv6 addresses and interfaces that are announced, at most.
const MOST: usize = 4;
/// Addresses of a family that are looked at, at most.
const LISTED: usize = 64;
/// Octets of a kernel table that are read, at most.
const TABLE: u64 = 256 << 10;

/// Flags of addresses that are not lasting: temporary, tentative, duplicate, deprecated (`linux/if_addr.h`).
const PASSING: u32 = 0x01 | 0x40 | 0x08 | 0x20;

/// The addresses of this machine that are announced in its network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The address from which it reaches its neighbours or the router.
    pub v4: Option<Ipv4Addr>,
    /// The lasting IPv6 addresses.
    pub v6: Vec<Ipv6Addr>,
    /// The numbers of the interfaces that have IPv6.
    pub interfaces: Vec<u32>,
}

impl Addresses {
    /// The addresses as they are now.
    pub fn now() -> Addresses {
        let (v6, interfaces) = announced(&table("/proc/net/if_inet6"));
        Addresses { v4: own_v4(), v6, interfaces }
    }

    /// All addresses of both families.
    pub fn all(&self) -> Vec<IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.iter().copied().map(IpAddr::V6)).collect()
    }
}

/// Every address that this machine has now, except loopback, in ascending order.
pub fn present() -> Vec<IpAddr> {
    listed(u32::MAX)
}

/// The lasting addresses of [`present`]: without those that IPv6 changes every day for privacy.
pub fn lasting() -> Vec<IpAddr> {
    listed(!PASSING)
}

fn listed(fit: u32) -> Vec<IpAddr> {
    let mut v4 = local_v4(&table("/proc/net/fib_trie"));
    if v4.is_empty() {
        v4.extend(own_v4());
    }
    let table = table("/proc/net/if_inet6");
    let v6 = inet6(&table).filter(|(.., flags)| flags & !fit == 0).map(|(address, ..)| address);
    let mut all: Vec<IpAddr> =
        v4.into_iter().map(IpAddr::V4).chain(v6.take(LISTED).map(IpAddr::V6)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn table(path: &str) -> String {
    let mut octets = Vec::new();
    // After an error, what was read before it is used.
    let _ = File::open(path).and_then(|file| file.take(TABLE).read_to_end(&mut octets));
    String::from_utf8_lossy(&octets).into_owned()
}

/// Parses `/proc/net/fib_trie`: the routes of an address follow after `|-- ADDRESS`, and `/32 host LOCAL` marks an
/// address of this machine.
fn local_v4(trie: &str) -> Vec<Ipv4Addr> {
    let (mut found, mut leaf) = (Vec::new(), None);
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = leaf.filter(|address: &Ipv4Addr| !address.is_loopback())
            && found.len() < LISTED
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

/// The address from which packets to these targets would be sent. No packet is sent.
fn own_v4() -> Option<Ipv4Addr> {
    const TOWARDS: [Ipv4Addr; 3] =
        [Ipv4Addr::new(224, 0, 0, 251), Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(169, 254, 0, 1)];
    TOWARDS.into_iter().find_map(|towards| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((towards, 9)).ok()?;
        match socket.local_addr().ok()? {
            SocketAddr::V4(own) if !own.ip().is_unspecified() && !own.ip().is_loopback() => Some(*own.ip()),
            _ => None,
        }
    })
}

/// Parses `/proc/net/if_inet6`: address, interface, prefix, scope, flags and name, all but the name in hexadecimal.
/// Gives address, interface and flags, without loopback.
fn inet6(table: &str) -> impl Iterator<Item = (Ipv6Addr, u32, u32)> {
    table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
        let address = Ipv6Addr::from_bits(u128::from_str_radix(fields.first()?, 16).ok()?);
        Some((address, number(1)?, number(4)?)).filter(|(address, ..)| !address.is_loopback())
    })
}

fn announced(table: &str) -> (Vec<Ipv6Addr>, Vec<u32>) {
    let (mut addresses, mut interfaces) = (Vec::new(), Vec::new());
    for (address, interface, _) in inet6(table).filter(|(.., flags)| flags & PASSING == 0) {
        if addresses.len() < MOST {
            addresses.push(address);
        }
        if interfaces.len() < MOST && !interfaces.contains(&interface) {
            interfaces.push(interface);
        }
    }
    (addresses, interfaces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_that_last_are_taken() {
        let table = "00000000000000000000000000000001 01 80 10 80       lo\n\
                     fe80000000000000021122fffe334455 02 40 20 80     eth0\n\
                     20010db8000000000000000000000005 02 40 00 00     eth0\n\
                     20010db8000000000000000000000006 02 40 00 01     eth0\n\
                     fe80000000000000021122fffe334456 03 40 20 c0    wlan0\n\
                     garbage\n";
        let expected = ["fe80::211:22ff:fe33:4455", "2001:db8::5"].map(|text| text.parse().unwrap());
        assert_eq!(announced(table), (expected.to_vec(), vec![2]));
        assert_eq!(announced(""), (vec![], vec![]));
        let _ = Addresses::now().all();
    }

    /// Catches: addresses of networks, of broadcasts and of other machines that count as our own, and one of two
    /// addresses that is missed.
    #[test]
    fn every_ipv4_address_of_our_own_is_found() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     \
            +-- 127.0.0.0/8 2 0 2\n        |-- 127.0.0.1\n           /32 host LOCAL\n     \
            |-- 192.168.1.0\n        /24 link UNICAST\n        |-- 192.168.1.5\n           /32 host LOCAL\n        \
            |-- 192.168.1.255\n           /32 link BROADCAST\n     |-- 10.8.0.2\n        /32 link UNICAST\n        \
            /32 host LOCAL\nLocal:\n        |-- 192.168.1.5\n           /32 host LOCAL\n        |-- garbage\n        /32 host LOCAL\n";
        assert_eq!(local_v4(trie), [Ipv4Addr::new(192, 168, 1, 5), Ipv4Addr::new(10, 8, 0, 2)]);
        assert!(local_v4("").is_empty());
        if let Some(own) = own_v4() {
            assert!(present().contains(&own.into()) && lasting().contains(&own.into()));
        }
    }
}
