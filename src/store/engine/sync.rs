//! The sync of the log: one commit leads it for all commits that wait for it.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Account;
use crate::flash::File;

/// The leader of a sync first waits for this part of the last sync's time, so that more commits share the sync.
const GATHERING: u32 = 32;
/// A shorter wait than this is not worth a timer.
const LEAST_PAUSE: Duration = Duration::from_millis(1);

/// The commit that leads a sync. When it is dropped before the sync has ended, it gives its files back, and another
/// commit can lead.
pub(super) struct Lead<'a> {
    account: &'a Account,
    files: Vec<Rc<dyn File>>,
    new_segment: bool,
}

impl<'a> Lead<'a> {
    /// Becomes the leader, unless another commit leads already.
    pub(super) fn take(account: &'a Account) -> Option<Lead<'a>> {
        let mut state = account.state.borrow_mut();
        if state.syncing {
            return None;
        }
        state.syncing = true;
        Some(Lead { account, files: Vec::new(), new_segment: false })
    }

    /// Syncs the commits that are staged when the sync begins, and applies them.
    pub(super) async fn sync(mut self) {
        // Commits that other sessions are about to stage share this sync. Where syncs are slow, it is worth waiting
        // for the sessions whose clients have just been answered.
        let account = self.account;
        let pause = account.state.borrow().last_sync / GATHERING;
        if pause >= LEAST_PAUSE {
            smol::Timer::after(pause).await;
        } else {
            smol::future::yield_now().await;
        }
        let begin = Instant::now();
        let (last, end) = {
            let mut state = account.state.borrow_mut();
            (self.files, self.new_segment) = state.log.take_unsynced();
            (state.last_staged, state.staged.back().map_or(state.durable, |staged| staged.end))
        };
        let outcome = self.sync_files().await;
        account.state.borrow_mut().last_sync = begin.elapsed();
        match outcome {
            Ok(()) => {
                self.files.clear();
                self.new_segment = false;
                if let Err(error) = account.apply(last, end).await {
                    account.fail(&error);
                }
            }
            Err(error) => account.fail(&error),
        }
    }

    async fn sync_files(&self) -> io::Result<()> {
        for file in &self.files {
            file.sync().await?;
        }
        if self.new_segment {
            self.account.flash().sync_dir(&self.account.path("log")).await?;
        }
        Ok(())
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut state = self.account.state.borrow_mut();
        state.log.give_back(&mut self.files, self.new_segment);
        state.syncing = false;
        self.account.progress.notify(usize::MAX);
    }
}
