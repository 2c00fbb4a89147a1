//! Which folder the mail of an account lies in. An account is known by its lasting identity, a folder by its name: `accounts/NAME`
//! belongs to the account NAME, unless a file `owner` in it names the identity that it belongs to.
//!
//! That file is written before settings are stored in which an account is gone or has another name, and not before. So
//! whatever a power cut leaves, each folder has one owner; and where the settings are lost, accounts that are set up
//! anew find their mail by their names. A folder whose owner is no account is unclaimed: nobody opens it by a name.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use super::Store;
use crate::credential::random;
use crate::flash::{self, Flash, Mode};
use crate::pace::Pace;
use crate::store::Error;

/// Where the folders are.
const ACCOUNTS: &str = "accounts";
/// The file that names the owner.
pub(super) const OWNER: &str = "owner";
/// Folders of mail that is being deleted.
const GONE: &str = "gone";
/// Stands between the name of a folder and the identity of its owner, where its name alone is another's. No account's name
/// has it.
const APART: char = '~';
/// Octets of such a file at most.
const LONGEST: u64 = 256;

/// An account by its lasting identity, which is 0 where it has none yet, and its name.
pub type Owner = (u64, String);

/// What the file `owner` says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    id: u64,
    /// The account's name then.
    name: String,
    /// When it was written, in seconds since 1970; 0 where nobody knew the time.
    since: i64,
}

impl Mark {
    /// `owner 1 IDENTITY NAME SECONDS` and the end of a line.
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

/// Whose a folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Whose {
    /// The account's of its name.
    ByName,
    /// As its file says.
    By(Mark),
    /// Its file cannot be read: nobody's, until the operator says so.
    Unknown,
}

impl Whose {
    fn id(&self) -> Option<u64> {
        match self {
            Whose::By(mark) => Some(mark.id),
            Whose::ByName | Whose::Unknown => None,
        }
    }
}

/// Mail that an account has left, which is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclaimed {
    /// The folder below `accounts`.
    folder: String,
    /// What the account was called.
    pub name: String,
    /// Its identity; `None` where nobody knows it.
    pub id: Option<u64>,
    /// When it went, in seconds since 1970, where that is known.
    pub since: Option<i64>,
    /// An account of its name would take it: it was left by a factory reset, or by a version that did not note it.
    pub taken_by_name: bool,
}

impl Unclaimed {
    /// What names it wherever it is asked for: `office~0123abcd`, or `office~` where the identity is not known.
    pub fn handle(&self) -> String {
        let id = self.id.map(|id| format!("{id:016x}")).unwrap_or_default();
        format!("{}{APART}{}", self.name, id.get(..8).unwrap_or_default())
    }

    /// Whether `typed` means it: the name, or the name and how its identity begins.
    pub fn is_named(&self, typed: &str) -> bool {
        let id = self.id.map(|id| format!("{id:016x}")).unwrap_or_default();
        match typed.split_once(APART) {
            Some((name, begun)) => name == self.name && id.starts_with(&begun.to_ascii_lowercase()),
            None => typed == self.name,
        }
    }

    /// One of this name and identity, for tests.
    #[cfg(test)]
    pub fn known(name: &str, id: u64) -> Unclaimed {
        let name = name.to_owned();
        Unclaimed { folder: apart(&name, id), name, id: Some(id), since: None, taken_by_name: false }
    }

    /// Its folder in the data folder.
    pub fn dir(&self) -> String {
        format!("{ACCOUNTS}/{}", self.folder)
    }
}

/// Whether `typed` can only mean mail that an account has left, not an account.
pub fn means_unclaimed(typed: &str) -> bool {
    typed.contains(APART)
}

/// The folders below `accounts`, with their owners.
#[derive(Debug, Clone, Default)]
struct Folders(BTreeMap<String, Whose>);

impl Folders {
    fn read(flash: &dyn Flash) -> io::Result<Folders> {
        let names = flash.list(ACCOUNTS)?;
        let whose = names.into_iter().map(|name| {
            let whose = whose(flash, &name)?;
            let said = if let Whose::By(_) = whose { None } else { by_folder(&name) };
            Ok((name, said.map_or(whose, Whose::By)))
        });
        whose.collect::<io::Result<_>>().map(Folders)
    }

    /// The folder of an account, whether or not it is there; `None` where the folder of its name is another's and it has
    /// none yet.
    fn of(&self, (id, name): &Owner) -> Option<&str> {
        let own = |whose: &Whose| *id != 0 && whose.id() == Some(*id);
        if let Some((folder, whose)) = self.0.get_key_value(name) {
            if own(whose) {
                return Some(folder);
            }
        }
        if let Some((folder, _)) = self.0.iter().find(|(_, whose)| own(whose)) {
            return Some(folder);
        }
        match self.0.get_key_value(name) {
            Some((folder, Whose::ByName)) => Some(folder),
            _ => None,
        }
    }

