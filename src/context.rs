//! What every service shares: the settings in force, the store, logins, TLS, and who is connected.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use event_listener::{Event, EventListener};
use rustls::ServerConfig;

use crate::auth::Logins;
use crate::board::device::Device;
use crate::clock::Knowledge;
use crate::config::{Config, Service};
use crate::credential::random;
use crate::store::Store;

/// Built once by the appliance, handed to every service as `Rc<Context>`.
pub struct Context {
    config: RefCell<Rc<Config>>,
    changed: Event,
    tls: RefCell<Arc<ServerConfig>>,
    announced: RefCell<Option<String>>,
    /// The mail of all accounts.
    pub store: Store,
    /// Verifies logins.
    pub logins: Logins,
    /// Who is connected.
    pub sessions: Sessions,
    /// How long clients are waited for.
    pub deadlines: Deadlines,
    /// Whether the clock shows the time.
    pub clock: Knowledge,
    /// What it runs on, where that is a device that boots from a card image.
    pub device: Option<Device>,
}

impl Context {
    /// Puts the parts together.
    pub fn new(config: Config, tls: Arc<ServerConfig>, store: Store) -> Context {
        store.set_quotas(config.quotas());
        Context {
            config: RefCell::new(Rc::new(config)),
            changed: Event::new(),
            tls: RefCell::new(tls),
            announced: RefCell::default(),
            store,
            logins: Logins::new(&random()),
            sessions: Sessions::default(),
            deadlines: Deadlines::default(),
            clock: Knowledge::new(true),
            device: None,
        }
    }

    /// With logins of its own key, for refusals that a restart does not change.
    pub fn with_logins(self, logins: Logins) -> Context {
        Context { logins, ..self }
    }

    /// With a clock that does not show the time until somebody says so.
    pub fn without_time(self) -> Context {
        Context { clock: Knowledge::new(false), ..self }
    }

    /// On a device that boots from a card image.
    pub fn with_device(self, device: Option<Device>) -> Context {
        Context { device, ..self }
    }

    /// The settings in force now. Ask again after each `.await`: they may have changed.
    pub fn config(&self) -> Rc<Config> {
        self.config.borrow().clone()
    }

    /// The server's TLS configuration in force now.
    pub fn tls(&self) -> Arc<ServerConfig> {
        self.tls.borrow().clone()
    }

    /// Puts new settings in force and wakes everyone who listens.
    pub fn reconfigure(&self, config: Config, tls: Arc<ServerConfig>) {
        self.store.set_quotas(config.quotas());
        *self.config.borrow_mut() = Rc::new(config);
        *self.tls.borrow_mut() = tls;
        self.changed.notify(usize::MAX);
    }

    /// Puts a new certificate in force for the connections to come.
    pub fn renew_tls(&self, tls: Arc<ServerConfig>) {
        *self.tls.borrow_mut() = tls;
    }

    /// The name under which the network finds the device, where it is announced there.
    pub fn announced(&self) -> Option<String> {
        self.announced.borrow().clone()
    }

    /// The network finds the device under this name from now on.
    pub fn set_announced(&self, name: Option<String>) {
        *self.announced.borrow_mut() = name;
    }

    /// Wakes at the next change of the settings. Listen first, then look.
    pub fn changed(&self) -> EventListener {
        self.changed.listen()
    }

    /// Whether the account of a session still has the right that its login had.
    pub fn still_permitted(&self, account: &str, service: Service, address: IpAddr) -> bool {
        let config = self.config();
        config.account(account).is_some_and(|a| crate::access::permit(&config, a, service, address).is_ok())
    }
}

/// How long the services wait for a client before they give it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From the first octet to a login, all in all: who has no business here is not to hold a connection.
    pub login: Duration,
    /// From one POP3 command to the next: the least that RFC 1939 section 3 allows.
    pub pop3: Duration,
    /// From one IMAP command to the next: the least that RFC 3501 section 5.4 allows.
    pub imap: Duration,
    /// From one SMTP command to the next: RFC 5321 section 4.5.3.2.7.
    pub smtp: Duration,
    /// For the client to take 16 KiB of what it asked for.
    pub stuck: Duration,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Deadlines {
            login: minutes(1),
            pop3: minutes(10),
            imap: minutes(30),
            smtp: minutes(5),
            stuck: minutes(5),
        }
    }
}

