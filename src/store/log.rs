//! The append-only log of one account: numbered segment files of frames.
//!
//! A segment begins with 16 octets: `PILLARBX`, the format version and its own number (u32,
//! little-endian). Frames follow without gaps. A commit never crosses segments.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::record::{self, BadFrame, FRAME, FrameHeader, Place, Record};
use crate::flash::{File, Flash, Mode};

/// A segment that has reached this size is closed.
const SEGMENT_SIZE: u32 = 4 * 1024 * 1024;
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
    /// The segment that grows, unless the log is empty or the last one is full.
    current: Option<(u32, Rc<dyn File>)>,
    last_segment: u32,
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
    pub fn new(flash: Rc<dyn Flash>, dir: String) -> Log {
        Log {
            flash,
            dir,
            current: None,
            last_segment: 0,
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

    /// Continues writing at `end`: what lies behind it is a torn tail and is cut off.
    pub fn cut(&mut self, end: Place) -> io::Result<()> {
        for segment in self.segments()? {
            if segment > end.segment {
                self.flash.remove(&self.path(segment))?;
            }
        }
        self.readers.borrow_mut().clear();
        self.last_segment = end.segment;
        self.current = None;
        if end.segment > 0 {
            let file = self.flash.open(&self.path(end.segment), Mode::Write)?;
            if file.len()? > u64::from(end.offset) {
                file.truncate(end.offset.into())?;
            }
            // What was read may still be only in the system's memory: after a kill, not a power cut.
            self.unsynced.push(file.clone());
            self.current = Some((end.segment, file));
            self.end = end.offset;
        }
        Ok(())
    }

    /// Where the next commit will begin, unless a new segment is due.
    pub fn end(&self) -> Place {
        Place { segment: self.last_segment, offset: self.end }
    }

    /// Begins a commit.
    pub fn begin(&mut self) -> io::Result<()> {
        self.commit_start = self.end;
        if self.current.is_none() || self.end >= SEGMENT_SIZE {
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
        Ok(())
    }

    /// Adds a record to the commit: where its frame begins.
    pub fn push(&mut self, record: &Record, body: &[u8]) -> io::Result<Place> {
        let place = Place { segment: self.last_segment, offset: self.end + self.piece.len() as u32 };
        record::encode(record, body, &mut self.piece);
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
        self.current_file()?.truncate(self.end.into())
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

    /// Reads the record at `place`, and its body when `with_body`.
    ///
    /// # Errors
    /// `InvalidData` when a checksum says so.
    pub fn read(&self, place: Place, with_body: bool) -> io::Result<(Record, Vec<u8>)> {
        let file = self.reader(place.segment)?;
        let mut window = Window::new(file, place.offset.into());
        let frame =
            window.frame(with_body)?.map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
        Ok((frame.record, frame.body))
    }

    /// Reads every frame of the log from `from` on, in order.
    pub fn scan(&self, from: Place) -> io::Result<Scan<'_>> {
        let mut segments = self.segments()?;
        segments.retain(|&segment| segment >= from.segment);
        segments.reverse();
        Ok(Scan { log: self, segments, from, window: None, segment: 0 })
    }

    /// Whether the body of a scanned frame matches its checksum.
    pub fn body_is_whole(&self, frame: &ScannedFrame) -> io::Result<bool> {
        match self.read(frame.place, true) {
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
                let start = if segment == self.from.segment { self.from.offset } else { 0 };
                let mut window = Window::new(file, start.max(SEGMENT_HEADER).into());
                let good = start > 0 || window.segment_header_is(segment)?;
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
            return Ok(Some(match window.frame(false)? {
                Ok(frame) => Scanned::Frame(ScannedFrame {
                    place,
                    end: Place {
                        segment: self.segment,
                        offset: place.offset.saturating_add(frame.len as u32),
                    },
                    record: frame.record,
                    body_len: frame.body_len,
                }),
                Err(_) => {
                    window.seek_frame()?;
                    Scanned::Bad(place)
                }
            }));
        }
    }
}

/// A place in a segment file with some octets of it in memory.
struct Window {
    file: Rc<dyn File>,
    at: u64,
    /// Octets of the file from `held_at` on.
    held: Vec<u8>,
    held_at: u64,
}

struct Frame {
    record: Record,
    body: Vec<u8>,
    body_len: usize,
    len: usize,
}

/// The head of nearly every record, so that one read finds it.
const WINDOW: usize = 4096;

impl Window {
    fn new(file: Rc<dyn File>, at: u64) -> Window {
        Window { file, at, held: Vec::new(), held_at: at }
    }

    fn segment_header_is(&mut self, segment: u32) -> io::Result<bool> {
        let mut header = [0; SEGMENT_HEADER as usize];
        match self.file.read_exact_at(0, &mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            other => other?,
        }
        Ok(&header[..8] == SEGMENT_MAGIC
            && header[8..12] == FORMAT_VERSION.to_le_bytes()
            && header[12..] == segment.to_le_bytes())
    }

    fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.octets(1)?.is_empty())
    }

    /// Up to `n` octets from `at` on; fewer only at the end of the file.
    fn octets(&mut self, n: usize) -> io::Result<&[u8]> {
        let skip = usize::try_from(self.at - self.held_at).unwrap_or(usize::MAX);
        if skip.saturating_add(n) > self.held.len() {
            self.held.drain(..skip.min(self.held.len()));
            self.held_at = self.at;
            let have = self.held.len();
            self.held.resize(n.max(WINDOW), 0);
            let mut filled = have;
            while filled < self.held.len() {
                match self.file.read_at(self.at + filled as u64, &mut self.held[filled..])? {
                    0 => break,
                    n => filled += n,
                }
            }
            self.held.truncate(filled);
        }
        let skip = (self.at - self.held_at) as usize;
        Ok(&self.held[skip..self.held.len().min(skip + n)])
    }

    /// The frame at `at`, which moves behind it when it is good.
    fn frame(&mut self, with_body: bool) -> io::Result<Result<Frame, BadFrame>> {
        let header = match FrameHeader::parse(self.octets(FRAME)?) {
            Ok(header) => header,
            Err(bad) => return Ok(Err(bad)),
        };
        let wanted = FRAME + header.head_len + if with_body { header.body_len } else { 0 };
        let octets = self.octets(wanted)?;
        if octets.len() < wanted {
            return Ok(Err(BadFrame::Short));
        }
        let record = match header.record(&octets[FRAME..FRAME + header.head_len]) {
            Ok(record) => record,
            Err(bad) => return Ok(Err(bad)),
        };
        let body = octets[FRAME + header.head_len..].to_vec();
        if with_body && crc32c::crc32c(&body) != header.body_crc {
            return Ok(Err(BadFrame::Damaged));
        }
        self.at += header.frame_len() as u64;
        if self.file.len()? < self.at {
            return Ok(Err(BadFrame::Short));
        }
        Ok(Ok(Frame { record, body, body_len: header.body_len, len: header.frame_len() }))
    }

    /// Moves to the next octet where a good frame begins, or to the end of the file.
    fn seek_frame(&mut self) -> io::Result<()> {
        loop {
            self.at += 1;
            let octets = self.octets(WINDOW)?;
            if octets.is_empty() {
                return Ok(());
            }
            match memchr::memmem::find(octets, b"PB") {
                // The magic may begin at the last octet.
                None => self.at += octets.len() as u64 - 1,
                Some(skip) => {
                    self.at += skip as u64;
                    let candidate = self.at;
                    let good = self.frame(false)?.is_ok();
                    self.at = candidate;
                    if good {
                        return Ok(());
                    }
                }
            }
        }
    }
}
