//! The overlay: what the next commit must know of commits that are staged and not yet applied, and so not in the
//! [`Index`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::{Index, NoteKey, Usage};
use crate::store::format::checkpoint::Counters;
use crate::store::format::record::{BodyRecord, Record};
use crate::store::format::{Flags, MailboxId, Message, Place, Uid, Uids};

/// How one commit changes the account's size, and which messages it changes.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// What the account holds more once the commit is applied.
    pub(super) more: Usage,
    /// What the account holds less once the commit is applied.
    pub(super) less: Usage,
    /// Messages that the commit removes.
    pub(super) expunged: Vec<(MailboxId, Uids)>,
    /// Messages whose flags the commit changes.
    pub(super) flagged: Vec<(MailboxId, Uids)>,
    /// Messages to which the commit gives a note.
    pub(super) noted: Vec<NoteKey>,
}

impl Growth {
    /// Whether the commit removes this message.
    pub(super) fn expunges(&self, mailbox: MailboxId, uid: Uid) -> bool {
        are_among(&self.expunged, mailbox, uid)
    }
}

fn are_among(messages: &[(MailboxId, Uids)], mailbox: MailboxId, uid: Uid) -> bool {
    messages.iter().any(|(of, uids)| *of == mailbox && uids.contains(uid))
}

/// The numbers that staged commits have given out, and what they will change.
#[derive(Debug, Default, Clone)]
pub struct Overlay {
    /// The growth of each commit that is staged and not applied, in the order of the log.
    pub(super) growing: VecDeque<Rc<Growth>>,
    pub(super) uid_next: BTreeMap<MailboxId, Uid>,
    pub(super) uid_validity: BTreeMap<MailboxId, u32>,
    /// The names of all places, for mailboxes whose keywords staged commits have changed.
    pub(super) keywords: BTreeMap<MailboxId, Vec<String>>,
    /// Keywords that staged commits give to messages.
    pub(super) used_keywords: BTreeMap<MailboxId, Flags>,
    pub(super) doomed: BTreeSet<MailboxId>,
    pub(super) last: Counters,
    /// The places to which compaction has moved bodies.
    moved: BTreeMap<u32, Place>,
    /// Mailboxes whose `\Recent` messages a session has claimed since the last commit.
    pub claimed_recent: BTreeSet<MailboxId>,
}

impl Overlay {
    /// Says that the first of the staged commits is applied.
    pub fn applied(&mut self) {
        self.growing.pop_front();
    }

    /// Says that everything staged is applied, and so in the index.
    pub fn all_applied(&mut self) {
        self.growing.clear();
        self.uid_next.clear();
        self.uid_validity.clear();
        self.keywords.clear();
        self.used_keywords.clear();
        self.doomed.clear();
        self.moved.clear();
    }

    /// What the account holds once everything staged is applied.
    pub fn expected(&self, index: &Index) -> Usage {
        self.growing.iter().fold(index.usage, |sum, growth| sum.plus(growth.more.less(growth.less)))
    }

    /// Whether a staged commit removes this message.
    pub(super) fn expunges(&self, mailbox: MailboxId, uid: Uid) -> bool {
        self.growing.iter().any(|growth| growth.expunges(mailbox, uid))
    }

    /// Whether a staged commit changes the flags of this message.
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

    /// Notes the bodies that a staged commit moves.
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

    /// Takes over the numbers that were given out and the claims that were made while this commit was planned.
    pub(super) fn join(&mut self, now: &Overlay) {
        self.last.body = self.last.body.max(now.last.body);
        self.claimed_recent.clone_from(&now.claimed_recent);
    }

    /// The number for a new body.
    pub fn next_body(&mut self, index: &Index) -> u32 {
        self.last.body = self.last.body.max(index.last.body) + 1;
        self.last.body
    }
}
