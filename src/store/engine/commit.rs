//! How a commit becomes durable.
//!
//! A commit passes three stages. *Staged*: it is checked, its numbers are given out, and its records are written at
//! the end of the log. *Durable*: a sync that began after that has ended. *Applied*: its records have changed the
//! index, and listeners are woken. The first commit that finds no sync under way leads one; commits that are staged
//! meanwhile share the next sync.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::checkpoint::Checkpoints;
use super::compaction::Survey;
use super::log::Log;
use super::long::apply_piece;
use super::room::{A_RECORD, Use};
use super::sync::Lead;
use super::trouble::note_read_only;
use super::{Account, Sizes, Transaction};
use crate::clock::unix_now;
use crate::flash::{reason, takes_no_changes};
use crate::pace::Pace;
use crate::store::Error;
use crate::store::format::checkpoint::Counters;
use crate::store::format::record::{CommitRecord, Record};
use crate::store::format::{FlagChange, Flags, INBOX, Place};
use crate::store::model::{Change, Committed, Index, Overlay, Plan, Step, WatcherId, plan};

/// The part of an open account that changes.
pub struct State {
    pub index: Index,
    pub log: Log,
    pub overlay: Overlay,
    /// Commits that are staged and not yet applied, in the order of the log.
    pub(super) staged: VecDeque<Staged>,
    /// Number of the last commit that was staged, counted since the account was opened.
    pub(super) last_staged: u64,
    /// Number of the last commit that was applied.
    pub(super) last_applied: u64,
    /// Whether a long commit has begun in the log and not ended.
    pub(super) writing: bool,
    pub(super) syncing: bool,
    /// How long the last sync took.
    pub(super) last_sync: Duration,
    /// Everything in the log before this place is durable.
    pub(super) durable: Place,
    /// Everything in the log before this place is in the index.
    applied: Place,
    /// Whether there are commits that no later one has marked as durable.
    pub(super) unmarked: bool,
    pub(super) failed: Option<String>,
    /// Why nothing can be written, when the account is read-only.
    pub(super) read_only: Option<String>,
    /// Whether the log was made ready for writing when it was opened.
    pub(super) ready: bool,
    /// When that was tried last.
    pub(super) opened: Instant,
    pub sizes: Sizes,
    pub checkpoints: Checkpoints,
    /// The log after the newest checkpoint.
    pub tail: Tail,
    /// Whether damage was found. Then nothing is cleaned up.
    pub damaged: bool,
    pub survey: Survey,
}

/// What opening an account found out besides its index.
pub struct Checked {
    pub checkpoints: Checkpoints,
    pub tail: Tail,
    pub unmarked: bool,
    pub damaged: bool,
    pub ready: bool,
}

/// How much log would have to be replayed.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tail {
    pub records: u64,
    pub octets: u64,
}

/// A commit that is written in the log and not yet applied.
pub(super) struct Staged {
    pub(super) records: Records,
    pub(super) end: Place,
    pub(super) by: WatcherId,
}

/// The records of a staged commit that are still to be applied.
pub(super) enum Records {
    /// The records themselves, with their places.
    Held(Vec<(Record, Place)>),
    /// The commit is too long to be held in memory: its records are read again from this place on.
    From(Place),
}

impl State {
    /// The state that was read from flash.
    pub fn new(index: Index, log: Log, sizes: Sizes, checked: Checked) -> State {
        State {
            overlay: Overlay::default(),
            durable: log.end(),
            applied: log.end(),
            writing: false,
            index,
            log,
            staged: VecDeque::new(),
            last_staged: 0,
            last_applied: 0,
            syncing: false,
            last_sync: Duration::ZERO,
            unmarked: checked.unmarked,
            failed: None,
            read_only: None,
            ready: checked.ready,
            opened: Instant::now(),
            sizes,
            checkpoints: checked.checkpoints,
            tail: checked.tail,
            damaged: checked.damaged,
            survey: Survey::default(),
        }
    }
}

