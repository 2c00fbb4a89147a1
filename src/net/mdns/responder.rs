//! The responder of one zone, as long as the zone stays the same: claims its names, announces it and answers for it.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use event_listener::EventListener;
use simple_dns::{Name, Packet, PacketFlag};
use smol::future::or;

use super::message::{self, Stage, has_precedence, is_conflict, is_near, is_query, parsed, probe};
use super::sockets::Sockets;
use super::zone::Zone;
use super::{Device, LOOK, Wanted};
use crate::clock::Time;
use crate::net::addresses::Addresses;

/// The time between two of the three probes (section 8.1).
pub const PROBE: Duration = Duration::from_millis(250);
/// The time between two announcements (section 8.3), and for which a device that probed at the same moment has
/// precedence (section 8.2).
pub const AGAIN: Duration = Duration::from_secs(1);
/// Replies at once, and each second, at most.
pub const BURST: u32 = 10;
/// Milliseconds, from and to, for which a reply with a shared record waits, so that not all devices answer at once
/// (section 6).
const SHARED: (u32, u32) = (20, 120);
/// Milliseconds, from and to, for which a reply waits if the peer will send more known answers (section 7.2).
const TRUNCATED: (u32, u32) = (400, 500);
/// Queries that wait at once, at most; a further one is answered at once.
pub const WAITING_MAX: usize = 8;
/// Messages with known answers that are kept for one query, at most.
const MORE_MAX: usize = 3;

/// The result of probing for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Free,
    Taken,
    /// Something else is wanted before the result was known.
    Changed,
}

/// Why a zone is no longer announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Changed,
    Conflict,
}

/// A query whose reply waits.
pub struct Waiting {
    pub due: Instant,
    peer: SocketAddr,
    query: Vec<u8>,
    pub more: Vec<Vec<u8>>,
}

/// A zone, and what was sent about it.
pub struct Responder {
    pub wanted: Wanted,
    pub zone: Zone,
    pub addresses: Addresses,
    pub sockets: Sockets,
    pub device: Rc<dyn Device>,
    pub time: Time,
    /// When each entry was multicast last.
    pub said: Vec<Option<Instant>>,
    pub waiting: Vec<Waiting>,
    /// Replies that may still be sent in this second.
    pub replies: u32,
    pub since: Instant,
}

impl Responder {
    /// A responder for `name`; `None` if there are no addresses or no sockets, or the name is not possible.
    pub fn new(
        name: String,
        wanted: Wanted,
        addresses: Addresses,
        sockets: Sockets,
        device: Rc<dyn Device>,
        time: Time,
    ) -> Option<Responder> {
        let all: Vec<IpAddr> = addresses.all();
        if all.is_empty() || sockets.is_empty() {
            return None;
        }
        let zone = Zone::new(&name, &all, &wanted.services)?;
        let said = vec![None; zone.entries.len()];
        let (waiting, since) = (Vec::new(), time.now());
        Some(Responder {
            wanted,
            zone,
            addresses,
            sockets,
            device,
            time,
            said,
            waiting,
            replies: BURST,
            since,
        })
    }

    fn is_near(&self, peer: SocketAddr) -> bool {
        is_near(peer.ip()) || self.device.is_on_lan(peer.ip())
    }

