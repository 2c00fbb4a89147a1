//! The ledger: what was collected, and what follows from it for each message that a server lists.
//!
//! A message is known by its identity: the server's unique-id, or the SHA-256 of all its octets where there is no
//! unique-id that can be trusted. Identities live in the account's store, where a message and its identity are one
//! commit. The rules that keep mail from getting lost or doubled:
//!
//! - Two messages with the same unique-id in one listing are two messages (RFC 1939 section 7 allows
//!   identical copies to share one): the second is told from the first by its rank and its size.
//! - A message without a usable unique-id is read whole before it is judged. Anything shorter, such as
//!   its header, could be the same for two different messages, and one of them would be lost.
//! - A message that the server no longer lists is forgotten after 30 days, and only while its listings agree with
//!   each other. Otherwise a server whose storage is away for a moment, or whose listing is short once, would give
//!   everything twice afterwards.
//! - A message that comes under a new identity with the content of an earlier one is not delivered, and never deleted
//!   at the server: the server has renumbered its messages, or somebody moves them in a circle. It may be the last
//!   copy. Its new identity takes the place of earlier ones that are no longer listed: a server that renumbers in
//!   each session must not make the ledger grow.
//! - A unique-id may be used again once its message is gone (RFC 1939 section 7), and some servers count them anew in
//!   each session. So what was collected earlier is deleted there only after its beginning was compared, and so is what
//!   was gone and is back. What turns out to be another message has an identity of its own, made of the unique-id and
//!   its content.
//! - Unique-ids belong to one server. Where the source has another host than before, some messages are compared by
//!   their content. If they are not the same, the unique-ids of the new host are kept apart from those of the earlier
//!   one.

mod table;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use ring::digest::SHA256;

use self::table::{Listing, Table};
use super::content::{self, Hash};
use crate::config::Source;
use crate::store::{IdentityHash, Known, SourceKey, identity_hash};

/// New messages that one round takes on; the next round follows at once and takes the rest.
const NEW_LIMIT: usize = 5000;
/// Without a `max_size` of its own, a source's messages may have so many times `max_message_size`: a message that
/// others accept is refused only if it has no end, not for being somewhat large.
const UNASKED: u64 = 4;
/// Seconds for which a message that is no longer listed is remembered.
const REMEMBERED: i64 = 30 * 86_400;
/// A date before this (June 2025) was noted while the board's clock was not set.
pub const CLOCK_IS_SET: i64 = 1_750_000_000;

/// The key of a folder of the source in the ledger.
pub fn source_key(source: &Source, folder: &str) -> SourceKey {
    SourceKey(source.ledger(folder))
}

/// What a message is known by: a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity([u8; 16]);

impl Identity {
    /// Hashes `octets`, so that a mailbox of many messages with long unique-ids costs little memory.
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

    /// The identity of a message for all sources of an account, from its [`super::content::Content::twin`].
    pub fn twin(digest: &[u8]) -> Identity {
        Identity::new("twin", digest)
    }

    /// The identity whose content says at which server the source was polled last.
    pub fn server() -> Identity {
        Identity::new("server", b"")
    }

    /// The identity whose content keeps the unique-ids of this server apart from those of another one.
    pub fn numbering() -> Identity {
        Identity::new("numbering", b"")
    }

    /// The identity whose content says in how many polls in a row the server had renumbered its messages.
    pub fn renumbered() -> Identity {
        Identity::new("anew", b"")
    }

    /// The identity of another message that has the unique-id of an earlier one, by its content.
    pub fn reused(&self, content: u64) -> Identity {
        Identity::new("reused", &[&content.to_be_bytes()[..], &self.0].concat())
    }

    /// Stands for a message in one listing if it has no identity before it is read.
    pub fn in_place(handle: u32) -> Identity {
        Identity::new("place", &handle.to_be_bytes())
    }
}

/// What is to be done with a listed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// New: collect it under this identity.
    Collect(Identity),
    /// The message is collected or not according to its content: read it, and ask [`Ledger::read`].
    Read,
    /// Collected: delete it at the server.
    Delete,
    /// The message that had this identity was collected: compare its content, and ask [`Ledger::same`] if it is the
    /// same.
    Compare(Identity),
    /// Larger than `max_size`: it stays, the user is told, and this is noted under this identity.
    Tell(Identity),
    /// Collected while the board's clock was not set: note the date anew under this identity.
    Redate(Identity),
    /// Nothing is to be done.
    Leave,
}

