//! `config.postcard`: the configuration on flash, checksummed, with the previous one beside it.
//!
//! ```text
//! octets  what
//! 8       "pbxconf" and a zero octet
//! 4       format version, 2
//! 8       generation: counts the saves
//! 4       length of the content
//! 4       CRC-32C of the three fields above and the content
//! length  the content: a Config in the postcard wire format
//! ```
//!
//! Numbers are little-endian. At any moment of a save there is a whole file, under its own name or
//! that of the previous one. Every older format version loads: when [`Config`] changes its shape, the
//! shape it had moves into a module of its own, `VERSION` counts up, and a file written before
//! joins the tests.

use std::io;

use serde::de::DeserializeOwned;

use super::{Config, version_1, version_2};
use crate::flash::{Flash, Mode};

const FILE: &str = "config.postcard";
const PREVIOUS: &str = "config.postcard.prev";
const NEW: &str = "config.postcard.new";
const DAMAGED: &str = "config.postcard.damaged";

const MAGIC: &[u8; 8] = b"pbxconf\0";
const VERSION: u32 = 3;
const HEADER: usize = 28;

/// Octets of content, some thousand sources: so much is kept in memory, and no more is ever read.
const MAX_CONTENT: usize = 1 << 20;

/// What [`load`] found.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Counts the saves.
    pub generation: u64,
    /// What the operator has to know when this is not the newest file: why, and what to do.
    pub notice: Option<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("{path}: {source}")]
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
    /// From a later version.
    #[error("{path}: {reason}; start that version, or import a configuration file to replace it")]
    Newer {
        /// The file.
        path: &'static str,
        /// Which version.
        reason: Damage,
    },
}

/// Why octets are no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Another file, or the beginning is damaged.
    #[error("not a configuration of Pillarbox")]
    Magic,
    /// Written by a later version.
    #[error("written by a newer Pillarbox in format {0}, this one knows formats up to {VERSION}")]
    Newer(u32),
    /// Cut off, or something follows.
    #[error("damaged: its length is not the one it had when it was written")]
    Length,
    /// Some octet changed.
    #[error("damaged: its checksum does not match")]
    Checksum,
    /// The checksum matches, the content does not.
    #[error("damaged: its content makes no sense")]
    Content,
}

/// The octets of the file.
///
/// # Errors
/// More accounts and sources than fit.
pub fn encode(config: &Config, generation: u64) -> io::Result<Vec<u8>> {
    let content = postcard::to_stdvec(config).map_err(io::Error::other)?;
    if content.len() > MAX_CONTENT {
        return Err(io::Error::other("there are too many accounts and sources: remove some"));
    }
    let length = u32::try_from(content.len()).map_err(io::Error::other)?;
    let mut octets = Vec::with_capacity(HEADER + content.len());
    octets.extend_from_slice(MAGIC);
    octets.extend_from_slice(&VERSION.to_le_bytes());
    octets.extend_from_slice(&generation.to_le_bytes());
    octets.extend_from_slice(&length.to_le_bytes());
    octets.extend_from_slice(&checksum(&octets, &content).to_le_bytes());
    octets.extend_from_slice(&content);
    Ok(octets)
}

fn checksum(header: &[u8], content: &[u8]) -> u32 {
    let fields = header.get(MAGIC.len()..).unwrap_or_default();
    crc32c::crc32c_append(crc32c::crc32c(fields), content)
}

/// The configuration in the octets of a file, and its generation.
///
/// # Errors
/// What is wrong with them.
pub fn decode(octets: &[u8]) -> Result<(Config, u64), Damage> {
    let rest = octets.strip_prefix(MAGIC).ok_or(Damage::Magic)?;
    let (version, rest) = rest.split_first_chunk().ok_or(Damage::Length)?;
    let version = u32::from_le_bytes(*version);
    if version > VERSION {
        return Err(Damage::Newer(version));
    }
    let (generation, rest) = rest.split_first_chunk().ok_or(Damage::Length)?;
    let (length, rest) = rest.split_first_chunk().ok_or(Damage::Length)?;
    let header = octets.get(..octets.len() - rest.len()).unwrap_or_default();
    let (sum, content) = rest.split_first_chunk().ok_or(Damage::Length)?;
    if usize::try_from(u32::from_le_bytes(*length)) != Ok(content.len()) {
        return Err(Damage::Length);
    }
    if u32::from_le_bytes(*sum) != checksum(header, content) {
        return Err(Damage::Checksum);
    }
    let config = match version {
        1 => whole::<version_1::Config>(content).map(Config::from),
        2 => whole::<version_2::Config>(content).map(Config::from),
        _ => whole(content),
    };
    config.map(|config| (config, u64::from_le_bytes(*generation))).ok_or(Damage::Content)
}

