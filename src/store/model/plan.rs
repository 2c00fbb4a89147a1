//! From changes that were asked for to the records that make them: numbers are given out here.

use std::collections::BTreeMap;

use super::{Arrival, Change, Committed, Index, Mailbox, Overlay, mailbox_name};
use crate::store::Error;
use crate::store::format::record::{
    BodyRecord, CollectedRecord, ExpungeRecord, FlagsRecord, ForgottenRecord, KeywordRecord, LIST_MAX,
    MailboxCreatedRecord, MailboxDeletedRecord, MailboxRenamedRecord, MessageRecord, MovedRecord, NoteRecord,
    RecentRecord, Record, SubscribedRecord,
};
use crate::store::format::{Flags, INBOX, MailboxId, Message, Place, Uid, ranges};

/// Octets of a keyword: an atom that clients choose.
const KEYWORD_LEN_MAX: usize = 128;

/// A commit that can be written.
pub struct Plan {
    /// What is to be written, in this order.
    pub steps: Vec<Step>,
    /// The overlay once it is written.
    pub overlay: Overlay,
    /// What it will have done.
    pub committed: Committed,
    /// Octets that the account holds more afterwards; 0 where it also removes some, as a move does.
    pub grows_by: u64,
    /// Whether it brings messages.
    pub arrives: bool,
    /// Octets of those that go into the log; the others are on flash already.
    pub brings: u64,
}

/// A record of a plan.
pub enum Step {
    /// One without a body.
    Record(Record),
    /// A Body record, and where its octets are.
    Body(BodyRecord, Source),
    /// One of a kind that this version does not know, which compaction keeps: head and body.
    Unknown(Vec<u8>, Vec<u8>),
}

/// Where the octets of a Body record are, in the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In the message of this number that it brings.
    Arrival(usize),
    /// In the body of this number that it relocates.
    Relocated(usize),
}

impl Plan {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// Checks `changes`, which bring `arrivals`, against what is applied and staged, and plans their records.
///
/// # Errors
/// Those of [`crate::store::Transaction::commit`] that are found before anything is written.
pub fn plan(
    index: &Index,
    overlay: &Overlay,
    changes: &[Change],
    arrivals: &[Arrival],
) -> Result<Plan, Error> {
    let mut planner = Planner::new(index, overlay.clone());
    let arrived = !arrivals.is_empty();
    let mut arrivals = arrivals.iter().enumerate();
    for change in changes {
        planner.change(change, &mut arrivals)?;
    }
    planner.claimed_recent();
    if changes.iter().all(|change| matches!(change, Change::Relocate { .. })) {
        // Nobody sees compaction: it takes no MODSEQ.
        planner.overlay.last.modseq = overlay.last.modseq;
    }
    let (grows_by, brings) = (planner.grows_by(), planner.brings);
    Ok(Plan {
        steps: planner.steps,
        overlay: planner.overlay,
        committed: planner.committed,
        grows_by,
        arrives: arrived,
        brings,
    })
}

pub(super) struct Planner<'a> {
    pub(super) index: &'a Index,
    pub(super) overlay: Overlay,
    /// Names of mailboxes, those of this commit included. Filled when a change needs them.
    names: BTreeMap<String, MailboxId>,
    steps: Vec<Step>,
    pub(super) committed: Committed,
    brings: u64,
}

