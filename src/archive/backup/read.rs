//! Reads a backup into a folder where nothing looks for mail yet.

use std::collections::BTreeSet;
use std::io::{self, Read};

use ring::digest::{Context, SHA256};

use super::tar::{self, BLOCK, Member};
use super::{ACCOUNTS, CONFIG, FIRST, LARGEST_SETTING, LAST, LOGIN_KEY, PIECE, TLS, VERSION};
use crate::failure::Failure;
use crate::flash::{Flash, Mode};
use crate::pace::Pace;

/// Octets of the first and the last member, at most.
const LARGEST_NOTE: u64 = 4096;
/// Octets of a file of mail, at most: segments and messages are counted in 32 bits.
const LARGEST_MAIL: u64 = u32::MAX as u64;

/// What a backup held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contents {
    /// Number of files.
    pub files: u64,
    /// Octets of the files.
    pub octets: u64,
    /// Number of accounts.
    pub accounts: u64,
    /// Whether it held settings.
    pub settings: bool,
}

/// Puts the files in `source` into the empty folder `flash`, durably. `heard` is given the number of octets read.
///
/// # Errors
/// [`Failure::Input`] if it is not a backup, is incomplete, or was changed: the files in the folder must not be used
/// then. [`Failure::System`] if the flash refuses. The texts do not name the source.
pub async fn read(
    flash: &dyn Flash,
    source: &mut dyn Read,
    heard: &dyn Fn(u64),
) -> Result<Contents, Failure> {
    let mut unpacking = Unpacking {
        flash,
        source: Source { source, hash: Context::new(&SHA256), octets: 0 },
        folders: BTreeSet::from([String::new()]),
        contents: Contents::default(),
        pace: Pace::new(),
        heard,
    };
    unpacking.first().await?;
    while unpacking.member().await? {}
    unpacking.source.nothing_follows()?;
    for folder in unpacking.folders.iter().rev() {
        flash.sync_dir(folder).await.map_err(Failure::system(folder))?;
    }
    Ok(unpacking.contents)
}

fn wrong(why: impl std::fmt::Display) -> Failure {
    Failure::Input(format!("{why}; nothing was restored"))
}

/// The stream, and the checksum of what was read.
struct Source<'a> {
    source: &'a mut dyn Read,
    hash: Context,
    octets: u64,
}

impl Source<'_> {
    /// Fills `buffer`. The octets are not added to the checksum yet.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        self.source.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => wrong("the backup is not whole: it breaks off"),
            _ => Failure::System(format!("the backup cannot be read: {error}")),
        })
    }

    fn count(&mut self, octets: &[u8]) {
        self.hash.update(octets);
        self.octets += octets.len() as u64;
    }

    /// Checks that only zeros follow.
    fn nothing_follows(&mut self) -> Result<(), Failure> {
        let mut piece = [0; BLOCK];
        loop {
            match self.source.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(n) if piece[..n].iter().all(|octet| *octet == 0) => {}
                Ok(_) => return Err(wrong("something follows behind the end of the backup")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::System(format!("the backup cannot be read: {error}"))),
            }
        }
    }
}

struct Unpacking<'a> {
    flash: &'a dyn Flash,
    source: Source<'a>,
    /// The folders that were made.
    folders: BTreeSet<String>,
    contents: Contents,
    pace: Pace,
    heard: &'a dyn Fn(u64),
}