/// What a poll changes in the ledger besides noting what it collects.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Identities that the server no longer lists.
    pub gone: Vec<IdentityHash>,
    /// Identities that the server lists again.
    pub back: Vec<IdentityHash>,
    /// Identities that the server has not listed for so long that they are forgotten.
    pub forgotten: Vec<IdentityHash>,
}

/// The ledger of one folder during one poll, round by round.
pub struct Ledger {
    leave_on_server: bool,
    delete_after: i64,
    max_size: u64,
    /// Whether a larger message is deleted at the server once the user was told.
    deletes_large: bool,
    /// Octets that a message may have, whatever its listing says.
    limit: u64,
    now: i64,
    /// What is known, and what of it this round has met.
    table: Table,
    /// The server that is polled, as a hash.
    server: u64,
    server_before: Option<u64>,
    /// Keeps the unique-ids of this server apart from those of another one; 0 if they are not changed.
    numbering: u64,
    /// Polls in a row, before this one, in which the server had renumbered its messages.
    anew_before: u64,
    new: HashSet<Identity>,
    /// How often an identity came that had been listed already in this round.
    repeated: HashMap<Identity, u32>,
    /// New messages that this round does not take on.
    left: u64,
}

impl Ledger {
    /// A ledger with what `known` says of `source`, see [`crate::store::Account::ledger_of`]. A source without a
    /// `max_size` of its own has the limit that follows from `max_message_size`.
    pub fn new(
        source: &Source,
        known: Vec<(IdentityHash, Known)>,
        now: i64,
        max_message_size: u64,
    ) -> Ledger {
        let mut ledger = Ledger {
            leave_on_server: source.leave_on_server,
            delete_after: source.delete_after.into(),
            max_size: source.max_size,
            deletes_large: source.deletes_large(),
            limit: match source.max_size {
                0 => max_message_size.saturating_mul(UNASKED),
                max_size => max_size,
            },
            now,
            table: Table::new(known),
            server: content::short_hash(
                format!("{:?} {}", source.protocol, source.host.to_ascii_lowercase()).as_bytes(),
            ),
            server_before: None,
            numbering: 0,
            anew_before: 0,
            new: HashSet::new(),
            repeated: HashMap::new(),
            left: 0,
        };
        ledger.begin();
        ledger
    }

    /// Reads the entries about the source's server, and marks them as met: they are not messages that could be
    /// listed.
    fn begin(&mut self) {
        let mut noted = |identity: Identity| {
            let (known, met) = self.table.entry(&hashed(&identity))?;
            *met = Listing::Listed;
            Some(known.content)
        };
        self.server_before = noted(Identity::server());
        self.numbering = noted(Identity::numbering()).unwrap_or(0);
        self.anew_before = noted(Identity::renumbered()).unwrap_or(0);
        self.new.clear();
        self.repeated.clear();
        self.left = 0;
    }

    /// Notes something under this identity: when it was collected, and its content where that is known. It counts
    /// from the next round on.
    pub fn note(&mut self, identity: &Identity, date: i64, content: Option<u64>) {
        self.table.note(hashed(identity), date, content.unwrap_or(0));
    }

    /// Begins the next round: what was noted is durable, and is known from now on.
    pub fn begin_next_round(&mut self, now: i64) {
        self.now = now;
        self.table.begin_next_round();
        self.begin();
    }

    /// Replaces everything that is known, after another task has changed it.
    pub fn read_anew(&mut self, known: Vec<(IdentityHash, Known)>) {
        self.table = Table::new(known);
        self.begin();
    }

    /// All that is known, in order of the identities.
    pub fn known(&self) -> &[(IdentityHash, Known)] {
        self.table.known()
    }

    /// Whether the source was polled at another server before. Until it is known whether this server has the same
    /// mailbox, nothing that it lists may count as collected.
    pub fn is_elsewhere(&self) -> bool {
        self.server_before.is_some_and(|before| before != self.server)
    }

    /// Takes in whether the mailbox is the same one. Returns what is to be noted, with which content.
    pub fn arrive(&mut self, is_same: bool) -> Vec<(Identity, u64)> {
        let mut notes = Vec::new();
        if self.server_before != Some(self.server) {
            notes.push((Identity::server(), self.server));
        }
        if !is_same {
            self.numbering = self.server;
            notes.push((Identity::numbering(), self.numbering));
        }
        self.server_before = Some(self.server);
        notes
    }

    /// The content hash of the message with this unique-id, if it was collected; 0 where the hash is not known.
    pub fn content_of(&mut self, unique_id: &[u8]) -> Option<u64> {
        let identity = self.unique(unique_id);
        self.entry(&identity).map(|(known, _)| known.content)
    }

