//! Compaction: gives back the space of records that nothing refers to any more.
//!
//! What a checkpoint holds need not be replayed, so of a segment before it only the Body records and the last Note records of
//! messages that still exist are worth keeping. Those are copied out of the segments with the most waste to the end of
//! the log, in small commits that any cut may interrupt; once two checkpoints know the new places, the segments are
//! removed. Files of bodies are never copied: they go when their message does.
//!
//! It goes in batches. What one copies fits into what is free above the last reserve, and its segments are removed
//! before the next one begins, so that a full card gets room by deleting alone: `docs/store.md`, "Room".

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Account;
use super::commit::State;
use super::log::{Log, tells_damage};
use super::room::Use;
use super::transaction::Relocated;
use crate::flash::Space;
use crate::store::Error;
use crate::store::format::Place;
use crate::store::format::record::{BodyRecord, ContinuedRecord, Record};
use crate::store::format::segment::HEADER;
use crate::store::model::NoteKey;

/// Octets that one commit copies: so much is read, checked and written before others get a turn.
const PIECE: usize = 64 * 1024;
/// Segments whose contents are looked at together: bounds the memory that takes.
const SEGMENTS: u32 = 64;
/// Heads that are measured to tell how long those of a segment are.
const SAMPLES: usize = 24;
/// Where little was written and nothing deleted meanwhile, who is refused does not look for room again so soon.
const SEEK_AGAIN: Duration = Duration::from_secs(5);
/// What mail may still take is so many times what may be dead.
const PART_OF_FREE: u64 = 8;
/// Where no more than that is dead, a segment may be copied for so many octets written as it takes ...
const PER_TIDIED: u32 = 16;
/// ... when such a part of the log is dead.
const UNTIDY: u64 = 20;
/// No segment is worth copying for less than this part of it.
const LEAST_SHARE: u64 = 32;

/// What is known of the waste in an account's log.
#[derive(Debug, Default)]
pub struct Survey {
    /// Octets of the head of a Body record, on average, of segments that were looked at.
    heads: BTreeMap<u32, u64>,
    /// Dead octets that the last compaction has left: only what comes besides is looked at again.
    resigned: u64,
    /// The segment in which the log ended when it was tidied last.
    tidied: Option<u32>,
    /// When somebody who was refused has looked for room last, and where the log ended then.
    sought: Option<(Instant, Place)>,
}

/// How much of a segment is of use.
#[derive(Debug, Clone, Copy)]
struct Waste {
    segment: u32,
    len: u64,
    /// So many of its octets are dead, as far as samples tell.
    dead: u64,
}

impl Waste {
    fn live(&self) -> u64 {
        self.len - self.dead
    }
    /// Whether copying what lives in it gives room enough.
    fn is_worth_copying(&self) -> bool {
        self.dead * LEAST_SHARE >= self.len
    }
}

/// A record that is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Live {
    place: Place,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// The Body record of this number, with so many octets in the log.
    Body { body: u32, octets: usize },
    /// The Note record of this message.
    Note(NoteKey),
}

impl What {
    /// Octets of its body in the log.
    fn octets(self) -> usize {
        match self {
            What::Body { octets, .. } => octets,
            What::Note(_) => 0,
        }
    }
}

impl Live {
    /// Reads it, to be written anew: how many octets that are.
    fn read_into(self, log: &Log, relocated: &mut Relocated) -> io::Result<usize> {
        match self.what {
            What::Body { body, octets } => match log.whole(self.place, octets)? {
                (Record::Body(record), content) if record.body == body => {
                    let octets = content.len();
                    relocated.bodies.push((BodyRecord { summary: Vec::new(), ..record }, content));
                    Ok(octets)
                }
                _ => Err(io::ErrorKind::InvalidData.into()),
            },
            What::Note(key) => {
                let record = log.note(self.place, key)?;
                let octets = record.note.len();
                relocated.notes.push((record, self.place));
                Ok(octets)
            }
        }
    }
}

/// So many dead octets of a log may stay for now, where messages have `held` octets: waiting is what makes compaction
/// cheap, for the most wasteful segments are hardly more than waste by then. Where room is short it is worth more than wear.
fn allowed(space: Space, held: u64) -> u64 {
    held.min(space.free.saturating_sub(space.reserve()) / PART_OF_FREE)
}

impl State {
    fn has_grown_since_room_was_sought(&self) -> bool {
        let end = self.log.end();
        self.survey.sought.is_none_or(|(_, at)| {
            at.segment != end.segment || end.offset.saturating_sub(at.offset) as usize >= PIECE
        })
    }
}

