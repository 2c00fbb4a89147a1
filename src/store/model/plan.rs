//! Plans the records that make the changes that were asked for. Numbers are given out here.

use super::draft::{Draft, Rest};
use super::{Arrival, Change, Committed, Index, Mailbox, Note, Overlay, Usage, mailbox_name};
use crate::store::Error;
use crate::store::format::record::{
    BodyRecord, CollectedMessageRecord, CollectedRecord, ExpungeRecord, FlagsRecord, ForgottenRecord,
    LIST_MAX, MessageRecord, MovedRecord, NoteRecord, Record, SaveDateRecord, SubscribedRecord,
    UnlistedRecord,
};
use crate::store::format::{FlagChange, Flags, MailboxId, Message, Place, Uid, Uids};

/// Octets of a note at most; a message can have one. The notes of the queue are the longest: with as many recipients
/// as a message can have, and the reason of each one's failure, about 140 KiB.
pub const NOTE_MAX: usize = 256 * 1024;

/// A commit that can be written.
pub struct Plan {
    /// The records to be written, in this order.
    pub steps: Vec<Step>,
    /// The overlay once the records are written.
    pub overlay: Overlay,
    /// What the commit will have done.
    pub committed: Committed,
    /// Whether the commit delivers messages.
    pub arrives: bool,
    /// Octets of the delivered messages that go into the log; the others are on flash already.
    pub brings: u64,
    /// Whether there is nothing to write, and nothing was written before.
    pub is_empty: bool,
}

/// A record that a plan writes.
pub enum Step {
    /// A record without a body.
    Record(Record),
    /// A Body record, and where its octets are.
    Body(BodyRecord, Source),
    /// Head and body of a record of a kind that this version does not know, which compaction keeps.
    Unknown(Vec<u8>, Vec<u8>),
}

/// Where the octets of a Body record are, in the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In the transaction's message of this index.
    Arrival(usize),
    /// In the body of this index that the transaction relocates.
    Relocated(usize),
}

/// Checks `changes`, which deliver `arrivals` at the time `now`, against the index, what is staged and the `quota`,
/// and plans their records.
///
/// # Errors
/// The errors of [`crate::store::Transaction::commit`] that are found before anything is written.
pub fn plan(
    index: &Index,
    overlay: &Overlay,
    changes: &[Change],
    arrivals: &[Arrival],
    quota: Option<u64>,
    now: i64,
) -> Result<Plan, Error> {
    let (draft, _) = Draft::new(index, overlay, quota, now).go_on(index, changes, arrivals, usize::MAX)?;
    let mut plan = draft.finish(index, overlay)?;
    if changes.iter().all(|change| matches!(change, Change::Relocate { .. } | Change::LastLines { .. })) {
        // Clients do not see such a commit, so it takes no MODSEQ.
        plan.overlay.last.modseq = overlay.last.modseq;
    }
    Ok(plan)
}

/// Plans the changes of a draft.
pub(super) struct Planner<'a> {
    pub(super) index: &'a Index,
    pub(super) draft: Draft,
}

impl<'a> Planner<'a> {
    pub(super) fn record(&mut self, record: Record) {
        self.draft.steps.push(Step::Record(record));
    }

