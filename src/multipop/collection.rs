//! What one poll collects, whatever the protocol. Messages stream into a mailbox of the account. Several messages
//! share a commit with their identities. Only after that commit may they be deleted at the server.

mod arrival;
mod telling;

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ring::digest::Digest;

use super::Error;
use super::content::{Content, Hash};
use super::ledger::{Changes, Identity, Ledger, Verdict};
use super::needs::{Needs, Turn};
use super::notice;
use super::progress::Progress;
use super::remote::Attributes;
use super::twins::{Twin, Twins};
use crate::clock::{Time, unix_now};
use crate::config::{Config, Source};
use crate::store::{self, Account, Flags, INBOX, Incoming, MailboxId, SourceKey, Transaction};

pub use arrival::Arrival;
use telling::Told;

/// Messages after which a commit is due.
const BATCH_MESSAGES: usize = 100;
/// Octets of messages after which a commit is due. This bounds what waits in memory.
const BATCH_OCTETS: u64 = 256 * 1024;
/// Time after which a commit is due, so that a slow server's messages do not wait for each other.
pub const BATCH_TIME: Duration = Duration::from_secs(2);

/// Where a server renumbers its messages in each session, their new identities are noted at one of so many polls
/// only.
const NOTED_EACH: u64 = 64;
/// Messages that one round compares since their unique-ids were met before, at most.
const COMPARED: usize = 5000;
/// Seconds that a server's clock may be ahead.
const DAY: i64 = 86_400;
/// A message's handle at the server: POP3's message number, IMAP's UID.
pub type Handle = u32;

/// A message that is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Its handle at the server.
    pub handle: Handle,
    /// Its identity, if that is known before the message is read.
    pub identity: Option<Identity>,
    /// Earlier polls broke off at this message, so it is read after the others.
    pub last: bool,
    /// Its beginning was looked at, and that did not settle whether it came before: it is to be read whole.
    pub is_looked_at: bool,
    /// Its identity is that of a collected message: it is compared, and read whole where its beginning does not tell.
    pub is_doubtful: bool,
    /// Octets of a message that is too large and is to be deleted at the server; 0 for all others. Only its beginning
    /// is read. The user is told of it, which is noted under its identity.
    pub large: u64,
}

impl Wanted {
    /// A message that is to be read in its usual turn.
    pub fn new(handle: Handle, identity: Option<Identity>) -> Wanted {
        Wanted { handle, identity, last: false, is_looked_at: false, is_doubtful: false, large: 0 }
    }
}

/// What a poll did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Messages that are safe in the INBOX.
    pub collected: u32,
    /// Messages that the server was told to delete.
    pub deleted: u32,
    /// Messages that came before under another identity, and were not delivered again.
    pub again: u32,
    /// Messages that another source of the account brought before, and that were not delivered again.
    pub doubles: u32,
    /// Whether there are more new messages than one round takes on.
    pub more: bool,
    /// Whether the next poll is due at once.
    pub at_once: bool,
    /// Whether the poll broke off at a message that was left for the last: all others had been collected by then.
    pub left_for_last: bool,
    /// Messages that could not be collected.
    pub troubled: u32,
    /// The first error that concerned one message only, while the poll went on.
    pub problem: Option<Error>,
}

impl Outcome {
    /// Whether the next round has fewer new messages to read. Messages that came before under other identities do not
    /// count: a server that renumbers with each list would keep a poll going for ever.
    pub fn has_settled(&self) -> bool {
        self.collected > 0 || self.doubles > 0
    }

    /// Whether the poll did anything worth a line in the log.
    pub fn has_brought(&self) -> bool {
        self.has_settled() || self.again > 0
    }

    /// Adds the outcome of a later round.
    pub fn add(&mut self, more: Outcome) {
        self.collected += more.collected;
        self.deleted += more.deleted;
        self.again += more.again;
        self.doubles += more.doubles;
        self.at_once |= more.at_once;
        self.more = more.more;
        self.left_for_last |= more.left_for_last;
        self.troubled += more.troubled;
        self.problem = self.problem.take().or(more.problem);
    }
}

