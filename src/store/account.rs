//! One account's mail, open: what can be asked of it, and how a commit becomes durable.
//!
//! A commit passes three stages. *Staged*: checked, its numbers given out, its records written at the
//! end of the log. *Durable*: a sync that began after that has ended. *Applied*: its records have
//! changed the index, and whoever listens is told. The first commit that finds no sync under way
//! leads one; those that are staged meanwhile share the next.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use event_listener::{Event, EventListener};

use super::index::Index;
use super::log::Log;
use super::record::{Place, Record};
use super::stage::{self, Overlay};
use super::transaction::Change;
use super::{
    Body, Committed, Error, IdentityHash, Incoming, Mailbox, MailboxId, Message, SourceKey, Summarize,
    Transaction, Uid, Usage, identity_hash, mailbox_name,
};
use crate::flash::{File, Flash, Mode};

/// One account's mail, open.
pub struct Account {
    name: String,
    dir: String,
    flash: Rc<dyn Flash>,
    summarize: Summarize,
    state: RefCell<State>,
    /// Wakes those who wait for their commit to become durable.
    progress: Event,
    /// Wakes those who listen for changes.
    changed: Event,
    /// Held by a commit that changes which mailboxes there are: it is checked against names that nobody
    /// else is changing.
    structure: smol::lock::Mutex<()>,
    used: Cell<bool>,
    quota: Cell<Option<u64>>,
}

pub(super) struct State {
    pub index: Index,
    pub log: Log,
    pub overlay: Overlay,
    /// Commits that are staged and not applied, in the order of the log.
    staged: VecDeque<Staged>,
    /// Counts commits: the last one staged, the last one applied.
    last_staged: u64,
    last_applied: u64,
    syncing: bool,
    /// Everything before it is durable.
    durable: Place,
    failed: Option<String>,
}

struct Staged {
    records: Vec<(Record, Place)>,
    end: Place,
}

impl Account {
    pub(super) fn new(
        flash: Rc<dyn Flash>,
        summarize: Summarize,
        name: &str,
        dir: String,
        index: Index,
        log: Log,
    ) -> Account {
        let state = State {
            overlay: Overlay::default(),
            durable: log.end(),
            index,
            log,
            staged: VecDeque::new(),
            last_staged: 0,
            last_applied: 0,
            syncing: false,
            failed: None,
        };
        Account {
            name: name.to_owned(),
            dir,
            flash,
            summarize,
            state: RefCell::new(state),
            progress: Event::new(),
            changed: Event::new(),
            structure: smol::lock::Mutex::new(()),
            used: Cell::new(true),
            quota: Cell::new(None),
        }
    }

    /// The account's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ids and names of all mailboxes, in order of name, the INBOX first.
    pub fn mailboxes(&self) -> Vec<(MailboxId, String)> {
        let state = self.state.borrow();
        let mut names: Vec<_> = state.index.mailboxes.values().map(|m| (m.id, m.name.clone())).collect();
        names.sort_by(|(_, a), (_, b)| (a != "INBOX", a).cmp(&(b != "INBOX", b)));
        names
    }

    /// The mailbox of this name; `INBOX` in any case.
    pub fn find(&self, name: &str) -> Option<MailboxId> {
        let name = mailbox_name::canonical(name).ok()?;
        self.state.borrow().index.mailboxes.values().find(|m| m.name == name).map(|m| m.id)
    }

    /// Shows a mailbox to `look`; `None` when it is gone. `look` must not call into the account.
    pub fn view<R>(&self, mailbox: MailboxId, look: impl FnOnce(&Mailbox) -> R) -> Option<R> {
        self.state.borrow().index.mailboxes.get(&mailbox).map(look)
    }

    /// Names that are subscribed (RFC 3501 section 6.3.6), whether or not such a mailbox exists, in order.
    pub fn subscriptions(&self) -> Vec<String> {
        self.state.borrow().index.subscriptions.iter().cloned().collect()
    }

    /// Messages and octets in all mailboxes.
    pub fn usage(&self) -> Usage {
        self.state.borrow().index.usage
    }

