//! What was collected, and what follows from it for each message that a server lists.
//!
//! A message is known by its identity: the server's unique-id, or where there is none that can be
//! trusted, the SHA-256 of all its octets. Identities live in the account's store, where a message and
//! its identity are one commit. The rules that keep mail from getting lost or doubled:
//!
//! - Two messages with the same unique-id in one listing are two messages (RFC 1939 section 7 allows
//!   identical copies to share one): the second is told from the first by its rank and its size.
//! - A message without a usable unique-id is read whole before it is judged. Anything shorter, such as
//!   its header, could be the same for two different messages, and one of them would be lost.
//! - What the server lists no longer is forgotten after 30 days, and only where its listings agree with each other: a server
//!   whose storage is away for a moment, or whose listing is short once, would give everything twice afterwards.
//! - A message that comes under a new identity, and has the content of one that came before, is not delivered, and never
//!   deleted there: the server has numbered its messages anew, or somebody moves them in a circle. It may be the last copy.

use std::collections::{HashMap, HashSet};

use ring::digest::SHA256;

use crate::config::Source;
use crate::store::{IdentityHash, Known, SourceKey, identity_hash};

/// New messages that one poll takes on; the next poll follows at once and takes the rest.
const NEW_LIMIT: usize = 5000;
/// Where a source has no `max_size`, its messages may have so many times `max_message_size`: what others let pass is
/// not to be refused for being somewhat large, only for having no end.
const UNASKED: u64 = 4;
/// Seconds for which what is listed no longer is remembered.
const REMEMBERED: i64 = 30 * 86_400;
/// A date before this (June 2025) was noted while the board's clock was not set.
const CLOCK_IS_SET: i64 = 1_750_000_000;

/// What names the source in the ledger.
pub fn source_key(source: &Source) -> SourceKey {
    SourceKey(source.ledger())
}

/// What a message is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity([u8; 16]);

impl Identity {
    /// Hashed, so that a mailbox of many messages with long unique-ids costs little memory.
    fn new(kind: &str, octets: &[u8]) -> Identity {
        let mut hash = ring::digest::Context::new(&SHA256);
        hash.update(kind.as_bytes());
        hash.update(&[0]);
        hash.update(octets);
        let mut identity = [0; 16];
        identity.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Identity(identity)
    }

    /// The octets that [`crate::store::Transaction::collected`] takes.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// The identity for "the user was told that this message stays".
    fn told(&self) -> Identity {
        Identity::new("told", &self.0)
    }

    /// The identity for "the user was told that this message cannot be had".
    fn stuck(&self) -> Identity {
        Identity::new("stuck", &self.0)
    }

    /// The identity for "this message has the content of one that came under another identity".
    pub fn again(&self) -> Identity {
        Identity::new("again", &self.0)
    }

    /// The identity for "this message turned out to be larger than `limit`, whatever its listing says".
    fn larger_than(&self, limit: u64) -> Identity {
        Identity::new("larger", &[&limit.to_be_bytes()[..], &self.0].concat())
    }

    /// What stands for a message in one listing where it has no identity that is known before it is read.
    pub fn in_place(handle: u32) -> Identity {
        Identity::new("place", &handle.to_be_bytes())
    }
}

/// What is to be done with a listed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// New: collect it under this identity.
    Collect(Identity),
    /// Only its content can tell: read it, and ask [`Ledger::read`].
    Read,
    /// Collected: delete it at the server.
    Delete,
    /// Larger than `max_size`: it stays, and the user is told, which is noted under this identity.
    Tell(Identity),
    /// Collected when the board's clock was not set: note the date anew under this identity.
    Redate(Identity),
    /// Nothing.
    Leave,
}

/// What a poll changes in the ledger besides what it collects.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The server lists them no longer.
    pub gone: Vec<IdentityHash>,
    /// It lists them again.
    pub back: Vec<IdentityHash>,
    /// It has not listed them for so long that it never will.
    pub forgotten: Vec<IdentityHash>,
}

/// The ledger of one source during one poll.
pub struct Ledger {
    leave_on_server: bool,
    delete_after: i64,
    max_size: u64,
    /// Octets that a message may really have.
    limit: u64,
    now: i64,
    /// In ascending order, each with whether it was listed in this poll.
    known: Vec<(IdentityHash, Known, bool)>,
    /// The contents of what was collected before this poll, in ascending order.
    contents: Vec<u64>,
    new: HashSet<Identity>,
    /// How often an identity came that was listed before.
    repeated: HashMap<Identity, u32>,
    listed: u64,
    /// New messages that this poll does not take on.
    left: u64,
}