fn dead(waste: &[Waste]) -> u64 {
    waste.iter().map(|waste| waste.dead).sum()
}

impl Account {
    /// Writes a checkpoint where opening would take long without it, and compacts where that is worth its wear.
    ///
    /// # Errors
    /// What the flash says. Nothing is lost then, and the next call goes on.
    pub(super) async fn maintain(self: &Rc<Self>) -> Result<(), Error> {
        let _alone = self.maintenance.lock().await;
        // What is damaged stays as it is until `fsck` has saved what can be saved.
        if self.has_failed() || self.is_damaged() || self.takes_no_changes().is_some() {
            return Ok(());
        }
        // Someone reads the files as they are.
        if self.held.get() > 0 {
            return Ok(());
        }
        if self.opening_takes_long() {
            self.write_checkpoint().await?;
        }
        let low = self.room.space().is_low();
        if self.take_stirred() || low {
            self.compact(low).await?;
        }
        // What was written last can be told from a torn write then.
        self.mark_end();
        Ok(())
    }

    /// Whether what is deleted by many small commits had better come back before there are more of them: compaction soon
    /// has no room for a segment any more.
    pub(super) fn room_runs_out(&self) -> bool {
        self.state.borrow().has_grown_since_room_was_sought()
            && self.room.left_for(Use::Compaction) < self.room.space().unit()
    }

    /// Looks for room that deleting has made: whether there is more now.
    pub(super) async fn make_room(self: &Rc<Self>) -> bool {
        {
            let mut state = self.state.borrow_mut();
            let lately = state.survey.sought.is_some_and(|(sought, _)| sought.elapsed() < SEEK_AGAIN);
            if lately && !state.index.stirred && !state.has_grown_since_room_was_sought() {
                return false;
            }
            state.survey.sought = Some((Instant::now(), state.log.end()));
        }
        let before = self.room.space().free;
        if let Err(error) = self.maintain().await {
            log::warn!("{}: no room could be made: {error}", self.dir());
        }
        self.room.space().free > before
    }

    async fn compact(self: &Rc<Self>, low: bool) -> Result<(), Error> {
        let mut waste = self.remove_empty().await?;
        // Two checkpoints are written for it. Where room is short, any gain is worth them.
        let least = self.state.borrow().sizes.dead;
        let cost = if low { 1 } else { least.max(2 * self.checkpoint_octets()) };
        let log: u64 = waste.iter().map(|waste| waste.len).sum();
        let resigned = self.state.borrow().survey.resigned;
        let part = log / (2 * LEAST_SHARE);
        // Where room is short, a part of what changes may still write is enough.
        let part = if low { part.min(self.room.space().unit() / 8) } else { part };
        if dead(&waste) < resigned + part.max(cost) {
            return Ok(());
        }
        if dead(&waste) < self.allowed() {
            return self.tidy(waste, log).await;
        }
        // What it writes itself is not looked at again.
        let last = self.state.borrow().log.end().segment;
        let left = loop {
            let left = dead(&waste);
            // A quarter of what may stay goes besides, so that the next time is not soon.
            let excess = left.saturating_sub(self.allowed() / 4 * 3);
            waste.retain(|waste| waste.segment <= last && waste.is_worth_copying());
            if excess.min(dead(&waste)) < cost {
                break left;
            }
            let batch = self.batch(waste, excess);
            if batch.is_empty() {
                return Ok(());
            }
            let drained = self.drain_all(batch.into_iter()).await?;
            if self.is_damaged() {
                return Ok(());
            }
            waste = self.remove_drained().await?;
            if !drained {
                return Ok(());
            }
            smol::future::yield_now().await;
        };
        self.state.borrow_mut().survey.resigned = left;
        Ok(())
    }

    /// Drains the most wasteful segment where a twentieth of the log is dead, although there is room: who deletes begins to
    /// see it. It costs a sixteenth of what is written at the most.
    async fn tidy(self: &Rc<Self>, mut waste: Vec<Waste>, log: u64) -> Result<(), Error> {
        let (end, tidied, segment) = {
            let state = self.state.borrow();
            (state.log.end().segment, state.survey.tidied, u64::from(state.sizes.segment))
        };
        // Two checkpoints are written besides.
        let cost = 1 + u32::try_from(2 * self.checkpoint_octets() / segment).unwrap_or(u32::MAX);
        let is_due =
            tidied.is_none_or(|tidied| end.saturating_sub(tidied) >= PER_TIDIED.saturating_mul(cost));
        if !is_due || dead(&waste) * UNTIDY < log {
            return Ok(());
        }
        waste.retain(|waste| waste.segment <= end && waste.is_worth_copying());
        let batch = self.batch(waste, 1);
        if batch.is_empty() {
            return Ok(());
        }
        self.drain_all(batch.into_iter()).await?;
        if !self.is_damaged() {
            self.remove_drained().await?;
        }
        let mut state = self.state.borrow_mut();
        state.survey.tidied = Some(state.log.end().segment);
        Ok(())
    }

