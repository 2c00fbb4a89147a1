//! What a session knows of its selected mailbox: which message has which sequence number.
//!
//! A message keeps its sequence number until the client was told otherwise (RFC 3501 section 7.4.1), whatever other
//! sessions do meanwhile. So each session has its own list of UIDs, four octets a message. [`SequenceNumbers::sync`]
//! compares the list with the mailbox and returns what the client must be told.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;

use super::own::{OwnChange, Tell};
use super::updates::Updates;
use crate::imap::wire::extension::{Enabled, Extension};
use crate::imap::wire::sequence::SequenceSet;
use crate::store::{Mailbox, MailboxId, Message, Uid};

/// The selected mailbox as the client knows it.
#[derive(Debug)]
pub struct SequenceNumbers {
    mailbox: MailboxId,
    uids: Vec<Uid>,
    /// The largest UID ever seen in this mailbox: messages with larger UIDs are new.
    seen_up_to: Uid,
    /// UIDNEXT at the last sync: a UID below it that is not in the list is gone.
    uid_next: Uid,
    /// The client knows the flags up to this MODSEQ.
    modseq: u64,
    /// The MODSEQ of the last sync, including changes of flags that the client does not want to be told of.
    synced: u64,
    /// The client was told of all changes up to this MODSEQ, also of removed messages.
    told_through: u64,
    /// What the session has enabled.
    pub enabled: Enabled,
    /// First and last UID of runs of messages that are `\Recent` to this session, ascending.
    recent: Vec<(Uid, Uid)>,
    /// A hash of the mailbox's keywords as the client was told them.
    keywords: u64,
}

impl SequenceNumbers {
    /// The mailbox as it is now; messages from `recent_from` on are `\Recent`
    /// (see [`crate::store::Account::claim_recent`]).
    pub fn new(mailbox: &Mailbox, recent_from: Uid) -> SequenceNumbers {
        let mut numbers = SequenceNumbers {
            mailbox: mailbox.id,
            uids: Vec::new(),
            seen_up_to: 0,
            uid_next: 1,
            modseq: 0,
            synced: 0,
            told_through: 0,
            enabled: Enabled::default(),
            recent: Vec::new(),
            keywords: hash(&[]),
        };
        numbers.sync(Some(mailbox), recent_from, Wanted::all(true), &OwnChange::Nothing);
        numbers
    }
    /// The mailbox.
    pub fn mailbox(&self) -> MailboxId {
        self.mailbox
    }
    /// The UIDs in ascending order: the message at index `i` has the sequence number `i + 1`.
    pub fn uids(&self) -> &[Uid] {
        &self.uids
    }
    /// The UID of the message with this sequence number.
    pub fn uid(&self, seq: u32) -> Option<Uid> {
        self.uids.get(usize::try_from(seq).ok()?.checked_sub(1)?).copied()
    }
    /// The largest UID; 0 when there are no messages.
    pub fn largest_uid(&self) -> Uid {
        self.uids.last().copied().unwrap_or(0)
    }
    /// How many messages there are, which is also the largest sequence number.
    pub fn exists(&self) -> u32 {
        seq(self.uids.len())
    }
    /// How many of the messages are `\Recent`.
    pub fn recent(&self) -> u32 {
        let below = |uid: Uid| self.uids.partition_point(|&u| u < uid);
        let through = |uid: Uid| self.uids.partition_point(|&u| u <= uid);
        seq(self.recent.iter().map(|&(first, last)| through(last) - below(first)).sum())
    }
    /// Whether the message is `\Recent` to this session.
    pub fn is_recent(&self, uid: Uid) -> bool {
        let at = self.recent.partition_point(|&(_, last)| last < uid);
        self.recent.get(at).is_some_and(|&(first, _)| first <= uid)
    }

    /// Whether the client is told that the message is `\Recent`: IMAP4rev2 has no such flag (RFC 9051 appendix E).
    pub fn tells_recent(&self, uid: Uid) -> bool {
        !self.enabled.rev2() && self.is_recent(uid)
    }

