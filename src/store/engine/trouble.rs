//! What an account does on a flash that fails: read-only from the first change that is refused, out of charge of its files
//! once a sync has failed.

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
            // What was written of it is behind the end of the log: a later commit writes over it.
            note_read_only(&mut state.read_only, self.dir(), &reason(&error));
            return Error::ReadOnly;
        }
        state.failed = taken_back.err().map(|error| error.to_string());
        Error::io(state.log.dir(), error)
    }

    /// Looks whether the flash takes changes again, where it took none a while ago. One that was opened then has to be
    /// opened anew for it.
    pub(super) fn try_again(&self) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        if state.read_only.is_some()
            && state.ready
            && state.staged.is_empty()
            && !state.syncing
            && !state.writing
        {
            // Where it takes none, that is noted already.
            drop(self.write_mark(state));
        }
    }

    /// What the flash says to something that is to be written at `path`; where it takes nothing any more, the account is
    /// open for reading only from now on.
    pub(super) fn refused(&self, path: &str, error: io::Error) -> Error {
        if takes_no_changes(&error) {
            self.take_no_changes(&reason(&error));
            return Error::ReadOnly;
        }
        Error::io(path, error)
    }

    /// Nothing changes here any more.
    pub(super) fn fail(&self, error: &io::Error) {
        self.state.borrow_mut().failed = Some(error.to_string());
        self.changed.notify(usize::MAX);
    }

    /// From now on it is open for reading only.
    pub(super) fn take_no_changes(&self, why: &str) {
        note_read_only(&mut self.state.borrow_mut().read_only, self.dir(), why);
    }

    /// Whether it has not been ready for writing for so long.
    pub(super) fn is_unready_since(&self, age: Duration) -> bool {
        let state = self.state.borrow();
        !state.ready && state.failed.is_none() && state.opened.elapsed() >= age
    }

    /// What had to be written when it was opened could not be: it is open for reading only, and may be opened anew.
    pub(super) fn stay_unready(&self, why: &str) {
        self.take_no_changes(why);
        let mut state = self.state.borrow_mut();
        (state.ready, state.failed) = (false, None);
    }

    /// It was tried once more to make it ready, in vain.
    pub(super) fn note_opening(&self) {
        self.state.borrow_mut().opened = Instant::now();
    }

    /// Another one, which can be written, takes its place: its sessions end.
    pub(super) fn give_way(&self) {
        self.state.borrow_mut().failed = Some("it was opened anew".to_owned());
        self.changed.notify(usize::MAX);
    }

    /// Why nothing can be written, where that is so.
    pub(super) fn takes_no_changes(&self) -> Option<String> {
        self.state.borrow().read_only.clone()
    }

    /// Whether a sync has failed: nothing changes here any more, and whoever asks the store for the
    /// account anew gets another one. Those who listen for changes are woken when that happens.
    pub fn has_failed(&self) -> bool {
        self.state.borrow().failed.is_some()
    }

    /// Whether the files are this account's to change.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub(super) fn still_in_charge(&self) -> Result<(), Error> {
        self.state.borrow().failed.clone().map_or(Ok(()), |failure| Err(Error::Failed(failure)))
    }

    /// Where the durable log ends, once a sync has failed.
    pub(super) fn failed_at(&self) -> Option<Place> {
        let state = self.state.borrow();
        state.failed.as_ref().map(|_| state.durable)
    }
}

/// Takes note of why nothing can be written, the first time.
pub(super) fn note_read_only(read_only: &mut Option<String>, dir: &str, why: &str) {
    if read_only.is_none() {
        log::error!("{dir}: the flash takes no changes: {why}");
        *read_only = Some(why.to_owned());
    }
}
