//! Who is connected: one place for each connection.

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

/// All places, taken and free.
#[derive(Default)]
pub struct Places {
    taken: Rc<RefCell<BTreeMap<u64, Rc<Taken>>>>,
    next: Cell<u64>,
    /// Somebody goes.
    goes: Rc<Event>,
}

/// Why there is no room for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// As many as are served at once.
    #[error("server.max_connections are open, and all of them have logged in")]
    Server,
    /// The last quarter is for the LAN.
    #[error(
        "three quarters of server.max_connections are open from outside the LAN, and all of them have logged in"
    )]
    Outside,
    /// Nine tenths of those that are served at once come from this address.
    #[error("nine tenths of what one address may have of server.max_connections are open from this one")]
    Address,
}

/// Why a connection has to end although its client would go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The settings no longer allow it.
    Right,
    /// The settings no longer allow Connector clients.
    Connector,
    /// Nobody has logged in, and another one needs the place.
    Room,
    /// The operator wants it.
    Disconnected,
    /// The appliance stops. What a client that is known is about to hand over may be finished.
    Stopping,
}

/// A connection's place. It is free again when this is dropped.
pub struct Place {
    id: u64,
    this: Rc<Taken>,
    taken: Rc<RefCell<BTreeMap<u64, Rc<Taken>>>>,
    goes: Rc<Event>,
}

/// A place that is taken, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// Names it for [`Places::disconnect`].
    pub id: u64,
    /// The name of the listener.
    pub listener: &'static str,
    /// The account that has logged in.
    pub account: Option<String>,
    /// The app password that it logged in with.
    pub device: Option<String>,
    /// Where the client is.
    pub address: IpAddr,
    /// For how long it has been there.
    pub age: Duration,
}

struct Taken {
    listener: &'static str,
    service: Option<Service>,
    peer: IpAddr,
    on_lan: bool,
    since: Instant,
    client: RefCell<Client>,
    /// Nobody else gets the place.
    is_kept: Cell<bool>,
    /// The client named itself as a Connector client.
    connector: Cell<bool>,
    end: Cell<Option<End>>,
    /// Nothing more is said or heard here.
    has_parted: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

/// Who sits on a place.
enum Client {
    /// Nobody knows yet.
    Unknown,
    /// A device of the LAN, which needs no login.
    Device,
    /// An account.
    Account(Login),
}

/// A login of an account, which stays it under another name.
struct Login {
    /// What the account is called.
    name: String,
    /// Its lasting identity; 0 where it has none.
    id: u64,
    /// That of the password that it came in with.
    verifier: Box<Verifier>,
}

impl Login {
    fn account<'c>(&self, config: &'c Config) -> Option<&'c Account> {
        if self.id == 0 { config.account(&self.name) } else { config.account_by_id(self.id) }
    }
}

impl Places {
    /// A place for a connection from `peer` to `service` (`None`: one without login) by the listener of this name.
    ///
    /// Of `server.max_connections` a quarter is for the LAN, and one address takes at most nine tenths of what there is
    /// for it: nobody can take all places and leave the others outside. Where there is no more room, the oldest
    /// connection that has not logged in ends. Who comes from outside takes none of the LAN's.
    ///
    /// # Errors
    /// Why there is no room.
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

    /// Connections to `service`.
    pub fn count(&self, service: Service) -> u32 {
        let count = self.taken.borrow().values().filter(|taken| taken.service == Some(service)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// All connections that do not end just now, the oldest first.
    pub fn list(&self, config: &Config) -> Vec<Connected> {
        let taken = self.taken.borrow();
        let open = taken.iter().filter(|(_, taken)| taken.end.get().is_none());
        open.map(|(id, taken)| taken.connected(*id, config)).collect()
    }

    /// Ends a connection; `false` when there is none.
    pub fn disconnect(&self, id: u64) -> bool {
        let taken = self.taken.borrow();
        let open = taken.get(&id).filter(|taken| taken.end.get().is_none());
        open.inspect(|taken| taken.end(End::Disconnected)).is_some()
    }

    /// Ends all connections, since the appliance stops.
    pub fn stop(&self) {
        self.taken.borrow().values().for_each(|taken| taken.end(End::Stopping));
    }

    /// Waits until nothing more is said or heard by anybody.
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

    /// Ends the connections that `config`, which is in force from now on, no longer allows.
    pub fn review(&self, config: &Config) {
        for taken in self.taken.borrow().values() {
            taken.review(config);
        }
    }
}

/// Lets connections end until there is room for one more.
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
    /// A device of the LAN sits here.
    pub fn is_of_device(&self) {
        self.this.client.replace(Client::Device);
    }

    /// The account `name` has logged in with the password of `verifier`. Where `config`, which is in force now, forbids
    /// it meanwhile, the place is taken away again.
    pub fn is_of_account(&self, name: &str, verifier: Box<Verifier>, config: &Config) {
        let id = config.account(name).map_or(0, |account| account.id);
        self.this.client.replace(Client::Account(Login { name: name.to_owned(), id, verifier }));
        self.keep();
        self.this.review(config);
    }

    /// What the account is called that has logged in.
    pub fn account(&self) -> Option<String> {
        match &*self.this.client.borrow() {
            Client::Account(login) => Some(login.name.clone()),
            Client::Unknown | Client::Device => None,
        }
    }

    /// The client is a Connector client.
    pub fn is_of_connector(&self) {
        self.this.connector.set(true);
    }

    /// Nobody else gets the place from now on: what is done here is worth as much as a login.
    pub fn keep(&self) {
        self.this.is_kept.set(true);
    }

    /// The last word is spoken: nobody need wait for this client any more.
    pub fn part(&self) {
        self.this.has_parted.set(true);
        self.goes.notify(usize::MAX);
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

    /// Whether `config` allows the client what it was allowed when it came.
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

/// What counts as one address: of IPv6 the /64, in which a host may take as many as it likes (RFC 4291 section 2.5.4).
fn origin(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests;
