//! What all services share: the settings in force, the store, logins, TLS, and the open connections.

mod places;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use event_listener::{Event, EventListener};
use rustls::ServerConfig;

use crate::auth::Logins;
use crate::board::device::Device;
use crate::clock::{Knowledge, Time};
use crate::config::Config;
use crate::credential::random;
use crate::store::Store;
pub use places::{Connected, End, NoRoom, Place, Places};

/// The shared state, which the appliance builds once and gives to every service as `Rc<Context>`.
pub struct Context {
    config: RefCell<Rc<Config>>,
    changed: Event,
    got_through: Event,
    tls: RefCell<Arc<ServerConfig>>,
    announced: RefCell<Option<String>>,
    /// The mail of all accounts.
    pub store: Store,
    /// Verifies logins.
    pub logins: Logins,
    /// The open connections.
    pub places: Places,
    /// How long clients are waited for.
    pub deadlines: Deadlines,
    /// The clock of deadlines.
    pub time: Time,
    /// Whether the wall clock is set.
    pub clock: Knowledge,
    /// The device that this runs on, if it boots from a card image.
    pub device: Option<Device>,
}

impl Context {
    /// A context of these parts.
    pub fn new(config: Config, tls: Arc<ServerConfig>, store: Store) -> Context {
        store.set_quotas(config.quotas());
        let time = Time::default();
        Context {
            config: RefCell::new(Rc::new(config)),
            changed: Event::new(),
            got_through: Event::new(),
            tls: RefCell::new(tls),
            announced: RefCell::default(),
            store,
            places: Places::default(),
            deadlines: Deadlines::default(),
            logins: Logins::new(&random(), &time),
            time,
            clock: Knowledge::new(true),
            device: None,
        }
    }

    /// Sets the key for refusals of logins, so that they stay the same after a restart.
    pub fn with_login_key(self, key: &[u8; 32]) -> Context {
        Context { logins: Logins::new(key, &self.time), ..self }
    }

    /// Sets a wall clock that is not set yet.
    pub fn without_time(self) -> Context {
        Context { clock: Knowledge::new(false), ..self }
    }

    /// Sets the device that boots from a card image.
    pub fn with_device(self, device: Option<Device>) -> Context {
        Context { device, ..self }
    }

    /// The settings in force now. Call it again after each `.await`, since they may have changed.
    pub fn config(&self) -> Rc<Config> {
        self.config.borrow().clone()
    }

    /// Notes that another server was reached, so messages that wait for a server may be worth a try.
    pub fn has_got_through(&self) {
        self.got_through.notify(usize::MAX);
    }

    /// Wakes when a server elsewhere was reached.
    pub fn got_through(&self) -> EventListener {
        self.got_through.listen()
    }

    /// The server's TLS configuration in force now.
    pub fn tls(&self) -> Arc<ServerConfig> {
        self.tls.borrow().clone()
    }

    /// Puts new settings in force and wakes all listeners.
    pub fn reconfigure(&self, config: Config, tls: Arc<ServerConfig>) {
        self.store.set_quotas(config.quotas());
        *self.config.borrow_mut() = Rc::new(config);
        *self.tls.borrow_mut() = tls;
        self.places.review(&self.config());
        self.changed.notify(usize::MAX);
    }

    /// Puts settings in force that differ only in refresh tokens.
    pub fn renew_tokens(&self, config: Config) {
        *self.config.borrow_mut() = Rc::new(config);
        self.changed.notify(usize::MAX);
    }

    /// Puts a new certificate in force for new connections.
    pub fn renew_tls(&self, tls: Arc<ServerConfig>) {
        *self.tls.borrow_mut() = tls;
    }

    /// The name under which the device is announced in the network, if it is.
    pub fn announced(&self) -> Option<String> {
        self.announced.borrow().clone()
    }

    /// Sets the name under which the device is announced in the network.
    pub fn set_announced(&self, name: Option<String>) {
        *self.announced.borrow_mut() = name;
    }

    /// Wakes at the next change of the settings. Listen first, then look at the settings.
    pub fn changed(&self) -> EventListener {
        self.changed.listen()
    }
}

/// How long the services wait for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From the beginning of a connection to the login: a client that has no business here must not hold a
    /// connection.
    pub login: Duration,
    /// From one POP3 command to the next: the least time that RFC 1939 section 3 allows.
    pub pop3: Duration,
    /// From one IMAP command to the next: the least time that RFC 3501 section 5.4 allows.
    pub imap: Duration,
    /// From one SMTP command to the next (RFC 5321 section 4.5.3.2.7).
    pub smtp: Duration,
    /// The time in which a client must take 16 KiB of what it asked for.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadlines_are_those_of_the_standards() {
        let Deadlines { login, pop3, imap, smtp, .. } = Deadlines::default();
        assert_eq!([login, pop3, imap, smtp].map(|time| time.as_secs()), [60, 600, 1800, 300]);
    }
}
