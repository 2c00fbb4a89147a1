//! The ledger: what was collected from where.

use super::{Index, Usage};
use crate::store::format::checkpoint::{Detail, Entry};
use crate::store::format::record::{
    CollectedMessageRecord, CollectedRecord, ForgottenRecord, UnlistedRecord,
};
use crate::store::format::{SourceKey, UnixTime};

/// What the ledger knows of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(Rust, packed)]
pub struct Known {
    /// When it was collected.
    pub date: UnixTime,
    /// A hash of the message's content, by which it is known again under another identity; 0 where nobody knows it.
    pub content: u64,
    /// Since when its source lists it no longer, in seconds since 1970; 0 while it does.
    pub unlisted: u32,
}

impl Index {
    /// Its content stays what it was. It is listed: whatever else stays would come out otherwise where this is replayed over a
    /// checkpoint that has seen what follows.
    pub(super) fn collected(&mut self, record: &CollectedRecord) {
        self.collect((record.source, record.identity, record.date));
    }

    pub(super) fn collected_message(&mut self, record: &CollectedMessageRecord) {
        let CollectedMessageRecord { source, identity, date, content } = *record;
        let known = Known { date: date.into(), content, unlisted: 0 };
        if self.ledger.insert(SourceKey(source), identity, known) {
            self.usage.add(Usage::of_ledger(1));
        }
    }

    pub(super) fn unlisted(&mut self, record: &UnlistedRecord) {
        for identity in &record.identities {
            if let Some(known) = self.ledger.get_mut(SourceKey(record.source), identity) {
                known.unlisted = record.since;
            }
        }
    }

    pub(super) fn forgotten(&mut self, record: &ForgottenRecord) {
        for identity in &record.identities {
            if self.ledger.remove(SourceKey(record.source), identity) {
                self.usage.remove(Usage::of_ledger(1));
            }
        }
    }

    pub(super) fn collect(&mut self, (source, identity, date): Entry) {
        let content = self.ledger.get(SourceKey(source), &identity).map_or(0, |known| known.content);
        self.collected_message(&CollectedMessageRecord { source, identity, date, content });
    }

    /// More of what is in the ledger: entries that are not there have been forgotten by an earlier version.
    pub(super) fn take_details(&mut self, details: &[Detail]) {
        for &(source, identity, content, unlisted) in details {
            if let Some(known) = self.ledger.get_mut(SourceKey(source), &identity) {
                (known.content, known.unlisted) = (content, unlisted);
            }
        }
    }
}
