//! The open connections: each has a place.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use event_listener::Event;

use crate::access::{self, on_lan};
use crate::auth;
use crate::config::{Account, Config, Service};
use crate::credential::Verifier;

/// The places of all open connections.
#[derive(Default)]
pub struct Places {
    taken: Rc<RefCell<BTreeMap<u64, Rc<Taken>>>>,
    next: Cell<u64>,
    /// Notified when a connection ends.
    goes: Rc<Event>,
}

/// Why there is no room for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// `server.max_connections` are open, and none of them can be ended.
    #[error("server.max_connections are open, and all of them have logged in")]
    Server,
    /// Connections from outside have all places that they may have; the last quarter is for the LAN.
    #[error(
        "three quarters of server.max_connections are open from outside the LAN, and all of them have logged in"
    )]
    Outside,
    /// This address has nine tenths of the places that it may take.
    #[error("nine tenths of what one address may have of server.max_connections are open from this one")]
    Address,
}

/// Why the server ends a connection that its client would go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The settings no longer allow the session.
    Right,
    /// The settings no longer allow Connector clients.
    Connector,
    /// The client has not logged in, and another connection needs the place.
    Room,
    /// The operator ends the connection.
    Disconnected,
    /// The appliance stops. A client that is known may finish what it is handing over.
    Stopping,
}

/// The place of a connection. It is free again when this is dropped.
pub struct Place {
    id: u64,
    this: Rc<Taken>,
    taken: Rc<RefCell<BTreeMap<u64, Rc<Taken>>>>,
    goes: Rc<Event>,
}

/// An open connection, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// The number of the connection, for [`Places::disconnect`].
    pub id: u64,
    /// The name of the listener.
    pub listener: &'static str,
    /// The account that has logged in.
    pub account: Option<String>,
    /// The app password that it logged in with.
    pub device: Option<String>,
    /// The client's address.
    pub address: IpAddr,
    /// How long the connection has been open.
    pub age: Duration,
}

struct Taken {
    listener: &'static str,
    service: Option<Service>,
    peer: IpAddr,
    on_lan: bool,
    since: Instant,
    client: RefCell<Client>,
    /// Whether the place must not be given to another connection.
    is_kept: Cell<bool>,
    /// Whether the client has named itself as a Connector client.
    connector: Cell<bool>,
    end: Cell<Option<End>>,
    /// Whether nothing more is sent or received.
    has_parted: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

/// The client of a connection.
enum Client {
    /// Not known yet.
    Unknown,
    /// A device in the LAN, which needs no login.
    Device,
    /// An account that has logged in.
    Account(Login),
}

/// The login of an account, which stays valid when the account is renamed.
struct Login {
    /// The present name of the account.
    name: String,
    /// The lasting identity of the account; 0 if it has none.
    id: u64,
    /// The verifier of the password that was used.
    verifier: Box<Verifier>,
}

impl Login {
    fn account<'c>(&self, config: &'c Config) -> Option<&'c Account> {
        if self.id == 0 { config.account(&self.name) } else { config.account_by_id(self.id) }
    }
}

impl Places {
    /// A place for a connection from `peer` to `service` (`None`: one without login) at the listener of this name.
    ///
    /// A quarter of `server.max_connections` is for the LAN, and one address gets at most nine tenths of the places
    /// that it may take. So nobody can take all places and lock the others out. If there is no room, the oldest
    /// connection that has not logged in ends. A connection from outside never takes the place of one in the LAN.
    ///
    /// # Errors
    /// There is no room.
    pub fn open(
        &self,
        listener: &'static str,
        service: Option<Service>,
        peer: IpAddr,
        config: &Config,
    ) -> Result<Place, NoRoom> {
        let mut taken = self.taken.borrow_mut();
        let on_lan = on_lan(config, peer);
        make_room(&mut taken, config.server.max_connections as usize, peer, on_lan)?;
        let id = self.next.get() + 1;
        self.next.set(id);
        let this = Rc::new(Taken {
            listener,
            service,
            peer,
            on_lan,
            since: Instant::now(),
            client: RefCell::new(Client::Unknown),
            is_kept: Cell::new(false),
            connector: Cell::new(false),
            end: Cell::new(None),
            has_parted: Cell::new(false),
            waiting: RefCell::new(None),
        });
        taken.insert(id, this.clone());
        drop(taken);
        Ok(Place { id, this, taken: self.taken.clone(), goes: self.goes.clone() })
    }

