//! A home's network for a board: a network namespace with a router that gives addresses (DHCP) and announces a prefix (RFC 4861).

use std::fs::File;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::device::{LONG, TAP};
use crate::support::process::run;
use crate::support::{PATIENCE, random, wait_up_to};

/// The group of multicast DNS (RFC 6762 section 3).
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// The network; gone when dropped.
pub struct Home {
    pub name: String,
    router: Option<Child>,
    cable: Option<Child>,
}

/// The ports of this network's loopback between which the cable runs: QEMU's end, and ours.
pub const CABLE: [u16; 2] = [4001, 4002];

impl Home {
    /// Needs root.
    pub fn new() -> Home {
        let mut home = Home { name: format!("pbx{:08x}", random() as u32), router: None, cable: None };
        run(Command::new("ip").args(["netns", "add", &home.name]), PATIENCE).success();
        for command in [
            "link set lo up".to_owned(),
            format!("tuntap add dev {TAP} mode tap"),
            format!("addr add 10.77.0.1/24 dev {TAP}"),
            format!("addr add 2001:db8:77::1/64 dev {TAP} nodad"),
            format!("link set {TAP} up"),
        ] {
            let mut ip = Command::new("ip");
            run(ip.args(["-n", &home.name]).args(command.split(' ')), PATIENCE).success();
        }
        let mut cable = Command::new("ip");
        cable.args(["netns", "exec", &home.name, "python3"]);
        cable.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/image/cable.py")).arg(TAP);
        cable.args([CABLE[1].to_string(), CABLE[0].to_string()]);
        home.cable = Some(cable.stdin(Stdio::null()).spawn().expect("python3"));
        home
    }

    /// Switches the router on, or another one in its place: it gives `address`, for two minutes each time, and tells the prefix
    /// `prefix` where there is one.
    pub fn route(&mut self, scratch: &Path, address: &str, prefix: Option<&str>) {
        self.unroute();
        let mut router = Command::new("ip");
        router.args([
            "netns",
            "exec",
            &self.name,
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
        ]);
        router.args([
            "--port=0",
            "--no-hosts",
            "--no-resolv",
            "--no-ping",
            "--dhcp-authoritative",
            "--user=root",
        ]);
        router.arg(format!("--interface={TAP}")).arg("--pid-file=");
        router.arg(format!("--dhcp-leasefile={}", scratch.join(format!("leases-{address}")).display()));
        router.arg(format!("--dhcp-range={address},{address},255.255.255.0,2m"));
        if let Some(prefix) = prefix {
            router.args(["--enable-ra", &format!("--dhcp-range={prefix},ra-only,64,10m")]);
        }
        self.router = Some(router.stdin(Stdio::null()).spawn().expect("dnsmasq"));
    }

    fn unroute(&mut self) {
        end(self.router.take());
    }

    /// Does `what` as somebody in this network: sockets that are opened in it stay there.
    pub fn inside<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let space = File::open(Path::new("/var/run/netns").join(&self.name)).unwrap();
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                what()
            });
            there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The number of the cable's end: fe80:: addresses mean nothing without it.
    pub fn interface(&self) -> u32 {
        let mut cat = Command::new("ip");
        cat.args(["netns", "exec", &self.name, "cat", &format!("/sys/class/net/{TAP}/ifindex")]);
        // The namespace has a view of /sys of its own.
        run(&mut cat, PATIENCE).success().trim().parse().unwrap()
    }

    /// `address`, reached through the cable.
    pub fn at(&self, address: Ipv6Addr, port: u16) -> SocketAddr {
        SocketAddr::V6(SocketAddrV6::new(address, port, 0, self.interface()))
    }

    /// What multicast DNS answers to the question for the AAAA records of `name`, such as `pillarbox.local`, when all that are
    /// `wanted` of are there.
    pub fn announced(&self, name: &str, wanted: impl Fn(&[Ipv6Addr]) -> bool) -> Vec<Ipv6Addr> {
        let group = SocketAddrV6::new(GROUP, 5353, 0, self.interface());
        let socket = self.inside(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let labels: Vec<u8> =
            name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
        // RFC 1035 section 4.1: one question, type 28, class IN. It comes from another port than 5353, so the answer comes
        // to it alone (RFC 6762 section 6.7).
        let question = [&[0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &labels, &[0, 0, 28, 0, 1]].concat();
        wait_up_to(LONG, &format!("the addresses of {name}"), || {
            socket.send_to(&question, group).ok()?;
            let mut answer = [0; 1500];
            let n = socket.recv(&mut answer).ok()?;
            let found = addresses(&answer[..n]);
            println!("== {name}: {found:?}");
            if !wanted(&found) {
                std::thread::sleep(Duration::from_secs(1));
            }
            wanted(&found).then_some(found)
        })
    }
}

/// The AAAA records of an answer: each has class IN (perhaps with the bit of RFC 6762 section 10.2), four octets of time, and a length of 16.
fn addresses(answer: &[u8]) -> Vec<Ipv6Addr> {
    let mut found: Vec<Ipv6Addr> = answer
        .windows(26)
        .filter(|it| it[..2] == [0, 28] && it[2] & 0x7f == 0 && it[3] == 1 && it[8..10] == [0, 16])
        .map(|it| Ipv6Addr::from(<[u8; 16]>::try_from(&it[10..26]).unwrap()))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// `ip netns exec` becomes the program that it starts.
fn end(program: Option<Child>) {
    if let Some(mut program) = program {
        let _ = program.kill();
        let _ = program.wait();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.unroute();
        end(self.cable.take());
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}
