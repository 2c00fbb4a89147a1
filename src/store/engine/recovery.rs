//! Opening an account: what its checkpoint and its log add up to, and what has to be done before it can go on.
//!
//! Where damage was found nothing is cut off or cleaned up: `fsck` may still save something. Where records are lost
//! whose numbers a client may have been told, damaged or torn, the numbers that are given from then on are
//! higher: no UID is ever given twice.

use std::rc::Rc;

use super::checkpoint::{self, Checkpoints, Loaded, OnDamage};
use super::commit::{Checked, State};
use super::log::Log;
use super::replay::{Replayed, replay};
use super::room::Room;
use super::{Account, Sizes, extracts};
use crate::flash::Flash;
use crate::store::Error;
use crate::store::format::{INBOX, Place};
use crate::store::model::Index;

/// Mailboxes that a new account gets, with the names by which clients know them (RFC 6154).
const FURNITURE: [&str; 6] = ["INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"];

/// Which account is to be opened, and how.
pub struct Wanted<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its folder.
    pub dir: String,
    /// Commits that end behind it are not believed: see `Store::failed`.
    pub limit: Option<Place>,
    /// Where the beginning of its log and both checkpoints are lost.
    pub on_damage: OnDamage,
}

/// Opens an account, creating it when it is not there. On a flash that takes no changes it is open for reading.
///
/// # Errors
/// [`Error::Damaged`] where the beginning of the log and both checkpoints are lost and nothing is to be salvaged;
/// [`Error::Io`], [`Error::Full`]; [`Error::ReadOnly`] where there is nothing to be read.
pub async fn open(
    flash: Rc<dyn Flash>,
    room: &Rc<Room>,
    sizes: Sizes,
    wanted: Wanted<'_>,
) -> Result<Rc<Account>, Error> {
    let Wanted { name, dir, limit, on_damage } = wanted;
    let log_dir = format!("{dir}/log");
    let io = |error| Error::io(&dir, error);
    let mut log = Log::new(flash.clone(), log_dir.clone(), sizes.segment);
    let (start, checkpoints) = start(&*flash, &dir, on_damage).await.map_err(io)?;
    let first = log.segments().map_err(io)?.first().copied();
    if on_damage == OnDamage::Refuse
        && start.from == Place::default()
        && first.is_some_and(|first| first != 1)
    {
        return Err(Error::Damaged(format!(
            "{dir}: no checkpoint can be read; run `pillarbox fsck --repair`"
        )));
    }
    // A process before this one may have seen a sync fail.
    log.drop_cache(start.from.segment).map_err(io)?;
    let replayed = replay(&log, start.index, start.from, limit).await.map_err(io)?;
    let torn = log.octets_behind(replayed.end).map_err(io)?;
    tell(&dir, &replayed, torn);
    let loss = Loss::of(&replayed, torn, &log, sizes).map_err(io)?;
    log.continue_behind(replayed.end).map_err(io)?;
    let writable = ready_for_writing(&*flash, &dir, &mut log, &replayed, loss).await;
    if writable.is_ok() {
        // Before a segment of their number is begun anew.
        let segments = log.segments().map_err(io)?;
        extracts::remove_stray(&*flash, &dir, &segments).await.map_err(io)?;
    }
    let (end, damaged) = (replayed.end, !replayed.damaged.is_empty());
    let mut index = replayed.index;
    if writable.is_ok() && !damaged {
        remove_stray_bodies(&*flash, &dir, &index).map_err(io)?;
    }
    index.stirred = true;
    if damaged || loss != Loss::Nothing {
        // Messages may be gone of which no record says so.
        index.expunged.forget(u64::MAX);
    }
    let new = index.mailboxes.is_empty();
    // Without damage it is always there.
    let without_inbox = !new && !index.mailboxes.contains_key(&INBOX);
    let (tail, unmarked, ready) = (replayed.tail, replayed.unmarked, writable.is_ok());
    let state = State::new(index, log, sizes, Checked { checkpoints, tail, unmarked, damaged, ready });
    let account = Rc::new(Account::new(flash.clone(), room.clone(), name, dir.clone(), state));
    let recovered = match writable {
        Ok(()) if without_inbox => match account.furnish(&FURNITURE[..1]).await {
            Ok(()) => account.renumber_after(loss).await,
            refused => refused,
        },
        Ok(()) if new => account.furnish(if dir == "queue" { &FURNITURE[..1] } else { &FURNITURE }).await,
        Ok(()) => account.renumber_after(loss).await,
        Err(error) => Err(account.refused(&dir, error)),
    };
    match recovered {
        Ok(()) if torn > 0 && !damaged && end > Place::default() => {
            account.log(|log| log.remove_tail(end)).map_err(io)?
        }
        Ok(()) => {}
        // Nothing can be done about a card that takes no changes, but to serve what it holds.
        Err(error) if new || matches!(error, Error::Full) => return Err(error),
        Err(error) => account.stay_unready(&error.to_string()),
    }
    Ok(account)
}

