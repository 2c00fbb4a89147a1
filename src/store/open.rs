//! Reading an account from flash: what was committed, and nothing of what was torn.
//!
//! The log is read once, heads only. A commit carries the place up to which everything was durable
//! when it was written, so a bad frame tells what it is: before a place that some later commit calls
//! durable it is damage, and only the record that it hit is lost; behind it, it is the tail that a
//! power cut tore, never acknowledged, and is cut off.

use std::collections::VecDeque;
use std::rc::Rc;

use super::account::Account;
use super::checkpoint::{self, Checkpoints, Loaded};
use super::commit::{Checked, State, Tail};
use super::index::Index;
use super::log::{Log, Scanned, ScannedFrame};
use super::record::{Place, Record};
use super::{Error, INBOX, Sizes, Summarize};
use crate::flash::Flash;

/// Mailboxes that a new account gets, with the names by which clients know them (RFC 6154).
const FURNITURE: [&str; 5] = ["INBOX", "Drafts", "Sent", "Junk", "Trash"];

/// Frames that are read before others get a turn.
const TURN: u64 = 64;

/// What a log adds up to.
pub struct Replayed {
    /// The account's state.
    pub index: Index,
    /// Behind the last whole commit.
    pub end: Place,
    /// Up to where everything is known to be durable.
    pub durable: Place,
    /// Places where records are lost.
    pub damaged: Vec<Place>,
    /// What was replayed.
    pub tail: Tail,
    /// Whether the last commits are not called durable by a later one.
    pub unmarked: bool,
}

/// A commit that was read, not yet known to be whole.
struct Candidate {
    start: Place,
    end: Place,
    frames: Vec<ScannedFrame>,
}

/// Reads the log from `from` on, where it adds up to `index`. Commits that end behind `limit` are not
/// believed: see `Store::failed`.
///
/// # Errors
/// What the flash says; damage is no error.
pub async fn replay(log: &Log, index: Index, from: Place, limit: Option<Place>) -> std::io::Result<Replayed> {
    let mut replayed = Replayed {
        index,
        end: from,
        durable: from,
        damaged: Vec::new(),
        tail: Tail::default(),
        unmarked: false,
    };
    let mut suspects: Vec<Place> = Vec::new();
    let mut candidates: VecDeque<Candidate> = VecDeque::new();
    let mut frames: Vec<ScannedFrame> = Vec::new();
    let mut known_durable = from;
    let mut scanned_to = from;
    let mut scan = log.scan(from)?;
    while let Some(found) = scan.next()? {
        replayed.tail.records += 1;
        if replayed.tail.records.is_multiple_of(TURN) {
            smol::future::yield_now().await;
        }
        let frame = match found {
            Scanned::Bad(place) => {
                suspects.push(place);
                continue;
            }
            Scanned::Frame(frame) => frame,
        };
        replayed.tail.octets += u64::from(frame.end.offset - frame.place.offset);
        if let Record::Continued { from } = frame.record {
            // What lies behind the end of the segment before this one had no room and was taken back.
            let counts = |place: Place| place < from || place.segment > from.segment;
            frames.retain(|frame| counts(frame.place));
            suspects.retain(|place| counts(*place));
            if scanned_to < from {
                // That end never reached the medium.
                suspects.push(scanned_to);
            }
        }
        scanned_to = frame.end;
        let Record::Commit { durable } = frame.record else {
            frames.push(frame);
            continue;
        };
        known_durable = known_durable.max(durable);
        let start = frames.first().map_or(frame.place, |first| first.place);
        candidates.push_back(Candidate { start, end: frame.end, frames: std::mem::take(&mut frames) });
        suspects.retain(|&place| {
            let damage = place < known_durable;
            if damage {
                replayed.damaged.push(place);
            }
            !damage
        });
        while candidates.front().is_some_and(|candidate| candidate.end <= known_durable)
            && let Some(candidate) = candidates.pop_front()
        {
            apply(&mut replayed, candidate);
        }
    }
    for candidate in candidates {
        let torn = suspects.iter().any(|&place| place < candidate.end);
        let disbelieved = limit.is_some_and(|limit| candidate.end > limit);
        if torn || disbelieved || !is_whole(log, &candidate)? {
            log::info!("{}: an unfinished commit at {:?} is cut off", log.dir(), candidate.start);
            break;
        }
        replayed.unmarked |= !candidate.frames.is_empty();
        apply(&mut replayed, candidate);
    }
    replayed.durable = known_durable;
    Ok(replayed)
}

fn apply(replayed: &mut Replayed, candidate: Candidate) {
    for frame in &candidate.frames {
        replayed.index.apply(&frame.record, frame.place);
    }
    replayed.index.apply(&Record::Commit { durable: Place::default() }, candidate.end);
    replayed.end = candidate.end;
}

