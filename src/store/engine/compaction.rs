//! Compaction: gives back the space of records that nothing refers to any more.
//!
//! What a checkpoint holds need not be replayed. So of a segment before the checkpoint only the Body records and the
//! last Note records of messages that still exist are needed. These are copied out of the segments with the most
//! waste to the end of the log, in small commits that may be interrupted by a cut at any point. Once two checkpoints
//! know the new places, the segments are removed. Files of bodies are never copied: they are removed with their
//! message.
//!
//! Compaction goes in batches. What one batch copies fits into what is free above the last reserve, and its segments
//! are removed before the next batch begins, so that a full card gets room by deleting alone: `docs/store.md`,
//! "Room".

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

/// Octets that one commit copies, and that are read, checked and written before other tasks get a turn.
const PIECE: usize = 64 * 1024;
/// Segments whose contents are looked at together. This bounds the memory needed for it.
const SEGMENTS: u32 = 64;
/// Heads of records that are measured to estimate how long the heads of a segment are.
const SAMPLES: usize = 24;
/// After a refused commit has looked for room in vain, room is not sought again for so long, unless much was written
/// or something was deleted meanwhile.
const SEEK_AGAIN: Duration = Duration::from_secs(5);
/// Dead octets may stay up to the room that mail may still take, divided by this.
const PART_OF_FREE: u64 = 8;
/// Where fewer octets are dead than may stay, a segment may be copied once for each so many segments that are
/// written.
const PER_TIDIED: u32 = 16;
/// Where fewer octets are dead than may stay, a segment is copied only when at least one part in so many of the log
/// is dead.
const UNTIDY: u64 = 20;
/// A segment is worth copying only when at least one part in so many of it is dead.
const LEAST_SHARE: u64 = 32;

/// What is known of the waste in an account's log.
#[derive(Debug, Default)]
pub struct Survey {
    /// Octets of the head of a Body record on average, for each segment that was looked at.
    heads: BTreeMap<u32, u64>,
    /// Dead octets that the last compaction left: only when more are dead are they looked at again.
    left_dead: u64,
    /// The segment in which the log ended when `Account::compact_small_waste` ran last.
    tidied: Option<u32>,
    /// When a refused commit looked for room last, and where the log ended then.
    sought: Option<(Instant, Place)>,
}

/// How much of a segment is dead.
#[derive(Debug, Clone, Copy)]
struct Waste {
    segment: u32,
    len: u64,
    /// Dead octets of the segment, estimated from samples.
    dead: u64,
}

impl Waste {
    fn live(&self) -> u64 {
        self.len - self.dead
    }
    /// Whether copying the live records of the segment gives back enough room.
    fn is_worth_copying(&self) -> bool {
        self.dead * LEAST_SHARE >= self.len
    }
}

/// A record that is still needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Live {
    place: Place,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// The Body record of this number, with `octets` octets of the message in the log.
    Body { body: u32, octets: usize },
    /// The Note record of this message.
    Note(NoteKey),
}

impl What {
    /// Octets of the message that the record holds in the log.
    fn octets(self) -> usize {
        match self {
            What::Body { octets, .. } => octets,
            What::Note(_) => 0,
        }
    }
}

impl Live {
    /// Reads the record, to be written anew, and returns how many octets it has.
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

/// How many dead octets of a log may stay for now, when its messages have `held` octets. Waiting makes compaction
/// cheap, since the most wasteful segments are then almost nothing but waste. Where room is short, room matters more
/// than wear.
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
    /// Writes a checkpoint when opening would take long without it, and compacts when that is worth its wear.
    ///
    /// # Errors
    /// Errors of the flash. Nothing is lost then, and the next call continues the work.
    pub(super) async fn maintain(self: &Rc<Self>) -> Result<(), Error> {
        let _alone = self.maintenance.lock().await;
        // Damaged files stay as they are until `fsck` has saved what can be saved.
        if self.has_failed() || self.is_damaged() || self.takes_no_changes().is_some() {
            return Ok(());
        }
        // A snapshot reads the files as they are.
        if self.held.get() > 0 {
            return Ok(());
        }
        if self.opening_takes_long() {
            self.write_checkpoint().await?;
        }
        let low = self.room.space().is_low();
        if self.take_garbage_candidates() || low {
            self.compact(low).await?;
        }
        // With this mark, what was written last can be told from a torn write.
        self.mark_end();
        Ok(())
    }

    /// Whether the room of deleted messages should be given back before more small commits delete: compaction will
    /// soon not have enough room to copy a segment.
    pub(super) fn room_runs_out(&self) -> bool {
        self.state.borrow().has_grown_since_room_was_sought()
            && self.room.left_for(Use::Compaction) < self.room.space().unit()
    }

