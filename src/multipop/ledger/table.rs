//! What is known of a source's identities while a poll lasts. It is read from the store once, for of 100,000 messages that
//! is 3.3 MB; what the rounds of the poll note is added here as well.

use crate::store::{IdentityHash, Known};

/// Whether this round has met an identity that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// It is not listed so far.
    No,
    Listed,
    /// It is not listed, and another identity has taken its place.
    Replaced,
}

/// Bits of a content that name its shelf.
const SHELF: u32 = 12;

/// Which of many have a content, on shelves by its first bits: that is made in two passes, and the few on a shelf need no order.
#[derive(Debug, Default)]
struct Contents {
    places: Vec<u32>,
    /// Where each shelf begins, and the last one ends.
    shelves: Vec<u32>,
}

impl Contents {
    /// Of these, where 0 is none.
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

    /// Those that share a shelf with `content`.
    fn near(&self, content: u64) -> &[u32] {
        let begins = |shelf: usize| self.shelves.get(shelf).map_or(0, |begins| *begins as usize);
        let shelf = Contents::shelf(content);
        self.places.get(begins(shelf)..begins(shelf + 1)).unwrap_or_default()
    }
}

/// Identities that are known, and what this round has met of them.
#[derive(Debug)]
pub struct Table {
    /// In ascending order.
    known: Vec<(IdentityHash, Known)>,
    met: Vec<Met>,
    /// Where in `known` those are that have a content.
    contents: Contents,
    /// What this round has noted: nothing of it is known before the next one.
    noted: Vec<(IdentityHash, Known)>,
}

impl Table {
    /// What `known` says, in any order.
    pub fn new(mut known: Vec<(IdentityHash, Known)>) -> Table {
        #[cfg(test)]
        MADE.set(MADE.get() + 1);
        // As it comes from the store it is in order.
        known.sort_unstable_by_key(|(identity, _)| *identity);
        let mut table = Table { known, met: Vec::new(), contents: Contents::default(), noted: Vec::new() };
        table.begin();
        table
    }

    /// A round begins: it has met nothing.
    fn begin(&mut self) {
        self.met.clear();
        self.met.resize(self.known.len(), Met::No);
        self.contents = Contents::default();
        self.contents = Contents::of(self.known.iter().map(|(_, known)| known.content));
    }

    /// All that is known, in order.
    pub fn known(&self) -> &[(IdentityHash, Known)] {
        &self.known
    }

    /// All that is known, and whether this round has met it.
    pub fn all(&self) -> impl Iterator<Item = (&IdentityHash, &Known, Met)> + Clone {
        self.known.iter().zip(&self.met).map(|((identity, known), met)| (identity, known, *met))
    }

    /// What is known of `identity`, and whether this round has met it.
    pub fn entry(&mut self, identity: &IdentityHash) -> Option<(&Known, &mut Met)> {
        let at = self.known.binary_search_by(|(known, _)| known.cmp(identity)).ok()?;
        Some((&self.known.get(at)?.1, self.met.get_mut(at)?))
    }

    /// Whether one of this content is known.
    pub fn has_content(&self, content: u64) -> bool {
        content != 0 && self.of_content(content).next().is_some()
    }

    fn of_content(&self, content: u64) -> impl Iterator<Item = usize> {
        let places = self.contents.near(content).iter().map(|at| *at as usize);
        places.filter(move |at| self.known.get(*at).is_some_and(|(_, known)| known.content == content))
    }

    /// Those of this content that are listed no longer: another identity takes their place, and the next round does not know them.
    pub fn replace(&mut self, content: u64) -> Vec<IdentityHash> {
        let mut replaced = Vec::new();
        for at in self.of_content(content).collect::<Vec<_>>() {
            if let (Some((identity, _)), Some(met @ Met::No)) = (self.known.get(at), self.met.get_mut(at)) {
                *met = Met::Replaced;
                replaced.push(*identity);
            }
        }
        replaced
    }

    /// Those of this content that are not listed are there under another identity: whether there are any.
    pub fn meet(&mut self, content: u64) -> bool {
        let mut any = false;
        for at in self.of_content(content).collect::<Vec<_>>() {
            if let Some(met @ Met::No) = self.met.get_mut(at) {
                *met = Met::Listed;
                any = true;
            }
        }
        any
    }

    /// Something is noted of an identity, with the commit that is under way: when it was collected, and its content, 0 where that
    /// stays what it was.
    pub fn note(&mut self, identity: IdentityHash, date: i64, content: u64) {
        self.noted.push((identity, Known { date: date.into(), content, unlisted: 0 }));
    }

    /// The next round begins, and everything that was noted is durable.
    pub fn go_on(&mut self) {
        let mut met = self.met.iter();
        self.known.retain(|_| met.next() != Some(&Met::Replaced));
        let mut noted = std::mem::take(&mut self.noted);
        noted.sort_by_key(|(identity, _)| *identity);
        // The last word counts, but for a content that it does not tell.
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

    /// Brings new ones to their places, the last one first: no second list of all of them is needed.
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

/// As the store does it.
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
    /// How many tables were made.
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

    /// Catches: an identity that is lost, doubled or out of order from one round to the next; a content that is forgotten since a
    /// note does not tell it; one that another has replaced and that is known all the same; what is found by content elsewhere.
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
                    // What is replaced and comes again in the same round is of no server.
                    if table.entry(&identity).is_some_and(|(_, met)| *met == Met::Replaced) {
                        continue;
                    }
                    if let Some((_, met)) = table.entry(&identity) {
                        *met = Met::Listed;
                    }
                    table.note(identity, date as i64, content);
                    let before = store.get(&identity).map_or(0, |known| known.content);
                    let content = if content == 0 { before } else { content };
                    store.insert(identity, Known { date: (date as i64).into(), content, unlisted: 0 });
                }
                table.go_on();
                let expected: Vec<_> = store.clone().into_iter().collect();
                assert_eq!(table.known(), expected, "seed {seed}, round {round}");
                assert!(table.all().all(|(.., met)| met == Met::No));
                for content in 0..10 {
                    let has = content != 0 && store.values().any(|known| known.content == content);
                    assert_eq!(table.has_content(content), has);
                }
            }
        }
    }
}