    /// Where each account's mail is or is to be.
    fn places(&self, accounts: &[Owner]) -> BTreeMap<String, String> {
        let place = |owner: &Owner| match self.of(owner) {
            Some(folder) => folder.to_owned(),
            None if self.0.contains_key(&owner.1) => apart(&owner.1, owner.0),
            None => owner.1.clone(),
        };
        accounts.iter().map(|owner| (owner.1.clone(), place(owner))).collect()
    }
}

fn whose(flash: &dyn Flash, folder: &str) -> io::Result<Whose> {
    let read = || -> io::Result<Vec<u8>> {
        let file = flash.open(&mark_of(folder), Mode::Read)?;
        let mut octets = vec![0; usize::try_from(file.len()?.min(LONGEST)).unwrap_or_default()];
        file.read_exact_at(0, &mut octets)?;
        Ok(octets)
    };
    match read() {
        Ok(octets) => Ok(match std::str::from_utf8(&octets).ok().and_then(Mark::parse) {
            Some(mark) => Whose::By(mark),
            None => Whose::Unknown,
        }),
        // A file that lies there is no folder.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Whose::ByName)
        }
        Err(error) => Err(error),
    }
}

/// Whose a folder is that has an identity in its name.
fn by_folder(folder: &str) -> Option<Mark> {
    let (name, id) = folder.split_once(APART).filter(|(_, id)| id.len() == 16)?;
    Some(Mark { id: u64::from_str_radix(id, 16).ok()?, name: name.to_owned(), since: 0 })
}

fn mark_of(folder: &str) -> String {
    format!("{ACCOUNTS}/{folder}/{OWNER}")
}

fn apart(name: &str, id: u64) -> String {
    format!("{name}{APART}{id:016x}")
}

async fn write_mark(flash: &dyn Flash, folder: &str, mark: &Mark) -> Result<(), Error> {
    let path = mark_of(folder);
    flash::replace(flash, &path, mark.text().as_bytes()).await.map_err(|error| Error::io(&path, error))
}

