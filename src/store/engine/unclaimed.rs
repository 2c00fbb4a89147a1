//! Unclaimed mail, which removed accounts have left: lists and deletes it.

use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use super::Store;
use super::folders::{ACCOUNTS, FolderOwner, Folders, Mark, OWNER_SEPARATOR, Owner};
use crate::pace::Pace;
use crate::store::Error;

/// The folder for folders that are being deleted.
const GONE: &str = "gone";

/// The mail of a removed account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclaimed {
    /// The folder below `accounts`.
    folder: String,
    /// The name that the account had.
    pub name: String,
    /// The account's identity; `None` when it is not known.
    pub id: Option<u64>,
    /// When the account was removed, in seconds since 1970; `None` when that is not known.
    pub since: Option<i64>,
    /// Whether a new account of this name would get the mail: it was left by a factory reset, or by a version that
    /// did not note owners.
    pub taken_by_name: bool,
}

impl Unclaimed {
    /// The name by which commands refer to it: `office~0123abcd`, or `office~` when the identity is not known.
    pub fn handle(&self) -> String {
        let id = self.id.map(|id| format!("{id:016x}")).unwrap_or_default();
        format!("{}{OWNER_SEPARATOR}{}", self.name, id.get(..8).unwrap_or_default())
    }

    /// Whether `typed` refers to it: the account's name, or the name, `~` and a beginning of its identity.
    pub fn is_named(&self, typed: &str) -> bool {
        let id = self.id.map(|id| format!("{id:016x}")).unwrap_or_default();
        match typed.split_once(OWNER_SEPARATOR) {
            Some((name, begun)) => name == self.name && id.starts_with(&begun.to_ascii_lowercase()),
            None => typed == self.name,
        }
    }

    /// Unclaimed mail with this name and identity, for tests.
    #[cfg(test)]
    pub fn known(name: &str, id: u64) -> Unclaimed {
        let name = name.to_owned();
        Unclaimed {
            folder: super::folders::apart(&name, id),
            name,
            id: Some(id),
            since: None,
            taken_by_name: false,
        }
    }

    /// Its folder, below the data folder.
    pub fn dir(&self) -> String {
        format!("{ACCOUNTS}/{}", self.folder)
    }
}

/// Whether `typed` can only refer to unclaimed mail, and not to an account.
pub fn means_unclaimed(typed: &str) -> bool {
    typed.contains(OWNER_SEPARATOR)
}

impl Store {
    /// The mail that belongs to none of `accounts`, ordered by names.
    ///
    /// # Errors
    /// Errors of the flash.
    pub fn unclaimed(&self, accounts: &[Owner]) -> Result<Vec<Unclaimed>, Error> {
        let folders = Folders::read(self.flash()).map_err(|error| Error::io(ACCOUNTS, error))?;
        let owned: BTreeSet<String> = folders.places(accounts).into_values().collect();
        let left = folders.0.into_iter().filter(|(folder, _)| !owned.contains(folder));
        let unclaimed = left.map(|(folder, whose)| {
            let taken_by_name = whose == FolderOwner::ByName;
            let by_folder = folder.split_once(OWNER_SEPARATOR).map_or(&*folder, |(name, _)| name).to_owned();
            match whose {
                FolderOwner::By(Mark { id, name, since }) => {
                    let since = (since > 0).then_some(since);
                    Unclaimed { folder, name, id: Some(id), since, taken_by_name }
                }
                _ => Unclaimed { folder, name: by_folder, id: None, since: None, taken_by_name },
            }
        });
        Ok(unclaimed.collect())
    }

    /// Opens unclaimed mail.
    ///
    /// # Errors
    /// As [`Store::account`].
    pub async fn open_unclaimed(&self, unclaimed: &Unclaimed) -> Result<Rc<super::Account>, Error> {
        self.open_folder(&unclaimed.dir()).await
    }

    /// Deletes unclaimed mail. Returns `false` when a session has it open. On return the deletion is durable, and the
    /// room comes back piece by piece. What an error or a power cut leaves, [`Store::finish_deleting`] deletes.
    ///
    /// # Errors
    /// Errors of the flash.
    pub async fn delete_unclaimed(&self, unclaimed: &Unclaimed) -> Result<bool, Error> {
        let to = {
            let _opening = self.opening.lock().await;
            // An account of this identity may exist again.
            if self.is_owned(&unclaimed.folder) || !self.close_if_unused(&unclaimed.dir()) {
                return Ok(false);
            }
            let to = self.put_away(&unclaimed.dir()).map_err(|error| Error::io(GONE, error))?;
            self.flash().sync_dir(ACCOUNTS).await.map_err(|error| Error::io(ACCOUNTS, error))?;
            to
        };
        self.delete_gone(&to).await.map(|()| true)
    }

    /// Deletes a folder below the data folder that is not in use, as [`Store::delete_unclaimed`] does.
    ///
    /// # Errors
    /// Errors of the flash.
    pub async fn delete_folder(&self, dir: &str) -> Result<(), Error> {
        let to = self.put_away(dir).map_err(|error| Error::io(dir, error))?;
        self.flash().sync_dir("").await.map_err(|error| Error::io(dir, error))?;
        self.delete_gone(&to).await
    }

    /// Puts a folder away to be deleted later by [`Store::finish_deleting`].
    pub fn give_up_folder(&self, dir: &str) {
        if let Err(error) = self.put_away(dir) {
            ::log::warn!("{dir}: {error}");
        }
    }

    /// Moves the folder below [`GONE`], and returns its name there.
    fn put_away(&self, dir: &str) -> io::Result<String> {
        let there = self.flash().list(GONE)?;
        let name = dir.rsplit('/').next().unwrap_or(dir);
        let to =
            (0u32..).map(|n| format!("{name}.{n}")).find(|name| !there.contains(name)).unwrap_or_default();
        self.flash().create_dir(GONE)?;
        self.flash().rename(dir, &format!("{GONE}/{to}"))?;
        Ok(to)
    }

    /// Deletes what earlier calls of [`Store::delete_unclaimed`] and [`Store::give_up_folder`] have left.
    ///
    /// # Errors
    /// Errors of the flash.
    pub async fn finish_deleting(&self) -> Result<(), Error> {
        for name in self.flash().list(GONE).map_err(|error| Error::io(GONE, error))? {
            self.delete_gone(&name).await?;
        }
        Ok(())
    }

    /// Deletes a folder below [`GONE`] file by file, with turns for other tasks in between: there may be very many
    /// files.
    async fn delete_gone(&self, name: &str) -> Result<(), Error> {
        /// What removing a file counts for, in octets.
        const A_FILE: u64 = 16 * 1024;
        let pace = Pace::new();
        let mut folders = vec![format!("{GONE}/{name}")];
        self.flash().sync_dir(GONE).await.map_err(|error| Error::io(GONE, error))?;
        while let Some(dir) = folders.last().cloned() {
            let io = |error| Error::io(&dir, error);
            let before = folders.len();
            for name in self.flash().list(&dir).map_err(io)? {
                let path = format!("{dir}/{name}");
                // The contents of a folder are removed before the folder.
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
