//! What is known of a source's identities during a poll. It is read from the store once: for 100,000 messages that is
//! 3.3 MB. What the rounds of the poll note is added here as well.

use crate::store::{IdentityHash, Known};

/// Whether this round has met a known identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Not listed so far.
    No,
    Listed,
    /// Not listed, and another identity has taken its place.
    Replaced,
}

/// The number of leading bits of a content hash that choose its shelf.
const SHELF: u32 = 12;

/// Finds the entries with a given content hash. Entries lie on shelves by the first bits of the hash: the shelves are
/// filled in two passes, and the few entries of a shelf need no order.
#[derive(Debug, Default)]
struct Contents {
    places: Vec<u32>,
    /// Where each shelf begins in `places`, and at the end where the last one ends.
    shelves: Vec<u32>,
}

impl Contents {
    /// Shelves for these content hashes; 0 stands for none.
    fn of(contents: impl Iterator<Item = u64> + Clone) -> Contents {
        let mut shelves = vec![0u32; (1 << SHELF) + 1];
        let known = contents.enumerate().filter(|(_, content)| *content != 0);
        for (_, content) in known.clone() {
            if let Some(count) = shelves.get_mut(Contents::shelf(content) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for count in &mut shelves {
            sum += *count;
            *count = sum;
        }
        let mut places = vec![0; sum as usize];
        let mut next = shelves.clone();
        for (at, content) in known {
            let Some(next) = next.get_mut(Contents::shelf(content)) else { continue };
            if let Some(place) = places.get_mut(*next as usize) {
                *place = u32::try_from(at).unwrap_or(u32::MAX);
            }
            *next += 1;
        }
        Contents { places, shelves }
    }

    fn shelf(content: u64) -> usize {
        (content >> (64 - SHELF)) as usize
    }

    /// The entries on the same shelf as `content`.
    fn near(&self, content: u64) -> &[u32] {
        let begins = |shelf: usize| self.shelves.get(shelf).map_or(0, |begins| *begins as usize);
        let shelf = Contents::shelf(content);
        self.places.get(begins(shelf)..begins(shelf + 1)).unwrap_or_default()
    }
}

/// The known identities, and which of them this round has met.
#[derive(Debug)]
pub struct Table {
    /// In ascending order of the identities.
    known: Vec<(IdentityHash, Known)>,
    met: Vec<Listing>,
    /// Where in `known` the entries with a content hash are.
    contents: Contents,
    /// What this round has noted. It counts from the next round on.
    noted: Vec<(IdentityHash, Known)>,
}

impl Table {
    /// A table of what is `known`, in any order.
    pub fn new(mut known: Vec<(IdentityHash, Known)>) -> Table {
        #[cfg(test)]
        MADE.set(MADE.get() + 1);
        // The store gives it in order, so this costs little.
        known.sort_unstable_by_key(|(identity, _)| *identity);
        let mut table = Table { known, met: Vec::new(), contents: Contents::default(), noted: Vec::new() };
        table.begin();
        table
    }

    /// Begins a round, in which nothing was met yet.
    fn begin(&mut self) {
        self.met.clear();
        self.met.resize(self.known.len(), Listing::No);
        self.contents = Contents::default();
        self.contents = Contents::of(self.known.iter().map(|(_, known)| known.content));
    }

    /// All that is known, in order of the identities.
    pub fn known(&self) -> &[(IdentityHash, Known)] {
        &self.known
    }

    /// All that is known, each with whether this round has met it.
    pub fn all(&self) -> impl Iterator<Item = (&IdentityHash, &Known, Listing)> + Clone {
        self.known.iter().zip(&self.met).map(|((identity, known), met)| (identity, known, *met))
    }

    /// What is known of `identity`, and whether this round has met it.
    pub fn entry(&mut self, identity: &IdentityHash) -> Option<(&Known, &mut Listing)> {
        let at = self.known.binary_search_by(|(known, _)| known.cmp(identity)).ok()?;
        Some((&self.known.get(at)?.1, self.met.get_mut(at)?))
    }

    /// Whether an identity with this content hash is known.
    pub fn has_content(&self, content: u64) -> bool {
        content != 0 && self.of_content(content).next().is_some()
    }

    fn of_content(&self, content: u64) -> impl Iterator<Item = usize> {
        let places = self.contents.near(content).iter().map(|at| *at as usize);
        places.filter(move |at| self.known.get(*at).is_some_and(|(_, known)| known.content == content))
    }

    /// Marks the identities of this content that are not listed as replaced: the next round does not know them.
    /// Returns them.
    pub fn replace(&mut self, content: u64) -> Vec<IdentityHash> {
        let mut replaced = Vec::new();
        for at in self.of_content(content).collect::<Vec<_>>() {
            if let (Some((identity, _)), Some(met @ Listing::No)) = (self.known.get(at), self.met.get_mut(at))
            {
                *met = Listing::Replaced;
                replaced.push(*identity);
            }
        }
        replaced
    }

    /// Marks the identities of this content that are not listed as listed, since they are there under another
    /// identity. Returns whether there were any.
    pub fn meet(&mut self, content: u64) -> bool {
        let mut any = false;
        for at in self.of_content(content).collect::<Vec<_>>() {
            if let Some(met @ Listing::No) = self.met.get_mut(at) {
                *met = Listing::Listed;
                any = true;
            }
        }
        any
    }

    /// Notes an identity with the commit that is under way: when it was collected, and its content hash. With 0 the
    /// content stays what it was.
    pub fn note(&mut self, identity: IdentityHash, date: i64, content: u64) {
        self.noted.push((identity, Known { date: date.into(), content, unlisted: 0 }));
    }

    /// Begins the next round, once everything that was noted is durable.
    pub fn begin_next_round(&mut self) {
        let mut met = self.met.iter();
        self.known.retain(|_| met.next() != Some(&Listing::Replaced));
        let mut noted = std::mem::take(&mut self.noted);
        noted.sort_by_key(|(identity, _)| *identity);
        // The last note of an identity counts, but a content of 0 does not replace an earlier one.
        noted.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1.renew(later.1);
            }
            same
        });
        noted.retain(|(identity, noted)| {
            let at = self.known.binary_search_by(|(known, _)| known.cmp(identity));
            let known = at.ok().and_then(|at| self.known.get_mut(at));
            let is_new = known.is_none();
            if let Some((_, known)) = known {
                known.renew(*noted);
            }
            is_new
        });
        self.merge(&noted);
        self.begin();
    }

    /// Moves new entries to their places, beginning with the last one, so that no second list of all entries is
    /// needed.
    #[expect(
        clippy::indexing_slicing,
        reason = "`place` counts down from the length by one for each entry that is put, old or new"
    )]
    fn merge(&mut self, new: &[(IdentityHash, Known)]) {
        let mut rest = self.known.len();
        self.known.reserve_exact(new.len());
        self.known.extend_from_slice(new);
        let mut place = self.known.len();
        for entry in new.iter().rev() {
            while rest > 0
                && let Some(known) = self.known.get(rest - 1).copied()
                && known.0 > entry.0
            {
                (rest, place) = (rest - 1, place - 1);
                self.known[place] = known;
            }
            place -= 1;
            self.known[place] = *entry;
        }
    }
}