    /// Claims the `\Recent` messages of a mailbox for the calling session: the UID they begin at.
    pub fn claim_recent(&self, mailbox: MailboxId) -> Uid {
        let mut state = self.state.borrow_mut();
        let State { index, overlay, .. } = &mut *state;
        let Some(mailbox) = index.mailboxes.get_mut(&mailbox) else { return Uid::MAX };
        let from = std::mem::replace(&mut mailbox.recent_from, mailbox.uid_next);
        if from != mailbox.recent_from {
            // Written with the next commit: losing it only makes messages \Recent once more, which
            // RFC 3501 section 2.3.2 wants where it is not known.
            overlay.claimed_recent.insert(mailbox.id);
        }
        from
    }

    /// Opens a message for reading. A body of up to 64 KiB is read and its checksum verified here,
    /// a larger one is read in pieces. It stays readable until dropped, even when expunged meanwhile.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn body(&self, message: &Message) -> Result<Body, Error> {
        if super::in_file(message.size) {
            let path = self.body_path(message.body);
            let file = self.flash.open(&path, Mode::Read).map_err(|error| Error::io(&path, error))?;
            return Ok(Body::file(file));
        }
        let (_, octets) = self.read(message, true)?;
        Ok(Body::inline(octets))
    }

    /// The summary that [`Summarize`] made when the message arrived.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn summary(&self, message: &Message) -> Result<Vec<u8>, Error> {
        self.read(message, false).map(|(summary, _)| summary)
    }

    fn read(&self, message: &Message, with_body: bool) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let state = self.state.borrow();
        let place = Place { segment: message.segment, offset: message.offset };
        let damaged = || Error::Damaged(format!("{}, UID {}", self.name, message.uid));
        match state.log.read(place, with_body) {
            Ok((Record::Body { body, summary, .. }, octets)) if body == message.body => Ok((summary, octets)),
            Ok(_) => Err(damaged()),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(damaged()),
            Err(error) => Err(Error::io(state.log.dir(), error)),
        }
    }

    /// A new message, to be filled in pieces and handed to [`Transaction::deliver`]. Dropped before
    /// that, it leaves nothing behind.
    pub fn incoming(self: &Rc<Self>) -> Incoming {
        Incoming::new(self.clone())
    }

    /// Begins a transaction.
    pub fn begin(self: &Rc<Self>) -> Transaction {
        Transaction::new(self.clone())
    }

    /// Wakes at the next change of any mailbox of the account. Listen first, then look.
    pub fn changed(&self) -> EventListener {
        self.changed.listen()
    }

    /// What the note attached to a message says (see [`Transaction::note`]).
    pub fn note(&self, mailbox: MailboxId, uid: Uid) -> Option<Vec<u8>> {
        self.state.borrow().index.notes.get(&(mailbox, uid)).cloned()
    }

    /// When `identity` was collected from `source`, in seconds since 1970; `None`: never.
    pub fn collected(&self, source: SourceKey, identity: &[u8]) -> Option<i64> {
        self.state.borrow().index.ledger.get(&(source, identity_hash(identity))).copied()
    }

    /// All that is known as collected from `source`: hashed identities and times.
    pub fn all_collected(&self, source: SourceKey) -> Vec<(IdentityHash, i64)> {
        let state = self.state.borrow();
        let all = (source, IdentityHash::default())..=(source, [u8::MAX; 16]);
        state.index.ledger.range(all).map(|((_, identity), date)| (*identity, *date)).collect()
    }

    pub(super) async fn commit(self: &Rc<Self>, mut transaction: Transaction) -> Result<Committed, Error> {
        for change in &mut transaction.changes {
            if let Change::Deliver { message, .. } = change {
                message.settle().await?;
            }
        }
        let structural = transaction.changes.iter().any(Change::is_structural);
        let _alone = if structural {
            let alone = self.structure.lock().await;
            self.settled().await?;
            Some(alone)
        } else {
            None
        };
        let (ticket, committed) = self.stage(&mut transaction)?;
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
    fn stage(&self, transaction: &mut Transaction) -> Result<(u64, Committed), Error> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        if let Some(failure) = &state.failed {
            return Err(Error::Failed(failure.clone()));
        }
        let durable = state.durable;
        let plan = stage::plan(&state.index, &state.overlay, &transaction.changes, self.summarize)?;
        if plan.is_empty() {
            return Ok((0, plan.committed));
        }
        if plan.grows_by > 0
            && self.quota.get().is_some_and(|quota| state.index.usage.octets + plan.grows_by > quota)
        {
            return Err(Error::OverQuota);
        }
        let (overlay, committed) = (plan.overlay.clone(), plan.committed.clone());
        let written = state.log.begin().and_then(|()| {
            let records = plan.write(&mut state.log, &transaction.changes)?;
            state.log.finish(durable)?;
            Ok(records)
        });
        let records = match written {
            Ok(records) => records,
            Err(error) => {
                if let Err(error) = state.log.abort() {
                    state.failed = Some(error.to_string());
                }
                return Err(Error::io(state.log.dir(), error));
            }
        };
        for change in &mut transaction.changes {
            if let Change::Deliver { message, .. } = change {
                message.keep();
            }
        }
        state.overlay = overlay;
        state.staged.push_back(Staged { records, end: state.log.end() });
        state.last_staged += 1;
        Ok((state.last_staged, committed))
    }

    /// Waits until the commit `ticket` is durable and applied, leading a sync when nobody else does.
    async fn durable(&self, ticket: u64) -> Result<(), Error> {
        loop {
            let progress = self.progress.listen();
            {
                let state = self.state.borrow();
                if state.last_applied >= ticket {
                    return Ok(());
                }
                if let Some(failure) = &state.failed {
                    return Err(Error::Failed(failure.clone()));
                }
            }
            match Lead::take(self) {
                Some(lead) => lead.sync().await,
                None => progress.await,
            }
        }
    }

    /// Applies the commits up to number `last`, whose records are durable up to `durable`.
    fn apply(&self, last: u64, durable: Place) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        state.durable = state.durable.max(durable);
        while state.last_applied < last
            && let Some(staged) = state.staged.pop_front()
        {
            for (record, place) in &staged.records {
                state.index.apply(record, *place);
            }
            state.last_applied += 1;
        }
        if state.staged.is_empty() {
            state.overlay.settle();
            for body in state.index.take_orphans() {
                // What cannot be removed now is removed when the account is opened the next time.
                let _ = self.flash.remove(&self.body_path(body));
            }
        }
        self.changed.notify(usize::MAX);
    }

    /// Opened for the first time: the mailboxes that every account has.
    pub(super) async fn furnish(self: &Rc<Self>, names: &[&str]) -> Result<(), Error> {
        let mut transaction = self.begin();
        for name in names {
            transaction.create_mailbox(name);
            transaction.subscribe(name, true);
        }
        transaction.commit().await.map(drop)
    }

    /// Limits the octets of all messages.
    pub(super) fn set_quota(&self, octets: Option<u64>) {
        self.quota.set(octets);
    }

    /// Whether a sync has failed: nothing changes here any more, and whoever asks the store for the
    /// account anew gets another one. Those who listen for changes are woken when that happens.
    pub fn has_failed(&self) -> bool {
        self.state.borrow().failed.is_some()
    }

    /// Where the durable log ends, once a sync has failed.
    pub(super) fn failed_at(&self) -> Option<Place> {
        let state = self.state.borrow();
        state.failed.as_ref().map(|_| state.durable)
    }

    /// Whether the account was asked for since the last call.
    pub(super) fn take_used(&self) -> bool {
        self.used.replace(false)
    }

    pub(super) fn mark_used(&self) {
        self.used.set(true);
    }

    pub(super) fn flash(&self) -> &dyn Flash {
        &*self.flash
    }

    pub(super) fn body_dir(&self) -> String {
        format!("{}/body", self.dir)
    }

    pub(super) fn body_path(&self, number: u32) -> String {
        format!("{}/body/{number:08x}", self.dir)
    }

    pub(super) fn next_body(&self) -> u32 {
        let mut state = self.state.borrow_mut();
        let State { index, overlay, .. } = &mut *state;
        overlay.next_body(index)
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
        // Commits that other sessions are about to stage share this sync.
        smol::future::yield_now().await;
        let account = self.account;
        let (last, end) = {
            let mut state = account.state.borrow_mut();
            (self.files, self.new_segment) = state.log.take_unsynced();
            (state.last_staged, state.staged.back().map_or(state.durable, |staged| staged.end))
        };
        match self.sync_files().await {
            Ok(()) => {
                self.files.clear();
                self.new_segment = false;
                account.apply(last, end);
            }
            Err(error) => {
                account.state.borrow_mut().failed = Some(error.to_string());
                account.changed.notify(usize::MAX);
            }
        }
    }

    async fn sync_files(&self) -> io::Result<()> {
        for file in &self.files {
            file.sync().await?;
        }
        if self.new_segment {
            let folder = format!("{}/log", self.account.dir);
            self.account.flash.sync_dir(&folder).await?;
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
