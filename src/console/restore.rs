//! `restore` for a device without a shell: a backup of the card takes the place of settings and mail.
//!
//! It is read into a folder beside them while everything goes on. When it is whole, and only then, the daemon ends, and at its
//! start the backup is put in place; what was there before is set aside, with all that came in meanwhile.

use std::path::Path;

use super::session::{Expecting, Session, Step};
use super::work::Work;
use crate::board::device::Ending;
use crate::failure::Failure;
use crate::operator::status::size;
use crate::operator::{Operator, World};
use crate::say::counted;

/// What is said before it is agreed to.
const ASKED: &str = "the backup takes the place of all settings, mail and the queue; what is there now is set aside, and the daemon \
                     starts anew\n";

impl Session {
    pub(super) fn restore(&mut self, world: &dyn World, words: &[&str]) -> Step {
        if let Some(why) = self.forbids_an_end(world) {
            return Step::Refuse(match world.board() {
                Some(_) => why.to_owned(),
                None => {
                    "here no card is read: `pillarbox restore SRC` on the command line does it".to_owned()
                }
            });
        }
        match self.of_card(world, &words.concat(), Work::Restore, "restore SRC") {
            Step::Work(work) if self.asks => {
                self.expecting = Expecting::Agreement(work);
                Step::Say(ASKED.to_owned())
            }
            step => step,
        }
    }

    /// On a terminal only after a `yes`.
    pub(super) fn remove_before_restore(&mut self, world: &dyn World, _: &[&str]) -> Step {
        let folders = world.set_aside();
        if folders.is_empty() {
            return Step::Refuse("nothing was set aside by a restore".to_owned());
        }
        if !self.asks {
            return Step::Work(Work::DeleteSetAside);
        }
        self.expecting = Expecting::Agreement(Work::DeleteSetAside);
        Step::Say(format!(
            "what was there before a restore is deleted, and cannot be brought back: {}\n",
            folders.join(", ")
        ))
    }
}

/// Reads the backup: how the daemon ends then, or why nothing was restored.
pub(super) async fn perform(operator: &Operator, path: &Path, far: &dyn Fn(String)) -> Step {
    let name = path.display();
    let opened = || -> std::io::Result<(std::fs::File, u64)> {
        let file = std::fs::File::open(path)?;
        let about = file.metadata()?;
        // A pipe would have everyone wait.
        match about.is_file() {
            true => Ok((file, about.len())),
            false => Err(std::io::Error::other("no file: name the one that `backup` wrote")),
        }
    };
    let (mut file, of_octets) = match opened() {
        Ok(opened) => opened,
        Err(error) => return Step::Refuse(Failure::at(path)(error).words()),
    };
    let heard = |octets| far(format!("{name}: {} of {}", size(octets), size(of_octets)));
    log::warn!("console: {name} is to take the place of what is here");
    match Box::pin(operator.restore(&mut file, of_octets, &heard)).await {
        Ok(words) => Step::End(format!("{name}: {words}"), Ending::RestartDaemon),
        Err(Failure::Input(why)) => Step::Refuse(format!("{name}: {why}")),
        Err(failure) => Step::Refuse(failure.words()),
    }
}

/// Deletes what restores have set aside.
///
/// # Errors
/// What the flash says.
pub(super) async fn delete_set_aside(operator: &Operator) -> Result<String, Failure> {
    let store = &operator.context.store;
    let folders = operator.set_aside();
    for folder in &folders {
        let failed = |error| Failure::System(format!("{folder}: {error}"));
        store.delete_folder(folder).await.map_err(failed)?;
        log::warn!("console: {folder} was deleted");
    }
    Ok(format!("{} deleted", counted(folders.len() as u64, "folder")))
}