/// A poll of one folder, over all its rounds.
pub struct Collection {
    account: Rc<Account>,
    key: SourceKey,
    ledger: Ledger,
    letterhead: notice::Letterhead,
    transaction: Transaction,
    /// The mailbox that messages are delivered into.
    into: MailboxId,
    /// Handles of the messages in the transaction.
    batch: Vec<Handle>,
    /// Where to look for messages that another source of the account has brought; `None` where that is not wanted.
    twins: Option<Twins>,
    /// Twins that the transaction notes.
    new_twins: Vec<Identity>,
    /// Handles of messages that are not delivered since another source's copy is safe.
    doubles: Vec<Handle>,
    /// Handles of messages that are too large and are to be deleted: a letter in the transaction tells the user of
    /// them.
    doomed: Vec<Handle>,
    batch_octets: u64,
    batch_began: Instant,
    /// Messages that stay at the server since they are too large. The commit that notes them brings a letter to the
    /// user.
    told: Vec<Told>,
    /// Messages that cannot be had, each with the identity that notes that the user was told.
    stuck: Vec<(Identity, notice::Stuck)>,
    /// Messages of which less than half came: the user is to be told.
    short: Vec<notice::Stuck>,
    needs: Needs,
    time: Time,
    /// Whether no more messages are taken on in this round.
    enough: bool,
    /// Messages that are to be read, and their octets.
    planned: (u64, u64),
    /// The listed sizes of the new messages among them, where the server lists a size.
    sizes: HashMap<Handle, u64>,
    /// Octets of messages that came in this round.
    octets: u64,
    /// Messages of this round whose identities are compared.
    doubtful: HashSet<Handle>,
    /// In how many polls in a row the server had renumbered its messages: with this poll, and without it.
    anew: (u64, u64),
    /// Whether the transaction holds anything.
    pending: bool,
    /// Whether the server has listed all its messages.
    is_listed: bool,
    /// Whether everything was read that could tell whether a message was collected.
    complete: bool,
    /// Messages to be deleted at the server: they are in the ledger, durably.
    deletable: VecDeque<Handle>,
    /// The messages of this round that were compared, and are the same as before: their identities and listed sizes.
    same: HashMap<Handle, (Identity, u64)>,
    /// Those of them that the server was told to delete.
    compared: Vec<(Identity, u64)>,
    /// How far the poll has come, for the operator.
    pub progress: Rc<Progress>,
    /// What the poll has done so far.
    pub outcome: Outcome,
}

impl Collection {
    /// A poll of `source` for `account`, with the settings of `config`. What is collected is noted under `key`.
    /// `needs` is what earlier polls found out, `time` the clock.
    pub fn new(
        account: Rc<Account>,
        source: &Source,
        key: SourceKey,
        config: &Config,
        needs: Needs,
        time: &Time,
    ) -> Collection {
        let max = config.server.max_message_size;
        needs.begin();
        Collection {
            ledger: Ledger::new(source, account.ledger_of(key), unix_now(), max),
            letterhead: notice::Letterhead::new(config, &account.name(), source),
            transaction: account.begin(),
            into: INBOX,
            account,
            key,
            batch: Vec::new(),
            twins: None,
            new_twins: Vec::new(),
            doubles: Vec::new(),
            doomed: Vec::new(),
            batch_octets: 0,
            batch_began: time.now(),
            told: Vec::new(),
            stuck: Vec::new(),
            short: Vec::new(),
            needs,
            time: time.clone(),
            enough: false,
            planned: (0, 0),
            sizes: HashMap::new(),
            doubtful: HashSet::new(),
            octets: 0,
            anew: (0, 0),
            pending: false,
            is_listed: false,
            complete: true,
            deletable: VecDeque::new(),
            same: HashMap::new(),
            compared: Vec::new(),
            progress: Rc::default(),
            outcome: Outcome::default(),
        }
    }

