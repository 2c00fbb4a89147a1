//! A signature tells in few octets which texts a message may contain, so that a search need not open messages in
//! vain.
//!
//! A signature is a Bloom filter with one hash function over the grams, runs of three or of four octets, of all texts
//! that a search reads, in the form in which it reads them: decoded and collated, with fields, file names and
//! addresses in all their forms. When the signature lacks a gram of a key, the message does not contain the key;
//! otherwise it may. Grams with a blank are left out: a search joins blanks or not, and nearly every gram occurs
//! between two words. The last octet says which length the grams have, and how many of them were kept when there was
//! not room for all.

use std::io;

use super::fold::Needle;
use super::mime::Structure;
use super::search::texts_of_addresses;
use super::texts::{Scope, TextVisitor, TextWalk};
use crate::flash::ReadAt;

/// The version of signatures. It must be raised with each change of `message::texts`, of charsets, of collation, of
/// the hash or of the form: signatures of another version are ignored.
pub const VERSION: u8 = 4;

/// Octets of a signature at most.
pub const MAX: usize = 8 * 1024;

/// Places of the widest filter.
const PLACES: usize = MAX * 8;

/// A filter has so many halves of a place for each place that is set in the widest filter.
const HALVES: usize = 5;

/// A signature is at most one part in so many of its message: writing wears flash, and reading is what a signature
/// saves.
const SHARE: u64 = 24;

/// Octets of a signature that every message may have: a whole page is read even for the smallest message.
const LEAST: usize = 128;

/// Places of trigrams above which a message gets grams of four octets: in a long text nearly every run of three
/// letters occurs.
const LONG: usize = 1500;

/// The flag in the last octet that says that the grams have four octets.
const FOURS: u8 = 0x80;

/// Of so many grams, one to all are kept: when a message has more grams than its filter has room for, fewer tell
/// more.
const SAMPLES: usize = 16;

/// Makes the signature of a message, step by step.
pub struct Signer<'a> {
    message: &'a dyn ReadAt,
    walk: TextWalk<'a>,
    grams: Grams,
    /// Whether the addresses were read.
    begun: bool,
}

impl<'a> Signer<'a> {
    /// A signer for `message`, which has this `structure`.
    pub fn new(message: &'a dyn ReadAt, structure: Structure) -> Signer<'a> {
        let walk = TextWalk::over(message, structure, Scope::Text);
        Signer { message, walk, grams: Grams::default(), begun: false }
    }

    /// Octets that were read so far.
    pub fn passed(&self) -> u64 {
        self.walk.passed()
    }

    /// Reads about one more window, or a header when that is longer. Returns the signature; `None` when it is not
    /// finished. An empty signature says nothing.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn step(&mut self) -> io::Result<Option<Vec<u8>>> {
        if !self.begun {
            self.begun = true;
            let look = |text: &str| _ = self.grams.text(text);
            texts_of_addresses(self.message, 0..u64::MAX, look)?;
            return Ok(None);
        }
        if self.walk.step(&mut self.grams)?.is_none() {
            return Ok(None);
        }
        Ok(Some(self.grams.signature(self.message.len()?)))
    }
}

/// The grams of texts, in two filters of the widest kind, with a bit for each place.
struct Grams {
    three: Vec<u64>,
    four: Vec<u64>,
    /// Whether references in HTML are undone. HTML is read with its references as they are, and, when it has some,
    /// once more with them undone.
    undoes: bool,
    folded: Vec<u8>,
}

impl Default for Grams {
    fn default() -> Grams {
        let filter = vec![0; PLACES / 64];
        Grams { three: filter.clone(), four: filter, undoes: false, folded: Vec::new() }
    }
}

impl Grams {
    fn add(&mut self, folded: &[u8]) {
        grams(folded, |filter, place| {
            let filter = if filter == Length::Four { &mut self.four } else { &mut self.three };
            if let Some(word) = filter.get_mut(usize::from(place) / 64) {
                *word |= 1 << (place % 64);
            }
        });
    }

