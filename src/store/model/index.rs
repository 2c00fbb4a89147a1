//! The index: the state of an account that its records add up to: mailboxes, messages, subscriptions, notes and
//! ledger.
//!
//! Only [`Index::apply`] changes it, in the same way when a commit has become durable and when the log is read at
//! opening. Records about something that is gone change nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::keywords::set_name;
use super::serial::later;
use super::{Entries, Event, Expunged, Journal, Mailbox, Notes, Usage};
use crate::store::format::checkpoint::{Counters, MailboxPart, Part};
use crate::store::format::frame::HEAD_MAX;
use crate::store::format::record::{
    AnnotationRecord, ExpungeRecord, FlagsRecord, MessageRecord, NumbersRecord, Record,
};
use crate::store::format::{
    FlagChange, Flags, LastLine, MailboxId, Message, NO_MAILBOX, Place, Uid, checkpoint, in_file, is_within,
};

/// An array of messages grows by one part in so many of its length: doubling it would waste as much memory again.
const GROWTH: usize = 32;

/// An account's state in memory.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Index {
    pub mailboxes: BTreeMap<MailboxId, Mailbox>,
    pub subscriptions: BTreeSet<String>,
    pub notes: Notes,
    pub ledger: Entries,
    pub annotations: BTreeMap<(MailboxId, String), Vec<u8>>,
    pub usage: Usage,
    pub expunged: Expunged,
    /// The last numbers given out; the next ones are larger.
    pub last: Counters,
    /// While a long commit is being applied in pieces: the HIGHESTMODSEQs that mailboxes get when all of it is
    /// applied.
    held: Option<BTreeMap<MailboxId, u64>>,
    /// Bodies of the commit that is being applied, whose Message records are still to come.
    fresh: HashMap<u32, Place>,
    /// The save date of the messages of the commit that is being applied; 0 when it is not known.
    save_date: u32,
    /// Bodies in files whose last message may be gone: see [`Index::take_orphans`].
    orphan_candidates: BTreeSet<u32>,
    /// Whether a message has gone since this was cleared: there may be something to compact.
    pub stirred: bool,
    /// Number of messages whose Body record was not found, which is damage.
    pub bodiless: u64,
    /// Parts of a later version's checkpoint that this version does not know. They are written into the next
    /// checkpoint, too.
    pub unknown_parts: Vec<Vec<u8>>,
    /// The latest events, for watchers.
    pub journal: Journal,
}

impl Index {
    /// Applies one record that lies at `place`.
    pub fn apply(&mut self, record: &Record, place: Place) {
        self.note(record);
        match record {
            Record::Commit(_) => {
                self.fresh.clear();
                self.save_date = 0;
            }
            Record::SaveDate(record) => self.save_date = record.seconds,
            Record::Continued(_) => {}
            Record::Body(body) => {
                self.last.body = self.last.body.max(body.body);
                self.fresh.insert(body.body, place);
            }
            Record::Message(message) => self.message(message),
            Record::Flags(flags) => self.flags(flags),
            Record::Expunge(expunge) => self.expunge(expunge),
            Record::MailboxCreated(created) => {
                self.last.mailbox = self.last.mailbox.max(created.mailbox.0);
                self.last.uid_validity = later(self.last.uid_validity, created.uid_validity);
                // The checkpoint may hold the mailbox already, with messages whose records are still to be replayed.
                self.delete(created.mailbox);
                let mailbox = Mailbox::empty(created.mailbox, created.name.clone(), created.uid_validity);
                self.usage.add(Usage::of_mailbox(&mailbox.name));
                self.mailboxes.insert(created.mailbox, mailbox);
            }
            Record::MailboxRenamed(renamed) => {
                if let Some(mailbox) = self.mailboxes.get_mut(&renamed.mailbox) {
                    self.usage.remove(Usage::of_name(&mailbox.name));
                    mailbox.name.clone_from(&renamed.name);
                    self.usage.add(Usage::of_name(&mailbox.name));
                }
            }
            Record::MailboxDeleted(deleted) => self.delete(deleted.mailbox),
            Record::Keyword(keyword) => {
                // In a log with these records no place is given a new name, so the name tells whether the keyword is
                // known already.
                if let Some(mailbox) = self.mailboxes.get(&keyword.mailbox)
                    && !mailbox.keywords.contains(&keyword.name)
                {
                    self.name_keyword(keyword.mailbox, mailbox.keywords.len(), &keyword.name);
                }
            }
            Record::KeywordNamed(it) => self.name_keyword(it.mailbox, it.place.into(), &it.name),
            Record::Subscribed(it) => self.subscribe(&it.name, it.subscribed),
            Record::Recent(recent) => {
                if let Some(mailbox) = self.mailboxes.get_mut(&recent.mailbox) {
                    mailbox.recent_from = mailbox.recent_from.max(recent.from);
                }
            }
            Record::Note(note) => {
                if self.mailboxes.get(&note.mailbox).is_some_and(|m| m.message(note.uid).is_some()) {
                    self.notes.put(note, place);
                }
            }
            Record::Collected(it) => self.collected(it),
            Record::CollectedMessage(it) => self.collected_message(it),
            Record::Unlisted(it) => self.unlisted(it),
            Record::Numbers(numbers) => self.numbers(numbers),
            Record::Annotation(annotation) => self.annotate(annotation),
            Record::Moved(moved) => self.move_bodies(&moved.bodies),
            Record::Forgotten(it) => self.forgotten(it),
        }
    }

