//! The two slots of a board, and the sector that says which of them is booted.
//!
//! The partition begins with the boot state, one sector, which the card writes whole or not at all. Behind it are slot A
//! and slot B: an image each (kernel, device tree, initramfs). The running slot is never written. The other one is
//! written while nothing says that it should be booted; then it is tried once, and stays only when it is confirmed. So
//! there is no moment at which a power cut leaves nothing to boot.
//!
//! Blocking: this runs as root in a process of its own, never in the appliance's.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use ring::digest;
use rustix::fs::{Advice, fadvise};

/// Octets of the boot state: one sector.
pub const SECTOR: usize = 512;
/// Octets of a slot.
pub const SLOT_SIZE: u64 = 24 << 20;
/// Octets read back at once.
const PIECE: usize = 64 << 10;

const MAGIC: &[u8] = b"PBXSLOT1";
const ACTIVE: usize = 8;
const TRY: usize = 9;
const TRIED: usize = 10;
const REASON: std::ops::Range<usize> = 32..256;
/// How an image in the format of U-Boot, a flattened tree, begins.
const IMAGE_MAGIC: [u8; 4] = [0xd0, 0x0d, 0xfe, 0xed];

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The one that a new card has.
    A,
    /// The other.
    B,
}

impl Slot {
    /// The other one.
    pub fn other(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    /// By its letter.
    pub fn named(letter: &str) -> Option<Slot> {
        match letter.as_bytes() {
            [octet] => Slot::of(*octet),
            _ => None,
        }
    }

    fn of(octet: u8) -> Option<Slot> {
        match octet {
            b'A' => Some(Slot::A),
            b'B' => Some(Slot::B),
            _ => None,
        }
    }

    fn octet(slot: Option<Slot>) -> u8 {
        match slot {
            None => 0,
            Some(Slot::A) => b'A',
            Some(Slot::B) => b'B',
        }
    }

    /// Where it begins in the partition.
    pub fn offset(self) -> u64 {
        const FIRST: u64 = 1 << 20;
        match self {
            Slot::A => FIRST,
            Slot::B => FIRST + SLOT_SIZE,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Slot::A => "A",
            Slot::B => "B",
        })
    }
}

/// The boot state. Octets that this version does not know stay as they are.
#[derive(Clone, PartialEq, Eq)]
pub struct BootState([u8; SECTOR]);

impl BootState {
    /// A sector that was never written means: A is active, and nothing is to be tried.
    pub fn parse(sector: [u8; SECTOR]) -> BootState {
        if sector.starts_with(MAGIC) {
            return BootState(sector);
        }
        let mut sector = [0; SECTOR];
        sector[..MAGIC.len()].copy_from_slice(MAGIC);
        sector[ACTIVE] = Slot::octet(Some(Slot::A));
        BootState(sector)
    }

    /// The sector.
    pub fn sector(&self) -> &[u8; SECTOR] {
        &self.0
    }

    /// The slot that is booted when none is to be tried.
    pub fn active(&self) -> Slot {
        Slot::of(self.0[ACTIVE]).unwrap_or(Slot::A)
    }

    /// The slot that the next start tries, once.
    pub fn to_try(&self) -> Option<Slot> {
        Slot::of(self.0[TRY])
    }

    /// The slot that was tried and is not confirmed: either it runs, or it did not work.
    pub fn tried(&self) -> Option<Slot> {
        Slot::of(self.0[TRIED])
    }

