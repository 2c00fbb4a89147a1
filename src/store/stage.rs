//! From changes that were asked for to the records that make them: numbers are given out here.
//!
//! What is staged but not yet applied is not in the [`Index`]; the [`Overlay`] remembers as much of it
//! as the next commit must know.

mod numbers;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::index::{Counters, Index};
use super::log::Log;
use super::record::{Place, Record, ranges};
use super::transaction::Change;
use super::{Committed, Error, Flags, INBOX, Mailbox, MailboxId, Message, Summarize, Uid, mailbox_name};

/// Keywords that fit into [`Flags`].
const KEYWORDS_MAX: usize = 56;
/// Octets of a keyword: an atom that clients choose.
const KEYWORD_LEN_MAX: usize = 128;

/// What staged commits have given out.
#[derive(Debug, Default, Clone)]
pub struct Overlay {
    uid_next: BTreeMap<MailboxId, Uid>,
    uid_validity: BTreeMap<MailboxId, u32>,
    keywords: BTreeMap<MailboxId, Vec<String>>,
    doomed: BTreeSet<MailboxId>,
    last: Counters,
    /// Where compaction has moved bodies.
    moved: BTreeMap<u32, Place>,
    /// Mailboxes whose `\Recent` messages a session has claimed since the last commit.
    pub claimed_recent: BTreeSet<MailboxId>,
}

impl Overlay {
    /// Everything staged is applied: the index knows it now.
    pub fn settle(&mut self) {
        self.uid_next.clear();
        self.uid_validity.clear();
        self.keywords.clear();
        self.doomed.clear();
        self.moved.clear();
    }

    /// Where the body of `message` lies once everything staged is applied.
    fn place(&self, message: &Message) -> Place {
        self.moved.get(&message.body).copied().unwrap_or(message.place())
    }

    /// Takes note of what a staged commit moves.
    pub fn note_moves(&mut self, records: &[(Record, Place)]) {
        let Some((Record::Moved { bodies }, _)) =
            records.iter().find(|(r, _)| matches!(r, Record::Moved { .. }))
        else {
            return;
        };
        for (record, place) in records {
            if let Record::Body { body, .. } = record
                && bodies.contains(body)
            {
                self.moved.insert(*body, *place);
            }
        }
    }

    /// Gives out the number of a body.
    pub fn next_body(&mut self, index: &Index) -> u32 {
        self.last.body = self.last.body.max(index.last.body) + 1;
        self.last.body
    }
}

/// A commit that can be written.
pub struct Plan {
    steps: Vec<Step>,
    /// The overlay once it is written.
    pub overlay: Overlay,
    /// What it will have done.
    pub committed: Committed,
    /// Octets that the account holds more afterwards; 0 where it also removes some, as a move does.
    pub grows_by: u64,
    /// Octets of the messages that it brings.
    pub brings: u64,
}

enum Step {
    Record(Record),
    /// A Body record whose octets are in the change at this place: the `n`th that it brings.
    Body(Record, usize, usize),
}

impl Plan {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Writes the records into the log, and returns them with their places for the index.
    pub fn write(self, log: &mut Log, changes: &[Change]) -> io::Result<Vec<(Record, Place)>> {
        let mut written = Vec::with_capacity(self.steps.len() + 1);
        for step in self.steps {
            let (record, octets) = match &step {
                Step::Record(record) => (record, &[][..]),
                Step::Body(record, at, n) => {
                    (record, changes.get(*at).map_or(&[][..], |change| change.octets(*n)))
                }
            };
            let place = log.push(record, octets)?;
            written.push(match step {
                // The index has no use for the summary: do not keep it until the sync is done.
                Step::Body(Record::Body { body, size, crc, .. }, ..) => {
                    (Record::Body { body, size, crc, summary: Vec::new() }, place)
                }
                Step::Record(record) | Step::Body(record, ..) => (record, place),
            });
        }
        written.push((Record::Commit { durable: Place::default() }, Place::default()));
        Ok(written)
    }
}

