//! `config.postcard`: the configuration on flash, with a checksum, and earlier configurations beside it.
//!
//! At any moment of a save there is a whole file, under its own name or another one. The newest file that can be read is used,
//! whatever happens:
//!
//! | name | what |
//! |---|---|
//! | `config.postcard` | the configuration |
//! | `….prev` | the configuration before it |
//! | `….older` | the last one of an older format: an older version continues with it when an update is taken back |
//! | `….newer` | one of a newer format: the newer version continues with it when it is back, unless the older one has stored anything since |
//! | `….damaged` | one that cannot be read, for inspection |
//!
//! A save writes a higher generation than any of these files has, so that the operator's last decision has the highest.

use std::io;

use super::Config;
pub use super::frame::{Damage, LARGEST, decode, encode};
use super::frame::{Frame, VERSION, encode_as};
use crate::flash::{self, Flash, Mode};

const FILE: &str = "config.postcard";
const PREVIOUS: &str = "config.postcard.prev";
const OLDER: &str = "config.postcard.older";
const NEWER: &str = "config.postcard.newer";
const NEW: &str = "config.postcard.new";
const DAMAGED: &str = "config.postcard.damaged";

/// All files that may hold a configuration to use. Of two files of one generation the later one in this list counts.
const NAMES: [&str; 4] = [NEWER, OLDER, PREVIOUS, FILE];

/// What [`load`] found.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Counts the saves.
    pub generation: u64,
    /// What the operator has to know when `config.postcard` is not used: why, and what to do.
    pub notice: Option<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused to read or write.
    #[error("{path}: {}", flash::words(source))]
    Io {
        /// The file.
        path: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Neither the file nor the previous one can be used.
    #[error("{path}: {reason}; import a configuration file to replace it")]
    Damaged {
        /// The file.
        path: &'static str,
        /// What is wrong with it.
        reason: Damage,
    },
    /// The file was written by a later version, and no other file can be used.
    #[error("{path}: {reason}; start that version, or import a configuration file to replace it")]
    Newer {
        /// The file.
        path: &'static str,
        /// Which format the file has.
        reason: Damage,
    },
}

impl Error {
    /// Whether the configuration was not stored because the flash takes no changes: see [`flash::takes_no_changes`].
    pub fn takes_no_changes(&self) -> bool {
        matches!(self, Error::Io { source, .. } if flash::takes_no_changes(source))
    }
}

/// The stored configuration; `None` when there never was one. Where another file than `config.postcard` is used,
/// `config.postcard` is set aside, and the notice says so.
///
/// # Errors
/// A file cannot be used, and there is no other one that can.
pub fn load(flash: &dyn Flash) -> Result<Option<Loaded>, Error> {
    load_as(flash, VERSION, Aside::Put)
}

/// What [`load`] would find, for a caller that does not hold the data folder: no file is set aside.
///
/// # Errors
/// As [`load`].
pub fn find(flash: &dyn Flash) -> Result<Option<Loaded>, Error> {
    load_as(flash, VERSION, Aside::Left)
}

/// What happens to `config.postcard` when another file is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aside {
    /// The file gets another name.
    Put,
    /// The file stays: a caller that only looks changes nothing.
    Left,
}

/// The configuration that [`load`] would find. `None` also where no file can be used or read; nothing is set aside.
pub fn peek(flash: &dyn Flash) -> Option<Config> {
    let found = NAMES.iter().filter_map(|name| read(flash, name, VERSION).ok().flatten());
    found.max_by_key(Found::rank)?.config.ok()
}

/// The octets of a file with the configuration that [`peek`] finds.
pub fn peek_encoded(flash: &dyn Flash) -> Option<Vec<u8>> {
    // The data folder that will hold this file has had no saves.
    encode(&peek(flash)?, 1).ok()
}

