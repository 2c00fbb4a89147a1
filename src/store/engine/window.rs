//! Reads files of frames: segments of the log, and checkpoints.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

use std::io;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use crate::flash::File;
use crate::store::format::frame::{BadFrame, FRAME, FrameHeader, Head};

/// A position in a file of frames, with some of the file's octets in memory.
pub struct Window {
    file: Rc<dyn File>,
    /// Where the next frame begins.
    pub at: u64,
    /// A buffer whose first `filled` octets are those of the file from `held_at` on.
    held: Vec<u8>,
    filled: usize,
    held_at: u64,
    /// Octets that are read at a time at least.
    piece: usize,
}

/// A frame that was read.
pub struct Frame<T> {
    /// The head of the frame.
    pub head: Head<T>,
    /// The body of the frame, when it was asked for.
    pub body: Vec<u8>,
    /// Octets of the body.
    pub body_len: usize,
}

/// Octets that are read at a time when frames are read one after the other.
const WINDOW: usize = 4096;
/// Octets that contain the head of nearly every record, so that one read is enough; more would be copied for nothing.
const HEAD: usize = 1024;

impl Window {
    /// A window at the offset `at` of a file.
    pub fn new(file: Rc<dyn File>, at: u64) -> Window {
        Window { file, at, held: Vec::new(), filled: 0, held_at: at, piece: WINDOW }
    }

    /// A window at the offset `at` of a file, from which only one head will be read.
    pub fn of_head(file: Rc<dyn File>, at: u64) -> Window {
        Window { piece: HEAD, ..Window::new(file, at) }
    }

    /// Sets how many octets are read at a time.
    pub fn in_pieces(self, piece: usize) -> Window {
        Window { piece, ..self }
    }

    /// Reads `octets` at once, when it is known that so many will be needed.
    pub fn read_ahead(mut self, octets: usize) -> io::Result<Window> {
        self.octets(octets)?;
        Ok(self)
    }

    /// Octets of the whole file.
    pub fn file_len(&self) -> io::Result<u64> {
        self.file.len()
    }

    /// Whether the window is at the end of the file.
    pub fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.octets(1)?.is_empty())
    }

    /// Up to `n` octets from `at` on; fewer only at the end of the file.
    #[expect(
        clippy::indexing_slicing,
        reason = "`held` is as long as `wanted` before it is read into, and `filled` is within it"
    )]
    fn octets(&mut self, n: usize) -> io::Result<&[u8]> {
        let skip = usize::try_from(self.at - self.held_at).unwrap_or(usize::MAX);
        if skip.saturating_add(n) > self.filled {
            let (have, wanted) = (skip.min(self.filled)..self.filled, n.max(self.piece));
            self.filled = have.len();
            if self.held.len() < wanted {
                // Not `resize`, which goes octet by octet where code is to be small.
                let mut held = vec![0; wanted];
                held[..have.len()].copy_from_slice(&self.held[have]);
                self.held = held;
            } else {
                self.held.copy_within(have, 0);
            }
            self.held_at = self.at;
            while self.filled < wanted {
                let room = &mut self.held[self.filled..wanted];
                match self.file.read_at(self.at + self.filled as u64, room)? {
                    0 => break,
                    n => self.filled += n,
                }
            }
        }
        let skip = (self.at - self.held_at) as usize;
        Ok(&self.held[skip..self.filled.min(skip + n)])
    }

    /// Reads the frame at `at`, and moves past it when it is good. Without `with_body` the body is neither read nor
    /// checked.
    #[expect(
        clippy::indexing_slicing,
        reason = "`octets` is as long as the frame: that was asked just before"
    )]
    pub fn frame<T: DeserializeOwned>(&mut self, with_body: bool) -> io::Result<Result<Frame<T>, BadFrame>> {
        let header = match FrameHeader::parse(self.octets(FRAME)?) {
            Ok(header) => header,
            Err(bad) => return Ok(Err(bad)),
        };
        let wanted = FRAME + header.head_len + if with_body { header.body_len } else { 0 };
        let octets = self.octets(wanted)?;
        if octets.len() < wanted {
            return Ok(Err(BadFrame::Short));
        }
        let head = match header.head(&octets[FRAME..FRAME + header.head_len]) {
            Ok(head) => head,
            Err(bad) => return Ok(Err(bad)),
        };
        let body = octets[FRAME + header.head_len..].to_vec();
        if with_body && crc32c::crc32c(&body) != header.body_crc {
            return Ok(Err(BadFrame::Damaged));
        }
        self.at += header.frame_len() as u64;
        Ok(Ok(Frame { head, body, body_len: header.body_len }))
    }

    /// Moves to the next offset where a good frame begins, or to the end of the file.
    pub fn seek_frame<T: DeserializeOwned>(&mut self) -> io::Result<()> {
        loop {
            self.at += 1;
            let octets = self.octets(WINDOW)?;
            if octets.is_empty() {
                return Ok(());
            }
            match memchr::memmem::find(octets, b"PB") {
                // The magic may begin at the last octet that was read.
                None => self.at += octets.len() as u64 - 1,
                Some(skip) => {
                    self.at += skip as u64;
                    let candidate = self.at;
                    let good = self.frame::<T>(false)?.is_ok();
                    self.at = candidate;
                    if good {
                        return Ok(());
                    }
                }
            }
        }
    }
}