/// Checks `changes` against what is applied and staged, and plans their records.
///
/// # Errors
/// Those of [`super::Transaction::commit`] that are found before anything is written.
pub fn plan(
    index: &Index,
    overlay: &Overlay,
    changes: &[Change],
    summarize: Summarize,
) -> Result<Plan, Error> {
    let mut planner = Planner::new(index, overlay.clone());
    for (at, change) in changes.iter().enumerate() {
        planner.change(at, change, summarize)?;
    }
    planner.claimed_recent();
    if changes.iter().all(|change| matches!(change, Change::Relocate(_))) {
        // Nobody sees compaction: it takes no MODSEQ.
        planner.overlay.last.modseq = overlay.last.modseq;
    }
    let (grows_by, brings) = (planner.grows_by(), planner.brings);
    Ok(Plan {
        steps: planner.steps,
        overlay: planner.overlay,
        committed: planner.committed,
        grows_by,
        brings,
    })
}

pub(super) struct Planner<'a> {
    pub(super) index: &'a Index,
    overlay: Overlay,
    /// Names of mailboxes, those of this commit included. Filled when a change needs them.
    names: BTreeMap<String, MailboxId>,
    steps: Vec<Step>,
    committed: Committed,
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
            Step::Body(..) => None,
        })
    }

    fn change(&mut self, at: usize, change: &Change, summarize: Summarize) -> Result<(), Error> {
        let modseq = self.committed.modseq;
        match change {
            Change::Deliver { mailbox, message, flags, keywords, date, note, numbers } => {
                let size = u32::try_from(message.len()).map_err(|_| Error::Full)?;
                let flags = self.flags(*mailbox, *flags, keywords)?;
                self.brings += message.len();
                let (file, _) = message.stored();
                let body = file.map_or_else(|| self.overlay.next_body(self.index), |(number, _)| number);
                let crc = file.map(|(_, crc)| crc);
                let summary = message.summary(summarize);
                self.steps.push(Step::Body(Record::Body { body, size, crc, summary }, at, 0));
                let (uid, modseq) = self.numbers(*mailbox, *numbers)?;
                let (mailbox, date, flags) = (*mailbox, *date, flags.0);
                self.place(Record::Message { mailbox, uid, body, size, copy_of: None, date, flags, modseq });
                if let Some(note) = note {
                    self.record(Record::Note { mailbox, uid, note: note.clone() });
                }
            }
            Change::Restore { mailbox, numbers } => self.restore(*mailbox, *numbers)?,
            Change::Copy { from, uid, to } => self.copy(*from, *uid, *to)?,
            Change::Flags { mailbox, uids, change, flags, keywords } => {
                let flags = self.flags(*mailbox, *flags, keywords)?.0;
                if !uids.is_empty() {
                    let uids = ranges(uids);
                    self.record(Record::Flags { mailbox: *mailbox, uids, change: *change, flags, modseq });
                }
            }
            Change::Expunge { mailbox, uids } => {
                self.mailbox(*mailbox)?;
                if !uids.is_empty() {
                    self.record(Record::Expunge { mailbox: *mailbox, uids: ranges(uids), modseq });
                }
            }
            Change::CreateMailbox(name) => drop(self.create(&mailbox_name::canonical(name)?)?),
            Change::RenameMailbox { from, to } => {
                self.rename(&mailbox_name::canonical(from)?, &mailbox_name::canonical(to)?)?;
            }
            Change::DeleteMailbox(name) => self.delete(&mailbox_name::canonical(name)?)?,
            Change::Subscribe { name, subscribed } => {
                let name = mailbox_name::canonical(name)?;
                self.record(Record::Subscribed { name, subscribed: *subscribed });
            }
            Change::Annotate { mailbox, entry, value } => self.annotate(mailbox, entry, value.as_deref())?,
            Change::Note { mailbox, uid, note } => {
                self.mailbox(*mailbox)?;
                self.record(Record::Note { mailbox: *mailbox, uid: *uid, note: note.clone() });
            }
            Change::Collected { source, identity, date } => {
                self.record(Record::Collected { source: source.0, identity: *identity, date: *date });
            }
            Change::Relocate(bodies) => self.relocate(at, bodies),
            Change::Forget { source, identities } => {
                if !identities.is_empty() {
                    self.record(Record::Forgotten { source: source.0, identities: identities.clone() });
                }
            }
        }
        Ok(())
    }

    fn relocate(&mut self, at: usize, bodies: &[(Record, Vec<u8>)]) {
        let mut numbers = Vec::new();
        for (n, (record, _)) in bodies.iter().enumerate() {
            if let Record::Body { body, .. } = record {
                numbers.push(*body);
                self.steps.push(Step::Body(record.clone(), at, n));
            }
        }
        self.record(Record::Moved { bodies: numbers });
    }

    fn grows_by(&self) -> u64 {
        let mut octets = 0;
        for step in &self.steps {
            match step {
                Step::Record(Record::Expunge { .. }) => return 0,
                Step::Record(Record::Message { size, .. }) => octets += u64::from(*size),
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
                self.record(Record::Recent { mailbox, from });
            }
        }
    }

    fn mailbox(&self, id: MailboxId) -> Result<&'a Mailbox, Error> {
        let mailbox = self.index.mailboxes.get(&id).ok_or(Error::NoSuchMailbox)?;
        if self.overlay.doomed.contains(&id) { Err(Error::NoSuchMailbox) } else { Ok(mailbox) }
    }

    /// A message is placed.
    fn place(&mut self, message: Record) {
        if let Record::Message { mailbox, uid, .. } = message {
            self.committed.placed.push((mailbox, uid));
        }
        self.record(message);
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
        self.place(Record::Message { mailbox, uid, body, size, copy_of, date, flags, modseq });
        Ok(())
    }

    /// The bits of `system` and `keywords` in a mailbox, naming new ones.
    fn flags(&mut self, id: MailboxId, system: Flags, keywords: &[String]) -> Result<Flags, Error> {
        let mailbox = self.mailbox(id)?;
        let mut flags = system.system();
        for keyword in keywords {
            let staged = self.overlay.keywords.entry(id).or_default();
            // Those of commits that were applied meanwhile are the mailbox's own: they do not count twice.
            staged.retain(|name| !mailbox.keywords.contains(name));
            let mut known = mailbox.keywords.iter().chain(staged.iter());
            let bit = match known.position(|name| name.eq_ignore_ascii_case(keyword)) {
                Some(bit) => bit,
                None => {
                    let bit = mailbox.keywords.len() + staged.len();
                    if bit >= KEYWORDS_MAX || keyword.len() > KEYWORD_LEN_MAX {
                        return Err(Error::TooManyKeywords);
                    }
                    staged.push(keyword.clone());
                    self.record(Record::Keyword { mailbox: id, name: keyword.clone() });
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
        self.record(Record::MailboxCreated { mailbox: id, name: name.to_owned(), uid_validity });
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
            self.record(Record::MailboxRenamed { mailbox, name: renamed });
        }
        Ok(())
    }

    /// Moves messages of the INBOX into a mailbox that this commit creates.
    fn move_to_new(&mut self, uids: &[Uid], to: MailboxId) -> Result<(), Error> {
        let inbox = self.mailbox(INBOX)?;
        for name in &inbox.keywords {
            self.record(Record::Keyword { mailbox: to, name: name.clone() });
        }
        for message in &inbox.messages {
            let place = self.overlay.place(message);
            self.place_copy(to, message, place, message.flags)?;
        }
        if !uids.is_empty() {
            let modseq = self.committed.modseq;
            self.record(Record::Expunge { mailbox: INBOX, uids: ranges(uids), modseq });
        }
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), Error> {
        let mailbox = self.names().remove(name).ok_or(Error::NoSuchMailbox)?;
        if mailbox == INBOX {
            return Err(Error::BadName("the INBOX stays"));
        }
        self.overlay.doomed.insert(mailbox);
        self.record(Record::MailboxDeleted { mailbox });
        Ok(())
    }
}
