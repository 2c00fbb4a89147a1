//! A flash that is a folder of the Linux file system. Its folders have mode 0700, its files 0600.

use std::cell::Cell;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{Advice, OFlags, StatVfsMountFlags, fadvise};
use rustix::io::Errno;

use super::syncer::Syncer;
use super::{File, Flash, Mode, ReadAt, Reading, Space, Sync};

/// The file whose lock makes sure that only one appliance uses a data folder. It records which file it is, so that a
/// copy of the folder is recognised: see `data_folder::origin`.
pub const LOCK: &str = "lock";

/// A [`Flash`] that is a folder of the Linux file system.
pub struct Disk {
    root: PathBuf,
    syncer: Rc<Syncer>,
}

impl Disk {
    /// The folder `root`, which is created when it does not exist.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<Disk> {
        let root = root.into();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
        Ok(Disk { root, syncer: Rc::new(Syncer::new()) })
    }

    /// A file or folder that was opened elsewhere, to be written and synced like those opened here.
    pub fn adopt(&self, file: fs::File) -> Rc<dyn File> {
        Rc::new(DiskFile { file: Rc::new(file), syncer: self.syncer.clone(), reading: Cell::default() })
    }
}

impl Flash for Disk {
    fn open(&self, path: &str, mode: Mode) -> io::Result<Rc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        // Otherwise reading would write the access time: to flash, and in every read.
        let flags = OFlags::NOATIME.bits().cast_signed();
        options.read(true).write(mode != Mode::Read).mode(0o600).custom_flags(flags);
        if mode == Mode::Create {
            options.create(true).truncate(true);
        }
        let path = self.root.join(path);
        let file = match options.open(&path) {
            // Only the owner of a file may ask for this.
            Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
                options.custom_flags(0).open(&path)?
            }
            other => other?,
        };
        Ok(self.adopt(file))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join(dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.root.join(dir))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let path = self.root.join(path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // A read-only file system refuses before it checks whether there is anything to remove.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem && is_missing(&path) => Ok(()),
            other => other,
        }
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.root.join(dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn sync_dir(&self, dir: &str) -> Sync {
        match fs::File::open(self.root.join(dir)) {
            Ok(folder) => self.syncer.sync(Rc::new(folder)),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }

    fn space(&self) -> io::Result<Space> {
        let system = rustix::fs::statvfs(&self.root)?;
        Ok(Space { total: system.f_blocks * system.f_frsize, free: system.f_bavail * system.f_frsize })
    }

    fn is_read_only(&self) -> bool {
        let mounted = rustix::fs::statvfs(&self.root);
        if mounted.is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY)) {
            return true;
        }
        // Since Linux 6.15 an ext4 file system that has met an error keeps its flags, and refuses to open files for
        // writing.
        let lock = fs::OpenOptions::new().write(true).open(self.root.join(LOCK));
        lock.is_err_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem)
    }
}

fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

struct DiskFile {
    file: Rc<fs::File>,
    syncer: Rc<Syncer>,
    /// What the system was told last.
    reading: Cell<Reading>,
}

impl ReadAt for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read_at(buf, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

impl File for DiskFile {
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync(&self) -> Sync {
        self.syncer.sync(self.file.clone())
    }
    fn drop_cache(&self) {
        // A file system that keeps no pages has none to drop.
        let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
    }
    fn expect(&self, reading: Reading) {
        if self.reading.replace(reading) != reading {
            let advice = match reading {
                Reading::InOrder => Advice::Normal,
                Reading::Scattered => Advice::Random,
            };
            // A file system that reads nothing ahead needs no advice.
            let _ = fadvise(&self.file, 0, None, advice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::uring::Ring;

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("pillarbox-disk-{name}-{}", std::process::id()))
    }

    /// The ring; `None` when the kernel refuses io_uring and `PILLARBOX_MAY_SKIP` allows that.
    fn ring() -> Option<Ring> {
        let skipped = std::env::var("PILLARBOX_MAY_SKIP").unwrap_or_default();
        let refused = |error: &io::Error| {
            assert!(skipped.split(',').any(|name| name == "io_uring"), "no io_uring for us: {error}");
        };
        Ring::new().inspect_err(refused).ok()
    }

    #[test]
    fn files_are_written_synced_renamed_and_removed() {
        let root = folder("files");
        let disk = Disk::new(&root).unwrap();
        smol::block_on(async {
            disk.create_dir("a/b").unwrap();
            let file = disk.open("a/b/new", Mode::Create).unwrap();
            file.write_at(3, b"defg").unwrap();
            file.write_at(0, b"abc").unwrap();
            file.truncate(6).unwrap();
            file.sync().await.unwrap();
            disk.rename("a/b/new", "a/b/file").unwrap();
            disk.sync_dir("a/b").await.unwrap();
            assert_eq!(disk.list("a/b").unwrap(), ["file"]);
            let mut octets = [0; 8];
            let file = disk.open("a/b/file", Mode::Read).unwrap();
            assert_eq!((file.len().unwrap(), file.read_at(2, &mut octets).unwrap()), (6, 4));
            assert_eq!(&octets[..4], b"cdef");
            assert_eq!(disk.open("a/b/new", Mode::Read).err().unwrap().kind(), io::ErrorKind::NotFound);
            disk.remove("a/b/new").unwrap();
            disk.remove_dir("a").unwrap();
            assert!(disk.list("a/b").unwrap().is_empty());
            assert!(disk.space().unwrap().free > 0);
        });
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn syncs_go_through_the_ring_side_by_side_and_may_be_given_up() {
        let Some(ring) = ring() else { return };
        let root = folder("ring");
        fs::create_dir_all(&root).unwrap();
        let file = |n: usize| {
            let file = fs::File::create(root.join(n.to_string())).unwrap();
            file.write_all_at(&[1; 10_000], 0).unwrap();
            Rc::new(file)
        };
        async_io::block_on(async {
            for round in 0..20 {
                let mut syncs: Vec<_> = (0..40).map(|n| Box::pin(ring.fdatasync(file(n)))).collect();
                // One sync is polled and then dropped: its answer comes when nothing waits for it.
                let given_up = syncs.swap_remove(round);
                smol::future::or(async { drop(given_up.await) }, smol::future::ready(())).await;
                for sync in syncs {
                    sync.await.unwrap();
                }
            }
        });
        fs::remove_dir_all(&root).unwrap();
    }

    /// Catches: a waiter that is not woken because another one has read its completion: a sync without a later one
    /// would then wait for the next sync.
    #[test]
    fn no_completion_is_missed() {
        let Some(ring) = ring() else { return };
        let root = folder("wakes");
        fs::create_dir_all(&root).unwrap();
        let executor = smol::LocalExecutor::new();
        async_io::block_on(executor.run(async {
            for round in 0..3000 {
                let files = (0..3).map(|n| Rc::new(fs::File::create(root.join(n.to_string())).unwrap()));
                let tasks: Vec<_> = files.map(|file| executor.spawn(ring.fdatasync(file))).collect();
                for task in tasks {
                    let late = async {
                        async_io::Timer::after(std::time::Duration::from_secs(20)).await;
                        panic!("round {round}: a sync has not ended");
                    };
                    smol::future::or(task, late).await.unwrap();
                }
            }
        }));
        fs::remove_dir_all(&root).unwrap();
    }
}
