//! For tests: a flash that can be read and takes no changes, as a card that turned read-only or answers EIO to writes.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use rustix::io::Errno;

use super::{File, Flash, Mode, ReadAt, Space, Sync};

/// What answers every change; `None`: it is made.
type Answer = Rc<Cell<Option<Errno>>>;

/// What is on another flash; its changes are refused, or will be once the test says so.
pub struct Refusing {
    flash: Rc<dyn Flash>,
    answer: Answer,
}

impl Refusing {
    /// `flash`, whose every change is answered by `answer`.
    pub fn new(flash: impl Flash + 'static, answer: Option<Errno>) -> Refusing {
        Refusing { flash: Rc::new(flash), answer: Rc::new(Cell::new(answer)) }
    }

    /// From now on every change is answered so.
    pub fn answer(&self, answer: Option<Errno>) {
        self.answer.set(answer);
    }

    fn asked(&self) -> io::Result<()> {
        asked(&self.answer)
    }
}

fn asked(answer: &Answer) -> io::Result<()> {
    answer.get().map_or(Ok(()), |errno| Err(errno.into()))
}

impl Flash for Refusing {
    fn open(&self, path: &str, mode: Mode) -> io::Result<Rc<dyn File>> {
        // A medium that fails is noticed with the first write, a read-only file system when a file is opened for one.
        if mode == Mode::Create || (mode == Mode::Write && self.is_read_only()) {
            self.asked()?;
        }
        let file = self.flash.open(path, mode)?;
        Ok(Rc::new(RefusingFile { file, answer: self.answer.clone() }))
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.flash.list(dir)
    }
    fn create_dir(&self, dir: &str) -> io::Result<()> {
        if self.flash.list(dir)?.is_empty() {
            self.asked()?;
        }
        self.flash.create_dir(dir)
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        match self.flash.open(path, Mode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            _ => self.asked().and_then(|()| self.flash.remove(path)),
        }
    }
    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.asked().and_then(|()| self.flash.remove_dir(dir))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.asked().and_then(|()| self.flash.rename(from, to))
    }
    fn sync_dir(&self, dir: &str) -> Sync {
        match self.asked() {
            Ok(()) => self.flash.sync_dir(dir),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }
    fn space(&self) -> io::Result<Space> {
        self.flash.space()
    }
    fn is_read_only(&self) -> bool {
        self.answer.get() == Some(Errno::ROFS)
    }
}

/// One of its files.
struct RefusingFile {
    file: Rc<dyn File>,
    answer: Answer,
}

impl ReadAt for RefusingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buf)
    }
}

impl File for RefusingFile {
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        asked(&self.answer).and_then(|()| self.file.write_at(offset, data))
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        asked(&self.answer).and_then(|()| self.file.truncate(len))
    }
    fn sync(&self) -> Sync {
        match asked(&self.answer) {
            Ok(()) => self.file.sync(),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }
    fn drop_cache(&self) {
        self.file.drop_cache();
    }
}
