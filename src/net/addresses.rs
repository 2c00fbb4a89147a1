//! Which addresses this machine has, without asking the kernel for a list of interfaces.
//!
//! A netlink socket would need more of the sandbox; what is read here is text below `/proc/net`.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// IPv6 addresses and interfaces that are used, at most.
const MOST: usize = 4;

/// The addresses of this machine in its network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The one that it would reach its neighbours or the router with.
    pub v4: Option<Ipv4Addr>,
    /// Those that last.
    pub v6: Vec<Ipv6Addr>,
    /// The numbers of the interfaces that have IPv6.
    pub interfaces: Vec<u32>,
}

impl Addresses {
    /// As they are now.
    pub fn now() -> Addresses {
        let (v6, interfaces) = listed(&fs::read_to_string("/proc/net/if_inet6").unwrap_or_default());
        Addresses { v4: own_v4(), v6, interfaces }
    }

    /// All of them.
    pub fn all(&self) -> Vec<IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.iter().copied().map(IpAddr::V6)).collect()
    }
}

/// The address from which packets would leave towards these: nothing is sent.
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

/// `/proc/net/if_inet6`: address, interface, prefix, scope, flags and name, all but the last in hexadecimal.
fn listed(table: &str) -> (Vec<Ipv6Addr>, Vec<u32>) {
    /// Temporary, tentative, duplicate, deprecated (`linux/if_addr.h`).
    const UNFIT: u32 = 0x01 | 0x40 | 0x08 | 0x20;
    let (mut addresses, mut interfaces) = (Vec::new(), Vec::new());
    for line in table.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| u32::from_str_radix(field, 16).ok());
        let address = fields.first().and_then(|field| u128::from_str_radix(field, 16).ok());
        let (Some(address), Some(interface), Some(flags)) = (address, number(1), number(4)) else { continue };
        let address = Ipv6Addr::from_bits(address);
        if address.is_loopback() || flags & UNFIT != 0 {
            continue;
        }
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
        assert_eq!(listed(table), (expected.to_vec(), vec![2]));
        assert_eq!(listed(""), (vec![], vec![]));
        let _ = Addresses::now().all();
    }
}
