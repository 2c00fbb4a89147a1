//! The folder of an export. A file gets its name there only when it is complete and durable.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use super::beneath::Beneath;
use crate::failure::Failure;
use crate::flash::disk::Disk;
use crate::flash::{File, Sync};
use crate::pace::Pace;

/// Octets that are collected before they are written.
const PIECE: usize = 64 * 1024;
/// Octets of a file after which it is synced: to sync a large file at once would hold up everybody on the flash.
const UNSYNCED: u64 = 4 * 1024 * 1024;
/// Files that wait to be synced, at most.
const BATCH: usize = 64;
/// Files that are synced in parallel, where that costs little more than one. On a disk that is so fast that each sync
/// is made at once, other tasks wait for no more than so many.
const SIDE_BY_SIDE: usize = 4;

/// The folder of an export.
pub struct Target {
    root: PathBuf,
    folder: Beneath,
    /// Syncs the files.
    disk: Disk,
}

impl Target {
    /// Opens the folder `root`, which is made if it does not exist.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(root: &Path) -> Result<Target, Failure> {
        let disk = Disk::new(root).map_err(Failure::at(root))?;
        let folder = Beneath::open(root).map_err(Failure::at(root))?;
        Ok(Target { root: root.to_owned(), folder, disk })
    }

    /// The failure for an error of the system about `path`.
    pub fn at(&self, path: &str) -> impl FnOnce(io::Error) -> Failure {
        let path = self.root.join(path);
        move |error| Failure::at(&path)(error)
    }

    /// The names in a folder; empty if it does not exist.
    ///
    /// # Errors
    /// What the system says.
    pub fn list(&self, dir: &str) -> Result<Vec<String>, Failure> {
        let list = || -> io::Result<Vec<String>> {
            let entries = match self.folder.list(Path::new(dir)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                other => other?,
            };
            entries.map(|entry| Ok(entry?.0.to_string_lossy().into_owned())).collect()
        };
        list().map_err(self.at(dir))
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn create_dir(&self, dir: &str) -> Result<(), Failure> {
        self.folder.create_dir(dir).map_err(self.at(dir))
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, path: &str) -> Result<(), Failure> {
        self.folder.remove(path).map_err(self.at(path))
    }

    /// Removes a folder if it exists and is empty. Returns whether it is gone.
    pub fn remove_empty_dir(&self, dir: &str) -> bool {
        let removed = self.folder.remove_dir(dir);
        removed.is_ok() || self.folder.look(dir).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Gives a file another name.
    ///
    /// # Errors
    /// What the system says.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), Failure> {
        self.folder.rename(from, to).map_err(|error| match error.kind() {
            // FAT, which most memory sticks have.
            io::ErrorKind::InvalidInput if to.contains(':') => Failure::System(format!(
                "{}: the file system there takes no colons in names, which a Maildir needs: use --format mbox",
                self.root.display()
            )),
            _ => self.at(to)(error),
        })
    }

    /// Octets of a file; `None` if it does not exist.
    pub fn len(&self, path: &str) -> Option<u64> {
        self.folder.look(path).ok().filter(fs::Metadata::is_file).map(|file| file.len())
    }

    /// Opens a file for reading; `None` if it does not exist.
    pub fn open(&self, path: &str) -> Option<fs::File> {
        self.folder.read(path).ok()
    }

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// What the system says.
    pub async fn sync_dir(&self, dir: &str) -> Result<(), Failure> {
        let folder = self.folder.folder(dir).map_err(self.at(dir))?;
        self.disk.adopt(folder).sync().await.map_err(self.at(dir))
    }

    /// Begins a file with the preliminary name `path`.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(&self, path: String) -> Result<Draft<'_>, Failure> {
        let file = self.folder.create(&path).map_err(self.at(&path))?;
        let file = self.disk.adopt(file);
        Ok(Draft { target: self, path, file, written: 0, synced: 0, waiting: Vec::new() })
    }

    /// Writes a small file completely or not at all.
    ///
    /// # Errors
    /// What the system says.
    pub async fn put(&self, path: &str, text: &str) -> Result<(), Failure> {
        let mut draft = self.create(format!("{path}.new"))?;
        draft.write(text.as_bytes())?;
        draft.put_in_place(path).await
    }

    fn set_modified(&self, path: &str, date: i64) -> io::Result<()> {
        let distance = Duration::from_secs(date.unsigned_abs());
        let moment = match date < 0 {
            true => SystemTime::UNIX_EPOCH.checked_sub(distance),
            false => SystemTime::UNIX_EPOCH.checked_add(distance),
        };
        // A date that the file system cannot hold is in the manifest.
        let Some(moment) = moment else { return Ok(()) };
        match self.folder.read(path)?.set_modified(moment) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            other => other,
        }
    }
}