/// [`load`] or [`find`], as a version that knows formats up to `known`.
fn load_as(flash: &dyn Flash, known: u32, aside: Aside) -> Result<Option<Loaded>, Error> {
    let mut files = Vec::with_capacity(NAMES.len());
    for name in NAMES {
        if let Some(found) = read(flash, name, known)? {
            files.push((name, found));
        }
    }
    let Some((used, _)) = files.iter().max_by_key(|(_, found)| found.rank()) else { return Ok(None) };
    let used = *used;
    let current = files.iter().find(|(name, _)| *name == FILE).map(|(_, found)| found.set_aside(known));
    let place = files.iter().position(|(name, found)| *name == used && found.config.is_ok());
    let Some(Found { config: Ok(config), generation, .. }) = place.map(|at| files.swap_remove(at).1) else {
        return Err(unusable(files));
    };
    let notice = (used != FILE).then(|| {
        let newer = files.iter().any(|(_, found)| matches!(found.config, Err(Damage::Newer(_))));
        use_other_file((aside == Aside::Put).then_some(flash), used, current, newer)
    });
    Ok(Some(Loaded { config, generation, notice }))
}

/// The error where none of the files can be used: what is wrong with the one that matters most.
fn unusable(files: Vec<(&'static str, Found)>) -> Error {
    let mut reasons = files.into_iter().rev().filter_map(|(path, found)| Some((path, found.config.err()?)));
    match reasons.next() {
        Some((path, reason @ Damage::Newer(_))) => Error::Newer { path, reason },
        Some((path, reason)) => Error::Damaged { path, reason },
        None => Error::Damaged { path: FILE, reason: Damage::Content },
    }
}

/// Puts `config.postcard` aside in favour of `used`, and returns what the operator has to know.
///
/// Without a `flash`, or where the flash takes no changes, no file is renamed: the next start finds and decides the same.
fn use_other_file(
    flash: Option<&dyn Flash>,
    used: &str,
    current: Option<&'static str>,
    newer: bool,
) -> String {
    let rename = |from, to| flash.is_some_and(|flash| flash.rename(from, to).is_ok());
    let again = used == NEWER;
    if again && current == Some(NEWER) {
        // Otherwise the file that is set aside would overwrite the one that is used.
        rename(NEWER, OLDER);
    }
    let aside = current.filter(|name| rename(FILE, name));
    if again && current != Some(NEWER) {
        rename(NEWER, FILE);
    }
    let kept = aside.map(|name| format!(", kept as {name}")).unwrap_or_default();
    match current {
        _ if again => format!(
            "the settings that this version had before an older one took its place are used again: nothing was \
             changed in between{kept}"
        ),
        Some(NEWER) => format!(
            "{FILE} is of a newer version{kept}; the settings from before the update are used: the newer version \
             takes its own up again, unless these are changed until then"
        ),
        None if newer => format!(
            "the settings of a newer version wait in {NEWER}; those from before the update are used: the newer \
             version takes its own up again, unless these are changed until then"
        ),
        Some(_) => format!("{FILE} is damaged{kept}; {BEFORE}"),
        None => format!("{FILE} is missing; {BEFORE}"),
    }
}

const BEFORE: &str =
    "the configuration before it is used: look at it with `show config`, then import or commit the right one";

/// What is wrong with the files of the configuration, one line each. Changes nothing.
///
/// # Errors
/// What the system says.
pub fn check(flash: &dyn Flash) -> Result<Vec<String>, Error> {
    let mut damage = Vec::new();
    for path in NAMES.into_iter().rev() {
        match read(flash, path, VERSION)?.map(|found| found.config) {
            // A file of a newer format belongs beside `config.postcard`: it is no damage there.
            Some(Err(Damage::Newer(_))) if path != FILE => {}
            Some(Err(reason)) => damage.push(format!("{path}: {reason}")),
            _ => {}
        }
    }
    Ok(damage)
}

/// Stores the configuration in use anew, twice, so that neither `config.postcard` nor the one before it is damaged. Removes a
/// damaged file of an older or newer format: the version that left it cannot use it either.
///
/// # Errors
/// As [`load`] and [`save`].
pub async fn repair(flash: &dyn Flash) -> Result<(), Error> {
    for path in [OLDER, NEWER] {
        let config = read(flash, path, VERSION)?.map(|found| found.config);
        if config.is_some_and(|config| config.is_err_and(|reason| !matches!(reason, Damage::Newer(_)))) {
            flash.remove(path).map_err(|source| Error::Io { path, source })?;
        }
    }
    if let Some(loaded) = load(flash)? {
        save(flash, &loaded.config).await?;
        save(flash, &loaded.config).await?;
    }
    Ok(())
}

/// The content of one of the files.
struct Found {
    /// 0 where the file is damaged.
    format: u32,
    generation: u64,
    config: Result<Config, Damage>,
}

impl Found {
    /// The file with the highest rank is used: files that can be used rank above the others, and newer ones above older ones.
    fn rank(&self) -> (bool, u64) {
        (self.config.is_ok(), self.generation)
    }

    /// The name that the file gets when another one takes its place, for a version that knows formats up to `known`.
    fn set_aside(&self, known: u32) -> &'static str {
        match &self.config {
            Ok(_) if self.format < known => OLDER,
            Ok(_) => PREVIOUS,
            Err(Damage::Newer(_)) => NEWER,
            Err(_) => DAMAGED,
        }
    }
}

