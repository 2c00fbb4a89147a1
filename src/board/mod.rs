//! What is particular to a device that boots Pillarbox from a card: who it is, and its run folder.
//!
//! The image says which board it is and of which version, in files under `/etc/pillarbox`; the scripts
//! that start the daemon and the daemon tell each other what happened by files in the run folder, which
//! is in memory and gone with the power. Nothing here is used without `--board`.

pub mod apply;
pub mod device;
pub mod first;
pub mod health;
pub mod mbr;
pub mod media;
pub mod ports;
mod receive;
pub mod remarks;
pub mod settings;
pub mod slots;
pub mod time;
pub mod update;

pub use receive::ReceiveError;

use std::env;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The update that waits to be applied, in the data folder.
pub const UPDATE: &str = "update.pbu";

/// Octets of an identity file or of one in the run folder, at most; what is beyond is not read.
const FILE_MAX: u64 = 4096;

/// In the run folder, the folder of the log, which is in memory: `messages`, and what was in it before as `messages.0`.
pub const LOG: &str = "log";
const LOG_FILES: [&str; 2] = ["messages.0", "messages"];
/// Octets of a log file, at most, and of what is shown of both.
const LOG_FILE_MAX: u64 = 128 << 10;
const LOG_SHOWN: usize = 8 << 10;

/// Where the image says what it is; for tests `PILLARBOX_ETC` names another folder.
pub fn etc() -> PathBuf {
    env::var_os("PILLARBOX_ETC").map_or_else(|| PathBuf::from("/etc/pillarbox"), PathBuf::from)
}

/// Where a board mounts the part of its card that a PC can read; for tests `PILLARBOX_CARD` names another folder.
pub fn card() -> PathBuf {
    env::var_os("PILLARBOX_CARD").map_or_else(|| PathBuf::from("/card"), PathBuf::from)
}

/// Where a board mounts a USB stick; for tests `PILLARBOX_USB` names another folder.
pub fn usb() -> PathBuf {
    env::var_os("PILLARBOX_USB").map_or_else(|| PathBuf::from("/usb"), PathBuf::from)
}

/// The folder below which [`usb`] leads: what is allowed for it holds for what is mounted below it later, too.
pub fn media() -> PathBuf {
    env::var_os("PILLARBOX_USB").map_or_else(|| PathBuf::from("/media"), PathBuf::from)
}

/// What the image says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The board's name: that of its folder in `board/`.
    pub board: String,
    /// The image's version, such as `1.2.0`.
    pub version: String,
    /// What an update has to have, too: boot script, card and supervisor fit each other.
    pub compat: u32,
    /// The minisign public key that updates are signed with; without one no update is taken.
    pub update_key: Option<String>,
}

impl Identity {
    /// Reads the files `board`, `version`, `compat` and `update.pub` in `etc`. What is missing stays empty.
    ///
    /// # Errors
    /// A file that is there and cannot be read, or a `compat` that is no number.
    pub fn read(etc: &Path) -> io::Result<Identity> {
        let compat = match line(&etc.join("compat"))? {
            None => 0,
            Some(text) => text.parse().map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidData, format!("compat: {text:?} is no number"))
            })?,
        };
        Ok(Identity {
            board: line(&etc.join("board"))?.unwrap_or_default(),
            version: line(&etc.join("version"))?.unwrap_or_default(),
            compat,
            update_key: text(&etc.join("update.pub"))?,
        })
    }
}

/// The run folder, `/run/pillarbox` on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    run: PathBuf,
}

impl Board {
    /// Of the folder that `--board` names.
    pub fn new(run: impl Into<PathBuf>) -> Board {
        Board { run: run.into() }
    }

    /// The slot that runs; `None` where nobody has said it.
    pub fn slot(&self) -> Option<slots::Slot> {
        self.text("slot").and_then(|letter| slots::Slot::named(&letter))
    }

    /// Whether that slot is on trial: nobody has found yet that it works.
    pub fn on_trial(&self) -> bool {
        self.has("trial")
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.run
    }