impl Unpacking<'_> {
    /// Reads the member that tells that this is a backup.
    async fn first(&mut self) -> Result<(), Failure> {
        const NONE: &str = "this is no backup of Pillarbox: `pillarbox backup` makes one";
        let mut block = [0; BLOCK];
        self.source.fill(&mut block).map_err(|failure| match failure {
            Failure::Input(_) => wrong(NONE),
            other => other,
        })?;
        match tar::parse(&block) {
            Ok(Member::File { path, octets }) if path == FIRST && octets <= LARGEST_NOTE => {
                self.source.count(&block);
                let about = self.note(octets).await?;
                version(&about, "Pillarbox backup ").ok_or_else(|| wrong(NONE))?
            }
            _ => Err(wrong(NONE)),
        }
    }

    /// Takes the next member. `false` if it was the last one.
    async fn member(&mut self) -> Result<bool, Failure> {
        let mut block = [0; BLOCK];
        self.source.fill(&mut block)?;
        let member = tar::parse(&block).map_err(wrong)?;
        match member {
            Member::File { path, octets } if path == LAST => return self.last(octets).await.map(|()| false),
            Member::End => return Err(wrong(format!("the backup is not whole: {LAST} is missing"))),
            Member::Folder(path) => {
                self.source.count(&block);
                self.folder(&path)?;
                let is_account =
                    path.strip_prefix(ACCOUNTS).is_some_and(|rest| rest.matches('/').count() == 1);
                self.contents.accounts += u64::from(is_account);
            }
            Member::File { path, octets } => {
                self.source.count(&block);
                self.file(&path, octets).await?;
            }
        }
        (self.heard)(self.source.octets);
        Ok(true)
    }

    /// Makes a folder and its parent folders.
    fn folder(&mut self, path: &str) -> Result<(), Failure> {
        if self.folders.contains(path) {
            return Ok(());
        }
        self.flash.create_dir(path).map_err(Failure::system(path))?;
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        self.folders.extend(ends.map(|end| path[..end].to_owned()));
        Ok(())
    }

    async fn file(&mut self, path: &str, octets: u64) -> Result<(), Failure> {
        let is_setting = path == CONFIG || path == LOGIN_KEY || path.starts_with(TLS);
        if octets > if is_setting { LARGEST_SETTING } else { LARGEST_MAIL } {
            return Err(wrong(format!("{path}: {octets} octets: larger than any such file")));
        }
        let system = |error: io::Error| match error.kind() {
            io::ErrorKind::StorageFull => Failure::System(no_room(path)),
            _ => Failure::System(format!("{path}: {error}")),
        };
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder)?;
        }
        if self.folders.contains(path) || self.flash.open(path, Mode::Read).is_ok() {
            return Err(wrong(format!("{path} is in the backup twice")));
        }
        let space = self.flash.space().map_err(system)?;
        if space.free < octets.saturating_add(space.last_reserve()) {
            return Err(Failure::System(no_room(path)));
        }
        let file = self.flash.open(path, Mode::Create).map_err(system)?;
        let mut buffer = vec![0; usize::try_from(octets).map_or(PIECE, |octets| octets.min(PIECE))];
        let mut at = 0;
        while at < octets {
            let wanted = usize::try_from(octets - at).map_or(PIECE, |left| left.min(PIECE));
            let piece = &mut buffer[..wanted];
            self.source.fill(piece)?;
            self.source.count(piece);
            file.write_at(at, piece).map_err(system)?;
            at += wanted as u64;
            self.pace.did(wanted as u64).await;
        }
        self.skip_filling(octets)?;
        file.sync().await.map_err(system)?;
        self.contents.settings |= path == CONFIG;
        self.contents.files += 1;
        self.contents.octets += octets;
        Ok(())
    }

    /// The content of a small member.
    async fn note(&mut self, octets: u64) -> Result<String, Failure> {
        let mut note = vec![0; usize::try_from(octets.min(LARGEST_NOTE)).unwrap_or_default()];
        self.source.fill(&mut note)?;
        self.source.count(&note);
        self.skip_filling(octets)?;
        Ok(String::from_utf8_lossy(&note).into_owned())
    }

    fn skip_filling(&mut self, octets: u64) -> Result<(), Failure> {
        let over = usize::try_from(octets % BLOCK as u64).unwrap_or_default();
        if over > 0 {
            let mut filling = [0; BLOCK];
            let filling = &mut filling[over..];
            self.source.fill(filling)?;
            if filling.iter().any(|octet| *octet != 0) {
                return Err(damaged());
            }
            self.source.count(filling);
        }
        Ok(())
    }

    /// Checks what the last member says against what was read.
    async fn last(&mut self, octets: u64) -> Result<(), Failure> {
        if octets > LARGEST_NOTE {
            return Err(damaged());
        }
        let (read, digest) = (self.source.octets, self.source.hash.clone().finish());
        let digest = data_encoding::HEXLOWER.encode(digest.as_ref());
        let end = self.note(octets).await?;
        version(&end, "Pillarbox backup end ").ok_or_else(damaged)??;
        let wanted = format!("octets {read}\nfiles {}\nsha256 {digest}\n", self.contents.files);
        match end.split_once('\n') {
            Some((_, rest)) if rest == wanted => Ok(()),
            _ => Err(damaged()),
        }
    }
}

fn damaged() -> Failure {
    wrong("the backup is damaged: what was read is not what was written")
}

fn no_room(path: &str) -> String {
    format!(
        "{path}: no room for the backup beside what is there: remove something, or restore onto a larger card"
    )
}

/// Whether this version can read a text that begins with `words` and a version number; `None` if it does not.
fn version(text: &str, words: &str) -> Option<Result<(), Failure>> {
    let number: u32 = text.lines().next()?.strip_prefix(words)?.parse().ok()?;
    Some(match number {
        1..=VERSION => Ok(()),
        _ => Err(wrong(format!(
            "the backup was made by a newer Pillarbox in format {number}, this one knows formats up to {VERSION}"
        ))),
    })
}
