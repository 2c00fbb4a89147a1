//! Announces the device's name and services in its network by multicast DNS (RFC 6762). Mail programs find it as
//! `pillarbox.local` without a name server, and find its mail services without a port being typed (RFC 6763, RFC
//! 6186).
//!
//! It answers only for its own names and only to neighbours, with few packets a second, and does without what the
//! kernel or the network refuses. If another device has the name already, it takes the next one (`pillarbox-2.local`)
//! and reports it. When it ends, it takes back what it announced.

mod message;
mod responder;
mod sockets;
mod zone;

use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use event_listener::EventListener;
use simple_dns::Name;
use smol::future::or;

use super::addresses::Addresses;
use crate::clock::Time;
#[cfg(any(test, fuzzing))]
pub(crate) use message::{Stage, has_precedence, is_conflict, parsed, reply};
use responder::{Claim, End, Responder};
use sockets::Sockets;
#[cfg(any(test, fuzzing))]
pub(crate) use zone::Zone;
use zone::numbered;
pub use zone::{Service, local_name};

/// The time between two looks at the addresses and the network.
const LOOK: Duration = Duration::from_secs(10);
/// The last number that is tried after a name that is taken.
const LAST: u32 = 20;
/// Conflicts within [`OFTEN`] after which each try waits for [`CALM`] (section 8.1).
const CONFLICTS: u32 = 15;
/// The time within which conflicts are counted.
const OFTEN: Duration = Duration::from_secs(10);
/// The wait before each try after many conflicts.
const CALM: Duration = Duration::from_secs(5);

/// What is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The host name, from which the name in the domain `local` is made.
    pub hostname: String,
    /// The services, in the order in which they are announced.
    pub services: Vec<Service>,
}

/// The device whose name and services are announced.
pub trait Device {
    /// What is to be announced now; `None`: nothing.
    fn wanted(&self) -> Option<Wanted>;
    /// Ends when [`Device::wanted`] may have changed after this call.
    fn changed(&self) -> EventListener;
    /// Whether the device is ending: what was announced is taken back, and nothing more is announced.
    fn ends(&self) -> bool;
    /// Whether a peer is answered that is not a neighbour.
    fn is_on_lan(&self, peer: IpAddr) -> bool;
    /// Takes the name that was found, or `None` when there is none.
    fn found_as(&self, name: Option<String>);
}

/// Announces what `device` wants, and answers for it, until it ends.
pub async fn announce(time: Time, device: Rc<dyn Device>) {
    let mut told = String::new();
    let mut number = 1;
    // What was announced last, and which of its names are known to be ours.
    let mut last: Option<Responder> = None;
    let mut own: Vec<Name<'static>> = Vec::new();
    let mut trouble = Trouble::default();
    loop {
        let changed = device.changed();
        let Some(wanted) = device.wanted() else {
            if let Some(last) = last.take() {
                last.goodbye(None).await;
            }
            (number, own) = (1, Vec::new());
            device.found_as(None);
            if device.ends() {
                return;
            }
            or(changed, time.sleep(LOOK)).await;
            continue;
        };
        if last.as_ref().is_some_and(|last| last.wanted.hostname != wanted.hostname) {
            number = 1;
        }
        let addresses = Addresses::now();
        let name = numbered(&local_name(&wanted.hostname), number);
        let sockets = Sockets::open(&addresses);
        let responder = Responder::new(name, wanted, addresses, sockets, device.clone(), time.clone());
        let Some(mut responder) = responder else {
            // There is no network, so nobody to say goodbye to, or the host name is not possible.
            (last, own) = (None, Vec::new());
            or(changed, time.sleep(LOOK)).await;
            continue;
        };
        if let Some(last) = last.take() {
            last.goodbye(Some(&responder.zone)).await;
        }
        let names = responder.zone.names();
        own.retain(|name| names.contains(name));
        let claim = responder.claim(|name| !own.contains(name), changed).await;
        match claim {
            Claim::Changed => last = Some(responder),
            Claim::Taken if number < LAST => {
                log::warn!(
                    "another device of this network is called {}: the next name is tried",
                    responder.zone.host
                );
                (number, own) = (number + 1, Vec::new());
                trouble.pause(&time).await;
            }
            Claim::Free | Claim::Taken => {
                if told != responder.zone.host {
                    log::info!("this device is found as {}", responder.zone.host);
                    told.clone_from(&responder.zone.host);
                }
                device.found_as(Some(responder.zone.host.clone()));
                match responder.answer().await {
                    End::Changed => (last, own) = (Some(responder), names),
                    // Its names are probed anew, and not taken back: another device may have them.
                    End::Conflict => {
                        own = Vec::new();
                        trouble.pause(&time).await;
                    }
                }
            }
        }
    }
}

/// How often another device claimed our names lately.
#[derive(Default)]
struct Trouble {
    since: Option<Instant>,
    conflicts: u32,
}

impl Trouble {
    /// Counts a conflict, and waits after many.
    async fn pause(&mut self, time: &Time) {
        if self.since.is_none_or(|since| time.since(since) > OFTEN) {
            (self.since, self.conflicts) = (Some(time.now()), 0);
        }
        self.conflicts += 1;
        if self.conflicts >= CONFLICTS {
            time.sleep(CALM).await;
        }
    }
}

#[cfg(test)]
mod tests;
