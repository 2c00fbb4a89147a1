//! Message bodies on their way into the store and out of it, in pieces.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use super::Account;
use super::room::{Share, Use};
use crate::flash::{File, Flash, Mode, ReadAt};
use crate::store::Error;
use crate::store::format::LastLine;
use crate::store::format::frame::INLINE_MAX;
use crate::store::model::Arrival;

/// A stored message, open for reading.
pub struct Body(Kind);

enum Kind {
    Inline(Vec<u8>),
    File(Checked),
}

/// A file whose checksum is verified when it is read from its beginning to its end.
struct Checked {
    file: Rc<dyn File>,
    len: u64,
    crc: u32,
    /// How many octets were read in order so far, and their checksum.
    read: Cell<(u64, u32)>,
}

impl Body {
    pub(super) fn inline(octets: Vec<u8>) -> Body {
        Body(Kind::Inline(octets))
    }
    /// A body in a file of `len` octets, which must have the checksum `crc`.
    pub(super) fn file(file: Rc<dyn File>, len: u64, crc: u32) -> Body {
        Body(Kind::File(Checked { file, len, crc, read: Cell::default() }))
    }
}

impl ReadAt for Body {
    fn len(&self) -> io::Result<u64> {
        match &self.0 {
            Kind::Inline(octets) => Ok(octets.len() as u64),
            Kind::File(file) => Ok(file.len),
        }
    }
    /// As [`ReadAt::read_at`]; the error is `InvalidData` at the end of a message whose checksum is wrong.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Inline(octets) => octets.read_at(offset, buf),
            Kind::File(file) => file.read_at(offset, buf),
        }
    }
    fn in_memory(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Inline(octets) => Some(octets),
            Kind::File(_) => None,
        }
    }
}

impl Checked {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(offset, buf)?;
        let (at, crc) = self.read.get();
        let news = at.checked_sub(offset).and_then(|known| buf[..n].get(usize::try_from(known).ok()?..));
        if let Some(news) = news.filter(|news| !news.is_empty()) {
            let read = (at + news.len() as u64, crc32c::crc32c_append(crc, news));
            self.read.set(read);
            if read.0 == self.len && read.1 != self.crc {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is damaged on flash"));
            }
        }
        Ok(n)
    }
}

/// A message that is being received. Up to 64 KiB are kept in memory; a longer message goes to a file as it comes.
pub struct Incoming {
    account: Rc<Account>,
    /// The whole message, or its first 64 KiB when it goes to a file.
    head: Vec<u8>,
    spilled: Option<Spilled>,
    /// Room that was promised to the message for octets that are not written yet.
    announced: Share,
    /// Octets of the message that are counted in the account's `incoming_octets`.
    counted: u64,
    /// Octets of the message that this one replaces, which the same commit removes.
    removed: u64,
    /// The last two octets received so far, where there are two.
    end: [u8; 2],
    failed: Option<Failure>,
}

/// Why a message cannot be delivered any more.
#[derive(Debug, Clone, Copy)]
enum Failure {
    NoRoom,
    OverQuota,
    ReadOnly,
}

/// The file of a message that is longer than 64 KiB.
struct Spilled {
    number: u32,
    file: Rc<dyn File>,
    /// Octets written to the file so far.
    written: u64,
    /// The checksum of these octets.
    crc: u32,
    /// Octets that were not written yet: many small writes wear the flash.
    waiting: Vec<u8>,
    /// Whether a commit now refers to the file, so that dropping this value no longer removes the file.
    kept: bool,
}

/// Octets that are gathered before they are written to a body's file.
const PIECE: usize = 32 * 1024;

impl Incoming {
    pub(super) fn new(account: Rc<Account>) -> Incoming {
        let announced = Share::of_announced(&account.room);
        Incoming {
            account,
            head: Vec::new(),
            spilled: None,
            announced,
            counted: 0,
            removed: 0,
            end: [0; 2],
            failed: None,
        }
    }

    /// Says that this message replaces one of so many octets, which the same commit removes: they do not count
    /// against the quota.
    pub fn replaces(&mut self, octets: u64) {
        self.removed = octets;
    }

    /// Announces the length of the message. Room and quota are reserved for it, or it is refused before its octets
    /// come. A message of up to 64 KiB, which goes into the log, gets no room here: its commit asks for room, and may
    /// have to make some.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::OverQuota`].
    pub fn expect(&mut self, octets: u64) -> Result<(), Error> {
        self.count(octets)?;
        if octets <= INLINE_MAX as u64 {
            return Ok(());
        }
        if !self.account.room.allows(Use::Mail, octets) {
            self.failed = Some(Failure::NoRoom);
            return Err(Error::Full);
        }
        self.announced.set(octets.saturating_sub(self.len()));
        Ok(())
    }

    /// Counts this message with `octets` octets among those that are being received.
    fn count(&mut self, octets: u64) -> Result<(), Error> {
        let Some(more) = octets.checked_sub(self.counted) else { return Ok(()) };
        let incoming = &self.account.incoming_octets;
        incoming.set(incoming.get() + more);
        self.counted = octets;
        // A message that is not longer than the one it replaces is accepted even when the account is over its quota.
        if octets > self.removed && self.account.incoming_exceeds_quota(self.removed) {
            self.failed = Some(Failure::OverQuota);
            return Err(Error::OverQuota);
        }
        Ok(())
    }