    /// Why the last trial failed; empty where nobody could tell.
    pub fn reason(&self) -> String {
        let text = self.0[REASON].split(|&octet| octet == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// `active` stays; `to_try` is what the next start tries; the last trial is forgotten.
    fn decide(&mut self, active: Slot, to_try: Option<Slot>) {
        self.0[ACTIVE] = Slot::octet(Some(active));
        self.0[TRY] = Slot::octet(to_try);
        self.0[TRIED] = 0;
        self.set_reason("");
    }

    /// Keeps what fits.
    fn set_reason(&mut self, reason: &str) {
        let kept = reason.floor_char_boundary(REASON.len());
        let field = &mut self.0[REASON];
        field.fill(0);
        field[..kept].copy_from_slice(&reason.as_bytes()[..kept]);
    }
}

impl fmt::Debug for BootState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (active, to_try, tried) = (self.active(), self.to_try(), self.tried());
        write!(f, "active {active}, to try {to_try:?}, tried {tried:?}, reason {:?}", self.reason())
    }
}

/// For sh: `ACTIVE=A TRY= TRIED=B REASON="it did not get ready"`, with nothing in it that a shell would act upon.
impl fmt::Display for BootState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |slot: Option<Slot>| slot.map(|slot| slot.to_string()).unwrap_or_default();
        let harmless = |c: char| if c.is_control() || "\"\\$`!".contains(c) { '?' } else { c };
        let reason: String = self.reason().chars().map(harmless).collect();
        let (to_try, tried) = (letter(self.to_try()), letter(self.tried()));
        write!(f, "ACTIVE={} TRY={to_try} TRIED={tried} REASON=\"{reason}\"", self.active())
    }
}

/// A partition.
pub trait Partition {
    /// Fills `buf` from `offset` on.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
    /// Writes all of `data` at `offset`.
    ///
    /// # Errors
    /// What the system says; part of it may have been written.
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Everything written is on the card, and what is read from now on comes from there.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self) -> io::Result<()>;
}

impl Partition for File {
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buf, offset)
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write_all_at(data, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.sync_all()?;
        // Else what is read back would be what the kernel still has in memory.
        Ok(fadvise(self, 0, None, Advice::DontNeed)?)
    }
}

/// Why the slots stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum SlotsError {
    /// The sector, or an image, cannot be read.
    #[error("the slots cannot be read: {0}: the card may be damaged")]
    Read(io::Error),
    /// The card does not take it.
    #[error("the slots cannot be written: {0}: the card may be damaged; the present version stays")]
    Write(io::Error),
    /// Whether the running slot works is not known yet, and the other one is what it would fall back to.
    #[error("slot {0} is still on trial: wait until it is confirmed, or restart to go back")]
    OnTrial(Slot),
    /// An image does not fit.
    #[error("a slot has room for {} octets: the image is larger", SLOT_SIZE)]
    TooLarge,
    /// What was written is not what is there.
    #[error("slot {0} does not hold what was written to it: the card is worn out; the present version stays")]
    ReadBack(Slot),
    /// There is nothing to boot.
    #[error("slot {0} holds no version yet: the first update fills it")]
    Empty(Slot),
}

/// The slots of the board that this runs on.
pub struct Slots<P> {
    partition: P,
    running: Slot,
}

impl<P: Partition> Slots<P> {
    /// `running` is the slot that the kernel came from, whatever the boot state says.
    pub fn new(partition: P, running: Slot) -> Slots<P> {
        Slots { partition, running }
    }

    /// The boot state as it stands.
    ///
    /// # Errors
    /// [`SlotsError::Read`].
    pub fn state(&self) -> Result<BootState, SlotsError> {
        let mut sector = [0; SECTOR];
        self.partition.read(0, &mut sector).map_err(SlotsError::Read)?;
        Ok(BootState::parse(sector))
    }

    /// One sector, and only when it changes.
    fn store(&self, before: &BootState, after: &BootState) -> Result<(), SlotsError> {
        if before == after {
            return Ok(());
        }
        self.partition
            .write(0, after.sector())
            .and_then(|()| self.partition.sync())
            .map_err(SlotsError::Write)
    }

