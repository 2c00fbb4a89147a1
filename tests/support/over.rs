//! A flash of a test over another one. It does what the one below does, but for what its test says is special. Shared
//! by the unit tests and the scenarios.

use std::io;
use std::rc::Rc;

use super::{File, Flash, Mode, ReadAt, Space, Sync};

/// What is special about a flash: nothing, unless it is said.
pub trait Special: 'static {
    /// A change is to be made: an error refuses it.
    fn may_change(&self) -> io::Result<()> {
        Ok(())
    }
    /// A file is to be written to, which is a change.
    fn may_write(&self) -> io::Result<()> {
        self.may_change()
    }
    /// So many octets were read.
    fn read(&self, _octets: usize) {}
    /// What takes the place of a sync.
    fn sync(&self, below: Sync) -> Sync {
        below
    }
    fn is_read_only(&self) -> bool {
        false
    }
}

/// The flash below, and what is special above it.
pub struct Over<S> {
    flash: Rc<dyn Flash>,
    pub special: Rc<S>,
}

impl<S: Special> Over<S> {
    pub fn with(flash: impl Flash + 'static, special: Rc<S>) -> Over<S> {
        Over { flash: Rc::new(flash), special }
    }
}

/// A sync is a change, too.
fn sync(special: &impl Special, below: impl FnOnce() -> Sync) -> Sync {
    match special.may_change() {
        Ok(()) => special.sync(below()),
        Err(error) => Box::pin(async { Err(error) }),
    }
}

impl<S: Special> Flash for Over<S> {
    fn open(&self, path: &str, mode: Mode) -> io::Result<Rc<dyn File>> {
        // A medium that fails is noticed with the first write, a read-only file system when a file is opened for one.
        if mode == Mode::Create || (mode == Mode::Write && self.special.is_read_only()) {
            self.special.may_change()?;
        }
        Ok(Rc::new(OverFile { file: self.flash.open(path, mode)?, special: self.special.clone() }))
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.flash.list(dir)
    }
    fn create_dir(&self, dir: &str) -> io::Result<()> {
        if self.flash.list(dir)?.is_empty() {
            self.special.may_change()?;
        }
        self.flash.create_dir(dir)
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        match self.flash.open(path, Mode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            _ => self.special.may_change().and_then(|()| self.flash.remove(path)),
        }
    }
    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.special.may_change().and_then(|()| self.flash.remove_dir(dir))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.special.may_change().and_then(|()| self.flash.rename(from, to))
    }
    fn sync_dir(&self, dir: &str) -> Sync {
        sync(&*self.special, || self.flash.sync_dir(dir))
    }
    fn space(&self) -> io::Result<Space> {
        self.flash.space()
    }
    fn is_read_only(&self) -> bool {
        self.special.is_read_only()
    }
}

struct OverFile<S> {
    file: Rc<dyn File>,
    special: Rc<S>,
}

impl<S: Special> ReadAt for OverFile<S> {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buf).inspect(|octets| self.special.read(*octets))
    }
}

impl<S: Special> File for OverFile<S> {
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.special.may_write().and_then(|()| self.file.write_at(offset, data))
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.special.may_change().and_then(|()| self.file.truncate(len))
    }
    fn sync(&self) -> Sync {
        sync(&*self.special, || self.file.sync())
    }
    fn drop_cache(&self) {
        self.file.drop_cache();
    }
}
