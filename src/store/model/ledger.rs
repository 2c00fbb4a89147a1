//! The ledger: which identities were collected from which source.

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
    /// When the message was collected.
    pub date: UnixTime,
    /// A hash of the message's content, by which it is recognised under another identity; 0 when it is not known.
    pub content: u64,
    /// Since when the source no longer lists the message, in seconds since 1970; 0 while it lists it.
    pub unlisted: u32,
}

impl Index {
    /// Notes a date of collection, and keeps the known content. The identity counts as listed again: keeping anything
    /// else would give another result when this record is replayed over a checkpoint that holds later changes.
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

    /// Adds details to entries. Entries that do not exist were removed by an earlier version.
    pub(super) fn take_details(&mut self, details: &[Detail]) {
        for &(source, identity, content, unlisted) in details {
            if let Some(known) = self.ledger.get_mut(SourceKey(source), &identity) {
                (known.content, known.unlisted) = (content, unlisted);
            }
        }
    }
}
