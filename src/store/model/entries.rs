//! The entries of an account's ledger, in little memory: a provider's mailbox of 100,000 messages that stay there has
//! as many entries, and a tree of the standard library takes twice the octets that the entries have.
//!
//! The entries of each source are kept in pages, in order. A page is so short that an entry can be inserted by moving
//! the others.

use std::collections::BTreeMap;

use super::Known;
use crate::store::format::{IdentityHash, SourceKey};

/// Entries of a page at most.
const PAGE: usize = 128;
/// Entries by which a page grows.
const STEP: usize = 16;

type Entry = (IdentityHash, Known);

/// The entries of all sources.
#[derive(Debug, Default, Clone)]
pub struct Entries {
    sources: BTreeMap<SourceKey, Pages>,
    len: usize,
}

/// The entries of one source. No page is empty, and the entries of one page come before those of the next.
#[derive(Debug, Default, Clone)]
struct Pages {
    pages: Vec<Vec<Entry>>,
    len: usize,
}

impl Entries {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The number of entries of a source.
    pub fn len_of(&self, source: SourceKey) -> usize {
        self.sources.get(&source).map_or(0, |pages| pages.len)
    }

    /// What is known of an identity; `None` when it has no entry.
    pub fn get(&self, source: SourceKey, identity: &IdentityHash) -> Option<&Known> {
        let pages = &self.sources.get(&source)?.pages;
        let page = pages.get(page_of(pages, identity))?;
        Some(&page.get(place_in(page, identity).ok()?)?.1)
    }

    /// What is known of an identity, to be changed; `None` when it has no entry.
    pub fn get_mut(&mut self, source: SourceKey, identity: &IdentityHash) -> Option<&mut Known> {
        let pages = &mut self.sources.get_mut(&source)?.pages;
        let at = page_of(pages, identity);
        let page = pages.get_mut(at)?;
        let place = place_in(page, identity).ok()?;
        Some(&mut page.get_mut(place)?.1)
    }

    /// Whether an identity has an entry.
    pub fn contains(&self, source: SourceKey, identity: &IdentityHash) -> bool {
        self.get(source, identity).is_some()
    }

    /// Sets what is known of an identity. Returns whether the entry is new.
    pub fn insert(&mut self, source: SourceKey, identity: IdentityHash, known: Known) -> bool {
        let is_new = self.sources.entry(source).or_default().insert(identity, known);
        self.len += usize::from(is_new);
        is_new
    }

    /// Removes an identity. Returns whether it had an entry.
    pub fn remove(&mut self, source: SourceKey, identity: &IdentityHash) -> bool {
        let Some(pages) = self.sources.get_mut(&source) else { return false };
        let was_there = pages.remove(identity);
        if pages.len == 0 {
            self.sources.remove(&source);
        }
        self.len -= usize::from(was_there);
        was_there
    }

    /// The entries of a source, in order.
    pub fn of(&self, source: SourceKey) -> impl Iterator<Item = &Entry> {
        self.sources.get(&source).into_iter().flat_map(|pages| pages.pages.iter().flatten())
    }

    /// The entries after `last`, in the order of sources and identities; all entries when `last` is `None`.
    pub fn behind(
        &self,
        last: Option<(SourceKey, IdentityHash)>,
    ) -> impl Iterator<Item = (SourceKey, &Entry)> {
        let (source, identity) = last.unwrap_or((SourceKey(0), IdentityHash::default()));
        self.sources.range(source..).flat_map(move |(key, pages)| {
            // All entries of the later sources, and those after `identity` of the source of `last`.
            let last = last.filter(|_| *key == source).map(|_| identity);
            let first = last.map_or(0, |last| page_of(&pages.pages, &last));
            let rest = pages.pages.get(first..).unwrap_or_default().iter().flatten();
            rest.filter(move |(identity, _)| last.is_none_or(|last| *identity > last))
                .map(move |entry| (*key, entry))
        })
    }
}

/// Compares the entries; how they are divided into pages does not matter.
impl PartialEq for Entries {
    fn eq(&self, other: &Entries) -> bool {
        self.len == other.len && self.behind(None).eq(other.behind(None))
    }
}

impl Pages {
    fn insert(&mut self, identity: IdentityHash, known: Known) -> bool {
        if self.pages.is_empty() {
            self.pages.push(Vec::new());
        }
        let at = page_of(&self.pages, &identity);
        let Some(page) = self.pages.get_mut(at) else { return false };
        match place_in(page, &identity) {
            Ok(place) => {
                if let Some(entry) = page.get_mut(place) {
                    entry.1 = known;
                }
                return false;
            }
            Err(place) => {
                if page.len() == page.capacity() {
                    page.reserve_exact(STEP);
                }
                page.insert(place, (identity, known));
            }
        }
        self.len += 1;
        if page.len() >= PAGE {
            self.split(at, PAGE / 2);
        }
        true
    }

    /// Moves the entries of page `at` from `place` on to a page of their own.
    fn split(&mut self, at: usize, place: usize) {
        let Some(page) = self.pages.get_mut(at) else { return };
        let rest = page.split_off(place);
        page.shrink_to_fit();
        if self.pages.len() == self.pages.capacity() {
            self.pages.reserve_exact(self.pages.len() / 8 + 4);
        }
        self.pages.insert(at + 1, rest);
    }