    /// Judges a message by its size and by the unique-id that the server lists; the unique-id is empty if there is
    /// none.
    pub fn listed(&mut self, unique_id: &[u8], size: u64) -> Verdict {
        let identity = match unique_id {
            [] => None,
            unique_id => self.distinct("uidl", &self.numbered(unique_id), size),
        };
        match identity {
            Some(identity) if self.is_doubtful(&identity) => Verdict::Compare(identity),
            Some(identity) => self.judge(identity, size),
            None if self.is_too_large(size) => match self.sized(size) {
                Some(identity) => self.tell(&identity),
                None => Verdict::Leave,
            },
            None => Verdict::Read,
        }
    }

    /// Judges a collected message of `identity`, whose content is the same as before.
    pub fn same(&mut self, identity: Identity) -> Verdict {
        match self.look(&identity) {
            Some(collected) => self.judge_known(identity, collected),
            None => Verdict::Leave,
        }
    }

    /// Whether the message of `identity` would be deleted at the server, or is back after it was gone, and can be told
    /// from another one.
    fn is_doubtful(&mut self, identity: &Identity) -> bool {
        let Some((known, _)) = self.entry(identity) else { return false };
        let (date, has_content, was_gone) = (known.date.get(), known.content != 0, known.unlisted != 0);
        has_content && (was_gone || self.judge_known(*identity, date) == Verdict::Delete)
    }

    /// Whether this is the content of the message that was collected under `identity`, or of another collected one.
    pub fn is_known_as(&mut self, identity: &Identity, hash: Hash) -> bool {
        self.entry(identity).is_some_and(|(known, _)| known.content == hash.content)
            || self.entry(&identity.reused(hash.content)).is_some()
            || hash.is_told_apart && self.has_content(hash.content)
    }

    /// Whether the message with this unique-id was collected.
    pub fn knows(&mut self, unique_id: &[u8]) -> bool {
        self.content_of(unique_id).is_some()
    }

    /// Judges a message by the SHA-256 of all its octets.
    pub fn read(&mut self, digest: &[u8], size: u64) -> Verdict {
        let Some(identity) = self.distinct("content", digest, size) else { return Verdict::Leave };
        // It was gone from the server, where it was to be deleted: this is another one of the same octets, such as an
        // alarm without a date.
        let was_gone = self.entry(&identity).is_some_and(|(known, _)| known.unlisted != 0);
        match was_gone && !self.leave_on_server {
            true => Verdict::Collect(identity),
            false => self.judge(identity, 0),
        }
    }

    /// Judges a message of `identity` that turned out larger than its listing said.
    pub fn tell(&mut self, identity: &Identity) -> Verdict {
        let told = identity.told();
        if self.look(&told).is_some() { Verdict::Leave } else { Verdict::Tell(told) }
    }

    /// A message of `identity` cannot be had. Returns the identity under which to note that the user was told, or
    /// `None` if that is noted already.
    pub fn stuck(&mut self, identity: &Identity) -> Option<Identity> {
        let stuck = identity.stuck();
        if self.look(&stuck).is_some() { None } else { Some(stuck) }
    }

    /// The identity which notes that the message of `identity` turned out larger than the limit. The message is not
    /// read again with the same limit.
    pub fn larger(&self, identity: &Identity) -> Identity {
        identity.larger_than(self.limit)
    }

    /// The identity of a message that is larger than the limit, by the SHA-256 of its octets up to there. It is good
    /// for telling the user once, and for nothing else: another message may begin alike.
    pub fn beginning(&mut self, digest: &[u8]) -> Option<Identity> {
        self.distinct("beginning", digest, self.limit)
    }

    /// The identity of a message of which only the size is known. It is good for telling the user once, and for
    /// nothing else.
    pub fn sized(&mut self, size: u64) -> Option<Identity> {
        self.distinct("size", &size.to_be_bytes(), size)
    }

