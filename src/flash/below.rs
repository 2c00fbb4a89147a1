//! A folder of a flash that is used as a flash of its own.

use std::io;
use std::rc::Rc;

use super::{File, Flash, Mode, Space, Sync};

/// The part of a flash below a folder.
pub struct Below {
    flash: Rc<dyn Flash>,
    folder: String,
}

impl Below {
    /// The part of `flash` below `folder`.
    pub fn new(flash: Rc<dyn Flash>, folder: &str) -> Below {
        Below { flash, folder: folder.to_owned() }
    }

    fn path(&self, path: &str) -> String {
        if path.is_empty() { self.folder.clone() } else { format!("{}/{path}", self.folder) }
    }
}

impl Flash for Below {
    fn open(&self, path: &str, mode: Mode) -> io::Result<Rc<dyn File>> {
        self.flash.open(&self.path(path), mode)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.flash.list(&self.path(dir))
    }
    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.flash.create_dir(&self.path(dir))
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.flash.remove(&self.path(path))
    }
    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.flash.remove_dir(&self.path(dir))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.flash.rename(&self.path(from), &self.path(to))
    }
    fn sync_dir(&self, dir: &str) -> Sync {
        self.flash.sync_dir(&self.path(dir))
    }
    fn space(&self) -> io::Result<Space> {
        self.flash.space()
    }
    fn is_read_only(&self) -> bool {
        self.flash.is_read_only()
    }
}
