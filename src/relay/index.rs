//! Which queued message is to be worked on next, told without reading a note: what is here grows with the queue, so an entry takes 64
//! octets at the most, and what is asked for costs the same however many there are.
//!
//! Times are seconds since 1970 UTC in 32 bits, so that they end in 2106. Without I/O and without a clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::entry::Submitter;
use crate::store::Uid;

/// Octets from which a message is large: others do not wait for it.
pub const LARGE: u32 = 256 * 1024;

/// What is known of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Octets.
    pub size: u32,
    /// When it was accepted.
    pub created: u32,
    /// When it is to be worked on here next; `None`: not at all.
    pub here: Option<u32>,
    /// When it is to go to the smarthost next.
    pub outside: Option<u32>,
    /// All that is to be done here is to tell that it is late, which is not done before its time.
    pub only_notice: bool,
}

/// What is kept of each message, in the order of the UIDs.
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

/// Not at all, as a time.
const NEVER: u32 = u32::MAX;

/// Somebody works on it.
const BUSY: u8 = 1;
/// It stands among those to be worked on here, of its lane, or with a time.
const IN_HERE: u8 = 2;
const IN_LANE: u8 = 4;
/// It is gone, and its slot is not yet.
const GONE: u8 = 8;
/// See [`Facts::only_notice`].
const NOTICE: u8 = 16;

/// The messages of one submitter, who wants them to arrive in the order in which they were sent.
#[derive(Debug, Default)]
struct Lane {
    /// How many are queued.
    count: u32,
    /// Those that may go, the oldest first.
    ready: VecDeque<Uid>,
    /// Those on their way, in the order in which they began.
    flying: Vec<Flight>,
}

/// A message on its way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    uid: Uid,
    /// The connection that it goes over.
    line: u32,
    /// All of it has left.
    ended: bool,
}

/// What stands before the last octets of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing that could arrive after it.
    Alone,
    /// The last octets of another one of its submitter, which have just left over another connection.
    Behind,
}