/// Counts of open sessions.
#[derive(Default)]
pub struct Sessions {
    total: Rc<Cell<u32>>,
    pop3: Rc<Cell<u32>>,
    imap: Rc<Cell<u32>>,
    submission: Rc<Cell<u32>>,
    addresses: Rc<RefCell<HashMap<IpAddr, u32>>>,
}

/// Why there is no room for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// As many as are served at once.
    #[error("server.max_connections are open")]
    Server,
    /// Nine tenths of those that are served at once come from this address.
    #[error("nine tenths of server.max_connections are open from this address")]
    Address,
}

/// One open session; it ends with the value.
pub struct SessionGuard {
    counts: [Rc<Cell<u32>>; 2],
    addresses: Rc<RefCell<HashMap<IpAddr, u32>>>,
    origin: IpAddr,
}

impl Sessions {
    /// Counts a session of `service` (`None`: one without login) from `peer`, unless `limit` sessions are open
    /// already, or nine tenths of it from this address alone: nobody can take all places and leave the others outside.
    ///
    /// # Errors
    /// Why there is no room.
    pub fn open(&self, service: Option<Service>, peer: IpAddr, limit: u32) -> Result<SessionGuard, NoRoom> {
        if self.total.get() >= limit {
            return Err(NoRoom::Server);
        }
        let origin = origin(peer);
        let mut addresses = self.addresses.borrow_mut();
        let from_there = addresses.entry(origin).or_default();
        if *from_there >= (limit - limit.div_ceil(10)).max(1) {
            return Err(NoRoom::Address);
        }
        *from_there += 1;
        let count = service.map(|service| self.cell(service).clone()).unwrap_or_default();
        let counts = [self.total.clone(), count];
        counts.iter().for_each(|count| count.set(count.get() + 1));
        Ok(SessionGuard { counts, addresses: self.addresses.clone(), origin })
    }
    /// Open sessions of `service`.
    pub fn count(&self, service: Service) -> u32 {
        self.cell(service).get()
    }
    fn cell(&self, service: Service) -> &Rc<Cell<u32>> {
        match service {
            Service::Pop3 => &self.pop3,
            Service::Imap => &self.imap,
            Service::Submission => &self.submission,
        }
    }
}

/// What counts as one address: of IPv6 the /64, in which a host may take as many as it likes (RFC 4291 section 2.5.4).
fn origin(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.counts.iter().for_each(|count| count.set(count.get() - 1));
        let mut addresses = self.addresses.borrow_mut();
        if let Some(from_there) = addresses.get_mut(&self.origin) {
            *from_there -= 1;
            if *from_there == 0 {
                addresses.remove(&self.origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_takes_nine_tenths_of_the_places_at_the_most() {
        let sessions = Sessions::default();
        let open = |peer: &str| sessions.open(Some(Service::Pop3), peer.parse().unwrap(), 20);
        let refused = |peer: &str| open(peer).err();
        let mut flood: Vec<_> = (0..18).map(|_| open("203.0.113.9").unwrap()).collect();
        assert_eq!(refused("203.0.113.9"), Some(NoRoom::Address));
        assert_eq!(refused("::ffff:203.0.113.9"), Some(NoRoom::Address));
        let other = open("203.0.113.10").unwrap();
        let _third = open("192.168.7.1").unwrap();
        assert_eq!(refused("192.168.7.2"), Some(NoRoom::Server));
        assert_eq!(sessions.count(Service::Pop3), 20);
        drop((flood.pop(), other));
        open("203.0.113.9").unwrap();
        drop(flood);
        assert_eq!(sessions.count(Service::Pop3), 1);
        assert_eq!(sessions.addresses.borrow().len(), 1, "addresses without sessions are forgotten");
    }

    #[test]
    fn of_ipv6_the_network_counts() {
        let sessions = Sessions::default();
        let open = |peer: &str| sessions.open(None, peer.parse().unwrap(), 2);
        let _one = open("2001:db8::1").unwrap();
        assert_eq!(open("2001:db8::ffff:1").err(), Some(NoRoom::Address));
        open("2001:db8:0:1::1").unwrap();
    }

    #[test]
    fn the_deadlines_are_those_of_the_standards() {
        let Deadlines { login, pop3, imap, smtp, .. } = Deadlines::default();
        assert_eq!([login, pop3, imap, smtp].map(|time| time.as_secs()), [60, 600, 1800, 300]);
    }
}