    /// Dead octets that may stay for now.
    fn allowed(&self) -> u64 {
        allowed(self.room.space(), self.usage().octets)
    }

    /// The segments to be drained next, the most wasteful first, until `excess` dead octets are in them. What lives there
    /// fits into the room that there is.
    fn batch(&self, mut waste: Vec<Waste>, mut excess: u64) -> Vec<u32> {
        waste.sort_by_key(|waste| std::cmp::Reverse(waste.dead * 1024 / waste.len.max(1)));
        let mut room = self.room.left_for(Use::Compaction);
        let fitting = waste.into_iter().filter(|waste| {
            let live = waste.live() + waste.live() / 64;
            let fits = live <= room && excess > 0;
            if fits {
                room -= live;
                excess = excess.saturating_sub(waste.dead);
            }
            fits
        });
        fitting.map(|waste| waste.segment).collect()
    }

    /// Writes what is of use in `segments` anew, and fresh checkpoints: what was damaged there is gone then.
    pub(super) async fn rewrite(self: &Rc<Self>, segments: BTreeSet<u32>) -> Result<(), Error> {
        self.state.borrow_mut().damaged = false;
        self.drain_all(segments.into_iter()).await?;
        self.remove_drained().await?;
        self.mark_end();
        Ok(())
    }

    /// Copies what is of use in `segments`: whether there was room for all of it.
    async fn drain_all(self: &Rc<Self>, segments: impl Iterator<Item = u32>) -> Result<bool, Error> {
        // What is compacted must lie in closed segments before the checkpoint.
        self.begin_segment().await;
        self.relocate(Relocated::default()).await?;
        for segment in segments {
            match self.drain(segment).await {
                // What could not be copied stays where it is, and what is copied already can be removed.
                Err(Error::Full) => return Ok(false),
                other => other?,
            }
        }
        Ok(true)
    }

    /// Lets the next commit begin a segment: not while a long one is being written, which would lose its own.
    async fn begin_segment(&self) {
        let _alone = self.staging.lock().await;
        self.state.borrow_mut().log.begin_segment();
    }

    /// Removes what was drained, once both checkpoints know the new places: how it is with the other segments.
    async fn remove_drained(self: &Rc<Self>) -> Result<Vec<Waste>, Error> {
        // What has lived for so long goes on living, unlike the mail that comes next: it stays apart from it.
        self.begin_segment().await;
        self.write_checkpoint().await?;
        self.write_checkpoint().await?;
        self.remove_empty().await
    }

    /// Removes the segments that nothing needs any more: how it is with the others.
    async fn remove_empty(self: &Rc<Self>) -> Result<Vec<Waste>, Error> {
        let io = |error| Error::io(self.dir(), error);
        let segments = self.log(|log| log.segments()).map_err(io)?;
        let mut waste = Vec::new();
        let mut removed = false;
        for group in segments.chunk_by(|a, b| a / SEGMENTS == b / SEGMENTS) {
            let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
            self.still_in_charge()?;
            let live = self.live_in(*first..last + 1);
            for &segment in group {
                let here = live.partition_point(|live| live.place.segment < segment)
                    ..live.partition_point(|live| live.place.segment <= segment);
                let here = &live[here];
                if here.is_empty() && self.is_covered(segment) {
                    self.keep_unknown(segment).await?;
                    self.settle_before(segment).await.map_err(io)?;
                    self.log(|log| log.remove(segment)).map_err(io)?;
                    self.forget_extracts(segment);
                    self.state.borrow_mut().survey.heads.remove(&segment);
                    removed = true;
                    continue;
                }
                let len = self.log(|log| log.segment_len(segment)).map_err(io)?;
                let live = self.live(segment, here);
                waste.push(Waste { segment, len, dead: len.saturating_sub(live) });
            }
            smol::future::yield_now().await;
        }
        if removed {
            self.flash().sync_dir(&self.path("log")).await.map_err(io)?;
        }
        Ok(waste)
    }

