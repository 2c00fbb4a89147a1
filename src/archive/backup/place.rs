//! What was read of a backup takes the place of what there was, and that is set aside: whole at any cut.
//!
//! A backup is read into [`NEW`]. When all of it is there and believed, a plan is written beside it, and one rename to
//! [`READY`] decides: before it nothing has happened, after it every start goes on until it is done ([`settle`]).

use std::collections::BTreeSet;
use std::io;

use super::{ACCOUNTS, CONFIG, LOGIN_KEY, QUEUE, TLS};
use crate::flash::{Flash, Mode};

/// Where a backup is read into.
pub const NEW: &str = "restore.new";
/// What is to be put in place.
pub const READY: &str = "restore.ready";
const PLAN: &str = "plan";
/// Folders with what was there before have this name and a number.
const ASIDE: &str = "before-restore";

/// The folders with what was there before a restore, in the data folder.
pub fn set_aside(flash: &dyn Flash) -> Vec<String> {
    let mut names = flash.list("").unwrap_or_default();
    names.retain(|name| name.strip_prefix(ASIDE).is_some_and(|rest| rest.starts_with('-')));
    names.sort_unstable();
    names
}

/// What makes up a data folder: the settings in all their files, keys, and mail.
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

/// What goes away also where the backup has nothing for its place. Settings stay where there are none in it, and keys.
fn goes_away(own: &str, has_settings: bool) -> bool {
    own == QUEUE || own == ACCOUNTS || has_settings && own.starts_with(CONFIG)
}

/// An empty [`NEW`].
///
/// # Errors
/// What the flash says.
pub async fn begin(flash: &dyn Flash) -> io::Result<()> {
    flash.remove_dir(NEW)?;
    flash.create_dir(NEW)?;
    flash.sync_dir("").await
}

/// Decides that [`NEW`], which is whole and durable, is to take the place of what is there.
///
/// # Errors
/// What the flash says: nothing has changed then.
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

/// Ends what [`decide`] decided, and takes away what was never decided: the folder in which that is what was there before,
/// if there was anything. `None` where nothing was decided. Nobody else may use the data folder.
///
/// # Errors
/// What the flash says. Called again, it goes on.
pub async fn settle(flash: &dyn Flash) -> io::Result<Option<Option<String>>> {
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
        // All was put in place, and a cut came while the rest was taken away.
        flash.remove_dir(READY)?;
        flash.sync_dir("").await?;
        return Ok(None);
    }
    let Plan { aside, away } = plan(flash)?;
    let there = |name: &str| -> io::Result<bool> { Ok(flash.list("")?.iter().any(|there| there == name)) };
    for own in OWN {
        let is_new = in_ready.iter().any(|name| name == own);
        // What was put in place already is not set aside.
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
    /// What is set aside though nothing comes in its place.
    away: Vec<String>,
}

fn plan(flash: &dyn Flash) -> io::Result<Plan> {
    /// Octets of a plan at the most.
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
