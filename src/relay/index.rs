//! Tells which queued message is to be worked on next, without reading a note. The index grows with the queue, so an
//! entry takes 64 octets at most, and each question costs the same however many entries there are.
//!
//! Times are seconds since 1970 UTC in 32 bits, so they end in 2106. The index does no I/O and has no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::entry::Submitter;
use crate::store::Uid;

/// Octets from which a message is large: messages of other submitters do not wait for it.
pub const LARGE: u32 = 256 * 1024;

/// What the index knows of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Octets of its content.
    pub size: u32,
    /// When it was accepted.
    pub created: u32,
    /// When work here is due next; `None`: never.
    pub here: Option<u32>,
    /// When it is to go to the smarthost next; `None`: never.
    pub outside: Option<u32>,
    /// Whether the only work here is to tell the sender that it is late. That is never done before its time.
    pub only_notice: bool,
}

/// What is kept of each message. Slots are in the order of the UIDs.
#[derive(Debug, Clone, Copy)]
struct Slot {
    uid: Uid,
    size: u32,
    created: u32,
    here: u32,
    outside: u32,
    lane: u16,
    marks: u8,
}

/// The time that stands for never.
const NEVER: u32 = u32::MAX;

/// A mark: somebody works on the message.
const BUSY: u8 = 1;
/// A mark: the message stands in the row of work here.
const IN_HERE: u8 = 2;
/// A mark: the message stands in the row of its submitter's lane.
const IN_LANE: u8 = 4;
/// A mark: the message was removed, and its slot is still there.
const GONE: u8 = 8;
/// A mark: [`Facts::only_notice`].
const NOTICE: u8 = 16;

/// The messages of one submitter, which are to arrive in the order in which they were submitted.
#[derive(Debug, Default)]
struct Lane {
    /// The number of queued messages.
    count: u32,
    /// The messages that may go, the oldest first.
    ready: VecDeque<Uid>,
    /// The messages on their way, in the order in which they were begun.
    flying: Vec<Flight>,
}

/// A message on its way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    uid: Uid,
    /// The number of its connection.
    line: u32,
    /// Whether its last octets have left.
    ended: bool,
}

/// Whether the last octets of a message must keep a distance to those before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// They need not: no message before it went over another connection.
    Alone,
    /// They must: those of an earlier message of the same submitter have just left over another connection.
    Behind,
}

/// The index, see the module.
#[derive(Debug, Default)]
pub struct Index {
    slots: Vec<Slot>,
    gone: usize,
    numbers: BTreeMap<Submitter, u16>,
    lanes: Vec<Lane>,
    here: VecDeque<Uid>,
    timers: BTreeSet<(u32, Uid)>,
}

