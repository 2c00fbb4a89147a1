//! The append-only log of one account: numbered segment files of frames. A commit never crosses segments.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::rc::Rc;

use super::window::{Frame, Window};
use crate::flash::{File, Flash, Mode, Reading};
use crate::store::format::Place;
use crate::store::format::frame::{self, BadFrame, FRAME, FrameHeader, Head};
use crate::store::format::record::{CommitRecord, ContinuedRecord, NoteRecord, Record};
use crate::store::format::segment;
use crate::store::model::NoteKey;

/// The encoded records of a commit are written in pieces of about so many octets.
const PIECE: usize = 128 * 1024;
/// Records that are read one behind the other before the system may read ahead. A search opens messages here and
/// there, and what the system reads ahead for it was twice as much as it had asked for.
const RUN: u8 = 3;
/// Octets between two bodies that are read one behind the other: heads, and records without a body.
const GAP: u32 = 4096;
/// Segments that are kept open for reading.
const OPEN_SEGMENTS: usize = 8;

/// The log, positioned at its end.
pub struct Log {
    flash: Rc<dyn Flash>,
    dir: String,
    /// Octets at which a segment is closed.
    segment_size: u32,
    /// The segment that grows; `None` when the next commit begins a new one.
    current: Option<Rc<dyn File>>,
    /// Where the next piece is written; while no segment grows, where the log ends.
    end: Place,
    /// The highest number of an existing segment: the next one gets a higher number.
    highest: u32,
    /// Where the log ended when the current segment was begun.
    continued_from: Place,
    /// The offset at which the commit that is being written began.
    commit_start: u32,
    piece: Vec<u8>,
    /// Files written since the last sync.
    unsynced: Vec<Rc<dyn File>>,
    new_segment: bool,
    readers: RefCell<BTreeMap<u32, Rc<dyn File>>>,
    order: RefCell<Order>,
}

/// Whether the bodies that are read lie one behind the other.
#[derive(Default)]
struct Order {
    /// Where the last record that was read ended.
    end: Place,
    /// How many records before it were read in order.
    run: u8,
}

impl Order {
    /// Notes that the record at `place` is read, which has about `octets` octets. Returns in which order the segment is
    /// read.
    fn read(&mut self, place: Place, octets: usize) -> Reading {
        let follows = place.segment == self.end.segment
            && (self.end.offset.saturating_sub(GAP)..=self.end.offset.saturating_add(GAP))
                .contains(&place.offset);
        self.run = if follows { self.run.saturating_add(1) } else { 0 };
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        self.end = Place { offset: place.offset.saturating_add(octets), ..place };
        if self.run >= RUN { Reading::InOrder } else { Reading::Scattered }
    }
}

impl Log {
    /// An empty log in `dir`. [`Log::continue_behind`] sets its end once a scan has found it.
    pub fn new(flash: Rc<dyn Flash>, dir: String, segment_size: u32) -> Log {
        Log {
            flash,
            dir,
            segment_size,
            current: None,
            end: Place::default(),
            highest: 0,
            continued_from: Place::default(),
            commit_start: 0,
            piece: Vec::new(),
            unsynced: Vec::new(),
            new_segment: false,
            readers: RefCell::default(),
            order: RefCell::default(),
        }
    }

    fn path(&self, segment: u32) -> String {
        format!("{}/{segment:08}", self.dir)
    }

