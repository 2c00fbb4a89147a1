//! What the appliance asks of a flash: files that grow, and a promise when they are safe.
//!
//! Paths are relative to the data folder, with `/` between their parts. What was written is only
//! durable once the future of a sync has ended well; before that a power cut may drop, keep or tear
//! it, in any order. [`disk`] is the Linux implementation, `sim` the simulated one of the tests.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;

pub mod below;
pub mod disk;
/// Shared with the scenarios.
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

/// The future of a sync: `Ok` means that everything written before the call is durable.
pub type Sync = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// How [`Flash::open`] opens a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For reading; the file exists.
    Read,
    /// For reading and writing; the file exists.
    Write,
    /// For reading and writing; an empty file takes the place of whatever was there.
    Create,
}

/// Octets of the flash that the data folder lies on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What is left for data.
    pub free: u64,
}

/// The unit at most, however large the flash is.
const UNIT: u64 = 4 * 1024 * 1024;

impl Space {
    /// In what the reserves are counted, and how long a segment of the log is: a part of 64, at most 4 MiB.
    pub fn unit(self) -> u64 {
        (self.total / 64).min(UNIT)
    }

    /// What new mail must leave free, so that deleting, flags and the configuration go on working: four units, at most
    /// 16 MiB.
    pub fn reserve(self) -> u64 {
        4 * self.unit()
    }

    /// What a change that is no mail must leave free, so that compaction has room for a segment.
    pub fn change_reserve(self) -> u64 {
        self.last_reserve() + self.unit() + self.unit() / 2
    }

    /// What compaction must leave free: deleting, checkpoints and settings alone may use it.
    pub fn last_reserve(self) -> u64 {
        2 * self.unit()
    }

    /// Whether there is room for `octets` of new mail.
    pub fn has_room_for(self, octets: u64) -> bool {
        self.free >= self.reserve().saturating_add(octets)
    }

    /// Whether the operator has to do something before new mail is refused: an eighth is left, at most
    /// four times the reserve.
    pub fn is_low(self) -> bool {
        self.free < self.reserve().saturating_add((self.total / 16).min(12 * UNIT))
    }
}

/// Whether a refused write says that no other will be taken either: the flash is mounted read-only, as the kernel does by
/// itself after errors, or the medium takes nothing any more.
pub fn takes_no_changes(refused: &io::Error) -> bool {
    refused.kind() == io::ErrorKind::ReadOnlyFilesystem
        || refused.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// What the operator has to know of a flash that takes no changes, and has to do.
pub fn advice(why: &str) -> String {
    format!(
        "the flash takes no changes: {why}; all that is stored can be read: back up with `pillarbox mail export`, then \
         replace the card"
    )
}

/// What the system says about a file of the data folder, in words where the whole flash is the matter.
pub fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => format!("the flash takes no changes: {READ_ONLY}"),
        _ => error.to_string(),
    }
}

/// Why a flash takes no changes, as far as what it said to a write tells.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => READ_ONLY.to_owned(),
        _ => error.to_string(),
    }
}

/// Why a flash takes no changes, where [`Flash::is_read_only`] says so.
pub const READ_ONLY: &str = "it is mounted read-only, by someone or by the kernel after errors";

/// Writes a small file in the place of the one at `path`. Durable on return; until then the one before it is there, whole.
///
/// # Errors
/// What the system says.
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
    /// Opens a file. Durable only once the folder is synced ([`Flash::sync_dir`]), where it is new.
    ///
    /// # Errors
    /// `NotFound` where the mode wants an existing file, or what the system says.
    fn open(&self, path: &str, mode: Mode) -> io::Result<Rc<dyn File>>;
    /// The names in a folder, in no order; empty when there is no such folder.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Creates a folder and those above it, unless they are there.
    ///
    /// # Errors
    /// What the system says.
    fn create_dir(&self, dir: &str) -> io::Result<()>;
    /// Removes a file; one that is not there counts as removed.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Removes a folder with all that is in it.
    ///
    /// # Errors
    /// What the system says.
    fn remove_dir(&self, dir: &str) -> io::Result<()>;
    /// Puts `from` in the place of `to`, whole or not at all.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &str) -> Sync;
    /// How much room there is.
    ///
    /// # Errors
    /// What the system says.
    fn space(&self) -> io::Result<Space>;
    /// Whether the system is known to refuse every change. Where it is not known, a write may be refused all the same:
    /// see [`takes_no_changes`].
    fn is_read_only(&self) -> bool {
        false
    }
}

/// An open file.
pub trait File: ReadAt {
    /// Writes all of `data` at `offset`.
    ///
    /// # Errors
    /// `StorageFull`, or what the system says; part of the data may have been written.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Cuts the file to `len` octets.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes the file's content and length durable.
    fn sync(&self) -> Sync;
    /// Lets what is read from now on come from the medium, but for what still waits to be written to it. What a sync that
    /// failed was to make durable can else be read for as long as the system runs, and is nowhere else.
    fn drop_cache(&self) {}
}

/// Bytes that can be read from any place: a file, a stored message, a slice.
#[allow(clippy::len_without_is_empty, reason = "the length may have to be asked of the system")]
pub trait ReadAt {
    /// Octets in all.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;
    /// Reads up to `buf.len()` octets at `offset`; 0 only at the end.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// All of them, where they are in memory anyway: they need not be copied then.
    fn in_memory(&self) -> Option<&[u8]> {
        None
    }
    /// Fills `buf` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when there is less.
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
