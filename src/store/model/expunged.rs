//! The UIDs that were expunged lately (RFC 7162 section 5.3), for clients that come back.
//!
//! The list belongs to the account and is bounded. It is not in the format: Expunge records fill it again when the
//! log is replayed, so after a restart it reaches back to the checkpoint. It knows how far it reaches back, and
//! answers `None` to a client that asks for more.

use std::collections::BTreeMap;

use crate::store::format::{MailboxId, Uid, UidRanges};

/// Ranges of UIDs that are remembered for an account: some 100 KiB.
pub const EXPUNGED_MAX: usize = 2048;

/// The expunges of an account after some MODSEQ.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Expunged {
    /// All expunges after this MODSEQ are known, and no others.
    forgotten: u64,
    /// From the MODSEQ, the mailbox and the first UID of a range to its last UID.
    ranges: BTreeMap<(u64, MailboxId, Uid), Uid>,
}

impl Expunged {
    /// Notes that messages of these UIDs were expunged, or never existed. Noting it twice does no harm.
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

    /// Forgets everything up to this MODSEQ, and that it was known.
    pub fn forget(&mut self, modseq: u64) {
        self.forgotten = self.forgotten.max(modseq);
        self.ranges = match self.forgotten.checked_add(1) {
            Some(next) => self.ranges.split_off(&(next, MailboxId(0), 0)),
            None => BTreeMap::new(),
        };
    }

    /// Forgets a mailbox that was deleted.
    pub fn forget_mailbox(&mut self, mailbox: MailboxId) {
        self.ranges.retain(|(_, of, _), _| *of != mailbox);
    }

    /// The UIDs that were expunged from the mailbox after this MODSEQ, as ascending ranges; `None` when not all are
    /// known.
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

    /// Catches: a list that claims to reach back further than it does, an expunge that is listed again for a client
    /// that knows it, and an expunge of one mailbox that is listed for another.
    #[test]
    fn what_came_since_and_how_far_back_that_is_known() {
        let mut expunged = Expunged::default();
        expunged.remember(A, &[(5, 6), (9, 9)], 10);
        expunged.remember(B, &[(1, 1)], 11);
        expunged.remember(A, &[(7, 8)], 12);
        // The same again, as when the log after a checkpoint is replayed over it.
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

    /// Catches: a list that grows without bounds; a list that forgets some UIDs of a commit and claims to know all of
    /// it; a list that accepts the rest of a commit after it has forgotten its beginning.
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
