//! Linux files under one folder.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use super::{File, Flash, Mode, Space, Sync};

/// A [`Flash`] that is a folder of the Linux file system.
pub struct Disk {
    #[allow(dead_code)]
    root: PathBuf,
}

impl Disk {
    /// The folder `root`, created with mode 0700 where it is not there.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<Disk> {
        Ok(Disk { root: root.into() })
    }
}

impl Flash for Disk {
    fn open(&self, _path: &str, _mode: Mode) -> io::Result<Rc<dyn File>> {
        todo!()
    }
    fn list(&self, _dir: &str) -> io::Result<Vec<String>> {
        todo!()
    }
    fn create_dir(&self, _dir: &str) -> io::Result<()> {
        todo!()
    }
    fn remove(&self, _path: &str) -> io::Result<()> {
        todo!()
    }
    fn remove_dir(&self, _dir: &str) -> io::Result<()> {
        todo!()
    }
    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        todo!()
    }
    fn sync_dir(&self, _dir: &str) -> Sync {
        todo!()
    }
    fn space(&self) -> io::Result<Space> {
        todo!()
    }
}
