//! Checks one account without opening it.

use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use crate::flash::{Flash, Mode};
use crate::store::engine::checkpoint::OnDamage;
use crate::store::engine::log::{Log, tells_damage};
use crate::store::engine::replay::{Replayed, replay};
use crate::store::engine::scan::{Scanned, ScannedFrame};
use crate::store::engine::{checkpoint, recovery};
use crate::store::format::record::{BodyRecord, CommitRecord, ContinuedRecord, MessageRecord, Record};
use crate::store::format::{MailboxId, Message, Place, Uid, segment};
use crate::store::model::{Index, NoteKey};

/// Records that are read before other tasks get a turn.
const TURN: u64 = 16;
/// Octets of a body's file that are read at a time.
const PIECE: usize = 64 * 1024;
/// A torn end is longer than so many octets: it is the rest of a commit with at least one message or change. A
/// closing mark alone is shorter.
const MARK: u64 = 64;

/// What the check of one account found.
#[derive(Debug, Default)]
pub struct Findings {
    pub records: u64,
    pub messages: u64,
    pub octets: u64,
    /// One line for each piece of damage: where it is, and what it means.
    pub damage: Vec<String>,
    /// Segments that contain damage.
    pub segments: BTreeSet<u32>,
    /// Messages that cannot be read as they were.
    pub unreadable: Vec<(MailboxId, Uid)>,
    /// Messages whose note cannot be read.
    pub noteless: Vec<NoteKey>,
    /// Bodies that are whole but belong to no mailbox, because the record that named the mailbox is damaged.
    pub orphans: BTreeSet<Place>,
}

/// What a scan of the log gathers for the judgement at its end.
#[derive(Default)]
struct Scan {
    bad: Vec<(Place, &'static str)>,
    known_durable: Place,
    scanned_to: Place,
    /// Bodies of the commit that is being read.
    bodies: Vec<(u32, Place)>,
    named: BTreeSet<u32>,
    /// Bodies of commits in which no Message record names them.
    nameless: Vec<(u32, Place)>,
    /// Messages with their mailboxes; a message whose mailbox does not exist is reported.
    homeless: Vec<(MailboxId, u32, Place)>,
    /// Messages whose Body record was not found.
    bodiless: Vec<(MailboxId, Uid, u32)>,
    deleted: BTreeSet<MailboxId>,
}

/// Reads everything that belongs to the account in `dir`.
///
/// # Errors
/// Errors of the flash.
pub async fn check(flash: Rc<dyn Flash>, dir: &str) -> io::Result<Findings> {
    let mut findings = Findings::default();
    for name in [checkpoint::NEWEST, checkpoint::PREVIOUS] {
        if let Some(Err(damage)) =
            checkpoint::load(&*flash, &format!("{dir}/{name}"), OnDamage::Refuse).await?
        {
            findings.damage.push(format!("{name}: {damage}; nothing is lost by that alone"));
        }
    }
    let log = Log::new(flash.clone(), format!("{dir}/log"), u32::MAX);
    let (start, _) = recovery::start(&*flash, dir, OnDamage::Salvage).await?;
    let from = start.from;
    let replayed = replay(&log, start.index, from, None).await?;
    let segments = log.segments()?;
    let mut scan = Scan { known_durable: from, ..Scan::default() };
    // The log up to the place of a checkpoint must exist.
    let at_checkpoint = replayed.damaged.iter().filter(|gap| gap.to == from);
    scan.bad
        .extend(at_checkpoint.map(|gap| (gap.from, "the log does not reach to where a checkpoint was made")));
    if from == Place::default() && segments.first().is_some_and(|first| *first != 1) {
        let damage = "checkpoint: neither one can be read, and the beginning of the log is gone";
        findings.damage.push(format!("{damage}: mailboxes and flags are lost"));
    }
    read_log(&log, from, &mut scan, &mut findings.records).await?;
    let mut told = read_messages(&*flash, dir, &log, &replayed.index, &mut findings).await?;
    read_notes(&log, &replayed.index, &mut findings, &mut told).await?;
    scan.bad.retain(|(place, _)| !told.contains(place));
    judge(&log, &scan, &replayed, &mut findings)?;
    Ok(findings)
}

async fn read_log(log: &Log, from: Place, seen: &mut Scan, records: &mut u64) -> io::Result<()> {
    let mut scan = log.scan(Place::default())?;
    while let Some(found) = scan.next()? {
        *records += 1;
        if records.is_multiple_of(TURN) {
            smol::future::yield_now().await;
        }
        match found {
            Scanned::Bad(gap) => {
                let header = gap.from.offset == 0;
                let what = if header { "the segment's header is damaged" } else { "a record is damaged" };
                seen.bad.push((gap.from, what));
                if !header {
                    seen.scanned_to = gap.to;
                }
            }
            Scanned::Frame(frame) => {
                if !log.body_is_whole(&frame)? {
                    seen.bad.push((frame.place, "the octets of a message are damaged"));
                }
                seen.frame(&frame, from);
            }
        }
    }
    Ok(())
}

impl Scan {
    fn frame(&mut self, frame: &ScannedFrame, from: Place) {
        let Some(record) = &frame.record else {
            self.scanned_to = frame.end;
            return;
        };
        match record {
            Record::Commit(CommitRecord { durable }) => {
                self.known_durable = self.known_durable.max(*durable);
                let named = std::mem::take(&mut self.named);
                let bodies = std::mem::take(&mut self.bodies);
                self.nameless.extend(bodies.into_iter().filter(|(body, _)| !named.contains(body)));
            }
            Record::Continued(ContinuedRecord { from: end }) => self.continued(*end, frame.place, from),
            Record::Body(body) => self.bodies.push((body.body, frame.place)),
            Record::Moved(moved) => self.named.extend(&moved.bodies),
            Record::Message(MessageRecord { mailbox, uid, body, copy_of, .. }) => {
                self.named.insert(*body);
                let fresh = self.bodies.iter().find(|(fresh, _)| fresh == body).map(|(_, place)| *place);
                match copy_of.or(fresh) {
                    Some(place) => self.homeless.push((*mailbox, *body, place)),
                    None => self.bodiless.push((*mailbox, *uid, *body)),
                }
            }
            Record::MailboxDeleted(it) => drop(self.deleted.insert(it.mailbox)),
            _ => {}
        }
        self.scanned_to = frame.end;
        // Bounds memory: most messages do have a mailbox.
        if self.homeless.len() > 100_000 {
            self.homeless.clear();
        }
    }

