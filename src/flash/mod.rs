//! What the appliance needs of a flash: files that grow, and a promise when their octets are durable.
//!
//! Paths are relative to the data folder, with `/` between their parts. What was written is durable only when the
//! future of a sync has ended without an error; before that a power cut may drop, keep or tear it, in any order.
//! [`disk`] is the Linux implementation, `sim` the simulated one of the tests.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;

pub mod below;
pub mod disk;
/// A flash over another one, for tests; shared with the scenarios of `tests/`.
#[cfg(test)]
#[path = "../../tests/support/over.rs"]
pub(crate) mod over;
#[cfg(test)]
pub mod refusing;
#[cfg(any(test, fuzzing))]
pub mod sim;
mod syncer;
mod uring;
pub mod wear;

/// The future of a sync. `Ok` means that everything written before the call is durable.
pub type Sync = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// How [`Flash::open`] opens a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For reading; the file exists.
    Read,
    /// For reading and writing; the file exists.
    Write,
    /// For reading and writing; an empty file replaces an existing one.
    Create,
}

/// Octets of the flash that the data folder lies on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// Octets of the whole flash.
    pub total: u64,
    /// Octets that are free for data.
    pub free: u64,
}

/// Octets of [`Space::unit`] at most, however large the flash is.
const UNIT: u64 = 4 * 1024 * 1024;

impl Space {
    /// The unit of the reserves, in octets, and the size of a segment of the log: a 64th of the flash, at most 4 MiB.
    pub fn unit(self) -> u64 {
        (self.total / 64).min(UNIT)
    }

    /// Octets that new mail must leave free, so that deleting, flags and the configuration keep working: four units,
    /// at most 16 MiB.
    pub fn reserve(self) -> u64 {
        4 * self.unit()
    }

    /// Octets that changes other than mail must leave free, so that compaction has room for a segment.
    pub fn change_reserve(self) -> u64 {
        self.last_reserve() + self.unit() + self.unit() / 2
    }

    /// Octets that compaction must leave free. Only deleting, checkpoints and settings may use them.
    pub fn last_reserve(self) -> u64 {
        2 * self.unit()
    }

    /// Whether there is room for `octets` of new mail.
    pub fn has_room_for(self, octets: u64) -> bool {
        self.free >= self.reserve().saturating_add(octets)
    }

    /// Whether the operator has to act before new mail is refused: less is free than the reserve plus a sixteenth of
    /// the flash, of which at most 48 MiB count.
    pub fn is_low(self) -> bool {
        self.free < self.reserve().saturating_add((self.total / 16).min(12 * UNIT))
    }
}

/// Whether a refused write means that every other write will be refused, too: the flash is mounted read-only, which
/// the kernel does by itself after errors, or the medium takes no more changes.
pub fn takes_no_changes(refused: &io::Error) -> bool {
    refused.kind() == io::ErrorKind::ReadOnlyFilesystem
        || refused.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// What the operator is told about a flash that takes no changes, and what to do about it.
pub fn advice(why: &str) -> String {
    format!(
        "the flash takes no changes: {why}; all that is stored can be read: back up with `pillarbox mail export`, then \
         replace the card"
    )
}

/// The words for what the system answered at a file of the data folder; they name the flash when the whole flash is
/// affected.
pub fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => format!("the flash takes no changes: {READ_ONLY}"),
        _ => error.to_string(),
    }
}

/// Why a flash takes no changes, as far as the error of a write tells.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => READ_ONLY.to_owned(),
        _ => error.to_string(),
    }
}

/// Why a flash takes no changes when [`Flash::is_read_only`] is true.
pub const READ_ONLY: &str = "it is mounted read-only, by someone or by the kernel after errors";