    /// The path of the file `name` in the run folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.run.join(name)
    }

    /// Whether the file `name` is there.
    pub fn has(&self, name: &str) -> bool {
        self.file(name).exists()
    }

    /// The latest whole lines of the log, some hundred; empty where there is none.
    pub fn log(&self) -> String {
        let mut lines = Vec::new();
        for name in LOG_FILES {
            // What cannot be read is not shown; there is nobody else who could.
            lines.extend(
                read(&self.file(LOG).join(name), LOG_FILE_MAX).unwrap_or_default().unwrap_or_default(),
            );
        }
        let from = lines.len().saturating_sub(LOG_SHOWN);
        let begun = if from == 0 { 0 } else { memchr::memchr(b'\n', &lines[from..]).map_or(0, |at| at + 1) };
        String::from_utf8_lossy(&lines[from + begun..]).into_owned()
    }

    /// What the file `name` says, without white space around it; `None` where there is none, or nothing in it.
    pub fn text(&self, name: &str) -> Option<String> {
        text(&self.file(name)).ok().flatten()
    }
}

/// The first octets of a file, `max` at the most; `None` where there is none.
fn read(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut octets = Vec::new();
    file.take(max).read_to_end(&mut octets)?;
    Ok(Some(octets))
}

/// The text of a small file, trimmed.
fn text(path: &Path) -> io::Result<Option<String>> {
    let octets = read(path, FILE_MAX)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&octets).trim().to_owned();
    Ok((!text.is_empty()).then_some(text))
}

/// The first line of a small file.
fn line(path: &Path) -> io::Result<Option<String>> {
    Ok(text(path)?.and_then(|text| text.lines().next().map(|line| line.trim().to_owned())))
}

/// Update files for tests, shared with the scenarios.
#[cfg(test)]
#[path = "../../tests/support/pbu.rs"]
pub(crate) mod signed;

#[cfg(test)]
pub(crate) mod pbu {
    pub(crate) use super::signed::*;

    /// A board that takes the updates that `Pbu::default` makes.
    pub(crate) fn identity() -> super::Identity {
        super::Identity {
            board: "orangepi-pc".to_owned(),
            version: "1.2.0".to_owned(),
            compat: 1,
            update_key: Some(public_key(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_says_what_it_is() {
        let etc = env::temp_dir().join(format!("pillarbox-etc-{}", std::process::id()));
        fs::create_dir_all(&etc).unwrap();
        assert_eq!(Identity::read(&etc).unwrap(), Identity::default());
        for (name, text) in
            [("board", "orangepi-pc\n"), ("version", "1.2.0\n"), ("compat", "1\n"), ("update.pub", "a\nb\n")]
        {
            fs::write(etc.join(name), text).unwrap();
        }
        let identity = Identity {
            board: "orangepi-pc".to_owned(),
            version: "1.2.0".to_owned(),
            compat: 1,
            update_key: Some("a\nb".to_owned()),
        };
        assert_eq!(Identity::read(&etc).unwrap(), identity);
        fs::write(etc.join("compat"), "one\n").unwrap();
        assert!(Identity::read(&etc).is_err());

        let board = Board::new(&etc);
        assert!(board.has("version") && !board.has("clock"));
        assert_eq!((board.text("board").as_deref(), board.text("slot")), (Some("orangepi-pc"), None));
        fs::remove_dir_all(etc).unwrap();
    }

    #[test]
    fn the_end_of_the_log_is_shown_from_a_whole_line_on() {
        let run = env::temp_dir().join(format!("pillarbox-log-{}", std::process::id()));
        let board = Board::new(&run);
        assert_eq!(board.log(), "");
        fs::create_dir_all(run.join("log")).unwrap();
        fs::write(run.join("log/messages"), "new\n").unwrap();
        assert_eq!(board.log(), "new\n");
        fs::write(run.join("log/messages.0"), "old one\n".repeat(LOG_SHOWN)).unwrap();
        let shown = board.log();
        assert!(shown.starts_with("old ") && shown.ends_with("old one\nnew\n"), "{shown:?}");
        assert!((LOG_SHOWN - 10..=LOG_SHOWN).contains(&shown.len()));
        fs::remove_dir_all(run).unwrap();
    }
}
