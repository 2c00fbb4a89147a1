//! A point in time of an account, for a backup: its files as they were then, while commits go on.
//!
//! The log only grows, so a point in time is where it ended. What would take files away beneath who reads them waits as
//! long as a snapshot lives: compaction, the checkpoints that it needs, and the removal of bodies in files. Commits do not
//! wait, and deleting goes on by the room that is kept for it; the space comes back when the snapshot is dropped.

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
    /// Below the data folder.
    pub path: String,
    /// Open for reading.
    pub file: Rc<dyn File>,
    /// Octets of it that belong to the snapshot.
    pub octets: u64,
}

/// An account, or the queue, as it was at one moment.
pub struct Snapshot {
    flash: Rc<dyn Flash>,
    dir: String,
    /// `None` where it cannot be opened: then its files are taken as they are, for nobody changes them.
    held: Option<Held>,
    files: Vec<Kept>,
    next: usize,
}

/// Which file, below the account's folder.
enum Kept {
    /// All of it.
    Whole(String),
    /// A segment of the log, up to this place at the most.
    Segment(u32, Option<u32>),
    Body(u32),
}

/// An account whose files stay.
struct Held(Rc<Account>);

impl Held {
    async fn new(account: Rc<Account>) -> Held {
        // Who looks after it may be at work: what is begun is ended first.
        let _alone = account.maintenance.lock().await;
        account.held.set(account.held.get() + 1);
        Held(account.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let account = &self.0;
        account.held.set(account.held.get() - 1);
        if account.held.get() == 0 {
            let mut state = account.state.borrow_mut();
            // From a failed account another one has taken over, with the same files.
            if state.failed.is_none() && state.staged.is_empty() {
                account.remove_orphans(&mut state);
            }
        }
    }
}

impl Store {
    /// The account in `dir`, one of [`Store::folders`], as it is now.
    ///
    /// # Errors
    /// What the flash says.
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
        let held = Held::new(account.clone()).await;
        // A checkpoint may know some of a commit that was being applied: that one is to be in the snapshot as a whole.
        account.settled().await?;
        let (end, _) = account.durable_state();
        let io = |error| Error::io(&dir, error);
        let mut files = checkpoints(&*flash, &dir).map_err(io)?;
        for segment in account.log(|log| log.segments()).map_err(io)? {
            let Place { segment: last, offset } = end;
            match segment {
                segment if segment < last => files.push(Kept::Segment(segment, None)),
                segment if segment == last => files.push(Kept::Segment(segment, Some(offset))),
                _ => {}
            }
        }
        // In a damaged account a message may have a body whose record is lost: `fsck` may bring it back.
        let bodies = match account.is_damaged() {
            true => in_folder(&*flash, &dir).map_err(io)?,
            // A commit that is being applied may have let go of some that are still needed.
            false => {
                account.index(|index| index.bodies_in_files().into_iter().chain(index.loosened()).collect())
            }
        };
        files.extend(bodies.into_iter().map(Kept::Body));
        Ok(Snapshot { flash, dir, held: Some(held), files, next: 0 })
    }

    fn of_files(flash: Rc<dyn Flash>, dir: &str) -> io::Result<Snapshot> {
        let mut files = checkpoints(&*flash, dir)?;
        let mut segments: Vec<u32> =
            flash.list(&format!("{dir}/log"))?.iter().filter_map(|name| name.parse().ok()).collect();
        segments.sort_unstable();
        files.extend(segments.into_iter().map(|segment| Kept::Segment(segment, None)));
        files.extend(in_folder(&*flash, dir)?.into_iter().map(Kept::Body));
        Ok(Snapshot { flash, dir: dir.to_owned(), held: None, files, next: 0 })
    }

    /// Whether the account could be opened. Where not, its files may not fit together.
    pub fn is_readable(&self) -> bool {
        self.held.is_some()
    }

    /// The next file; `None` when there is no more. One that is missing is left out: its messages are damaged here, too.
    ///
    /// # Errors
    /// [`Error::Failed`] where the flash failed meanwhile, so that the files may be another's now; or what it says.
    pub fn next_file(&mut self) -> Result<Option<Piece>, Error> {
        while let Some(kept) = self.files.get(self.next) {
            self.next += 1;
            self.still_holds()?;
            let path = match kept {
                Kept::Whole(name) => format!("{}/{name}", self.dir),
                Kept::Segment(segment, _) => format!("{}/log/{segment:08}", self.dir),
                Kept::Body(body) => format!("{}/body/{body:08x}", self.dir),
            };
            let opened = self.flash.open(&path, Mode::Read).and_then(|file| Ok((file.len()?, file)));
            match opened {
                Ok((len, file)) => {
                    let end = match kept {
                        Kept::Segment(_, Some(end)) => u64::from(*end),
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
        self.held.as_ref().map_or(Ok(()), |held| held.0.still_in_charge())
    }
}

/// Whose it is, and what it was at the last checkpoints.
fn checkpoints(flash: &dyn Flash, dir: &str) -> io::Result<Vec<Kept>> {
    let there = flash.list(dir)?;
    let known = [OWNER, NEWEST, PREVIOUS].into_iter().filter(|name| there.iter().any(|there| there == name));
    Ok(known.map(|name| Kept::Whole(name.to_owned())).collect())
}

/// The bodies in files, whoever they belong to.
fn in_folder(flash: &dyn Flash, dir: &str) -> io::Result<BTreeSet<u32>> {
    let names = flash.list(&format!("{dir}/body"))?;
    Ok(names.iter().filter_map(|name| u32::from_str_radix(name, 16).ok()).collect())
}
