//! How a commit becomes durable.
//!
//! A commit passes three stages. *Staged*: checked, its numbers given out, its records written at the
//! end of the log. *Durable*: a sync that began after that has ended. *Applied*: its records have
//! changed the index, and whoever listens is told. The first commit that finds no sync under way
//! leads one; those that are staged meanwhile share the next.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::checkpoint::Checkpoints;
use super::compaction::Survey;
use super::log::Log;
use super::long::apply_piece;
use super::room::Use;
use super::{Account, Sizes, Transaction};
use crate::flash::{File, reason, takes_no_changes};
use crate::pace::Pace;
use crate::store::Error;
use crate::store::format::checkpoint::Counters;
use crate::store::format::record::{BodyRecord, CommitRecord, Record};
use crate::store::format::{FlagChange, Flags, INBOX, Place};
use crate::store::model::{Change, Committed, Index, Overlay, Plan, Step, plan};

/// Octets of a record, about; summaries and the like are not counted.
const A_RECORD: u64 = 64;
/// The leader of a sync waits for this part of what the last one took, so that more commits share it,
const GATHERING: u32 = 32;
/// where that is worth a timer.
const LEAST_PAUSE: Duration = Duration::from_millis(1);

/// What changes in an open account.
pub struct State {
    pub index: Index,
    pub log: Log,
    pub overlay: Overlay,
    /// Commits that are staged and not applied, in the order of the log.
    pub(super) staged: VecDeque<Staged>,
    /// Counts commits: the last one staged, the last one applied.
    pub(super) last_staged: u64,
    pub(super) last_applied: u64,
    /// A long commit has begun in the log.
    pub(super) writing: bool,
    syncing: bool,
    /// How long the last sync took.
    last_sync: Duration,
    /// Everything before it is durable.
    pub(super) durable: Place,
    /// Everything before it is in the index.
    applied: Place,
    /// Whether there are commits that no later one calls durable.
    pub(super) unmarked: bool,
    pub(super) failed: Option<String>,
    /// Why nothing can be written, where that is so.
    pub(super) read_only: Option<String>,
    /// Whether the log was made ready for writing when it was opened, and when that was tried last.
    ready: bool,
    opened: Instant,
    pub sizes: Sizes,
    pub checkpoints: Checkpoints,
    /// What is in the log since the newest checkpoint.
    pub tail: Tail,
    /// Whether damage was found: nothing is cleaned up then.
    pub damaged: bool,
    pub survey: Survey,
}

/// What the opening of an account found out besides its index.
pub struct Checked {
    pub checkpoints: Checkpoints,
    pub tail: Tail,
    pub unmarked: bool,
    pub damaged: bool,
    pub ready: bool,
}

/// How much log there is to be replayed.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tail {
    pub records: u64,
    pub octets: u64,
}

/// A commit that is in the log.
pub(super) struct Staged {
    pub(super) records: Records,
    pub(super) end: Place,
}

