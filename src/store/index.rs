//! What the records of an account add up to: its mailboxes, messages, subscriptions, notes and ledger.
//!
//! One function, [`Index::apply`], changes it, the same whether a commit has just become durable or
//! the log is read at opening. Records about something that is gone change nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::record::{Place, Record, UidRanges};
use super::{FlagChange, Flags, IdentityHash, Mailbox, MailboxId, Message, SourceKey, Uid, Usage};

/// An account's state in memory.
#[derive(Debug, Default)]
pub struct Index {
    pub mailboxes: BTreeMap<MailboxId, Mailbox>,
    pub subscriptions: BTreeSet<String>,
    pub notes: BTreeMap<(MailboxId, Uid), Vec<u8>>,
    pub ledger: BTreeMap<(SourceKey, IdentityHash), i64>,
    pub usage: Usage,
    /// The last ones given out; the next is larger.
    pub last: Counters,
    /// Bodies of the commit that is being applied, waiting for their messages.
    fresh: HashMap<u32, Place>,
    /// Bodies in files whose last message may have gone: see [`Index::take_orphans`].
    loosened: BTreeSet<u32>,
    /// Messages whose body no record gave: damage.
    pub bodiless: u64,
}

/// Numbers that only ascend.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counters {
    pub mailbox: u32,
    pub body: u32,
    pub modseq: u64,
    pub uid_validity: u32,
}

impl Index {
    /// Applies one record that stands at `place`.
    pub fn apply(&mut self, record: &Record, place: Place) {
        match record {
            Record::Commit { .. } => self.fresh.clear(),
            Record::Body { body, .. } => {
                self.last.body = self.last.body.max(*body);
                self.fresh.insert(*body, place);
            }
            Record::Message { .. } => self.message(record),
            Record::Flags { mailbox, uids, change, flags, modseq } => {
                self.last.modseq = self.last.modseq.max(*modseq);
                self.flags(*mailbox, uids, *change, *flags, *modseq);
            }
            Record::Expunge { mailbox, uids, modseq } => {
                self.last.modseq = self.last.modseq.max(*modseq);
                self.expunge(*mailbox, uids, *modseq);
            }
            Record::MailboxCreated { mailbox, name, uid_validity } => {
                self.last.mailbox = self.last.mailbox.max(mailbox.0);
                self.last.uid_validity = self.last.uid_validity.max(*uid_validity);
                self.mailboxes.insert(*mailbox, Mailbox::empty(*mailbox, name.clone(), *uid_validity));
            }
            Record::MailboxRenamed { mailbox, name } => {
                if let Some(mailbox) = self.mailboxes.get_mut(mailbox) {
                    mailbox.name.clone_from(name);
                }
            }
            Record::MailboxDeleted { mailbox } => self.delete(*mailbox),
            Record::Keyword { mailbox, name } => {
                if let Some(mailbox) = self.mailboxes.get_mut(mailbox)
                    && !mailbox.keywords.contains(name)
                {
                    mailbox.keywords.push(name.clone());
                }
            }
            Record::Subscribed { name, subscribed: true } => {
                self.subscriptions.insert(name.clone());
            }
            Record::Subscribed { name, subscribed: false } => {
                self.subscriptions.remove(name);
            }
            Record::Recent { mailbox, from } => {
                if let Some(mailbox) = self.mailboxes.get_mut(mailbox) {
                    mailbox.recent_from = mailbox.recent_from.max(*from);
                }
            }
            Record::Note { mailbox, uid, note } => {
                if self.mailboxes.get(mailbox).is_some_and(|m| m.message(*uid).is_some()) {
                    self.notes.insert((*mailbox, *uid), note.clone());
                }
            }
            Record::Collected { source, identity, date } => {
                self.ledger.insert((SourceKey(*source), *identity), *date);
            }
            Record::Numbers { .. } => self.numbers(record),
            Record::Forgotten { source, identities } => {
                for identity in identities {
                    self.ledger.remove(&(SourceKey(*source), *identity));
                }
            }
        }
    }