    /// Takes away, for good, what lies behind the place from which the log went on in `segment`: a cut may have brought it
    /// back, or may still do so, and nothing else than that segment tells that it does not count.
    async fn settle_before(&self, segment: u32) -> io::Result<()> {
        let first = Place { segment, offset: HEADER };
        let Ok(Record::Continued(ContinuedRecord { from })) = self.log(|log| log.head(first)) else {
            return Ok(());
        };
        if from.segment < segment
            && from.offset >= HEADER
            && let Some(file) = self.log(|log| log.cut_off(from))?
        {
            file.sync().await?;
        }
        Ok(())
    }

    /// Octets of records that all lie in one segment. How long their heads are is told by samples.
    fn live(&self, segment: u32, records: &[Live]) -> u64 {
        let octets: u64 = records.iter().map(|live| live.what.octets() as u64).sum();
        let known = self.state.borrow().survey.heads.get(&segment).copied();
        let head = known.unwrap_or_else(|| {
            let step = (records.len() / SAMPLES).max(1);
            let lens = records.iter().step_by(step).filter_map(|live| {
                self.log(|log| log.head_len(live.place)).ok() // what cannot be read counts when it is drained
            });
            let lens: Vec<u64> = lens.map(|len| len as u64).collect();
            let mean = lens.iter().sum::<u64>().div_ceil(lens.len().max(1) as u64);
            if self.log(|log| log.is_closed(segment)) {
                self.state.borrow_mut().survey.heads.insert(segment, mean);
            }
            mean
        });
        octets + head * records.len() as u64
    }

    /// The records in these segments that are of use, in order.
    fn live_in(&self, segments: Range<u32>) -> Vec<Live> {
        self.index(|index| {
            let messages = index.mailboxes.values().flat_map(|mailbox| &mailbox.messages);
            let here = messages.filter(|message| segments.contains(&{ message.segment }));
            let bodies = here.map(|message| Live {
                place: message.place(),
                what: What::Body { body: message.body, octets: message.inline_octets() },
            });
            let notes = index.notes.within(segments.clone());
            let notes = notes.map(|(key, place)| Live { place, what: What::Note(key) });
            let mut live: Vec<_> = bodies.chain(notes).collect();
            live.sort_unstable();
            live.dedup();
            live
        })
    }

    /// Copies what is of use in a segment to the end of the log.
    async fn drain(self: &Rc<Self>, segment: u32) -> Result<(), Error> {
        let live = self.live_in(segment..segment + 1);
        let mut rest = &live[..];
        while !rest.is_empty() {
            let mut relocated = Relocated::default();
            let mut octets = 0;
            while let Some((live, after)) = rest.split_first()
                && octets < PIECE
            {
                rest = after;
                match self.log(|log| live.read_into(log, &mut relocated)) {
                    Ok(read) => octets += read,
                    // Stays where it is, for `fsck` to tell of.
                    Err(error) if tells_damage(&error) => self.note_damage(live.place),
                    Err(error) => return Err(Error::io(self.dir(), error)),
                }
            }
            self.relocate(relocated).await?;
            smol::future::yield_now().await;
        }
        Ok(())
    }

    /// Writes anew what a segment holds that this version does not know: a later one may want it.
    async fn keep_unknown(self: &Rc<Self>, segment: u32) -> Result<(), Error> {
        let unknown =
            self.log(|log| log.unknown_in(segment)).map_err(|error| Error::io(self.dir(), error))?;
        for unknown in unknown {
            self.relocate(Relocated { unknown: vec![unknown], ..Relocated::default() }).await?;
        }
        Ok(())
    }

    async fn relocate(self: &Rc<Self>, relocated: Relocated) -> Result<(), Error> {
        let mut transaction = self.begin();
        transaction.relocate(relocated);
        transaction.commit().await.map(drop)
    }

    /// Whether no replay needs the segment: two checkpoints lie behind it.
    fn is_covered(&self, segment: u32) -> bool {
        let state = self.state.borrow();
        state.checkpoints.cover(segment) && state.log.is_closed(segment)
    }

    /// Whether something may have become dead since the last call.
    fn take_stirred(&self) -> bool {
        std::mem::take(&mut self.state.borrow_mut().index.stirred)
    }

    fn note_damage(&self, place: Place) {
        log::error!("{}: damaged at segment {} offset {}", self.dir(), place.segment, place.offset);
        self.state.borrow_mut().damaged = true;
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.state.borrow().damaged
    }
}
