//! What the scenarios share: the appliance under test, the peers it talks to, and small clients.
//!
//! Everything is private to one test: a folder below /var/tmp, ports that no other test holds, processes that end
//! with the value that stands for them, also when the test panics or is killed itself.
#![allow(dead_code, unused_imports, reason = "each scenario uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

pub mod appliance;
pub mod breaking;
pub mod card;
pub mod client;
pub mod connection;
pub mod dovecot;
pub mod exim;
pub mod loopback;
pub mod mail;
pub mod moods;
pub mod opensmtpd;
pub mod over;
pub mod pbu;
pub mod postfix;
pub mod proc;
pub mod process;
pub mod provider;
pub mod relayed;
pub mod satellite;
pub mod smarthost;
pub mod stalling;
pub mod token_server;
pub mod unpacked;

pub use appliance::Appliance;
pub use breaking::Breaking;
pub use card::MountedCard;
pub use client::{Imap, Pop3, Smtp};
pub use connection::Connection;
pub use dovecot::Dovecot;
pub use exim::Exim;
pub use opensmtpd::OpenSmtpd;
pub use postfix::Postfix;
pub use process::run;
pub use provider::Provider;
pub use relayed::Relayed;
pub use satellite::Satellite;
pub use smarthost::Smarthost;
pub use stalling::OnCard;
pub use token_server::TokenServer;

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

// What a flash is, for `over`, which finds it here as in the product's `flash`.
use pillarbox::flash::{File, Flash, Mode, ReadAt, Space, Sync};

/// How long anything may take that normally takes a moment.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a test may do without `what`, which this machine does not have: `PILLARBOX_MAY_SKIP` names it, among others
/// with commas between them. A test that nobody sees skipped is none, so it is not set unless somebody sets it.
pub fn allowed_to_skip(what: &str) -> bool {
    let named = std::env::var("PILLARBOX_MAY_SKIP").unwrap_or_default();
    named.split(',').any(|name| name == what)
}

/// A number that differs between runs.
pub fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// A folder of its own, removed at the end. Below /var/tmp: on a real disk, where the users that peers run as get to.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(what: &str) -> Scratch {
        let path = PathBuf::from(format!("/var/tmp/pillarbox-{what}-{:08x}", random() as u32));
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }
    pub fn path(&self) -> &Path {
        &self.0
    }
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
    /// Writes a file into the folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A TCP port of 127.0.0.1 that is free and stays reserved for this value: whoever else looks for one through this
/// type fails to bind the UDP port of the same number. Outside the range that outgoing connections take theirs from.
pub struct Port {
    pub number: u16,
    _reserved: UdpSocket,
}

impl Port {
    pub fn reserve() -> Port {
        let start = random();
        for step in 0..20_000 {
            let number = 10_000 + ((start + step) % 20_000) as u16;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, number));
            if let Ok(reserved) = UdpSocket::bind(address)
                && TcpListener::bind(address).is_ok()
            {
                return Port { number, _reserved: reserved };
            }
        }
        panic!("no free port between 10000 and 30000");
    }
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

/// Waits until `probe` gives something, for [`PATIENCE`] at the most; `what` says what was waited for.
pub fn wait_for<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    wait_up_to(PATIENCE, what, probe)
}

/// As [`wait_for`], with a limit of the caller's.
pub fn wait_up_to<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: did not happen within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