    /// Tells watchers of the change, before it is applied.
    fn note(&mut self, record: &Record) {
        if !self.journal.is_watched() {
            return;
        }
        let name = |id| self.mailboxes.get(id).map(|mailbox| mailbox.name.clone());
        let event = match record {
            Record::MailboxCreated(it) => Some(Event::Created(it.name.clone())),
            Record::MailboxRenamed(it) => {
                name(&it.mailbox).map(|from| Event::Renamed { from, to: it.name.clone() })
            }
            Record::MailboxDeleted(it) => name(&it.mailbox).map(Event::Deleted),
            Record::Subscribed(it) if self.subscriptions.contains(&it.name) != it.subscribed => {
                Some(Event::Subscription(it.name.clone()))
            }
            Record::Annotation(it) => {
                Some(Event::Annotation { mailbox: it.mailbox, entry: it.entry.clone() })
            }
            _ => None,
        };
        if let Some(event) = event {
            self.journal.push(event);
        }
    }

    fn message(&mut self, record: &MessageRecord) {
        let MessageRecord { uid, body, size, date, modseq, .. } = *record;
        self.last.modseq = self.last.modseq.max(modseq);
        let Some(at) = record.copy_of.or_else(|| self.fresh.get(&body).copied()) else {
            self.bodiless += 1;
            return;
        };
        let Some(mailbox) = self.mailboxes.get_mut(&record.mailbox) else {
            self.loosen(body, size);
            return;
        };
        mailbox.uid_next = mailbox.uid_next.max(uid.saturating_add(1));
        raise(&mut self.held, mailbox, modseq);
        let (last_line, flags) = LastLine::split(record.flags);
        let (date, save_date) = (date.into(), self.save_date);
        let (segment, offset) = (at.segment, at.offset);
        let message = Message { uid, size, date, flags, modseq, body, segment, offset, save_date, last_line };
        match mailbox.messages.last() {
            // UIDs are given in the order of the log. The checkpoint may hold the message already with later changes,
            // which are still to be replayed. A record that says something else is not believed.
            Some(last) if last.uid >= uid => {
                if let Ok(at) = mailbox.messages.binary_search_by_key(&uid, |known| known.uid)
                    && let Some(known) = mailbox.messages.get_mut(at)
                    && (known.body, known.size) == (body, size)
                {
                    *known = message;
                }
            }
            _ => {
                append(&mut mailbox.messages, message);
                self.usage.add(Usage::of_message(size));
            }
        }
    }

    fn name_keyword(&mut self, mailbox: MailboxId, place: usize, name: &str) {
        if let Some(mailbox) = self.mailboxes.get_mut(&mailbox).filter(|_| place < Flags::KEYWORDS) {
            let named = |name: Option<&str>| usize::from(name.is_some_and(|name| !name.is_empty()));
            self.usage.remove(Usage::of_keywords(named(mailbox.keywords.get(place).map(String::as_str))));
            set_name(&mut mailbox.keywords, place, name);
            self.usage.add(Usage::of_keywords(named(Some(name))));
        }
    }

