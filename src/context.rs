//! What every service shares: the settings in force, the store, logins, TLS, and who is connected.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use event_listener::{Event, EventListener};
use rustls::ServerConfig;

use crate::access::Service;
use crate::auth::{Logins, random};
use crate::config::Config;
use crate::store::Store;

/// Built once by the appliance, handed to every service as `Rc<Context>`.
pub struct Context {
    config: RefCell<Rc<Config>>,
    changed: Event,
    tls: RefCell<Arc<ServerConfig>>,
    /// The mail of all accounts.
    pub store: Store,
    /// Verifies logins.
    pub logins: Logins,
    /// Who is connected.
    pub sessions: Sessions,
}

impl Context {
    /// Puts the parts together.
    pub fn new(config: Config, tls: Arc<ServerConfig>, store: Store) -> Context {
        store.set_quotas(config.quotas());
        Context {
            config: RefCell::new(Rc::new(config)),
            changed: Event::new(),
            tls: RefCell::new(tls),
            store,
            logins: Logins::new(&random()),
            sessions: Sessions::default(),
        }
    }

    /// With logins of its own key, for refusals that a restart does not change.
    pub fn with_logins(self, logins: Logins) -> Context {
        Context { logins, ..self }
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

/// Counts of open sessions.
#[derive(Default)]
pub struct Sessions {
    total: Rc<Cell<u32>>,
    pop3: Rc<Cell<u32>>,
    imap: Rc<Cell<u32>>,
    submission: Rc<Cell<u32>>,
}

/// One open session; it ends with the value.
pub struct SessionGuard(Rc<Cell<u32>>, Rc<Cell<u32>>);

impl Sessions {
    /// Counts a session of `service` (`None`: one without login), unless `limit` sessions are open already.
    pub fn open(&self, service: Option<Service>, limit: u32) -> Option<SessionGuard> {
        if self.total.get() >= limit {
            return None;
        }
        let count = service.map(|service| self.cell(service).clone()).unwrap_or_default();
        count.set(count.get() + 1);
        self.total.set(self.total.get() + 1);
        Some(SessionGuard(self.total.clone(), count))
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

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
        self.1.set(self.1.get() - 1);
    }
}
