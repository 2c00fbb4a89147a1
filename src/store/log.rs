//! The append-only log of one account: numbered segment files of frames.
//!
//! A segment begins with 16 octets: `PILLARBX`, the format version and its own number (u32,
//! little-endian). Frames follow without gaps. A commit never crosses segments.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::frame::{self, FRAME, FrameHeader, Window};
use super::record::{Place, Record};
use crate::flash::{File, Flash, Mode};

/// Octets before the first frame of a segment.
const SEGMENT_HEADER: u32 = 16;
const SEGMENT_MAGIC: &[u8; 8] = b"PILLARBX";
const FORMAT_VERSION: u32 = 1;
/// What a commit encodes is written in pieces of about this size.
const PIECE: usize = 128 * 1024;
/// Segments kept open for reading.
const OPEN_SEGMENTS: usize = 8;

/// The log, positioned at its end.
pub struct Log {
    flash: Rc<dyn Flash>,
    dir: String,
    /// A segment that has reached this size is closed.
    segment_size: u32,
    /// The segment that grows, unless the log is empty or the last one is full.
    current: Option<(u32, Rc<dyn File>)>,
    last_segment: u32,
    /// Where the segment before it ended.
    previous_end: Place,
    /// Where the next piece is written.
    end: u32,
    /// Where the commit that is being written began.
    commit_start: u32,
    piece: Vec<u8>,
    /// Files written since the last sync.
    unsynced: Vec<Rc<dyn File>>,
    new_segment: bool,
    readers: RefCell<BTreeMap<u32, Rc<dyn File>>>,
}

impl Log {
    /// An empty log in `dir`, or one whose `scan` has found its end.
    pub fn new(flash: Rc<dyn Flash>, dir: String, segment_size: u32) -> Log {
        Log {
            flash,
            dir,
            segment_size,
            current: None,
            last_segment: 0,
            previous_end: Place::default(),
            end: 0,
            commit_start: 0,
            piece: Vec::new(),
            unsynced: Vec::new(),
            new_segment: false,
            readers: RefCell::default(),
        }
    }

    fn path(&self, segment: u32) -> String {
        format!("{}/{segment:08}", self.dir)
    }

