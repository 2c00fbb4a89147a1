//! One message while it comes: it is kept, it is passed over, or it ends the poll.

use ring::digest;

use super::super::budget::PASSED_OVER;
use super::super::content::Content;
use super::super::remote::Attributes;
use super::{Collection, Error, Handle, Identity, Incoming, Told, Verdict, notice, store, unix_now};

/// A message of which a part has come.
pub struct Arrival {
    handle: Handle,
    identity: Option<Identity>,
    /// The SHA-256 of its octets up to the limit.
    digest: digest::Context,
    content: Content,
    /// Octets that it has at least.
    size: u64,
    came: u64,
    /// `None` once it cannot be kept: the rest of it is read and dropped.
    incoming: Option<Incoming>,
    /// What the server tells of it besides its octets.
    told: Attributes,
}

impl Arrival {
    /// Takes in what the server tells of it besides its octets.
    pub fn came_with(&mut self, told: Attributes) {
        self.told = told;
    }

    /// Its handle, its identity, and the content that came so far.
    pub fn so_far(&self) -> (Handle, Option<Identity>, &Content) {
        (self.handle, self.identity, &self.content)
    }

    /// Whether there was room for it so far.
    pub fn is_kept(&self) -> bool {
        self.incoming.is_some()
    }

    /// Octets that came.
    pub fn came(&self) -> u64 {
        self.came
    }
}

impl Collection {
    /// Begins to take in the message of `handle`.
    pub fn begin(&self, handle: Handle, identity: Option<Identity>) -> Arrival {
        Arrival {
            handle,
            identity,
            digest: digest::Context::new(&digest::SHA256),
            content: if self.twins.is_some() { Content::whole() } else { Content::new() },
            size: 0,
            came: 0,
            incoming: Some(self.account.incoming()),
            told: Attributes::default(),
        }
    }

    /// The server has announced so many octets and can no longer send fewer.
    ///
    /// # Errors
    /// [`Error::Endless`] if it is far above the limit.
    pub fn announced(&mut self, arrival: &mut Arrival, octets: u64) -> Result<(), Error> {
        if octets > self.ledger.limit() {
            arrival.incoming = None;
            arrival.size = octets;
            return self.bounded(arrival, false);
        }
        let room = arrival.incoming.as_mut().map(|incoming| incoming.expect(octets));
        if let Some(Err(full)) = room {
            self.refuse(arrival, octets, full);
        }
        Ok(())
    }

    /// Takes in the next octets of a message.
    ///
    /// # Errors
    /// [`Error::Endless`], and the store's. A full flash is not an error: there may be room for other messages.
    pub fn piece(&mut self, arrival: &mut Arrival, octets: &[u8]) -> Result<(), Error> {
        if arrival.identity.is_none() {
            let left = self.ledger.limit().saturating_sub(arrival.came);
            let within = usize::try_from(left).unwrap_or(usize::MAX).min(octets.len());
            arrival.digest.update(octets.get(..within).unwrap_or_default());
        }
        arrival.content.update(octets);
        arrival.came += octets.len() as u64;
        arrival.size = arrival.size.max(arrival.came);
        self.octets += octets.len() as u64;
        self.progress.came(self.octets);
        if arrival.size > self.ledger.limit() {
            arrival.incoming = None;
            return self.bounded(arrival, true);
        }
        let full = self.fits(arrival.size).err();
        let Some(incoming) = &mut arrival.incoming else { return Ok(()) };
        let refused = match full.map_or_else(|| incoming.write(octets), Err) {
            Ok(()) => return Ok(()),
            Err(full @ (store::Error::Full | store::Error::OverQuota | store::Error::Limit(_))) => full,
            Err(error) => return Err(error.into()),
        };
        // Nobody knows how much room it needs; twice what came is not too much to wait for.
        let need = arrival.came.saturating_mul(2).min(self.ledger.limit());
        self.refuse(arrival, need, refused);
        Ok(())
    }