    /// Probes three times for those names that are `new`.
    pub async fn claim(&self, new: impl Fn(&Name<'static>) -> bool, changed: EventListener) -> Claim {
        let names: Vec<Name<'static>> = self.zone.names().into_iter().filter(|name| new(name)).collect();
        if names.is_empty() {
            return Claim::Free;
        }
        let Some(question) = probe(&names, &self.zone) else { return Claim::Free };
        let changed = async {
            changed.await;
            Claim::Changed
        };
        let asked = async {
            // Devices that start together must not probe together (section 8.1).
            self.time.sleep(between((0, 250))).await;
            loop {
                match self.asked(&names, &question).await {
                    Some(claim) => return claim,
                    None => self.time.sleep(AGAIN).await,
                }
            }
        };
        or(changed, asked).await
    }

    /// Sends the three probes. `None` if another device probes for the same name and has precedence.
    async fn asked(&self, names: &[Name<'static>], question: &[u8]) -> Option<Claim> {
        for _ in 0..3 {
            self.sockets.to_all(question).await;
            let silence = async {
                self.time.sleep(PROBE).await;
                Some(Claim::Free)
            };
            let heard = async {
                loop {
                    let (mut message, peer) = self.sockets.message().await;
                    let Some(packet) = parsed(&mut message).filter(|_| self.is_near(peer)) else { continue };
                    if is_conflict(&packet, names, &self.zone, Stage::Probing) {
                        return Some(Claim::Taken);
                    }
                    if has_precedence(&packet, names, &self.zone) {
                        return None;
                    }
                }
            };
            match or(heard, silence).await {
                Some(Claim::Free) => {}
                other => return other,
            }
        }
        Some(Claim::Free)
    }

    /// Announces the zone twice, and answers until the zone has changed or another device claims a name.
    pub async fn answer(&mut self) -> End {
        let device = self.device.clone();
        self.announce().await;
        let mut again = Some(self.time.now() + AGAIN);
        let mut look = self.time.now() + LOOK;
        let mut changed = device.changed();
        // A change may have come before the listener was made.
        let mut is_due = device.wanted().as_ref() != Some(&self.wanted);
        loop {
            let now = self.time.now();
            if is_due || look <= now {
                (is_due, look, changed) = (false, now + LOOK, device.changed());
                if device.wanted().as_ref() != Some(&self.wanted) || Addresses::now() != self.addresses {
                    return End::Changed;
                }
            }
            let waiting = self.waiting.iter().map(|it| it.due);
            let next = waiting.chain(again).chain([look]).min().unwrap_or(look);
            let due = async {
                self.time.sleep(next.saturating_duration_since(now)).await;
                Event::Due
            };
            let changes = async {
                (&mut changed).await;
                Event::Changed
            };
            let message = async {
                let (message, peer) = self.sockets.message().await;
                Event::Message(message, peer)
            };
            match or(or(message, changes), due).await {
                Event::Message(message, peer) if self.is_near(peer) => {
                    if self.hear(message, peer).await == Some(End::Conflict) {
                        return End::Conflict;
                    }
                }
                Event::Changed => is_due = true,
                Event::Message(..) | Event::Due => {}
            }
            // After any event: a peer that sends without a pause keeps the timer from ending.
            let now = self.time.now();
            if again.is_some_and(|due| due <= now) {
                self.announce().await;
                again = None;
            }
            while let Some(at) = self.waiting.iter().position(|it| it.due <= now) {
                let Waiting { peer, query, more, .. } = self.waiting.swap_remove(at);
                self.reply_to(query, more, peer).await;
            }
        }
    }

    async fn announce(&mut self) {
        for message in message::announcement(self.zone.told().map(|(_, it)| it)) {
            self.sockets.to_all(&message).await;
        }
        let now = self.time.now();
        for (at, said) in self.said.iter_mut().enumerate() {
            if self.zone.entries.get(at).is_some_and(|it| !it.is_denial()) {
                *said = Some(now);
            }
        }
    }

    /// Takes back the announced records that are not in `next`.
    pub async fn goodbye(&self, next: Option<&Zone>) {
        let ends = self.zone.told().map(|(_, it)| it);
        let ends = ends.filter(|it| !next.is_some_and(|next| next.has(&it.record)));
        for message in message::goodbye(ends) {
            self.sockets.to_all(&message).await;
        }
    }

    pub async fn hear(&mut self, mut message: Vec<u8>, peer: SocketAddr) -> Option<End> {
        let packet = parsed(&mut message)?;
        // Our own messages come back by loopback, and hold only records that are ours.
        if is_conflict(&packet, &self.zone.names(), &self.zone, Stage::Announced) {
            return Some(End::Conflict);
        }
        if !is_query(&packet) {
            return None;
        }
        let is_cut_off = packet.has_flags(PacketFlag::TRUNCATION) && peer.port() == message::PORT;
        if packet.questions.is_empty() {
            if let Some(waiting) = self.waiting.iter_mut().find(|it| it.peer == peer)
                && waiting.more.len() < MORE_MAX
            {
                waiting.more.push(message);
            }
            return None;
        }
        let reply = message::reply(&packet, &[], peer.port(), &self.zone, |at| self.told(at))?;
        let delay = match () {
            () if is_cut_off => Some(TRUNCATED),
            () if reply.is_shared && packet.name_servers.is_empty() => Some(SHARED),
            () => None,
        };
        match delay {
            Some(delay) if self.waiting.len() < WAITING_MAX => {
                let due = self.time.now() + between(delay);
                self.waiting.push(Waiting { due, peer, query: message, more: Vec::new() });
            }
            _ => self.send(reply, peer).await,
        }
        None
    }

    fn told(&self, at: usize) -> Option<Duration> {
        Some(self.time.since((*self.said.get(at)?)?))
    }

    /// Replies to `query` of `peer`, which then sent the known answers `more`.
    pub async fn reply_to(&mut self, mut query: Vec<u8>, mut more: Vec<Vec<u8>>, peer: SocketAddr) {
        let Some(query) = parsed(&mut query) else { return };
        let more: Vec<Packet<'_>> = more.iter_mut().filter_map(|it| parsed(it)).collect();
        let reply = message::reply(&query, &more, peer.port(), &self.zone, |at| self.told(at));
        if let Some(reply) = reply {
            self.send(reply, peer).await;
        }
    }

    async fn send(&mut self, reply: message::Reply, peer: SocketAddr) {
        if self.time.since(self.since) >= AGAIN {
            (self.since, self.replies) = (self.time.now(), BURST);
        }
        let Some(left) = self.replies.checked_sub(1) else { return };
        self.replies = left;
        if reply.unicast {
            return self.sockets.to_one(&reply.octets, peer).await;
        }
        for at in &reply.said {
            if let Some(said) = self.said.get_mut(*at) {
                *said = Some(self.time.now());
            }
        }
        self.sockets.to_all(&reply.octets).await;
    }
}

/// What [`Responder::answer`] waits for.
enum Event {
    Message(Vec<u8>, SocketAddr),
    Changed,
    Due,
}

/// A random time between two numbers of milliseconds.
fn between((least, most): (u32, u32)) -> Duration {
    let random: Option<[u8; 4]> =
        ring::rand::generate(&ring::rand::SystemRandom::new()).ok().map(|random| random.expose());
    let range = most.saturating_sub(least).saturating_add(1);
    let more = random.map_or(0, |octets| u32::from_be_bytes(octets) % range);
    Duration::from_millis(u64::from(least + more))
}
