//! The data folder: the right to be its only writer, and the one place that stores settings.
//!
//! Whoever holds the folder holds its lock: the daemon while it runs, and a command only while no daemon does. So nobody
//! changes what another process has in its memory. A reader needs no lock, and uses [`crate::config::file::find`], which
//! changes nothing.

mod origin;

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{FlockOperation, flock};

use crate::clock::unix_now;
use crate::config::Config;
use crate::config::file::{self, Error, Loaded};
use crate::failure::Failure;
use crate::flash::{self, Flash, disk};
use crate::store::note_owners;

pub use origin::COPY;

/// Does `work`, which makes the folder at `path` where there is none. If it fails, a folder that it has made is removed, unless
/// something is in it.
///
/// # Errors
/// Those of `work`.
pub fn tried<T>(path: &Path, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let was_there = path.exists();
    let outcome = work();
    if outcome.is_err() && !was_there {
        let lock = path.join(disk::LOCK);
        let is_empty = fs::read_dir(path).is_ok_and(|files| files.flatten().all(|file| file.path() == lock));
        if is_empty {
            let _ = fs::remove_file(lock);
            let _ = fs::remove_dir(path);
        }
    }
    outcome
}

/// A data folder, held until it is dropped or the process ends.
pub struct DataFolder {
    flash: Rc<dyn Flash>,
    lock: File,
}

impl DataFolder {
    /// Holds the folder at `path`. `flash` must give access to the same folder.
    ///
    /// # Errors
    /// Another process holds the folder, or what the system says.
    pub fn hold(path: &Path, flash: Rc<dyn Flash>) -> Result<DataFolder, Failure> {
        let file = path.join(disk::LOCK);
        let name = file.display().to_string();
        let lock =
            match File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(&file)
            {
                // Where no file can be made, another one is locked: that of an earlier start, or else the folder itself.
                Err(error) if flash::takes_no_changes(&error) => {
                    File::open(&file).or_else(|_| File::open(path))
                }
                other => other,
            };
        let lock = lock.map_err(Failure::system(&name))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DataFolder { flash, lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::System(format!(
                "{}: another appliance runs on this data folder; stop it, or choose another folder with --data",
                path.display()
            ))),
            Err(error) => Err(Failure::system(&name)(error.into())),
        }
    }

    /// A data folder in the memory of a test, which nobody else can hold.
    #[cfg(test)]
    pub fn simulated(flash: Rc<dyn Flash>) -> DataFolder {
        DataFolder { flash, lock: File::open("/dev/null").unwrap() }
    }

    /// The content of the folder.
    pub fn flash(&self) -> &Rc<dyn Flash> {
        &self.flash
    }

    /// Whether the folder is a copy, and the operator has not said yet whether to go on with it.
    pub fn is_copy(&self) -> bool {
        origin::is_copy(&self.lock)
    }

    /// Notes the operator's word that this folder is the one to go on with.
    ///
    /// # Errors
    /// What the system says.
    pub fn accept_copy(&self) -> Result<(), Failure> {
        origin::accept(&self.lock).map_err(Failure::system(disk::LOCK))
    }

    /// The stored settings; see [`file::load`], which sets aside what cannot be used.
    ///
    /// # Errors
    /// As [`file::load`].
    pub fn load(&self) -> Result<Option<Loaded>, Error> {
        file::load(&*self.flash)
    }

    /// Notes to whom mail belongs that an account leaves behind when it is removed or renamed. To be called before `after` is
    /// stored in place of `before`.
    ///
    /// # Errors
    /// Why that cannot be noted; then `after` must not be stored.
    pub async fn note_owners(&self, before: &Config, after: &Config) -> Result<(), String> {
        let noted = note_owners(&*self.flash, &before.owners(), &after.owners(), unix_now()).await;
        noted.map_err(|error| format!("whose mail it is cannot be noted: {error}"))
    }

    /// Stores `config` and keeps the settings before it. Durable on return.
    ///
    /// # Errors
    /// As [`file::save`]; then the settings stored before are still there.
    pub async fn save(&self, config: &Config) -> Result<(), Error> {
        file::save(&*self.flash, config).await
    }

    /// Stores `config`, in which only something has changed that nobody has decided, such as a refresh token. Durable on
    /// return.
    ///
    /// # Errors
    /// As [`file::renew`].
    pub async fn renew(&self, config: &Config) -> Result<(), Error> {
        file::renew(&*self.flash, config).await
    }

    /// Stores the settings anew where one of their files is damaged.
    ///
    /// # Errors
    /// As [`file::repair`].
    pub async fn repair(&self) -> Result<(), Error> {
        file::repair(&*self.flash).await
    }

    /// For commands: replaces the stored settings. Gives new accounts their identity, notes to whom remaining mail belongs,
    /// and stores `config`.
    ///
    /// # Errors
    /// Why that failed; then nothing was stored.
    pub async fn replace(&self, before: Option<&Config>, config: &mut Config) -> Result<(), String> {
        config.identify(before.unwrap_or(&Config::default()));
        if let Some(before) = before {
            self.note_owners(before, config).await?;
        }
        self.save(config).await.map_err(|error| error.to_string())
    }
}