impl Index {
    /// The number of queued messages.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.slots.len() - self.gone
    }

    /// How many messages of `submitter` are queued.
    pub fn count(&self, submitter: Submitter) -> usize {
        self.lane(submitter).map_or(0, |lane| lane.count as usize)
    }

    /// Whether a message with this UID is queued and nobody works on it.
    pub fn is_free(&self, uid: Uid) -> bool {
        self.slot(uid).is_some_and(|slot| slot.marks & BUSY == 0)
    }

    /// Those of these times at which a queued message was accepted.
    pub fn accepted_at(&self, times: &BTreeSet<u32>) -> BTreeSet<u32> {
        let live = self.slots.iter().filter(|slot| slot.marks & GONE == 0);
        live.map(|slot| slot.created).filter(|created| times.contains(created)).collect()
    }

    /// Adds a message, or replaces what is known of it; nobody works on it from now on. A removed message never comes
    /// back.
    pub fn put(&mut self, uid: Uid, submitter: Submitter, facts: Facts) {
        if find_any(&self.slots, uid).is_some_and(|slot| slot.marks & GONE != 0) {
            return;
        }
        self.end_transfer(uid);
        let lane = self.number(submitter);
        let (here, outside) = (facts.here.unwrap_or(NEVER), facts.outside.unwrap_or(NEVER));
        let stands = self.slot(uid).map_or(0, |slot| slot.marks & (IN_HERE | IN_LANE));
        let marks = stands | if facts.only_notice { NOTICE } else { 0 };
        let slot = Slot { uid, size: facts.size, created: facts.created, here, outside, lane, marks };
        let mut before = [NEVER; 2];
        match self.slots.binary_search_by_key(&uid, |slot| slot.uid) {
            Ok(at) => {
                let Some(known) = self.slots.get_mut(at) else { return };
                before = [known.here, known.outside];
                *known = slot;
            }
            Err(at) => {
                if self.slots.len() == self.slots.capacity() {
                    // Grows by a quarter instead of doubling.
                    self.slots.reserve_exact(self.slots.len() / 4 + 16);
                }
                self.slots.insert(at, slot);
                self.count_in(lane);
            }
        }
        self.set_timers(uid, before, [here, outside]);
    }

    /// Notes that nobody works on a message after all. Its work rests until `until` at least; `None`: for ever.
    pub fn rest(&mut self, uid: Uid, until: Option<u32>) {
        self.end_transfer(uid);
        let Some(slot) = self.slot_mut(uid) else { return };
        slot.marks &= !BUSY;
        let before = [slot.here, slot.outside];
        let after = before.map(|time| until.map_or(NEVER, |until| until.max(time)));
        [slot.here, slot.outside] = after;
        self.set_timers(uid, before, after);
    }

    /// Replaces the times that are set for a message.
    fn set_timers(&mut self, uid: Uid, before: [u32; 2], after: [u32; 2]) {
        for time in before {
            self.timers.remove(&(time, uid));
        }
        for time in after.into_iter().filter(|time| *time != NEVER) {
            self.timers.insert((time, uid));
        }
    }

    /// Removes a message.
    pub fn remove(&mut self, uid: Uid) {
        self.end_transfer(uid);
        let Some(slot) = self.slot_mut(uid) else { return };
        let (lane, here, outside) = (slot.lane, slot.here, slot.outside);
        slot.marks |= GONE;
        self.gone += 1;
        for time in [here, outside] {
            self.timers.remove(&(time, uid));
        }
        if let Some(lane) = self.lanes.get_mut(usize::from(lane)) {
            lane.count -= 1;
        }
        if self.gone > 64 && self.gone > self.slots.len() / 2 {
            self.slots.retain(|slot| slot.marks & GONE == 0);
            self.slots.shrink_to_fit();
            self.gone = 0;
        }
    }

    /// Takes in what has become due. No right clock sets a time after `far`.
    pub fn tick(&mut self, now: u32, far: u32) {
        while let Some(&(time, uid)) = self.timers.first().filter(|(time, _)| *time <= now) {
            self.timers.remove(&(time, uid));
            self.has_come(time, uid);
        }
        // These times were set while the clock was wrong.
        while let Some(&(time, uid)) = self.timers.last().filter(|(time, _)| *time > far) {
            self.timers.remove(&(time, uid));
            self.is_due_now(time, uid, now);
        }
    }

    /// The earliest time that is set.
    pub fn earliest(&self) -> Option<u32> {
        self.timers.first().map(|(time, _)| *time)
    }

    /// Claims the next message with work due here.
    pub fn next_here(&mut self, now: u32) -> Option<Uid> {
        while let Some(uid) = self.here.pop_front() {
            let Some(slot) = self.slot_mut(uid) else { continue };
            slot.marks &= !IN_HERE;
            if slot.marks & BUSY == 0 && slot.here <= now {
                slot.marks |= BUSY;
                return Some(uid);
            }
        }
        None
    }

    /// Claims the next message that is due outside, of a submitter who is `wanted`: of the one with the fewest
    /// messages on their way, and among equals the oldest message. It goes over the connection `line`. While a large
    /// message is on its way, no other message of its submitter goes. `large`: large messages may go.
    pub fn next_outside(
        &mut self,
        wanted: impl Fn(Submitter) -> bool,
        line: u32,
        large: bool,
        now: u32,
    ) -> Option<Uid> {
        loop {
            let (lanes, slots) = (&self.lanes, &self.slots);
            let size = |uid: Uid| find(slots, uid).map_or(0, |slot| slot.size);
            let next = self
                .numbers
                .iter()
                .filter(|(submitter, _)| wanted(**submitter))
                .filter_map(|(_, number)| {
                    let lane = lanes.get(usize::from(*number))?;
                    let uid = *lane.ready.front()?;
                    let waits = lane.flying.iter().any(|flight| size(flight.uid) >= LARGE)
                        || !large && size(uid) >= LARGE;
                    (!waits).then_some((lane.flying.len(), uid, *number))
                })
                .min();
            let (_, uid, number) = next?;
            let lane = self.lanes.get_mut(usize::from(number))?;
            lane.ready.pop_front();
            let Some(slot) = find_mut(&mut self.slots, uid) else { continue };
            slot.marks &= !IN_LANE;
            if slot.marks & (BUSY | GONE) == 0 && slot.outside <= now {
                slot.marks |= BUSY;
                lane.flying.push(Flight { uid, line, ended: false });
                return Some(uid);
            }
        }
    }

    /// Whether the last octets of a message may leave: those of its submitter's messages that were begun before it
    /// have left. `None`: not yet. Messages before it on the same connection are not waited for, since nothing
    /// overtakes there.
    pub fn turn(&self, uid: Uid) -> Option<Spacing> {
        let lane = self.slot(uid).and_then(|slot| self.lanes.get(usize::from(slot.lane)));
        let Some(lane) = lane else { return Some(Spacing::Alone) };
        let Some(at) = lane.flying.iter().position(|flight| flight.uid == uid) else {
            return Some(Spacing::Alone);
        };
        let line = lane.flying.get(at).map_or(0, |flight| flight.line);
        let before = lane.flying.get(..at).unwrap_or_default();
        if before.iter().any(|flight| !flight.ended && flight.line != line) {
            return None;
        }
        Some(if before.iter().all(|flight| flight.line == line) { Spacing::Alone } else { Spacing::Behind })
    }

    /// Notes that the last octets of a message leave.
    pub fn ended(&mut self, uid: Uid) {
        let Some(lane) = self.slot(uid).map(|slot| slot.lane) else { return };
        if let Some(lane) = self.lanes.get_mut(usize::from(lane)) {
            lane.flying.iter_mut().filter(|flight| flight.uid == uid).for_each(|flight| flight.ended = true);
        }
    }

    /// Whether the message is queued.
    pub fn is_known(&self, uid: Uid) -> bool {
        self.slot(uid).is_some()
    }

    /// Whether somebody works on the message.
    pub fn is_busy(&self, uid: Uid) -> bool {
        self.slot(uid).is_some_and(|slot| slot.marks & BUSY != 0)
    }

    /// Claims a message, whether or not it is due. `false` if somebody works on it, or it is not queued.
    pub fn claim(&mut self, uid: Uid) -> bool {
        if !self.is_free(uid) {
            return false;
        }
        self.slot_mut(uid).is_some_and(|slot| {
            slot.marks |= BUSY;
            true
        })
    }

    /// The submitters who have messages that may go, each with the number of these.
    pub fn ready(&self) -> impl Iterator<Item = (Submitter, usize)> {
        let lane = |number: &u16| self.lanes.get(usize::from(*number)).map_or(0, |lane| lane.ready.len());
        self.numbers.iter().map(move |(submitter, number)| (*submitter, lane(number))).filter(|(_, n)| *n > 0)
    }

    /// Makes everything that waits for a time due now, for submitters who are `wanted`.
    pub fn hasten(&mut self, wanted: impl Fn(Submitter) -> bool, now: u32) {
        let wanted: BTreeSet<u16> =
            self.numbers.iter().filter(|(it, _)| wanted(**it)).map(|(_, number)| *number).collect();
        for (time, uid) in std::mem::take(&mut self.timers) {
            let Some(slot) = self.slot(uid) else { continue };
            let has_its_time = slot.marks & NOTICE != 0 && slot.here == time && slot.outside != time;
            match wanted.contains(&slot.lane) && !has_its_time {
                true => self.is_due_now(time, uid, now),
                false => drop(self.timers.insert((time, uid))),
            }
        }
    }

    /// Sets what is set for `time` to `now`.
    fn is_due_now(&mut self, time: u32, uid: Uid, now: u32) {
        let Some(slot) = self.slot_mut(uid) else { return };
        for set in [&mut slot.here, &mut slot.outside] {
            if *set == time {
                *set = now;
            }
        }
        self.has_come(now, uid);
    }

    /// Octets of the message's content; 0 if it is not queued.
    pub fn size(&self, uid: Uid) -> u32 {
        self.slot(uid).map_or(0, |slot| slot.size)
    }

    fn lane(&self, submitter: Submitter) -> Option<&Lane> {
        self.lanes.get(usize::from(*self.numbers.get(&submitter)?))
    }

    /// The number of a submitter's lane. Lanes are never removed: there are few more submitters than accounts.
    fn number(&mut self, submitter: Submitter) -> u16 {
        let next = u16::try_from(self.lanes.len()).unwrap_or(u16::MAX);
        let number = *self.numbers.entry(submitter).or_insert(next);
        if usize::from(number) >= self.lanes.len() {
            self.lanes.push(Lane::default());
        }
        number
    }

    fn count_in(&mut self, lane: u16) {
        if let Some(lane) = self.lanes.get_mut(usize::from(lane)) {
            lane.count += 1;
        }
    }

    /// Notes that a message is no longer on its way, though somebody may still work on it.
    pub fn end_transfer(&mut self, uid: Uid) {
        let Some(slot) = self.slot(uid).copied() else { return };
        if let Some(lane) = self.lanes.get_mut(usize::from(slot.lane)) {
            lane.flying.retain(|flight| flight.uid != uid);
        }
    }

    fn has_come(&mut self, time: u32, uid: Uid) {
        let Some(slot) = find_mut(&mut self.slots, uid).filter(|slot| slot.marks & GONE == 0) else { return };
        if slot.here == time && slot.marks & IN_HERE == 0 {
            slot.marks |= IN_HERE;
            self.here.push_back(uid);
        }
        if slot.outside == time && slot.marks & IN_LANE == 0 {
            slot.marks |= IN_LANE;
            if let Some(lane) = self.lanes.get_mut(usize::from(slot.lane)) {
                let at = match lane.ready.back() {
                    Some(last) if *last > uid => lane.ready.partition_point(|ready| *ready < uid),
                    _ => lane.ready.len(),
                };
                lane.ready.insert(at, uid);
            }
        }
    }

    fn slot(&self, uid: Uid) -> Option<&Slot> {
        find(&self.slots, uid)
    }

    fn slot_mut(&mut self, uid: Uid) -> Option<&mut Slot> {
        find_mut(&mut self.slots, uid).filter(|slot| slot.marks & GONE == 0)
    }
}

fn find_any(slots: &[Slot], uid: Uid) -> Option<&Slot> {
    let at = slots.binary_search_by_key(&uid, |slot| slot.uid).ok()?;
    slots.get(at)
}

fn find(slots: &[Slot], uid: Uid) -> Option<&Slot> {
    find_any(slots, uid).filter(|slot| slot.marks & GONE == 0)
}

fn find_mut(slots: &mut [Slot], uid: Uid) -> Option<&mut Slot> {
    let at = slots.binary_search_by_key(&uid, |slot| slot.uid).ok()?;
    slots.get_mut(at)
}

#[cfg(test)]
mod tests;