impl<'a> Planner<'a> {
    fn new(index: &'a Index, mut overlay: Overlay) -> Planner<'a> {
        // MODSEQ 1 is what an empty mailbox has.
        overlay.last.modseq = overlay.last.modseq.max(index.last.modseq).max(1) + 1;
        let committed = Committed { placed: Vec::new(), modseq: overlay.last.modseq };
        Planner { index, overlay, names: BTreeMap::new(), steps: Vec::new(), committed, brings: 0 }
    }

    pub(super) fn record(&mut self, record: Record) {
        self.steps.push(Step::Record(record));
    }

    /// The records so far, those with a body left out.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.steps.iter().filter_map(|step| match step {
            Step::Record(record) => Some(record),
            Step::Body(..) | Step::Unknown(..) => None,
        })
    }

    fn change<'b>(
        &mut self,
        change: &Change,
        arrivals: &mut impl Iterator<Item = (usize, &'b Arrival)>,
    ) -> Result<(), Error> {
        let modseq = self.committed.modseq;
        match change {
            Change::Deliver { mailbox, flags, keywords, date, note, numbers } => {
                // Each brings one.
                let Some((at, arrival)) = arrivals.next() else { return Err(Error::NoSuchMessage) };
                let flags = self.flags(*mailbox, *flags, keywords)?;
                let (body, size) = self.arrive(at, arrival)?;
                let (uid, modseq) = self.numbers(*mailbox, *numbers)?;
                let (mailbox, date, flags) = (*mailbox, *date, flags.0);
                self.place(MessageRecord { mailbox, uid, body, size, copy_of: None, date, flags, modseq });
                if let Some(note) = note {
                    self.record(Record::Note(NoteRecord { mailbox, uid, note: note.clone() }));
                }
            }
            Change::Restore { mailbox, numbers } => self.restore(*mailbox, *numbers)?,
            Change::SkipNumbers(count) => self.skip_numbers(*count),
            Change::RenewUidValidities(jump) => self.renew_uid_validities(*jump),
            Change::Copy { from, uid, to } => self.copy(*from, *uid, *to)?,
            Change::Flags { mailbox, uids, change, flags, keywords } => {
                let flags = self.flags(*mailbox, *flags, keywords)?.0;
                let (mailbox, change) = (*mailbox, *change);
                for uids in ranges(uids).chunks(LIST_MAX) {
                    let uids = uids.to_vec();
                    self.record(Record::Flags(FlagsRecord { mailbox, uids, change, flags, modseq }));
                }
            }
            Change::Expunge { mailbox, uids } => {
                self.mailbox(*mailbox)?;
                self.expunge(*mailbox, uids);
            }
            Change::CreateMailbox(name) => drop(self.create(&mailbox_name::canonical(name)?)?),
            Change::RenameMailbox { from, to } => {
                self.rename(&mailbox_name::canonical(from)?, &mailbox_name::canonical(to)?)?;
            }
            Change::DeleteMailbox(name) => self.delete(&mailbox_name::canonical(name)?)?,
            Change::Subscribe { name, subscribed } => {
                let name = mailbox_name::canonical(name)?;
                self.record(Record::Subscribed(SubscribedRecord { name, subscribed: *subscribed }));
            }
            Change::Annotate { mailbox, entry, value } => self.annotate(mailbox, entry, value.as_deref())?,
            Change::Note { mailbox, uid, note } => {
                self.mailbox(*mailbox)?;
                let note = NoteRecord { mailbox: *mailbox, uid: *uid, note: note.clone() };
                self.record(Record::Note(note));
            }
            Change::Collected { source, identity, date } => {
                let collected = CollectedRecord { source: source.0, identity: *identity, date: *date };
                self.record(Record::Collected(collected));
            }
            Change::Relocate { bodies, unknown } => {
                let unknown = unknown.iter().map(|(head, body)| Step::Unknown(head.clone(), body.clone()));
                self.steps.extend(unknown);
                self.relocate(bodies);
            }
            Change::Forget { source, identities } => {
                for identities in identities.chunks(LIST_MAX) {
                    let forgotten = ForgottenRecord { source: source.0, identities: identities.to_vec() };
                    self.record(Record::Forgotten(forgotten));
                }
            }
        }
        Ok(())
    }

    /// A message comes: number and octets of its body.
    fn arrive(&mut self, at: usize, arrival: &Arrival) -> Result<(u32, u32), Error> {
        let size = u32::try_from(arrival.size).map_err(|_| Error::Full)?;
        if arrival.file.is_none() {
            self.brings += arrival.size;
        }
        let body = arrival.file.map_or_else(|| self.overlay.next_body(self.index), |(number, _)| number);
        let crc = arrival.file.map(|(_, crc)| crc);
        let record = BodyRecord { body, size, crc, summary: arrival.summary.clone() };
        self.steps.push(Step::Body(record, Source::Arrival(at)));
        Ok((body, size))
    }

    fn expunge(&mut self, mailbox: MailboxId, uids: &[Uid]) {
        let modseq = self.committed.modseq;
        for uids in ranges(uids).chunks(LIST_MAX) {
            self.record(Record::Expunge(ExpungeRecord { mailbox, uids: uids.to_vec(), modseq }));
        }
    }

    fn relocate(&mut self, bodies: &[BodyRecord]) {
        for (n, record) in bodies.iter().enumerate() {
            self.steps.push(Step::Body(record.clone(), Source::Relocated(n)));
        }
        let bodies: Vec<u32> = bodies.iter().map(|record| record.body).collect();
        if bodies.is_empty() {
            // A commit all the same: it begins a segment.
            self.record(Record::Moved(MovedRecord { bodies }));
            return;
        }
        for bodies in bodies.chunks(LIST_MAX) {
            self.record(Record::Moved(MovedRecord { bodies: bodies.to_vec() }));
        }
    }

    fn grows_by(&self) -> u64 {
        let mut octets = 0;
        for step in &self.steps {
            match step {
                Step::Record(Record::Expunge(_)) => return 0,
                Step::Record(Record::Message(message)) => octets += u64::from(message.size),
                _ => {}
            }
        }
        octets
    }

    fn claimed_recent(&mut self) {
        if self.steps.is_empty() {
            return;
        }
        for mailbox in std::mem::take(&mut self.overlay.claimed_recent) {
            if let Ok(from) = self.mailbox(mailbox).map(|mailbox| mailbox.recent_from) {
                self.record(Record::Recent(RecentRecord { mailbox, from }));
            }
        }
    }

    pub(super) fn mailbox(&self, id: MailboxId) -> Result<&'a Mailbox, Error> {
        let mailbox = self.index.mailboxes.get(&id).ok_or(Error::NoSuchMailbox)?;
        if self.overlay.doomed.contains(&id) { Err(Error::NoSuchMailbox) } else { Ok(mailbox) }
    }

    /// A message is placed.
    fn place(&mut self, message: MessageRecord) {
        self.committed.placed.push((message.mailbox, message.uid));
        self.record(Record::Message(message));
    }

    fn copy(&mut self, from: MailboxId, uid: Uid, to: MailboxId) -> Result<(), Error> {
        self.mailbox(to)?;
        let source = self.mailbox(from)?;
        let Some(message) = source.message(uid) else { return Ok(()) };
        let names: Vec<String> =
            message.flags.keywords().filter_map(|bit| source.keywords.get(bit).cloned()).collect();
        let flags = self.flags(to, message.flags.system(), &names)?;
        let place = self.overlay.place(message);
        self.place_copy(to, message, place, flags)
    }

    fn place_copy(
        &mut self,
        mailbox: MailboxId,
        message: &Message,
        place: Place,
        flags: Flags,
    ) -> Result<(), Error> {
        let (uid, modseq) = self.numbers(mailbox, None)?;
        let Message { body, size, date, .. } = *message;
        let (copy_of, flags) = (Some(place), flags.0);
        self.place(MessageRecord { mailbox, uid, body, size, copy_of, date, flags, modseq });
        Ok(())
    }

    /// The bits of `system` and `keywords` in a mailbox, naming new ones.
    fn flags(&mut self, id: MailboxId, system: Flags, keywords: &[String]) -> Result<Flags, Error> {
        let mailbox = self.mailbox(id)?;
        let mut flags = system.system();
        for keyword in keywords {
            let staged = self.overlay.keywords.entry(id).or_default();
            let mut known = mailbox.keywords.iter().chain(staged.iter());
            let bit = match known.position(|name| name.eq_ignore_ascii_case(keyword)) {
                Some(bit) => bit,
                None => {
                    let bit = mailbox.keywords.len() + staged.len();
                    if bit >= Flags::KEYWORDS || keyword.len() > KEYWORD_LEN_MAX {
                        return Err(Error::TooManyKeywords);
                    }
                    staged.push(keyword.clone());
                    self.record(Record::Keyword(KeywordRecord { mailbox: id, name: keyword.clone() }));
                    bit
                }
            };
            flags = flags.with(Flags::keyword(bit));
        }
        Ok(flags)
    }

    /// Structural changes come when nothing is staged: the index has all names.
    pub(super) fn names(&mut self) -> &mut BTreeMap<String, MailboxId> {
        if self.names.is_empty() {
            self.names = self.index.mailboxes.values().map(|m| (m.name.clone(), m.id)).collect();
        }
        &mut self.names
    }

    fn create(&mut self, name: &str) -> Result<MailboxId, Error> {
        if self.names().contains_key(name) {
            return Err(Error::MailboxExists);
        }
        for superior in mailbox_name::superiors(name) {
            if !self.names().contains_key(superior) {
                self.create_one(superior);
            }
        }
        Ok(self.create_one(name))
    }

    fn create_one(&mut self, name: &str) -> MailboxId {
        let last = &mut self.overlay.last;
        last.mailbox = last.mailbox.max(self.index.last.mailbox) + 1;
        let id = if name == "INBOX" { INBOX } else { MailboxId(last.mailbox) };
        let uid_validity = self.new_uid_validity();
        let created = MailboxCreatedRecord { mailbox: id, name: name.to_owned(), uid_validity };
        self.record(Record::MailboxCreated(created));
        self.names().insert(name.to_owned(), id);
        id
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Error> {
        if mailbox_name::is_inferior(to, from) && from != "INBOX" {
            return Err(Error::BadName("a mailbox cannot move below itself"));
        }
        if self.names().contains_key(to) {
            return Err(Error::MailboxExists);
        }
        if from == "INBOX" {
            let new = self.create(to)?;
            let uids: Vec<Uid> = self.mailbox(INBOX)?.messages.iter().map(|message| message.uid).collect();
            self.move_to_new(&uids, new)?;
            return Ok(());
        }
        let moving: Vec<(String, MailboxId)> = self
            .names()
            .iter()
            .filter(|(name, _)| *name == from || mailbox_name::is_inferior(name, from))
            .map(|(name, id)| (name.clone(), *id))
            .collect();
        if moving.is_empty() {
            return Err(Error::NoSuchMailbox);
        }
        for superior in mailbox_name::superiors(to) {
            if !self.names().contains_key(superior) {
                self.create_one(superior);
            }
        }
        for (name, mailbox) in moving {
            let renamed = mailbox_name::canonical(&format!("{to}{}", &name[from.len()..]))?;
            if self.names().contains_key(&renamed) {
                return Err(Error::MailboxExists);
            }
            self.names().remove(&name);
            self.names().insert(renamed.clone(), mailbox);
            self.record(Record::MailboxRenamed(MailboxRenamedRecord { mailbox, name: renamed }));
        }
        Ok(())
    }

    /// Moves messages of the INBOX into a mailbox that this commit creates.
    fn move_to_new(&mut self, uids: &[Uid], to: MailboxId) -> Result<(), Error> {
        let inbox = self.mailbox(INBOX)?;
        for name in &inbox.keywords {
            self.record(Record::Keyword(KeywordRecord { mailbox: to, name: name.clone() }));
        }
        for message in &inbox.messages {
            let place = self.overlay.place(message);
            self.place_copy(to, message, place, message.flags)?;
        }
        self.expunge(INBOX, uids);
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), Error> {
        let mailbox = self.names().remove(name).ok_or(Error::NoSuchMailbox)?;
        if mailbox == INBOX {
            return Err(Error::BadName("the INBOX stays"));
        }
        self.overlay.doomed.insert(mailbox);
        self.record(Record::MailboxDeleted(MailboxDeletedRecord { mailbox }));
        Ok(())
    }
}
