//! A backup takes the place of what is in a data folder.
//!
//! It is read into a folder beside the data and made safe there: clients may know a newer state, and what the queue holds
//! may have been sent since ([`crate::relay::hold_back`]). Then it is put in place, whole at any cut, and what was there before
//! is set aside, not deleted: [`crate::archive::backup::place`].

use std::io::{self, Read};
use std::rc::Rc;

use crate::archive::backup::{Contents, place, read};
use crate::clock::unix_now;
use crate::config::{Config, file};
use crate::failure::Failure;
use crate::flash::Flash;
use crate::flash::below::Below;
use crate::relay::{self, QueueEntry};
use crate::store::{Error, Renewed, Store};

/// The folder of the relay's queue.
const QUEUE: &str = "queue";

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// What was in the backup.
    pub contents: Contents,
    /// Each folder with mail, with new UIDVALIDITYs for its mailboxes.
    pub accounts: Vec<(String, Renewed)>,
    /// Messages that are held, since they may have been sent.
    pub held: Vec<QueueEntry>,
    /// The folder with what was there before, if there was anything.
    pub aside: Option<String>,
    /// Folders that could not be made safe, and why.
    pub problems: Vec<String>,
}

/// Puts the backup that `source` gives in the place of what is on `flash`. Nobody else may use it. `heard` is told how
/// many octets were read.
///
/// # Errors
/// It is no backup or a damaged one, or the flash refuses: then what was there is there, as it was.
pub async fn restore(
    flash: Rc<dyn Flash>,
    source: &mut dyn Read,
    heard: &dyn Fn(u64),
) -> Result<Restored, Failure> {
    settle_restore(&*flash).await?;
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
    let made = match made.await {
        Ok(made) => made,
        Err(failure) => {
            // What cannot be removed now is removed at the next start.
            let _ = flash.remove_dir(place::NEW);
            return Err(failure);
        }
    };
    let system =
        |error: io::Error| Failure::System(format!("{error}; start again, and what was begun is ended"));
    place::decide(&*flash).await.map_err(system)?;
    let aside = place::settle(&*flash).await.map_err(system)?.flatten();
    Ok(Restored { aside, ..made })
}

/// Ends a restore that was cut short when all of it was there already; one that was not is forgotten. To be called before
/// anything in a data folder is used, by who has its lock. If a restore was ended: the folder with what was there before, if there was
/// anything.
///
/// # Errors
/// What the flash says. Mail is in two folders then: nobody may go on.
pub async fn settle_restore(flash: &dyn Flash) -> Result<Option<Option<String>>, Failure> {
    let settled = place::settle(flash).await;
    let settled = settled.map_err(Failure::system("a restore that was cut short cannot be ended"))?;
    if let Some(aside) = &settled {
        let aside = aside.as_deref().unwrap_or("nothing");
        log::warn!("a restore that was cut short was ended; what was there before is in {aside}");
    }
    Ok(settled)
}

/// Makes what was read safe for clients that know a newer state, and for those that mail in the queue has reached already.
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
            // A card that was damaged when it was backed up: the rest is worth having.
            Err(error @ Error::Damaged(_)) => problems.push(format!("{folder}: {error}")),
            Err(error) => return Err(system(error)),
        }
        store.mark_end();
        // One that was used since the call before stays: it takes two for the one that was just opened.
        store.close_unused();
        store.close_unused();
    }
    Ok(Restored { contents, accounts, held, aside: None, problems })
}

#[cfg(test)]
mod tests;