    fn remove(&mut self, identity: &IdentityHash) -> bool {
        let at = page_of(&self.pages, identity);
        let Some(page) = self.pages.get_mut(at) else { return false };
        let Ok(place) = place_in(page, identity) else { return false };
        page.remove(place);
        self.len -= 1;
        if page.is_empty() {
            self.pages.remove(at);
        } else if page.len() <= PAGE / 4 {
            page.shrink_to(page.len() + STEP);
            self.join(at);
        }
        true
    }

    /// Joins page `at` with the next when both together fill at most half a page.
    fn join(&mut self, at: usize) {
        let len = |at: usize| self.pages.get(at).map(Vec::len);
        if len(at).zip(len(at + 1)).is_some_and(|(few, next)| few + next <= PAGE / 2) {
            let mut next = self.pages.remove(at + 1);
            if let Some(page) = self.pages.get_mut(at) {
                page.reserve_exact(next.len());
                page.append(&mut next);
            }
        }
    }
}

/// The index of the page that has an identity, or would have it.
fn page_of(pages: &[Vec<Entry>], identity: &IdentityHash) -> usize {
    let begins_before = |page: &Vec<Entry>| page.first().is_none_or(|(first, _)| first <= identity);
    pages.partition_point(begins_before).saturating_sub(1)
}

fn place_in(page: &[Entry], identity: &IdentityHash) -> Result<usize, usize> {
    page.binary_search_by(|(known, _)| known.cmp(identity))
}

#[cfg(test)]
mod tests {
    use std::ops::Bound::{Excluded, Unbounded};

    use super::*;
    use crate::flash::sim::Choices;
    use crate::store::format::UnixTime;

    fn known(content: u64) -> Known {
        Known { date: UnixTime::from(1), content, unlisted: 0 }
    }

    /// Identities so few that the same ones occur again, spread like hashes or in order.
    fn identity(choices: &mut Choices, in_order: bool, n: u64) -> IdentityHash {
        let n = if in_order { n } else { choices.below(3000) as u64 };
        let first = if in_order { n.to_be_bytes() } else { Choices::new(n + 1).next().to_be_bytes() };
        let mut identity = [0; 16];
        identity[..8].copy_from_slice(&first);
        identity
    }

    /// Catches: an entry that is lost, doubled or out of order when a page is split, joined or emptied; an entry that
    /// is given to another source; a place to continue from that lies between two pages.
    #[test]
    fn they_are_what_a_map_holds() {
        for seed in 1..=12 {
            let mut choices = Choices::new(seed);
            let (mut entries, mut map) = (Entries::default(), BTreeMap::new());
            for n in 0..6000_u64 {
                let source = SourceKey(choices.below(2) as u64 * 5);
                let identity = identity(&mut choices, seed % 3 == 0, n / 2);
                // The entries first become more, then fewer.
                let more = if n < 3000 { 80 } else { 25 };
                if choices.chance(more) {
                    let is_new = map.insert((source, identity), known(n)).is_none();
                    assert_eq!(entries.insert(source, identity, known(n)), is_new);
                } else {
                    let gone = map.keys().nth(choices.below(map.len().max(1))).copied();
                    let (source, identity) =
                        gone.filter(|_| choices.chance(80)).unwrap_or((source, identity));
                    assert_eq!(entries.remove(source, &identity), map.remove(&(source, identity)).is_some());
                }
                assert_eq!(entries.get(source, &identity), map.get(&(source, identity)));
                assert_eq!(entries.len(), map.len());
                if n % 500 == 0 {
                    same(&entries, &map);
                }
            }
            same(&entries, &map);
            for (source, identity) in map.keys() {
                assert!(entries.remove(*source, identity));
            }
            assert_eq!((entries.len(), entries.behind(None).count(), &entries), (0, 0, &Entries::default()));
        }
    }

    fn same(entries: &Entries, map: &BTreeMap<(SourceKey, IdentityHash), Known>) {
        let flat = |(source, entry): (SourceKey, &Entry)| ((source, entry.0), entry.1);
        assert!(entries.behind(None).map(flat).eq(map.iter().map(|(key, known)| (*key, *known))));
        for from in map.keys().step_by(97).copied().chain([(SourceKey(3), [9; 16]), (SourceKey(9), [0; 16])])
        {
            let rest = map.range((Excluded(from), Unbounded)).map(|(key, known)| (*key, *known));
            assert!(entries.behind(Some(from)).map(flat).eq(rest), "behind {from:?}");
        }
        for source in [SourceKey(0), SourceKey(5), SourceKey(7)] {
            let own = map.iter().filter(|((of, _), _)| *of == source);
            assert!(entries.of(source).copied().eq(own.map(|((_, identity), known)| (*identity, *known))));
            assert_eq!(entries.len_of(source), entries.of(source).count());
        }
    }

    /// Catches: pages that are half empty, both with entries in random order and in the order of a checkpoint.
    #[test]
    fn an_entry_takes_no_more_than_40_octets_of_memory() {
        for in_order in [false, true] {
            let (mut entries, source) = (Entries::default(), SourceKey(1));
            for n in 0..50_000_u64 {
                let mut identity = [0; 16];
                let first = if in_order { n } else { Choices::new(n + 1).next() };
                identity[..8].copy_from_slice(&first.to_be_bytes());
                entries.insert(source, identity, known(n));
            }
            let pages = &entries.sources[&source].pages;
            let octets: usize = pages.iter().map(|page| page.capacity() * size_of::<Entry>()).sum();
            let octets = octets + pages.capacity() * size_of::<Vec<Entry>>();
            assert!(octets <= 40 * entries.len(), "{octets} for {}, in order: {in_order}", entries.len());
        }
    }
}
