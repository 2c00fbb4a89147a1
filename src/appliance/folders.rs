//! The folders of the accounts follow the settings: see `store::engine::folders`.

use std::rc::Rc;

use super::Appliance;
use crate::config::Config;
use crate::context::Context;
use crate::store::Store;

/// Gives the accounts of `config` their folders. Whether all of these have their names; where not, it is to be tried again when
/// nobody has them open.
pub(super) async fn settle(store: &Store, config: &Config) -> bool {
    match store.settle(&config.owners()).await {
        Ok(settled) => settled,
        Err(error) => {
            log::warn!("the folders of the accounts: {error}");
            true
        }
    }
}

/// Ends what a power cut has left of mail that was being deleted.
pub(super) async fn finish_deleting(context: Rc<Context>) {
    if let Err(error) = context.store.finish_deleting().await {
        log::warn!("mail that was to be deleted: {error}");
    }
}

impl Appliance {
    /// The folders are those of `config`, which is in force from this moment on. What is not stored gives no folder another name.
    pub(super) async fn settle_folders(&self, config: &Config, stored: bool) {
        self.unsettled.set(false);
        if stored {
            self.unsettled.set(!settle(&self.context.store, config).await);
        } else if let Err(error) = self.context.store.assign(&config.owners()) {
            log::warn!("the folders of the accounts: {error}");
        }
    }

    /// Goes on where folders were in use, unless settings are on trial.
    pub(super) async fn settle_again(&self) {
        if !self.unsettled.get() {
            return;
        }
        let _one_at_a_time = self.storing.lock().await;
        if self.stored.borrow().is_none() {
            let config = self.context.config();
            self.settle_folders(&config, true).await;
        }
    }
}