impl State {
    /// Applies the commits up to number `last`, but only one piece of a long commit. Returns whether all are applied.
    fn apply_some(&mut self, last: u64) -> io::Result<bool> {
        while self.last_applied < last
            && let Some(staged) = self.staged.front_mut()
        {
            self.index.journal.changes_by(staged.by);
            match &mut staged.records {
                Records::Held(records) => {
                    for (record, place) in records {
                        self.index.apply(record, *place);
                    }
                    self.overlay.applied();
                }
                Records::From(place) => {
                    // From now on the index itself counts the messages that the commit adds.
                    self.overlay.applied();
                    self.index.hold_modseqs();
                    *place = apply_piece(&self.log, &mut self.index, *place, self.sizes.piece)?;
                    if *place < staged.end {
                        return Ok(false);
                    }
                    self.index.release_modseqs();
                }
            }
            self.applied = staged.end;
            self.staged.pop_front();
            self.last_applied += 1;
        }
        Ok(true)
    }
}

impl Account {
    pub(super) async fn commit(self: &Rc<Self>, mut transaction: Transaction) -> Result<Committed, Error> {
        for message in &mut transaction.messages {
            message.make_durable().await?;
            message.arrived();
        }
        let structural = transaction.changes.iter().any(Change::is_structural);
        let _alone = if structural {
            let alone = self.structure.lock().await;
            self.settled().await?;
            Some(alone)
        } else {
            None
        };
        if !transaction.compacts() && self.room_runs_out() {
            Box::pin(self.make_room()).await;
        }
        let staged = match self.stage_in_turn(&mut transaction).await {
            // Deleted messages whose room was not given back yet may make room at once.
            Err(Error::Full) if !transaction.compacts() && Box::pin(self.make_room()).await => {
                self.stage_in_turn(&mut transaction).await
            }
            staged => staged,
        };
        let (ticket, committed) = staged?;
        self.durable(ticket).await?;
        Ok(committed)
    }

    /// Waits until everything that was committed is visible, including commits that no caller waits for any more.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub async fn settled(&self) -> Result<(), Error> {
        let last_staged = self.state.borrow().last_staged;
        self.durable(last_staged).await
    }

    /// Checks the changes of a transaction and writes their records. Returns the number of the commit and what it
    /// will have done.
    pub(super) fn stage(&self, transaction: &mut Transaction) -> Result<(u64, Committed), Error> {
        self.ensure_not_failed()?;
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        if state.read_only.is_some() {
            return Err(Error::ReadOnly);
        }
        let durable = state.durable;
        let arrivals: Vec<_> = transaction.messages.iter().map(|message| message.arrival()).collect();
        let plan = plan(
            &state.index,
            &state.overlay,
            &transaction.changes,
            &arrivals,
            self.quota.get(),
            unix_now(),
        )?;
        if plan.is_empty {
            // Perhaps a commit that is only staged is why there is nothing to do: wait for that one.
            return Ok((state.last_staged, plan.committed));
        }
        let records = A_RECORD * plan.steps.len() as u64;
        if !self.room.allows(use_of(&plan), plan.brings + records) {
            return Err(Error::Full);
        }
        let (overlay, committed) = (plan.overlay.clone(), plan.committed.clone());
        let written = state.log.begin().and_then(|()| {
            let records = write(plan, &mut state.log, transaction)?;
            state.log.finish(durable)?;
            Ok(records)
        });
        let records = match written {
            Ok(records) => records,
            Err(error) => return Err(self.take_back(state, error)),
        };
        transaction.messages.iter_mut().for_each(|message| message.keep());
        state.overlay = overlay;
        state.overlay.note_moves(&records);
        state.unmarked = true;
        state.tail.records += records.len() as u64;
        state.tail.octets += u64::from(state.log.commit_len());
        let (records, by) = (Records::Held(records), transaction.by);
        state.staged.push_back(Staged { records, end: state.log.end(), by });
        state.last_staged += 1;
        Ok((state.last_staged, committed))
    }

    /// Waits until the commit `ticket` is durable and applied, and leads a sync when no other task does.
    async fn durable(&self, ticket: u64) -> Result<(), Error> {
        loop {
            let progress = self.progress.listen();
            if self.state.borrow().last_applied >= ticket {
                return Ok(());
            }
            self.ensure_not_failed()?;
            match Lead::take(self) {
                Some(lead) => lead.sync().await,
                None => progress.await,
            }
        }
    }

    /// Applies the commits up to number `last`, whose records are durable up to the place `durable`. When it is
    /// dropped in the middle of a long commit, the next task that leads a sync applies the rest.
    pub(super) async fn apply(&self, last: u64, durable: Place) -> io::Result<()> {
        {
            let mut state = self.state.borrow_mut();
            state.durable = state.durable.max(durable);
        }
        let pace = Pace::new();
        while !self.state.borrow_mut().apply_some(last)? {
            pace.keep().await;
        }
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        if state.staged.is_empty() {
            state.overlay.all_applied();
            self.remove_orphans(state);
        }
        self.keep_room_for_checkpoints(state);
        self.changed.notify(usize::MAX);
        Ok(())
    }

    /// Removes the files of bodies that no message refers to any more. There must be no commit that is not yet
    /// applied.
    pub(super) fn remove_orphans(&self, state: &mut State) {
        if self.held.get() > 0 {
            return;
        }
        for body in state.index.take_orphans() {
            // A file that cannot be removed now is removed when the account is opened the next time.
            let _ = self.flash().remove(&self.body_path(body));
        }
    }

    /// The place up to which the log is durable and applied, and the numbers that were given out by then.
    pub(super) fn durable_state(&self) -> (Place, Counters) {
        let state = self.state.borrow();
        (state.applied, state.index.last)
    }

    /// Marks the last commits as durable in the log when no later commit will do so soon. What cannot be read after
    /// that mark was torn by a power cut; what cannot be read before it is damage. The mark is not synced, since
    /// nothing depends on it.
    pub(super) fn mark_end(&self) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        if !state.unmarked
            || state.failed.is_some()
            || state.read_only.is_some()
            || state.syncing
            || state.writing
            || !state.staged.is_empty()
        {
            return;
        }
        state.unmarked = false;
        if let Err(error) = self.write_mark(state) {
            state.failed = Some(error.to_string());
        }
    }

    /// Writes an empty commit, which marks the commits before it as durable.
    pub(super) fn write_mark(&self, state: &mut State) -> io::Result<()> {
        match state.log.begin().and_then(|()| state.log.finish(state.durable)) {
            Err(error) if takes_no_changes(&error) => {
                drop(state.log.abort());
                note_read_only(&mut state.read_only, self.dir(), &reason(&error));
                Ok(())
            }
            Err(_) => state.log.abort(),
            Ok(()) => {
                state.read_only = None;
                Ok(())
            }
        }
    }

    pub(super) fn next_body(&self) -> u32 {
        let mut state = self.state.borrow_mut();
        let State { index, overlay, .. } = &mut *state;
        overlay.next_body(index)
    }
}