    /// Whether messages above `max_size` are deleted at the server once the user was told.
    pub fn deletes_large(&self) -> bool {
        self.deletes_large
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

    /// Whether there are new messages that this round does not take on.
    pub fn has_more(&self) -> bool {
        self.left > 0
    }

    /// How many new messages this round does not take on.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Whether collected messages stay at the server.
    pub fn leaves_on_server(&self) -> bool {
        self.leave_on_server
    }

    /// Whether a message of this content was collected before this round. Two messages in one listing are two.
    pub fn has_content(&self, content: u64) -> bool {
        self.table.has_content(content)
    }

    /// A message of this content is listed under a new identity, which takes the place of identities that are no
    /// longer listed. Returns those identities.
    pub fn replace(&mut self, content: u64) -> Vec<IdentityHash> {
        self.table.replace(content)
    }

    /// A message of this content is listed under a new identity, which is not to take the place of others. Returns
    /// whether there are identities of this content that are no longer listed.
    pub fn meet(&mut self, content: u64) -> bool {
        self.table.meet(content)
    }

    /// In how many polls in a row the server had renumbered its messages: with this poll, and without it.
    pub fn renumbered(&self) -> (u64, u64) {
        let now = if self.is_anew() { self.anew_before.saturating_add(1) } else { 0 };
        (now, self.anew_before)
    }

    /// Whether the beginnings of new messages are to be compared before they are read whole.
    pub fn is_renumbered(&self) -> bool {
        self.leave_on_server && self.is_anew()
    }

    /// Whether the server seems to have renumbered its messages: at least half of those that were there are gone, and
    /// there are as many new ones.
    fn is_anew(&self) -> bool {
        let there = self.table.all().filter(|(_, known, _)| { known.unlisted } == 0);
        let gone = there.clone().filter(|(.., met)| *met == Listing::No).count();
        let stayed = there.count();
        gone > 0 && gone * 2 >= stayed && self.new.len() >= gone
    }

    /// What is to be noted once everything is listed and judged.
    pub fn changes(&self) -> Changes {
        let mut changes = Changes::default();
        if self.now < CLOCK_IS_SET {
            return changes;
        }
        for (identity, known, met) in self.table.all() {
            match (met, i64::from(known.unlisted)) {
                (Listing::Listed, 0) | (Listing::Replaced, _) => {}
                (Listing::Listed, _) => changes.back.push(*identity),
                (Listing::No, 0) => changes.gone.push(*identity),
                (Listing::No, since) if self.now - since >= REMEMBERED => changes.forgotten.push(*identity),
                (Listing::No, _) => {}
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
        if !self.new.contains(&identity) {
            self.left += 1;
            return Verdict::Leave;
        }
        self.look(&identity.stuck());
        if self.is_too_large(size) {
            self.new.remove(&identity);
            return match self.tell(&identity) {
                Verdict::Leave if self.deletes_large => Verdict::Delete,
                verdict => verdict,
            };
        }
        if self.look(&identity.larger_than(self.limit)).is_some() {
            self.new.remove(&identity);
            let told = self.look(&identity.told());
            return if self.deletes_large && told.is_some() { Verdict::Delete } else { Verdict::Leave };
        }
        Verdict::Collect(identity)
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

    /// The octets by which a unique-id is hashed.
    fn numbered<'u>(&self, unique_id: &'u [u8]) -> Cow<'u, [u8]> {
        match self.numbering {
            0 => Cow::Borrowed(unique_id),
            numbering => Cow::Owned([&numbering.to_be_bytes()[..], b" ", unique_id].concat()),
        }
    }

    /// Whether nothing is known of this identity. From now on it is not new.
    pub fn is_new(&mut self, identity: &Identity) -> bool {
        self.entry(identity).is_none()
            && self.entry(&identity.again()).is_none()
            && self.new.insert(*identity)
    }

    /// The identity of the message with this unique-id.
    pub fn unique(&self, unique_id: &[u8]) -> Identity {
        Identity::new("uidl", &self.numbered(unique_id))
    }

    /// The identity of these octets, told from all others of this round. `None` when too many are alike.
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

    /// Notes that the server lists `identity`. False if it was listed before in this round.
    fn list(&mut self, identity: &Identity) -> bool {
        // An identity of a message that came before under another one must not take the place of a new one.
        for known in [*identity, identity.again()] {
            if let Some((_, met)) = self.entry(&known) {
                return std::mem::replace(met, Listing::Listed) != Listing::Listed;
            }
        }
        // Beyond the limit nothing is collected in this round, so the identity need not be remembered.
        if self.new.len() >= NEW_LIMIT { !self.new.contains(identity) } else { self.new.insert(*identity) }
    }

    /// Notes that `identity` is listed. Returns when it was collected.
    fn look(&mut self, identity: &Identity) -> Option<i64> {
        let (known, met) = self.entry(identity)?;
        *met = Listing::Listed;
        Some(known.date.get())
    }

    fn entry(&mut self, identity: &Identity) -> Option<(&Known, &mut Listing)> {
        self.table.entry(&hashed(identity))
    }
}

/// The hash by which the store knows an identity.
fn hashed(identity: &Identity) -> IdentityHash {
    identity_hash(identity.octets())
}

/// How many times this thread has read a ledger.
#[cfg(test)]
pub fn tables_made() -> u32 {
    table::MADE.get()
}

#[cfg(test)]
mod tests;