    /// The running slot works: it is booted from now on.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub fn confirm(&self) -> Result<(), SlotsError> {
        let before = self.state()?;
        if before.active() == self.running {
            return Ok(());
        }
        let mut after = before.clone();
        after.decide(self.running, None);
        self.store(&before, &after)
    }

    /// The running slot, on trial, does not work, for this reason. The next start falls back.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub fn failed(&self, reason: &str) -> Result<(), SlotsError> {
        let before = self.state()?;
        let mut after = before.clone();
        after.set_reason(reason);
        self.store(&before, &after)
    }

    /// The next start tries the other slot.
    ///
    /// # Errors
    /// There is nothing in it, or the running one is on trial itself.
    pub fn switch(&self) -> Result<Slot, SlotsError> {
        let before = self.unless_on_trial()?;
        let other = self.running.other();
        let mut magic = [0; 4];
        self.partition.read(other.offset(), &mut magic).map_err(SlotsError::Read)?;
        if magic != IMAGE_MAGIC {
            return Err(SlotsError::Empty(other));
        }
        let mut after = before.clone();
        after.decide(self.running, Some(other));
        self.store(&before, &after)?;
        Ok(other)
    }

    /// Begins to write the other slot. From here on the running one is active and nothing is to be tried: what the
    /// other one holds does not matter until [`Writing::finish`].
    ///
    /// # Errors
    /// The running slot is on trial, or the state cannot be read or written.
    pub fn begin(&self) -> Result<Writing<'_, P>, SlotsError> {
        let before = self.unless_on_trial()?;
        let mut after = before.clone();
        after.decide(self.running, None);
        self.store(&before, &after)?;
        let digest = digest::Context::new(&digest::SHA256);
        Ok(Writing { slots: self, slot: self.running.other(), written: 0, digest })
    }

    /// While the running slot is on trial, the other one is all that is known to work.
    fn unless_on_trial(&self) -> Result<BootState, SlotsError> {
        let state = self.state()?;
        match state.tried() == Some(self.running) && state.active() != self.running {
            true => Err(SlotsError::OnTrial(self.running)),
            false => Ok(state),
        }
    }
}

/// An image on its way into the slot that is not running.
pub struct Writing<'a, P> {
    slots: &'a Slots<P>,
    slot: Slot,
    written: u64,
    digest: digest::Context,
}

impl<P: Partition> Writing<'_, P> {
    /// The slot.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Writes what follows.
    ///
    /// # Errors
    /// It does not fit, or the card does not take it.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), SlotsError> {
        let end = self.written + piece.len() as u64;
        if end > SLOT_SIZE {
            return Err(SlotsError::TooLarge);
        }
        let at = self.slot.offset() + self.written;
        self.slots.partition.write(at, piece).map_err(SlotsError::Write)?;
        self.digest.update(piece);
        self.written = end;
        Ok(())
    }

    /// Everything has come: when the card gives back what was written, the next start tries it.
    ///
    /// # Errors
    /// The card does not have what was written.
    pub fn finish(self) -> Result<(), SlotsError> {
        let Writing { slots, slot, written, digest } = self;
        slots.partition.sync().map_err(SlotsError::Write)?;
        if slots.digest(slot, written)?.as_ref() != digest.finish().as_ref() {
            return Err(SlotsError::ReadBack(slot));
        }
        let before = slots.state()?;
        let mut after = before.clone();
        after.decide(slots.running, Some(slot));
        slots.store(&before, &after)
    }
}

impl<P: Partition> Slots<P> {
    /// Of the first `len` octets of a slot, as the card gives them.
    fn digest(&self, slot: Slot, len: u64) -> Result<digest::Digest, SlotsError> {
        let mut digest = digest::Context::new(&digest::SHA256);
        let mut buffer = vec![0; PIECE];
        let mut at = 0;
        while at < len {
            let wanted = usize::try_from(len - at).unwrap_or(PIECE).min(PIECE);
            let piece = &mut buffer[..wanted];
            self.partition.read(slot.offset() + at, piece).map_err(SlotsError::Read)?;
            digest.update(piece);
            at += wanted as u64;
        }
        Ok(digest.finish())
    }
}

#[cfg(test)]
mod tests;