    /// The records planned so far, without those that have a body.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.draft.steps.iter().filter_map(|step| match step {
            Step::Record(record) => Some(record),
            Step::Body(..) | Step::Unknown(..) => None,
        })
    }

    pub(super) fn change(&mut self, change: &Change, arrivals: &[Arrival]) -> Result<(), Error> {
        let modseq = self.draft.committed.modseq;
        match change {
            Change::Deliver { mailbox, flags, keywords, date, note, numbers } => {
                // Each Deliver change takes one message.
                let at = self.draft.arrived;
                let Some(arrival) = arrivals.get(at) else { return Err(Error::NoSuchMessage) };
                self.draft.arrived += 1;
                self.mailbox(*mailbox)?;
                let (body, size) = self.arrive(at, arrival)?;
                let flags = self.flags(*mailbox, *flags, keywords, true);
                let (uid, modseq) = self.numbers(*mailbox, *numbers)?;
                let (mailbox, date, flags) = (*mailbox, *date, flags.0 | arrival.last_line.bits());
                self.place(MessageRecord { mailbox, uid, body, size, copy_of: None, date, flags, modseq });
                if let Some(note) = note {
                    self.note(mailbox, uid, note)?;
                }
            }
            Change::Restore { mailbox, numbers } => self.restore(*mailbox, *numbers)?,
            Change::SkipNumbers(count) => self.skip_numbers(*count),
            Change::RenewUidValidities(jump) => self.renew_uid_validities(*jump),
            Change::Copy { from, uids, to } => {
                self.mailbox(*to)?;
                self.mailbox(*from)?;
                self.draft.rest.push_back(Rest::copy(*from, uids.clone(), *to));
            }
            Change::Flags { mailbox, uids, change, flags, keywords, unchanged_since } => {
                let known = self.mailbox(*mailbox)?;
                let uids = &match unchanged_since {
                    Some(modseq) => self.unchanged(known, uids, *modseq),
                    None => uids.clone(),
                };
                let mut found = uids.ranges().iter().flat_map(|&range| known.within(range));
                let gives = *change != FlagChange::Remove
                    && found.any(|message| !self.is_expunged(*mailbox, message.uid));
                let flags = self.flags(*mailbox, *flags, keywords, gives).0;
                // Nothing is left to do when the client named only keywords that no message has, or for which there
                // is no place.
                let idle = flags == 0 && *change != FlagChange::Replace;
                if !uids.is_empty() && !idle {
                    self.draft.growth.flagged.push((*mailbox, uids.clone()));
                }
                for uids in uids.ranges().chunks(LIST_MAX).filter(|_| !idle) {
                    let (mailbox, uids, change) = (*mailbox, uids.to_vec(), *change);
                    self.record(Record::Flags(FlagsRecord { mailbox, uids, change, flags, modseq }));
                }
            }
            Change::LastLines { mailbox, last_line, uids } => {
                self.mailbox(*mailbox)?;
                for uids in uids.ranges().chunks(LIST_MAX) {
                    // Clients are not told, so this change has no MODSEQ.
                    let (mailbox, uids, change, modseq) = (*mailbox, uids.to_vec(), FlagChange::Add, 0);
                    let flags = last_line.bits();
                    self.record(Record::Flags(FlagsRecord { mailbox, uids, change, flags, modseq }));
                }
            }
            Change::NameKeywords { mailbox, keywords } => {
                self.mailbox(*mailbox)?;
                self.flags(*mailbox, Flags::NONE, keywords, true);
            }
            Change::Expunge { mailbox, uids } => {
                self.expunge(self.mailbox(*mailbox)?, uids);
            }
            Change::CreateMailbox(name) => drop(self.create(&mailbox_name::canonical(name)?)?),
            Change::RenameMailbox { from, to } => {
                self.rename(&mailbox_name::canonical(from)?, &mailbox_name::canonical(to)?)?;
            }
            Change::DeleteMailbox(name) => self.delete(&mailbox_name::canonical(name)?)?,
            Change::Subscribe { name, subscribed } => {
                self.subscribe(mailbox_name::canonical(name)?, *subscribed);
            }
            Change::Annotate { mailbox, entry, value } => self.annotate(mailbox, entry, value.as_deref())?,
            Change::Note { mailbox, uid, note } => {
                self.mailbox(*mailbox)?;
                self.note(*mailbox, *uid, note)?;
            }
            Change::Collected { source, identity, date, content } => {
                if !self.index.ledger.contains(*source, identity) {
                    self.draft.growth.more.add(Usage::of_ledger(1));
                }
                let (source, identity, date) = (source.0, *identity, *date);
                self.record(match *content {
                    Some(content) => {
                        let record = CollectedMessageRecord { source, identity, date, content };
                        Record::CollectedMessage(record)
                    }
                    None => Record::Collected(CollectedRecord { source, identity, date }),
                });
            }
            Change::Unlisted { source, identities, since } => {
                for identities in identities.chunks(LIST_MAX) {
                    let (source, identities) = (source.0, identities.to_vec());
                    self.record(Record::Unlisted(UnlistedRecord { source, identities, since: *since }));
                }
            }
            Change::Relocate { bodies, unknown, notes } => {
                let unknown = unknown.iter().map(|(head, body)| Step::Unknown(head.clone(), body.clone()));
                self.draft.steps.extend(unknown);
                self.relocate(bodies);
                for (note, place) in notes {
                    self.relocate_note(note, *place);
                }
            }
            Change::Forget { source, identities } => {
                let known = identities.iter().filter(|it| self.index.ledger.contains(*source, it)).count();
                self.draft.growth.less.add(Usage::of_ledger(known));
                for identities in identities.chunks(LIST_MAX) {
                    let forgotten = ForgottenRecord { source: source.0, identities: identities.to_vec() };
                    self.record(Record::Forgotten(forgotten));
                }
            }
        }
        Ok(())
    }

    /// Plans the body of a message that is delivered. Returns its number and its octets.
    fn arrive(&mut self, at: usize, arrival: &Arrival) -> Result<(u32, u32), Error> {
        let size = u32::try_from(arrival.size).map_err(|_| Error::Full)?;
        if arrival.file.is_none() {
            self.draft.brings += arrival.size;
        }
        self.draft.growth.more.add(Usage::of_message(size));
        let body =
            arrival.file.map_or_else(|| self.draft.overlay.next_body(self.index), |(number, _)| number);
        let crc = arrival.file.map(|(_, crc)| crc);
        let record = BodyRecord { body, size, crc, summary: Vec::new() };
        self.draft.steps.push(Step::Body(record, Source::Arrival(at)));
        Ok((body, size))
    }

    /// Plans the removal of messages. Messages that are gone already are left out.
    pub(super) fn expunge(&mut self, mailbox: &Mailbox, uids: &Uids) {
        let (id, modseq) = (mailbox.id, self.draft.committed.modseq);
        for &range in uids.ranges() {
            let going = mailbox.within(range).iter().filter(|message| !self.is_expunged(id, message.uid));
            let going = Usage::of_messages(going);
            self.draft.growth.less.add(going);
        }
        for uids in uids.ranges().chunks(LIST_MAX) {
            self.record(Record::Expunge(ExpungeRecord { mailbox: id, uids: uids.to_vec(), modseq }));
        }
        if !uids.is_empty() {
            self.draft.growth.expunged.push((id, uids.clone()));
        }
    }

    /// The messages that no change after `modseq` has changed, not even a staged one: when two clients set the same
    /// mark, only one succeeds. The other messages are noted in `modified`.
    fn unchanged(&mut self, mailbox: &Mailbox, uids: &Uids, modseq: u64) -> Uids {
        let (mut unchanged, mut modified) = (Uids::default(), Uids::default());
        for message in uids.ranges().iter().flat_map(|&range| mailbox.within(range)) {
            let touched = message.modseq > modseq || self.draft.overlay.flags(mailbox.id, message.uid);
            (if touched { &mut modified } else { &mut unchanged }).push(message.uid);
        }
        self.draft.committed.modified = modified;
        unchanged
    }

    /// Whether a message that is in the index will be gone before this change.
    pub(super) fn is_expunged(&self, mailbox: MailboxId, uid: Uid) -> bool {
        self.draft.overlay.expunges(mailbox, uid) || self.draft.growth.expunges(mailbox, uid)
    }

    fn note(&mut self, mailbox: MailboxId, uid: Uid, note: &[u8]) -> Result<(), Error> {
        if note.len() > NOTE_MAX {
            return Err(Error::Limit("octets in a note"));
        }
        self.draft.growth.noted.push((mailbox, uid));
        self.record(Record::Note(NoteRecord { mailbox, uid, note: note.to_vec() }));
        Ok(())
    }

    /// Writes the note at `place` anew, unless there is a later one, which must remain the last.
    fn relocate_note(&mut self, note: &NoteRecord, place: Place) {
        let key = (note.mailbox, note.uid);
        if self.index.notes.get(key) == Some(Note::At(place)) && !self.draft.overlay.notes(key) {
            self.record(Record::Note(note.clone()));
        }
    }

    fn subscribe(&mut self, name: String, subscribed: bool) {
        match (subscribed, self.index.subscriptions.contains(&name)) {
            (true, false) => self.draft.growth.more.add(Usage::of_subscription(&name)),
            (false, true) => self.draft.growth.less.add(Usage::of_subscription(&name)),
            _ => {}
        }
        self.record(Record::Subscribed(SubscribedRecord { name, subscribed }));
    }

    fn relocate(&mut self, bodies: &[BodyRecord]) {
        for (n, record) in bodies.iter().enumerate() {
            self.draft.steps.push(Step::Body(record.clone(), Source::Relocated(n)));
        }
        let bodies: Vec<u32> = bodies.iter().map(|record| record.body).collect();
        if bodies.is_empty() {
            // The commit must have a record all the same: it begins a segment.
            self.record(Record::Moved(MovedRecord { bodies }));
            return;
        }
        for bodies in bodies.chunks(LIST_MAX) {
            self.record(Record::Moved(MovedRecord { bodies: bodies.to_vec() }));
        }
    }

    pub(super) fn mailbox(&self, id: MailboxId) -> Result<&'a Mailbox, Error> {
        let mailbox = self.index.mailboxes.get(&id).ok_or(Error::NoSuchMailbox)?;
        if self.draft.overlay.doomed.contains(&id) { Err(Error::NoSuchMailbox) } else { Ok(mailbox) }
    }

    /// Plans a message in its mailbox.
    fn place(&mut self, message: MessageRecord) {
        self.draft.committed.placed.push(message.mailbox, message.uid);
        if let Some(seconds) = self.draft.save_date.take() {
            self.record(Record::SaveDate(SaveDateRecord { seconds }));
        }
        self.record(Record::Message(message));
    }

    /// Plans a copy of a message of `from` in `mailbox`.
    pub(super) fn copy_message(
        &mut self,
        from: MailboxId,
        message: &Message,
        mailbox: MailboxId,
    ) -> Result<(), Error> {
        // The message is counted first: its keywords get the room that is left.
        self.draft.growth.more.add(Usage::of_message(message.size));
        let flags = self.translated(from, message, mailbox);
        let place = self.draft.overlay.place(message);
        let (uid, modseq) = self.numbers(mailbox, None)?;
        let Message { body, size, date, .. } = *message;
        let (copy_of, date) = (Some(place), date.get());
        let flags = flags.0 | message.last_line().bits();
        self.place(MessageRecord { mailbox, uid, body, size, copy_of, date, flags, modseq });
        Ok(())
    }
}