fn tell(dir: &str, replayed: &Replayed, torn: u64) {
    for gap in &replayed.damaged {
        let Place { segment, offset } = gap.from;
        log::error!("{dir}: damaged at segment {segment} offset {offset}: records are lost");
    }
    if torn > 0 {
        let Place { segment, offset } = replayed.end;
        log::info!(
            "{dir}: behind segment {segment} offset {offset} stand {torn} octets of commits that were not finished"
        );
    }
}

/// What may have been lost that clients were told of: numbers of it are not given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing.
    Nothing,
    /// Records of at most so many octets.
    Octets(u64),
    /// Nobody can tell how much.
    Unknown,
}

impl Loss {
    fn of(replayed: &Replayed, torn: u64, log: &Log, sizes: Sizes) -> std::io::Result<Loss> {
        // What was being written when the process was killed was told to nobody.
        let mut octets = if torn > 0 && log.breaks_off_behind(replayed.end)? { 0 } else { torn };
        for gap in replayed.damaged.iter().filter(|gap| gap.from >= replayed.recovered) {
            if !log.segments()?.contains(&gap.from.segment) {
                return Ok(Loss::Unknown);
            }
            octets += gap.octets(sizes.segment);
        }
        Ok(if octets == 0 { Loss::Nothing } else { Loss::Octets(octets) })
    }
}

/// Makes durable what was read, and readies the log for the next commit.
///
/// After a kill, as opposed to a power cut, what was read may so far be only in the system's memory. A tail that is no
/// part of the log is not written over: a segment is begun behind it.
async fn ready_for_writing(
    flash: &dyn Flash,
    dir: &str,
    log: &mut Log,
    replayed: &Replayed,
    loss: Loss,
) -> std::io::Result<()> {
    for made in [log.dir(), &format!("{dir}/body")] {
        flash.create_dir(made)?;
    }
    for file in log.files(replayed.known_durable.segment..=replayed.end.segment)? {
        file.sync().await?;
    }
    if replayed.end == Place::default() {
        // Nothing was ever committed: what lies there of a first commit is in the way of the next one.
        for segment in log.segments()? {
            log.remove(segment)?;
        }
        log.continue_behind(replayed.end)?;
    }
    if loss == Loss::Nothing {
        log.reuse_last_segment()?;
    }
    // Where the log ends may be a new segment, and the checkpoint may be known by its name only in memory. Where nothing was
    // ever committed the folders may be new, too.
    let folders = [log.dir(), dir, "accounts", ""];
    let settled = replayed.end > Place::default();
    for folder in &folders[..if settled { 2 } else { folders.len() }] {
        match flash.sync_dir(folder).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// Where the replay begins: at the newest checkpoint that can be read, else at the beginning of the log;
/// where that is gone, and only then, at what can be saved of a checkpoint.
pub async fn start(
    flash: &dyn Flash,
    dir: &str,
    on_damage: OnDamage,
) -> std::io::Result<(Loaded, Checkpoints)> {
    let newest = format!("{dir}/{}", checkpoint::NEWEST);
    let previous = format!("{dir}/{}", checkpoint::PREVIOUS);
    match checkpoint::load(flash, &newest, OnDamage::Refuse).await? {
        Some(Ok(loaded)) => {
            let previous = checkpoint::beginning(flash, &previous)?;
            let octets = loaded.octets;
            let newest = Some(loaded.from);
            let previous_octets = previous.map_or(0, |(_, octets)| octets);
            let previous = previous.map(|(from, _)| from);
            let checkpoints = Checkpoints { newest, previous, octets, previous_octets };
            return Ok((loaded, checkpoints));
        }
        Some(Err(damage)) => log::error!("{newest}: {damage}; the one before it is used"),
        None => {}
    }
    match checkpoint::load(flash, &previous, OnDamage::Refuse).await? {
        Some(Ok(loaded)) => {
            let (previous, previous_octets) = (Some(loaded.from), loaded.octets);
            let checkpoints = Checkpoints { newest: None, previous, octets: 0, previous_octets };
            return Ok((loaded, checkpoints));
        }
        Some(Err(damage)) => log::error!("{previous}: {damage}; the log is read from its beginning"),
        None => {}
    }
    if on_damage == OnDamage::Salvage
        && !flash.list(&format!("{dir}/log"))?.iter().any(|name| name.parse() == Ok(1))
    {
        for path in [&newest, &previous] {
            if let Some(Ok(loaded)) = checkpoint::load(flash, path, OnDamage::Salvage).await? {
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