    /// The filter for a message of `size` octets, as narrow as its contents allow.
    fn signature(&self, size: u64) -> Vec<u8> {
        let set = |filter: &[u64]| filter.iter().map(|word| word.count_ones() as usize).sum::<usize>();
        let is_long = set(&self.three) > LONG;
        let filter = if is_long { &self.four } else { &self.three };
        let set = set(filter);
        let share = usize::try_from(size / SHARE).unwrap_or(MAX).clamp(LEAST, MAX) - 1;
        let octets = (set * HALVES / 2).div_ceil(8).clamp(1, share);
        // Then half of the places are set. With more of them set, the places of a key would rule out less.
        let kept = (SAMPLES * octets * 8 * 7 / 10).checked_div(set).unwrap_or(SAMPLES).clamp(1, SAMPLES);
        let mut narrow = vec![0_u8; octets];
        for (n, word) in filter.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                let place = n * 64 + word.trailing_zeros() as usize;
                let at = narrowed(place, octets);
                if let Some(octet) = narrow.get_mut(at / 8).filter(|_| is_kept(place, kept)) {
                    *octet |= 1 << (at % 8);
                }
                word &= word - 1;
            }
        }
        narrow.push(kept as u8 | if is_long { FOURS } else { 0 });
        narrow
    }
}

impl TextVisitor for Grams {
    fn text(&mut self, text: &str) -> bool {
        let mut folded = std::mem::take(&mut self.folded);
        folded.clear();
        super::fold::fold(text, &mut folded);
        self.add(&folded);
        self.folded = folded;
        false
    }
    fn piece(&mut self, folded: &mut Vec<u8>, _new: usize) -> bool {
        self.add(folded);
        false
    }
    fn overlap(&self) -> usize {
        3
    }
    fn undoes_references(&self) -> bool {
        self.undoes
    }
    fn ended(&mut self, references: bool) -> bool {
        self.undoes = references;
        references
    }
}

/// The number of octets in a gram.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Three,
    Four,
}

/// Calls `take` with the places of the grams of `folded` in the widest filters. Grams with a blank are left out.
fn grams(folded: &[u8], mut take: impl FnMut(Length, u16)) {
    let (mut octets, mut known) = (0_u32, 0_u32);
    for &b in folded {
        known = if matches!(b, b' ' | b'\t' | b'\r' | b'\n') { 0 } else { known.saturating_add(1) };
        octets = octets << 8 | u32::from(b);
        // The upper half of a product with 2^32 divided by the golden ratio, which spreads neighbours.
        let place = |gram: u32| (gram.wrapping_mul(0x9e37_79b1) >> 16) as u16;
        if known > 2 {
            take(Length::Three, place(octets & 0xff_ffff));
        }
        if known > 3 {
            take(Length::Four, place(octets));
        }
    }
}

/// The place in a filter of so many octets for a place of the widest filter.
fn narrowed(place: usize, octets: usize) -> usize {
    place * octets * 8 / PLACES
}

/// Whether a place is among the `kept` of [`SAMPLES`] that are kept. The lowest bits of the place decide, on which
/// [`narrowed`] depends least.
fn is_kept(place: usize, kept: usize) -> bool {
    place % SAMPLES < kept
}

/// Places of a key that are tested at most, so that a test is fast however long the key is.
const MAX_PLACES: usize = 64;

/// A searched text in the form in which signatures are tested for it: the places of its grams of each length.
pub struct Probe {
    three: Vec<u16>,
    four: Vec<u16>,
}

impl Probe {
    /// A probe for the text of `needle`; `None` when no signature can tell, because it has no three octets without a
    /// blank.
    pub fn new(needle: &Needle) -> Option<Probe> {
        let (mut three, mut four) = (Vec::new(), Vec::new());
        grams(needle.folded(), |length, place| {
            if length == Length::Four { &mut four } else { &mut three }.push(place)
        });
        for places in [&mut three, &mut four] {
            places.sort_unstable();
            places.dedup();
            places.truncate(MAX_PLACES);
        }
        (!three.is_empty()).then_some(Probe { three, four })
    }

    /// Whether a message with this signature may contain the text. `false` means that no search would find it.
    pub fn may_be_in(&self, signature: &[u8]) -> bool {
        let Some((&last, filter)) = signature.split_last() else { return true };
        let places = if last & FOURS == 0 { &self.three } else { &self.four };
        let kept = usize::from(last & !FOURS);
        places.iter().map(|place| usize::from(*place)).filter(|place| is_kept(*place, kept)).all(|place| {
            let at = narrowed(place, filter.len());
            filter.get(at / 8).is_none_or(|octet| octet >> (at % 8) & 1 == 1)
        })
    }
}

#[cfg(test)]
mod tests;
