//! `restore`: puts a backup in the place of the data in a data folder.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use pillarbox::appliance::{Restored, finish_restore, restore};
use pillarbox::data_folder::{self, DataFolder};
use pillarbox::failure::Failure;
use pillarbox::flash::Flash;
use pillarbox::flash::disk::Disk;

use super::backup::{STANDARD, interrupted};
use super::progress::Shown;
use super::{print, restored};

/// Octets that are read at a time.
const PIECE: usize = 64 * 1024;

/// Puts the backup `src` in the place of the data in `data`.
pub fn run(data: &Path, src: &Path) -> Result<(), Failure> {
    let source = opened(src)?;
    data_folder::tried(data, || restored_into(data, src, source))
}

fn restored_into(
    data: &Path,
    src: &Path,
    (mut source, of_octets, name): (Box<dyn Read>, u64, String),
) -> Result<(), Failure> {
    let flash: Rc<dyn Flash> = Rc::new(Disk::new(data).map_err(Failure::at(data))?);
    let folder = DataFolder::hold(data, flash.clone())?;
    if flash.is_read_only() {
        return Err(Failure::System(format!(
            "{}: the flash takes no changes: restore onto one that works",
            data.display()
        )));
    }
    let space = flash.space().map_err(Failure::at(data))?;
    if of_octets > space.free.saturating_sub(space.last_reserve()) {
        return Err(Failure::System(format!(
            "{}: no room for the backup beside what is there: {} MiB are free, and it has {}: remove something, or restore \
             into an empty folder on a larger card",
            data.display(),
            space.free >> 20,
            of_octets >> 20
        )));
    }
    let shown = Shown::of_octets();
    let heard = |octets| shown.octets(octets, of_octets);
    let work = async { Some(restore(flash.clone(), &mut *source, &heard).await) };
    let given_up = async {
        if src.as_os_str() == STANDARD {
            // A read of standard input blocks, so no signal could be handled meanwhile: there the signal ends the process.
            return std::future::pending().await;
        }
        interrupted().await;
        None
    };
    let outcome = async_io::block_on(smol::future::or(work, given_up));
    shown.end();
    let Some(outcome) = outcome else {
        // Once the whole backup is there, it is too late to give up.
        return match async_io::block_on(finish_restore(&*flash))? {
            Some(aside) => {
                folder.accept_copy()?;
                let aside = aside.map(|aside| set_aside(data, &aside)).unwrap_or_default();
                print(&format!("{name}: restored\n{aside}"))
            }
            None => Err(Failure::System(format!("{name}: given up; nothing was restored"))),
        };
    };
    let done = outcome.map_err(|failure| named(failure, &name))?;
    // A folder that was a copy is now this backup.
    folder.accept_copy()?;
    tell(data, &name, done)
}

/// Opens the backup: its reader, its length in octets (0 where it is not known), and its name.
fn opened(src: &Path) -> Result<(Box<dyn Read>, u64, String), Failure> {
    if src.as_os_str() == STANDARD {
        return Ok((Box::new(io::stdin()), 0, "standard input".to_owned()));
    }
    let file = File::open(src).map_err(Failure::at(src))?;
    let about = file.metadata().map_err(Failure::at(src))?;
    if about.is_dir() {
        let words = format!("{}: a folder: name the file that `pillarbox backup` wrote", src.display());
        return Err(Failure::Input(words));
    }
    let octets = if about.is_file() { about.len() } else { 0 };
    Ok((Box::new(BufReader::with_capacity(PIECE, file)), octets, src.display().to_string()))
}

fn named(failure: Failure, name: &str) -> Failure {
    match failure {
        Failure::Input(words) => Failure::Input(format!("{name}: {words}")),
        other => other,
    }
}

fn tell(data: &Path, name: &str, done: Restored) -> Result<(), Failure> {
    let Restored { contents, accounts, held, aside, problems } = done;
    let mut said = format!(
        "{name}: restored: accounts: {}, files: {}, octets: {}\n",
        contents.accounts, contents.files, contents.octets
    );
    if !contents.settings {
        said += "there are no settings in it: those that are here stay\n";
    }
    for (folder, renewed) in &accounts {
        said += &restored::renewed_line(folder, renewed);
    }
    said.extend(held.iter().map(restored::line));
    if !held.is_empty() {
        said += &format!(
            "queue: messages that are held, since they may have been sent after the backup was made: {}: `pillarbox queue \
             release all` sends them, `pillarbox queue remove all` does not\n",
            held.len()
        );
    }
    said.extend(aside.map(|aside| set_aside(data, &aside)));
    print(&(said + restored::DONE))?;
    match problems.first() {
        None => Ok(()),
        Some(first) => Err(Failure::Input(format!(
            "{}: {} of {} folders were damaged when they were backed up, {first}; run `pillarbox fsck --repair`, then \
             `pillarbox restored --keep-queue`",
            data.display(),
            problems.len(),
            problems.len() + accounts.len()
        ))),
    }
}

fn set_aside(data: &Path, aside: &str) -> String {
    format!(
        "what was there before is in {}: remove that folder when nothing of it is missed\n",
        data.join(aside).display()
    )
}