    /// The sequence numbers for a set of UIDs or of sequence numbers, as ascending ranges. UIDs that do not exist are
    /// ignored (RFC 3501 section 6.4.8); the result is `None` when a sequence number does not exist.
    pub fn select(&self, uid: bool, set: &SequenceSet) -> Option<Vec<RangeInclusive<u32>>> {
        if !uid {
            let ranges = set.ranges(self.exists());
            // Clients send `1:*` before they know that a mailbox is empty.
            let inside = ranges.iter().all(|range| *range.end() <= self.exists());
            let only_star = self.uids.is_empty() && set.contains(0, 0);
            return if only_star { Some(Vec::new()) } else { inside.then_some(ranges) };
        }
        let mut found = Vec::new();
        for range in set.ranges(self.largest_uid()) {
            found.extend(self.within(range));
        }
        Some(found)
    }

    /// The sequence numbers of the messages with these UIDs.
    pub fn within(&self, uids: RangeInclusive<Uid>) -> Option<RangeInclusive<u32>> {
        let first = self.uids.partition_point(|uid| uid < uids.start());
        let end = self.uids.partition_point(|uid| uid <= uids.end());
        (first < end).then(|| seq(first + 1)..=seq(end))
    }

    /// UIDNEXT as the session knows it.
    pub fn uid_next(&self) -> Uid {
        self.uid_next
    }

    /// The MODSEQ up to which the client was told of all changes, which it may take for its HIGHESTMODSEQ.
    pub fn told_through(&self) -> u64 {
        self.told_through
    }

    /// Whether the client knows the flags that the message has.
    pub fn knows(&self, message: &Message) -> bool {
        message.modseq <= self.modseq
    }

    /// The MODSEQ up to which the client was told of changes of flags.
    pub fn modseq(&self) -> u64 {
        self.modseq
    }

    /// The MODSEQ of the last sync, including changes that the client does not want to be told of.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// The largest UID that a message of this mailbox ever had.
    pub fn seen_up_to(&self) -> Uid {
        self.seen_up_to
    }

    /// Notes that the client is told the mailbox's keywords now. Returns whether they have changed since it was told
    /// last.
    pub fn hear_of_keywords(&mut self, mailbox: &Mailbox) -> bool {
        let now = hash(&mailbox.keywords);
        std::mem::replace(&mut self.keywords, now) != now
    }

    /// Whether a [`SequenceNumbers::sync`] would find nothing.
    pub fn is_current(&self, mailbox: &Mailbox, wanted: Wanted) -> bool {
        let modseq = if wanted.flags { self.modseq } else { self.synced };
        modseq == mailbox.highest_modseq && self.uids.len() == mailbox.messages.len()
    }

    /// Updates that contain nothing yet.
    pub fn nothing_new(&self) -> Updates {
        let mut updates = Updates::default();
        updates.named = self.keywords;
        updates
    }

    /// Takes over what has happened in the mailbox; `None` when the mailbox is gone with all its messages. What is
    /// not `wanted` is neither told nor taken over, except the client's own changes. New messages are `\Recent` from
    /// the UID `recent_from` on.
    pub fn sync(
        &mut self,
        mailbox: Option<&Mailbox>,
        recent_from: Uid,
        wanted: Wanted,
        own: &OwnChange,
    ) -> Updates {
        let messages = mailbox.map_or(&[][..], |mailbox| &mailbox.messages);
        let keywords = mailbox.map_or(self.keywords, |mailbox| hash(&mailbox.keywords));
        let mut updates = self.nothing_new();
        updates.keywords = keywords != self.keywords;
        let knows_modseqs = self.enabled.has(Extension::Condstore);
        let vanish = self.enabled.has(Extension::Qresync);
        let known = self.modseq;
        let known_flags = |seq| if wanted.flags || own.is_about(seq) { known } else { u64::MAX };
        let mut present = messages.iter().peekable();
        let mut place = 0;
        self.uids.retain(|&uid| {
            place += 1;
            while present.next_if(|message| message.uid < uid).is_some() {}
            let message = present.next_if(|message| message.uid == uid);
            let Some(message) = message else {
                if wanted.expunged {
                    updates.expunged.push(seq(place));
                    if vanish {
                        updates.vanished.push(uid);
                    }
                }
                return !wanted.expunged;
            };
            let new_seq = seq(place - updates.expunged.len());
            match own.tell(message, seq(place), known_flags(seq(place))) {
                Tell::Flags => updates.flags.push(new_seq),
                Tell::Modseq if knows_modseqs => updates.modseqs.push(new_seq),
                Tell::Modseq | Tell::Nothing => {}
            }
            true
        });
        let known = if wanted.new { self.seen_up_to } else { Uid::MAX };
        let new =
            messages.get(messages.partition_point(|message| message.uid <= known)..).unwrap_or_default();
        self.uids.extend(new.iter().map(|message| message.uid));
        if let Some(last) = new.last() {
            self.seen_up_to = last.uid;
            self.add_recent(recent_from.max(known + 1), last.uid);
            updates.exists = Some((self.exists(), self.recent()));
        }
        if let Some(mailbox) = mailbox.filter(|_| wanted.new) {
            (self.synced, self.uid_next) = (mailbox.highest_modseq, mailbox.uid_next);
        }
        if let Some(mailbox) = mailbox.filter(|_| wanted.new && wanted.flags) {
            self.modseq = mailbox.highest_modseq;
            // Messages that were removed and not yet told may have been removed at any time since.
            if self.uids.len() == mailbox.messages.len() {
                self.told_through = self.modseq;
            }
        }
        self.keywords = keywords;
        updates.named = keywords;
        updates
    }

