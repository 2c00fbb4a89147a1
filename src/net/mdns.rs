//! Announces the device's name on its network by multicast DNS (RFC 6762), so that mail programs find it as
//! `pillarbox.local` without anybody setting up a name server.
//!
//! It answers for one name and its addresses, to neighbours only, with few packets a second, and goes
//! without where the kernel or the network refuse. When somebody else has the name already, it takes the next
//! one (`pillarbox-2.local`) and says so.

mod message;

use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use smol::future::or;

use super::addresses::Addresses;
use crate::clock::Time;
pub use message::local_name;
use message::{PORT, announcement, is_near, probe};
pub(crate) use message::{is_conflict, reply};

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// Octets of a message that are read (section 17: what fits an Ethernet packet).
const MESSAGE_MAX: usize = 1500;
/// How often addresses and name are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// Between two probes, of which there are three (section 8.1).
const PROBE: Duration = Duration::from_millis(250);
/// Between two announcements (section 8.3).
const AGAIN: Duration = Duration::from_secs(1);
/// The last number that is tried behind a name that is taken.
const LAST: u32 = 20;
/// Replies at once and each second, at most.
const BURST: u32 = 10;

/// Announces the host name that `hostname` gives, as long as it gives one, and answers for it to neighbours and to whom `is_on_lan` names, for ever.
/// Tells `found_as` which name it became, and when there is none.
pub async fn announce(
    time: Time,
    hostname: impl Fn() -> Option<String>,
    is_on_lan: impl Fn(IpAddr) -> bool + 'static,
    found_as: impl Fn(Option<String>),
) {
    let is_on_lan: Rc<dyn Fn(IpAddr) -> bool> = Rc::new(is_on_lan);
    let mut number = 1;
    let mut told = String::new();
    loop {
        let Some(host) = hostname() else {
            found_as(None);
            time.sleep(LOOK).await;
            continue;
        };
        let addresses = Addresses::now();
        let name = numbered(&local_name(&host), number);
        let sockets = Sockets::open(&addresses);
        if addresses.all().is_empty() || sockets.is_empty() {
            time.sleep(LOOK).await;
            continue;
        }
        let mut responder = Responder {
            name,
            addresses,
            sockets,
            is_on_lan: is_on_lan.clone(),
            replies: BURST,
            since: time.now(),
            time: time.clone(),
        };
        if responder.is_taken().await && number < LAST {
            log::warn!("another device of this network is called {}: the next name is tried", responder.name);
            number += 1;
            continue;
        }
        if told != responder.name {
            log::info!("this device is found as {}", responder.name);
            told.clone_from(&responder.name);
        }
        found_as(Some(responder.name.clone()));
        let is_wanted = || hostname().as_deref() == Some(&host);
        responder.answer(is_wanted).await;
        if !is_wanted() {
            number = 1;
        }
    }
}

/// `pillarbox.local`, `pillarbox-2.local` and so on.
fn numbered(name: &str, number: u32) -> String {
    match name.strip_suffix(".local") {
        Some(label) if number > 1 => format!("{label}-{number}.local"),
        _ => name.to_owned(),
    }
}

/// One for each family that there is.
struct Sockets {
    v4: Option<Async<UdpSocket>>,
    v4_group: SocketAddr,
    v6: Option<Async<UdpSocket>>,
}

impl Sockets {
    fn open(addresses: &Addresses) -> Sockets {
        let refused = |family: &str, error: &io::Error| log::debug!("mdns: {family}: {error}");
        let v4 =
            addresses.v4.map(socket_v4).and_then(|it| it.inspect_err(|error| refused("IPv4", error)).ok());
        let some = !addresses.interfaces.is_empty();
        let v6 = some.then(|| socket_v6(&addresses.interfaces));
        let v4_group = (GROUP_V4, PORT).into();
        Sockets { v4, v4_group, v6: v6.and_then(|it| it.inspect_err(|error| refused("IPv6", error)).ok()) }
    }