impl Ledger {
    /// What `known` says of `source`, see [`crate::store::Account::ledger_of`]. A source without a `max_size` of its
    /// own has the limit that follows from `max_message_size`.
    pub fn new(
        source: &Source,
        mut known: Vec<(IdentityHash, Known)>,
        now: i64,
        max_message_size: u64,
    ) -> Ledger {
        known.sort_unstable_by_key(|(identity, _)| *identity);
        let content = known.iter().map(|(_, known)| known.content);
        let mut contents: Vec<u64> = content.filter(|content| *content != 0).collect();
        contents.sort_unstable();
        Ledger {
            leave_on_server: source.leave_on_server,
            delete_after: source.delete_after.into(),
            max_size: source.max_size,
            limit: match source.max_size {
                0 => max_message_size.saturating_mul(UNASKED),
                max_size => max_size,
            },
            now,
            known: known.into_iter().map(|(hash, known)| (hash, known, false)).collect(),
            contents,
            new: HashSet::new(),
            repeated: HashMap::new(),
            listed: 0,
            left: 0,
        }
    }

    /// Judges a message by the unique-id that the server lists, empty for none, and its size.
    pub fn listed(&mut self, unique_id: &[u8], size: u64) -> Verdict {
        self.listed += 1;
        let identity = if unique_id.is_empty() { None } else { self.distinct("uidl", unique_id, size) };
        match identity {
            Some(identity) => self.judge(identity, size),
            None if self.is_too_large(size) => match self.sized(size) {
                Some(identity) => self.tell(&identity),
                None => Verdict::Leave,
            },
            None => Verdict::Read,
        }
    }

    /// Whether the message with this unique-id was collected.
    pub fn knows(&mut self, unique_id: &[u8]) -> bool {
        self.entry(&Identity::new("uidl", unique_id)).is_some()
    }

    /// Judges a message by the SHA-256 of all its octets.
    pub fn read(&mut self, digest: &[u8], size: u64) -> Verdict {
        match self.distinct("content", digest, size) {
            Some(identity) => self.judge(identity, 0),
            None => Verdict::Leave,
        }
    }

    /// The message of `identity` turned out larger than its listing said.
    pub fn tell(&mut self, identity: &Identity) -> Verdict {
        let told = identity.told();
        if self.look(&told).is_some() { Verdict::Leave } else { Verdict::Tell(told) }
    }

    /// The message of `identity` cannot be had: under which identity it is noted that the user was told, if he was not.
    pub fn stuck(&mut self, identity: &Identity) -> Option<Identity> {
        let stuck = identity.stuck();
        if self.look(&stuck).is_some() { None } else { Some(stuck) }
    }

    /// The message of `identity` turned out larger than the limit, which is noted under the returned identity: it is not
    /// read again with the same limit.
    pub fn larger(&self, identity: &Identity) -> Identity {
        identity.larger_than(self.limit)
    }

    /// The identity of a message that is larger than the limit, by the SHA-256 of its octets up to there. It is good
    /// for telling the user once, and for nothing else: another message may begin alike.
    pub fn beginning(&mut self, digest: &[u8]) -> Option<Identity> {
        self.distinct("beginning", digest, self.limit)
    }

    /// The identity of a message of which no more is known than its size: good for the same.
    pub fn sized(&mut self, size: u64) -> Option<Identity> {
        self.distinct("size", &size.to_be_bytes(), size)
    }

    /// Octets that a message may have.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether `max_size` forbids a message that is listed with `size` octets. Without a `max_size` the listing is not
    /// believed: honest servers get sizes wrong.
    fn is_too_large(&self, size: u64) -> bool {
        self.max_size > 0 && size > self.max_size
    }

    /// Whether there are new messages that this poll does not take on.
    pub fn has_more(&self) -> bool {
        self.left > 0
    }

    /// How many they are.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Whether collected messages stay at the server.
    pub fn leaves_on_server(&self) -> bool {
        self.leave_on_server
    }

    /// Whether a message of this content was collected before this poll. Two that are listed together are two.
    pub fn has_content(&self, content: u64) -> bool {
        self.contents.binary_search(&content).is_ok()
    }