    /// The numbers of the segments there are, ascending.
    pub fn segments(&self) -> io::Result<Vec<u32>> {
        let mut numbers: Vec<u32> =
            self.flash.list(&self.dir)?.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Continues writing at `end`: what lies behind it is a torn tail and is cut off. From `durable` on what was
    /// read may still be only in the system's memory, after a kill, not a power cut: it is to be synced.
    pub fn cut(&mut self, durable: Place, end: Place) -> io::Result<()> {
        let segments = self.segments()?;
        for &segment in segments.iter().filter(|segment| **segment > end.segment) {
            self.flash.remove(&self.path(segment))?;
        }
        self.readers.borrow_mut().clear();
        self.last_segment = end.segment;
        self.end = end.offset;
        self.current = None;
        for &segment in segments.iter().filter(|segment| (durable.segment..end.segment).contains(segment)) {
            self.unsynced.push(self.flash.open(&self.path(segment), Mode::Read)?);
        }
        if segments.contains(&end.segment) {
            let file = self.flash.open(&self.path(end.segment), Mode::Write)?;
            let len = file.len()?;
            if len > u64::from(end.offset) {
                file.truncate(end.offset.into())?;
            }
            self.unsynced.push(file.clone());
            // A segment that has lost its end to damage does not grow again: a new one is begun.
            if len >= u64::from(end.offset) {
                self.current = Some((end.segment, file));
            }
        }
        Ok(())
    }

    /// Where the next commit will begin, unless a new segment is due.
    pub fn end(&self) -> Place {
        Place { segment: self.last_segment, offset: self.end }
    }

    /// Begins a commit.
    pub fn begin(&mut self) -> io::Result<()> {
        // Where not even a segment can be begun, nothing is taken back of the commit before.
        self.commit_start = self.end;
        if self.current.is_none() || self.end >= self.segment_size {
            self.previous_end = self.end();
            let segment = self.last_segment + 1;
            let file = self.flash.open(&self.path(segment), Mode::Create)?;
            let mut header = [0; SEGMENT_HEADER as usize];
            header[..8].copy_from_slice(SEGMENT_MAGIC);
            header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
            header[12..].copy_from_slice(&segment.to_le_bytes());
            file.write_at(0, &header)?;
            self.unsynced.push(file.clone());
            self.new_segment = true;
            self.current = Some((segment, file));
            self.last_segment = segment;
            self.end = SEGMENT_HEADER;
        }
        self.commit_start = self.end;
        if self.end == SEGMENT_HEADER && self.previous_end > Place::default() {
            self.push(&Record::Continued { from: self.previous_end }, &[])?;
        }
        Ok(())
    }

    /// Adds a record to the commit: where its frame begins.
    pub fn push(&mut self, record: &Record, body: &[u8]) -> io::Result<Place> {
        let place = Place { segment: self.last_segment, offset: self.end + self.piece.len() as u32 };
        frame::encode(record, body, &mut self.piece);
        if self.piece.len() >= PIECE {
            self.write_piece()?;
        }
        Ok(place)
    }

    /// Closes the commit with its marker. Not durable before [`Log::take_unsynced`] is synced.
    pub fn finish(&mut self, durable: Place) -> io::Result<()> {
        self.push(&Record::Commit { durable }, &[])?;
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
        self.end = self.commit_start;
        match &self.current {
            Some((_, file)) => file.truncate(self.end.into()),
            // Not even a segment could be begun.
            None => Ok(()),
        }
    }

    /// Octets of the last commit.
    pub fn commit_len(&self) -> u32 {
        self.end - self.commit_start
    }

    /// Lets the next commit begin a segment, unless it is the first one in this: what had no room may have left it
    /// empty, and no replay would know where an empty one ended.
    pub fn begin_segment(&mut self) {
        if self.end > SEGMENT_HEADER {
            self.current = None;
        }
    }

    /// Whether commits no longer go into this segment.
    pub fn is_closed(&self, segment: u32) -> bool {
        self.current.as_ref().is_none_or(|(current, _)| *current != segment)
    }

    /// Octets of a segment.
    pub fn segment_len(&self, segment: u32) -> io::Result<u64> {
        if self.is_closed(segment) {
            self.flash.open(&self.path(segment), Mode::Read)?.len()
        } else {
            Ok(self.end.into())
        }
    }

    /// Removes a closed segment. Its space is given back once nobody reads it any more.
    pub fn remove(&self, segment: u32) -> io::Result<()> {
        self.readers.borrow_mut().remove(&segment);
        self.flash.remove(&self.path(segment))
    }

    fn current_file(&self) -> io::Result<Rc<dyn File>> {
        let (_, file) = self.current.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok(file.clone())
    }

    fn write_piece(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        self.current_file()?.write_at(self.end.into(), &piece)?;
        self.end += piece.len() as u32;
        Ok(())
    }

    /// The files to sync so that all finished commits are durable, and whether the folder is one of them.
    pub fn take_unsynced(&mut self) -> (Vec<Rc<dyn File>>, bool) {
        (std::mem::take(&mut self.unsynced), std::mem::take(&mut self.new_segment))
    }

    /// Takes back what [`Log::take_unsynced`] gave: it was not synced.
    pub fn give_back(&mut self, files: &mut Vec<Rc<dyn File>>, new_segment: bool) {
        self.unsynced.append(files);
        self.new_segment |= new_segment;
    }

    /// The log's folder.
    pub fn dir(&self) -> &str {
        &self.dir
    }

    fn reader(&self, segment: u32) -> io::Result<Rc<dyn File>> {
        if let Some((current, file)) = &self.current
            && *current == segment
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
    /// `InvalidData` when a checksum says so.
    pub fn head(&self, place: Place) -> io::Result<Record> {
        let window = Window::of_head(self.reader(place.segment)?, place.offset.into());
        read(window, false).map(|(record, _)| record)
    }

    /// Reads the record at `place` and its body, of `size` octets as far as is known.
    ///
    /// # Errors
    /// As [`Log::head`].
    pub fn whole(&self, place: Place, size: usize) -> io::Result<(Record, Vec<u8>)> {
        let window = Window::new(self.reader(place.segment)?, place.offset.into());
        read(window.read_ahead(frame_bound(size))?, true)
    }

    /// What can be read of the octets of a message in a damaged record, and whether they are whole all the same.
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

    /// Fills `octets` with what lies at `place`, whatever it is.
    pub fn raw(&self, place: Place, octets: &mut [u8]) -> io::Result<()> {
        self.reader(place.segment)?.read_exact_at(place.offset.into(), octets)
    }

    /// Reads every frame of the log from `from` on, in order.
    pub fn scan(&self, from: Place) -> io::Result<Scan<'_>> {
        let mut segments = self.segments()?;
        segments.retain(|&segment| segment >= from.segment);
        segments.reverse();
        Ok(Scan { log: self, segments, from, window: None, segment: 0, len: 0 })
    }

    /// Whether the body of a scanned frame matches its checksum.
    pub fn body_is_whole(&self, frame: &ScannedFrame) -> io::Result<bool> {
        match self.whole(frame.place, frame.body_len) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What a scan finds.
pub enum Scanned {
    /// A frame with a good head; its body was not looked at.
    Frame(ScannedFrame),
    /// From here on octets make no sense, up to the next frame that is found.
    Bad(Place),
}

/// A frame's head and where it lies.
pub struct ScannedFrame {
    pub place: Place,
    pub end: Place,
    pub record: Record,
    pub body_len: usize,
}

/// An iterator over the frames of the log.
pub struct Scan<'a> {
    log: &'a Log,
    /// Still to come, the next one last.
    segments: Vec<u32>,
    from: Place,
    segment: u32,
    /// Octets of that segment.
    len: u64,
    window: Option<Window>,
}

impl Scan<'_> {
    /// The next frame or bad place; `None` at the end of the log.
    pub fn next(&mut self) -> io::Result<Option<Scanned>> {
        loop {
            let Some(window) = &mut self.window else {
                let Some(segment) = self.segments.pop() else { return Ok(None) };
                self.segment = segment;
                let file = self.log.reader(segment)?;
                self.len = file.len()?;
                let start = if segment == self.from.segment { self.from.offset } else { 0 };
                let window = Window::new(file.clone(), start.max(SEGMENT_HEADER).into());
                let good = start > 0 || is_segment(&*file, segment)?;
                self.window = Some(window);
                if !good {
                    return Ok(Some(Scanned::Bad(Place { segment, offset: 0 })));
                }
                continue;
            };
            let place = Place { segment: self.segment, offset: u32::try_from(window.at).unwrap_or(u32::MAX) };
            if window.at_end()? {
                self.window = None;
                continue;
            }
            let frame = window.frame(false)?;
            return Ok(Some(match frame {
                // Its body may lie behind the end of the file.
                Ok(frame) if window.at <= self.len => Scanned::Frame(ScannedFrame {
                    place,
                    end: Place {
                        segment: self.segment,
                        offset: place.offset.saturating_add(frame.len as u32),
                    },
                    record: frame.record,
                    body_len: frame.body_len,
                }),
                _ => {
                    window.at = place.offset.into();
                    window.seek_frame::<Record>()?;
                    Scanned::Bad(place)
                }
            }));
        }
    }
}

/// Octets that a Body record with `size` octets of message takes at most: its summary is no longer than an
/// eighth of the message.
pub fn frame_bound(size: usize) -> usize {
    const FIELDS: usize = 32;
    FRAME + FIELDS + size / 8 + size
}

fn read(mut window: Window, with_body: bool) -> io::Result<(Record, Vec<u8>)> {
    let frame = window.frame(with_body)?.map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
    Ok((frame.record, frame.body))
}

fn is_segment(file: &dyn File, segment: u32) -> io::Result<bool> {
    let mut header = [0; SEGMENT_HEADER as usize];
    match file.read_exact_at(0, &mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        other => other?,
    }
    Ok(&header[..8] == SEGMENT_MAGIC
        && header[8..12] == FORMAT_VERSION.to_le_bytes()
        && header[12..] == segment.to_le_bytes())
}