    /// The numbers of the existing segments, ascending.
    pub fn segments(&self) -> io::Result<Vec<u32>> {
        let mut numbers: Vec<u32> =
            self.flash.list(&self.dir)?.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Continues the log after `end`, in a new segment. The octets that lie after `end` now stay as they are.
    ///
    /// # Errors
    /// Errors of the flash.
    pub fn continue_behind(&mut self, end: Place) -> io::Result<()> {
        self.end = end;
        self.highest = self.segments()?.last().copied().unwrap_or(0).max(end.segment);
        self.current = None;
        Ok(())
    }

    /// Continues in the segment in which the log ends, when that segment is the last and ends exactly there.
    ///
    /// # Errors
    /// Errors of the flash, when the segment cannot be written.
    pub fn reuse_last_segment(&mut self) -> io::Result<()> {
        if self.end.segment == self.highest && self.end.offset >= segment::HEADER {
            let file = self.flash.open(&self.path(self.end.segment), Mode::Write)?;
            if file.len()? == u64::from(self.end.offset) {
                self.current = Some(file);
            }
        }
        Ok(())
    }

    /// The files of these segments, to be synced: after a kill that was not a power cut, what was read from them may
    /// still be only in the system's memory.
    ///
    /// # Errors
    /// Errors of the flash.
    pub fn files(&self, segments: RangeInclusive<u32>) -> io::Result<Vec<Rc<dyn File>>> {
        let numbers = self.segments()?.into_iter().filter(|number| segments.contains(number));
        numbers.map(|number| self.flash.open(&self.path(number), Mode::Read)).collect()
    }

    /// Drops the cached contents of the segments from `first` on, so that they are read from the medium: see
    /// [`File::drop_cache`].
    ///
    /// # Errors
    /// Errors of the flash.
    pub fn drop_cache(&self, first: u32) -> io::Result<()> {
        for segment in self.segments()?.into_iter().filter(|segment| *segment >= first) {
            self.flash.open(&self.path(segment), Mode::Read)?.drop_cache();
        }
        Ok(())
    }

    /// The number of octets after `end`: a tail that is not part of the log.
    ///
    /// # Errors
    /// Errors of the flash.
    pub fn octets_behind(&self, end: Place) -> io::Result<u64> {
        let mut octets = 0;
        for segment in self.segments()?.into_iter().filter(|segment| *segment >= end.segment) {
            let skip = if segment == end.segment { u64::from(end.offset) } else { 0 };
            octets += self.flash.open(&self.path(segment), Mode::Read)?.len()?.saturating_sub(skip);
        }
        Ok(octets)
    }

    /// Removes what lies between `end` and the current segment: a torn tail.
    ///
    /// # Errors
    /// Errors of the flash; what is left then does no harm.
    pub fn remove_tail(&self, end: Place) -> io::Result<()> {
        let between = |segment: &u32| (end.segment + 1..self.end.segment).contains(segment);
        for segment in self.segments()?.into_iter().filter(between) {
            self.remove(segment)?;
        }
        self.cut_off(end).map(drop)
    }

    /// Truncates the segment of `end` there. Returns its file, to be synced; `None` when the segment does not exist.
    ///
    /// # Errors
    /// Errors of the flash.
    pub fn cut_off(&self, end: Place) -> io::Result<Option<Rc<dyn File>>> {
        let file = match self.flash.open(&self.path(end.segment), Mode::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if file.len()? > u64::from(end.offset) {
            file.truncate(end.offset.into())?;
        }
        Ok(Some(file))
    }

    /// Where the next commit will begin, unless it begins a new segment.
    pub fn end(&self) -> Place {
        self.end
    }

    /// Begins a commit.
    pub fn begin(&mut self) -> io::Result<()> {
        // When no segment can be begun, `abort` has nothing to take back.
        self.commit_start = self.end.offset;
        if self.current.is_none() || self.end.offset >= self.segment_size {
            let segment = self.highest + 1;
            let file = self.flash.open(&self.path(segment), Mode::Create)?;
            file.write_at(0, &segment::header(segment))?;
            self.highest = segment;
            self.unsynced.push(file.clone());
            self.new_segment = true;
            self.current = Some(file);
            // When the first commit of a segment was taken back, the segment holds nothing, and the log did not end
            // in it.
            if self.end.offset > segment::HEADER {
                self.continued_from = self.end;
            }
            self.end = Place { segment, offset: segment::HEADER };
        }
        self.commit_start = self.end.offset;
        if self.commit_start == segment::HEADER && self.continued_from > Place::default() {
            self.push(&Record::Continued(ContinuedRecord { from: self.continued_from }), &[])?;
        }
        Ok(())
    }

    /// Adds a record to the commit. Returns the place at which its frame begins.
    pub fn push(&mut self, record: &Record, body: &[u8]) -> io::Result<Place> {
        let place = Place { offset: self.end.offset + self.piece.len() as u32, ..self.end };
        frame::encode(record, body, &mut self.piece).map_err(io::Error::other)?;
        if self.piece.len() >= PIECE {
            self.write_piece()?;
        }
        Ok(place)
    }

    /// Adds a record whose kind this version does not know to the commit.
    pub fn push_unknown(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        frame::encode_unknown(head, body, &mut self.piece).map_err(io::Error::other)?;
        if self.piece.len() >= PIECE { self.write_piece() } else { Ok(()) }
    }

    /// The records of a segment whose kinds this version does not know, each as its head and its body.
    ///
    /// # Errors
    /// Errors of the flash.
    pub fn unknown_in(&self, segment: u32) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let file = self.flash.open(&self.path(segment), Mode::Read)?;
        let mut window = Window::new(file, segment::HEADER.into());
        let mut unknown = Vec::new();
        while !window.at_end()? {
            let place = window.at;
            match window.frame::<Record>(false)? {
                Ok(Frame { head: Head::Unknown(head), .. }) => {
                    window.at = place;
                    if let Ok(whole) = window.frame::<Record>(true)? {
                        unknown.push((head, whole.body));
                    }
                }
                Ok(_) => {}
                Err(_) => {
                    window.at = place;
                    window.seek_frame::<Record>()?;
                }
            }
        }
        Ok(unknown)
    }

    /// Octets of the frame at `place` without its body.
    ///
    /// # Errors
    /// `InvalidData` when there is no frame.
    pub fn head_len(&self, place: Place) -> io::Result<usize> {
        let mut header = [0; FRAME];
        self.raw(place, &mut header)?;
        let header = FrameHeader::parse(&header);
        let header = header.map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
        Ok(FRAME + header.head_len)
    }

    /// Closes the commit with its marker. The commit is durable when the files of [`Log::take_unsynced`] are synced.
    pub fn finish(&mut self, durable: Place) -> io::Result<()> {
        self.push(&Record::Commit(CommitRecord { durable }), &[])?;
        self.write_piece()?;
        let file = self.current_file()?;
        if !self.unsynced.iter().any(|other| Rc::ptr_eq(other, &file)) {
            self.unsynced.push(file);
        }
        Ok(())
    }

    /// Takes back the commit that was begun.
    pub fn abort(&mut self) -> io::Result<()> {
        self.piece = Vec::new();
        self.end.offset = self.commit_start;
        match &self.current {
            Some(file) => file.truncate(self.commit_start.into()),
            // No segment could be begun.
            None => Ok(()),
        }
    }

    /// Octets of the last commit.
    pub fn commit_len(&self) -> u32 {
        self.end.offset - self.commit_start
    }

    /// Makes the next commit begin a new segment.
    pub fn begin_segment(&mut self) {
        self.current = None;
    }

    /// Whether no more commits go into this segment.
    pub fn is_closed(&self, segment: u32) -> bool {
        self.current.is_none() || self.end.segment != segment
    }

    /// Octets of a segment.
    pub fn segment_len(&self, segment: u32) -> io::Result<u64> {
        if self.is_closed(segment) {
            self.flash.open(&self.path(segment), Mode::Read)?.len()
        } else {
            Ok(self.end.offset.into())
        }
    }

    /// Removes a closed segment. Its space is free once no reader has the file open.
    pub fn remove(&self, segment: u32) -> io::Result<()> {
        self.readers.borrow_mut().remove(&segment);
        self.flash.remove(&self.path(segment))
    }

    fn current_file(&self) -> io::Result<Rc<dyn File>> {
        self.current.clone().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write_piece(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        self.current_file()?.write_at(self.end.offset.into(), &piece)?;
        self.end.offset += piece.len() as u32;
        Ok(())
    }

    /// The files to be synced so that all finished commits are durable, and whether the folder must be synced, too.
    pub fn take_unsynced(&mut self) -> (Vec<Rc<dyn File>>, bool) {
        (std::mem::take(&mut self.unsynced), std::mem::take(&mut self.new_segment))
    }

    /// Gives back files that were taken by [`Log::take_unsynced`] and not synced.
    pub fn give_back(&mut self, files: &mut Vec<Rc<dyn File>>, new_segment: bool) {
        self.unsynced.append(files);
        self.new_segment |= new_segment;
    }

    /// The log's folder.
    pub fn dir(&self) -> &str {
        &self.dir
    }

    pub(super) fn reader(&self, segment: u32) -> io::Result<Rc<dyn File>> {
        if let Some(file) = &self.current
            && self.end.segment == segment
        {
            return Ok(file.clone());
        }
        let mut readers = self.readers.borrow_mut();
        if let Some(file) = readers.get(&segment) {
            return Ok(file.clone());
        }
        let file = self.flash.open(&self.path(segment), Mode::Read)?;
        if readers.len() >= OPEN_SEGMENTS {
            readers.pop_first();
        }
        readers.insert(segment, file.clone());
        Ok(file)
    }

    /// Reads the record at `place` without its body.
    ///
    /// # Errors
    /// `InvalidData` when a checksum does not match.
    pub fn head(&self, place: Place) -> io::Result<Record> {
        let window = Window::of_head(self.reader(place.segment)?, place.offset.into());
        read(window, false).map(|(record, _)| record)
    }

    /// Reads the Note record of a message at `place`.
    ///
    /// # Errors
    /// `InvalidData` when there is no such record, or a checksum does not match.
    pub fn note(&self, place: Place, key: NoteKey) -> io::Result<NoteRecord> {
        match self.head(place)? {
            Record::Note(note) if (note.mailbox, note.uid) == key => Ok(note),
            _ => Err(invalid(BadFrame::Damaged)),
        }
    }

    /// Reads the record at `place` and its body, which is expected to have `size` octets.
    ///
    /// # Errors
    /// As [`Log::head`].
    pub fn whole(&self, place: Place, size: usize) -> io::Result<(Record, Vec<u8>)> {
        let file = self.reader(place.segment)?;
        file.expect(self.order.borrow_mut().read(place, size));
        read(Window::new(file, place.offset.into()).read_ahead(frame_bound(size))?, true)
    }

    /// Reads the record at `place` and the last `octets` of its body. The checksum of the body is not verified.
    ///
    /// # Errors
    /// As [`Log::head`].
    pub fn end_of_body(&self, place: Place, octets: usize) -> io::Result<(Record, Vec<u8>)> {
        let file = self.reader(place.segment)?;
        let mut window = Window::of_head(file.clone(), place.offset.into());
        let frame = window.frame(false)?.map_err(invalid)?;
        if frame.body_len < octets {
            return Err(invalid(BadFrame::Damaged));
        }
        let mut end = vec![0; octets];
        file.read_exact_at(window.at - octets as u64, &mut end)?;
        Ok((frame.head.known().ok_or_else(|| invalid(BadFrame::Damaged))?, end))
    }

    /// The octets of a message in a damaged record, as far as they can be read, and whether their checksum matches.
    pub fn remains(&self, place: Place) -> io::Result<(Vec<u8>, bool)> {
        let file = self.reader(place.segment)?;
        let mut header = [0; FRAME];
        file.read_exact_at(place.offset.into(), &mut header)?;
        let header = FrameHeader::parse(&header).map_err(io::Error::other)?;
        let mut body = vec![0; header.body_len];
        file.read_exact_at(u64::from(place.offset) + (FRAME + header.head_len) as u64, &mut body)?;
        let whole = !body.is_empty() && crc32c::crc32c(&body) == header.body_crc;
        Ok((body, whole))
    }

    /// Fills `octets` with the raw octets at `place`.
    pub fn raw(&self, place: Place, octets: &mut [u8]) -> io::Result<()> {
        self.reader(place.segment)?.read_exact_at(place.offset.into(), octets)
    }

    /// Up to `most` records of one segment from `from` on, each with its place, and the place where the next record
    /// begins. Records of kinds that this version does not know are left out.
    ///
    /// # Errors
    /// `InvalidData` when a checksum does not match.
    pub fn records(&self, from: Place, most: usize) -> io::Result<(Vec<(Record, Place)>, Place)> {
        /// Octets read at a time.
        const AHEAD: usize = 16 * 1024;
        let file = self.reader(from.segment)?;
        file.expect(Reading::InOrder);
        let mut window = Window::new(file, from.offset.into()).read_ahead(AHEAD)?;
        let mut records = Vec::new();
        let mut place = from;
        for _ in 0..most {
            if window.at_end()? {
                break;
            }
            let frame = window.frame(false)?;
            let frame = frame.map_err(invalid)?;
            records.extend(frame.head.known().map(|record| (record, place)));
            place.offset = u32::try_from(window.at).unwrap_or(u32::MAX);
        }
        Ok((records, place))
    }
}

/// Octets that a Body record with `size` octets of message takes at most. Records of earlier versions, which contain
/// a summary, may take more.
pub fn frame_bound(size: usize) -> usize {
    const FIELDS: usize = 32;
    FRAME + FIELDS + size
}

/// Whether the error says that data is damaged or missing, rather than that it cannot be read just now.
pub fn tells_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound)
}