fn is_whole(log: &Log, candidate: &Candidate) -> std::io::Result<bool> {
    for frame in &candidate.frames {
        if frame.body_len > 0 && !log.body_is_whole(frame)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens an account, creating it when it is not there. Where the beginning of its log and both checkpoints are
/// lost, that fails, unless what can be saved is to be `salvage`d.
///
/// # Errors
/// [`Error::Io`], [`Error::Full`].
pub async fn open(
    flash: Rc<dyn Flash>,
    summarize: Summarize,
    sizes: Sizes,
    name: &str,
    dir: String,
    limit: Option<Place>,
    salvage: bool,
) -> Result<Rc<Account>, Error> {
    let log_dir = format!("{dir}/log");
    let io = |error| Error::io(&dir, error);
    for made in [&log_dir, &format!("{dir}/body")] {
        flash.create_dir(made).map_err(io)?;
    }
    let mut log = Log::new(flash.clone(), log_dir, sizes.segment);
    let (start, checkpoints) = start(&*flash, &dir, salvage).await.map_err(io)?;
    let first = log.segments().map_err(io)?.first().copied();
    if !salvage && start.from == Place::default() && first.is_some_and(|first| first != 1) {
        return Err(Error::Damaged(format!(
            "{dir}: no checkpoint can be read; run `pillarbox fsck --repair`"
        )));
    }
    let replayed = replay(&log, start.index, start.from, limit).await.map_err(io)?;
    log.cut(replayed.durable, replayed.end).map_err(io)?;
    let (files, _) = log.take_unsynced();
    for file in files {
        file.sync().await.map_err(io)?;
    }
    // Where the log ends may be a new segment. Where nothing was ever committed the folders may be new, too.
    let folders = [log.dir(), dir.as_str(), "accounts", ""];
    let settled = replayed.end > Place::default();
    for folder in &folders[..if settled { 1 } else { folders.len() }] {
        match flash.sync_dir(folder).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            other => other.map_err(io)?,
        }
    }
    for place in &replayed.damaged {
        log::error!("{dir}: damaged at segment {} offset {}: records are lost", place.segment, place.offset);
    }
    let mut index = replayed.index;
    let damaged = !replayed.damaged.is_empty();
    if !damaged {
        remove_stray_bodies(&*flash, &dir, &index).map_err(io)?;
    }
    index.stirred = true;
    let new = index.mailboxes.is_empty();
    // Without damage it is always there.
    let without_inbox = !new && !index.mailboxes.contains_key(&INBOX);
    let state = State::new(
        index,
        log,
        sizes,
        Checked { checkpoints, tail: replayed.tail, unmarked: replayed.unmarked, damaged },
    );
    let account = Rc::new(Account::new(flash.clone(), summarize, name, dir.clone(), state));
    if without_inbox {
        account.furnish(&FURNITURE[..1]).await?;
    }
    if new {
        account.furnish(if dir == "queue" { &FURNITURE[..1] } else { &FURNITURE }).await?;
    }
    Ok(account)
}

/// Where the replay begins: at the newest checkpoint that can be read, else at the beginning of the log;
/// where that is gone, and only then, at what can be saved of a checkpoint.
pub async fn start(flash: &dyn Flash, dir: &str, salvage: bool) -> std::io::Result<(Loaded, Checkpoints)> {
    let newest = format!("{dir}/{}", checkpoint::NEWEST);
    let previous = format!("{dir}/{}", checkpoint::PREVIOUS);
    match checkpoint::load(flash, &newest, false).await? {
        Some(Ok(loaded)) => {
            let previous = checkpoint::from(flash, &previous)?;
            let octets = loaded.octets;
            let checkpoints = Checkpoints { newest: Some(loaded.from), previous, octets };
            return Ok((loaded, checkpoints));
        }
        Some(Err(damage)) => log::error!("{newest}: {damage}; the one before it is used"),
        None => {}
    }
    match checkpoint::load(flash, &previous, false).await? {
        Some(Ok(loaded)) => {
            let checkpoints = Checkpoints { newest: None, previous: Some(loaded.from), octets: 0 };
            return Ok((loaded, checkpoints));
        }
        Some(Err(damage)) => log::error!("{previous}: {damage}; the log is read from its beginning"),
        None => {}
    }
    if salvage && !flash.list(&format!("{dir}/log"))?.iter().any(|name| name.parse() == Ok(1)) {
        for path in [&newest, &previous] {
            if let Some(Ok(loaded)) = checkpoint::load(flash, path, true).await? {
                return Ok((loaded, Checkpoints::default()));
            }
        }
    }
    Ok((Loaded { index: Index::default(), from: Place::default(), octets: 0 }, Checkpoints::default()))
}

/// Removes files of bodies that no message refers to: of messages that never arrived whole, or were
/// expunged just before a power cut.
fn remove_stray_bodies(flash: &dyn Flash, dir: &str, index: &Index) -> std::io::Result<()> {
    let used = index.bodies_in_files();
    for name in flash.list(&format!("{dir}/body"))? {
        let number = u32::from_str_radix(&name, 16).ok();
        if !number.is_some_and(|number| used.contains(&number)) {
            flash.remove(&format!("{dir}/body/{name}"))?;
        }
    }
    Ok(())
}