/// See the module.
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
    /// Queued messages.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.slots.len() - self.gone
    }

    /// How many messages of `submitter` are queued.
    pub fn count(&self, submitter: Submitter) -> usize {
        self.lane(submitter).map_or(0, |lane| lane.count as usize)
    }

    /// Whether a message with this number is queued, and nobody works on it.
    pub fn is_free(&self, uid: Uid) -> bool {
        self.slot(uid).is_some_and(|slot| slot.marks & BUSY == 0)
    }

    /// Which of these times a queued message was accepted at.
    pub fn accepted_at(&self, times: &BTreeSet<u32>) -> BTreeSet<u32> {
        let live = self.slots.iter().filter(|slot| slot.marks & GONE == 0);
        live.map(|slot| slot.created).filter(|created| times.contains(created)).collect()
    }

    /// Puts a message in, or says anew what is known of it; nobody works on it any more. One that was taken out never comes back.
    pub fn put(&mut self, uid: Uid, submitter: Submitter, facts: Facts) {
        if find_any(&self.slots, uid).is_some_and(|slot| slot.marks & GONE != 0) {
            return;
        }
        self.land(uid);
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
                    // By a quarter, and not by as much again.
                    self.slots.reserve_exact(self.slots.len() / 4 + 16);
                }
                self.slots.insert(at, slot);
                self.count_in(lane);
            }
        }
        self.set_timers(uid, before, [here, outside]);
    }

    /// Nobody works on a message after all. What is to be done rests until then, at the least; `None`: for good.
    pub fn rest(&mut self, uid: Uid, until: Option<u32>) {
        self.land(uid);
        let Some(slot) = self.slot_mut(uid) else { return };
        slot.marks &= !BUSY;
        let before = [slot.here, slot.outside];
        let after = before.map(|time| until.map_or(NEVER, |until| until.max(time)));
        [slot.here, slot.outside] = after;
        self.set_timers(uid, before, after);
    }

    /// What was set for a message is set anew.
    fn set_timers(&mut self, uid: Uid, before: [u32; 2], after: [u32; 2]) {
        for time in before {
            self.timers.remove(&(time, uid));
        }
        for time in after.into_iter().filter(|time| *time != NEVER) {
            self.timers.insert((time, uid));
        }
    }

    /// Takes a message out.
    pub fn remove(&mut self, uid: Uid) {
        self.land(uid);
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

    /// Sees what has become due; `far` is a time beyond which none was set with a right clock.
    pub fn tick(&mut self, now: u32, far: u32) {
        while let Some(&(time, uid)) = self.timers.first().filter(|(time, _)| *time <= now) {
            self.timers.remove(&(time, uid));
            self.has_come(time, uid);
        }
        // What was set when the clock was wrong.
        while let Some(&(time, uid)) = self.timers.last().filter(|(time, _)| *time > far) {
            self.timers.remove(&(time, uid));
            self.comes_now(time, uid, now);
        }
    }

    /// The earliest time for which something is set.
    pub fn earliest(&self) -> Option<u32> {
        self.timers.first().map(|(time, _)| *time)
    }

    /// Claims the next message that is due here.
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

    /// Claims the next message that is due outside of a submitter who is `wanted`: of whom the fewest are on their way, and
    /// then the oldest. It goes over the connection `line`. A message does not go while a large one of its submitter is on its way;
    /// `large`: large ones may go.
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

    /// Whether the last octets of a message may leave: those of the ones of its submitter that began before have. `None`: not yet.
    /// Over another connection than this one, they may still be overtaken.
    pub fn turn(&self, uid: Uid) -> Option<Turn> {
        let lane = self.slot(uid).and_then(|slot| self.lanes.get(usize::from(slot.lane)));
        let Some(lane) = lane else { return Some(Turn::Alone) };
        let Some(at) = lane.flying.iter().position(|flight| flight.uid == uid) else {
            return Some(Turn::Alone);
        };
        let line = lane.flying.get(at).map_or(0, |flight| flight.line);
        let before = lane.flying.get(..at).unwrap_or_default();
        if before.iter().any(|flight| !flight.ended && flight.line != line) {
            return None;
        }
        Some(if before.iter().all(|flight| flight.line == line) { Turn::Alone } else { Turn::Behind })
    }

    /// The last octets of a message leave.
    pub fn ended(&mut self, uid: Uid) {
        let Some(lane) = self.slot(uid).map(|slot| slot.lane) else { return };
        if let Some(lane) = self.lanes.get_mut(usize::from(lane)) {
            lane.flying.iter_mut().filter(|flight| flight.uid == uid).for_each(|flight| flight.ended = true);
        }
    }

    /// Whether it is queued.
    pub fn is_known(&self, uid: Uid) -> bool {
        self.slot(uid).is_some()
    }

    /// Whether somebody works on it.
    pub fn is_busy(&self, uid: Uid) -> bool {
        self.slot(uid).is_some_and(|slot| slot.marks & BUSY != 0)
    }

    /// Claims a message, whether or not it is due; `false` where that cannot be.
    pub fn claim(&mut self, uid: Uid) -> bool {
        if !self.is_free(uid) {
            return false;
        }
        self.slot_mut(uid).is_some_and(|slot| {
            slot.marks |= BUSY;
            true
        })
    }

    /// Who has messages that may go, and how many.
    pub fn ready(&self) -> impl Iterator<Item = (Submitter, usize)> {
        let lane = |number: &u16| self.lanes.get(usize::from(*number)).map_or(0, |lane| lane.ready.len());
        self.numbers.iter().map(move |(submitter, number)| (*submitter, lane(number))).filter(|(_, n)| *n > 0)
    }

    /// All that waits for a time may go now, of submitters who are `wanted`.
    pub fn hasten(&mut self, wanted: impl Fn(Submitter) -> bool, now: u32) {
        let wanted: BTreeSet<u16> =
            self.numbers.iter().filter(|(it, _)| wanted(**it)).map(|(_, number)| *number).collect();
        for (time, uid) in std::mem::take(&mut self.timers) {
            let Some(slot) = self.slot(uid) else { continue };
            let has_its_time = slot.marks & NOTICE != 0 && slot.here == time && slot.outside != time;
            match wanted.contains(&slot.lane) && !has_its_time {
                true => self.comes_now(time, uid, now),
                false => drop(self.timers.insert((time, uid))),
            }
        }
    }

    /// What is set for `time` comes `now`.
    fn comes_now(&mut self, time: u32, uid: Uid, now: u32) {
        let Some(slot) = self.slot_mut(uid) else { return };
        for set in [&mut slot.here, &mut slot.outside] {
            if *set == time {
                *set = now;
            }
        }
        self.has_come(now, uid);
    }

    /// Octets of its content; 0 where there is none.
    pub fn size(&self, uid: Uid) -> u32 {
        self.slot(uid).map_or(0, |slot| slot.size)
    }

    fn lane(&self, submitter: Submitter) -> Option<&Lane> {
        self.lanes.get(usize::from(*self.numbers.get(&submitter)?))
    }

    /// The number of a submitter's lane. Lanes stay: there are not many more submitters than accounts.
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

    /// It is on its way no longer, whoever still works on it.
    pub fn land(&mut self, uid: Uid) {
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
