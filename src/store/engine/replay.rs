//! What the log adds up to: what was committed, and nothing of what was torn.
//!
//! The log is read once, heads only. A commit carries the place up to which everything was durable when it was
//! written, so octets that make no sense tell what they are. Before a place that some later commit calls durable they
//! are **damage**: the records that were hit are lost, and everything else counts, also of the same commit. Behind
//! it they are the **tail** that a power cut tore, never acknowledged as far as anyone can tell; from there on
//! nothing is believed. A commit that is whole has its marker, and the bodies of those that nobody calls durable yet
//! have to match their checksums.
//!
//! A segment tells where the log ended when it was begun. What lies between that place and the segment is no part of the
//! log: a tail that a recovery has left.

use std::collections::VecDeque;

use super::commit::Tail;
use super::log::Log;
use super::scan::{Gap, Scanned, ScannedFrame};
use crate::store::format::record::{CommitRecord, Record};
use crate::store::format::{Place, segment};
use crate::store::model::Index;

/// Frames that are read before others get a turn.
const TURN: u64 = 64;
/// Records of one commit that are kept in memory; those of a longer one are read again when they are applied.
const HELD: usize = 4096;

/// What a log adds up to.
pub struct Replayed {
    /// The account's state.
    pub index: Index,
    /// Behind the last commit that counts.
    pub end: Place,
    /// Everything before it was durable when the last commit was written.
    pub known_durable: Place,
    /// Where records are lost.
    pub damaged: Vec<Gap>,
    /// The places before it are in the log of a recovery that has taken note of the damage.
    pub recovered: Place,
    /// What was replayed.
    pub tail: Tail,
    /// Whether the last commits are not called durable by a later one.
    pub unmarked: bool,
}

/// Frames between two places of the log, at most one commit.
struct Group {
    start: Place,
    end: Place,
    frames: Vec<ScannedFrame>,
    /// There are more than are kept here.
    many: bool,
    /// Whether a marker ends it.
    closed: bool,
}

impl Group {
    fn add(&mut self, frame: ScannedFrame) {
        self.end = frame.end;
        if self.frames.len() < HELD { self.frames.push(frame) } else { self.many = true }
    }

    /// Takes away what lies before `place`, which some commit calls durable.
    fn split(&mut self, place: Place) -> Option<Group> {
        if place <= self.start {
            return None;
        }
        let rest = self.frames.split_off(self.frames.partition_point(|frame| frame.place < place));
        let frames = std::mem::replace(&mut self.frames, rest);
        // Who says that half a record is durable is wrong, but nothing may cut it in two.
        let end = frames.last().map_or(place, |frame| frame.end.max(place));
        let before = Group { start: self.start, end, frames, many: self.many, closed: false };
        self.start = end;
        Some(before)
    }
}

/// A reading of the log that is under way.
struct Reading<'a> {
    log: &'a Log,
    replayed: Replayed,
    /// Gaps of which nobody has said yet that they were durable.
    suspects: Vec<Gap>,
    /// Not applied yet.
    groups: VecDeque<Group>,
    open: Option<Group>,
    scanned_to: Place,
}

/// Reads the log from `from` on, where it adds up to `index`. Commits that end behind `limit` are not
/// believed: see `Store::failed`.
///
/// # Errors
/// What the flash says; damage is no error.
pub async fn replay(log: &Log, index: Index, from: Place, limit: Option<Place>) -> std::io::Result<Replayed> {
    let replayed = Replayed {
        index,
        end: from,
        known_durable: from,
        damaged: Vec::new(),
        recovered: Place::default(),
        tail: Tail::default(),
        unmarked: false,
    };
    let (suspects, groups) = (Vec::new(), VecDeque::new());
    let mut reading = Reading { log, replayed, suspects, groups, open: None, scanned_to: from };
    reading.missing_beginning(from)?;
    let mut scan = log.scan(from)?;
    while let Some(found) = scan.next()? {
        reading.replayed.tail.records += 1;
        if reading.replayed.tail.records.is_multiple_of(TURN) {
            smol::future::yield_now().await;
        }
        match found {
            Scanned::Bad(gap) => reading.bad(gap),
            Scanned::Frame(frame) => reading.frame(frame).await?,
        }
    }
    reading.finish(limit).await
}

