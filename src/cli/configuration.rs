//! `check`, `import` and `export`: the configuration between its text form and its form on flash.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use pillarbox::config::Config;
use pillarbox::config::export::to_toml;
use pillarbox::config::file::{self, Error, Loaded};
use pillarbox::config::problem::Problem;
use pillarbox::config::text::{MAX_TEXT, Parsed, parse};
use pillarbox::console::client;
use pillarbox::flash::Flash;
use pillarbox::flash::disk::Disk;

use super::failure::Failure;
use super::print;

/// Tells every mistake in `file`. With `data`, secrets that are stored there need not be in it.
pub fn check(file: &Path, data: Option<&Path>) -> Result<(), Failure> {
    let stored = match data {
        Some(data) => Some(stored(&existing(data)?, data)?.config),
        None => None,
    };
    let parsed = read(file, stored.as_ref())?;
    let accounts = parsed.config.accounts.len();
    print(&format!("{}: no mistakes, accounts: {accounts}\n", file.display()))
}

/// Stores `file` in `data`, and has the running appliance take it over.
pub fn import(file: &Path, data: &Path) -> Result<(), Failure> {
    let flash = Disk::new(data).map_err(Failure::at(data))?;
    let stored = match file::load(&flash) {
        Ok(loaded) => loaded.map(|loaded| loaded.config),
        // What is imported takes the place of the one that cannot be read.
        Err(error @ (Error::Damaged { .. } | Error::Newer { .. })) => {
            tell(&format!("{}/{error}", data.display()));
            None
        }
        Err(error) => return Err(refused(data)(error)),
    };
    let parsed = read(file, stored.as_ref())?;
    async_io::block_on(file::save(&flash, &parsed.config)).map_err(refused(data))?;
    match client::reload(data) {
        Ok(()) => print(&format!("{}: imported, and in force\n", file.display())),
        Err(client::Error::NotRunning(_)) => print(&format!(
            "{}: imported into {}, in force from the next start on\n",
            file.display(),
            data.display()
        )),
        Err(error) => Err(Failure::System(format!(
            "{}: imported into {}, but the running appliance did not take it over: {error}",
            file.display(),
            data.display()
        ))),
    }
}

/// Prints what is stored in `data`.
pub fn export(data: &Path, with_secrets: bool) -> Result<(), Failure> {
    let loaded = stored(&existing(data)?, data)?;
    print(&to_toml(&loaded.config, with_secrets))
}

/// The data folder, which is not made by looking for it.
fn existing(data: &Path) -> Result<Disk, Failure> {
    match data.is_dir() {
        true => Disk::new(data).map_err(Failure::at(data)),
        false => Err(nothing_stored(data)),
    }
}

fn stored(flash: &dyn Flash, data: &Path) -> Result<Loaded, Failure> {
    let loaded = file::load(flash).map_err(refused(data))?.ok_or_else(|| nothing_stored(data))?;
    if let Some(notice) = &loaded.notice {
        tell(&format!("{}/{notice}", data.display()));
    }
    Ok(loaded)
}

fn nothing_stored(data: &Path) -> Failure {
    Failure::System(format!(
        "{}: no configuration is stored there: `pillarbox import FILE.toml --data DIR` stores one",
        data.display()
    ))
}

/// Reads and checks `file`. Warnings are told, mistakes are the failure.
fn read(file: &Path, stored: Option<&Config>) -> Result<Parsed, Failure> {
    let name = file.display().to_string();
    let mut octets = Vec::new();
    // One octet more than fits is enough to be told that it does not.
    let limit = u64::try_from(MAX_TEXT).unwrap_or(u64::MAX).saturating_add(1);
    File::open(file).and_then(|file| file.take(limit).read_to_end(&mut octets)).map_err(Failure::at(file))?;
    let lines = |problems: &[Problem]| problems.iter().map(|problem| problem.in_file(&name)).collect();
    let parsed = parse(&octets, stored).map_err(|problems| Failure::Problems(lines(&problems)))?;
    let warnings: Vec<String> = lines(&parsed.warnings);
    warnings.iter().for_each(|warning| tell(warning));
    Ok(parsed)
}

fn refused(data: &Path) -> impl FnOnce(Error) -> Failure {
    let data = data.display().to_string();
    move |error| Failure::System(format!("{data}/{error}"))
}

/// One line for the operator that is not the result.
fn tell(line: &str) {
    eprintln!("{line}");
}