/// The content of the file at `path`, if there is one.
fn read(flash: &dyn Flash, path: &'static str, known: u32) -> Result<Option<Found>, Error> {
    let octets = || -> io::Result<Vec<u8>> {
        let file = flash.open(path, Mode::Read)?;
        // Reading one octet more than fits shows that the file is too long.
        let len = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(LARGEST + 1);
        let mut octets = vec![0; len];
        file.read_exact_at(0, &mut octets)?;
        Ok(octets)
    };
    let octets = match octets() {
        Ok(octets) => octets,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { path, source }),
    };
    Ok(Some(match Frame::of(&octets) {
        Ok(frame) => {
            Found { format: frame.format, generation: frame.generation, config: frame.config(known) }
        }
        Err(damage) => Found { format: 0, generation: 0, config: Err(damage) },
    }))
}

/// Stores `config` and keeps the configuration before it. Returns when `config` is durable.
///
/// # Errors
/// What the system says; then the configuration stored before is still there.
pub async fn save(flash: &dyn Flash, config: &Config) -> Result<(), Error> {
    save_as(flash, config, VERSION, Before::Kept).await
}

/// Stores `config` in place of the current configuration, which is not kept: for changes that nobody has decided. So the
/// previous file still holds the settings from before a person's last change. Returns when `config` is durable.
///
/// # Errors
/// As [`save`].
pub async fn renew(flash: &dyn Flash, config: &Config) -> Result<(), Error> {
    save_as(flash, config, VERSION, Before::Replaced).await
}

/// What becomes of the current configuration, where it has the format that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// It becomes the previous one.
    Kept,
    /// It is replaced, and not kept.
    Replaced,
}

/// [`save`] or [`renew`], as a version that writes format `known`.
async fn save_as(flash: &dyn Flash, config: &Config, known: u32, before: Before) -> Result<(), Error> {
    let (mut newest, mut current, mut done_with_newer) = (0, None, false);
    for name in NAMES {
        let Some(found) = read(flash, name, known)? else { continue };
        newest = newest.max(found.generation);
        match name {
            FILE => current = Some(found.set_aside(known)),
            // This version could have used the newer file. What is stored now is later.
            NEWER => done_with_newer = found.config.is_ok(),
            _ => {}
        }
    }
    let store = async {
        let octets = encode_as(config, newest.saturating_add(1), known)?;
        let aside = current.filter(|name| before == Before::Kept || *name != PREVIOUS);
        store(flash, &octets, aside).await?;
        if done_with_newer && current != Some(NEWER) {
            flash.remove(NEWER)?;
        }
        Ok(())
    };
    store.await.map_err(|source| Error::Io { path: FILE, source })
}