/// What is to be applied of it.
pub(super) enum Records {
    /// All of it.
    Held(Vec<(Record, Place)>),
    /// It is so long that it is read again, from here on.
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
    /// Applies the commits up to number `last`, only a piece of one that is long: whether that is all.
    fn apply_some(&mut self, last: u64) -> io::Result<bool> {
        while self.last_applied < last
            && let Some(staged) = self.staged.front_mut()
        {
            match &mut staged.records {
                Records::Held(records) => {
                    for (record, place) in records {
                        self.index.apply(record, *place);
                    }
                    self.overlay.applied();
                }
                Records::From(place) => {
                    // From now on the index counts what there is more of.
                    self.overlay.applied();
                    *place = apply_piece(&self.log, &mut self.index, *place, self.sizes.piece)?;
                    if *place < staged.end {
                        return Ok(false);
                    }
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
            message.settle().await?;
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
            // Where something is deleted that has not been given back yet, there may be room in a moment.
            Err(Error::Full) if !transaction.compacts() && Box::pin(self.make_room()).await => {
                self.stage_in_turn(&mut transaction).await
            }
            staged => staged,
        };
        let (ticket, committed) = staged?;
        self.durable(ticket).await?;
        Ok(committed)
    }

    /// Waits until everything that was committed is visible, also what nobody waits for any more.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub async fn settled(&self) -> Result<(), Error> {
        let last_staged = self.state.borrow().last_staged;
        self.durable(last_staged).await
    }

    /// Checks the changes and writes their records: the number of the commit, and what it will have done.
    pub(super) fn stage(&self, transaction: &mut Transaction) -> Result<(u64, Committed), Error> {
        self.still_in_charge()?;
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        if state.read_only.is_some() {
            return Err(Error::ReadOnly);
        }
        let durable = state.durable;
        let arrivals: Vec<_> =
            transaction.messages.iter().map(|message| message.arrival(self.summarize)).collect();
        let plan = plan(&state.index, &state.overlay, &transaction.changes, &arrivals, self.quota.get())?;
        if plan.is_empty {
            // It may be only a staged commit that leaves nothing to do.
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
        state.staged.push_back(Staged { records: Records::Held(records), end: state.log.end() });
        state.last_staged += 1;
        Ok((state.last_staged, committed))
    }

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

    /// Waits until the commit `ticket` is durable and applied, leading a sync when nobody else does.
    async fn durable(&self, ticket: u64) -> Result<(), Error> {
        loop {
            let progress = self.progress.listen();
            if self.state.borrow().last_applied >= ticket {
                return Ok(());
            }
            self.still_in_charge()?;
            match Lead::take(self) {
                Some(lead) => lead.sync().await,
                None => progress.await,
            }
        }
    }

    /// Applies the commits up to number `last`, whose records are durable up to `durable`. Dropped in the middle of a long
    /// one, it leaves the rest of that to the next who leads a sync.
    async fn apply(&self, last: u64, durable: Place) -> io::Result<()> {
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
            state.overlay.settle();
            for body in state.index.take_orphans() {
                // What cannot be removed now is removed when the account is opened the next time.
                let _ = self.flash().remove(&self.body_path(body));
            }
        }
        self.keep_room_for_checkpoints(state);
        self.changed.notify(usize::MAX);
        Ok(())
    }

    /// What is durable and applied now: up to where, and the numbers given out by then.
    pub(super) fn durable_state(&self) -> (Place, Counters) {
        let state = self.state.borrow();
        (state.applied, state.index.last)
    }

    /// Calls the last commits durable in the log, where no later one will do it soon: what is found
    /// behind that mark is torn, what is found before it is damage. Not synced, for nothing depends on it.
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

    /// Writes an empty commit.
    fn write_mark(&self, state: &mut State) -> io::Result<()> {
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

    pub(super) fn next_body(&self) -> u32 {
        let mut state = self.state.borrow_mut();
        let State { index, overlay, .. } = &mut *state;
        overlay.next_body(index)
    }
}

/// What a plan wants room for.
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

/// Whether it deletes something, or says what became of a message. Moving to another mailbox is how people delete.
fn deletes(record: &Record) -> bool {
    match record {
        Record::Expunge(_) | Record::MailboxDeleted(_) | Record::Forgotten(_) | Record::Note(_) => true,
        Record::Numbers(_) => true,
        // What an account is given when it is opened for the first time: who has it can log in on a full card, too.
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
                (without_summary(record), place)
            }
        });
    }
    written.push((Record::Commit(CommitRecord::default()), Place::default()));
    Ok(written)
}

fn note_read_only(read_only: &mut Option<String>, dir: &str, why: &str) {
    if read_only.is_none() {
        log::error!("{dir}: the flash takes no changes: {why}");
        *read_only = Some(why.to_owned());
    }
}

/// The index has no use for the summary of a body: it is not kept until the sync is done.
fn without_summary(record: Record) -> Record {
    match record {
        Record::Body(body) => Record::Body(BodyRecord { summary: Vec::new(), ..body }),
        other => other,
    }
}

/// The commit that leads a sync. Dropped in the middle, it gives its files back and lets another lead.
struct Lead<'a> {
    account: &'a Account,
    files: Vec<Rc<dyn File>>,
    new_segment: bool,
}

impl<'a> Lead<'a> {
    fn take(account: &'a Account) -> Option<Lead<'a>> {
        let mut state = account.state.borrow_mut();
        if state.syncing {
            return None;
        }
        state.syncing = true;
        Some(Lead { account, files: Vec::new(), new_segment: false })
    }

    async fn sync(mut self) {
        // Commits that other sessions are about to stage share this sync. Where syncs are slow it is worth
        // waiting for those whose clients have just been answered.
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