impl Reading<'_> {
    /// A checkpoint knows that the log was durable up to `from`: where it is shorter, that is damage.
    fn missing_beginning(&mut self, from: Place) -> std::io::Result<()> {
        if from == Place::default() {
            return Ok(());
        }
        let segments = self.log.segments()?;
        let len = if segments.contains(&from.segment) { self.log.segment_len(from.segment)? } else { 0 };
        if len < from.offset.into() {
            let offset = u32::try_from(len).unwrap_or(u32::MAX);
            self.replayed.damaged.push(Gap { from: Place { offset, ..from }, to: from });
        }
        Ok(())
    }

    fn bad(&mut self, gap: Gap) {
        // What comes before it is of a commit that lost its end.
        self.groups.extend(self.open.take());
        self.suspects.push(gap);
        // A segment's header is no place at which the segment before it may have ended.
        if gap.from.offset > 0 {
            self.scanned_to = gap.to;
        }
    }

    async fn frame(&mut self, frame: ScannedFrame) -> std::io::Result<()> {
        self.replayed.tail.octets += u64::from(frame.end.offset - frame.place.offset);
        if self.scanned_to.segment != frame.place.segment {
            // A commit never crosses segments.
            self.groups.extend(self.open.take());
        }
        if let Some(Record::Continued(continued)) = &frame.record {
            self.continued(continued.from, frame.place);
        }
        self.scanned_to = frame.end;
        let durable = match &frame.record {
            // No commit can tell of what comes behind it, or of a place before the first segment.
            Some(Record::Commit(CommitRecord { durable })) if durable.segment == 0 => Some(Place::default()),
            Some(Record::Commit(CommitRecord { durable })) => Some((*durable).min(frame.place)),
            _ => None,
        };
        let (start, end) = (frame.place, frame.end);
        let group = self.open.get_or_insert_with(|| Group {
            start,
            end,
            frames: Vec::new(),
            many: false,
            closed: false,
        });
        let Some(durable) = durable else {
            group.add(frame);
            return Ok(());
        };
        (group.end, group.closed) = (end, true);
        let Some(mut group) = self.open.take() else { return Ok(()) };
        self.groups.extend(group.split(durable));
        self.groups.push_back(group);
        self.replayed.known_durable = self.replayed.known_durable.max(durable);
        self.apply_durable().await
    }

    /// A segment begins at `place`, when the log ended at `end`.
    fn continued(&mut self, end: Place, place: Place) {
        let lies_between = |at: Place| at >= end && at < place;
        self.groups.retain(|group| !lies_between(group.start));
        self.suspects.retain(|gap| !lies_between(gap.from));
        if self.scanned_to < end && end.offset > segment::HEADER {
            // The end of the segment before this one never reached the medium, or is gone.
            self.suspects.push(Gap { from: self.scanned_to, to: end });
        }
    }

    /// Applies what some commit calls durable, and calls damage what is lost of it.
    async fn apply_durable(&mut self) -> std::io::Result<()> {
        let known_durable = self.replayed.known_durable;
        let damaged = self.suspects.iter().filter(|gap| gap.from < known_durable);
        self.replayed.damaged.extend(damaged);
        self.suspects.retain(|gap| gap.from >= known_durable);
        // A commit is durable as a whole.
        while self.groups.front().is_some_and(|group| group.start < known_durable)
            && let Some(group) = self.groups.pop_front()
        {
            self.apply(group).await?;
        }
        self.replayed.end = self.replayed.end.max(known_durable);
        Ok(())
    }

    async fn apply(&mut self, group: Group) -> std::io::Result<()> {
        let index = &mut self.replayed.index;
        if group.many {
            apply_again(self.log, index, group.start, group.end).await?;
        } else {
            for frame in &group.frames {
                if let Some(record) = &frame.record {
                    index.apply(record, frame.place);
                }
            }
        }
        if group.closed {
            index.apply(&Record::Commit(CommitRecord::default()), group.end);
        }
        if is_recovery(&group) {
            self.replayed.recovered = group.start;
        }
        self.replayed.end = self.replayed.end.max(group.end);
        Ok(())
    }

    async fn finish(mut self, limit: Option<Place>) -> std::io::Result<Replayed> {
        self.groups.extend(self.open.take());
        self.apply_durable().await?;
        while let Some(group) = self.groups.pop_front() {
            let torn = !group.closed || self.suspects.iter().any(|gap| gap.from < group.end);
            let disbelieved = limit.is_some_and(|limit| group.end > limit);
            if torn || disbelieved || !is_whole(self.log, &group).await? {
                break;
            }
            self.replayed.unmarked |= !group.frames.is_empty();
            self.apply(group).await?;
        }
        Ok(self.replayed)
    }
}

/// Whether it is the commit of a recovery: the first one of a segment, of nothing but numbers.
fn is_recovery(group: &Group) -> bool {
    let mut records = group.frames.iter().map(|frame| &frame.record);
    matches!(records.next(), Some(Some(Record::Continued(_))))
        && group.frames.len() > 1
        && records.all(|record| matches!(record, Some(Record::Numbers(_))))
}

async fn is_whole(log: &Log, group: &Group) -> std::io::Result<bool> {
    if group.many {
        return frames_between(log, group.start, group.end, |frame| log.body_is_whole(frame)).await;
    }
    for frame in &group.frames {
        if !log.body_is_whole(frame)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Applies the records between two places, which are read once more: a commit may have more of them than memory has
/// room for.
///
/// # Errors
/// What the flash says.
pub async fn apply_again(log: &Log, index: &mut Index, start: Place, end: Place) -> std::io::Result<()> {
    let apply = |frame: &ScannedFrame| {
        if let Some(record) = &frame.record {
            index.apply(record, frame.place);
        }
        Ok(true)
    };
    frames_between(log, start, end, apply).await.map(drop)
}

/// Hands on the frames between two places until `take` says no: whether it said yes to all.
async fn frames_between(
    log: &Log,
    start: Place,
    end: Place,
    mut take: impl FnMut(&ScannedFrame) -> std::io::Result<bool>,
) -> std::io::Result<bool> {
    let mut scan = log.scan(start)?;
    let mut read = 0_u64;
    while let Some(found) = scan.next()? {
        let Scanned::Frame(frame) = found else { continue };
        if frame.place >= end {
            break;
        }
        if !take(&frame)? {
            return Ok(false);
        }
        read += 1;
        if read.is_multiple_of(TURN) {
            smol::future::yield_now().await;
        }
    }
    Ok(true)
}