/// The order of the steps survives a power cut: the new file is whole before it is renamed, and until then the file before it
/// is found as `config.postcard` or under the name by which it was put aside.
async fn store(flash: &dyn Flash, octets: &[u8], aside: Option<&str>) -> io::Result<()> {
    let file = flash.open(NEW, Mode::Create)?;
    file.write_at(0, octets)?;
    file.sync().await?;
    if let Some(name) = aside {
        flash.rename(FILE, name)?;
    }
    flash.rename(NEW, FILE)?;
    flash.sync_dir("").await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Verifier;
    use crate::flash::sim::SimFlash;

    /// A configuration that is recognised by its number `n`.
    fn numbered(n: u32) -> Config {
        let verifier = Verifier { iterations: 4096, salt: [7; 16], stored_key: [8; 32], server_key: [9; 32] };
        let mut config = Config::demonstration(verifier);
        config.server.max_connections = n;
        config
    }

    fn store(flash: &SimFlash, n: u32) -> Result<(), Error> {
        async_io::block_on(save(flash, &numbered(n)))
    }

    fn stored(flash: &SimFlash) -> Option<Loaded> {
        load(flash).unwrap()
    }

    #[test]
    fn what_was_saved_is_loaded_and_the_one_before_is_kept() {
        let flash = SimFlash::default();
        assert!(stored(&flash).is_none());
        for n in 1..=3 {
            store(&flash, n).unwrap();
            let loaded = stored(&flash).unwrap();
            assert_eq!((loaded.config, loaded.generation, loaded.notice), (numbered(n), n.into(), None));
        }
        let previous = read(&flash, PREVIOUS, VERSION).unwrap().unwrap();
        assert_eq!((previous.config, previous.generation), (Ok(numbered(2)), 2));
        assert_eq!(flash.files().len(), 2);
    }

    #[test]
    fn a_cut_at_any_step_leaves_the_old_or_the_new_one() {
        for step in 0.. {
            let flash = SimFlash::default();
            store(&flash, 1).unwrap();
            store(&flash, 2).unwrap();
            flash.cut_at(flash.steps() + step);
            let saved = store(&flash, 3);
            for seed in 0..50 {
                let after = flash.restart(seed);
                let found = stored(&after).unwrap().config.server.max_connections;
                assert!(found == 3 || found == 2 && saved.is_err(), "step {step}, seed {seed}: {found}");
                store(&after, 4).unwrap();
                assert_eq!(stored(&after).unwrap().config, numbered(4));
            }
            if saved.is_ok() {
                return;
            }
        }
    }

    /// Catches: renewals, one each hour, that push out the settings from before the last change, and a cut that loses both.
    #[test]
    fn what_is_renewed_takes_the_place_of_the_last_one_only() {
        let renew = |flash: &SimFlash, n| async_io::block_on(renew(flash, &numbered(n)));
        for step in 0.. {
            let flash = SimFlash::default();
            store(&flash, 1).unwrap();
            store(&flash, 2).unwrap();
            flash.cut_at(flash.steps() + step);
            let renewed = renew(&flash, 3);
            for seed in 0..20 {
                let after = flash.restart(seed);
                let found = stored(&after).unwrap();
                let n = found.config.server.max_connections;
                assert!(n == 3 || n == 2 && renewed.is_err(), "step {step}: {n}");
                assert_eq!(found.notice, None);
                let previous = read(&after, PREVIOUS, VERSION).unwrap().unwrap();
                assert_eq!(previous.config, Ok(numbered(1)), "step {step}");
            }
            if renewed.is_ok() {
                return;
            }
        }
    }

    /// Catches: a renewal that removes the last settings of an older format, without which an update could not be taken back.
    #[test]
    fn what_is_renewed_keeps_what_an_older_version_goes_on_with() {
        let flash = SimFlash::default();
        store_as(&flash, 1, OLD).unwrap();
        async_io::block_on(save_as(&flash, &numbered(2), UPDATED, Before::Replaced)).unwrap();
        assert_eq!((starts(&flash, UPDATED).0, starts(&flash, OLD).0), (2, 1));
    }

    #[test]
    fn every_damaged_bit_is_found_and_the_previous_one_used_loudly() {
        let flash = SimFlash::default();
        store(&flash, 1).unwrap();
        store(&flash, 2).unwrap();
        let size = encode(&numbered(2), 2).unwrap().len();
        for bit in (0..8 * crate::config::frame::HEADER)
            .chain((8 * crate::config::frame::HEADER..8 * size).step_by(31))
        {
            let damaged = flash.restart(0);
            damaged.flip(FILE, bit);
            let loaded = stored(&damaged).unwrap();
            assert_eq!(loaded.config, numbered(1), "bit {bit}");
            assert!(loaded.notice.unwrap().contains("kept as config.postcard.damaged"));
            // The notice comes at every start until there is a good file again.
            assert!(stored(&damaged).unwrap().notice.unwrap().contains("is missing"));
        }
    }

    #[test]
    fn with_both_damaged_nothing_is_made_up() {
        let flash = SimFlash::default();
        store(&flash, 1).unwrap();
        store(&flash, 2).unwrap();
        flash.flip(FILE, 300);
        flash.flip(PREVIOUS, 300);
        for _ in 0..2 {
            let error = load(&flash).unwrap_err().to_string();
            assert_eq!(
                error,
                "config.postcard: damaged: its checksum does not match; import a configuration file to replace it"
            );
        }
        store(&flash, 3).unwrap();
        assert_eq!(stored(&flash).unwrap().config, numbered(3));
    }

    #[test]
    fn full_and_failing_flash_keeps_what_was_there() {
        let flash = SimFlash::default();
        store(&flash, 1).unwrap();
        flash.limit(Some(flash.files().iter().map(|(_, size)| *size as u64).sum()));
        assert!(store(&flash, 2).is_err());
        assert_eq!(stored(&flash).unwrap().config, numbered(1));
        flash.limit(None);
        flash.fail_sync_at(flash.steps() + 3);
        assert!(store(&flash, 3).is_err());
        assert_eq!(stored(&flash.restart(1)).unwrap().config, numbered(1));
    }

    /// The format of the version that an update replaces.
    const OLD: u32 = VERSION;
    /// The format of the version that an update installs.
    const UPDATED: u32 = VERSION + 1;

    fn store_as(flash: &SimFlash, n: u32, known: u32) -> Result<(), Error> {
        async_io::block_on(save_as(flash, &numbered(n), known, Before::Kept))
    }

    /// The number of the configuration that a version starts with, and its notice.
    fn starts(flash: &SimFlash, known: u32) -> (u32, String) {
        let loaded = load_as(flash, known, Aside::Put).unwrap().unwrap();
        (loaded.config.server.max_connections, loaded.notice.unwrap_or_default())
    }

    /// A flash on which the old version has stored 1 and 2, and the updated one 3, 4 and 5.
    fn updated() -> SimFlash {
        let flash = SimFlash::default();
        for (n, known) in [(1, OLD), (2, OLD), (3, UPDATED), (4, UPDATED), (5, UPDATED)] {
            store_as(&flash, n, known).unwrap();
            assert_eq!(starts(&flash, known), (n, String::new()));
        }
        flash
    }

    #[test]
    fn an_update_that_is_taken_back_brings_back_the_settings_from_before_it() {
        let flash = updated();
        assert!(check(&flash).unwrap().iter().any(|line| line.contains("by a newer Pillarbox in format 6")));
        let (found, notice) = starts(&flash, OLD);
        assert_eq!(found, 2);
        assert!(notice.contains("of a newer version, kept as config.postcard.newer"), "{notice}");
        // The notice comes at every start, until something is stored.
        for _ in 0..2 {
            let (found, notice) = starts(&flash, OLD);
            assert!(found == 2 && notice.contains("wait in config.postcard.newer"), "{notice}");
        }
        assert_eq!(check(&flash).unwrap(), [""; 0]);
        // Nothing was changed: the newer version continues with its own settings.
        let back = flash.copy();
        let (found, notice) = starts(&back, UPDATED);
        assert!(found == 5 && notice.contains("are used again"), "{notice}");
        assert_eq!(starts(&back, UPDATED), (5, String::new()));
        // Back and forth once more.
        assert_eq!(starts(&back, OLD).0, 2);
        assert_eq!(starts(&back, UPDATED).0, 5);
    }

    #[test]
    fn the_last_word_of_the_operator_counts_whichever_version_he_gave_it_to() {
        let flash = updated();
        assert_eq!(starts(&flash, OLD).0, 2);
        store_as(&flash, 6, OLD).unwrap();
        assert_eq!(starts(&flash, OLD), (6, String::new()));
        assert_eq!(starts(&flash, UPDATED), (6, String::new()));
        store_as(&flash, 7, UPDATED).unwrap();
        assert!(flash.files().iter().all(|(name, _)| name != NEWER), "nobody needs it any more");
        assert_eq!(starts(&flash, OLD).0, 6);
        assert_eq!(starts(&flash, UPDATED).0, 7);
    }

    #[test]
    fn without_any_older_one_the_newer_one_is_named_and_stays() {
        let flash = SimFlash::default();
        store_as(&flash, 1, UPDATED).unwrap();
        for _ in 0..2 {
            let error = load_as(&flash, OLD, Aside::Put).unwrap_err();
            assert!(matches!(error, Error::Newer { path: FILE, .. }), "{error}");
        }
        // An import takes the place of the newer version's file, which is kept.
        store_as(&flash, 2, OLD).unwrap();
        assert_eq!(starts(&flash, OLD), (2, String::new()));
        assert!(flash.files().iter().any(|(name, _)| name == NEWER));
        assert_eq!(starts(&flash, UPDATED), (2, String::new()));
    }

    #[test]
    fn a_damaged_file_of_an_updated_version_gives_way_to_the_newest_that_is_left() {
        let flash = SimFlash::default();
        store_as(&flash, 1, OLD).unwrap();
        store_as(&flash, 2, OLD).unwrap();
        store_as(&flash, 3, UPDATED).unwrap();
        flash.flip(FILE, 300);
        let (found, notice) = starts(&flash, UPDATED);
        assert!(found == 2 && notice.contains("kept as config.postcard.damaged"), "{notice}");
        async_io::block_on(repair(&flash)).unwrap();
        assert_eq!((starts(&flash, UPDATED).0, check(&flash).unwrap()), (2, vec![]));
    }

    /// An update, a fall-back and an update again, with a power cut at each step of every save and of every file that a start
    /// sets aside. The configuration found is always the last that was stored, or the one before if the save failed.
    #[test]
    fn a_cut_at_any_step_between_versions_loses_no_settings() {
        let steps = [(3, UPDATED), (4, UPDATED), (5, OLD), (6, OLD), (7, UPDATED), (8, OLD)];
        for (at, (n, known)) in steps.into_iter().enumerate() {
            for step in 0.. {
                let flash = SimFlash::default();
                store_as(&flash, 1, OLD).unwrap();
                store_as(&flash, 2, OLD).unwrap();
                for (n, known) in &steps[..at] {
                    starts(&flash, *known);
                    store_as(&flash, *n, *known).unwrap();
                }
                let flash = flash.copy();
                let before = starts(&flash.copy(), known).0;
                flash.cut_at(flash.steps() + step);
                let _ = load_as(&flash, known, Aside::Put);
                let saved = store_as(&flash, n, known);
                for seed in 0..20 {
                    let after = flash.restart(seed);
                    let found = starts(&after, known).0;
                    assert!(found == n || found == before && saved.is_err(), "{n}, step {step}: {found}");
                    assert!(starts(&after, UPDATED).0 >= found);
                }
                if saved.is_ok() {
                    break;
                }
            }
        }
    }
}