    fn subscribe(&mut self, name: &str, subscribed: bool) {
        if subscribed && self.subscriptions.insert(name.to_owned()) {
            self.usage.add(Usage::of_subscription(name));
        }
        if !subscribed && self.subscriptions.remove(name) {
            self.usage.remove(Usage::of_subscription(name));
        }
    }

    fn move_bodies(&mut self, bodies: &[u32]) {
        let places: HashMap<u32, Place> =
            bodies.iter().filter_map(|body| Some((*body, *self.fresh.get(body)?))).collect();
        let (Some(first), Some(last)) = (bodies.iter().min(), bodies.iter().max()) else { return };
        for message in self.mailboxes.values_mut().flat_map(|mailbox| &mut mailbox.messages) {
            // Bodies that lie side by side have neighbouring numbers, so most messages need no search.
            if (*first..=*last).contains(&{ message.body })
                && let Some(place) = places.get(&{ message.body })
            {
                (message.segment, message.offset) = (place.segment, place.offset);
            }
        }
    }

    /// Octets of a checkpoint of this index: an estimate that is rather too large.
    pub fn checkpoint_octets(&self) -> u64 {
        const MESSAGE: usize = 48;
        const ENTRY: usize = 75;
        const NAME: usize = 300;
        const NOTE: usize = 16;
        let all = MESSAGE * usize::try_from(self.usage.messages).unwrap_or(0)
            + ENTRY * self.ledger.len()
            + NOTE * self.notes.len()
            + NAME * (self.mailboxes.len() + self.subscriptions.len() + self.annotations.len());
        all as u64
    }

    /// The place of the Body record with this number; `None` when no message has it.
    pub fn place_of(&self, body: u32) -> Option<Place> {
        let mut messages = self.mailboxes.values().flat_map(|mailbox| &mailbox.messages);
        messages.find(|message| message.body == body).map(Message::place)
    }

    fn numbers(&mut self, record: &NumbersRecord) {
        let NumbersRecord { mailbox, uid_validity, uid_next, highest_modseq } = *record;
        self.last.modseq = self.last.modseq.max(highest_modseq);
        self.last.uid_validity = later(self.last.uid_validity, uid_validity);
        if let Some(mailbox) = self.mailboxes.get_mut(&mailbox) {
            mailbox.uid_validity = uid_validity;
            mailbox.uid_next = mailbox.uid_next.max(uid_next);
            raise(&mut self.held, mailbox, highest_modseq);
        }
        // Messages may have been added or removed without a record of their own.
        self.expunged.forget(highest_modseq);
    }

