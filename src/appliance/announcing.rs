//! What the network is told of this appliance, and when that changes.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};

use event_listener::{Event, EventListener};
use smol::future::or;
use smol::{LocalExecutor, Task};

use super::Appliance;
use super::ending::{CLOSING, elapsed};
use crate::access;
use crate::config::Listener;
use crate::net::mdns::{self, Service, Wanted};

/// The task that announces, where one does.
#[derive(Default)]
pub struct Announcing {
    changed: Rc<Event>,
    task: RefCell<Option<Task<()>>>,
}

impl Announcing {
    /// Begins.
    pub fn begin(&self, appliance: &Rc<Appliance>, executor: &LocalExecutor<'static>) {
        let device = Announced { appliance: Rc::downgrade(appliance), changed: self.changed.clone() };
        let task = executor.spawn(mdns::announce(appliance.context.time.clone(), Rc::new(device)));
        *self.task.borrow_mut() = Some(task);
    }

    /// Listeners or settings are others now.
    pub fn look(&self) {
        self.changed.notify(usize::MAX);
    }

    /// Takes back what was announced, once nobody listens any more.
    pub async fn end(&self) {
        let task = self.task.borrow_mut().take();
        self.look();
        if let Some(task) = task {
            or(task, elapsed(CLOSING)).await;
        }
    }
}

struct Announced {
    appliance: Weak<Appliance>,
    changed: Rc<Event>,
}

impl mdns::Device for Announced {
    /// The host name, where somebody else than this machine is served.
    fn wanted(&self) -> Option<Wanted> {
        let appliance = self.appliance.upgrade()?;
        let bound = appliance.listeners.borrow().bound();
        let is_served = bound.iter().any(|(_, at)| !at.ip().to_canonical().is_loopback());
        let hostname = appliance.context.config().server.hostname.to_string();
        is_served.then(|| Wanted { hostname, services: services(&bound) })
    }

    fn changed(&self) -> EventListener {
        self.changed.listen()
    }

    fn ends(&self) -> bool {
        self.appliance.upgrade().is_none_or(|appliance| appliance.stopping.get())
    }

    fn is_on_lan(&self, peer: IpAddr) -> bool {
        self.appliance.upgrade().is_some_and(|it| access::on_lan(&it.context.config(), peer))
    }

    fn found_as(&self, name: Option<String>) {
        if let Some(appliance) = self.appliance.upgrade() {
            appliance.context.set_announced(name);
        }
    }
}

/// Those that others than this machine reach, at the ports that they have. Only with TLS from the first octet (RFC 8314): where
/// both are announced, some clients take the other one. An address of mail leads to those that a login opens (RFC 6186).
fn services(bound: &[(Listener, SocketAddr)]) -> Vec<Service> {
    let is_reached = |at: &SocketAddr| !at.ip().to_canonical().is_loopback();
    let announced = |it: &Listener| it.has_implicit_tls();
    Listener::ALL
        .iter()
        .filter(|it| announced(it))
        .flat_map(|it| bound.iter().filter(move |(listener, at)| listener == it && is_reached(at)))
        .map(|(it, at)| Service { kind: it.name(), port: at.port(), is_mail: it.service().is_some() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a service on loopback that others are sent to, another port than it has, and one without TLS.
    #[test]
    fn what_others_reach_is_announced() {
        let at = |text: &str| text.parse().unwrap();
        let bound = [
            (Listener::Imap, at("0.0.0.0:143")),
            (Listener::Https, at("[::]:8443")),
            (Listener::Imaps, at("127.0.0.1:1993")),
            (Listener::Imaps, at("[::1]:1994")),
            (Listener::Imaps, at("[::ffff:127.0.0.1]:1995")),
            (Listener::Imaps, at("192.168.1.5:993")),
            (Listener::Pop3s, at("127.0.0.1:995")),
            (Listener::Submissions, at("0.0.0.0:465")),
        ];
        let found = services(&bound);
        let found: Vec<_> = found.iter().map(|it| (it.kind, it.port, it.is_mail)).collect();
        assert_eq!(found, [("imaps", 993, true), ("submissions", 465, true), ("https", 8443, false)]);
    }
}
