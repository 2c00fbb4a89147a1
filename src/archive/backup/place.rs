//! Puts the files read from a backup in the place of the present ones, and sets those aside: completely or not at all
//! at any power cut.
//!
//! A backup is read into [`NEW`]. When all of it is there and verified, a plan is written beside it, and one rename
//! to [`READY`] decides: before it nothing has changed, after it every start goes on until the plan is carried out
//! ([`carry_out`]).

use std::collections::BTreeSet;
use std::io;

use super::{ACCOUNTS, CONFIG, LOGIN_KEY, QUEUE, TLS};
use crate::flash::{Flash, Mode};

/// The folder that a backup is read into.
pub const NEW: &str = "restore.new";
/// The folder of a backup that is to be put in place.
pub const READY: &str = "restore.ready";
const PLAN: &str = "plan";
/// The prefix of the folders with the files from before a restore; a number follows.
const ASIDE: &str = "before-restore";

/// The folders in the data folder with the files from before a restore.
pub fn set_aside(flash: &dyn Flash) -> Vec<String> {
    let mut names = flash.list("").unwrap_or_default();
    names.retain(|name| name.strip_prefix(ASIDE).is_some_and(|rest| rest.starts_with('-')));
    names.sort_unstable();
    names
}

/// The contents of a data folder: the settings in all their files, keys, and mail.
const OWN: [&str; 10] = [
    CONFIG,
    "config.postcard.prev",
    "config.postcard.older",
    "config.postcard.newer",
    "config.postcard.damaged",
    "config.postcard.new",
    LOGIN_KEY,
    TLS,
    QUEUE,
    ACCOUNTS,
];

/// Whether a file or folder is set aside even if the backup has none to replace it. Keys stay then, and so do
/// settings if the backup has none.
fn goes_away(own: &str, has_settings: bool) -> bool {
    own == QUEUE || own == ACCOUNTS || has_settings && own.starts_with(CONFIG)
}

/// Makes an empty [`NEW`].
///
/// # Errors
/// What the flash says.
pub async fn begin(flash: &dyn Flash) -> io::Result<()> {
    flash.remove_dir(NEW)?;
    flash.create_dir(NEW)?;
    flash.sync_dir("").await
}

/// Decides that [`NEW`], which is complete and durable, is to replace the present files.
///
/// # Errors
/// What the flash says. Nothing has changed then.
pub async fn decide(flash: &dyn Flash) -> io::Result<()> {
    let there: BTreeSet<String> = flash.list("")?.into_iter().collect();
    let new = flash.list(NEW)?;
    let free = (1_u32..).map(|n| format!("{ASIDE}-{n}")).find(|name| !there.contains(name));
    let aside = free.unwrap_or_default();
    let is_new = |own: &str| new.iter().any(|name| name == own);
    let goes = |own: &&&str| there.contains(**own) && !is_new(own) && goes_away(own, is_new(CONFIG));
    let away: String = OWN.iter().filter(goes).map(|own| format!("away {own}\n")).collect();
    let plan = format!("aside {aside}\n{away}end\n");
    let file = flash.open(&format!("{NEW}/{PLAN}"), Mode::Create)?;
    file.write_at(0, plan.as_bytes())?;
    file.sync().await?;
    flash.sync_dir(NEW).await?;
    flash.rename(NEW, READY)?;
    flash.sync_dir("").await
}

/// Carries out what [`decide`] has decided, and removes a backup that was never decided on. Returns the folder with
/// the files that were there before, if there were any; the outer `None` if nothing was decided. Nobody else may use
/// the data folder.
///
/// # Errors
/// What the flash says. Another call goes on.
pub async fn carry_out(flash: &dyn Flash) -> io::Result<Option<Option<String>>> {
    let there: BTreeSet<String> = flash.list("")?.into_iter().collect();
    if there.contains(NEW) {
        flash.remove_dir(NEW)?;
        flash.sync_dir("").await?;
    }
    if !there.contains(READY) {
        return Ok(None);
    }
    let in_ready = flash.list(READY)?;
    if !in_ready.iter().any(|name| name == PLAN) {
        // Everything was put in place, and a power cut came while the rest was being removed.
        flash.remove_dir(READY)?;
        flash.sync_dir("").await?;
        return Ok(None);
    }
    let Plan { aside, away } = plan(flash)?;
    let there = |name: &str| -> io::Result<bool> { Ok(flash.list("")?.iter().any(|there| there == name)) };
    for own in OWN {
        let is_new = in_ready.iter().any(|name| name == own);
        // Files that were put in place already are not set aside.
        if there(own)? && (is_new || away.iter().any(|away| away == own)) {
            if !there(&aside)? {
                flash.create_dir(&aside)?;
                flash.sync_dir("").await?;
            }
            flash.rename(own, &format!("{aside}/{own}"))?;
            flash.sync_dir(&aside).await?;
            flash.sync_dir("").await?;
        }
        if is_new {
            flash.rename(&format!("{READY}/{own}"), own)?;
            flash.sync_dir("").await?;
            flash.sync_dir(READY).await?;
        }
    }
    let kept = there(&aside)?.then_some(aside);
    flash.remove_dir(READY)?;
    flash.sync_dir("").await?;
    Ok(Some(kept))
}

struct Plan {
    aside: String,
    /// The files that are set aside although nothing replaces them.
    away: Vec<String>,
}

fn plan(flash: &dyn Flash) -> io::Result<Plan> {
    /// Octets of a plan, at most.
    const LARGEST: u64 = 4096;
    let file = flash.open(&format!("{READY}/{PLAN}"), Mode::Read)?;
    let mut text = vec![0; usize::try_from(file.len()?.min(LARGEST)).unwrap_or_default()];
    file.read_exact_at(0, &mut text)?;
    let read = || {
        let text = std::str::from_utf8(&text).ok()?.strip_suffix("end\n")?;
        let mut lines = text.lines();
        let aside = lines.next()?.strip_prefix("aside ")?;
        let number = aside.strip_prefix(ASIDE)?.strip_prefix('-')?;
        number.parse::<u32>().ok()?;
        let away =
            |line: &str| Some(line.strip_prefix("away ").filter(|away| OWN.contains(away))?.to_owned());
        Some(Plan { aside: aside.to_owned(), away: lines.map(away).collect::<Option<_>>()? })
    };
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{READY}/{PLAN} is damaged"));
    read().ok_or_else(damaged)
}
