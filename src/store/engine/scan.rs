//! Reads the log frame by frame, and finds the next frame after octets that are not one.

use std::io;

use super::log::Log;
use super::window::Window;
use crate::flash::File;
use crate::store::format::Place;
use crate::store::format::frame::{FRAME, FrameHeader};
use crate::store::format::record::Record;
use crate::store::format::segment;

impl Log {
    /// Reads every frame of the log from `from` on, in order.
    pub fn scan(&self, from: Place) -> io::Result<Scan<'_>> {
        let mut segments = self.segments()?;
        segments.retain(|&segment| segment >= from.segment);
        segments.reverse();
        Ok(Scan { log: self, segments, from, window: None, segment: 0, len: 0 })
    }

    /// Whether the body of a scanned frame matches its checksum.
    pub fn body_is_whole(&self, frame: &ScannedFrame) -> io::Result<bool> {
        if frame.body_len == 0 {
            return Ok(true);
        }
        let window = Window::new(self.reader(frame.place.segment)?, frame.place.offset.into());
        let octets = (frame.end.offset - frame.place.offset) as usize;
        Ok(window.read_ahead(octets)?.frame::<Record>(true)?.is_ok())
    }

    /// Whether what lies after `end` looks as a kill leaves it: whole records of a commit without its marker, the
    /// last of them cut off where the file ends. Damage to a finished commit looks different: it leaves unreadable
    /// octets before readable ones, a marker, or little more than a marker.
    ///
    /// # Errors
    /// Errors of the flash.
    pub fn breaks_off_behind(&self, end: Place) -> io::Result<bool> {
        /// Octets of a marker at most.
        const MARKER: u64 = 40;
        let mut scan = self.scan(end)?;
        let mut broken_off = false;
        while let Some(found) = scan.next()? {
            if broken_off {
                return Ok(false);
            }
            match found {
                Scanned::Frame(frame) if matches!(frame.record, Some(Record::Commit(_))) => return Ok(false),
                Scanned::Frame(frame) if self.body_is_whole(&frame)? => {}
                Scanned::Frame(_) => return Ok(false),
                Scanned::Bad(gap) => {
                    let file = self.reader(gap.from.segment)?;
                    let rest = file.len()?.saturating_sub(gap.from.offset.into());
                    let mut header = [0; FRAME];
                    let longer = rest > FRAME as u64
                        && file.read_exact_at(gap.from.offset.into(), &mut header).is_ok()
                        && FrameHeader::parse(&header).is_ok_and(|header| header.frame_len() as u64 > rest);
                    let is_last = u64::from(gap.to.offset) >= file.len()?;
                    if rest <= MARKER || !longer || !is_last {
                        return Ok(false);
                    }
                    broken_off = true;
                }
            }
        }
        Ok(true)
    }
}

/// What a scan finds.
pub enum Scanned {
    /// A frame whose head is good. Its body was not checked.
    Frame(ScannedFrame),
    /// Octets that are not a frame, up to the next frame that is found or the end of the segment.
    Bad(Gap),
}

/// Octets of the log that are not records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub from: Place,
    pub to: Place,
}

impl Gap {
    /// The octets of the gap at most, when a segment has `segment_size` octets.
    pub fn octets(self, segment_size: u32) -> u64 {
        let segments = u64::from(self.to.segment.saturating_sub(self.from.segment));
        (segments * u64::from(segment_size) + u64::from(self.to.offset))
            .saturating_sub(self.from.offset.into())
    }
}

/// The head of a frame, and where the frame lies.
pub struct ScannedFrame {
    pub place: Place,
    pub end: Place,
    /// The record; `None` when this version does not know its kind.
    pub record: Option<Record>,
    pub body_len: usize,
}

/// An iterator over the frames of the log.
pub struct Scan<'a> {
    log: &'a Log,
    /// Segments that are still to be read, the next one last.
    segments: Vec<u32>,
    from: Place,
    segment: u32,
    /// Octets of the current segment.
    len: u64,
    window: Option<Window>,
}

impl Scan<'_> {
    /// The next frame or gap; `None` at the end of the log.
    pub fn next(&mut self) -> io::Result<Option<Scanned>> {
        loop {
            let Some(window) = &mut self.window else {
                let Some(segment) = self.segments.pop() else { return Ok(None) };
                self.segment = segment;
                let file = self.log.reader(segment)?;
                self.len = file.len()?;
                let start = if segment == self.from.segment { self.from.offset } else { 0 };
                let window = Window::new(file.clone(), start.max(segment::HEADER).into());
                let good = start > 0 || is_segment(&*file, segment)?;
                self.window = Some(window);
                if !good {
                    let from = Place { segment, offset: 0 };
                    return Ok(Some(Scanned::Bad(Gap {
                        from,
                        to: Place { segment, offset: segment::HEADER },
                    })));
                }
                continue;
            };
            let place_at =
                |at: u64| Place { segment: self.segment, offset: u32::try_from(at).unwrap_or(u32::MAX) };
            let place = place_at(window.at);
            if window.at_end()? {
                self.window = None;
                continue;
            }
            let frame = window.frame(false)?;
            return Ok(Some(match frame {
                // The body may reach beyond the end of the file.
                Ok(frame) if window.at <= self.len => Scanned::Frame(ScannedFrame {
                    place,
                    end: place_at(window.at),
                    record: frame.head.known(),
                    body_len: frame.body_len,
                }),
                _ => {
                    window.at = place.offset.into();
                    window.seek_frame::<Record>()?;
                    Scanned::Bad(Gap { from: place, to: place_at(window.at) })
                }
            }));
        }
    }
}

fn is_segment(file: &dyn File, segment: u32) -> io::Result<bool> {
    let mut header = [0; segment::HEADER as usize];
    match file.read_exact_at(0, &mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        other => other?,
    }
    Ok(header == segment::header(segment))
}
