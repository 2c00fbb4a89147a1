//! Opening an account: reading its checkpoint and its log, and what has to be done before it can be written again.
//!
//! When damage was found, nothing is truncated or cleaned up, since `fsck` may still save something. When records are
//! lost, by damage or a torn write, whose numbers a client may have been told, the numbers that are given from then
//! on are higher: no UID is ever given twice.

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
const STANDARD_MAILBOXES: [&str; 6] = ["INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"];

/// Which account is to be opened, and how.
pub struct Wanted<'a> {
    /// The account's name.
    pub name: &'a str,
    /// The account's folder.
    pub dir: String,
    /// Commits that end after this place are not believed: see `Store::failed`.
    pub limit: Option<Place>,
    /// What to do when the beginning of the log and both checkpoints are lost.
    pub on_damage: OnDamage,
}

/// Opens an account, and creates it when it does not exist. On a read-only flash it is opened for reading.
///
/// # Errors
/// [`Error::Damaged`] when the beginning of the log and both checkpoints are lost and `on_damage` refuses damage;
/// [`Error::Io`], [`Error::Full`]; [`Error::ReadOnly`] when the flash is read-only and there is nothing to read.
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
    // A sync may have failed in an earlier process: only what is on the medium counts.
    log.drop_cache(start.from.segment).map_err(io)?;
    let replayed = replay(&log, start.index, start.from, limit).await.map_err(io)?;
    let torn = log.octets_behind(replayed.end).map_err(io)?;
    tell(&dir, &replayed, torn);
    let loss = Loss::of(&replayed, torn, &log, sizes).map_err(io)?;
    log.continue_behind(replayed.end).map_err(io)?;
    let writable = ready_for_writing(&*flash, &dir, &mut log, &replayed, loss).await;
    if writable.is_ok() {
        // A segment that is begun later must not find extracts of a lost segment of the same number.
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
        // Messages may be gone without a record that says so.
        index.expunged.forget(u64::MAX);
    }
    let new = index.mailboxes.is_empty();
    // Only damage can have removed the INBOX.
    let without_inbox = !new && !index.mailboxes.contains_key(&INBOX);
    let (tail, unmarked, ready) = (replayed.tail, replayed.unmarked, writable.is_ok());
    let state = State::new(index, log, sizes, Checked { checkpoints, tail, unmarked, damaged, ready });
    let account = Rc::new(Account::new(flash.clone(), room.clone(), name, dir.clone(), state));
    let recovered = match writable {
        Ok(()) if without_inbox => match account.create_standard_mailboxes(&STANDARD_MAILBOXES[..1]).await {
            Ok(()) => account.renumber_after(loss).await,
            refused => refused,
        },
        Ok(()) if new => {
            account
                .create_standard_mailboxes(if dir == "queue" {
                    &STANDARD_MAILBOXES[..1]
                } else {
                    &STANDARD_MAILBOXES
                })
                .await
        }
        Ok(()) => account.renumber_after(loss).await,
        Err(error) => Err(account.refused(&dir, error)),
    };
    match recovered {
        Ok(()) if torn > 0 && !damaged && end > Place::default() => {
            account.log(|log| log.remove_tail(end)).map_err(io)?
        }
        Ok(()) => {}
        // A flash that takes no changes: serve what it holds.
        Err(error) if new || matches!(error, Error::Full) => return Err(error),
        Err(error) => account.mark_not_ready(&error.to_string()),
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

/// How much may be lost of what clients were told. Numbers that lost records may have used are not given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing is lost.
    Nothing,
    /// Records of at most so many octets are lost.
    Octets(u64),
    /// It is not known how much is lost.
    Unknown,
}

impl Loss {
    fn of(replayed: &Replayed, torn: u64, log: &Log, sizes: Sizes) -> std::io::Result<Loss> {
        // A commit that was being written when the process was killed was acknowledged to nobody.
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

/// Makes durable what was read, and prepares the log for the next commit.
///
/// After a kill, as opposed to a power cut, what was read may so far be only in the system's memory. A tail that is
/// not part of the log is not overwritten: the log continues in a new segment.
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
        // Nothing was ever committed: the remains of a first commit are in the way of the next one.
        for segment in log.segments()? {
            log.remove(segment)?;
        }
        log.continue_behind(replayed.end)?;
    }
    if loss == Loss::Nothing {
        log.reuse_last_segment()?;
    }
    // The log may end in a new segment, and the checkpoint may have been renamed only in memory. When nothing was
    // ever committed, the folders may be new, too.
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

/// The index from which the replay begins: the newest checkpoint that can be read, else the empty index at the
/// beginning of the log. Only when that beginning is gone, what can be saved of a damaged checkpoint.
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

/// Removes files of bodies that no message refers to: bodies of messages that never arrived whole, or that were
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
