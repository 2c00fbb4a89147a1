//! What is staged but not yet applied is not in the [`Index`]: as much of it as the next commit must know.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::{Index, NoteKey, Usage};
use crate::store::format::checkpoint::Counters;
use crate::store::format::record::{BodyRecord, Record};
use crate::store::format::{Flags, MailboxId, Message, Place, Uid, Uids};

/// What one commit makes of the account's size.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// What there is more of once it is applied.
    pub(super) more: Usage,
    /// What there is less of.
    pub(super) less: Usage,
    /// Messages that it removes.
    pub(super) expunged: Vec<(MailboxId, Uids)>,
    /// Messages whose flags it changes.
    pub(super) flagged: Vec<(MailboxId, Uids)>,
    /// Messages to which it gives a note.
    pub(super) noted: Vec<NoteKey>,
}

impl Growth {
    /// Whether it removes this message.
    pub(super) fn expunges(&self, mailbox: MailboxId, uid: Uid) -> bool {
        are_among(&self.expunged, mailbox, uid)
    }
}

fn are_among(messages: &[(MailboxId, Uids)], mailbox: MailboxId, uid: Uid) -> bool {
    messages.iter().any(|(of, uids)| *of == mailbox && uids.contains(uid))
}

/// What staged commits have given out.
#[derive(Debug, Default, Clone)]
pub struct Overlay {
    /// Of each commit that is staged and not applied, in the order of the log.
    pub(super) growing: VecDeque<Rc<Growth>>,
    pub(super) uid_next: BTreeMap<MailboxId, Uid>,
    pub(super) uid_validity: BTreeMap<MailboxId, u32>,
    /// The names of all places of mailboxes for which staged commits have named or freed some.
    pub(super) keywords: BTreeMap<MailboxId, Vec<String>>,
    /// Keywords that staged commits give to messages.
    pub(super) used_keywords: BTreeMap<MailboxId, Flags>,
    pub(super) doomed: BTreeSet<MailboxId>,
    pub(super) last: Counters,
    /// Where compaction has moved bodies.
    moved: BTreeMap<u32, Place>,
    /// Mailboxes whose `\Recent` messages a session has claimed since the last commit.
    pub claimed_recent: BTreeSet<MailboxId>,
}

impl Overlay {
    /// The first of the staged commits is applied.
    pub fn applied(&mut self) {
        self.growing.pop_front();
    }

    /// Everything staged is applied: the index knows it now.
    pub fn settle(&mut self) {
        self.growing.clear();
        self.uid_next.clear();
        self.uid_validity.clear();
        self.keywords.clear();
        self.used_keywords.clear();
        self.doomed.clear();
        self.moved.clear();
    }

    /// What the account holds once everything staged is applied, as far as it grows.
    pub fn expected(&self, index: &Index) -> Usage {
        self.growing.iter().fold(index.usage, |sum, growth| sum.plus(growth.more.less(growth.less)))
    }

    /// Whether a staged commit removes this message.
    pub(super) fn expunges(&self, mailbox: MailboxId, uid: Uid) -> bool {
        self.growing.iter().any(|growth| growth.expunges(mailbox, uid))
    }

    /// Whether a staged commit changes this message's flags.
    pub(super) fn flags(&self, mailbox: MailboxId, uid: Uid) -> bool {
        self.growing.iter().any(|growth| are_among(&growth.flagged, mailbox, uid))
    }

    /// Whether a staged commit gives this message a note.
    pub(super) fn notes(&self, key: NoteKey) -> bool {
        self.growing.iter().any(|growth| growth.noted.contains(&key))
    }

    /// Where the body of `message` lies once everything staged is applied.
    pub(super) fn place(&self, message: &Message) -> Place {
        self.moved.get(&{ message.body }).copied().unwrap_or(message.place())
    }

    /// Takes note of what a staged commit moves.
    pub fn note_moves(&mut self, records: &[(Record, Place)]) {
        let moved = records.iter().filter_map(|(record, _)| match record {
            Record::Moved(moved) => Some(&moved.bodies),
            _ => None,
        });
        let moved: BTreeSet<u32> = moved.flatten().copied().collect();
        for (record, place) in records {
            if let Record::Body(BodyRecord { body, .. }) = record
                && moved.contains(body)
            {
                self.moved.insert(*body, *place);
            }
        }
    }

    /// Takes over what was given out without a commit while this one was planned.
    pub(super) fn join(&mut self, now: &Overlay) {
        self.last.body = self.last.body.max(now.last.body);
        self.claimed_recent.clone_from(&now.claimed_recent);
    }

    /// Gives out the number of a body.
    pub fn next_body(&mut self, index: &Index) -> u32 {
        self.last.body = self.last.body.max(index.last.body) + 1;
        self.last.body
    }
}
