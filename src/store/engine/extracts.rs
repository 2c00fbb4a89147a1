//! Extracts: data taken out of messages so that the messages need not be opened: a summary for lists, a signature for
//! searches. The store keeps them as octets that it does not understand. The caller gives the version of the way in
//! which they were made, and extracts of another version do not count.
//!
//! They lie in two files beside each segment of the log, `summary/NNNNNNNN` and `signature/NNNNNNNN`. These files
//! hold the extracts of the messages whose Body records are in that segment, in the order of the records, and are
//! removed with the segment. Nothing depends on them: they are written after the messages and never synced, and when
//! an extract is missing, torn or of another message, the message itself is read.

use std::collections::HashSet;
use std::io;

use super::Account;
use super::room::Use;
use super::window::{Frame, Window};
use crate::flash::{Flash, Mode};
use crate::pace::Pace;
use crate::store::Error;
use crate::store::format::extracts::{Entry, Part, whose};
use crate::store::format::frame::{self, Head, INLINE_MAX};
use crate::store::format::{Message, Place};

/// Messages without extracts that are returned at once.
const MESSAGES: usize = 1024;
/// Octets of a file of signatures that are read at once.
const AHEAD: usize = 32 * 1024;
/// Octets of extracts in one frame of summaries: a session holds one such frame while its client reads.
const SUMMARIES: usize = 8 * 1024;

/// One value for each kind of extract: the version of how it is made, or the extract itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extracts<T> {
    /// The summary, for lists.
    pub summary: T,
    /// The signature, for searches.
    pub signature: T,
}

/// A kind of extract.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Summary,
    Signature,
}

impl Kind {
    const ALL: [Kind; 2] = [Kind::Summary, Kind::Signature];

    /// The folder of this kind, below the account's folder.
    fn folder(self) -> &'static str {
        match self {
            Kind::Summary => "summary",
            Kind::Signature => "signature",
        }
    }

    /// The path of the extracts of `segment` of the account in the folder `dir`.
    fn path(self, dir: &str, segment: u32) -> String {
        format!("{dir}/{}/{segment:08}", self.folder())
    }

    /// The field of `extracts` that is of this kind.
    fn of<T>(self, extracts: &Extracts<T>) -> &T {
        match self {
            Kind::Summary => &extracts.summary,
            Kind::Signature => &extracts.signature,
        }
    }

    /// Octets of extracts that are put into one frame at most; a single longer extract gets a frame of its own.
    fn frame(self) -> usize {
        match self {
            Kind::Summary => SUMMARIES,
            Kind::Signature => INLINE_MAX,
        }
    }
}

/// Removes the extracts of segments that no longer exist, so that a later segment of the same number does not get
/// them.
///
/// # Errors
/// Errors of the flash.
pub async fn remove_stray(flash: &dyn Flash, dir: &str, segments: &[u32]) -> io::Result<()> {
    for kind in Kind::ALL {
        let folder = format!("{dir}/{}", kind.folder());
        let mut removed = false;
        for name in flash.list(&folder)? {
            if !name.parse().is_ok_and(|segment| segments.contains(&segment)) {
                flash.remove(&format!("{folder}/{name}"))?;
                removed = true;
            }
        }
        if removed {
            flash.sync_dir(&folder).await?;
        }
    }
    Ok(())
}

