//! Which folder holds the mail of which account. An account is known by its lasting identity, a folder by its name:
//! `accounts/NAME` belongs to the account NAME, unless a file `owner` in the folder names another identity as its
//! owner.
//!
//! That file is written right before settings are stored in which an account is gone or has another name, and at no
//! other time. So after any power cut each folder has one owner; and when the settings are lost, accounts that are
//! set up anew find their mail by their names. A folder whose owner is no account is unclaimed: no account opens it
//! by its name.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::Store;
use crate::credential::random;
use crate::flash::{self, Flash, Mode};
use crate::store::Error;

/// The folder that holds the accounts' folders.
pub(super) const ACCOUNTS: &str = "accounts";
/// The file in an account's folder that names its owner.
pub(super) const OWNER: &str = "owner";
/// Separates the name of a folder from the identity of its owner, where another account has the name. No account's
/// name contains this character.
pub(super) const OWNER_SEPARATOR: char = '~';
/// Octets of a file `owner` at most.
const LONGEST: u64 = 256;

/// An account: its lasting identity, which is 0 when it has none yet, and its name.
pub type Owner = (u64, String);

/// The contents of a file `owner`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// The lasting identity of the account that owns the folder.
    pub(super) id: u64,
    /// The account's name when the file was written.
    pub(super) name: String,
    /// When the file was written, in seconds since 1970; 0 when the time was not known.
    pub(super) since: i64,
}

impl Mark {
    /// The file's text: `owner 1 IDENTITY NAME SECONDS` and a line feed.
    fn text(&self) -> String {
        format!("owner 1 {:016x} {} {}\n", self.id, self.name, self.since)
    }

    fn parse(text: &str) -> Option<Mark> {
        let mut words = text.strip_suffix('\n')?.split(' ');
        if (words.next()?, words.next()?) != ("owner", "1") {
            return None;
        }
        let id = words.next().filter(|id| id.len() == 16).and_then(|id| u64::from_str_radix(id, 16).ok())?;
        let (name, since) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        words.next().is_none().then_some(Mark { id, name, since })
    }
}

/// The owner of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FolderOwner {
    /// The account that has the folder's name.
    ByName,
    /// The account that the file `owner` names.
    By(Mark),
    /// The file `owner` cannot be read: the folder belongs to no account until the operator decides.
    Unknown,
}

impl FolderOwner {
    fn id(&self) -> Option<u64> {
        match self {
            FolderOwner::By(mark) => Some(mark.id),
            FolderOwner::ByName | FolderOwner::Unknown => None,
        }
    }
}

/// The folders below `accounts`, with their owners.
#[derive(Debug, Clone, Default)]
pub(super) struct Folders(pub(super) BTreeMap<String, FolderOwner>);

impl Folders {
    pub(super) fn read(flash: &dyn Flash) -> io::Result<Folders> {
        let names = flash.list(ACCOUNTS)?;
        let whose = names.into_iter().map(|name| {
            let whose = whose(flash, &name)?;
            let said = if let FolderOwner::By(_) = whose { None } else { by_folder(&name) };
            Ok((name, said.map_or(whose, FolderOwner::By)))
        });
        whose.collect::<io::Result<_>>().map(Folders)
    }

    /// The folder of an account, whether or not that folder exists yet; `None` when the folder of the account's name
    /// belongs to another account and the account has no folder yet.
    fn of(&self, (id, name): &Owner) -> Option<&str> {
        let own = |whose: &FolderOwner| *id != 0 && whose.id() == Some(*id);
        if let Some((folder, whose)) = self.0.get_key_value(name)
            && own(whose)
        {
            return Some(folder);
        }
        if let Some((folder, _)) = self.0.iter().find(|(_, whose)| own(whose)) {
            return Some(folder);
        }
        match self.0.get_key_value(name) {
            Some((folder, FolderOwner::ByName)) => Some(folder),
            _ => None,
        }
    }

    /// The folder in which the mail of each account is or will be, by the account's name.
    pub(super) fn places(&self, accounts: &[Owner]) -> BTreeMap<String, String> {
        let place = |owner: &Owner| match self.of(owner) {
            Some(folder) => folder.to_owned(),
            None if self.0.contains_key(&owner.1) => apart(&owner.1, owner.0),
            None => owner.1.clone(),
        };
        accounts.iter().map(|owner| (owner.1.clone(), place(owner))).collect()
    }
}

fn whose(flash: &dyn Flash, folder: &str) -> io::Result<FolderOwner> {
    let read = || -> io::Result<Vec<u8>> {
        let file = flash.open(&mark_of(folder), Mode::Read)?;
        let mut octets = vec![0; usize::try_from(file.len()?.min(LONGEST)).unwrap_or_default()];
        file.read_exact_at(0, &mut octets)?;
        Ok(octets)
    };
    match read() {
        Ok(octets) => Ok(match std::str::from_utf8(&octets).ok().and_then(Mark::parse) {
            Some(mark) => FolderOwner::By(mark),
            None => FolderOwner::Unknown,
        }),
        // A plain file in this place is not a folder.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(FolderOwner::ByName)
        }
        Err(error) => Err(error),
    }
}

/// The owner of a folder that has an identity in its name.
fn by_folder(folder: &str) -> Option<Mark> {
    let (name, id) = folder.split_once(OWNER_SEPARATOR).filter(|(_, id)| id.len() == 16)?;
    Some(Mark { id: u64::from_str_radix(id, 16).ok()?, name: name.to_owned(), since: 0 })
}

fn mark_of(folder: &str) -> String {
    format!("{ACCOUNTS}/{folder}/{OWNER}")
}

