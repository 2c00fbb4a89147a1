//! The folders of the accounts follow the settings: see `store::engine::folders`.

use std::rc::Rc;

use super::Appliance;
use crate::config::Config;
use crate::context::Context;
use crate::store::Store;

/// Gives the folders of the accounts in `config` their names. Returns whether all of them have their names; where not, it has
/// to be tried again when nobody has the folders open.
pub(super) async fn name_folders(store: &Store, config: &Config) -> bool {
    match store.name_folders(&config.owners()).await {
        Ok(settled) => settled,
        Err(error) => {
            log::warn!("the folders of the accounts: {error}");
            true
        }
    }
}

/// Completes the deletion of mail that a power cut interrupted.
pub(super) async fn finish_deleting(context: Rc<Context>) {
    if let Err(error) = context.store.finish_deleting().await {
        log::warn!("mail that was to be deleted: {error}");
    }
}

impl Appliance {
    /// Renames folders to follow `config`, which is in force from this moment on. Settings that are not stored rename no
    /// folder.
    pub(super) async fn settle_folders(&self, config: &Config, stored: bool) {
        self.renames_pending.set(false);
        if stored {
            self.renames_pending.set(!name_folders(&self.context.store, config).await);
        } else if let Err(error) = self.context.store.assign(&config.owners()) {
            log::warn!("the folders of the accounts: {error}");
        }
    }

    /// Tries again to rename folders that were in use, unless settings are on trial.
    pub(super) async fn retry_renames(&self) {
        if !self.renames_pending.get() {
            return;
        }
        let _one_at_a_time = self.storing.lock().await;
        if self.stored.borrow().is_none() {
            let config = self.context.config();
            self.settle_folders(&config, true).await;
        }
    }
}