/// To be called before settings with the accounts `after` take the place of those with `before`: notes whose the folders of
/// those are that are gone, or have another name. Durable on return. Where the settings are not stored after all, nothing
/// has changed.
///
/// # Errors
/// What the flash says: then the settings must stay as they are.
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
    /// What the flash says; then each account has the folder of its name.
    pub fn assign(&self, accounts: &[Owner]) -> Result<(), Error> {
        let folders = Folders::read(self.flash()).map_err(|error| Error::io(ACCOUNTS, error))?;
        let places = folders.places(accounts);
        let owned: BTreeSet<&String> = places.values().collect();
        self.left.set(folders.0.keys().filter(|folder| !owned.contains(folder)).count());
        self.take_places(places);
        Ok(())
    }

    /// How many folders belong to none of the accounts of the latest [`Store::assign`] or [`Store::settle`].
    pub fn left(&self) -> usize {
        self.left.get()
    }

    /// The same, and gives folders the names that they should have, as far as nobody has them open.
    /// Whether all have their names.
    ///
    /// # Errors
    /// What the flash says; the accounts have their folders all the same.
    pub async fn settle(&self, accounts: &[Owner]) -> Result<bool, Error> {
        let _opening = self.opening.lock().await;
        let settled = self.settle_alone(accounts).await;
        self.assign(accounts)?;
        settled
    }

    async fn settle_alone(&self, accounts: &[Owner]) -> Result<bool, Error> {
        let io = |error| Error::io(ACCOUNTS, error);
        let mut folders = Folders::read(self.flash()).map_err(io)?;
        let mut settled = true;
        // First those that lie where another account's mail is to be.
        for owner in accounts {
            let (id, name) = owner;
            let mark = match folders.0.get(name) {
                Some(Whose::By(mark)) if mark.id != *id => mark.clone(),
                // Left there by nobody knows whom, before the account got this name.
                Some(Whose::ByName) if folders.of(owner) != Some(name.as_str()) => {
                    let mark = Mark { id: u64::from_le_bytes(random()) | 1, name: name.clone(), since: 0 };
                    write_mark(self.flash(), name, &mark).await?;
                    folders.0.insert(name.clone(), Whose::By(mark.clone()));
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
                // Somebody has the folder of its name open: it gets one whose name says whose it is.
                None => settled &= !folders.0.contains_key(name),
                _ => {}
            }
            // Under its own name it needs no other sign; that name is durable before the sign goes.
            if folders.0.get(name).and_then(Whose::id) == Some(*id) {
                self.flash().sync_dir(ACCOUNTS).await.map_err(io)?;
                self.flash().remove(&mark_of(name)).map_err(io)?;
                self.flash().sync_dir(&format!("{ACCOUNTS}/{name}")).await.map_err(io)?;
                folders.0.insert(name.clone(), Whose::ByName);
            }
        }
        Ok(settled)
    }

    /// Whether the folder has the other name now: it is not in use, and nothing has that one.
    async fn give_name(&self, folders: &mut Folders, from: &str, to: &str) -> Result<bool, Error> {
        let (from_dir, to_dir) = (format!("{ACCOUNTS}/{from}"), format!("{ACCOUNTS}/{to}"));
        if folders.0.contains_key(to) || !self.let_go(&from_dir) {
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

    /// Mail that belongs to none of the accounts, in the order of names.
    ///
    /// # Errors
    /// What the flash says.
    pub fn unclaimed(&self, accounts: &[Owner]) -> Result<Vec<Unclaimed>, Error> {
        let folders = Folders::read(self.flash()).map_err(|error| Error::io(ACCOUNTS, error))?;
        let owned: BTreeSet<String> = folders.places(accounts).into_values().collect();
        let left = folders.0.into_iter().filter(|(folder, _)| !owned.contains(folder));
        let unclaimed = left.map(|(folder, whose)| {
            let taken_by_name = whose == Whose::ByName;
            let by_folder = folder.split_once(APART).map_or(&*folder, |(name, _)| name).to_owned();
            match whose {
                Whose::By(Mark { id, name, since }) => {
                    let since = (since > 0).then_some(since);
                    Unclaimed { folder, name, id: Some(id), since, taken_by_name }
                }
                _ => Unclaimed { folder, name: by_folder, id: None, since: None, taken_by_name },
            }
        });
        Ok(unclaimed.collect())
    }

    /// Mail that an account has left, opened.
    ///
    /// # Errors
    /// As [`Store::account`].
    pub async fn open_unclaimed(&self, unclaimed: &Unclaimed) -> Result<Rc<super::Account>, Error> {
        self.open_folder(&unclaimed.dir()).await
    }

    /// Deletes mail that an account has left; `false` where somebody has it open. Once that is durable it is gone, and its
    /// room comes back piece by piece; what an error or a power cut leaves of it, [`Store::finish_deleting`] deletes.
    ///
    /// # Errors
    /// What the flash says.
    pub async fn delete_unclaimed(&self, unclaimed: &Unclaimed) -> Result<bool, Error> {
        let to = {
            let _opening = self.opening.lock().await;
            // Its account may be back, by its identity.
            if self.is_somebodys(&unclaimed.folder) || !self.let_go(&unclaimed.dir()) {
                return Ok(false);
            }
            let to = self.put_away(&unclaimed.dir()).map_err(|error| Error::io(GONE, error))?;
            self.flash().sync_dir(ACCOUNTS).await.map_err(|error| Error::io(ACCOUNTS, error))?;
            to
        };
        self.delete_gone(&to).await.map(|()| true)
    }

    /// Deletes a folder of the data folder that nobody uses, as [`Store::delete_unclaimed`] does.
    ///
    /// # Errors
    /// What the flash says.
    pub async fn delete_folder(&self, dir: &str) -> Result<(), Error> {
        let to = self.put_away(dir).map_err(|error| Error::io(dir, error))?;
        self.flash().sync_dir("").await.map_err(|error| Error::io(dir, error))?;
        self.delete_gone(&to).await
    }

    /// The same, later: see [`Store::finish_deleting`].
    pub fn give_up_folder(&self, dir: &str) {
        if let Err(error) = self.put_away(dir) {
            ::log::warn!("{dir}: {error}");
        }
    }

    /// The name below [`GONE`] that the folder has now.
    fn put_away(&self, dir: &str) -> io::Result<String> {
        let there = self.flash().list(GONE)?;
        let name = dir.rsplit('/').next().unwrap_or(dir);
        let to =
            (0u32..).map(|n| format!("{name}.{n}")).find(|name| !there.contains(name)).unwrap_or_default();
        self.flash().create_dir(GONE)?;
        self.flash().rename(dir, &format!("{GONE}/{to}"))?;
        Ok(to)
    }

    /// Deletes what earlier calls of [`Store::delete_unclaimed`] have left.
    ///
    /// # Errors
    /// What the flash says.
    pub async fn finish_deleting(&self) -> Result<(), Error> {
        for name in self.flash().list(GONE).map_err(|error| Error::io(GONE, error))? {
            self.delete_gone(&name).await?;
        }
        Ok(())
    }

    /// File by file, between which others get their turn: there may be very many.
    async fn delete_gone(&self, name: &str) -> Result<(), Error> {
        /// So much work is the removal of a file.
        const A_FILE: u64 = 16 * 1024;
        let pace = Pace::new();
        let mut folders = vec![format!("{GONE}/{name}")];
        self.flash().sync_dir(GONE).await.map_err(|error| Error::io(GONE, error))?;
        while let Some(dir) = folders.last().cloned() {
            let io = |error| Error::io(&dir, error);
            let before = folders.len();
            for name in self.flash().list(&dir).map_err(io)? {
                let path = format!("{dir}/{name}");
                // What is in a folder goes before it.
                match self.flash().list(&path) {
                    Ok(inner) if !inner.is_empty() => folders.push(path),
                    _ if self.flash().remove(&path).is_ok() => pace.did(A_FILE).await,
                    _ => self.flash().remove_dir(&path).map_err(io)?,
                }
            }
            if folders.len() == before {
                self.flash().remove_dir(&dir).map_err(io)?;
                folders.pop();
            }
        }
        self.flash().sync_dir(GONE).await.map_err(|error| Error::io(GONE, error))
    }
}

#[cfg(test)]
#[path = "folders_tests.rs"]
mod tests;