fn invalid(bad: BadFrame) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, bad)
}

fn read(mut window: Window, with_body: bool) -> io::Result<(Record, Vec<u8>)> {
    let frame = window.frame(with_body)?.map_err(invalid)?;
    // A caller that asks for a record at its place knows its kind.
    let record = frame.head.known().ok_or_else(|| invalid(BadFrame::Damaged))?;
    Ok((record, frame.body))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a search that opens one message in three and has the card read all of them, and a list of all bodies
    /// for which the card is asked piece by piece.
    #[test]
    fn only_bodies_that_follow_each_other_are_read_ahead() {
        const OCTETS: u32 = 10_000;
        let read = |order: &mut Order, segment, n: u32| {
            order.read(Place { segment, offset: n * (OCTETS + 40) }, OCTETS as usize)
        };
        let mut order = Order::default();
        for n in 0..RUN.into() {
            assert_eq!(read(&mut order, 1, n), Reading::Scattered, "{n}");
        }
        for n in u32::from(RUN)..300 {
            assert_eq!(read(&mut order, 1, n), Reading::InOrder, "{n}");
        }
        // In the next segment, with gaps, backwards, and again and again.
        for (segment, n) in
            [(2, 0), (2, 3), (2, 6), (2, 9), (2, 8), (2, 7), (2, 6), (2, 5), (2, 5), (2, 5), (2, 5)]
        {
            assert_eq!(read(&mut order, segment, n), Reading::Scattered, "{segment} {n}");
        }
    }
}