    /// Keeps all HIGHESTMODSEQs as they are until [`Index::release_modseqs`]: a long commit is applied in pieces, and
    /// a client that was told its MODSEQ too early would never ask for the rest.
    pub fn hold_modseqs(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Raises the HIGHESTMODSEQs that were held: the long commit is applied.
    pub fn release_modseqs(&mut self) {
        for (id, modseq) in self.held.take().unwrap_or_default() {
            if let Some(mailbox) = self.mailboxes.get_mut(&id) {
                raise(&mut None, mailbox, modseq);
            }
        }
    }

    fn flags(&mut self, record: &FlagsRecord) {
        let FlagsRecord { flags, modseq, .. } = *record;
        let (last_line, Flags(flags)) = LastLine::split(flags);
        self.last.modseq = self.last.modseq.max(modseq);
        let Some(mailbox) = self.mailboxes.get_mut(&record.mailbox) else { return };
        raise(&mut self.held, mailbox, modseq);
        for range in &record.uids {
            for message in within(&mut mailbox.messages, *range) {
                if last_line != LastLine::Unknown {
                    message.last_line = last_line;
                }
                let new = match record.change {
                    FlagChange::Replace => flags,
                    FlagChange::Add => message.flags.0 | flags,
                    FlagChange::Remove => message.flags.0 & !flags,
                };
                if new != message.flags.0 {
                    message.flags = Flags(new);
                    // A change that is replayed although the checkpoint holds a later one must not lower the MODSEQ.
                    message.modseq = message.modseq.max(modseq);
                }
            }
        }
    }

    fn expunge(&mut self, record: &ExpungeRecord) {
        let ExpungeRecord { mailbox: id, uids, modseq } = record;
        self.last.modseq = self.last.modseq.max(*modseq);
        let Some(mailbox) = self.mailboxes.get_mut(id) else { return };
        raise(&mut self.held, mailbox, *modseq);
        self.expunged.remember(*id, uids, *modseq);
        let before = mailbox.messages.len();
        mailbox.messages.retain(|message| {
            let stays = !is_within(uids, message.uid);
            if !stays {
                self.usage.remove(Usage::of_message(message.size));
                self.notes.remove((*id, message.uid));
                if in_file(message.size) {
                    self.orphan_candidates.insert(message.body);
                }
            }
            stays
        });
        let (len, capacity) = (mailbox.messages.len(), mailbox.messages.capacity());
        self.stirred |= len < before;
        if len < capacity / 2 {
            mailbox.messages.shrink_to(len + len / GROWTH);
        }
    }

    fn annotate(&mut self, record: &AnnotationRecord) {
        let AnnotationRecord { mailbox, entry, value } = record;
        let lives = *mailbox == NO_MAILBOX || self.mailboxes.contains_key(mailbox);
        self.set_annotation((*mailbox, entry.clone()), value.clone().filter(|_| lives));
    }

    /// Entries and values of the annotations of a mailbox, or of the account for [`NO_MAILBOX`], in order.
    pub fn annotations_of(&self, mailbox: MailboxId) -> impl Iterator<Item = (&str, &[u8])> {
        let from = self.annotations.range((mailbox, String::new())..);
        let own = from.take_while(move |((annotated, _), _)| *annotated == mailbox);
        own.map(|((_, entry), value)| (entry.as_str(), value.as_slice()))
    }

    fn set_annotation(&mut self, key: (MailboxId, String), value: Option<Vec<u8>>) {
        if let Some(before) = self.annotations.remove(&key) {
            self.usage.remove(Usage::of_annotation(&key.1, &before));
        }
        if let Some(value) = value {
            self.usage.add(Usage::of_annotation(&key.1, &value));
            self.annotations.insert(key, value);
        }
    }

    fn delete(&mut self, id: MailboxId) {
        if let Some(mailbox) = self.mailboxes.remove(&id) {
            self.usage.remove(Usage::of_mailbox(&mailbox.name).plus(mailbox.contents()));
            let usage = &mut self.usage;
            self.annotations.retain(|(annotated, entry), value| {
                let stays = *annotated != id;
                if !stays {
                    usage.remove(Usage::of_annotation(entry, value));
                }
                stays
            });
            for message in &mailbox.messages {
                self.forget(id, message);
            }
            self.expunged.forget_mailbox(id);
        }
    }

    fn forget(&mut self, mailbox: MailboxId, message: &Message) {
        self.stirred = true;
        self.notes.remove((mailbox, message.uid));
        self.loosen(message.body, message.size);
    }

    fn loosen(&mut self, body: u32, size: u32) {
        if in_file(size) {
            self.orphan_candidates.insert(body);
        }
    }

    /// Keeps a part of a checkpoint for a later version that knows it, as far as there is room in memory.
    pub fn keep_unknown_part(&mut self, part: Vec<u8>) {
        let kept: usize = self.unknown_parts.iter().map(Vec::len).sum();
        if kept + part.len() <= HEAD_MAX {
            self.unknown_parts.push(part);
        } else {
            log::warn!("a checkpoint of a later version holds more than can be kept");
        }
    }

    /// Adds a part of a checkpoint whose file has `octets` octets. `current` is the mailbox that messages belong to.
    pub fn take_part(&mut self, part: Part, current: &mut Option<MailboxId>, octets: u64) {
        match part {
            Part::Mailbox(part) => {
                let MailboxPart { id, messages, .. } = part;
                let room = u64::from(messages).min(octets / checkpoint::LEAST);
                *current = Some(id);
                // Only a salvaged checkpoint can hold a mailbox twice.
                self.delete(id);
                let mailbox = Mailbox {
                    id,
                    name: part.name,
                    uid_validity: part.uid_validity,
                    uid_next: part.uid_next,
                    highest_modseq: part.highest_modseq,
                    recent_from: part.recent_from,
                    keywords: part.keywords,
                    messages: Vec::with_capacity(usize::try_from(room).unwrap_or(0)),
                };
                self.usage.add(Usage::of_mailbox(&mailbox.name).plus(mailbox.contents()));
                self.mailboxes.insert(id, mailbox);
            }
            Part::Messages(messages) => {
                let Some(mailbox) = current.and_then(|id| self.mailboxes.get_mut(&id)) else { return };
                for message in messages {
                    self.usage.add(Usage::of_message(message.size));
                    append(&mut mailbox.messages, message);
                }
            }
            Part::Subscriptions(names) => names.iter().for_each(|name| self.subscribe(name, true)),
            Part::Note(mailbox, uid, note) => self.notes.hold((mailbox, uid), note.into_vec()),
            Part::NotePlaces(mailbox, places) => {
                places.into_iter().for_each(|(uid, place)| self.notes.place((mailbox, uid), place));
            }
            Part::Annotation(mailbox, entry, value) => {
                self.set_annotation((mailbox, entry), Some(value.into_vec()));
            }
            Part::SaveDates(mailbox, dates) => self.take_save_dates(mailbox, &dates),
            Part::Ledger(entries) => entries.into_iter().for_each(|entry| self.collect(entry)),
            Part::LedgerDetails(details) => self.take_details(&details),
            Part::Begin { .. } | Part::End { .. } => {}
        }
    }

    /// Sets save dates. Messages that are gone are skipped: an earlier version may have passed on their part
    /// unchanged.
    fn take_save_dates(&mut self, mailbox: MailboxId, dates: &[(Uid, u32)]) {
        let Some(mailbox) = self.mailboxes.get_mut(&mailbox) else { return };
        let from = dates.first().map_or(Uid::MAX, |&(first, _)| first);
        let mut messages = within(&mut mailbox.messages, (from, Uid::MAX)).iter_mut().peekable();
        for &(uid, seconds) in dates {
            while messages.next_if(|message| message.uid < uid).is_some() {}
            if let Some(message) = messages.next_if(|message| message.uid == uid) {
                message.save_date = seconds;
            }
        }
    }

    /// Takes the bodies in files that no message refers to any more. Must be called only while no staged commit is
    /// still to be applied, since that may hold a copy.
    pub fn take_orphans(&mut self) -> Vec<u32> {
        if self.orphan_candidates.is_empty() {
            return Vec::new();
        }
        let used = self.bodies_in_files();
        std::mem::take(&mut self.orphan_candidates).into_iter().filter(|body| !used.contains(body)).collect()
    }

    /// The bodies that [`Index::take_orphans`] would check, whose files still exist.
    pub fn orphan_candidates(&self) -> impl Iterator<Item = u32> + '_ {
        self.orphan_candidates.iter().copied()
    }