/// Replaces the small file at `path` by a new one with these octets. The new file is durable on return; until then
/// the old one stays whole.
///
/// # Errors
/// Errors of the flash.
pub async fn replace(flash: &dyn Flash, path: &str, octets: &[u8]) -> io::Result<()> {
    let new = format!("{path}.new");
    let file = flash.open(&new, Mode::Create)?;
    file.write_at(0, octets)?;
    file.sync().await?;
    flash.rename(&new, path)?;
    flash.sync_dir(path.rsplit_once('/').map_or("", |(folder, _)| folder)).await
}

/// A folder tree on flash.
pub trait Flash {
    /// Opens a file. A new file is durable only once its folder is synced ([`Flash::sync_dir`]).
    ///
    /// # Errors
    /// `NotFound` when the mode needs an existing file and there is none; errors of the system.
    fn open(&self, path: &str, mode: Mode) -> io::Result<Rc<dyn File>>;
    /// The names in a folder, in no particular order; empty when there is no such folder.
    ///
    /// # Errors
    /// Errors of the system.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Creates a folder and the missing folders above it.
    ///
    /// # Errors
    /// Errors of the system.
    fn create_dir(&self, dir: &str) -> io::Result<()>;
    /// Removes a file. It is not an error when there is none.
    ///
    /// # Errors
    /// Errors of the system.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Removes a folder and everything in it.
    ///
    /// # Errors
    /// Errors of the system.
    fn remove_dir(&self, dir: &str) -> io::Result<()>;
    /// Renames `from` to `to`, which is replaced when it exists. A cut leaves this done or not done, nothing in
    /// between.
    ///
    /// # Errors
    /// Errors of the system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &str) -> Sync;
    /// How much room the flash has.
    ///
    /// # Errors
    /// Errors of the system.
    fn space(&self) -> io::Result<Space>;
    /// Whether the flash is known to refuse every change. A write may be refused even when this is false: see
    /// [`takes_no_changes`].
    fn is_read_only(&self) -> bool {
        false
    }
}

/// In which order a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// From one place on: the system reads ahead.
    #[default]
    InOrder,
    /// Here and there: what is read ahead would be read in vain.
    Scattered,
}

/// An open file.
pub trait File: ReadAt {
    /// Writes all of `data` at `offset`.
    ///
    /// # Errors
    /// `StorageFull`, or other errors of the system; part of the data may have been written then.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Truncates the file to `len` octets.
    ///
    /// # Errors
    /// Errors of the system.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes the file's content and length durable.
    fn sync(&self) -> Sync;
    /// Drops cached contents, so that later reads come from the medium; what still waits to be written is kept.
    /// Without this, what a failed sync was to make durable could be read as long as the system runs, although it is
    /// not on the medium.
    fn drop_cache(&self) {}
    /// Tells the system in which order the file will be read from now on.
    fn expect(&self, _reading: Reading) {}
}

/// Octets that can be read at any offset: a file, a stored message, a slice.
#[allow(clippy::len_without_is_empty, reason = "the length may have to be asked of the system")]
pub trait ReadAt {
    /// The number of octets.
    ///
    /// # Errors
    /// Errors of the system.
    fn len(&self) -> io::Result<u64>;
    /// Reads up to `buf.len()` octets at `offset`. Returns how many were read; 0 only at the end.
    ///
    /// # Errors
    /// Errors of the system.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// All octets, when they are in memory anyway and need not be copied.
    fn in_memory(&self) -> Option<&[u8]> {
        None
    }
    /// Fills `buf` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when there are fewer octets; errors of the system.
    fn read_exact_at(&self, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            let n = self.read_at(offset, buf)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset += n as u64;
            buf = &mut buf[n..];
        }
        Ok(())
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset, buf)
    }
    fn in_memory(&self) -> Option<&[u8]> {
        (**self).in_memory()
    }
}

impl ReadAt for [u8] {
    fn len(&self) -> io::Result<u64> {
        Ok(<[u8]>::len(self) as u64)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
    fn in_memory(&self) -> Option<&[u8]> {
        Some(self)
    }
}
