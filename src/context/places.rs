//! Who is connected: one place for each connection.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::access::{self, Service, on_lan};
use crate::config::Config;

/// All places, taken and free.
#[derive(Default)]
pub struct Places {
    taken: Rc<RefCell<BTreeMap<u64, Rc<Taken>>>>,
    next: Cell<u64>,
}

/// Why there is no room for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// As many as are served at once.
    #[error("server.max_connections are open")]
    Server,
    /// Nine tenths of those that are served at once come from this address.
    #[error("nine tenths of server.max_connections are open from this address")]
    Address,
}

/// Why a connection has to end although its client would go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The settings no longer allow it.
    Right,
    /// The settings no longer allow Connector clients.
    Connector,
}

/// A connection's place. It is free again when this is dropped.
pub struct Place {
    id: u64,
    this: Rc<Taken>,
    taken: Rc<RefCell<BTreeMap<u64, Rc<Taken>>>>,
}

struct Taken {
    service: Option<Service>,
    peer: IpAddr,
    client: RefCell<Client>,
    /// The client named itself as a Connector client.
    connector: Cell<bool>,
    end: Cell<Option<End>>,
    waiting: RefCell<Option<Waker>>,
}

/// Who sits on a place.
enum Client {
    /// Nobody knows yet.
    Unknown,
    /// A device of the LAN, which needs no login.
    Device,
    /// The account of this name.
    Account(String),
}

impl Places {
    /// A place for a connection from `peer` to `service` (`None`: one without login), unless
    /// `server.max_connections` are taken already, or nine tenths of them from this address alone: nobody can take
    /// all places and leave the others outside.
    ///
    /// # Errors
    /// Why there is no room.
    pub fn open(&self, service: Option<Service>, peer: IpAddr, config: &Config) -> Result<Place, NoRoom> {
        let mut taken = self.taken.borrow_mut();
        let limit = config.server.max_connections as usize;
        if taken.len() >= limit {
            return Err(NoRoom::Server);
        }
        let from_there = taken.values().filter(|other| origin(other.peer) == origin(peer)).count();
        if from_there >= (limit - limit.div_ceil(10)).max(1) {
            return Err(NoRoom::Address);
        }
        let id = self.next.get() + 1;
        self.next.set(id);
        let this = Rc::new(Taken {
            service,
            peer,
            client: RefCell::new(Client::Unknown),
            connector: Cell::new(false),
            end: Cell::new(None),
            waiting: RefCell::new(None),
        });
        taken.insert(id, this.clone());
        drop(taken);
        Ok(Place { id, this, taken: self.taken.clone() })
    }

    /// Connections to `service`.
    pub fn count(&self, service: Service) -> u32 {
        let count = self.taken.borrow().values().filter(|taken| taken.service == Some(service)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Ends the connections that `config`, which is in force from now on, no longer allows.
    pub fn review(&self, config: &Config) {
        for taken in self.taken.borrow().values() {
            taken.review(config);
        }
    }
}

impl Place {
    /// A device of the LAN sits here.
    pub fn is_of_device(&self) {
        self.this.client.replace(Client::Device);
    }

    /// The account `name` has logged in. Where `config`, which is in force now, forbids it meanwhile, the place is
    /// taken away again.
    pub fn is_of_account(&self, name: &str, config: &Config) {
        self.this.client.replace(Client::Account(name.to_owned()));
        self.this.review(config);
    }

    /// The client is a Connector client.
    pub fn is_of_connector(&self) {
        self.this.connector.set(true);
    }

    /// Whether a device or an account sits here.
    pub fn is_known(&self) -> bool {
        !matches!(*self.this.client.borrow(), Client::Unknown)
    }

    /// Whether an account has logged in.
    pub fn is_of_an_account(&self) -> bool {
        matches!(*self.this.client.borrow(), Client::Account(..))
    }

    /// Why the connection has to end now.
    pub fn end(&self) -> Option<End> {
        self.this.end.get()
    }

    /// Waits until the connection has to end. One task of the connection may wait for it.
    pub async fn ended(&self) -> End {
        poll_fn(|cx| match self.end() {
            Some(end) => Poll::Ready(end),
            None => {
                let mut waiting = self.this.waiting.borrow_mut();
                if !waiting.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    *waiting = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        })
        .await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.borrow_mut().remove(&self.id);
    }
}

impl Taken {
    fn end(&self, why: End) {
        if self.end.get().is_none() {
            self.end.set(Some(why));
        }
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    fn review(&self, config: &Config) {
        let client = self.client.borrow();
        let why = match &*client {
            Client::Unknown => return,
            Client::Device if on_lan(config, self.peer) => return,
            Client::Account(name) => match config.account(name).filter(|account| {
                self.service.is_none_or(|service| access::permit(config, account, service, self.peer).is_ok())
            }) {
                Some(account) if self.connector.get() && !access::may_use_connector(config, account) => {
                    End::Connector
                }
                Some(_) => return,
                None => End::Right,
            },
            Client::Device => End::Right,
        };
        drop(client);
        self.end(why);
    }
}

/// What counts as one address: of IPv6 the /64, in which a host may take as many as it likes (RFC 4291 section 2.5.4).
fn origin(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(max_connections: u32) -> Config {
        let mut config = Config::default();
        config.server.max_connections = max_connections;
        config
    }

    #[test]
    fn one_address_takes_nine_tenths_of_the_places_at_the_most() {
        let (places, config) = (Places::default(), config(20));
        let open = |peer: &str| places.open(Some(Service::Pop3), peer.parse().unwrap(), &config);
        let refused = |peer: &str| open(peer).err();
        let mut flood: Vec<_> = (0..18).map(|_| open("203.0.113.9").unwrap()).collect();
        assert_eq!(refused("203.0.113.9"), Some(NoRoom::Address));
        assert_eq!(refused("::ffff:203.0.113.9"), Some(NoRoom::Address));
        let other = open("203.0.113.10").unwrap();
        let _third = open("192.168.7.1").unwrap();
        assert_eq!(refused("192.168.7.2"), Some(NoRoom::Server));
        assert_eq!(places.count(Service::Pop3), 20);
        drop((flood.pop(), other));
        open("203.0.113.9").unwrap();
        drop(flood);
        assert_eq!(places.count(Service::Pop3), 1);
    }

    #[test]
    fn of_ipv6_the_network_counts() {
        let (places, config) = (Places::default(), config(2));
        let open = |peer: &str| places.open(None, peer.parse().unwrap(), &config);
        let _one = open("2001:db8::1").unwrap();
        assert_eq!(open("2001:db8::ffff:1").err(), Some(NoRoom::Address));
        open("2001:db8:0:1::1").unwrap();
    }
}
