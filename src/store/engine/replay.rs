//! Replays the log: applies what was committed, and nothing that was torn.
//!
//! The log is read once, heads only. Each commit names the place up to which everything was durable when it was
//! written. This tells two kinds of unreadable octets apart. Before a place that some later commit calls durable,
//! they are **damage**: the records that were hit are lost, and everything else counts, also of the same commit.
//! After that place they are the **tail** that a power cut tore, which was never acknowledged as far as can be
//! known; nothing after its beginning is believed. A commit is whole when it has its marker. The bodies of commits
//! that no later commit calls durable must also match their checksums.
//!
//! A segment records where the log ended when the segment was begun. What lies between that place and the segment is
//! not part of the log: it is a tail that a recovery left in place.

use std::collections::VecDeque;

use super::commit::Tail;
use super::log::Log;
use super::scan::{Gap, Scanned, ScannedFrame};
use crate::store::format::record::{CommitRecord, Record};
use crate::store::format::{Place, segment};
use crate::store::model::Index;

/// Frames that are read before other tasks get a turn.
const TURN: u64 = 64;
/// Records of one commit that are kept in memory. The records of a longer commit are read again when they are
/// applied.
const HELD: usize = 4096;

/// The result of replaying a log.
pub struct Replayed {
    /// The account's index.
    pub index: Index,
    /// The place after the last commit that counts.
    pub end: Place,
    /// Everything before this place was durable when the last commit was written.
    pub known_durable: Place,
    /// The places where records are lost.
    pub damaged: Vec<Gap>,
    /// Damage before this place was already handled by an earlier recovery, which gave out higher numbers because of
    /// it.
    pub recovered: Place,
    /// How much of the log was replayed.
    pub tail: Tail,
    /// Whether the last commits are not marked as durable by a later one.
    pub unmarked: bool,
}

/// Frames between two places of the log, at most one commit.
struct Group {
    start: Place,
    end: Place,
    frames: Vec<ScannedFrame>,
    /// Whether the group has more frames than are kept here.
    many: bool,
    /// Whether the group ends with a marker.
    closed: bool,
}

impl Group {
    fn add(&mut self, frame: ScannedFrame) {
        self.end = frame.end;
        if self.frames.len() < HELD { self.frames.push(frame) } else { self.many = true }
    }

    /// Splits off what lies before `place`, which some commit calls durable.
    fn split(&mut self, place: Place) -> Option<Group> {
        if place <= self.start {
            return None;
        }
        let rest = self.frames.split_off(self.frames.partition_point(|frame| frame.place < place));
        let frames = std::mem::replace(&mut self.frames, rest);
        // A commit that calls half a record durable is wrong, but a record is not cut in two.
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
    /// Gaps that no commit has called durable yet.
    suspects: Vec<Gap>,
    /// Groups that are not applied yet.
    groups: VecDeque<Group>,
    open: Option<Group>,
    scanned_to: Place,
}

/// Replays the log from `from` on, starting with `index`, the state at that place. Commits that end after `limit`
/// are not believed: see `Store::failed`.
///
/// # Errors
/// Errors of the flash. Damage is not an error.
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
    /// Notes damage when the log does not reach to `from`: the checkpoint knows that it was durable up to there.
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
        // The frames before the gap belong to a commit that lost its end.
        self.groups.extend(self.open.take());
        self.suspects.push(gap);
        // The log cannot have ended in a segment's header, which is the gap then.
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
            // A commit cannot call durable what lies after it, or a place before the first segment.
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

    /// Handles a segment that begins at `place` and continues the log from `end`.
    fn continued(&mut self, end: Place, place: Place) {
        let lies_between = |at: Place| at >= end && at < place;
        self.groups.retain(|group| !lies_between(group.start));
        self.suspects.retain(|gap| !lies_between(gap.from));
        if self.scanned_to < end && end.offset > segment::HEADER {
            // The end of the segment before this one never reached the medium, or was lost.
            self.suspects.push(Gap { from: self.scanned_to, to: end });
        }
    }

    /// Applies the groups that some commit calls durable, and notes the gaps among them as damage.
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

/// Whether the group is the commit of a recovery: the first commit of a segment, which holds nothing but numbers.
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

/// Applies the records between two places, which are read once more: a commit may have more records than fit into
/// memory.
///
/// # Errors
/// Errors of the flash.
pub async fn apply_again(log: &Log, index: &mut Index, start: Place, end: Place) -> std::io::Result<()> {
    let apply = |frame: &ScannedFrame| {
        if let Some(record) = &frame.record {
            index.apply(record, frame.place);
        }
        Ok(true)
    };
    frames_between(log, start, end, apply).await.map(drop)
}

/// Hands the frames between two places to `take` until `take` returns false. Returns whether it returned true for
/// all.
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
