//! A snapshot of an account for a backup: its files as they were at one moment, while commits go on.
//!
//! The log only grows, so a snapshot ends where the log ended at that moment. While a snapshot lives, nothing takes
//! away files that it reads: compaction, replacing the checkpoints, and removing the files of bodies wait. Commits do
//! not wait, and deleting goes on in the room that is reserved for it; the space comes back when the snapshot is
//! dropped.

use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use super::checkpoint::{NEWEST, PREVIOUS};
use super::folders::OWNER;
use super::{Account, Store};
use crate::flash::{File, Flash, Mode};
use crate::store::Error;
use crate::store::format::Place;

/// A file of a snapshot.
pub struct Piece {
    /// The path below the data folder.
    pub path: String,
    /// The file, open for reading.
    pub file: Rc<dyn File>,
    /// Octets of the file that belong to the snapshot.
    pub octets: u64,
}

/// An account, or the queue, as it was at one moment.
pub struct Snapshot {
    flash: Rc<dyn Flash>,
    dir: String,
    /// The account, kept open; `None` when it cannot be opened. Then its files are read as they are, since nothing
    /// changes them.
    held: Option<FilesInUse>,
    files: Vec<SnapshotFile>,
    next: usize,
}

/// A file of the snapshot, below the account's folder.
enum SnapshotFile {
    /// The whole file of this name.
    Whole(String),
    /// A segment of the log, up to this offset when one is given.
    Segment(u32, Option<u32>),
    Body(u32),
}

/// An account whose files are not removed while this value lives.
struct FilesInUse(Rc<Account>);

impl FilesInUse {
    async fn new(account: Rc<Account>) -> FilesInUse {
        // `Account::maintain` may be under way: what it has begun is ended first.
        let _alone = account.maintenance.lock().await;
        account.held.set(account.held.get() + 1);
        FilesInUse(account.clone())
    }
}

impl Drop for FilesInUse {
    fn drop(&mut self) {
        let account = &self.0;
        account.held.set(account.held.get() - 1);
        if account.held.get() == 0 {
            let mut state = account.state.borrow_mut();
            // When the account has failed, another instance may have opened the same files.
            if state.failed.is_none() && state.staged.is_empty() {
                account.remove_orphans(&mut state);
            }
        }
    }
}

impl Store {
    /// A snapshot of the account in `dir`, one of [`Store::folders`], as it is now.
    ///
    /// # Errors
    /// Errors of the flash.
    pub async fn snapshot(&self, dir: &str) -> Result<Snapshot, Error> {
        match self.open_folder(dir).await {
            Ok(account) => Snapshot::take(self.flash.clone(), account).await,
            Err(error) => {
                log::error!("{dir}: {error}; its files are backed up as they are");
                Snapshot::of_files(self.flash.clone(), dir).map_err(|error| Error::io(dir, error))
            }
        }
    }
}

impl Snapshot {
    async fn take(flash: Rc<dyn Flash>, account: Rc<Account>) -> Result<Snapshot, Error> {
        let dir = account.dir().to_owned();
        let held = FilesInUse::new(account.clone()).await;
        // A checkpoint may already contain part of a commit that was being applied: the snapshot must hold that whole
        // commit.
        account.settled().await?;
        let (end, _) = account.durable_state();
        let io = |error| Error::io(&dir, error);
        let mut files = checkpoints(&*flash, &dir).map_err(io)?;
        for segment in account.log(|log| log.segments()).map_err(io)? {
            let Place { segment: last, offset } = end;
            match segment {
                segment if segment < last => files.push(SnapshotFile::Segment(segment, None)),
                segment if segment == last => files.push(SnapshotFile::Segment(segment, Some(offset))),
                _ => {}
            }
        }
        // In a damaged account the record of a body may be lost: `fsck` may bring that message back.
        let bodies = match account.is_damaged() {
            true => in_folder(&*flash, &dir).map_err(io)?,
            // A commit that is being applied may have released bodies that are still needed.
            false => account.index(|index| {
                index.bodies_in_files().into_iter().chain(index.orphan_candidates()).collect()
            }),
        };
        files.extend(bodies.into_iter().map(SnapshotFile::Body));
        Ok(Snapshot { flash, dir, held: Some(held), files, next: 0 })
    }

    fn of_files(flash: Rc<dyn Flash>, dir: &str) -> io::Result<Snapshot> {
        let mut files = checkpoints(&*flash, dir)?;
        let mut segments: Vec<u32> =
            flash.list(&format!("{dir}/log"))?.iter().filter_map(|name| name.parse().ok()).collect();
        segments.sort_unstable();
        files.extend(segments.into_iter().map(|segment| SnapshotFile::Segment(segment, None)));
        files.extend(in_folder(&*flash, dir)?.into_iter().map(SnapshotFile::Body));
        Ok(Snapshot { flash, dir: dir.to_owned(), held: None, files, next: 0 })
    }

    /// Whether the account could be opened. When it could not, its files may not fit together.
    pub fn is_readable(&self) -> bool {
        self.held.is_some()
    }

    /// The next file; `None` when there are no more. A missing file is left out: its messages are damaged in the
    /// account, too.
    ///
    /// # Errors
    /// [`Error::Failed`] when the flash has failed meanwhile, so that another instance may be writing the files;
    /// errors of the flash.
    pub fn next_file(&mut self) -> Result<Option<Piece>, Error> {
        while let Some(kept) = self.files.get(self.next) {
            self.next += 1;
            self.still_holds()?;
            let path = match kept {
                SnapshotFile::Whole(name) => format!("{}/{name}", self.dir),
                SnapshotFile::Segment(segment, _) => format!("{}/log/{segment:08}", self.dir),
                SnapshotFile::Body(body) => format!("{}/body/{body:08x}", self.dir),
            };
            let opened = self.flash.open(&path, Mode::Read).and_then(|file| Ok((file.len()?, file)));
            match opened {
                Ok((len, file)) => {
                    let end = match kept {
                        SnapshotFile::Segment(_, Some(end)) => u64::from(*end),
                        _ => u64::MAX,
                    };
                    return Ok(Some(Piece { path, file, octets: len.min(end) }));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(&path, error)),
            }
        }
        self.still_holds()?;
        Ok(None)
    }

    fn still_holds(&self) -> Result<(), Error> {
        self.held.as_ref().map_or(Ok(()), |held| held.0.ensure_not_failed())
    }
}

/// The file that names the owner, and the checkpoints.
fn checkpoints(flash: &dyn Flash, dir: &str) -> io::Result<Vec<SnapshotFile>> {
    let there = flash.list(dir)?;
    let known = [OWNER, NEWEST, PREVIOUS].into_iter().filter(|name| there.iter().any(|there| there == name));
    Ok(known.map(|name| SnapshotFile::Whole(name.to_owned())).collect())
}

/// The numbers of all bodies in files, whether or not a message refers to them.
fn in_folder(flash: &dyn Flash, dir: &str) -> io::Result<BTreeSet<u32>> {
    let names = flash.list(&format!("{dir}/body"))?;
    Ok(names.iter().filter_map(|name| u32::from_str_radix(name, 16).ok()).collect())
}
