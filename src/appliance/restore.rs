//! Puts a backup in the place of the data in a data folder.
//!
//! The backup is read into a folder beside the data and made safe there: clients may know a newer state, and messages of the
//! queue may have been sent since ([`crate::relay::hold_back`]). Then it is put in place. A power cut leaves either the old or
//! the new state whole. The old data is set aside, not deleted: [`crate::archive::backup::place`].

use std::io::{self, Read};
use std::rc::Rc;

use crate::archive::backup::{Contents, place, read};
use crate::clock::unix_now;
use crate::config::{Config, file};
use crate::failure::Failure;
use crate::flash::Flash;
use crate::flash::below::Below;
use crate::operator::status::size;
use crate::relay::{self, QueueEntry};
use crate::say::counted;
use crate::store::{Error, Renewed, Store};

/// The folder of the relay's queue.
const QUEUE: &str = "queue";

/// The outcome of a restore.
#[derive(Debug)]
pub struct Restored {
    /// The contents of the backup.
    pub contents: Contents,
    /// Each folder with mail, and the new UIDVALIDITYs of its mailboxes.
    pub accounts: Vec<(String, Renewed)>,
    /// Messages that are held, since they may have been sent.
    pub held: Vec<QueueEntry>,
    /// The folder with the data from before, if there was any.
    pub aside: Option<String>,
    /// Which folders could not be made safe, and why.
    pub problems: Vec<String>,
}

/// Puts the backup that `source` gives in the place of the data on `flash`, which nobody else may use. `heard` is told how many
/// octets were read.
///
/// # Errors
/// It is no backup or a damaged one, or the flash refuses: then the data from before is in place, unchanged.
pub async fn restore(
    flash: Rc<dyn Flash>,
    source: &mut dyn Read,
    heard: &dyn Fn(u64),
) -> Result<Restored, Failure> {
    finish_restore(&*flash).await?;
    let made = prepare(flash.clone(), source, heard).await?;
    let system =
        |error: io::Error| Failure::System(format!("{error}; start again, and what was begun is ended"));
    place::decide(&*flash).await.map_err(system)?;
    let aside = place::carry_out(&*flash).await.map_err(system)?.flatten();
    Ok(Restored { aside, ..made })
}

/// Reads the backup into a folder beside the data, and makes it safe there. Nothing else changes, so the appliance may serve
/// meanwhile.
///
/// # Errors
/// As [`restore`].
pub(super) async fn prepare(
    flash: Rc<dyn Flash>,
    source: &mut dyn Read,
    heard: &dyn Fn(u64),
) -> Result<Restored, Failure> {
    place::begin(&*flash).await.map_err(Failure::system(place::NEW))?;
    let new: Rc<dyn Flash> = Rc::new(Below::new(flash.clone(), place::NEW));
    let made = async {
        let contents = read(&*new, source, heard).await?;
        let settings = file::peek(&*new);
        if contents.settings && settings.is_none() {
            let words = "the settings in the backup cannot be read: they are of a newer Pillarbox, or were damaged before; nothing \
                         was restored";
            return Err(Failure::Input(words.to_owned()));
        }
        let config = settings.or_else(|| file::peek(&*flash)).unwrap_or_default();
        made_safe(new.clone(), &config, contents).await
    };
    let made = made.await;
    if made.is_err() {
        // A folder that cannot be removed now is removed at the next start.
        let _ = flash.remove_dir(place::NEW);
    }
    made
}

