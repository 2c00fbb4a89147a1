//! Long commits: commits of so many records that other tasks should not wait for them, and memory should not hold
//! them.
//!
//! A long commit is planned, written and applied in pieces, between which other tasks get a turn. In the log it is a
//! commit like any other: its marker comes last, and without the marker none of its records count. A long commit runs
//! alone: it begins when everything that was staged before is applied, and later commits are staged after it was
//! applied. So the index does not change while the commit is planned, and no other commit is checked against half of
//! it. When it is given up before its marker is written, it is taken back.

use std::io;

use super::commit::{Records, Staged, State};
use super::log::Log;
use super::room::{A_RECORD, Use};
use super::{Account, Transaction};
use crate::clock::unix_now;
use crate::pace::Pace;
use crate::store::Error;
use crate::store::format::record::Record;
use crate::store::format::{FlagChange, Flags, Place};
use crate::store::model::{Change, Committed, Draft, Index, Plan, Step, WatcherId, Weight};

impl Account {
    /// As [`Account::stage`], once no other commit is being staged. A long transaction is staged in pieces.
    pub(super) async fn stage_in_turn(
        &self,
        transaction: &mut Transaction,
    ) -> Result<(u64, Committed), Error> {
        let _alone = self.staging.lock().await;
        let piece = self.state.borrow().sizes.piece;
        let long = self.index(|index| Weight::of(&transaction.changes, index)).total() > 2 * piece;
        if long || self.state.borrow().is_long() {
            self.settled().await?;
        }
        if long {
            self.stage_long(&transaction.changes, transaction.by).await
        } else {
            self.stage(transaction)
        }
    }

    /// Stages a long commit.
    async fn stage_long(&self, changes: &[Change], by: WatcherId) -> Result<(u64, Committed), Error> {
        self.ensure_not_failed()?;
        let (mut draft, mut writing) = {
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            if state.read_only.is_some() {
                return Err(Error::ReadOnly);
            }
            // Errors that can be known now are found before anything is written.
            let Weight { copied, more, less, .. } = Weight::of(changes, &state.index);
            let before = state.overlay.expected(&state.index);
            before.may_become(&before.plus(more).less(less), self.quota.get())?;
            let purpose = if changes.iter().any(deletes) { Use::Deletion } else { Use::Change };
            if !self.room.allows(purpose, A_RECORD * copied as u64) {
                return Err(Error::Full);
            }
            let draft = Draft::new(&state.index, &state.overlay, self.quota.get(), unix_now());
            (draft, Writing::begin(self, state)?)
        };
        let pace = Pace::new();
        loop {
            let all;
            (draft, all) = writing.piece(draft, changes)?;
            if all {
                break;
            }
            pace.keep().await;
        }
        // Errors that only the plan knows are found before the marker is written, without which nothing counts.
        writing.finish(draft, by)
    }
}

impl State {
    /// Whether a long commit waits to be applied.
    fn is_long(&self) -> bool {
        self.staged.iter().any(|staged| matches!(staged.records, Records::From(_)))
    }
}

/// A long commit in the log that has no marker yet. Dropping it takes the commit back.
struct Writing<'a> {
    account: &'a Account,
    start: Place,
    records: u64,
    /// Whether the commit is staged or taken back already.
    over: bool,
}

impl<'a> Writing<'a> {
    fn begin(account: &'a Account, state: &mut State) -> Result<Writing<'a>, Error> {
        state.log.begin().map_err(|error| account.take_back(state, error))?;
        state.writing = true;
        Ok(Writing { account, start: state.log.end(), records: 0, over: false })
    }

    /// Plans and writes the next piece. Returns whether that was the last.
    fn piece(&mut self, draft: Draft, changes: &[Change]) -> Result<(Draft, bool), Error> {
        // When the account has failed, another instance may have opened the log: it must not be written.
        self.account.ensure_not_failed()?;
        let mut state = self.account.state.borrow_mut();
        let state = &mut *state;
        let (mut draft, all) = draft.go_on(&state.index, changes, &[], state.sizes.piece)?;
        self.write(state, draft.take_steps())?;
        Ok((draft, all))
    }

    fn write(&mut self, state: &mut State, steps: Vec<Step>) -> Result<(), Error> {
        for step in steps {
            // A long commit delivers no messages.
            let Step::Record(record) = step else { continue };
            state.log.push(&record, &[]).map_err(|error| self.failed(state, error))?;
            self.records += 1;
        }
        Ok(())
    }

    fn failed(&mut self, state: &mut State, error: io::Error) -> Error {
        (self.over, state.writing) = (true, false);
        self.account.take_back(state, error)
    }

    /// Checks the whole commit once more, and closes it with its marker.
    fn finish(mut self, draft: Draft, by: WatcherId) -> Result<(u64, Committed), Error> {
        let mut state = self.account.state.borrow_mut();
        let state = &mut *state;
        let Plan { steps, overlay, committed, is_empty, .. } = draft.finish(&state.index, &state.overlay)?;
        if is_empty {
            return Ok((state.last_staged, committed));
        }
        self.write(state, steps)?;
        state.log.finish(state.durable).map_err(|error| self.failed(state, error))?;
        (self.over, state.writing) = (true, false);
        state.overlay = overlay;
        state.unmarked = true;
        state.tail.records += self.records + 1;
        state.tail.octets += u64::from(state.log.commit_len());
        state.staged.push_back(Staged { records: Records::From(self.start), end: state.log.end(), by });
        state.last_staged += 1;
        Ok((state.last_staged, committed))
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut state = self.account.state.borrow_mut();
        state.writing = false;
        // When the account has failed, another instance may have opened the log; records without a marker do no harm.
        if state.failed.is_none()
            && let Err(error) = state.log.abort()
        {
            state.failed = Some(error.to_string());
        }
    }
}

/// Whether the change removes messages, or marks them for removal.
fn deletes(change: &Change) -> bool {
    match change {
        Change::Expunge { .. } | Change::RenameMailbox { .. } => true,
        Change::Flags { change, flags, .. } => *change == FlagChange::Add && flags.contains(Flags::DELETED),
        _ => false,
    }
}

/// Applies up to `most` records of a long commit from `place` on. Returns the place of the next record.
pub(super) fn apply_piece(log: &Log, index: &mut Index, place: Place, most: usize) -> io::Result<Place> {
    let (records, next) = log.records(place, most)?;
    for (n, (record, place)) in records.iter().enumerate() {
        // A record that goes through a whole mailbox is a piece of its own.
        let large = matches!(record, Record::Expunge(_) | Record::Flags(_));
        if large && n > 0 {
            return Ok(*place);
        }
        index.apply(record, *place);
        if large {
            return Ok(records.get(n + 1).map_or(next, |(_, place)| *place));
        }
    }
    Ok(next)
}
