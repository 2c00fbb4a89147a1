//! Signatures: what is known of messages so that a search need not open all of them. The store keeps octets that it does not
//! understand; whoever makes them says in which way, and what was made in another way does not count.
//!
//! They lie in a file beside each segment of the log, `signature/NNNNNNNN`, for the messages whose Body records are in that
//! segment, and go with it. Nothing depends on them: they are written behind the messages, never synced, and one that is
//! missing, torn or somebody else's only has the message read.

use std::collections::HashSet;
use std::io;

use super::Account;
use super::room::Use;
use super::window::{Frame, Window};
use crate::flash::{Flash, Mode};
use crate::pace::Pace;
use crate::store::Error;
use crate::store::format::frame::{self, Head, INLINE_MAX};
use crate::store::format::signatures::{Entry, Part, whose};
use crate::store::format::{Message, Place};

/// Below the account's folder.
const FOLDER: &str = "signature";
/// Messages that are told of at once.
const MESSAGES: usize = 1024;
/// Octets of a file that are read at once.
const AHEAD: usize = 32 * 1024;

fn path(dir: &str, segment: u32) -> String {
    format!("{dir}/{FOLDER}/{segment:08}")
}

/// Removes the signatures of segments that are not there: another one of that number is not to have them.
///
/// # Errors
/// What the flash says.
pub async fn remove_stray(flash: &dyn Flash, dir: &str, segments: &[u32]) -> io::Result<()> {
    let folder = format!("{dir}/{FOLDER}");
    let mut removed = false;
    for name in flash.list(&folder)? {
        if !name.parse().is_ok_and(|segment| segments.contains(&segment)) {
            flash.remove(&format!("{folder}/{name}"))?;
            removed = true;
        }
    }
    if removed { flash.sync_dir(&folder).await } else { Ok(()) }
}

