//! What an account does on a flash that fails: it becomes read-only at the first change that the flash refuses, and
//! it gives up its files once a sync has failed.

use std::io;
use std::time::{Duration, Instant};

use super::Account;
use super::commit::State;
use crate::flash::{reason, takes_no_changes};
use crate::store::Error;
use crate::store::format::Place;

impl Account {
    /// Takes back a commit that could not be written.
    pub(super) fn take_back(&self, state: &mut State, error: io::Error) -> Error {
        let taken_back = state.log.abort();
        if takes_no_changes(&error) {
            // What was written of the commit is after the end of the log: a later commit overwrites it.
            note_read_only(&mut state.read_only, self.dir(), &reason(&error));
            return Error::ReadOnly;
        }
        state.failed = taken_back.err().map(|error| error.to_string());
        Error::io(state.log.dir(), error)
    }

    /// Tries whether a flash that took no changes takes changes again. An account that was opened on such a flash
    /// must be opened anew instead.
    pub(super) fn try_again(&self) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        if state.read_only.is_some()
            && state.ready
            && state.staged.is_empty()
            && !state.syncing
            && !state.writing
        {
            // When the flash still takes none, `write_mark` has noted that.
            drop(self.write_mark(state));
        }
    }

    /// The error for something that could not be written at `path`. When the flash takes no changes any more, the
    /// account is read-only from now on.
    pub(super) fn refused(&self, path: &str, error: io::Error) -> Error {
        if takes_no_changes(&error) {
            self.take_no_changes(&reason(&error));
            return Error::ReadOnly;
        }
        Error::io(path, error)
    }

    /// Notes that a sync has failed: nothing can be changed through this value any more.
    pub(super) fn fail(&self, error: &io::Error) {
        self.state.borrow_mut().failed = Some(error.to_string());
        self.changed.notify(usize::MAX);
    }

    /// Makes the account read-only.
    pub(super) fn take_no_changes(&self, why: &str) {
        note_read_only(&mut self.state.borrow_mut().read_only, self.dir(), why);
    }

    /// Whether the account was opened at least `age` ago and could not be made ready for writing then.
    pub(super) fn is_unready_since(&self, age: Duration) -> bool {
        let state = self.state.borrow();
        !state.ready && state.failed.is_none() && state.opened.elapsed() >= age
    }

    /// Notes that the account could not be made ready for writing when it was opened: it is read-only, and may be
    /// opened anew.
    pub(super) fn mark_not_ready(&self, why: &str) {
        self.take_no_changes(why);
        let mut state = self.state.borrow_mut();
        (state.ready, state.failed) = (false, None);
    }

    /// Notes that making the account ready was tried once more, without success.
    pub(super) fn note_opening(&self) {
        self.state.borrow_mut().opened = Instant::now();
    }

    /// Gives way to another instance of this account, which can be written: the sessions of this one end.
    pub(super) fn replaced_by_newer(&self) {
        self.state.borrow_mut().failed = Some("it was opened anew".to_owned());
        self.changed.notify(usize::MAX);
    }

    /// Why nothing can be written; `None` when the account can be written.
    pub(super) fn takes_no_changes(&self) -> Option<String> {
        self.state.borrow().read_only.clone()
    }

    /// Whether a sync has failed. Then nothing can be changed through this value any more, and the store opens the
    /// account anew for whoever asks for it. Listeners for changes are woken when that happens.
    pub fn has_failed(&self) -> bool {
        self.state.borrow().failed.is_some()
    }

    /// Checks that this value may still write the account's files.
    ///
    /// # Errors
    /// [`Error::Failed`], once a sync has failed.
    pub(super) fn ensure_not_failed(&self) -> Result<(), Error> {
        self.state.borrow().failed.clone().map_or(Ok(()), |failure| Err(Error::Failed(failure)))
    }

    /// Where the durable log ends; `None` unless a sync has failed.
    pub(super) fn failed_at(&self) -> Option<Place> {
        let state = self.state.borrow();
        state.failed.as_ref().map(|_| state.durable)
    }
}

/// Notes and logs why nothing can be written; only the first reason is kept.
pub(super) fn note_read_only(read_only: &mut Option<String>, dir: &str, why: &str) {
    if read_only.is_none() {
        log::error!("{dir}: the flash takes no changes: {why}");
        *read_only = Some(why.to_owned());
    }
}