    /// Notes that there is no room for a message.
    fn refuse(&mut self, arrival: &mut Arrival, need: u64, full: store::Error) {
        arrival.incoming = None;
        let place = arrival.identity.unwrap_or(Identity::in_place(arrival.handle));
        if !self.needs.note(place, need) {
            // So many messages had no room: there will be none for others either.
            self.stop();
        }
        self.problem(full.into());
    }

    /// Passes over a message above the limit while its end may be near: a new connection would cost more.
    fn bounded(&mut self, arrival: &mut Arrival, by_octets: bool) -> Result<(), Error> {
        let limit = self.ledger.limit();
        if arrival.size <= limit.saturating_add(PASSED_OVER) {
            return Ok(());
        }
        let octets = if by_octets { limit } else { arrival.size };
        self.leave(arrival, notice::Large { goes_on: by_octets, ..notice::Large::new(octets) });
        if arrival.identity.is_none() {
            // The message has no lasting identity. This at least keeps it from ending every poll at the same place.
            self.needs.note(Identity::in_place(arrival.handle), u64::MAX);
        }
        Err(Error::Endless(limit))
    }

    /// Leaves a message above the limit at the server: the user is told, and it is not read again.
    fn leave(&mut self, arrival: &Arrival, large: notice::Large) {
        let known = arrival.identity;
        let identity = known.or_else(|| match arrival.came {
            0 => self.ledger.sized(arrival.size),
            _ => self.ledger.beginning(arrival.digest.clone().finish().as_ref()),
        });
        let Some(identity) = identity else { return };
        let unread = known.map(|identity| self.ledger.larger(&identity));
        match (self.ledger.tell(&identity), unread) {
            (Verdict::Tell(identity), unread) => self.tell(Told { identity, unread, large, doomed: None }),
            (_, Some(unread)) => self.collected(unread, unix_now()),
            (_, None) => {}
        }
    }

    /// Notes that the poll broke off at this message, of which `content` has come. The user is told if the message
    /// had been left for the last.
    pub fn broke_off(&mut self, handle: Handle, identity: Option<Identity>, content: &Content) {
        let place = identity.unwrap_or(Identity::in_place(handle));
        if !self.needs.broke_off(place, self.time.now()) {
            return;
        }
        self.outcome.left_for_last = true;
        let noted = match identity {
            Some(identity) => self.ledger.stuck(&identity),
            None => None,
        };
        if let Some(noted) = noted {
            let octets = self.sizes.get(&handle).copied();
            self.stuck.push((noted, notice::Stuck::new(content, octets)));
        }
    }

    /// Takes in that a message has come whole.
    pub fn end(&mut self, arrival: Arrival) {
        self.needs.came(&arrival.identity.unwrap_or(Identity::in_place(arrival.handle)));
        if arrival.size > self.ledger.limit() {
            return self.leave(&arrival, notice::Large::new(arrival.size));
        }
        let Arrival { handle, identity, digest, content, size, came, incoming, told } = arrival;
        let told = Attributes { date: told.date.or_else(|| content.received()), ..told };
        let verdict = match identity {
            Some(identity) => Verdict::Collect(identity),
            None => self.ledger.read(digest.finish().as_ref(), size),
        };
        match (verdict, incoming) {
            (Verdict::Collect(identity), Some(incoming)) => {
                let hash = content.hash(self.sizes.get(&handle).copied().unwrap_or(came));
                let Some(identity) = self.identity_of_whole(handle, identity, hash) else { return };
                self.sizes.remove(&handle);
                match hash.filter(|hash| hash.is_told_apart && self.ledger.has_content(hash.content)) {
                    Some(hash) => self.note_duplicate(identity, hash.content),
                    None if self.should_deliver(handle, identity, hash, content.twin()) => {
                        self.deliver(handle, identity, hash, incoming, told);
                    }
                    None => {}
                }
            }
            // There was no room for it: a later poll collects it.
            (Verdict::Collect(_), None) => {}
            (verdict, _) => self.apply(verdict, handle, size),
        }
    }
}