    fn count_no_longer(&mut self) {
        let incoming = &self.account.incoming_octets;
        incoming.set(incoming.get().saturating_sub(std::mem::take(&mut self.counted)));
    }

    /// Gives up the promised room: the message is complete, and its commit asks for the room that it needs.
    pub(super) fn arrived(&self) {
        self.announced.set(0);
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::OverQuota`], [`Error::Io`]; after an error the message cannot be delivered.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.count(self.len() + piece.len() as u64)?;
        for &octet in piece.iter().skip(piece.len().saturating_sub(2)) {
            self.end = [self.end[1], octet];
        }
        let room = if self.spilled.is_none() { INLINE_MAX - self.head.len() } else { 0 };
        let (head, rest) = piece.split_at(room.min(piece.len()));
        self.head.extend_from_slice(head);
        if rest.is_empty() {
            return Ok(());
        }
        let written = self.spill(rest);
        self.failed = match &written {
            Ok(()) => self.failed,
            Err(Error::ReadOnly) => Some(Failure::ReadOnly),
            Err(_) => Some(Failure::NoRoom),
        };
        written
    }

    fn spill(&mut self, piece: &[u8]) -> Result<(), Error> {
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            empty => {
                let number = self.account.next_body();
                let path = self.account.body_path(number);
                let flash = self.account.flash();
                let create = |flash: &dyn Flash| {
                    flash.create_dir(&self.account.body_dir())?;
                    let file = flash.open(&path, Mode::Create)?;
                    file.write_at(0, &self.head).map(|()| file)
                };
                let file = create(flash).map_err(|error| self.account.refused(&path, error))?;
                empty.insert(Spilled {
                    number,
                    file,
                    written: self.head.len() as u64,
                    crc: crc32c::crc32c(&self.head),
                    waiting: Vec::new(),
                    kept: false,
                })
            }
        };
        spilled.waiting.extend_from_slice(piece);
        if spilled.waiting.len() >= PIECE { spilled.write(&self.account, &self.announced) } else { Ok(()) }
    }

    /// Octets received so far.
    pub fn len(&self) -> u64 {
        match &self.spilled {
            Some(spilled) => spilled.written + spilled.waiting.len() as u64,
            None => self.head.len() as u64,
        }
    }

    /// Whether nothing was received yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first octets of the message, at most 64 KiB.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Makes the file of a long message durable. A message in memory needs nothing.
    pub(super) async fn make_durable(&mut self) -> Result<(), Error> {
        match self.failed {
            Some(Failure::NoRoom) => return Err(Error::Full),
            Some(Failure::OverQuota) => return Err(Error::OverQuota),
            Some(Failure::ReadOnly) => return Err(Error::ReadOnly),
            None => {}
        }
        let Some(spilled) = &mut self.spilled else { return Ok(()) };
        spilled.write(&self.account, &self.announced)?;
        let path = self.account.body_path(spilled.number);
        let (file, dir) = (spilled.file.clone(), self.account.flash().sync_dir(&self.account.body_dir()));
        file.sync().await.map_err(|error| self.account.refused(&path, error))?;
        dir.await.map_err(|error| self.account.refused(&path, error))
    }

    /// What a commit needs to know of the message.
    pub(super) fn arrival(&self) -> Arrival {
        let file = self.spilled.as_ref().map(|spilled| (spilled.number, spilled.crc));
        let last_line = if self.is_empty() { LastLine::Ended } else { LastLine::of(&self.end) };
        Arrival { size: self.len(), file, last_line }
    }

    /// The octets to be written into the log: none for a message in a file.
    pub(super) fn inline(&self) -> &[u8] {
        if self.spilled.is_some() { &[] } else { &self.head }
    }

    /// Says that the commit is written: it refers to the file, which must not be removed when this value is dropped.
    pub(super) fn keep(&mut self) {
        self.count_no_longer();
        if let Some(spilled) = &mut self.spilled {
            spilled.kept = true;
        }
    }
}

impl Spilled {
    /// Writes the octets that wait. `announced` is the room that was promised for them.
    fn write(&mut self, account: &Account, announced: &Share) -> Result<(), Error> {
        if !self.waiting.is_empty() {
            let octets = self.waiting.len() as u64;
            let promised = announced.octets();
            if !account.room.allows(Use::Mail, octets.saturating_sub(promised)) {
                return Err(Error::Full);
            }
            announced.set(promised.saturating_sub(octets));
            self.file
                .write_at(self.written, &self.waiting)
                .map_err(|error| account.refused(&account.body_path(self.number), error))?;
            self.written += self.waiting.len() as u64;
            self.crc = crc32c::crc32c_append(self.crc, &self.waiting);
            self.waiting.clear();
        }
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.count_no_longer();
        if let Some(spilled) = &self.spilled
            && !spilled.kept
        {
            // A file that cannot be removed now is removed when the account is opened the next time.
            let _ = self.account.flash().remove(&self.account.body_path(spilled.number));
        }
    }
}