/// The value that is all of `content`.
fn whole<T: DeserializeOwned>(content: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(content) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

/// The stored configuration; `None` when there never was one. A damaged file is set aside as
/// `config.postcard.damaged`, and the previous one is used in its place.
///
/// # Errors
/// A file that cannot be used, and no previous one that can.
pub fn load(flash: &dyn Flash) -> Result<Option<Loaded>, Error> {
    let problem = match read(flash, FILE)? {
        Some(Ok((config, generation))) => return Ok(Some(Loaded { config, generation, notice: None })),
        // Falling back behind a newer version would undo its settings without a word.
        Some(Err(reason @ Damage::Newer(_))) => return Err(Error::Newer { path: FILE, reason }),
        Some(Err(reason)) => Some(reason),
        None => None,
    };
    match (read(flash, PREVIOUS)?, problem) {
        (Some(Ok((config, generation))), problem) => {
            let what = match problem {
                Some(reason) => {
                    let aside = flash.rename(FILE, DAMAGED).is_ok();
                    let kept = if aside { format!(" and kept as {DAMAGED}") } else { String::new() };
                    format!("{FILE} is {reason}{kept}")
                }
                None => format!("{FILE} is missing"),
            };
            let notice = format!(
                "{what}; the configuration before it is used: look at it with `show config`, then import or commit the right one"
            );
            Ok(Some(Loaded { config, generation, notice: Some(notice) }))
        }
        (_, Some(reason)) => Err(Error::Damaged { path: FILE, reason }),
        (Some(Err(reason)), None) => Err(Error::Damaged { path: PREVIOUS, reason }),
        (None, None) => Ok(None),
    }
}

/// What is wrong with the files of the configuration, a line each; changes nothing.
///
/// # Errors
/// What the system says.
pub fn check(flash: &dyn Flash) -> Result<Vec<String>, Error> {
    let mut damage = Vec::new();
    for path in [FILE, PREVIOUS] {
        if let Some(Err(reason)) = read(flash, path)? {
            damage.push(format!("{path}: {reason}"));
        }
    }
    Ok(damage)
}

/// Stores the configuration that is used anew, twice, so that neither of the two files is damaged.
///
/// # Errors
/// As [`load`] and [`save`].
pub async fn repair(flash: &dyn Flash) -> Result<(), Error> {
    if let Some(loaded) = load(flash)? {
        save(flash, &loaded.config).await?;
        save(flash, &loaded.config).await?;
    }
    Ok(())
}

/// The configuration of a file and its generation, or why there is none in it.
type Content = Result<(Config, u64), Damage>;

/// What is in the file at `path`, if there is one.
fn read(flash: &dyn Flash, path: &'static str) -> Result<Option<Content>, Error> {
    let octets = || -> io::Result<Vec<u8>> {
        let file = flash.open(path, Mode::Read)?;
        // One octet more than fits is enough to find out that it does not.
        let len = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(HEADER + MAX_CONTENT + 1);
        let mut octets = vec![0; len];
        file.read_exact_at(0, &mut octets)?;
        Ok(octets)
    };
    match octets() {
        Ok(octets) => Ok(Some(decode(&octets))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { path, source }),
    }
}

/// Stores `config` and keeps the one before it. Returns when it is durable.
///
/// # Errors
/// What the system says; the configuration stored before is still there then.
pub async fn save(flash: &dyn Flash, config: &Config) -> Result<(), Error> {
    let current = read(flash, FILE)?;
    let newest = match &current {
        Some(Ok((_, generation))) => *generation,
        _ => read(flash, PREVIOUS)?.and_then(Result::ok).map_or(0, |(_, generation)| generation),
    };
    store(flash, config, newest.saturating_add(1), current.map(|file| file.is_ok()))
        .await
        .map_err(|source| Error::Io { path: FILE, source })
}

/// The order of the steps is what survives a power cut: the new file is whole before its name is
/// changed, and until then the one before it is found as `config.postcard` or as the previous one.
async fn store(flash: &dyn Flash, config: &Config, generation: u64, current: Option<bool>) -> io::Result<()> {
    let octets = encode(config, generation)?;
    let file = flash.open(NEW, Mode::Create)?;
    file.write_at(0, &octets)?;
    file.sync().await?;
    match current {
        Some(true) => flash.rename(FILE, PREVIOUS)?,
        Some(false) => flash.rename(FILE, DAMAGED)?,
        None => {}
    }
    flash.rename(NEW, FILE)?;
    flash.sync_dir("").await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Verifier;
    use crate::flash::sim::SimFlash;

    /// A configuration that is told apart by its number.
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
        let (previous, generation) = read(&flash, PREVIOUS).unwrap().unwrap().unwrap();
        assert_eq!((previous, generation), (numbered(2), 2));
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

    #[test]
    fn every_damaged_bit_is_found_and_the_previous_one_used_loudly() {
        let flash = SimFlash::default();
        store(&flash, 1).unwrap();
        store(&flash, 2).unwrap();
        let size = encode(&numbered(2), 2).unwrap().len();
        for bit in (0..8 * HEADER).chain((8 * HEADER..8 * size).step_by(31)) {
            // The octets of the version: a newer one is not damage, and nothing else is used instead.
            let version = (MAGIC.len() * 8..MAGIC.len() * 8 + 32).contains(&bit);
            let damaged = flash.restart(0);
            damaged.flip(FILE, bit);
            match load(&damaged) {
                Err(Error::Newer { .. }) => assert!(version),
                loaded => {
                    let loaded = loaded.unwrap().unwrap();
                    assert_eq!(loaded.config, numbered(1), "bit {bit}");
                    assert!(loaded.notice.unwrap().contains("kept as config.postcard.damaged"));
                    // Loud until there is a good one again.
                    assert!(stored(&damaged).unwrap().notice.unwrap().contains("is missing"));
                }
            }
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
    fn anything_but_a_whole_file_is_refused() {
        let whole = encode(&numbered(1), 1).unwrap();
        for end in 0..whole.len() {
            assert!(decode(&whole[..end]).is_err(), "the first {end} octets");
        }
        let longer = [&whole[..], b"\0"].concat();
        assert_eq!(decode(&longer), Err(Damage::Length));
        // A content that was checksummed, but is none.
        for content in [&b""[..], b"\xff\xff\xff\xff\x0f", &whole[HEADER..whole.len() - 1]] {
            let mut octets = whole[..HEADER - 8].to_vec();
            octets.extend_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
            octets.extend_from_slice(&checksum(&octets, content).to_le_bytes());
            octets.extend_from_slice(content);
            assert_eq!(decode(&octets), Err(Damage::Content));
        }
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
}