/// The kind of room that a plan needs.
fn use_of(plan: &Plan) -> Use {
    let mut records = plan.steps.iter().filter_map(|step| match step {
        Step::Record(record) => Some(record),
        Step::Body(..) | Step::Unknown(..) => None,
    });
    match () {
        () if plan.arrives => Use::Mail,
        () if records.clone().any(|record| matches!(record, Record::Moved(_))) => Use::Compaction,
        () if records.any(deletes) => Use::Deletion,
        () => Use::Change,
    }
}

/// Whether the record deletes something, or notes what became of a message. A move to another mailbox counts, since
/// that is how people delete.
fn deletes(record: &Record) -> bool {
    match record {
        Record::Expunge(_) | Record::MailboxDeleted(_) | Record::Forgotten(_) | Record::Note(_) => true,
        Record::Numbers(_) => true,
        // The INBOX is created when an account is opened for the first time: a new user can log in even on a full
        // card.
        Record::MailboxCreated(it) => it.mailbox == INBOX,
        Record::Flags(it) => it.change == FlagChange::Add && Flags(it.flags).contains(Flags::DELETED),
        Record::Subscribed(it) => !it.subscribed,
        Record::Annotation(it) => it.value.is_none(),
        _ => false,
    }
}

/// Writes the records of a plan into the log, and returns them with their places for the index.
fn write(plan: Plan, log: &mut Log, transaction: &Transaction) -> io::Result<Vec<(Record, Place)>> {
    let mut written = Vec::with_capacity(plan.steps.len() + 1);
    for step in plan.steps {
        written.push(match step {
            Step::Record(record) => {
                let place = log.push(&record, &[])?;
                (record, place)
            }
            Step::Unknown(head, body) => {
                log.push_unknown(&head, &body)?;
                continue;
            }
            Step::Body(body, source) => {
                let record = Record::Body(body);
                let place = log.push(&record, transaction.octets(source))?;
                (record, place)
            }
        });
    }
    written.push((Record::Commit(CommitRecord::default()), Place::default()));
    Ok(written)
}