    /// Handles a segment that begins at `place` and continues the log from `end`: records in between are not part of
    /// the log.
    fn continued(&mut self, end: Place, place: Place, from: Place) {
        let counts = |at: Place| at < end || at >= place;
        self.bad.retain(|(at, _)| counts(*at));
        self.nameless.retain(|(_, at)| counts(*at));
        self.homeless.retain(|(.., at)| counts(*at));
        self.bodies.clear();
        self.named.clear();
        // Compaction removes only segments that lie before both checkpoints.
        if end > self.scanned_to && end > from && end.offset > segment::HEADER {
            let what = if end.segment == self.scanned_to.segment {
                "the end of the segment is missing"
            } else {
                "segments are missing: what was in them is lost"
            };
            self.bad.push((self.scanned_to, what));
        }
    }
}

/// Decides which of the bad places are damage, and what else was lost with them.
fn judge(log: &Log, scan: &Scan, replayed: &Replayed, findings: &mut Findings) -> io::Result<()> {
    let index = &replayed.index;
    let breaks_off = log.breaks_off_behind(replayed.end)?;
    for &(place, what) in &scan.bad {
        let torn = place >= scan.known_durable && (breaks_off || is_torn(log, place)?);
        if !torn {
            let Place { segment, offset } = place;
            findings.damage.push(format!("log/{segment:08} at {offset}: {what}"));
            findings.segments.insert(segment);
            if log.remains(place).is_ok_and(|(_, whole)| whole) && !is_known(index, place) {
                findings.orphans.insert(place);
            }
        }
    }
    if findings.segments.is_empty() {
        return Ok(());
    }
    let known = |body: u32| index.place_of(body).is_some();
    for (mailbox, uid, _) in scan.bodiless.iter().filter(|(.., body)| !known(*body)) {
        let name = index.mailboxes.get(mailbox).map_or("a mailbox", |mailbox| &mailbox.name);
        findings
            .damage
            .push(format!("log: the record of the octets of UID {uid} of {name} is damaged: it is lost"));
    }
    let nameless = scan.nameless.iter().copied();
    let homeless = scan
        .homeless
        .iter()
        .filter(|(mailbox, ..)| !index.mailboxes.contains_key(mailbox) && !scan.deleted.contains(mailbox));
    let orphans = nameless.chain(homeless.map(|(_, body, place)| (*body, *place)));
    for (_, place) in orphans.filter(|(body, _)| !known(*body)) {
        // A body that is damaged itself is reported as damage.
        if matches!(log.head(place), Ok(Record::Body(_))) && findings.orphans.insert(place) {
            let Place { segment, offset } = place;
            findings
                .damage
                .push(format!("log/{segment:08} at {offset}: a message whose mailbox is not known any more"));
        }
    }
    Ok(())
}

/// Whether some message has its octets in the record at `place`.
fn is_known(index: &Index, place: Place) -> bool {
    let mut messages = index.mailboxes.values().flat_map(|mailbox| &mailbox.messages);
    messages.any(|message| message.place() == place)
}

/// Whether the log after the last place that is known to be durable looks as a power cut or a kill leaves it: it
/// ends too early, or has a sector that was never written. Nothing that was acknowledged is in such a part.
fn is_torn(log: &Log, place: Place) -> io::Result<bool> {
    const SECTOR: usize = 512;
    let len = log.segment_len(place.segment)?;
    let rest = len.saturating_sub(place.offset.into());
    if place.offset == 0 {
        return Ok(rest <= MARK);
    }
    let mut octets = vec![0; usize::try_from(rest).unwrap_or(PIECE).min(2 * PIECE)];
    log.raw(place, &mut octets)?;
    let unwritten = octets.chunks_exact(SECTOR).any(|sector| sector.iter().all(|octet| *octet == 0));
    let cut_short = log.head(place).is_err_and(|error| error.to_string() == "cut short");
    Ok(rest == 0 || unwritten || cut_short && rest > MARK)
}

/// Reads every message. Returns the places of the records of messages that cannot be read as they were.
async fn read_messages(
    flash: &dyn Flash,
    dir: &str,
    log: &Log,
    index: &Index,
    findings: &mut Findings,
) -> io::Result<BTreeSet<Place>> {
    let mut told = BTreeSet::new();
    for mailbox in index.mailboxes.values() {
        for message in &mailbox.messages {
            findings.messages += 1;
            findings.octets += u64::from(message.size);
            if findings.messages.is_multiple_of(TURN) {
                smol::future::yield_now().await;
            }
            if let Some(damage) = unreadable(flash, dir, log, message).await? {
                let (uid, name) = (message.uid, &mailbox.name);
                findings.damage.push(format!("{damage}: UID {uid} of {name} is lost"));
                findings.segments.insert(message.segment);
                findings.unreadable.push((mailbox.id, uid));
                told.insert(message.place());
            }
        }
    }
    Ok(told)
}

/// Reads every note, and adds the places of damaged records to `told`, the places that were reported already.
async fn read_notes(
    log: &Log,
    index: &Index,
    findings: &mut Findings,
    told: &mut BTreeSet<Place>,
) -> io::Result<()> {
    let mut read = 0_u64;
    for (key, place) in index.notes.within(0..u32::MAX) {
        read += 1;
        if read.is_multiple_of(TURN) {
            smol::future::yield_now().await;
        }
        match log.note(place, key) {
            Ok(_) => {}
            Err(error) if tells_damage(&error) => {
                let ((mailbox, uid), Place { segment, offset }) = (key, place);
                let name = index.mailboxes.get(&mailbox).map_or("a mailbox", |mailbox| &mailbox.name);
                let line =
                    format!("log/{segment:08} at {offset}: what was noted of UID {uid} of {name} is lost");
                findings.damage.push(line);
                findings.segments.insert(segment);
                findings.noteless.push(key);
                told.insert(place);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Where and why a message cannot be read as it was; `None` when all is well.
async fn unreadable(
    flash: &dyn Flash,
    dir: &str,
    log: &Log,
    message: &Message,
) -> io::Result<Option<String>> {
    let place = message.place();
    let (segment, offset) = (place.segment, place.offset);
    let crc = match log.whole(place, message.inline_octets()) {
        Ok((Record::Body(BodyRecord { body, crc, .. }), _)) if body == message.body => crc,
        Err(error) if !tells_damage(&error) => return Err(error),
        _ => return Ok(Some(format!("log/{segment:08} at {offset}"))),
    };
    let Some(crc) = crc else { return Ok(None) };
    let number = message.body;
    let damage = Some(format!("body/{number:08x}"));
    let file = match flash.open(&format!("{dir}/body/{number:08x}"), Mode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(damage),
        other => other?,
    };
    if file.len()? != u64::from(message.size) {
        return Ok(damage);
    }
    let (mut at, mut found, mut piece) = (0, 0, vec![0; PIECE]);
    loop {
        let n = file.read_at(at, &mut piece)?;
        if n == 0 {
            return Ok(damage.filter(|_| found != crc));
        }
        found = crc32c::crc32c_append(found, &piece[..n]);
        at += n as u64;
        smol::future::yield_now().await;
    }
}
