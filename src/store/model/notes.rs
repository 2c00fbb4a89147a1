//! The places of messages' notes. The notes themselves are on flash, and read when they are asked for: a queue may
//! have very many.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::Range;

use crate::store::format::record::NoteRecord;
use crate::store::format::{MailboxId, Place, Uid};

/// Identifies a message that has a note: its mailbox and its UID.
pub type NoteKey = (MailboxId, Uid);

/// The notes of an account.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Notes {
    /// The places of the Note records in the log.
    places: BTreeMap<NoteKey, Place>,
    /// The notes whose places are not known, since a checkpoint of an earlier version held the notes themselves.
    held: BTreeMap<NoteKey, Vec<u8>>,
}

/// What is known of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note<'a> {
    /// The place of its Note record.
    At(Place),
    /// The note itself.
    Held(&'a [u8]),
}

impl Notes {
    /// The number of notes.
    pub fn len(&self) -> usize {
        self.places.len() + self.held.len()
    }

    /// Notes the place of a Note record. A record with an empty note removes the message's note.
    pub fn put(&mut self, record: &NoteRecord, place: Place) {
        let key = (record.mailbox, record.uid);
        self.remove(key);
        if !record.note.is_empty() {
            self.places.insert(key, place);
        }
    }

    /// Notes the place of a Note record that a checkpoint gives.
    pub fn place(&mut self, key: NoteKey, place: Place) {
        self.held.remove(&key);
        self.places.insert(key, place);
    }

    /// Holds a note that a checkpoint of an earlier version contains.
    pub fn hold(&mut self, key: NoteKey, note: Vec<u8>) {
        self.places.remove(&key);
        self.held.insert(key, note);
    }

    /// Removes the note of a message.
    pub fn remove(&mut self, key: NoteKey) {
        self.places.remove(&key);
        self.held.remove(&key);
    }

    /// What is known of a message's note; `None` when it has none.
    pub fn get(&self, key: NoteKey) -> Option<Note<'_>> {
        let held = || self.held.get(&key).map(|note| Note::Held(note));
        self.places.get(&key).map(|place| Note::At(*place)).or_else(held)
    }

    /// The notes whose records lie in these segments, and their places.
    pub fn within(&self, segments: Range<u32>) -> impl Iterator<Item = (NoteKey, Place)> {
        let places = self.places.iter().filter(move |(_, place)| segments.contains(&place.segment));
        places.map(|(key, place)| (*key, *place))
    }

    /// Up to `most` places of notes, in order, of the first mailbox that has notes after `key`.
    pub fn places_behind(&self, key: NoteKey, most: usize) -> Option<(MailboxId, Vec<(Uid, Place)>)> {
        let behind = || self.places.range((Excluded(key), Unbounded));
        let ((mailbox, _), _) = behind().next()?;
        let of_it = behind().take_while(|((of, _), _)| of == mailbox).take(most);
        Some((*mailbox, of_it.map(|((_, uid), place)| (*uid, *place)).collect()))
    }

    /// The next note after `key` that is held in memory.
    pub fn held_behind(&self, key: NoteKey) -> Option<(NoteKey, &[u8])> {
        let (key, note) = self.held.range((Excluded(key), Unbounded)).next()?;
        Some((*key, note))
    }
}
