//! Where the notes of messages are. What they say is on flash, and read when it is asked for: a queue may have very many.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::Range;

use crate::store::format::record::NoteRecord;
use crate::store::format::{MailboxId, Place, Uid};

/// A message that has a note.
pub type NoteKey = (MailboxId, Uid);

/// The notes of an account.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Notes {
    /// Where their Note records stand in the log.
    places: BTreeMap<NoteKey, Place>,
    /// Those of which no place is known, for a checkpoint of an earlier version held what they say.
    held: BTreeMap<NoteKey, Vec<u8>>,
}

/// A note as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note<'a> {
    /// In the Note record that stands there.
    At(Place),
    /// What it says.
    Held(&'a [u8]),
}

impl Notes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len() + self.held.len()
    }

    /// A Note record stands at `place`. One that says nothing takes the note away.
    pub fn put(&mut self, record: &NoteRecord, place: Place) {
        let key = (record.mailbox, record.uid);
        self.remove(key);
        if !record.note.is_empty() {
            self.places.insert(key, place);
        }
    }

    /// A note is at this place, says a checkpoint.
    pub fn place(&mut self, key: NoteKey, place: Place) {
        self.held.remove(&key);
        self.places.insert(key, place);
    }

    /// A note says this, says a checkpoint of an earlier version.
    pub fn hold(&mut self, key: NoteKey, note: Vec<u8>) {
        self.places.remove(&key);
        self.held.insert(key, note);
    }

    /// The message has no note any more.
    pub fn remove(&mut self, key: NoteKey) {
        self.places.remove(&key);
        self.held.remove(&key);
    }

    /// The note of a message.
    pub fn get(&self, key: NoteKey) -> Option<Note<'_>> {
        let held = || self.held.get(&key).map(|note| Note::Held(note));
        self.places.get(&key).map(|place| Note::At(*place)).or_else(held)
    }

    /// The notes whose records stand in these segments, and where.
    pub fn within(&self, segments: Range<u32>) -> impl Iterator<Item = (NoteKey, Place)> {
        let places = self.places.iter().filter(move |(_, place)| segments.contains(&place.segment));
        places.map(|(key, place)| (*key, *place))
    }

    /// Up to `most` places of notes of one mailbox, in order, of the messages behind `key`.
    pub fn places_behind(&self, key: NoteKey, most: usize) -> Option<(MailboxId, Vec<(Uid, Place)>)> {
        let behind = || self.places.range((Excluded(key), Unbounded));
        let ((mailbox, _), _) = behind().next()?;
        let of_it = behind().take_while(|((of, _), _)| of == mailbox).take(most);
        Some((*mailbox, of_it.map(|((_, uid), place)| (*uid, *place)).collect()))
    }

    /// The next note behind `key` that is held here, and what it says.
    pub fn held_behind(&self, key: NoteKey) -> Option<(NoteKey, &[u8])> {
        let (key, note) = self.held.range((Excluded(key), Unbounded)).next()?;
        Some((*key, note))
    }
}
