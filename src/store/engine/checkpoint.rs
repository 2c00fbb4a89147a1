//! Checkpoints: the index as it was at some place of the log, so that opening reads only the log after that place.
//!
//! A checkpoint is a file of frames like a segment of the log. It is written in pieces while commits go on, so it may
//! already contain some of the changes after its place in the log and lack others. That does no harm, since
//! replaying a change that is already there changes nothing: see [`Index::apply`].
//!
//! The previous checkpoint stays beside the newest, and no segment is removed that either needs.

use std::io;
use std::ops::Bound::{Excluded, Unbounded};
use std::rc::Rc;

use serde_bytes::ByteBuf;

use super::Account;
use super::commit::State;
use super::window::{Frame, Window};
use crate::flash::{File, Flash, Mode};
use crate::store::Error;
use crate::store::format::checkpoint::{Detail, Entry, MailboxPart, Part, VERSION};
use crate::store::format::frame::{self, Head};
use crate::store::format::{IdentityHash, MailboxId, Message, Place, SourceKey, Uid};
use crate::store::model::{Index, Known};

/// The path of the newest checkpoint, below the account's folder.
pub const NEWEST: &str = "checkpoint";
/// The path of the checkpoint before the newest, below the account's folder.
pub const PREVIOUS: &str = "checkpoint.prev";
const NEW: &str = "checkpoint.new";

/// Messages in one part of a checkpoint.
const MESSAGES: usize = 256;
/// Entries of the ledger in one part of a checkpoint.
const ENTRIES: usize = 512;
/// Places of notes in one part of a checkpoint.
const NOTES: usize = 512;
/// Names of subscriptions in one part of a checkpoint.
const NAMES: usize = 256;
/// Octets of a checkpoint that are gathered before they are written.
const PIECE: usize = 64 * 1024;
/// Parts of a checkpoint that are read before other tasks get a turn.
const TURN: u32 = 16;

/// A new checkpoint is written when the log after the last one is so many times longer than that one: this keeps
/// checkpoints a small part of what is written.
const SHARE: u64 = 32;
/// A new checkpoint is also written when it costs at most so many octets for each record after the last one. A
/// message takes about as many octets in a checkpoint, so replaying takes at most about as long as reading the
/// checkpoint, however short the records are.
const A_RECORD: u64 = 32;

/// What is known of the checkpoints on flash.
#[derive(Debug, Default, Clone, Copy)]
pub struct Checkpoints {
    /// From where the log is replayed after the newest checkpoint; `None` when that is missing or damaged.
    pub newest: Option<Place>,
    /// From where the log is replayed after the previous checkpoint; `None` when that is missing or damaged.
    pub previous: Option<Place>,
    /// Octets of the newest checkpoint.
    pub octets: u64,
    /// Octets of the previous checkpoint.
    pub previous_octets: u64,
}

impl Checkpoints {
    /// Octets that checkpoints will still need when each of the next ones takes `octets`: two stay, and a third
    /// exists while it is written.
    pub fn still_to_come(&self, octets: u64) -> u64 {
        3 * octets - self.octets.min(octets) - self.previous_octets.min(octets)
    }

    /// Whether both checkpoints lie after the segment, so that no replay needs it.
    pub fn cover(&self, segment: u32) -> bool {
        [self.newest, self.previous].iter().all(|from| from.is_some_and(|from| segment < from.segment))
    }
}

/// A checkpoint that was read.
pub struct Loaded {
    /// The index as the checkpoint holds it.
    pub index: Index,
    /// The place from which the log must be replayed.
    pub from: Place,
    /// Octets of the file.
    pub octets: u64,
}

/// Why a file is not a usable checkpoint.
pub type Damage = &'static str;

/// What reading a checkpoint does when it meets damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDamage {
    /// Refuse the whole checkpoint: something older and whole serves better.
    Refuse,
    /// Skip the damaged parts, whose contents are then missing: there is nothing better.
    Salvage,
}