impl Account {
    /// The next messages without a signature of this `version`, in the order of the log, at most 1,024; none where less than
    /// `least` octets of them are at the end of the log: each time that some are kept a page of flash is written. None, too, where
    /// there is no room to keep them. Who asks again, and nothing has come since, costs nothing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn unsigned(&self, version: u8, least: u64) -> Result<Vec<Message>, Error> {
        if self.has_failed() || self.is_damaged() || self.takes_no_changes().is_some() {
            return Ok(Vec::new());
        }
        let looked = || (self.durable_state().0, self.signed_to.get(), least);
        if self.too_few_unsigned.get() == Some(looked()) || !self.room.allows(Use::Mail, INLINE_MAX as u64) {
            return Ok(Vec::new());
        }
        let pace = Pace::new();
        loop {
            let (applied, from, _) = looked();
            let here = if from < applied { self.messages_from(from) } else { Vec::new() };
            if here.is_empty() {
                self.signed_to.set(from.max(applied));
                return Ok(here);
            }
            let (mut missing, mut octets) = (Vec::<Message>::new(), 0);
            for group in here.chunk_by(|a, b| a.segment == b.segment) {
                let Some(last) = group.last() else { continue };
                let known = self.signed_in(last.segment, version, &pace).await?;
                let lack = |message: &&Message| !known.contains(&({ message.offset }, whose(message)));
                let before = missing.len();
                missing.extend(group.iter().filter(lack));
                if missing.is_empty() {
                    self.signed_to.set(Place { offset: last.offset.saturating_add(1), ..last.place() });
                }
                octets += missing.iter().skip(before).map(|message| u64::from(message.size)).sum::<u64>();
                // In a segment that is closed there is nothing more to come.
                if before < missing.len() && self.log(|log| log.is_closed(last.segment)) {
                    octets = octets.max(least);
                }
                if missing.len() >= MESSAGES {
                    break;
                }
            }
            if !missing.is_empty() {
                missing.truncate(MESSAGES);
                if octets < least {
                    self.too_few_unsigned.set(Some((applied, self.signed_to.get(), least)));
                    missing.clear();
                }
                return Ok(missing);
            }
            pace.keep().await;
        }
    }

    /// Some messages whose Body records lie at this place or behind it, in their order.
    fn messages_from(&self, from: Place) -> Vec<Message> {
        self.index(|index| {
            let all = || index.mailboxes.values().flat_map(|mailbox| &mailbox.messages);
            let behind = || all().filter(|message| message.place() >= from);
            let Some(first) = behind().map(|message| message.segment).min() else { return Vec::new() };
            // As many as are in one segment, and as there may be in some.
            let mut here: Vec<Message> =
                behind().filter(|message| message.segment == first).copied().collect();
            if here.len() < MESSAGES {
                let some = first + 1..=first.saturating_add(16);
                here.extend(behind().filter(|message| some.contains(&{ message.segment })));
            }
            here.sort_unstable_by_key(|message| (message.place(), whose(message)));
            here.dedup_by_key(|message| (message.place(), whose(message)));
            here
        })
    }

    /// Whose signatures of this version the file of a segment has. One that is damaged, or has others, is removed.
    async fn signed_in(&self, segment: u32, version: u8, pace: &Pace) -> Result<HashSet<(u32, u32)>, Error> {
        let path = path(self.dir(), segment);
        let io = |error| Error::io(&path, error);
        let mut known = HashSet::new();
        let Some(mut window) = self.open_signatures(&path).map_err(io)? else { return Ok(known) };
        while !window.at_end().map_err(io)? {
            pace.keep().await;
            match window.frame(false).map_err(io)? {
                Ok(Frame { head: Head::Known(Part::Signatures { version: own, entries }), .. })
                    if own == version =>
                {
                    known.extend(entries.iter().map(|entry| (entry.offset, entry.whose)));
                }
                _ => {
                    self.flash().remove(&path).map_err(io)?;
                    return Ok(HashSet::new());
                }
            }
        }
        Ok(known)
    }

    fn open_signatures(&self, path: &str) -> io::Result<Option<Window>> {
        match self.flash().open(path, Mode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => Ok(Some(Window::new(file?, 0))),
        }
    }

    /// Keeps the signatures of messages, of one `version`; those for which the flash has no room beside new mail are not kept.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Io`]; some may be kept then, and that is all that can go wrong.
    pub fn keep_signatures(&self, version: u8, signed: &[(Message, Vec<u8>)]) -> Result<(), Error> {
        self.still_in_charge()?;
        for group in signed.chunk_by(|(a, _), (b, _)| a.segment == b.segment) {
            let mut rest = group;
            while let Some((first, _)) = rest.first() {
                let (mut octets, mut entries) = (Vec::new(), Vec::new());
                while let Some(((message, signature), after)) = rest.split_first()
                    && octets.len() + signature.len() <= INLINE_MAX
                {
                    let offset = message.offset;
                    entries.push(Entry { offset, whose: whose(message), octets: signature.len() as u32 });
                    octets.extend_from_slice(signature);
                    rest = after;
                }
                if entries.is_empty() {
                    // One that no frame has room for.
                    rest = rest.get(1..).unwrap_or_default();
                    continue;
                }
                self.append_signatures(first.segment, &Part::Signatures { version, entries }, &octets)?;
            }
        }
        Ok(())
    }

    fn append_signatures(&self, segment: u32, part: &Part, octets: &[u8]) -> Result<(), Error> {
        let path = path(self.dir(), segment);
        let mut piece = Vec::new();
        let mut append = || {
            frame::encode(part, octets, &mut piece).map_err(io::Error::other)?;
            if !self.room.allows(Use::Mail, piece.len() as u64) {
                return Ok(false);
            }
            let file = match self.flash().open(&path, Mode::Write) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.flash().create_dir(&self.path(FOLDER))?;
                    self.flash().open(&path, Mode::Create)?
                }
                file => file?,
            };
            file.write_at(file.len()?, &piece).map(|()| true)
        };
        match append() {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Full),
            Err(error) => Err(Error::io(&path, error)),
        }
    }

    /// Tells the signatures of `messages`: the place of each among them, and its octets. Not where reading the messages of a
    /// segment costs less than reading its signatures. What cannot be read is not told.
    pub async fn signatures(
        &self,
        version: u8,
        messages: &[Message],
        pace: &Pace,
        mut tell: impl FnMut(usize, &[u8]),
    ) {
        let mut order: Vec<usize> = (0..messages.len()).collect();
        let place = |n: &usize| messages.get(*n).map(Message::place).unwrap_or_default();
        order.sort_unstable_by_key(place);
        for group in order.chunk_by(|a, b| place(a).segment == place(b).segment) {
            let Some(segment) = group.first().map(|first| place(first).segment) else { continue };
            let sizes = group.iter().filter_map(|n| messages.get(*n)).map(|message| u64::from(message.size));
            let tell = &mut |entry: &Entry, octets: &[u8]| {
                let from = group.partition_point(|n| place(n).offset < entry.offset);
                let here = group.iter().skip(from).take_while(|n| place(n).offset == entry.offset);
                for n in here {
                    if messages.get(*n).is_some_and(|message| whose(message) == entry.whose) {
                        tell(*n, octets);
                    }
                }
            };
            if let Err(error) = self.signatures_in(segment, version, sizes.sum(), pace, tell).await {
                log::warn!("{}: {error}", path(self.dir(), segment));
            }
        }
    }

    async fn signatures_in(
        &self,
        segment: u32,
        version: u8,
        worth: u64,
        pace: &Pace,
        tell: &mut dyn FnMut(&Entry, &[u8]),
    ) -> io::Result<()> {
        let path = path(self.dir(), segment);
        let file = match self.flash().open(&path, Mode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        if file.len()? > worth {
            return Ok(());
        }
        let mut window = Window::new(file, 0).read_ahead(AHEAD)?;
        while !window.at_end()? {
            let before = window.at;
            let Ok(frame) = window.frame(true)? else {
                // A cut has torn it, or it is damaged: all of the segment is made anew in a while.
                self.forget_signatures(segment);
                self.signed_to.set(self.signed_to.get().min(Place { segment, offset: 0 }));
                return Ok(());
            };
            if let Head::Known(Part::Signatures { version: own, entries }) = frame.head
                && own == version
            {
                let mut rest = &frame.body[..];
                for entry in &entries {
                    let (octets, after) = rest.split_at(rest.len().min(entry.octets as usize));
                    tell(entry, octets);
                    rest = after;
                }
            }
            pace.did(window.at - before).await;
        }
        Ok(())
    }

    /// Removes the signatures of a segment that goes.
    pub(super) fn forget_signatures(&self, segment: u32) {
        // What cannot be removed now is removed when the account is opened the next time.
        let _ = self.flash().remove(&path(self.dir(), segment));
    }
}