    fn add_recent(&mut self, first: Uid, last: Uid) {
        match self.recent.last_mut() {
            Some((_, end)) if *end + 1 == first => *end = last.max(*end),
            _ if first <= last => self.recent.push((first, last)),
            _ => {}
        }
    }
}

/// What the client may and wants to be told of its mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Messages that are gone.
    pub expunged: bool,
    /// New messages.
    pub new: bool,
    /// Changes of flags by other sessions.
    pub flags: bool,
}

impl Wanted {
    /// Everything; `expunged` says whether EXPUNGE may be sent.
    pub fn all(expunged: bool) -> Wanted {
        Wanted { expunged, new: true, flags: true }
    }
}

/// A hash of the keywords, since keeping their names for every session would take too much memory. It changes also
/// when a place gets a new name.
pub(super) fn hash(keywords: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    keywords.hash(&mut hasher);
    hasher.finish()
}

fn seq(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::imap::state::own::Silent;
    use crate::store::{Flags, LastLine};
    use std::num::NonZeroU32;

    /// A mailbox with messages of these UIDs, flags and MODSEQs.
    pub(in crate::imap) fn mailbox(messages: &[(Uid, Flags, u64)]) -> Mailbox {
        Mailbox {
            id: crate::store::INBOX,
            name: "INBOX".into(),
            uid_validity: 1,
            uid_next: messages.iter().map(|m| m.0).max().unwrap_or(0) + 1,
            highest_modseq: messages.iter().map(|m| m.2).max().unwrap_or(1),
            recent_from: 1,
            keywords: Vec::new(),
            messages: messages.iter().map(|&(uid, flags, modseq)| message(uid, flags, modseq)).collect(),
        }
    }

    fn message(uid: Uid, flags: Flags, modseq: u64) -> Message {
        Message {
            uid,
            size: 0,
            date: 0.into(),
            flags,
            modseq,
            body: 0,
            segment: 0,
            offset: 0,
            save_date: 0,
            last_line: LastLine::Ended,
        }
    }

    fn set(ranges: &[(u32, u32)]) -> SequenceSet {
        let mut set = SequenceSet::default();
        for &(a, b) in ranges {
            set.push(NonZeroU32::new(a), NonZeroU32::new(b));
        }
        set
    }

    fn silent(expected: Vec<(Uid, Flags)>) -> OwnChange {
        OwnChange::Silent(Silent { expected, ..Silent::default() })
    }

    const NONE: Flags = Flags::NONE;
    const SEEN: Flags = Flags::SEEN;

    #[test]
    fn numbers_to_messages() {
        const STAR: u32 = 0;
        let numbers = SequenceNumbers::new(&mailbox(&[(3, NONE, 1), (5, NONE, 1), (9, NONE, 1)]), 1);
        for (uid, ranges, expected) in [
            (false, &[(1, 2)][..], Some(vec![1..=2])),
            (false, &[(STAR, STAR)], Some(vec![3..=3])),
            (false, &[(1, 4)], None),
            (false, &[(4, STAR)], None),
            (true, &[(4, 8)], Some(vec![2..=2])),
            (true, &[(6, 8)], Some(vec![])),
            (true, &[(20, STAR)], Some(vec![3..=3])),
            (true, &[(9, 9), (1, 3)], Some(vec![1..=1, 3..=3])),
        ] {
            assert_eq!(numbers.select(uid, &set(ranges)), expected, "{uid} {ranges:?}");
        }
        let empty = SequenceNumbers::new(&mailbox(&[]), 1);
        assert_eq!(empty.select(false, &set(&[(1, STAR)])), Some(vec![]));
        assert_eq!(empty.select(false, &set(&[(1, 1)])), None);
        assert_eq!(empty.select(true, &set(&[(1, STAR)])), Some(vec![]));
    }

    #[test]
    fn changes_of_others_are_told() {
        let mut numbers = SequenceNumbers::new(&mailbox(&[(1, NONE, 1), (2, NONE, 2), (3, NONE, 3)]), 3);
        assert_eq!(numbers.recent(), 1);
        let now = mailbox(&[(1, NONE, 1), (3, SEEN, 4), (4, NONE, 5)]);
        assert!(!numbers.is_current(&now, Wanted::all(true)));
        let updates = numbers.sync(Some(&now), 4, Wanted::all(true), &OwnChange::Nothing);
        assert_eq!(updates.expunged, [2]);
        assert_eq!(updates.exists, Some((3, 2)));
        assert_eq!(updates.flags, [2], "its number after the expunge");
        assert!(numbers.is_current(&now, Wanted::all(true)));
        assert!(numbers.sync(Some(&now), 5, Wanted::all(true), &OwnChange::Nothing).is_empty());
    }

    #[test]
    fn removed_messages_keep_their_numbers_while_they_must() {
        let mut numbers = SequenceNumbers::new(&mailbox(&[(1, NONE, 1), (2, NONE, 2)]), 1);
        let now = mailbox(&[(2, SEEN, 3), (3, NONE, 4)]);
        let updates = numbers.sync(Some(&now), 1, Wanted::all(false), &OwnChange::Nothing);
        assert_eq!((updates.expunged.len(), updates.exists, &updates.flags[..]), (0, Some((3, 3)), &[2][..]));
        assert!(!numbers.is_current(&now, Wanted::all(true)), "there is something left to tell");
        assert_eq!(numbers.sync(Some(&now), 1, Wanted::all(true), &OwnChange::Nothing).expunged, [1]);
        assert_eq!(numbers.uids(), [2, 3]);
        let all = numbers.sync(None, 1, Wanted::all(true), &OwnChange::Nothing);
        assert_eq!(all.expunged, [1, 2], "the mailbox is gone");
    }

    #[test]
    fn messages_that_came_and_went_unseen_are_not_told() {
        let mut numbers = SequenceNumbers::new(&mailbox(&[(1, NONE, 1)]), 1);
        let mut now = mailbox(&[(1, NONE, 1)]);
        now.highest_modseq = 7;
        assert!(numbers.sync(Some(&now), 3, Wanted::all(true), &OwnChange::Nothing).is_empty());
        now.messages.push(message(9, NONE, 8));
        assert_eq!(numbers.sync(Some(&now), 9, Wanted::all(true), &OwnChange::Nothing).exists, Some((2, 2)));
    }

    #[test]
    fn own_changes_are_told_as_the_store_command_wants() {
        let before = mailbox(&[(1, NONE, 1), (2, NONE, 1), (3, NONE, 1)]);
        let now = mailbox(&[(1, SEEN, 2), (2, SEEN.with(Flags::DRAFT), 2), (3, NONE, 1)]);
        let told = |own: OwnChange| {
            SequenceNumbers::new(&before, 1).sync(Some(&now), 1, Wanted::all(false), &own).flags
        };
        assert_eq!(told(OwnChange::Nothing), [1, 2]);
        assert_eq!(told(OwnChange::Report(vec![2..=3])), [1, 2, 3], "3 is answered although nothing changed");
        assert_eq!(told(silent(vec![(1, SEEN), (2, SEEN)])), [2], "another session set more");
    }

    #[test]
    fn recent_messages_are_those_that_this_session_claimed() {
        let mut now = mailbox(&[(1, NONE, 1), (2, NONE, 1)]);
        let mut numbers = SequenceNumbers::new(&now, 2);
        now.messages.extend([message(3, NONE, 2), message(4, NONE, 2)]);
        numbers.sync(Some(&now), 5, Wanted::all(true), &OwnChange::Nothing);
        now.messages.push(message(5, NONE, 2));
        numbers.sync(Some(&now), 5, Wanted::all(true), &OwnChange::Nothing);
        let recent: Vec<Uid> = numbers.uids().iter().copied().filter(|&uid| numbers.is_recent(uid)).collect();
        assert_eq!(recent, [2, 5]);
    }
}