    /// What there is to note once everything is listed and judged.
    pub fn changes(&self) -> Changes {
        let mut changes = Changes::default();
        if self.now < CLOCK_IS_SET {
            return changes;
        }
        for (identity, known, listed) in &self.known {
            match (listed, i64::from(known.unlisted)) {
                (true, 0) => {}
                (true, _) => changes.back.push(*identity),
                (false, 0) => changes.gone.push(*identity),
                (false, since) if self.now - since >= REMEMBERED => changes.forgotten.push(*identity),
                (false, _) => {}
            }
        }
        changes
    }

    fn judge(&mut self, identity: Identity, size: u64) -> Verdict {
        if let Some(collected) = self.look(&identity) {
            return self.judge_known(identity, collected);
        }
        if self.look(&identity.again()).is_some() {
            return Verdict::Leave;
        }
        self.look(&identity.stuck());
        if self.is_too_large(size) {
            return self.tell(&identity);
        }
        if self.look(&identity.larger_than(self.limit)).is_some() {
            self.look(&identity.told());
            return Verdict::Leave;
        }
        if self.new.contains(&identity) {
            return Verdict::Collect(identity);
        }
        self.left += 1;
        Verdict::Leave
    }

    fn judge_known(&self, identity: Identity, collected: i64) -> Verdict {
        if !self.leave_on_server {
            return Verdict::Delete;
        }
        if self.delete_after == 0 || self.now < CLOCK_IS_SET {
            return Verdict::Leave;
        }
        if collected < CLOCK_IS_SET {
            return Verdict::Redate(identity);
        }
        if self.now - collected >= self.delete_after { Verdict::Delete } else { Verdict::Leave }
    }

    /// The identity of these octets, unlike all others in this poll. `None` when too many are alike.
    fn distinct(&mut self, kind: &str, octets: &[u8], size: u64) -> Option<Identity> {
        let identity = Identity::new(kind, octets);
        if self.list(&identity) {
            return Some(identity);
        }
        if self.repeated.len() >= NEW_LIMIT && !self.repeated.contains_key(&identity) {
            return None;
        }
        let rank = self.repeated.entry(identity).or_insert(1);
        *rank += 1;
        let distinct = [&rank.to_be_bytes()[..], &size.to_be_bytes(), octets].concat();
        let identity = Identity::new(&format!("{kind} repeated"), &distinct);
        self.list(&identity).then_some(identity)
    }

    /// Notes that the server lists `identity`; false if it did so before.
    fn list(&mut self, identity: &Identity) -> bool {
        if let Some((_, _, listed)) = self.entry(identity) {
            return !std::mem::replace(listed, true);
        }
        // Beyond the limit nothing is collected in this poll: there is no need to remember it.
        if self.new.len() >= NEW_LIMIT { !self.new.contains(identity) } else { self.new.insert(*identity) }
    }

    /// When `identity` was collected; notes that it is listed.
    fn look(&mut self, identity: &Identity) -> Option<i64> {
        let (_, known, listed) = self.entry(identity)?;
        *listed = true;
        Some(known.date.get())
    }