    /// The bodies in files that messages refer to.
    pub fn bodies_in_files(&self) -> BTreeSet<u32> {
        let messages = self.mailboxes.values().flat_map(|mailbox| &mailbox.messages);
        messages.filter(|message| in_file(message.size)).map(|message| message.body).collect()
    }
}

/// Raises the HIGHESTMODSEQ of a mailbox, or the one that is held for it.
fn raise(held: &mut Option<BTreeMap<MailboxId, u64>>, mailbox: &mut Mailbox, modseq: u64) {
    let highest = match held {
        Some(held) => held.entry(mailbox.id).or_default(),
        None => &mut mailbox.highest_modseq,
    };
    *highest = modseq.max(*highest);
}

/// Appends a message to the messages of a mailbox.
pub fn append(messages: &mut Vec<Message>, message: Message) {
    if messages.len() == messages.capacity() {
        messages.reserve_exact(messages.len() / GROWTH + 4);
    }
    messages.push(message);
}

/// The messages with UIDs from `first` to `last`.
fn within(messages: &mut [Message], (first, last): (Uid, Uid)) -> &mut [Message] {
    let from = messages.partition_point(|message| message.uid < first);
    let to = messages.partition_point(|message| message.uid <= last);
    messages.get_mut(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::sim::Choices;
    use crate::store::format::record::{
        BodyRecord, CollectedMessageRecord, CollectedRecord, CommitRecord, ForgottenRecord,
        KeywordNamedRecord, KeywordRecord, MailboxCreatedRecord, MailboxDeletedRecord, MailboxRenamedRecord,
        MovedRecord, SaveDateRecord, SubscribedRecord, UnlistedRecord,
    };
    use crate::store::model::tests::recount;

    const BOX: MailboxId = MailboxId(1);

    /// Records as a log has them: numbers ascend, and bodies come before their messages.
    fn records(choices: &mut Choices) -> Vec<Record> {
        let mut records = vec![Record::MailboxCreated(MailboxCreatedRecord {
            mailbox: BOX,
            name: "INBOX".to_owned(),
            uid_validity: 9,
        })];
        let (mut uid, mut last_mailbox) = (0, 1);
        // Earlier versions named the next place, and never gave a place a new name.
        let names_places = choices.chance(70);
        for modseq in 2..60 {
            // UIDs that were given out: clients ask for messages that exist or existed.
            let first = choices.below(uid as usize) as Uid + 1;
            let uids = vec![(first, first + choices.below((uid.max(first) - first) as usize + 1) as Uid)];
            let mailbox = if choices.chance(80) { BOX } else { MailboxId(last_mailbox) };
            // The flags contain how messages end as well, as if that was found out later.
            let flags = 1 << choices.below(4) | (choices.below(4) as u64) << 5;
            match if uid == 0 { 0 } else { choices.below(16) } {
                0 | 1 => {
                    uid += 1;
                    records.push(Record::Body(BodyRecord {
                        body: uid,
                        size: 70,
                        crc: None,
                        summary: Vec::new(),
                    }));
                    if choices.chance(80) {
                        records.push(Record::SaveDate(SaveDateRecord { seconds: modseq as u32 }));
                    }
                    let (date, copy_of) = (0, None);
                    let message = Record::Message(MessageRecord {
                        mailbox,
                        uid,
                        body: uid,
                        size: 70,
                        copy_of,
                        date,
                        flags,
                        modseq,
                    });
                    records.push(message);
                }
                2 => records.push(Record::Flags(FlagsRecord {
                    mailbox,
                    uids,
                    change: FlagChange::Replace,
                    flags,
                    modseq,
                })),
                3 | 4 => records.push(Record::Flags(FlagsRecord {
                    mailbox,
                    uids,
                    change: FlagChange::Add,
                    flags,
                    modseq,
                })),
                5 | 6 => records.push(Record::Flags(FlagsRecord {
                    mailbox,
                    uids,
                    change: FlagChange::Remove,
                    flags,
                    modseq,
                })),
                7 => records.push(Record::Expunge(ExpungeRecord { mailbox, uids, modseq })),
                8 => {
                    let body = choices.below(uid as usize + 1) as u32;
                    records.push(Record::Body(BodyRecord { body, size: 70, crc: None, summary: Vec::new() }));
                    records.push(Record::Moved(MovedRecord { bodies: vec![body] }));
                }
                9 => {
                    let entry = format!("/shared/{}", choices.below(2));
                    let value = choices.chance(70).then(|| vec![modseq as u8]);
                    records.push(Record::Annotation(AnnotationRecord { mailbox, entry, value }));
                }
                10 => {
                    let (name, subscribed) = (format!("s{}", choices.below(3)), choices.chance(60));
                    records.push(Record::Subscribed(SubscribedRecord { name, subscribed }));
                }
                11 => {
                    let name = "r".repeat(choices.below(9) + 1);
                    records.push(Record::MailboxRenamed(MailboxRenamedRecord { mailbox, name }));
                }
                12 => {
                    let (source, identity, date) = (1, [choices.below(3) as u8; 16], modseq as i64);
                    let (identities, content) = (vec![identity], modseq);
                    let since = choices.below(2) as u32 * modseq as u32;
                    records.push(match choices.below(5) {
                        0 => Record::Collected(CollectedRecord { source, identity, date }),
                        1 => Record::Unlisted(UnlistedRecord { source, identities, since }),
                        2 => Record::Forgotten(ForgottenRecord { source, identities }),
                        _ => Record::CollectedMessage(CollectedMessageRecord {
                            source,
                            identity,
                            date,
                            content,
                        }),
                    });
                }
                13 | 14 if names_places => {
                    let (place, name) =
                        (choices.below(4) as u8, ["", "a", "b", "c"][choices.below(4)].to_owned());
                    records.push(Record::KeywordNamed(KeywordNamedRecord { mailbox, place, name }));
                }
                13 | 14 => {
                    let name = format!("k{}", choices.below(60));
                    records.push(Record::Keyword(KeywordRecord { mailbox, name }));
                }
                _ if choices.chance(50) => {
                    last_mailbox += 1;
                    let (mailbox, name) = (MailboxId(last_mailbox), format!("m{modseq}"));
                    records.push(Record::MailboxCreated(MailboxCreatedRecord {
                        mailbox,
                        name,
                        uid_validity: modseq as u32,
                    }));
                }
                _ => records
                    .push(Record::MailboxDeleted(MailboxDeletedRecord { mailbox: MailboxId(last_mailbox) })),
            }
            records.push(Record::Commit(CommitRecord { durable: Place::default() }));
        }
        records
    }

    #[test]
    fn a_message_takes_no_more_than_48_octets_of_memory() {
        assert_eq!(size_of::<Message>(), 46);
        let message = Message {
            uid: 1,
            size: 1,
            date: 1.into(),
            flags: Flags::NONE,
            modseq: 1,
            body: 1,
            segment: 1,
            offset: 1,
            save_date: 1,
            last_line: LastLine::Ended,
        };
        let mut messages = Vec::new();
        for _ in 0..100_000 {
            append(&mut messages, message);
            let taken = messages.capacity() * size_of::<Message>();
            assert!(messages.len() < 1000 || taken <= messages.len() * 48, "{taken} for {}", messages.len());
        }
    }

    /// Catches: save dates of a message that is gone, or that came later, which are given to its neighbour.
    #[test]
    fn save_dates_that_an_earlier_version_handed_on_are_of_the_same_messages() {
        let mut index = Index::default();
        let message = |uid| {
            Record::Message(MessageRecord {
                mailbox: BOX,
                uid,
                body: uid,
                size: 70,
                copy_of: Some(Place::default()),
                date: 0,
                flags: 0,
                modseq: 2,
            })
        };
        let created = MailboxCreatedRecord { mailbox: BOX, name: "INBOX".to_owned(), uid_validity: 9 };
        let all = [Record::MailboxCreated(created), message(2), message(5), message(6), message(9)];
        all.iter().for_each(|record| index.apply(record, Place::default()));
        let dates = vec![(1, 11), (2, 12), (4, 14), (6, 16), (7, 17)];
        for mailbox in [BOX, MailboxId(2)] {
            index.take_part(Part::SaveDates(mailbox, dates.clone()), &mut None, 1000);
        }
        let found: Vec<_> = index.mailboxes[&BOX].messages.iter().map(Message::save_date).collect();
        assert_eq!(found, [Some(12), None, Some(16), None]);
        index.take_part(Part::SaveDates(BOX, vec![(9, 19), (5, 15)]), &mut None, 1000);
        assert_eq!(index.mailboxes[&BOX].messages[1].save_date(), None, "they ascend, or are passed over");
    }

    #[test]
    fn replaying_what_a_checkpoint_has_seen_already_changes_nothing() {
        for seed in 1..=300 {
            let mut choices = Choices::new(seed);
            let records = records(&mut choices);
            let replay = |index: &mut Index, from: usize, to: usize| {
                for (offset, record) in (from as u32..).zip(&records[from..to]) {
                    index.apply(record, Place { segment: 1, offset });
                }
            };
            let mut last = Index::default();
            for at in 0..records.len() {
                replay(&mut last, at, at + 1);
                assert_eq!(last.usage, recount(&last), "seed {seed}: counted another way than it is");
            }
            // The checkpoint begins after one commit, and is written from the index after another.
            let ends: Vec<usize> =
                (1..=records.len()).filter(|end| matches!(records[end - 1], Record::Commit(_))).collect();
            for _ in 0..20 {
                // That other commit may be half applied then, when it is a long one.
                let (a, b) = (ends[choices.below(ends.len())], choices.below(records.len() + 1));
                let mut index = Index::default();
                replay(&mut index, 0, a.max(b));
                index.fresh.clear();
                index.save_date = 0;
                replay(&mut index, a, records.len());
                (index.orphan_candidates, index.stirred) = (last.orphan_candidates.clone(), last.stirred);
                index.bodiless = last.bodiless;
                assert_eq!(index, last, "seed {seed}: replayed from {a} over {}", a.max(b));
            }
        }
    }
}