    fn message(&mut self, record: &Record) {
        let Record::Message { mailbox, uid, body, size, copy_of, date, flags, modseq } = record else {
            return;
        };
        self.last.modseq = self.last.modseq.max(*modseq);
        let Some(at) = copy_of.or_else(|| self.fresh.get(body).copied()) else {
            self.bodiless += 1;
            return;
        };
        let Some(mailbox) = self.mailboxes.get_mut(mailbox) else {
            self.loosen(*body, *size);
            return;
        };
        mailbox.uid_next = mailbox.uid_next.max(uid.saturating_add(1));
        mailbox.highest_modseq = mailbox.highest_modseq.max(*modseq);
        // UIDs are given in the order of the log; a record that says otherwise is not believed.
        if mailbox.messages.last().is_some_and(|last| last.uid >= *uid) {
            return;
        }
        mailbox.messages.push(Message {
            uid: *uid,
            size: *size,
            date: *date,
            flags: Flags(*flags),
            modseq: *modseq,
            body: *body,
            segment: at.segment,
            offset: at.offset,
        });
        self.usage.messages += 1;
        self.usage.octets += u64::from(*size);
    }

    fn numbers(&mut self, record: &Record) {
        let Record::Numbers { mailbox, uid_validity, uid_next, highest_modseq } = record else { return };
        self.last.modseq = self.last.modseq.max(*highest_modseq);
        self.last.uid_validity = self.last.uid_validity.max(*uid_validity);
        if let Some(mailbox) = self.mailboxes.get_mut(mailbox) {
            mailbox.uid_validity = *uid_validity;
            mailbox.uid_next = mailbox.uid_next.max(*uid_next);
            mailbox.highest_modseq = mailbox.highest_modseq.max(*highest_modseq);
        }
    }

    fn flags(&mut self, mailbox: MailboxId, uids: &UidRanges, change: FlagChange, flags: u64, modseq: u64) {
        let Some(mailbox) = self.mailboxes.get_mut(&mailbox) else { return };
        mailbox.highest_modseq = mailbox.highest_modseq.max(modseq);
        for message in within(&mut mailbox.messages, uids) {
            let new = match change {
                FlagChange::Replace => flags,
                FlagChange::Add => message.flags.0 | flags,
                FlagChange::Remove => message.flags.0 & !flags,
            };
            if new != message.flags.0 {
                message.flags = Flags(new);
                message.modseq = modseq;
            }
        }
    }

    fn expunge(&mut self, id: MailboxId, uids: &UidRanges, modseq: u64) {
        let Some(mailbox) = self.mailboxes.get_mut(&id) else { return };
        mailbox.highest_modseq = mailbox.highest_modseq.max(modseq);
        let mut gone = Vec::new();
        mailbox.messages.retain(|message| {
            let after = uids.partition_point(|&(first, _)| first <= message.uid);
            let hit = after
                .checked_sub(1)
                .and_then(|at| uids.get(at))
                .is_some_and(|&(_, last)| message.uid <= last);
            if hit {
                gone.push(*message);
            }
            !hit
        });
        for message in gone {
            self.forget(id, &message);
        }
    }

    fn delete(&mut self, id: MailboxId) {
        if let Some(mailbox) = self.mailboxes.remove(&id) {
            for message in &mailbox.messages {
                self.forget(id, message);
            }
        }
    }

    fn forget(&mut self, mailbox: MailboxId, message: &Message) {
        self.notes.remove(&(mailbox, message.uid));
        self.usage.messages -= 1;
        self.usage.octets -= u64::from(message.size);
        self.loosen(message.body, message.size);
    }

    fn loosen(&mut self, body: u32, size: u32) {
        if super::in_file(size) {
            self.loosened.insert(body);
        }
    }

    /// Bodies in files that no message refers to any more, once. Call it only while no commit waits to
    /// be applied: that one may hold a copy.
    pub fn take_orphans(&mut self) -> Vec<u32> {
        if self.loosened.is_empty() {
            return Vec::new();
        }
        let used = self.bodies_in_files();
        std::mem::take(&mut self.loosened).into_iter().filter(|body| !used.contains(body)).collect()
    }

    /// The bodies in files that messages refer to.
    pub fn bodies_in_files(&self) -> BTreeSet<u32> {
        let messages = self.mailboxes.values().flat_map(|mailbox| &mailbox.messages);
        messages.filter(|message| super::in_file(message.size)).map(|message| message.body).collect()
    }
}

/// The messages whose UIDs lie in `uids`.
fn within<'a>(messages: &'a mut [Message], uids: &UidRanges) -> impl Iterator<Item = &'a mut Message> {
    let mut rest = messages;
    let mut found = Vec::new();
    for &(first, last) in uids {
        let from = rest.partition_point(|message| message.uid < first);
        let (_, tail) = rest.split_at_mut(from);
        let len = tail.partition_point(|message| message.uid <= last);
        let (hit, tail) = tail.split_at_mut(len);
        found.push(hit);
        rest = tail;
    }
    found.into_iter().flatten()
}