impl Account {
    /// The next messages without extracts of these versions, in the order of the log, at most 1,024. The result is
    /// empty when fewer than `least` octets of such messages are at the end of the log, since each time that extracts
    /// are kept a page of flash is written. It is also empty when there is no room to keep extracts. Asking again
    /// costs nothing while no new message has come.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn unextracted(&self, versions: Extracts<u8>, least: u64) -> Result<Vec<Message>, Error> {
        if self.has_failed() || self.is_damaged() || self.takes_no_changes().is_some() {
            return Ok(Vec::new());
        }
        let looked = || (self.durable_state().0, self.extracted_to.get(), least);
        if self.too_few_unextracted.get() == Some(looked()) || !self.room.allows(Use::Mail, INLINE_MAX as u64)
        {
            return Ok(Vec::new());
        }
        let pace = Pace::new();
        loop {
            let (applied, from, _) = looked();
            let here = if from < applied { self.messages_from(from) } else { Vec::new() };
            if here.is_empty() {
                self.extracted_to.set(from.max(applied));
                return Ok(here);
            }
            let (mut missing, mut octets) = (Vec::<Message>::new(), 0);
            for group in here.chunk_by(|a, b| a.segment == b.segment) {
                let Some(last) = group.last() else { continue };
                let mut known = self.extracted_in(last.segment, versions, &pace).await?;
                let passed = known.iter().map(|(offset, _)| *offset).max();
                let is_in = |known: &HashSet<_>, message: &Message| {
                    known.contains(&({ message.offset }, whose(message)))
                };
                // Files that continue after such a message without having its extract belong to another log: their
                // extracts would be those of other messages.
                if group.iter().any(|message| Some(message.offset) <= passed && !is_in(&known, message)) {
                    self.forget_extracts(last.segment);
                    known.clear();
                }
                let lack = |message: &&Message| !is_in(&known, message);
                let before = missing.len();
                missing.extend(group.iter().filter(lack));
                if missing.is_empty() {
                    self.extracted_to.set(Place { offset: last.offset.saturating_add(1), ..last.place() });
                }
                octets += missing.iter().skip(before).map(|message| u64::from(message.size)).sum::<u64>();
                // No more messages come into a closed segment.
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
                    self.too_few_unextracted.set(Some((applied, self.extracted_to.get(), least)));
                    missing.clear();
                }
                return Ok(missing);
            }
            pace.keep().await;
        }
    }

    /// Some messages whose Body records lie at `from` or after it, in the order of the log.
    fn messages_from(&self, from: Place) -> Vec<Message> {
        self.index(|index| {
            let all = || index.mailboxes.values().flat_map(|mailbox| &mailbox.messages);
            let behind = || all().filter(|message| message.place() >= from);
            let Some(first) = behind().map(|message| message.segment).min() else { return Vec::new() };
            // All of the first segment, and as many as there are in the next sixteen.
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

    /// The messages in a segment that have extracts. Removes files that are damaged, of other versions, or that hold
    /// extracts of different messages for the two kinds.
    async fn extracted_in(
        &self,
        segment: u32,
        versions: Extracts<u8>,
        pace: &Pace,
    ) -> Result<HashSet<(u32, u32)>, Error> {
        let summaries = self.kept_in(Kind::Summary, segment, versions.summary, pace).await?;
        let signatures = self.kept_in(Kind::Signature, segment, versions.signature, pace).await?;
        if summaries == signatures {
            return Ok(signatures);
        }
        self.forget_extracts(segment);
        Ok(HashSet::new())
    }

    async fn kept_in(
        &self,
        kind: Kind,
        segment: u32,
        version: u8,
        pace: &Pace,
    ) -> Result<HashSet<(u32, u32)>, Error> {
        let path = kind.path(self.dir(), segment);
        let io = |error| Error::io(&path, error);
        let mut known = HashSet::new();
        let Some(mut window) = self.open_extracts(kind, segment).map_err(io)? else { return Ok(known) };
        while !window.at_end().map_err(io)? {
            pace.keep().await;
            match window.frame(false).map_err(io)? {
                Ok(Frame { head: Head::Known(Part::Extracts { version: own, entries }), .. })
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

    /// Opens the extracts of a segment at their beginning; `None` when there are none.
    pub(super) fn open_extracts(&self, kind: Kind, segment: u32) -> io::Result<Option<Window>> {
        match self.flash().open(&kind.path(self.dir(), segment), Mode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => Ok(Some(Window::new(file?, 0))),
        }
    }

    /// Keeps the extracts of messages, made in these versions. Extracts for which the flash has no room beside new
    /// mail are not kept.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Io`]; some of the extracts may be kept then, and no other harm is done.
    pub fn keep_extracts(
        &self,
        versions: Extracts<u8>,
        made: &[(Message, Extracts<Vec<u8>>)],
    ) -> Result<(), Error> {
        self.ensure_not_failed()?;
        for group in made.chunk_by(|(a, _), (b, _)| a.segment == b.segment) {
            for kind in Kind::ALL {
                self.keep(kind, *kind.of(&versions), group)?;
            }
        }
        Ok(())
    }

    /// Keeps the extracts of one kind, for messages in one segment.
    fn keep(&self, kind: Kind, version: u8, made: &[(Message, Extracts<Vec<u8>>)]) -> Result<(), Error> {
        let mut rest = made;
        while let Some(((first, _), _)) = rest.split_first() {
            let (mut octets, mut entries) = (Vec::new(), Vec::new());
            while let Some(((message, extracts), after)) = rest.split_first() {
                // An extract that no frame has room for is kept as an empty one, which says nothing.
                let extract = Some(kind.of(extracts)).filter(|extract| extract.len() <= INLINE_MAX);
                let extract = extract.map_or(&[][..], Vec::as_slice);
                if !entries.is_empty() && octets.len() + extract.len() > kind.frame() {
                    break;
                }
                let offset = message.offset;
                entries.push(Entry { offset, whose: whose(message), octets: extract.len() as u32 });
                octets.extend_from_slice(extract);
                rest = after;
            }
            self.append_extracts(kind, first.segment, &Part::Extracts { version, entries }, &octets)?;
        }
        Ok(())
    }

    fn append_extracts(&self, kind: Kind, segment: u32, part: &Part, octets: &[u8]) -> Result<(), Error> {
        let path = kind.path(self.dir(), segment);
        let mut piece = Vec::new();
        let mut append = || {
            frame::encode(part, octets, &mut piece).map_err(io::Error::other)?;
            if !self.room.allows(Use::Mail, piece.len() as u64) {
                return Ok(false);
            }
            let file = match self.flash().open(&path, Mode::Write) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.flash().create_dir(&self.path(kind.folder()))?;
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

    /// Calls `tell` with the signatures of `messages`: the position of the message in the slice, and the octets.
    /// Segments whose messages cost less to read than their signatures are left out, and so are signatures that
    /// cannot be read.
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
                log::warn!("{}: {error}", Kind::Signature.path(self.dir(), segment));
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
        let Some(window) = self.open_extracts(Kind::Signature, segment)? else { return Ok(()) };
        if window.file_len()? > worth {
            return Ok(());
        }
        let mut window = window.read_ahead(AHEAD)?;
        while !window.at_end()? {
            let before = window.at;
            let Ok(frame) = window.frame(true)? else {
                self.make_extracts_anew(segment);
                return Ok(());
            };
            if let Head::Known(Part::Extracts { version: own, entries }) = frame.head
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

    /// Removes the extracts of a segment, one of whose files was torn by a cut or is damaged, and has them made anew
    /// later.
    pub(super) fn make_extracts_anew(&self, segment: u32) {
        self.forget_extracts(segment);
        self.extracted_to.set(self.extracted_to.get().min(Place { segment, offset: 0 }));
    }

    /// Removes the extracts of a segment that is being removed.
    pub(super) fn forget_extracts(&self, segment: u32) {
        for kind in Kind::ALL {
            // A file that cannot be removed now is removed when the account is opened the next time.
            let _ = self.flash().remove(&kind.path(self.dir(), segment));
        }
    }
}