/// Does what the store does with a later entry.
trait Renew {
    fn renew(&mut self, later: Known);
}

impl Renew for Known {
    fn renew(&mut self, later: Known) {
        let content = if later.content == 0 { self.content } else { later.content };
        *self = Known { content, ..later };
    }
}

#[cfg(test)]
thread_local! {
    /// How many tables this thread has made.
    pub static MADE: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::flash::sim::Choices;

    fn known(date: u64, content: u64) -> Known {
        Known { date: (date as i64).into(), content, unlisted: (date % 2) as u32 }
    }

    /// Catches: an identity that is lost, doubled or out of order from one round to the next; a content that is
    /// forgotten since a later note leaves it out; an identity that was replaced and is still known; a content that
    /// is found at another identity.
    #[test]
    fn the_next_round_knows_what_the_store_does() {
        for seed in 1..=40 {
            let mut choices = Choices::new(seed);
            let identity = |choices: &mut Choices| [choices.below(200) as u8; 16];
            let mut store: BTreeMap<IdentityHash, Known> = BTreeMap::new();
            for date in 0..choices.below(150) as u64 {
                store.insert(identity(&mut choices), known(date, choices.below(9) as u64));
            }
            let mut table = Table::new(store.clone().into_iter().collect());
            for round in 0..5 {
                for date in 0..choices.below(120) as u64 {
                    let (identity, content) = (identity(&mut choices), choices.below(9) as u64);
                    if choices.chance(10) {
                        for replaced in table.replace(content) {
                            store.remove(&replaced);
                        }
                        continue;
                    }
                    // No server lists an identity again that was replaced in the same round.
                    if table.entry(&identity).is_some_and(|(_, met)| *met == Listing::Replaced) {
                        continue;
                    }
                    if let Some((_, met)) = table.entry(&identity) {
                        *met = Listing::Listed;
                    }
                    table.note(identity, date as i64, content);
                    let before = store.get(&identity).map_or(0, |known| known.content);
                    let content = if content == 0 { before } else { content };
                    store.insert(identity, Known { date: (date as i64).into(), content, unlisted: 0 });
                }
                table.begin_next_round();
                let expected: Vec<_> = store.clone().into_iter().collect();
                assert_eq!(table.known(), expected, "seed {seed}, round {round}");
                assert!(table.all().all(|(.., met)| met == Listing::No));
                for content in 0..10 {
                    let has = content != 0 && store.values().any(|known| known.content == content);
                    assert_eq!(table.has_content(content), has);
                }
            }
        }
    }
}