/// A file that is being written.
pub struct Draft<'a> {
    target: &'a Target,
    path: String,
    file: Rc<dyn File>,
    written: u64,
    synced: u64,
    waiting: Vec<u8>,
}

impl Draft<'_> {
    /// Octets written so far.
    pub fn len(&self) -> u64 {
        self.written + self.waiting.len() as u64
    }

    /// Appends octets.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), Failure> {
        self.waiting.extend_from_slice(octets);
        if self.waiting.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.file.write_at(self.written, &self.waiting).map_err(self.target.at(&self.path))?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Syncs what was written so far if it is much.
    ///
    /// # Errors
    /// What the system says.
    pub async fn settle_some(&mut self) -> Result<(), Failure> {
        if self.written - self.synced >= UNSYNCED {
            self.file.sync().await.map_err(self.target.at(&self.path))?;
            self.synced = self.written;
        }
        Ok(())
    }

    /// Removes the octets from `len` on.
    ///
    /// # Errors
    /// What the system says.
    pub fn cut(&mut self, len: u64) -> Result<(), Failure> {
        self.flush()?;
        self.file.truncate(len).map_err(self.target.at(&self.path))?;
        self.written = len;
        self.synced = self.synced.min(len);
        Ok(())
    }

    /// Syncs the file and gives it the name `name`, in the place of a file with that name.
    ///
    /// # Errors
    /// What the system says.
    pub async fn put_in_place(mut self, name: &str) -> Result<(), Failure> {
        self.flush()?;
        self.file.sync().await.map_err(self.target.at(&self.path))?;
        self.target.rename(&self.path, name)
    }
}

/// Files that get their names when they are durable.
pub struct Batch<'a> {
    target: &'a Target,
    pace: Pace,
    waiting: Vec<(Rc<dyn File>, String, String)>,
}

impl<'a> Batch<'a> {
    /// A batch without files.
    pub fn new(target: &'a Target) -> Batch<'a> {
        Batch { target, pace: Pace::new(), waiting: Vec::new() }
    }

    /// Adds a file that is to get the name `name` and the modification time `date`.
    ///
    /// # Errors
    /// What the system says.
    pub async fn add(&mut self, mut draft: Draft<'a>, name: String, date: i64) -> Result<(), Failure> {
        draft.flush()?;
        self.target.set_modified(&draft.path, date).map_err(self.target.at(&draft.path))?;
        self.waiting.push((draft.file, draft.path, name));
        if self.waiting.len() >= BATCH { self.put_in_place().await } else { Ok(()) }
    }

    /// Syncs all files and gives them their names.
    ///
    /// # Errors
    /// What the system says.
    pub async fn put_in_place(&mut self) -> Result<(), Failure> {
        for some in self.waiting.chunks(SIDE_BY_SIDE) {
            let syncs = some.iter().map(|(file, ..)| file.sync()).collect();
            all(syncs).await.map_err(Failure::at(&self.target.root))?;
            self.pace.keep().await;
        }
        for (_, from, to) in self.waiting.drain(..) {
            self.target.rename(&from, &to)?;
        }
        Ok(())
    }
}

/// Runs syncs in parallel.
async fn all(mut syncs: Vec<Sync>) -> io::Result<()> {
    poll_fn(|context| {
        let mut outcome = Ok(());
        syncs.retain_mut(|sync| match sync.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(ended) => {
                if ended.is_err() {
                    outcome = ended;
                }
                false
            }
        });
        match outcome {
            Ok(()) if !syncs.is_empty() => Poll::Pending,
            outcome => Poll::Ready(outcome),
        }
    })
    .await
}
