//! Compaction: gives back the space of records that nothing refers to any more.
//!
//! What a checkpoint holds need not be replayed, so of a segment before it only the Body records of
//! messages that still exist are worth keeping. Where too much of the log is dead, those are copied out of
//! the segments with the most waste to the end of the log, in small commits that any cut may interrupt;
//! once two checkpoints know the new places, the segments are removed. Files of bodies are never
//! copied: they go when their message does.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use super::Account;
use super::log::frame_bound;
use crate::store::Error;
use crate::store::format::Place;
use crate::store::format::record::{BodyRecord, Record};

/// Octets that one commit copies: so much is read, checked and written before others get a turn.
const PIECE: usize = 64 * 1024;
/// Segments whose contents are looked at together: bounds the memory that takes.
const SEGMENTS: u32 = 64;

/// How much of a segment is of use.
#[derive(Debug, Clone, Copy)]
struct Waste {
    segment: u32,
    len: u64,
    /// At least so many of its octets are dead.
    dead: u64,
}

impl Account {
    /// Writes a checkpoint where opening would take long without it, and compacts where too much is dead,
    /// or, in a `hurry`, where anything can be gained.
    ///
    /// # Errors
    /// What the flash says. Nothing is lost then, and the next call goes on.
    pub(super) async fn maintain(self: &Rc<Self>, hurry: bool) -> Result<(), Error> {
        // What is damaged stays as it is until `fsck` has saved what can be saved.
        if self.has_failed() || self.is_damaged() {
            return Ok(());
        }
        if self.opening_takes_long() {
            self.write_checkpoint().await?;
        }
        if !self.take_stirred() && !hurry {
            return Ok(());
        }
        let mut waste = self.remove_empty().await?;
        let all: u64 = waste.iter().map(|waste| waste.len).sum();
        let dead: u64 = waste.iter().map(|waste| waste.dead).sum();
        // A third is never reached: of what counts as live up to an eighth may be dead as well.
        let share = if hurry { 16 } else { 4 };
        if dead <= (all / share).max(self.state.borrow().sizes.dead) {
            return Ok(());
        }
        // The most wasteful first, until what is left of waste is little.
        waste.sort_by_key(|waste| std::cmp::Reverse(waste.dead * 1024 / waste.len.max(1)));
        let mut left = dead;
        let victims = waste.into_iter().take_while(|waste| {
            let worthwhile = waste.dead * share * 2 >= waste.len && left * share * 2 >= all;
            left -= waste.dead;
            worthwhile
        });
        self.drain_all(victims.map(|waste| waste.segment)).await?;
        if self.is_damaged() {
            return Ok(());
        }
        self.remove_drained().await
    }

    /// Writes what is of use in `segments` anew, and fresh checkpoints: what was damaged there is gone then.
    pub(super) async fn rewrite(self: &Rc<Self>, segments: BTreeSet<u32>) -> Result<(), Error> {
        self.state.borrow_mut().damaged = false;
        self.drain_all(segments.into_iter()).await?;
        self.remove_drained().await?;
        self.mark_end();
        Ok(())
    }

    async fn drain_all(self: &Rc<Self>, segments: impl Iterator<Item = u32>) -> Result<(), Error> {
        // What is compacted must lie in closed segments before the checkpoint.
        self.state.borrow_mut().log.begin_segment();
        self.relocate(Vec::new()).await?;
        for segment in segments {
            self.drain(segment).await?;
        }
        Ok(())
    }

    /// Removes what was drained, once both checkpoints know the new places.
    async fn remove_drained(&self) -> Result<(), Error> {
        self.write_checkpoint().await?;
        self.write_checkpoint().await?;
        self.remove_empty().await.map(drop)
    }

    /// Removes the segments that nothing needs any more: how it is with the others.
    async fn remove_empty(&self) -> Result<Vec<Waste>, Error> {
        let io = |error| Error::io(self.dir(), error);
        let segments = self.log(|log| log.segments()).map_err(io)?;
        let mut waste = Vec::new();
        let mut removed = false;
        for group in segments.chunk_by(|a, b| a / SEGMENTS == b / SEGMENTS) {
            let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
            self.still_in_charge()?;
            let live = self.live(*first..last + 1);
            for &segment in group {
                let len = self.log(|log| log.segment_len(segment)).map_err(io)?;
                let live = live.get(&segment).copied().unwrap_or(0);
                if live == 0 && self.is_covered(segment) {
                    self.log(|log| log.remove(segment)).map_err(io)?;
                    removed = true;
                } else {
                    waste.push(Waste { segment, len, dead: len.saturating_sub(live) });
                }
            }
            smol::future::yield_now().await;
        }
        if removed {
            self.flash().sync_dir(&self.path("log")).await.map_err(io)?;
        }
        Ok(waste)
    }

    /// Octets at most that are of use in each of these segments.
    fn live(&self, segments: Range<u32>) -> BTreeMap<u32, u64> {
        let mut live = BTreeMap::new();
        for (place, _, size) in self.bodies_in(segments) {
            *live.entry(place.segment).or_default() += frame_bound(size) as u64;
        }
        live
    }

    /// The Body records in these segments that messages refer to, in order: place, number, octets in the record.
    fn bodies_in(&self, segments: Range<u32>) -> Vec<(Place, u32, usize)> {
        self.index(|index| {
            let messages = index.mailboxes.values().flat_map(|mailbox| &mailbox.messages);
            let here = messages.filter(|message| segments.contains(&{ message.segment }));
            let mut bodies: Vec<_> =
                here.map(|message| (message.place(), message.body, message.inline_octets())).collect();
            bodies.sort_unstable();
            bodies.dedup();
            bodies
        })
    }

    /// Copies what is of use in a segment to the end of the log.
    async fn drain(self: &Rc<Self>, segment: u32) -> Result<(), Error> {
        let bodies = self.bodies_in(segment..segment + 1);
        let mut rest = &bodies[..];
        while !rest.is_empty() {
            let mut records = Vec::new();
            let mut octets = 0;
            while let Some(((place, body, size), after)) = rest.split_first()
                && octets < PIECE
            {
                rest = after;
                match self.log(|log| log.whole(*place, *size)) {
                    Ok((Record::Body(record), content)) if record.body == *body => {
                        octets += frame_bound(content.len());
                        records.push((record, content));
                    }
                    Err(error) if error.kind() != std::io::ErrorKind::InvalidData => {
                        return Err(Error::io(self.dir(), error));
                    }
                    // Stays where it is, for `fsck` to tell of.
                    _ => self.note_damage(*place),
                }
            }
            self.relocate(records).await?;
            smol::future::yield_now().await;
        }
        Ok(())
    }

    async fn relocate(self: &Rc<Self>, bodies: Vec<(BodyRecord, Vec<u8>)>) -> Result<(), Error> {
        let mut transaction = self.begin();
        transaction.relocate(bodies);
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

    fn is_damaged(&self) -> bool {
        self.state.borrow().damaged
    }
}
