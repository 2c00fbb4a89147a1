//! What has changed since a client was connected last (RFC 7162): for FETCH with CHANGEDSINCE, SEARCH with MODSEQ,
//! and SELECT with QRESYNC.

use std::ops::RangeInclusive;

use crate::imap::state::selected::Selected;
use crate::imap::state::session::Session;
use crate::imap::state::updates::Updates;
use crate::imap::state::vanished::Earlier;
use crate::imap::wire::command::SearchKey;
use crate::imap::wire::modseq::Resync;
use crate::imap::wire::sequence::SequenceSet;
use crate::store::Uid;

/// The refusal of parameters that need QRESYNC (RFC 7162 section 3.2.3).
pub const NOT_ENABLED: &str = "BAD Say ENABLE QRESYNC first";

impl Selected {
    /// What a client with this knowledge has missed (RFC 7162 section 3.2.5); `None` when its UIDVALIDITY is no
    /// longer that of the mailbox.
    pub fn missed(&self, client: &Resync) -> Option<Updates> {
        let uid_validity = self.account.view(self.numbers.mailbox(), |mailbox| mailbox.uid_validity)?;
        if uid_validity != client.uid_validity {
            return None;
        }
        let numbers = match &client.known {
            Some(set) => self.numbers.select(true, set)?,
            None => vec![1..=self.numbers.exists()],
        };
        let flags = self.changed_since(&numbers, client.modseq).into_iter().flatten().collect();
        let last_match = self.numbers.last_match(&client.matches);
        let earlier = self.vanished(client.known.as_ref(), client.modseq, last_match);
        let mut missed = self.numbers.nothing_new();
        (missed.earlier, missed.flags) = (earlier, flags);
        Some(missed)
    }

    /// The messages among `messages` that have a larger MODSEQ.
    pub fn changed_since(&self, messages: &[RangeInclusive<u32>], modseq: u64) -> Vec<RangeInclusive<u32>> {
        self.numbers_of(messages, |message| message.modseq > modseq)
    }

    /// The UIDs that were expunged since `modseq`, of those in `set`, or of all when there is no set; only UIDs above
    /// `known`, up to which the client knows everything. When the store no longer knows all expunged UIDs, these are
    /// all UIDs that do not exist (RFC 7162 section 3.2.6). `*` stands for the last UID that was given out.
    pub fn vanished(&self, set: Option<&SequenceSet>, modseq: u64, known: Option<Uid>) -> Earlier {
        let given = self.numbers.uid_next() - 1;
        let wanted = set.map_or(vec![1..=given], |set| set.ranges(given));
        let id = self.numbers.mailbox();
        let gone = match self.account.expunged_since(id, modseq) {
            Some(expunged) => both(&wanted, &expunged),
            None => wanted,
        };
        let (least, most) = (known.map_or(1, |known| known + 1), given);
        let clipped = gone.into_iter().map(|range| least.max(*range.start())..=most.min(*range.end()));
        Earlier::new(clipped.filter(|range| !range.is_empty()).collect())
    }
}

impl Session {
    /// The largest MODSEQ of the messages that a search reports (RFC 7162 section 3.1.5, RFC 4731 section 3.2), given
    /// by their sequence numbers. `None` when the search did not ask for MODSEQ, or has found nothing.
    pub fn answers_modseq(&mut self, key: &SearchKey, told: impl Iterator<Item = u32>) -> Option<u64> {
        let selected = self.selected().filter(|_| key.names_modseq())?;
        let largest = selected.account.view(selected.numbers.mailbox(), |mailbox| {
            let uids = told.filter_map(|seq| selected.numbers.uid(seq));
            uids.filter_map(|uid| mailbox.message(uid)).map(|message| message.modseq).max()
        });
        let modseq = largest.flatten()?;
        self.tells_modseq(modseq);
        Some(modseq)
    }
}

/// The intersection of two ascending sets.
fn both(wanted: &[RangeInclusive<Uid>], expunged: &[(Uid, Uid)]) -> Vec<RangeInclusive<Uid>> {
    let (mut wanted, mut expunged) = (wanted.iter().peekable(), expunged.iter().peekable());
    let mut both = Vec::new();
    while let (Some(a), Some((first, last))) = (wanted.peek(), expunged.peek()) {
        let (from, to) = (*first.max(a.start()), *last.min(a.end()));
        if from <= to {
            both.push(from..=to);
        }
        if a.end() < last {
            wanted.next();
        } else {
            expunged.next();
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a range that is skipped when the other range of its pair ends first.
    #[test]
    fn what_is_in_both() {
        let found = both(&[1..=5, 7..=9, 20..=30], &[(2, 3), (5, 7), (9, 21), (30, 40)]);
        assert_eq!(found, [2..=3, 5..=5, 7..=7, 9..=9, 20..=21, 30..=30]);
        assert!(both(&[], &[(1, 2)]).is_empty() && both(&[1..=2], &[]).is_empty());
    }
}
