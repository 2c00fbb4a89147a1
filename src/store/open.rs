//! Reading an account from flash: what was committed, and nothing of what was torn.
//!
//! The log is read once, heads only. A commit carries the place up to which everything was durable
//! when it was written, so a bad frame tells what it is: before a place that some later commit calls
//! durable it is damage, and only the record that it hit is lost; behind it, it is the tail that a
//! power cut tore, never acknowledged, and is cut off.

use std::collections::VecDeque;
use std::rc::Rc;

use super::account::Account;
use super::index::Index;
use super::log::{Log, Scanned, ScannedFrame};
use super::record::{Place, Record};
use super::{Error, Summarize};
use crate::flash::Flash;

/// Mailboxes that a new account gets, with the names by which clients know them (RFC 6154).
const FURNITURE: [&str; 5] = ["INBOX", "Drafts", "Sent", "Junk", "Trash"];

/// What a log adds up to.
pub struct Replayed {
    /// The account's state.
    pub index: Index,
    /// Behind the last whole commit.
    pub end: Place,
    /// Places where records are lost.
    pub damaged: Vec<Place>,
}

/// A commit that was read, not yet known to be whole.
struct Candidate {
    start: Place,
    end: Place,
    frames: Vec<ScannedFrame>,
}

/// Reads the log. Commits that end behind `limit` are not believed: see `Store::failed`.
///
/// # Errors
/// What the flash says; damage is no error.
pub fn replay(log: &Log, limit: Option<Place>) -> std::io::Result<Replayed> {
    let mut replayed = Replayed { index: Index::default(), end: Place::default(), damaged: Vec::new() };
    let mut suspects: Vec<Place> = Vec::new();
    let mut candidates: VecDeque<Candidate> = VecDeque::new();
    let mut frames: Vec<ScannedFrame> = Vec::new();
    let mut known_durable = Place::default();
    let mut scan = log.scan(Place::default())?;
    while let Some(found) = scan.next()? {
        let frame = match found {
            Scanned::Bad(place) => {
                suspects.push(place);
                continue;
            }
            Scanned::Frame(frame) => frame,
        };
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
        apply(&mut replayed, candidate);
    }
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

/// Opens an account, creating it when it is not there.
///
/// # Errors
/// [`Error::Io`], [`Error::Full`].
pub async fn open(
    flash: Rc<dyn Flash>,
    summarize: Summarize,
    name: &str,
    dir: String,
    limit: Option<Place>,
) -> Result<Rc<Account>, Error> {
    let log_dir = format!("{dir}/log");
    let io = |error| Error::io(&dir, error);
    for made in [&log_dir, &format!("{dir}/body")] {
        flash.create_dir(made).map_err(io)?;
    }
    let mut log = Log::new(flash.clone(), log_dir);
    let replayed = replay(&log, limit).map_err(io)?;
    log.cut(replayed.end).map_err(io)?;
    let (files, _) = log.take_unsynced();
    for file in files {
        file.sync().await.map_err(io)?;
    }
    // Where the account is new its folders are, too; where the log ends may be a new segment.
    for folder in [log.dir(), dir.as_str(), "accounts", ""] {
        match flash.sync_dir(folder).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            other => other.map_err(io)?,
        }
    }
    for place in &replayed.damaged {
        log::error!("{dir}: damaged at segment {} offset {}: records are lost", place.segment, place.offset);
    }
    remove_stray_bodies(&*flash, &dir, &replayed.index).map_err(io)?;
    let new = replayed.index.mailboxes.is_empty();
    let account = Rc::new(Account::new(flash.clone(), summarize, name, dir.clone(), replayed.index, log));
    if new {
        account.furnish(if dir == "queue" { &FURNITURE[..1] } else { &FURNITURE }).await?;
    }
    Ok(account)
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