/// Reads the checkpoint at `path`; `None` when there is none.
///
/// # Errors
/// Errors of the flash. Damage is not an error.
pub async fn load(
    flash: &dyn Flash,
    path: &str,
    on_damage: OnDamage,
) -> io::Result<Option<Result<Loaded, Damage>>> {
    let file = match flash.open(path, Mode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let octets = file.len()?;
    let mut window = Window::new(file, 0);
    let mut index = Index::default();
    let mut mailbox = None;
    let mut from = None;
    let mut parts = 0_u32;
    loop {
        let place = window.at;
        let part = match window.frame::<Part>(false)? {
            Ok(frame) => frame.head,
            Err(_) if on_damage == OnDamage::Salvage && !window.at_end()? => {
                window.at = place;
                window.seek_frame::<Part>()?;
                continue;
            }
            Err(_) => {
                let saved = from.filter(|_| on_damage == OnDamage::Salvage).map(|from| Loaded {
                    index,
                    from,
                    octets,
                });
                return Ok(Some(saved.ok_or("a part is damaged")));
            }
        };
        parts += 1;
        if parts.is_multiple_of(TURN) {
            smol::future::yield_now().await;
        }
        let part = match part {
            Head::Known(part) => part,
            Head::Unknown(part) => {
                index.keep_unknown_part(part);
                continue;
            }
        };
        match (part, from) {
            (Part::Begin { version: VERSION, from: place, last }, None) => {
                from = Some(place);
                index.last = last;
                // Expunge records with larger MODSEQs are in the log that is replayed.
                index.expunged.forget(last.modseq);
            }
            (_, None) => return Ok(Some(Err("not a checkpoint of this version"))),
            (Part::End { parts: all }, Some(from))
                if on_damage == OnDamage::Salvage || all + 1 == parts && window.at_end()? =>
            {
                return Ok(Some(Ok(Loaded { index, from, octets })));
            }
            (Part::End { .. } | Part::Begin { .. }, _) => return Ok(Some(Err("parts are missing"))),
            (part, _) => index.take_part(part, &mut mailbox, octets),
        }
    }
}

/// The place from which the log is replayed after the checkpoint at `path`, as its first part says, and the octets
/// of the file.
pub fn beginning(flash: &dyn Flash, path: &str) -> io::Result<Option<(Place, u64)>> {
    let file = match flash.open(path, Mode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let octets = file.len()?;
    Ok(match Window::new(file, 0).frame(false)? {
        Ok(Frame { head: Head::Known(Part::Begin { version: VERSION, from, .. }), .. }) => {
            Some((from, octets))
        }
        _ => None,
    })
}

/// The file of a checkpoint that is being written.
struct Writer {
    file: Rc<dyn File>,
    at: u64,
    parts: u32,
    piece: Vec<u8>,
}

impl Writer {
    fn put(&mut self, part: &Part) -> io::Result<()> {
        frame::encode(part, &[], &mut self.piece).map_err(io::Error::other)?;
        self.is_there()
    }

    fn put_unknown(&mut self, part: &[u8]) -> io::Result<()> {
        frame::encode_unknown(part, &[], &mut self.piece).map_err(io::Error::other)?;
        self.is_there()
    }

    fn is_there(&mut self) -> io::Result<()> {
        self.parts += 1;
        if self.piece.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(self.at, &self.piece)?;
        self.at += self.piece.len() as u64;
        self.piece.clear();
        Ok(())
    }
}

impl Account {
    /// Writes a checkpoint of everything that is durable now, in pieces, and makes it the newest.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Io`]; the existing checkpoints are still good then.
    pub(super) async fn write_checkpoint(&self) -> Result<(), Error> {
        let path = self.path(NEW);
        let before = self.state.borrow().tail;
        let written = self.write_parts(&path).await;
        if written.is_err() {
            // A file that cannot be removed now is overwritten by the next checkpoint.
            let _ = self.flash().remove(&path);
        }
        let (from, octets) = written.map_err(|error| Error::io(&path, error))?;
        // When this account has failed, another instance may have opened the same files: it must not touch them.
        self.ensure_not_failed()?;
        // Until both files are renamed it is not known which checkpoint is the newest.
        let known = std::mem::take(&mut self.state.borrow_mut().checkpoints);
        let renamed = async {
            // A damaged checkpoint must not replace a good one.
            if known.newest.is_some() {
                self.flash().rename(&self.path(NEWEST), &self.path(PREVIOUS))?;
            }
            self.flash().rename(&path, &self.path(NEWEST))?;
            self.flash().sync_dir(self.dir()).await
        };
        renamed.await.map_err(|error| Error::io(&path, error))?;
        let previous_octets = known.newest.map_or(known.previous_octets, |_| known.octets);
        let mut state = self.state.borrow_mut();
        state.checkpoints = Checkpoints {
            newest: Some(from),
            previous: known.newest.or(known.previous),
            octets,
            previous_octets,
        };
        self.keep_room_for_checkpoints(&state);
        state.tail.records -= before.records;
        state.tail.octets -= before.octets;
        Ok(())
    }

    /// Whether so much log would have to be replayed that a new checkpoint is worth its octets.
    pub(super) fn opening_takes_long(&self) -> bool {
        let State { checkpoints, tail, sizes, .. } = &*self.state.borrow();
        let only_one_left = checkpoints.newest.is_none() && checkpoints.previous.is_some();
        let worth =
            tail.octets >= checkpoints.octets * SHARE || tail.records * A_RECORD >= checkpoints.octets;
        only_one_left || tail.records >= sizes.records && worth
    }

    async fn write_parts(&self, path: &str) -> io::Result<(Place, u64)> {
        let file = self.flash().open(path, Mode::Create)?;
        let mut writer = Writer { file, at: 0, parts: 0, piece: Vec::new() };
        let (from, last) = self.durable_state();
        writer.put(&Part::Begin { version: VERSION, from, last })?;
        let mut mailbox = MailboxId(0);
        while let Some((id, part)) = self.index(|index| next_mailbox(index, mailbox)) {
            mailbox = id;
            writer.put(&part)?;
            let mut uid = 0;
            while let Some(messages) = self.index(|index| next_messages(index, mailbox, uid)) {
                uid = messages.last().map_or(Uid::MAX, |message| message.uid);
                let save_date = |message: &Message| (message.uid, message.save_date);
                let dates: Vec<_> = messages.iter().map(save_date).filter(|&(_, date)| date != 0).collect();
                writer.put(&Part::Messages(messages))?;
                if !dates.is_empty() {
                    writer.put(&Part::SaveDates(mailbox, dates))?;
                }
                smol::future::yield_now().await;
            }
        }
        for names in self.subscriptions().chunks(NAMES) {
            writer.put(&Part::Subscriptions(names.to_vec()))?;
            smol::future::yield_now().await;
        }
        let mut at = (MailboxId(0), 0);
        while let Some((mailbox, places)) = self.index(|index| index.notes.places_behind(at, NOTES)) {
            at = (mailbox, places.last().map_or(Uid::MAX, |(uid, _)| *uid));
            writer.put(&Part::NotePlaces(mailbox, places))?;
            smol::future::yield_now().await;
        }
        let mut at = (MailboxId(0), 0);
        while let Some((key, note)) = self.index(|index| {
            let (key, note) = index.notes.held_behind(at)?;
            Some((key, note.to_vec()))
        }) {
            at = key;
            writer.put(&Part::Note(key.0, key.1, ByteBuf::from(note)))?;
        }
        let mut at = (MailboxId(0), String::new());
        while let Some((key, value)) = self.index(|index| {
            let next = index.annotations.range((Excluded(&at), Unbounded)).next();
            next.map(|(key, value)| (key.clone(), value.clone()))
        }) {
            writer.put(&Part::Annotation(key.0, key.1.clone(), ByteBuf::from(value)))?;
            at = key;
        }
        let mut at = None;
        while let Some((last, entries)) = self.index(|index| next_entries(index, at)) {
            at = Some(last);
            let (entries, details) = entries;
            writer.put(&Part::Ledger(entries))?;
            if !details.is_empty() {
                writer.put(&Part::LedgerDetails(details))?;
            }
            smol::future::yield_now().await;
        }
        for part in self.index(|index| index.unknown_parts.clone()) {
            writer.put_unknown(&part)?;
        }
        let parts = writer.parts;
        writer.put(&Part::End { parts })?;
        writer.flush()?;
        writer.file.sync().await?;
        Ok((from, writer.at))
    }
}

fn next_mailbox(index: &Index, after: MailboxId) -> Option<(MailboxId, Part)> {
    let (id, mailbox) = index.mailboxes.range((Excluded(after), Unbounded)).next()?;
    let part = MailboxPart {
        id: *id,
        name: mailbox.name.clone(),
        uid_validity: mailbox.uid_validity,
        uid_next: mailbox.uid_next,
        highest_modseq: mailbox.highest_modseq,
        recent_from: mailbox.recent_from,
        keywords: mailbox.keywords.clone(),
        messages: u32::try_from(mailbox.messages.len()).unwrap_or(u32::MAX),
    };
    Some((*id, Part::Mailbox(part)))
}

fn next_messages(index: &Index, mailbox: MailboxId, after: Uid) -> Option<Vec<Message>> {
    let messages = &index.mailboxes.get(&mailbox)?.messages;
    let from = messages.partition_point(|message| message.uid <= after);
    let piece: Vec<Message> = messages.get(from..)?.iter().take(MESSAGES).copied().collect();
    (!piece.is_empty()).then_some(piece)
}

type LedgerKey = (SourceKey, IdentityHash);

/// Entries of the ledger, and details of those that have any.
type Entries = (Vec<Entry>, Vec<Detail>);

fn next_entries(index: &Index, after: Option<LedgerKey>) -> Option<(LedgerKey, Entries)> {
    let (mut entries, mut details) = (Vec::new(), Vec::new());
    for (source, &(identity, Known { date, content, unlisted })) in index.ledger.behind(after).take(ENTRIES) {
        entries.push((source.0, identity, date.get()));
        if (content, unlisted) != (0, 0) {
            details.push((source.0, identity, content, unlisted));
        }
    }
    let (source, identity, _) = entries.last()?;
    Some(((SourceKey(*source), *identity), (entries, details)))
}