    fn entry(&mut self, identity: &Identity) -> Option<&mut (IdentityHash, Known, bool)> {
        let hash = identity_hash(identity.octets());
        let at = self.known.binary_search_by_key(&hash, |(known, _, _)| *known).ok()?;
        self.known.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Protocol;

    const NOW: i64 = 1_800_000_000;
    const MAX: u64 = 1 << 20;

    fn collected(date: i64) -> Known {
        Known { date: date.into(), content: 0, unlisted: 0 }
    }

    fn source() -> Source {
        Source { host: "pop.example".try_into().unwrap(), ..Source::default() }
    }

    /// Lists messages of (unique-id, size); new ones are collected, and so known to the next poll.
    fn poll(
        source: &Source,
        known: &mut Vec<(IdentityHash, Known)>,
        listing: &[(&str, u64)],
        now: i64,
    ) -> String {
        let mut ledger = Ledger::new(source, known.clone(), now, MAX);
        let verdicts: Vec<Verdict> =
            listing.iter().map(|(id, size)| ledger.listed(id.as_bytes(), *size)).collect();
        let Changes { gone, back, forgotten } = ledger.changes();
        known.retain(|(hash, _)| !forgotten.contains(hash));
        for (hash, known) in known.iter_mut() {
            if gone.contains(hash) {
                known.unlisted = u32::try_from(now).unwrap();
            }
            if back.contains(hash) {
                known.unlisted = 0;
            }
        }
        let mut said = String::new();
        for verdict in verdicts {
            said.push(match verdict {
                Verdict::Collect(_) => 'C',
                Verdict::Read => 'R',
                Verdict::Delete => 'D',
                Verdict::Tell(_) => 'T',
                Verdict::Redate(_) => 'A',
                Verdict::Leave => '.',
            });
            if let Verdict::Collect(identity) | Verdict::Tell(identity) | Verdict::Redate(identity) = verdict
            {
                let hash = identity_hash(identity.octets());
                known.retain(|(known, _)| *known != hash);
                known.push((hash, collected(now)));
            }
        }
        said
    }

    #[test]
    fn collected_messages_are_deleted_unless_they_shall_stay() {
        let (mut take, mut known) = (source(), Vec::new());
        take.leave_on_server = false;
        assert_eq!(poll(&take, &mut known, &[("a", 1), ("b", 1)], NOW), "CC");
        assert_eq!(poll(&take, &mut known, &[("a", 1), ("b", 1), ("c", 1)], NOW), "DDC");

        let (mut leave, mut known) = (source(), Vec::new());
        leave.leave_on_server = true;
        assert_eq!(poll(&leave, &mut known, &[("a", 1), ("b", 1)], NOW), "CC");
        assert_eq!(poll(&leave, &mut known, &[("a", 1), ("c", 1), ("b", 1)], NOW), ".C.");
        leave.delete_after = 100;
        assert_eq!(poll(&leave, &mut known, &[("a", 1), ("c", 1)], NOW + 99), "..");
        assert_eq!(poll(&leave, &mut known, &[("a", 1), ("c", 1)], NOW + 100), "DD");
    }

    #[test]
    fn what_is_listed_no_longer_is_forgotten_after_30_days() {
        // Catches: a listing that is short once, after which everything comes twice; a ledger that never forgets; days that are
        // counted from before a message was listed again; a clock that was not set.
        const MONTH: i64 = 30 * 86_400;
        let (mut source, mut known) = (source(), Vec::new());
        source.leave_on_server = true;
        let all = [("a", 1), ("b", 1)];
        let mut poll = |listing: &[_], now| (poll(&source, &mut known, listing, now), known.len());
        assert_eq!(poll(&all, NOW), ("CC".into(), 2));
        assert_eq!(poll(&[], NOW + 1), ("".into(), 2));
        assert_eq!(poll(&all[1..], NOW + MONTH), (".".into(), 2), "not for 30 days yet");
        assert_eq!(poll(&all, NOW + MONTH), ("..".into(), 2));
        assert_eq!(poll(&all[1..], NOW + 2 * MONTH), (".".into(), 2));
        assert_eq!(poll(&all[1..], 40), (".".into(), 2));
        assert_eq!(poll(&all[1..], NOW + 3 * MONTH - 1), (".".into(), 2));
        assert_eq!(poll(&all[1..], NOW + 3 * MONTH), (".".into(), 1));
        assert_eq!(poll(&all, NOW + 3 * MONTH), ("C.".into(), 2));
    }

    /// Catches: a message that was recognised by its content and is deleted there, or read again with each poll.
    #[test]
    fn what_came_under_another_identity_is_left_alone() {
        let mut source = source();
        source.leave_on_server = false;
        let first = Known { content: 7, ..collected(NOW) };
        let known = vec![(identity_hash(Identity::new("uidl", b"a").octets()), first)];
        let mut ledger = Ledger::new(&source, known.clone(), NOW, MAX);
        let Verdict::Collect(identity) = ledger.listed(b"b", 1) else { panic!() };
        assert!(ledger.has_content(7) && !ledger.has_content(8) && !ledger.has_content(0));
        let again = (identity_hash(identity.again().octets()), first);
        let mut ledger = Ledger::new(&source, [known, vec![again]].concat(), NOW, MAX);
        assert_eq!((ledger.listed(b"b", 1), ledger.listed(b"a", 1)), (Verdict::Leave, Verdict::Delete));
        assert_eq!(ledger.changes(), Changes::default());
    }

    #[test]
    fn messages_that_share_a_unique_id_are_all_collected_once() {
        let (mut source, mut known) = (source(), Vec::new());
        source.leave_on_server = true;
        assert_eq!(poll(&source, &mut known, &[("a", 1)], NOW), "C");
        assert_eq!(poll(&source, &mut known, &[("a", 1), ("a", 1), ("b", 1), ("a", 7)], NOW), ".CCC");
        assert_eq!(poll(&source, &mut known, &[("a", 1), ("a", 1), ("b", 1), ("a", 7)], NOW), "....");
        // The first is deleted by someone else: those that are left were all collected.
        assert_eq!(poll(&source, &mut known, &[("a", 1), ("b", 1)], NOW), "..");
        // Another one comes that differs in size alone.
        assert_eq!(poll(&source, &mut known, &[("a", 1), ("a", 9)], NOW), ".C");
    }

    #[test]
    fn messages_without_unique_ids_are_known_by_their_content() {
        let mut source = source();
        source.leave_on_server = true;
        let mut ledger = Ledger::new(&source, Vec::new(), NOW, MAX);
        assert_eq!(ledger.listed(b"", 5), Verdict::Read);
        let Verdict::Collect(first) = ledger.read(b"digest", 5) else { panic!() };
        let Verdict::Collect(copy) = ledger.read(b"digest", 5) else { panic!("a copy is a message too") };
        assert_ne!(first, copy);

        let known = [first, copy].map(|identity| (identity_hash(identity.octets()), collected(NOW))).to_vec();
        let mut ledger = Ledger::new(&source, known, NOW, MAX);
        ledger.listed(b"", 5);
        assert_eq!(ledger.read(b"digest", 5), Verdict::Leave);
        assert_eq!(ledger.read(b"digest", 5), Verdict::Leave);
        assert_eq!(ledger.changes(), Changes::default());
    }

    #[test]
    fn the_user_is_told_once_of_a_large_message_which_comes_when_the_limit_is_raised() {
        let (mut source, mut known) = (source(), Vec::new());
        source.max_size = 10;
        source.leave_on_server = true;
        let listing = [("small", 10), ("large", 11), ("", 12)];
        assert_eq!(poll(&source, &mut known, &listing, NOW), "CTT");
        assert_eq!(poll(&source, &mut known, &listing, NOW), "...");
        source.max_size = 11;
        assert_eq!(poll(&source, &mut known, &listing, NOW), ".C.");
    }

    #[test]
    fn a_clock_that_was_not_set_deletes_nothing() {
        let (mut source, mut known) = (source(), Vec::new());
        source.leave_on_server = true;
        source.delete_after = 100;
        assert_eq!(poll(&source, &mut known, &[("a", 1)], 40), "C");
        assert_eq!(poll(&source, &mut known, &[("a", 1)], 1000), ".");
        assert_eq!(poll(&source, &mut known, &[("a", 1)], NOW), "A", "its age counts from here");
        assert_eq!(poll(&source, &mut known, &[("a", 1)], NOW + 99), ".");
        assert_eq!(poll(&source, &mut known, &[("a", 1)], NOW + 100), "D");
    }

    #[test]
    fn one_poll_takes_on_a_bounded_number_of_new_messages() {
        let source = source();
        let mut ledger = Ledger::new(&source, Vec::new(), NOW, MAX);
        let collect = (0..NEW_LIMIT + 10)
            .filter(|n| matches!(ledger.listed(n.to_string().as_bytes(), 1), Verdict::Collect(_)))
            .count();
        assert_eq!(collect, NEW_LIMIT);
        assert!(ledger.has_more());
    }

    /// Catches: a ledger that does not go on where a provider renames its server, and one that serves two mailboxes.
    #[test]
    fn the_ledger_stays_wherever_the_server_is() {
        let of = |protocol, folder: &str| Source {
            id: 7,
            protocol,
            folders: vec![folder.try_into().unwrap()],
            port: 1,
            ..source()
        };
        let key = source_key(&of(Protocol::Pop3, "INBOX"));
        let same = [of(Protocol::Pop3, "ignored by POP3"), of(Protocol::Imap, "inbox")];
        assert!(same.iter().all(|source| source_key(source) == key));
        for other in [of(Protocol::Imap, "Sent"), Source { id: 8, ..of(Protocol::Pop3, "INBOX") }] {
            assert_ne!(source_key(&other), key);
        }
    }
}