    /// Looks for room that deleting has made. Returns whether there is more room now.
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
        // Compacting writes two checkpoints. Where room is short, any gain is worth them.
        let least = self.state.borrow().sizes.dead;
        let cost = if low { 1 } else { least.max(2 * self.checkpoint_octets()) };
        let log: u64 = waste.iter().map(|waste| waste.len).sum();
        let left_dead = self.state.borrow().survey.left_dead;
        let part = log / (2 * LEAST_SHARE);
        // Where room is short, a gain of an eighth of a unit of room is enough.
        let part = if low { part.min(self.room.space().unit() / 8) } else { part };
        if dead(&waste) < left_dead + part.max(cost) {
            return Ok(());
        }
        if dead(&waste) < self.allowed() {
            return self.compact_small_waste(waste, log).await;
        }
        // Segments that this compaction writes itself are not looked at again.
        let last = self.state.borrow().log.end().segment;
        let left = loop {
            let left = dead(&waste);
            // A quarter of what may stay is removed as well, so that the next compaction is not due soon.
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
        self.state.borrow_mut().survey.left_dead = left;
        Ok(())
    }

    /// Copies the most wasteful segment when a twentieth of the log is dead, although there is enough room, so that
    /// users who delete messages soon see room come back. It writes at most a sixteenth of what is written anyway.
    async fn compact_small_waste(self: &Rc<Self>, mut waste: Vec<Waste>, log: u64) -> Result<(), Error> {
        let (end, tidied, segment) = {
            let state = self.state.borrow();
            (state.log.end().segment, state.survey.tidied, u64::from(state.sizes.segment))
        };
        // Two checkpoints are written as well.
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

    /// How many dead octets of the account's log may stay for now.
    fn allowed(&self) -> u64 {
        allowed(self.room.space(), self.usage().octets)
    }

    /// The segments to be drained next, the most wasteful first, until they contain `excess` dead octets. Their live
    /// records fit into the room that there is.
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

    /// Writes the live records of `segments` anew, and fresh checkpoints. The damage in these segments is gone then.
    pub(super) async fn rewrite(self: &Rc<Self>, segments: BTreeSet<u32>) -> Result<(), Error> {
        self.state.borrow_mut().damaged = false;
        self.drain_all(segments.into_iter()).await?;
        self.remove_drained().await?;
        self.mark_end();
        Ok(())
    }

    /// Copies the live records of `segments`. Returns whether there was room for all of them.
    async fn drain_all(self: &Rc<Self>, segments: impl Iterator<Item = u32>) -> Result<bool, Error> {
        // The segments to be compacted must be closed and lie before the checkpoint.
        self.begin_segment().await;
        self.relocate(Relocated::default()).await?;
        for segment in segments {
            match self.drain(segment).await {
                // Records that could not be copied stay where they are, and segments that were copied can be removed.
                Err(Error::Full) => return Ok(false),
                other => other?,
            }
        }
        Ok(true)
    }

    /// Lets the next commit begin a new segment. It waits for a long commit that is being written, which would lose
    /// its own segment otherwise.
    async fn begin_segment(&self) {
        let _alone = self.staging.lock().await;
        self.state.borrow_mut().log.begin_segment();
    }

    /// Removes the drained segments, once both checkpoints know the new places. Returns the waste of the other
    /// segments.
    async fn remove_drained(self: &Rc<Self>) -> Result<Vec<Waste>, Error> {
        // Messages that have lived for so long are likely to go on living, unlike the mail that comes next: they get
        // segments of their own.
        self.begin_segment().await;
        self.write_checkpoint().await?;
        self.write_checkpoint().await?;
        self.remove_empty().await
    }

    /// Removes the segments that nothing needs any more. Returns the waste of the others.
    async fn remove_empty(self: &Rc<Self>) -> Result<Vec<Waste>, Error> {
        let io = |error| Error::io(self.dir(), error);
        let segments = self.log(|log| log.segments()).map_err(io)?;
        let mut waste = Vec::new();
        let mut removed = false;
        for group in segments.chunk_by(|a, b| a / SEGMENTS == b / SEGMENTS) {
            let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
            self.ensure_not_failed()?;
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

    /// Removes for good the octets after the place from which the log continued in `segment`: after a cut they may
    /// be back, or may come back later, and only that segment tells that they do not count.
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

    /// Octets of records that all lie in one segment. The length of their heads is estimated from samples.
    fn live(&self, segment: u32, records: &[Live]) -> u64 {
        let octets: u64 = records.iter().map(|live| live.what.octets() as u64).sum();
        let known = self.state.borrow().survey.heads.get(&segment).copied();
        let head = known.unwrap_or_else(|| {
            let step = (records.len() / SAMPLES).max(1);
            let lens = records.iter().step_by(step).filter_map(|live| {
                self.log(|log| log.head_len(live.place)).ok() // a record that cannot be read is counted when it is drained
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

    /// The live records in these segments, in order.
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

    /// Copies the live records of a segment to the end of the log.
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
                    // The record stays where it is, for `fsck` to report.
                    Err(error) if tells_damage(&error) => self.note_damage(live.place),
                    Err(error) => return Err(Error::io(self.dir(), error)),
                }
            }
            self.relocate(relocated).await?;
            smol::future::yield_now().await;
        }
        Ok(())
    }

    /// Copies the records of a segment that this version does not know: a later version may need them.
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

    /// Whether no replay needs the segment: it is closed, and both checkpoints lie after it.
    fn is_covered(&self, segment: u32) -> bool {
        let state = self.state.borrow();
        state.checkpoints.cover(segment) && state.log.is_closed(segment)
    }

    /// Whether something may have become dead since the last call.
    fn take_garbage_candidates(&self) -> bool {
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
