//! The sockets of multicast DNS, one for each address family that the machine has.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Duration;

use async_io::{Async, Timer};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use smol::future::or;

use super::message::PORT;
use crate::net::addresses::Addresses;

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// Octets of a message that are read, at most (section 17: an Ethernet packet).
pub const MESSAGE_MAX: usize = 1500;
/// The pause after an error.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// A socket for each address family that the machine has.
pub struct Sockets {
    pub v4: Option<Async<UdpSocket>>,
    pub v4_group: SocketAddr,
    pub v6: Option<Async<UdpSocket>>,
    /// The numbers of the interfaces that have IPv6.
    pub interfaces: Vec<u32>,
}

impl Sockets {
    /// Opens the sockets for `addresses`, without those that the kernel refuses.
    pub fn open(addresses: &Addresses) -> Sockets {
        let refused = |family: &str, error: &io::Error| log::debug!("mdns: {family}: {error}");
        let v4 =
            addresses.v4.map(socket_v4).and_then(|it| it.inspect_err(|error| refused("IPv4", error)).ok());
        let some = !addresses.interfaces.is_empty();
        let v6 = some.then(|| socket_v6(&addresses.interfaces));
        let v4_group = (GROUP_V4, PORT).into();
        let v6 = v6.and_then(|it| it.inspect_err(|error| refused("IPv6", error)).ok());
        Sockets { v4, v4_group, v6, interfaces: addresses.interfaces.clone() }
    }

    /// Whether there is no socket.
    pub fn is_empty(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }

    /// The next message that comes in, and who sent it.
    pub async fn message(&self) -> (Vec<u8>, SocketAddr) {
        // A neighbour that sends without a pause must not keep the thread busy. The pause comes before a message is
        // read, so that none is lost if the future is dropped.
        smol::future::yield_now().await;
        let (mut v4, mut v6) = ([0; MESSAGE_MAX], [0; MESSAGE_MAX]);
        let first = async {
            let (len, peer) = receive(self.v4.as_ref(), &mut v4).await;
            (v4.get(..len).unwrap_or_default().to_vec(), peer)
        };
        let second = async {
            let (len, peer) = receive(self.v6.as_ref(), &mut v6).await;
            (v6.get(..len).unwrap_or_default().to_vec(), peer)
        };
        or(first, second).await
    }

    /// Sends to one peer. If the packet is lost, the peer asks again.
    pub async fn to_one(&self, octets: &[u8], peer: SocketAddr) {
        let socket = if peer.is_ipv4() { &self.v4 } else { &self.v6 };
        if let Some(socket) = socket {
            let _ = socket.send_to(octets, peer).await;
        }
    }

    /// Sends to the multicast group.
    pub async fn to_all(&self, octets: &[u8]) {
        if let Some(socket) = &self.v4 {
            let _ = socket.send_to(octets, self.v4_group).await;
        }
        if let Some(socket) = &self.v6 {
            for interface in &self.interfaces {
                let group = SocketAddrV6::new(GROUP_V6, PORT, 0, *interface);
                let _ = socket.send_to(octets, group).await;
            }
        }
    }
}

fn socket_v4(own: Ipv4Addr) -> io::Result<Async<UdpSocket>> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)))?;
    sockopt::set_ip_multicast_if(&socket, &own)?;
    sockopt::set_ip_multicast_ttl(&socket, 255)?;
    let socket = UdpSocket::from(socket);
    socket.join_multicast_v4(&GROUP_V4, &own)?;
    Async::new(socket)
}

fn socket_v6(interfaces: &[u32]) -> io::Result<Async<UdpSocket>> {
    let socket = socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_ipv6_v6only(&socket, true)?;
    bind(&socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)))?;
    sockopt::set_ipv6_multicast_hops(&socket, 255)?;
    let socket = UdpSocket::from(socket);
    for interface in interfaces {
        socket.join_multicast_v6(&GROUP_V6, *interface)?;
    }
    Async::new(socket)
}

/// Receives one message; waits for ever if there is no socket.
async fn receive(socket: Option<&Async<UdpSocket>>, buffer: &mut [u8]) -> (usize, SocketAddr) {
    let Some(socket) = socket else { return pending().await };
    loop {
        match socket.recv_from(buffer).await {
            Ok(received) => return received,
            // An ICMP error about an earlier reply, or an interface that went away, which the next look at the
            // addresses finds.
            Err(_) => drop(Timer::after(ACCEPT_RETRY).await),
        }
    }
}