    /// Begins the next round, once everything of the last one is committed. What the last round noted is known
    /// without another look into the store, unless another task has written there.
    pub fn begin_next_round(&mut self) {
        self.needs.begin();
        self.ledger.begin_next_round(unix_now());
        if self.ledger.known().len() != self.account.ledger_len(self.key) {
            self.ledger.read_anew(self.account.ledger_of(self.key));
        }
        #[cfg(test)]
        assert_eq!(self.ledger.known(), self.account.ledger_of(self.key));
        self.sizes.clear();
        self.doubtful.clear();
        self.same.clear();
        (self.planned, self.octets) = ((0, 0), 0);
        (self.enough, self.is_listed, self.complete) = (false, false, true);
    }

    /// Delivers what is collected into the mailbox of this name, which is made if it does not exist.
    ///
    /// # Errors
    /// The store's.
    pub async fn deliver_into(&mut self, name: &str) -> Result<(), Error> {
        if self.account.find(name).is_none() {
            let mut transaction = self.account.begin();
            transaction.create_mailbox(name);
            transaction.subscribe(name, true);
            match transaction.commit().await {
                // Another task made it first.
                Ok(_) | Err(store::Error::MailboxExists) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.into = self.account.find(name).ok_or(store::Error::NoSuchMailbox)?;
        Ok(())
    }

    /// Takes in a message that the server lists. Returns the message if it is to be read. `unique_id` is empty if
    /// there is none.
    pub fn listed(&mut self, handle: Handle, unique_id: &[u8], size: u64) -> Option<Wanted> {
        let verdict = self.ledger.listed(unique_id, size);
        let is_doubtful = matches!(verdict, Verdict::Compare(_));
        let identity = match verdict {
            // The server was told twice to delete it. By now it may be another message of the same size.
            Verdict::Compare(identity) if self.needs.is_compared(&identity, size, self.time.now()) => {
                self.ledger.same(identity);
                return None;
            }
            // The rest is compared with later polls.
            Verdict::Compare(_) if self.doubtful.len() >= COMPARED => return None,
            Verdict::Compare(identity) | Verdict::Collect(identity) => Some(identity),
            Verdict::Read => None,
            Verdict::Tell(identity) if self.ledger.deletes_large() && !unique_id.is_empty() => {
                return Some(Wanted { large: size, ..Wanted::new(handle, Some(identity)) });
            }
            other => {
                self.apply(other, handle, size);
                return None;
            }
        };
        let place = identity.unwrap_or(Identity::in_place(handle));
        let turn = self.needs.turn(&place, self.time.now());
        if turn == Turn::Later {
            self.passed_over(identity);
            return None;
        }
        // A listed size above the limit is not believed.
        let size = if size > self.ledger.limit() { 0 } else { size };
        if size > 0 {
            self.sizes.insert(handle, size);
        }
        if is_doubtful {
            self.doubtful.insert(handle);
            return Some(Wanted { last: turn == Turn::Last, is_doubtful, ..Wanted::new(handle, identity) });
        }
        let size = self.needs.of(&place).max(size);
        if size > self.ledger.limit() {
            self.passed_over(identity);
            return None;
        }
        let planned = (self.planned.0 + 1, self.planned.1.saturating_add(size));
        // A message without room is not written at all: each try wears the card.
        let room =
            self.account.fits(planned.0, planned.1).and_then(|()| self.account.incoming().expect(size));
        if let Err(full) = room {
            self.problem(full.into());
            self.passed_over(identity);
            return None;
        }
        self.planned = planned;
        Some(Wanted { last: turn == Turn::Last, ..Wanted::new(handle, identity) })
    }

    /// A listed message is not read. If it has no identity, only its content could have told whether it was
    /// collected.
    fn passed_over(&mut self, identity: Option<Identity>) {
        self.complete &= identity.is_some();
    }

    /// Octets that a message is listed with; 0 where the server lists none, or more than a message may have.
    pub fn listed_size(&self, handle: Handle) -> u64 {
        self.sizes.get(&handle).copied().unwrap_or(0)
    }

    /// Whether the message with this unique-id was collected.
    pub fn knows(&mut self, unique_id: &[u8]) -> bool {
        self.ledger.knows(unique_id)
    }

    /// The identity of the message with this unique-id.
    #[cfg(test)]
    pub fn identity_of(&self, unique_id: &[u8]) -> Identity {
        self.ledger.unique(unique_id)
    }

    /// Whether this may be another mailbox than the one that the ledger is about. Until [`Collection::arrive`]
    /// nothing may be listed.
    pub fn is_elsewhere(&self) -> bool {
        self.ledger.is_elsewhere()
    }

    /// The content hash of the message with this unique-id, if it was collected; 0 where the hash is not known.
    pub fn content_of(&mut self, unique_id: &[u8]) -> Option<u64> {
        self.ledger.content_of(unique_id)
    }

    /// Notes whether the mailbox is the same one as before.
    pub fn arrive(&mut self, is_same: bool) {
        let now = unix_now();
        for (identity, content) in self.ledger.arrive(is_same) {
            self.collected_message(identity, now, content);
        }
    }

    /// Whether the beginnings of new messages are compared before they are read: the server seems to have renumbered
    /// its messages.
    pub fn looks_first(&self) -> bool {
        self.ledger.is_renumbered()
    }

    /// Compares the beginning of a message, of which `came` octets came, with what is known. True if the message came
    /// before under another identity: nothing more is to be done with it.
    pub fn looked_at(&mut self, wanted: &Wanted, content: &Content, came: u64) -> bool {
        let size = self.listed_size(wanted.handle);
        let hash = content.hash(size).filter(|_| size > 0 && content.is_enough(came, size));
        if wanted.is_doubtful {
            let known =
                wanted.identity.zip(hash).filter(|(identity, hash)| self.ledger.is_known_as(identity, *hash));
            if let Some((identity, _)) = known {
                self.is_the_same(wanted.handle, identity);
            }
            return known.is_some();
        }
        let known = hash.filter(|hash| hash.is_told_apart && self.ledger.has_content(hash.content));
        match (wanted.identity, known) {
            (Some(identity), Some(known)) => {
                self.note_duplicate(identity, known.content);
                true
            }
            _ => false,
        }
    }

    /// The server has listed all its messages. Once all of them are read too, the ledger may forget what is no longer
    /// listed.
    pub fn all_listed(&mut self) {
        self.needs.all_listed();
        self.progress.listed(self.planned, self.ledger.left(), self.time.now());
        self.is_listed = true;
        self.anew = self.ledger.renumbered();
    }

    /// Whether there are more new messages than this round takes on.
    pub fn is_full(&self) -> bool {
        self.ledger.has_more()
    }

    /// Whether no more messages are taken on.
    pub fn has_enough(&self) -> bool {
        self.enough
    }

    /// Takes on no more messages in this round.
    fn stop(&mut self) {
        self.enough = true;
        self.complete = false;
    }

    /// Octets of messages that came in this round.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Notes that not everything was read.
    pub fn incomplete(&mut self) {
        self.complete = false;
    }

    /// Delivers no message that another source of the account has brought, as `twins` tells.
    pub fn leave_out_duplicates(&mut self, twins: Twins) {
        self.twins = Some(twins);
    }

    /// Whether a message is to be delivered, where another source of the account may have brought it.
    fn should_deliver(
        &mut self,
        handle: Handle,
        identity: Identity,
        hash: Option<Hash>,
        twin: Option<Digest>,
    ) -> bool {
        let Some((twins, twin)) = self.twins.as_ref().zip(twin) else { return true };
        let (twin, now) = (Identity::twin(twin.as_ref()), unix_now());
        match twins.meet(&self.account, twin) {
            Twin::First => {
                Twins::note(&mut self.transaction, twin, now);
                self.new_twins.push(twin);
                true
            }
            // The next poll reads this message again, when the other one is committed or has failed.
            Twin::UnderWay => {
                self.incomplete();
                false
            }
            Twin::Safe => {
                self.outcome.doubles += 1;
                self.doubles.push(handle);
                self.collected_with(identity, now, hash);
                false
            }
        }
    }

    fn deliver(
        &mut self,
        handle: Handle,
        identity: Identity,
        content: Option<Hash>,
        incoming: Incoming,
        told: Attributes,
    ) {
        if self.batch.is_empty() {
            self.batch_began = self.time.now();
        }
        self.batch.push(handle);
        self.batch_octets += incoming.len();
        let now = unix_now();
        // A date in the future is a mistake.
        let date = told.date.filter(|date| (1..=now.saturating_add(DAY)).contains(date)).unwrap_or(now);
        let keywords: Vec<&str> = told.keywords.iter().map(String::as_str).collect();
        self.transaction.deliver(self.into, incoming, told.flags, &keywords, date);
        self.collected_with(identity, now, content);
    }

    /// Takes out the messages that are to be deleted at the server by now, in ascending order.
    pub fn take_deletable(&mut self) -> VecDeque<Handle> {
        let mut deletable = std::mem::take(&mut self.deletable);
        deletable.make_contiguous().sort_unstable();
        let same = deletable.iter().filter_map(|handle| self.same.remove(handle));
        self.compared.extend(same);
        deletable
    }

    /// The server has answered the deletions, whatever it does then: what was compared for them is not compared again
    /// within a day.
    pub fn deletions_answered(&mut self) {
        for (identity, size) in self.compared.drain(..) {
            self.needs.compared(identity, size, self.time.now());
        }
    }

    /// The message of `handle` has the identity of a collected one, and is the same one.
    fn is_the_same(&mut self, handle: Handle, identity: Identity) {
        let size = self.listed_size(handle);
        self.same.insert(handle, (identity, size));
        let verdict = self.ledger.same(identity);
        self.apply(verdict, handle, size);
    }

    /// The identity under which a message that came whole is kept, which is another one than `identity` if that belongs
    /// to an earlier message. `None` if the message is that one.
    fn identity_of_whole(
        &mut self,
        handle: Handle,
        identity: Identity,
        hash: Option<Hash>,
    ) -> Option<Identity> {
        if !self.doubtful.contains(&handle) {
            return Some(identity);
        }
        match hash {
            Some(hash) if self.ledger.is_known_as(&identity, hash) => {
                self.is_the_same(handle, identity);
                None
            }
            hash => Some(identity.reused(hash.map_or(0, |hash| hash.content))),
        }
    }

    /// Notes a message whose content came before, under another identity.
    fn note_duplicate(&mut self, identity: Identity, content: u64) {
        self.outcome.again += 1;
        // The new identity is worthless in the next session. If not all new messages were looked at, it is noted all
        // the same: otherwise the next poll would begin at the same place.
        let in_vain = self.anew.0 > 1 && !self.anew.0.is_multiple_of(NOTED_EACH) && !self.ledger.has_more();
        if in_vain && self.ledger.meet(content) {
            return;
        }
        let replaced = self.ledger.replace(content);
        if !replaced.is_empty() {
            self.transaction.forget(self.key, &replaced);
        }
        self.collected_message(identity.again(), unix_now(), content);
    }

    fn collected_with(&mut self, identity: Identity, now: i64, hash: Option<Hash>) {
        match hash {
            Some(hash) => self.collected_message(identity, now, hash.content),
            None => self.collected(identity, now),
        }
    }

    fn collected_message(&mut self, identity: Identity, now: i64, content: u64) {
        self.transaction.collected_message(self.key, identity.octets(), now, content);
        self.ledger.note(&identity, now, Some(content));
        self.pending = true;
    }

    fn collected(&mut self, identity: Identity, now: i64) {
        self.transaction.collected(self.key, identity.octets(), now);
        self.ledger.note(&identity, now, None);
        self.pending = true;
    }

    /// Notes an error that concerns one message only: the poll goes on.
    pub fn problem(&mut self, error: Error) {
        self.outcome.troubled += 1;
        self.outcome.problem.get_or_insert(error);
    }

    /// Whether messages wait for their commit.
    pub fn has_batch(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Whether it is time for [`Collection::commit`].
    pub fn is_due(&self) -> bool {
        self.due_in().is_some_and(|time| time.is_zero())
    }

    /// How long until it is time for [`Collection::commit`]; `None` while nothing waits for one.
    pub fn due_in(&self) -> Option<Duration> {
        if self.batch.len() >= BATCH_MESSAGES || self.batch_octets >= BATCH_OCTETS {
            return Some(Duration::ZERO);
        }
        (!self.batch.is_empty()).then(|| BATCH_TIME.saturating_sub(self.time.since(self.batch_began)))
    }

    /// Makes everything durable that came whole. After this the messages are safe, and are deleted at the server
    /// unless they are to stay there. Never drop this future: a poll that begins meanwhile would not know whether the
    /// messages are collected.
    ///
    /// # Errors
    /// The store's. The next poll collects the messages again, or knows that they are collected.
    pub async fn commit(&mut self) -> Result<(), Error> {
        if !std::mem::take(&mut self.pending) {
            return Ok(());
        }
        let transaction = std::mem::replace(&mut self.transaction, self.account.begin());
        let batch = std::mem::take(&mut self.batch);
        self.batch_octets = 0;
        let (doubles, doomed) = (std::mem::take(&mut self.doubles), std::mem::take(&mut self.doomed));
        let committed = transaction.commit().await;
        self.part_from_twins();
        committed?;
        self.deletable.extend(doomed);
        self.outcome.collected += u32::try_from(batch.len()).unwrap_or(u32::MAX);
        self.progress.safe(self.outcome.collected);
        if !self.ledger.leaves_on_server() {
            self.deletable.extend(batch.into_iter().chain(doubles));
        }
        Ok(())
    }

    fn part_from_twins(&mut self) {
        for twin in std::mem::take(&mut self.new_twins) {
            if let Some(twins) = &self.twins {
                twins.part(&self.account, twin);
            }
        }
    }

    /// The last commit of a round that went well: with the letters to the user, and without what the server no longer
    /// lists.
    ///
    /// # Errors
    /// As [`Collection::commit`].
    pub async fn conclude(&mut self) -> Result<(), Error> {
        self.outcome.more |= self.ledger.has_more();
        // Messages beyond the limit of a round have not been looked at.
        if self.is_listed && self.complete && !self.ledger.has_more() {
            let Changes { gone, back, forgotten } = self.ledger.changes();
            let now = u32::try_from(unix_now()).unwrap_or(u32::MAX);
            for (identities, since) in [(&gone, now), (&back, 0)] {
                if !identities.is_empty() {
                    self.transaction.unlisted(self.key, identities, since);
                    self.pending = true;
                }
            }
            if !forgotten.is_empty() {
                self.transaction.forget(self.key, &forgotten);
                self.pending = true;
            }
            self.note_numbering();
        }
        if self.twins.is_some() && self.pending {
            Twins::forget(&self.account, &mut self.transaction, unix_now());
        }
        self.write_letters()?;
        self.commit().await
    }

    /// Notes, at the end of a complete poll, whether the server had renumbered its messages.
    fn note_numbering(&mut self) {
        let noted = Identity::renumbered();
        match self.anew {
            (0, 0) => {}
            (0, _) => {
                self.transaction.forget(self.key, &[store::identity_hash(noted.octets())]);
                self.pending = true;
            }
            (times, _) => self.collected_message(noted, unix_now(), times),
        }
    }

    /// The last commit of a poll that broke off: messages that came whole are kept, and the user is told of those
    /// that stay.
    ///
    /// # Errors
    /// As [`Collection::commit`].
    pub async fn abandon(&mut self) -> Result<(), Error> {
        self.write_letters()?;
        self.commit().await
    }

    /// Whether there is room for a message of `octets` besides those that wait for their commit.
    fn fits(&self, octets: u64) -> Result<(), store::Error> {
        self.account.fits(self.batch.len() as u64 + 1, self.batch_octets.saturating_add(octets))
    }

    fn apply(&mut self, verdict: Verdict, handle: Handle, size: u64) {
        match verdict {
            Verdict::Delete => self.deletable.push_back(handle),
            Verdict::Tell(identity) => {
                let large = notice::Large::new(size);
                self.tell(Told { identity, unread: None, large, doomed: None });
            }
            Verdict::Redate(identity) => self.collected(identity, unix_now()),
            Verdict::Collect(_) | Verdict::Compare(_) | Verdict::Read | Verdict::Leave => {}
        }
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        self.part_from_twins();
    }
}
