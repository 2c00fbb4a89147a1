//! Which UIDs were expunged lately (RFC 7162 section 5.3): what a client that was away has not heard of.
//!
//! The memory is the account's, and bounded. It is not in the format: Expunge records make it again when the log is replayed, so
//! after a restart it reaches back to the checkpoint. What it reaches back to is known, and who asks for more is told that.

use std::collections::BTreeMap;

use crate::store::format::{MailboxId, Uid, UidRanges};

/// Ranges of UIDs that are remembered of an account: some 100 KiB.
pub const EXPUNGED_MAX: usize = 2048;

/// The expunges of an account since some MODSEQ.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Expunged {
    /// All that came behind this MODSEQ are known, and no others.
    forgotten: u64,
    /// MODSEQ, mailbox and first UID of a range; its last one.
    ranges: BTreeMap<(u64, MailboxId, Uid), Uid>,
}

impl Expunged {
    /// Messages of these UIDs have gone, or never were. Told twice it is known once.
    pub fn remember(&mut self, mailbox: MailboxId, uids: &[(Uid, Uid)], modseq: u64) {
        for &(first, last) in uids {
            if modseq <= self.forgotten {
                return;
            }
            self.ranges.insert((modseq, mailbox, first), last);
            if self.ranges.len() > EXPUNGED_MAX
                && let Some(((oldest, _, _), _)) = self.ranges.first_key_value()
            {
                self.forget(*oldest);
            }
        }
    }

    /// Nothing is known of what happened up to this MODSEQ.
    pub fn forget(&mut self, modseq: u64) {
        self.forgotten = self.forgotten.max(modseq);
        self.ranges = match self.forgotten.checked_add(1) {
            Some(next) => self.ranges.split_off(&(next, MailboxId(0), 0)),
            None => BTreeMap::new(),
        };
    }

    /// A mailbox is gone.
    pub fn forget_mailbox(&mut self, mailbox: MailboxId) {
        self.ranges.retain(|(_, of, _), _| *of != mailbox);
    }

    /// What was expunged from the mailbox behind this MODSEQ, ascending; `None` where that is not known.
    pub fn since(&self, mailbox: MailboxId, modseq: u64) -> Option<UidRanges> {
        if modseq < self.forgotten {
            return None;
        }
        let later = self.ranges.range((modseq.checked_add(1)?, MailboxId(0), 0)..);
        let own = later.filter(|((_, of, _), _)| *of == mailbox);
        let mut found: UidRanges = own.map(|((_, _, first), last)| (*first, *last)).collect();
        found.sort_unstable();
        let mut merged = UidRanges::new();
        for (first, last) in found {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Some(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: MailboxId = MailboxId(1);
    const B: MailboxId = MailboxId(2);

    #[test]
    fn what_came_since_and_how_far_back_that_is_known() {
        let mut expunged = Expunged::default();
        expunged.remember(A, &[(5, 6), (9, 9)], 10);
        expunged.remember(B, &[(1, 1)], 11);
        expunged.remember(A, &[(7, 8)], 12);
        // As a checkpoint's log is replayed over it.
        expunged.remember(A, &[(5, 6), (9, 9)], 10);
        assert_eq!(expunged.since(A, 0), Some(vec![(5, 9)]));
        assert_eq!(expunged.since(A, 10), Some(vec![(7, 8)]));
        assert_eq!(expunged.since(A, 12), Some(vec![]));
        assert_eq!(expunged.since(A, u64::MAX), None);
        expunged.forget(10);
        assert_eq!((expunged.since(A, 9), expunged.since(A, 10)), (None, Some(vec![(7, 8)])));
        expunged.forget_mailbox(A);
        assert_eq!((expunged.since(A, 10), expunged.since(B, 10)), (Some(vec![]), Some(vec![(1, 1)])));
    }

    /// Catches: a memory without bounds; one that forgets some UIDs of a commit and says that it knows all of it; and one
    /// that takes up the rest of a commit of which it has forgotten the beginning.
    #[test]
    fn the_oldest_commit_is_forgotten_as_a_whole() {
        let mut expunged = Expunged::default();
        let scattered = |n: u32| (0..n).map(|n| (3 * n + 1, 3 * n + 1)).collect::<Vec<_>>();
        expunged.remember(A, &scattered(1000), 10);
        expunged.remember(A, &scattered(1000), 11);
        assert_eq!(expunged.since(A, 9).unwrap().len(), 1000);
        expunged.remember(A, &scattered(100), 12);
        assert_eq!(
            (expunged.since(A, 9), expunged.since(A, 10).map(|found| found.len())),
            (None, Some(1000))
        );
        let all = u32::try_from(EXPUNGED_MAX).unwrap() + 10;
        expunged.remember(A, &scattered(all), 13);
        assert_eq!((expunged.since(A, 12), expunged.since(A, 13)), (None, Some(vec![])));
        assert!(expunged.ranges.is_empty());
    }
}
