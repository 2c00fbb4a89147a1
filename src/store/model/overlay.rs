//! What is staged but not yet applied is not in the [`Index`]: as much of it as the next commit must know.

use std::collections::{BTreeMap, BTreeSet};

use super::Index;
use crate::store::format::checkpoint::Counters;
use crate::store::format::record::{BodyRecord, Record};
use crate::store::format::{MailboxId, Message, Place, Uid};

/// What staged commits have given out.
#[derive(Debug, Default, Clone)]
pub struct Overlay {
    pub(super) uid_next: BTreeMap<MailboxId, Uid>,
    pub(super) uid_validity: BTreeMap<MailboxId, u32>,
    pub(super) keywords: BTreeMap<MailboxId, Vec<String>>,
    pub(super) doomed: BTreeSet<MailboxId>,
    pub(super) last: Counters,
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
    pub(super) fn place(&self, message: &Message) -> Place {
        self.moved.get(&message.body).copied().unwrap_or(message.place())
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

    /// Gives out the number of a body.
    pub fn next_body(&mut self, index: &Index) -> u32 {
        self.last.body = self.last.body.max(index.last.body) + 1;
        self.last.body
    }
}
