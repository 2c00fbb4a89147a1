//! Mail that removed accounts have left: which there is, and how it is deleted.

use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use super::Store;
use super::folders::{ACCOUNTS, APART, Folders, Mark, Owner, Whose};
use crate::pace::Pace;
use crate::store::Error;

/// Folders of what is being deleted.
const GONE: &str = "gone";

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
        Unclaimed {
            folder: super::folders::apart(&name, id),
            name,
            id: Some(id),
            since: None,
            taken_by_name: false,
        }
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

impl Store {
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