impl super::Appliance {
    /// Reads a backup, for [`super::Appliance::decide_restore`]. If the reading is given up midway, what was read is soon
    /// removed.
    pub(super) async fn prepare_restore(
        &self,
        source: &mut dyn Read,
        heard: &dyn Fn(u64),
    ) -> Result<String, Failure> {
        /// Removes the unfinished folder when dropped, unless its flag was cleared because everything is there.
        struct Unfinished<'a>(&'a Store, bool);
        impl Drop for Unfinished<'_> {
            fn drop(&mut self) {
                if self.1 {
                    self.0.give_up_folder(place::NEW);
                }
            }
        }
        let mut unfinished = Unfinished(&self.context.store, true);
        let made = prepare(self.flash.clone(), source, heard).await?;
        unfinished.1 = false;
        self.restored.set(true);
        Ok(made.words())
    }

    /// Decides, as the last step of a run, that the backup that was read is put in place at the next start.
    pub(super) async fn decide_restore(&self) {
        if !self.restored.take() {
            return;
        }
        match place::decide(&*self.flash).await {
            Ok(()) => log::warn!("the backup takes the place of what was here at the next start"),
            Err(error) => return log::error!("nothing is restored: {error}"),
        }
        // A folder that was a copy becomes this backup.
        if let Err(failure) = self.folder.accept_copy() {
            log::error!("{}", failure.words());
        }
    }
}

impl Restored {
    /// The words for the operator of a device.
    fn words(&self) -> String {
        let Contents { accounts, octets, settings, .. } = self.contents;
        let mut words = format!("{}, {} were read\n", counted(accounts, "account"), size(octets));
        if !settings {
            words += "there are no settings in it: those that are here stay\n";
        }
        if !self.held.is_empty() {
            words += &format!(
                "{} of the queue are held, since they may have been sent after the backup was made: `queue release all` or \
                 `queue remove all`\n",
                counted(self.held.len() as u64, "message")
            );
        }
        for problem in &self.problems {
            words += &format!("{problem}: it was damaged when it was backed up\n");
        }
        words
            + "the daemon starts anew with it, and all sessions end; what is here now, with all that has come in up to this moment, is \
               set aside: `remove before-restore` deletes it when nothing of it is missed\n"
    }
}

/// Completes a restore that was cut short if all of the backup was there already; forgets it otherwise. Must be called before
/// anything in a data folder is used, by the holder of its lock. Returns `Some` if a restore was completed: the folder with the
/// data from before, if there was any.
///
/// # Errors
/// What the flash says. Then mail is in two folders, and the caller must not go on.
pub async fn finish_restore(flash: &dyn Flash) -> Result<Option<Option<String>>, Failure> {
    let settled = place::carry_out(flash).await;
    let settled = settled.map_err(Failure::system("a restore that was cut short cannot be ended"))?;
    if let Some(aside) = &settled {
        let aside = aside.as_deref().unwrap_or("nothing");
        log::warn!("a restore that was cut short was ended; what was there before is in {aside}");
    }
    Ok(settled)
}

/// Makes the backup safe for clients that know a newer state, and for recipients whom mail in its queue has reached already.
async fn made_safe(flash: Rc<dyn Flash>, config: &Config, contents: Contents) -> Result<Restored, Failure> {
    let store = Store::new(flash);
    let system = |error: Error| Failure::System(error.to_string());
    let (mut accounts, mut held, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for folder in store.folders().map_err(system)? {
        let made = async {
            if folder == QUEUE {
                let queue = store.queue().await?;
                held = relay::waiting_outside(&queue, config);
                relay::hold_back(&queue, config, unix_now()).await?;
            }
            store.renew_uid_validities(&folder).await
        };
        match made.await {
            Ok(_) if folder == QUEUE => {}
            Ok(renewed) => accounts.push((folder, renewed)),
            // The card may have been damaged when it was backed up: the rest is worth having.
            Err(error @ Error::Damaged(_)) => problems.push(format!("{folder}: {error}")),
            Err(error) => return Err(system(error)),
        }
        store.mark_end();
        // An account that was used since the last call stays open. So it takes two calls to close the one that was just opened.
        store.close_unused();
        store.close_unused();
    }
    Ok(Restored { contents, accounts, held, aside: None, problems })
}

#[cfg(test)]
mod tests;