    fn is_empty(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
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

/// Receives one message; never where there is no socket.
async fn receive(socket: Option<&Async<UdpSocket>>, buffer: &mut [u8]) -> (usize, SocketAddr) {
    let Some(socket) = socket else { return pending().await };
    loop {
        match socket.recv_from(buffer).await {
            Ok(received) => return received,
            // An ICMP error of an earlier reply, or an interface that went away: the next look finds out.
            Err(_) => drop(Timer::after(AGAIN).await),
        }
    }
}

/// One name, as long as name and addresses stay the same.
struct Responder {
    name: String,
    addresses: Addresses,
    sockets: Sockets,
    is_on_lan: Rc<dyn Fn(IpAddr) -> bool>,
    /// Replies that may be sent now.
    replies: u32,
    since: Instant,
    time: Time,
}

impl Responder {
    fn is_near(&self, peer: SocketAddr) -> bool {
        is_near(peer.ip()) || (self.is_on_lan)(peer.ip())
    }

    /// Asks three times whether somebody else has the name.
    async fn is_taken(&self) -> bool {
        let Some(question) = probe(&self.name, &self.addresses.all()) else { return false };
        for _ in 0..3 {
            self.to_all(&question).await;
            let silence = async {
                self.time.sleep(PROBE).await;
                false
            };
            let conflict = async {
                loop {
                    let (message, peer) = self.message().await;
                    if self.is_near(peer) && is_conflict(&message, &self.name, &self.addresses.all()) {
                        return true;
                    }
                }
            };
            if or(conflict, silence).await {
                return true;
            }
        }
        false
    }

    /// Announces the name twice, and answers until an address has changed, somebody else claims the name, or it is
    /// no longer `wanted`.
    async fn answer(&mut self, wanted: impl Fn() -> bool) {
        let all = self.addresses.all();
        let Some(announcement) = announcement(&self.name, &all) else { return };
        self.to_all(&announcement).await;
        let mut again = Some(self.time.now() + AGAIN);
        let mut look = self.time.now() + LOOK;
        loop {
            let next = again.unwrap_or(look).saturating_duration_since(self.time.now());
            let due = async {
                self.time.sleep(next).await;
                None
            };
            let event = or(async { Some(self.message().await) }, due).await;
            match event {
                Some((message, peer)) if self.is_near(peer) => {
                    // Our own words come back by loopback, and claim nothing that is not ours.
                    if is_conflict(&message, &self.name, &all) {
                        return;
                    }
                    self.reply_to(&message, peer).await;
                }
                Some(_) | None => {}
            }
            // Whatever woke it: who asks without a pause keeps the timer from ending.
            let now = self.time.now();
            if again.is_some_and(|due| due <= now) {
                self.to_all(&announcement).await;
                again = None;
            }
            if look <= now {
                look = now + LOOK;
                if !wanted() || Addresses::now() != self.addresses {
                    return;
                }
            }
        }
    }

    /// The next message that comes in, and who sent it.
    async fn message(&self) -> (Vec<u8>, SocketAddr) {
        // A neighbour who sends without a pause must not keep the only thread to itself. Before a message is taken:
        // whoever stops waiting meanwhile loses none.
        smol::future::yield_now().await;
        let (mut v4, mut v6) = ([0; MESSAGE_MAX], [0; MESSAGE_MAX]);
        let first = async {
            let (len, peer) = receive(self.sockets.v4.as_ref(), &mut v4).await;
            (v4.get(..len).unwrap_or_default().to_vec(), peer)
        };
        let second = async {
            let (len, peer) = receive(self.sockets.v6.as_ref(), &mut v6).await;
            (v6.get(..len).unwrap_or_default().to_vec(), peer)
        };
        or(first, second).await
    }

    async fn reply_to(&mut self, message: &[u8], peer: SocketAddr) {
        let Some(reply) = reply(message, peer.port(), &self.name, &self.addresses.all()) else { return };
        if self.time.since(self.since) >= AGAIN {
            (self.since, self.replies) = (self.time.now(), BURST);
        }
        let Some(left) = self.replies.checked_sub(1) else { return };
        self.replies = left;
        if !reply.unicast {
            return self.to_all(&reply.octets).await;
        }
        let socket = if peer.is_ipv4() { &self.sockets.v4 } else { &self.sockets.v6 };
        if let Some(socket) = socket {
            // A packet that is lost is asked for again.
            let _ = socket.send_to(&reply.octets, peer).await;
        }
    }

    async fn to_all(&self, octets: &[u8]) {
        if let Some(socket) = &self.sockets.v4 {
            let _ = socket.send_to(octets, self.sockets.v4_group).await;
        }
        if let Some(socket) = &self.sockets.v6 {
            for interface in &self.addresses.interfaces {
                let group = SocketAddrV6::new(GROUP_V6, PORT, 0, *interface);
                let _ = socket.send_to(octets, group).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use simple_dns::{CLASS, Name, Packet, QTYPE, Question, TYPE};
    use smol::future::yield_now;

    #[test]
    fn the_next_name_has_a_number() {
        assert_eq!(numbered("mail.local", 1), "mail.local");
        assert_eq!(numbered("mail.local", 2), "mail-2.local");
    }

    /// A responder on loopback, and its address, on any port.
    fn responder() -> (Responder, SocketAddr) {
        let (time, socket) = (Time::default(), Async::<UdpSocket>::bind(([127, 0, 0, 1], 0)).unwrap());
        let address = socket.get_ref().local_addr().unwrap();
        let responder = Responder {
            name: "pillarbox.local".to_owned(),
            addresses: Addresses { v4: Some(Ipv4Addr::new(192, 168, 1, 5)), ..Addresses::default() },
            sockets: Sockets { v4: Some(socket), v4_group: (GROUP_V4, PORT).into(), v6: None },
            is_on_lan: Rc::new(|_| false),
            replies: BURST,
            since: time.now(),
            time,
        };
        (responder, address)
    }

    /// Catches: a neighbour who sends without a pause, and keeps the only thread for as long as packets wait.
    #[test]
    fn others_have_their_turn_between_packets() {
        const PACKETS: u32 = 20;
        async_io::block_on(async {
            let (responder, address) = responder();
            let neighbour = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            for _ in 0..PACKETS {
                neighbour.send_to(b"no query", address).unwrap();
            }
            let turns = Cell::new(0);
            let packets = async {
                for _ in 0..PACKETS {
                    responder.message().await;
                }
            };
            let others = async {
                loop {
                    turns.set(turns.get() + 1);
                    yield_now().await;
                }
            };
            or(packets, others).await;
            assert!(turns.get() >= PACKETS, "{} turns", turns.get());
        });
    }

    fn query() -> Vec<u8> {
        let mut query = Packet::new_query(7);
        let name = Name::new("pillarbox.local").unwrap();
        query.questions.push(Question::new(name, QTYPE::TYPE(TYPE::A), CLASS::IN.into(), false));
        query.build_bytes_vec().unwrap()
    }

    /// Catches: packets that keep the second announcement away (section 8.3), one that comes early, or is followed by
    /// more; and packets that keep it from noticing that its name is no longer wanted.
    #[test]
    fn a_busy_network_delays_nothing() {
        async_io::block_on(async {
            let (mut responder, address) = responder();
            let group = Async::<UdpSocket>::bind(([127, 0, 0, 1], 0)).unwrap();
            responder.sockets.v4_group = group.get_ref().local_addr().unwrap();
            let time = responder.time.clone();
            let network = async {
                let client = Async::<UdpSocket>::bind(([127, 0, 0, 1], 0)).unwrap();
                let (mut buffer, query) = ([0; MESSAGE_MAX], query());
                let mut announced = 0;
                for packet in 1..=30 {
                    // The reply tells that the packet was heard, and the one before dealt with.
                    client.send_to(&query, address).await.unwrap();
                    client.recv_from(&mut buffer).await.unwrap();
                    while group.get_ref().recv_from(&mut buffer).is_ok() {
                        announced += 1;
                    }
                    // After the tenth packet a second is over.
                    assert_eq!(announced, if packet <= 10 { 1 } else { 2 }, "at packet {packet}");
                    time.advance(AGAIN / 10);
                }
                time.advance(LOOK);
                client.send_to(&query, address).await.unwrap();
                Timer::after(Duration::from_secs(20)).await;
                panic!("nobody wants the name, and it is announced all the same");
            };
            or(responder.answer(|| false), network).await;
        });
    }

    /// A query of a simple resolver, there and back.
    #[test]
    fn a_simple_resolver_is_answered_until_it_asks_too_often() {
        async_io::block_on(async {
            let (mut responder, address) = responder();
            let client = Async::<UdpSocket>::bind(([127, 0, 0, 1], 0)).unwrap();
            let query = query();
            client.send_to(&query, address).await.unwrap();
            let (message, peer) = responder.message().await;
            responder.reply_to(&message, peer).await;
            let mut buffer = [0; MESSAGE_MAX];
            let (len, from) = client.recv_from(&mut buffer).await.unwrap();
            let packet = Packet::parse(&buffer[..len]).unwrap();
            assert_eq!((from, packet.id(), packet.answers.len()), (address, 7, 1));
            responder.replies = 0;
            responder.reply_to(&message, peer).await;
            assert_eq!(responder.replies, 0, "nothing more in this second");
        });
    }
}