pub(super) fn apart(name: &str, id: u64) -> String {
    format!("{name}{OWNER_SEPARATOR}{id:016x}")
}

async fn write_mark(flash: &dyn Flash, folder: &str, mark: &Mark) -> Result<(), Error> {
    let path = mark_of(folder);
    flash::replace(flash, &path, mark.text().as_bytes()).await.map_err(|error| Error::io(&path, error))
}

/// Notes the owners of the folders of accounts that will be gone or renamed. To be called before settings with the
/// accounts `after` replace settings with the accounts `before`. The notes are durable on return. When the settings
/// are not stored after all, the notes change nothing.
///
/// # Errors
/// Errors of the flash; then the settings must not be replaced.
pub async fn note_owners(
    flash: &dyn Flash,
    before: &[Owner],
    after: &[Owner],
    now: i64,
) -> Result<(), Error> {
    let leaves = |owner: &&Owner| owner.0 != 0 && !after.contains(owner);
    if !before.iter().any(|owner| leaves(&owner)) {
        return Ok(());
    }
    let folders = Folders::read(flash).map_err(|error| Error::io(ACCOUNTS, error))?;
    for owner in before.iter().filter(leaves) {
        let Some(folder) = folders.of(owner) else { continue };
        let (id, name) = owner.clone();
        write_mark(flash, folder, &Mark { id, name, since: now }).await?;
    }
    Ok(())
}

impl Store {
    /// Finds out which folders the accounts have. Changes nothing on the flash.
    ///
    /// # Errors
    /// Errors of the flash; then each account gets the folder of its name.
    pub fn assign(&self, accounts: &[Owner]) -> Result<(), Error> {
        let folders = Folders::read(self.flash()).map_err(|error| Error::io(ACCOUNTS, error))?;
        let places = folders.places(accounts);
        let owned: BTreeSet<&String> = places.values().collect();
        self.left.set(folders.0.keys().filter(|folder| !owned.contains(folder)).count());
        self.set_folders(places);
        Ok(())
    }

    /// How many folders belong to none of the accounts given to the latest [`Store::assign`] or [`Store::name_folders`].
    pub fn left(&self) -> usize {
        self.left.get()
    }

    /// Finds out which folders the accounts have, and renames folders to the names that they should have, where no
    /// account has them open. Returns whether all folders have their names.
    ///
    /// # Errors
    /// Errors of the flash; the accounts still get their folders.
    pub async fn name_folders(&self, accounts: &[Owner]) -> Result<bool, Error> {
        let _opening = self.opening.lock().await;
        let settled = self.settle_alone(accounts).await;
        self.assign(accounts)?;
        settled
    }

    async fn settle_alone(&self, accounts: &[Owner]) -> Result<bool, Error> {
        let io = |error| Error::io(ACCOUNTS, error);
        let mut folders = Folders::read(self.flash()).map_err(io)?;
        let mut settled = true;
        // First the folders that lie where the mail of another account is to be.
        for owner in accounts {
            let (id, name) = owner;
            let mark = match folders.0.get(name) {
                Some(FolderOwner::By(mark)) if mark.id != *id => mark.clone(),
                // Nobody knows whose mail it is: it lay there before the account got this name.
                Some(FolderOwner::ByName) if folders.of(owner) != Some(name.as_str()) => {
                    let mark = Mark { id: u64::from_le_bytes(random()) | 1, name: name.clone(), since: 0 };
                    write_mark(self.flash(), name, &mark).await?;
                    folders.0.insert(name.clone(), FolderOwner::By(mark.clone()));
                    mark
                }
                _ => continue,
            };
            let to = apart(&mark.name, mark.id);
            settled &= self.give_name(&mut folders, name, &to).await?;
        }
        for owner in accounts {
            let (id, name) = owner;
            match folders.of(owner).map(str::to_owned) {
                Some(folder) if folder != *name => {
                    settled &= self.give_name(&mut folders, &folder, name).await?;
                }
                // The folder of its name is open: the account gets a folder whose name contains its identity.
                None => settled &= !folders.0.contains_key(name),
                _ => {}
            }
            // A folder that has its account's name needs no file `owner`; the name is durable before the file is
            // removed.
            if folders.0.get(name).and_then(FolderOwner::id) == Some(*id) {
                self.flash().sync_dir(ACCOUNTS).await.map_err(io)?;
                self.flash().remove(&mark_of(name)).map_err(io)?;
                self.flash().sync_dir(&format!("{ACCOUNTS}/{name}")).await.map_err(io)?;
                folders.0.insert(name.clone(), FolderOwner::ByName);
            }
        }
        Ok(settled)
    }

    /// Renames a folder when it is not in use and nothing has the other name. Returns whether it was renamed.
    async fn give_name(&self, folders: &mut Folders, from: &str, to: &str) -> Result<bool, Error> {
        let (from_dir, to_dir) = (format!("{ACCOUNTS}/{from}"), format!("{ACCOUNTS}/{to}"));
        if folders.0.contains_key(to) || !self.close_if_unused(&from_dir) {
            return Ok(false);
        }
        self.flash().rename(&from_dir, &to_dir).map_err(|error| Error::io(&from_dir, error))?;
        self.has_moved(&from_dir, &to_dir);
        if let Some(whose) = folders.0.remove(from) {
            folders.0.insert(to.to_owned(), whose);
        }
        self.flash().sync_dir(ACCOUNTS).await.map_err(|error| Error::io(ACCOUNTS, error))?;
        Ok(true)
    }
}

#[cfg(test)]
#[path = "folders_tests.rs"]
mod tests;