    /// The number of connections to `service`.
    pub fn count(&self, service: Service) -> u32 {
        let count = self.taken.borrow().values().filter(|taken| taken.service == Some(service)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// All connections that are not ending, the oldest first.
    pub fn list(&self, config: &Config) -> Vec<Connected> {
        let taken = self.taken.borrow();
        let open = taken.iter().filter(|(_, taken)| taken.end.get().is_none());
        open.map(|(id, taken)| taken.connected(*id, config)).collect()
    }

    /// Ends a connection. `false` if there is none with this number.
    pub fn disconnect(&self, id: u64) -> bool {
        let taken = self.taken.borrow();
        let open = taken.get(&id).filter(|taken| taken.end.get().is_none());
        open.inspect(|taken| taken.end(End::Disconnected)).is_some()
    }

    /// Ends all connections, since the appliance stops.
    pub fn stop(&self) {
        self.taken.borrow().values().for_each(|taken| taken.end(End::Stopping));
    }

    /// Waits until nothing more is sent or received on any connection.
    pub async fn parted(&self) {
        self.until(|taken| taken.values().all(|taken| taken.has_parted.get())).await;
    }

    /// Waits until all places are free.
    pub async fn emptied(&self) {
        self.until(BTreeMap::is_empty).await;
    }

    async fn until(&self, so: impl Fn(&BTreeMap<u64, Rc<Taken>>) -> bool) {
        loop {
            let goes = self.goes.listen();
            if so(&self.taken.borrow()) {
                return;
            }
            goes.await;
        }
    }

    /// Ends the connections that `config`, now in force, no longer allows.
    pub fn review(&self, config: &Config) {
        for taken in self.taken.borrow().values() {
            taken.review(config);
        }
    }
}

/// Ends connections until there is room for one more.
fn make_room(
    taken: &mut BTreeMap<u64, Rc<Taken>>,
    limit: usize,
    peer: IpAddr,
    on_lan: bool,
) -> Result<(), NoRoom> {
    let outside = limit - limit / 4;
    let most = if on_lan { limit } else { outside };
    let from_one = (most - most.div_ceil(10)).max(1);
    let is_there = |other: &Taken| origin(other.peer) == origin(peer);
    loop {
        let count = |which: &dyn Fn(&Taken) -> bool| taken.values().filter(|other| which(other)).count();
        let oldest = |which: &dyn Fn(&Taken) -> bool| {
            taken.iter().find(|(_, other)| !other.is_kept.get() && which(other)).map(|(id, _)| *id)
        };
        if count(&is_there) >= from_one {
            return Err(NoRoom::Address);
        }
        let given_up = if !on_lan && count(&|other| !other.on_lan) >= outside {
            oldest(&|other| !other.on_lan).ok_or(NoRoom::Outside)?
        } else if taken.len() >= limit {
            let of_lan = || oldest(&|other| other.on_lan && on_lan);
            oldest(&|other| !other.on_lan).or_else(of_lan).ok_or(NoRoom::Server)?
        } else {
            return Ok(());
        };
        if let Some(other) = taken.remove(&given_up) {
            log::debug!("{} connection from {} ends: others need its place", other.listener, other.peer);
            other.end(End::Room);
        }
    }
}

impl Place {
    /// Notes that the client is a device in the LAN.
    pub fn is_of_device(&self) {
        self.this.client.replace(Client::Device);
    }

    /// Notes that the account `name` has logged in with the password of `verifier`. If `config`, which is in force
    /// now, no longer allows that, the connection ends.
    pub fn is_of_account(&self, name: &str, verifier: Box<Verifier>, config: &Config) {
        let id = config.account(name).map_or(0, |account| account.id);
        self.this.client.replace(Client::Account(Login { name: name.to_owned(), id, verifier }));
        self.keep();
        self.this.review(config);
    }

    /// The present name of the account that has logged in.
    pub fn account(&self) -> Option<String> {
        match &*self.this.client.borrow() {
            Client::Account(login) => Some(login.name.clone()),
            Client::Unknown | Client::Device => None,
        }
    }

    /// Notes that the client is a Connector client.
    pub fn is_of_connector(&self) {
        self.this.connector.set(true);
    }

    /// Keeps the place from being given to another connection: what the client has done counts as much as a login.
    pub fn keep(&self) {
        self.this.is_kept.set(true);
    }

    /// Notes that nothing more is sent or received, so nobody need wait for this client.
    pub fn part(&self) {
        self.this.has_parted.set(true);
        self.goes.notify(usize::MAX);
    }

    /// Whether the client is known: a device, or an account that has logged in.
    pub fn is_known(&self) -> bool {
        !matches!(*self.this.client.borrow(), Client::Unknown)
    }

    /// Whether an account has logged in.
    pub fn is_of_an_account(&self) -> bool {
        matches!(*self.this.client.borrow(), Client::Account(..))
    }

    /// Why the connection has to end, if it has to.
    pub fn end(&self) -> Option<End> {
        self.this.end.get()
    }

    /// Waits until the connection has to end. Only one task of the connection may wait for that.
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
        self.goes.notify(usize::MAX);
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
        if let Client::Account(login) = &mut *self.client.borrow_mut()
            && let Some(account) = login.account(config)
            && login.name != account.name.as_str()
        {
            login.name = account.name.to_string();
        }
        if let Err(why) = self.allowed(config) {
            self.end(why);
        }
    }

    /// Whether `config` still allows the client what it was allowed before.
    fn allowed(&self, config: &Config) -> Result<(), End> {
        match &*self.client.borrow() {
            Client::Unknown => Ok(()),
            Client::Device => on_lan(config, self.peer).then_some(()).ok_or(End::Right),
            Client::Account(login) => {
                let account = login.account(config).ok_or(End::Right)?;
                if let Some(service) = self.service {
                    access::permit(config, account, service, self.peer).map_err(|_| End::Right)?;
                    auth::opens(account, service, &login.verifier).then_some(()).ok_or(End::Right)?;
                }
                if self.connector.get() && !access::may_use_connector(config, account) {
                    return Err(End::Connector);
                }
                Ok(())
            }
        }
    }

    fn connected(&self, id: u64, config: &Config) -> Connected {
        let (account, device) = match &*self.client.borrow() {
            Client::Account(login) => {
                let device = login.account(config).and_then(|account| auth::device(account, &login.verifier));
                (Some(login.name.clone()), device)
            }
            Client::Unknown | Client::Device => (None, None),
        };
        let (listener, address, age) = (self.listener, self.peer.to_canonical(), self.since.elapsed());
        Connected { id, listener, account, device, address, age }
    }
}

/// The part of an address that counts as one client: of IPv6 the /64, in which a host may choose its addresses (RFC
/// 4291 section 2.5.4).
fn origin(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests;
