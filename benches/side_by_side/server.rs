//! One of the two servers, and the mail that both get.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;

use super::support::connection::trust;
use super::support::mail::{Dice, named};
use super::support::{Appliance, Connection, Dovecot, Imap, proc};

/// Accounts `u0` to `u15`.
const USERS: usize = 16;

/// A server with its accounts.
pub struct Server {
    pub imap: SocketAddr,
    imaps: SocketAddr,
    pub pop3: SocketAddr,
    /// Where mail is delivered, and how one says hello there.
    pub delivery: (SocketAddr, &'static str),
    /// What follows the account's name in an address.
    pub domain: &'static str,
    /// Where its mail lies.
    pub folder: PathBuf,
    trust: Arc<ClientConfig>,
    pids: Box<dyn Fn() -> Vec<u32>>,
    /// Figures that a measure has found besides its own, by name.
    notes: RefCell<BTreeMap<&'static str, f64>>,
}

impl Server {
    pub fn appliance() -> Server {
        let account = |n| {
            format!("[[account]]\nname = \"u{n}\"\naddress = \"u{n}@home.example\"\npassword = \"pass\"\n")
        };
        let accounts: String = (0..USERS).map(account).collect();
        let server = "[server]\ndomains = [\"home.example\"]\nmax_connections = 1000\n";
        let appliance = Appliance::start(&format!("{server}{accounts}"));
        Server {
            imap: appliance.ports.imap.address(),
            imaps: appliance.ports.imaps.address(),
            pop3: appliance.ports.pop3.address(),
            delivery: (appliance.ports.lan_smtp.address(), "EHLO"),
            domain: "@home.example",
            folder: appliance.data().join("accounts"),
            trust: without_resumption(&appliance.ca()),
            pids: Box::new(move || vec![appliance.pid()]),
            notes: RefCell::default(),
        }
    }

    pub fn dovecot() -> Server {
        let users: Vec<String> = (0..USERS).map(|n| format!("u{n}")).collect();
        let logins: Vec<(&str, &str)> = users.iter().map(|user| (user.as_str(), "pass")).collect();
        let dovecot = Dovecot::start(&logins);
        Server {
            imap: dovecot.ports.imap.address(),
            imaps: dovecot.ports.imaps.address(),
            pop3: dovecot.ports.pop3.address(),
            delivery: (dovecot.ports.lmtp.address(), "LHLO"),
            domain: "",
            folder: dovecot.mail(),
            trust: without_resumption(dovecot.ca()),
            pids: Box::new(move || dovecot.pids()),
            notes: RefCell::default(),
        }
    }

    /// One of the same kind, just started.
    pub fn another(&self) -> Server {
        if self.domain.is_empty() { Server::dovecot() } else { Server::appliance() }
    }

    pub fn login(&self, user: &str) -> Imap {
        Imap::login(Connection::open(self.imap), user, "pass")
    }
    pub fn login_tls(&self, user: &str) -> Imap {
        Imap::login(Connection::open(self.imaps).start_tls_with(self.trust.clone()), user, "pass")
    }
    pub fn select(&self, user: &str) -> Imap {
        let mut imap = self.login(user);
        imap.command("SELECT INBOX").ok();
        imap
    }
    /// PSS of all its processes.
    pub fn memory(&self) -> f64 {
        (self.pids)().into_iter().map(proc::pss).sum::<u64>() as f64
    }
    /// Octets that all its processes have caused to be written.
    pub fn written(&self) -> f64 {
        (self.pids)().into_iter().map(proc::written).sum::<u64>() as f64
    }
    /// Octets that all its processes have caused to be read.
    pub fn read(&self) -> f64 {
        (self.pids)().into_iter().map(proc::read).sum::<u64>() as f64
    }
    pub fn note(&self, name: &'static str, figure: f64) {
        self.notes.borrow_mut().insert(name, figure);
    }
    pub fn noted(&self, name: &str) -> f64 {
        self.notes.borrow()[name]
    }
}

/// Every handshake is a whole one.
fn without_resumption(ca: &Path) -> Arc<ClientConfig> {
    let mut config = (*trust(ca)).clone();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// How many messages are delivered and read.
pub fn messages() -> usize {
    std::env::var("MESSAGES").map_or(10_000, |count| count.parse().expect("MESSAGES is a number"))
}

/// The usual mix: half of them up to 8 KiB, some much larger, 16 KB on average.
pub fn message(n: usize) -> Vec<u8> {
    let mut dice = Dice(n as u64);
    let size = match dice.below(10) {
        0..5 => 1_000 + dice.below(7_000),
        5..9 => 8_000 + dice.below(16_000),
        _ => 24_000 + dice.below(100_000),
    };
    named(&format!("message {n}"), size)
}
