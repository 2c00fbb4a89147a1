//! A mailbox as a Maildir: `cur`, `new`, `tmp`, Dovecot's files and the manifest.
//!
//! The name of a message's file holds UIDVALIDITY and UID, so that a second export knows what is there.

use std::collections::HashMap;

use super::export::{Job, Snapshot};
use super::manifest::{Line, MANIFEST};
use super::target::Batch;
use super::{dovecot, flags, names};
use crate::failure::Failure;
use crate::say::counted;
use crate::store::{Message, Uid};

/// Files of an exported Maildir besides its messages.
const FILES: [&str; 4] = [MANIFEST, dovecot::UIDLIST, dovecot::KEYWORDS, "maildirfolder"];
/// Files that Dovecot makes in a Maildir.
const DOVECOTS: [&str; 3] = ["dovecot.index", "dovecot.index.cache", "dovecot.index.log"];

/// The name of a message's file without flags.
fn base(uid_validity: u32, message: &Message) -> String {
    let Message { uid, date, size, .. } = *message;
    format!("{}.V{uid_validity}U{uid}.pillarbox,S={size}", date.get())
}

/// UIDVALIDITY and UID in the name of an exported message's file.
pub fn numbers_in(name: &str) -> Option<(u32, Uid)> {
    let (numbers, _) = name.split_once(".pillarbox,S=")?;
    let (uid_validity, uid) = numbers.split_once(".V")?.1.split_once('U')?;
    Some((uid_validity.parse().ok()?, uid.parse().ok()?))
}

/// Writes the mailbox.
///
/// # Errors
/// What the system says about the target.
pub async fn write(job: &mut Job<'_>, snapshot: &Snapshot) -> Result<(), Failure> {
    let header = &snapshot.header;
    let folder = names::maildir(&header.name);
    let prefix = folder.as_ref().map(|folder| format!("{folder}/")).unwrap_or_default();
    let target = job.target;
    for part in ["tmp", "new", "cur"] {
        target.create_dir(&format!("{prefix}{part}"))?;
    }
    if folder.is_some() {
        target.put(&format!("{prefix}maildirfolder"), "").await?;
    }
    let mut there = clear(job, snapshot, &prefix).await?;
    let mut uidlist = target.create(format!("{prefix}{}.new", dovecot::UIDLIST))?;
    let mut manifest = target.create(format!("{prefix}{MANIFEST}.new"))?;
    uidlist.write(dovecot::uidlist_head(header.numbers.uid_validity, header.numbers.uid_next).as_bytes())?;
    manifest.write(header.text().as_bytes())?;
    let mut batch = Batch::new(target);
    for &uid in &snapshot.uids {
        let Some(message) = job.message(snapshot, uid) else { continue };
        let base = base(header.numbers.uid_validity, &message);
        let path = format!("{prefix}cur/{base}:2,{}", flags::maildir(message.flags));
        match there.remove(&uid) {
            Some(old) => {
                if old != path {
                    target.rename(&old, &path)?;
                }
                job.tally.message(u64::from(message.size), false);
                job.tally.pace.keep().await;
            }
            None if write_message(job, snapshot, &message, &mut batch, &prefix, &base, path).await? => {}
            None => continue,
        }
        let Message { modseq, date, size, flags, .. } = message;
        uidlist.write(dovecot::uidlist_line(uid, &base).as_bytes())?;
        manifest.write(Line { uid, modseq, date: date.get(), size, flags, place: None }.text().as_bytes())?;
    }
    batch.put_in_place().await?;
    target.sync_dir(&format!("{prefix}cur")).await?;
    target.put(&format!("{prefix}{}", dovecot::KEYWORDS), &dovecot::keywords(&header.keywords)).await?;
    uidlist.put_in_place(&format!("{prefix}{}", dovecot::UIDLIST)).await?;
    manifest.put_in_place(&format!("{prefix}{MANIFEST}")).await?;
    target.sync_dir(folder.as_deref().unwrap_or_default()).await
}

async fn write_message<'a>(
    job: &mut Job<'a>,
    snapshot: &Snapshot,
    message: &Message,
    batch: &mut Batch<'a>,
    prefix: &str,
    base: &str,
    path: String,
) -> Result<bool, Failure> {
    let tmp = format!("{prefix}tmp/{base}");
    let mut draft = job.target.create(tmp.clone())?;
    if !job.copy(snapshot, message, &mut draft, |draft, piece| draft.write(piece)).await? {
        job.target.remove(&tmp)?;
        return Ok(false);
    }
    batch.add(draft, path, message.date.get()).await?;
    job.tally.message(u64::from(message.size), true);
    Ok(true)
}

/// Removes what an interrupted export has left in `tmp`, and messages that the mailbox no longer has. Returns the
/// files of the other messages by UID.
async fn clear(
    job: &mut Job<'_>,
    snapshot: &Snapshot,
    prefix: &str,
) -> Result<HashMap<Uid, String>, Failure> {
    let target = job.target;
    for name in target.list(&format!("{prefix}tmp"))? {
        if numbers_in(&name).is_some() {
            target.remove(&format!("{prefix}tmp/{name}"))?;
        }
    }
    let mut there = HashMap::new();
    let mut strangers = 0;
    for part in ["new", "cur"] {
        for name in target.list(&format!("{prefix}{part}"))? {
            job.tally.pace.keep().await;
            let path = format!("{prefix}{part}/{name}");
            let Some((uid_validity, uid)) = numbers_in(&name) else {
                strangers += 1;
                continue;
            };
            let message = job.message(snapshot, uid).filter(|message| {
                uid_validity == snapshot.header.numbers.uid_validity
                    && target.len(&path) == Some(u64::from(message.size))
            });
            match message {
                Some(_) => drop(there.insert(uid, path)),
                None => target.remove(&path)?,
            }
        }
    }
    if strangers > 0 {
        job.tally.watch.tell(format!(
            "{}: {} not exported from here: left as they are",
            snapshot.header.name,
            counted(strangers as u64, "file")
        ));
    }
    Ok(there)
}

/// Removes the exported files and the folder of a mailbox that the account no longer has.
///
/// # Errors
/// What the system says.
pub fn remove(job: &mut Job, folder: &str) -> Result<(), Failure> {
    for part in ["tmp", "new", "cur"] {
        for name in job.target.list(&format!("{folder}/{part}"))? {
            if numbers_in(&name).is_some() {
                job.target.remove(&format!("{folder}/{part}/{name}"))?;
            }
        }
        job.target.remove_empty_dir(&format!("{folder}/{part}"));
    }
    for name in job.target.list(folder)? {
        let name = name.strip_suffix(".new").unwrap_or(&name);
        if FILES.contains(&name) || DOVECOTS.contains(&name) {
            job.target.remove(&format!("{folder}/{name}"))?;
            job.target.remove(&format!("{folder}/{name}.new"))?;
        }
    }
    if !job.target.remove_empty_dir(folder) {
        job.tally
            .watch
            .tell(format!("{folder}: the mailbox is gone, but the folder holds other files and stays"));
    }
    Ok(())
}
