//! The first configuration: a file that its owner puts on the card's FAT partition with any PC is imported
//! at boot, its secrets are made unreadable in place, and a file beside it tells what happened.
//!
//! Nothing of the FAT's structures changes: both files keep their place and their length. The steps, each
//! durable before the next: the settings are stored; a note in the data folder says where the secrets stand
//! and what the file will be without them; the secrets are overwritten with stars; the note says that it is
//! done. A power cut before the first note lets the same file be imported once more, one between the two lets
//! the note finish the work, and a half overwritten password is never taken for one.
//!
//! Later edits of the file are imported in the same way; stars stand for what is stored.

mod comments;
mod note;
mod words;

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ring::digest;

use crate::certificate;
use crate::config::encoding::Encoding;
use crate::config::problem::{At, Problem};
use crate::config::text::{self, ReadOptions};
use crate::config::{Config, file, secrets};
use crate::data_folder::DataFolder;
use crate::flash::disk::Disk;
use crate::net::mdns::local_name;
use crate::sandbox::owner::give_to_owner;
use note::Note;

/// What is wrong with the file, in one line for the status: where, but not what, as that may name persons.
pub fn refusal(problems: &[Problem]) -> String {
    /// Lines that are named.
    const NAMED: usize = 8;
    let errors = problems.iter().filter(|problem| problem.is_error());
    let mut lines: Vec<usize> = Vec::new();
    let mut elsewhere = false;
    for problem in errors {
        match &problem.at {
            At::Line(line) => lines.push(*line),
            At::Path(_) => elsewhere = true,
        }
    }
    lines.sort_unstable();
    lines.dedup();
    let more = lines.len().saturating_sub(NAMED);
    let numbers: Vec<String> = lines.iter().take(NAMED).map(usize::to_string).collect();
    let mut places = match &numbers[..] {
        [] => String::new(),
        [line] => format!("line {line}"),
        _ => format!("lines {}", numbers.join(", ")),
    };
    if more > 0 {
        places += &format!(" and {more} more");
    }
    if elsewhere || places.is_empty() {
        places += if places.is_empty() { "the file as a whole" } else { ", and in the file as a whole" };
    }
    format!(
        "{} on the card was refused, and nothing was changed: mistakes in {places}; {} beside it says which",
        NAMES[0],
        words::RESULT
    )
}

/// What the file is called; the second name is what comes of the first where Windows hides endings.
const NAMES: [&str; 2] = ["pillarbox.toml", "pillarbox.toml.txt"];

/// What became of the file.
#[derive(Debug)]
pub enum Outcome {
    /// There is none.
    NoFile,
    /// It was imported before, and has not changed since.
    Known,
    /// The same, but the power went before its secrets were unreadable. Now they are.
    Blanked,
    /// The same, and an earlier version has left secrets in its comments readable. Now they are not: the lines.
    CommentsBlanked(Vec<usize>),
    /// It is stored, and its secrets are unreadable.
    Imported {
        /// What is stored.
        config: Box<Config>,
        /// What is probably not as meant.
        warnings: Vec<Problem>,
        /// The lines whose comments held secrets.
        comments: Vec<usize>,
    },
    /// It has mistakes, and nothing was changed.
    Refused(Vec<Problem>),
}

/// Why it was given up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the system says about a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The settings could not be stored.
    #[error("{0}")]
    Store(String),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

/// Imports the file on `card` into the data folder `data`, where it is new. The appliance does not run yet.
/// The result file on the card is written when there is something new to say; it tells how the device is reached, too, and the
/// fingerprint of its CA.
///
/// # Errors
/// What the system says.
pub fn import(card: &Path, data: &Path) -> Result<Outcome, Error> {
    let found = read(card)?;
    let outcome = match &found {
        None => Ok(Outcome::NoFile),
        Some((name, octets)) => take(&card.join(name), octets, data),
    };
    let name = found.map_or(NAMES[0], |(name, _)| name);
    let words = match &outcome {
        Ok(Outcome::NoFile) => {
            let stored = stored(data);
            let config = stored.clone().unwrap_or_else(Config::on_a_board);
            words::no_file(name, &Reached::now(&config, data)?, stored.is_some())
        }
        Ok(Outcome::Known) => match stored(data) {
            Some(config) => {
                let reached = Reached::now(&config, data)?;
                if words::say(card, &reached).map_err(at(&card.join(words::RESULT)))? {
                    return outcome;
                }
                words::known(name, &reached)
            }
            None => return outcome,
        },
        Ok(Outcome::Blanked) => words::blanked(name),
        Ok(Outcome::CommentsBlanked(lines)) => words::comments_blanked(name, lines),
        Ok(Outcome::Imported { config, warnings, comments }) => {
            words::imported(name, config, warnings, comments, &Reached::now(config, data)?)
        }
        Ok(Outcome::Refused(problems)) => words::refused(name, problems),
        Err(error) => words::given_up(name, &error.to_string()),
    };
    words::write(card, &words).map_err(at(&card.join(words::RESULT)))?;
    outcome
}

/// What is stored, if it can be read. Where another file takes its place, that is the daemon's to do and to tell.
fn stored(data: &Path) -> Option<Config> {
    file::peek(&Disk::new(data).ok()?)
}

/// How the device is reached, and known when it is.
struct Reached {
    /// Its name on the network.
    host: String,
    /// The SHA-256 fingerprint of its CA; `None` where the settings name a certificate from elsewhere, or none can be made.
    fingerprint: Option<String>,
}

impl Reached {
    /// Makes the certificates, too, where there are none: their fingerprint has to be on the card before anybody sees them.
    fn now(config: &Config, data: &Path) -> Result<Reached, Error> {
        let flash = Disk::new(data).map_err(at(data))?;
        if !certificate::is_given(config)
            && let Err(error) = async_io::block_on(certificate::server_config(config, &flash))
        {
            log::warn!("{error}");
        }
        give_to_owner(data).map_err(at(data))?;
        let fingerprint = certificate::local_ca(config, &flash)
            .and_then(|pem| certificate::of_pem(&pem))
            .map(|ca| ca.fingerprint);
        Ok(Reached { host: local_name(&config.server.hostname), fingerprint })
    }
}

/// The file and its name.
fn read(card: &Path) -> Result<Option<(&'static str, Vec<u8>)>, Error> {
    for name in NAMES {
        let path = card.join(name);
        match File::open(&path) {
            Ok(file) => {
                let mut octets = Vec::new();
                // UTF-16 takes twice the room; one octet more is enough to find out that it is too long.
                let limit = 2 * text::MAX_TEXT as u64 + 3;
                file.take(limit).read_to_end(&mut octets).map_err(at(&path))?;
                return Ok(Some((name, octets)));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(&path)(error)),
        }
    }
    Ok(None)
}

fn take(path: &Path, octets: &[u8], data: &Path) -> Result<Outcome, Error> {
    let flash = Rc::new(Disk::new(data).map_err(at(data))?);
    if let Some(mut note) = Note::read(&*flash).map_err(at(&data.join(note::NAME)))? {
        let torn = note.is_torn(octets);
        if torn {
            overwrite(path, octets, note.encoding, &note.places).map_err(at(path))?;
        }
        if torn || note.is_of(octets) {
            let was_whole = note.is_of(octets);
            if note.pending {
                note.pending = false;
                write(&note, &flash, data)?;
            }
            if !was_whole {
                return Ok(Outcome::Blanked);
            }
            let secrets = Secrets::of(octets);
            if secrets.in_comments.is_empty() {
                return Ok(Outcome::Known);
            }
            return secrets.make_unreadable(path, octets, &flash, data).map(Outcome::CommentsBlanked);
        }
    }
    let folder = DataFolder::hold(data, flash.clone()).map_err(|failure| Error::Store(failure.words()))?;
    // Not more than a look, as long as the file may be refused. What cannot be read is replaced by what is imported; but
    // what the system does not give now is there still.
    let stored = match file::find(&*flash) {
        Ok(found) => found.map(|found| found.config),
        Err(error @ file::Error::Io { .. }) => return Err(Error::Store(error.to_string())),
        Err(_) => None,
    };
    let encoding = Encoding::of(octets);
    let text = encoding.decoded(octets);
    let ways = ReadOptions { defaults: Config::on_a_board(), stars_are_stored: true };
    let mut parsed = match text::parse_with_options(&text, stored.as_ref(), ways) {
        Ok(parsed) => parsed,
        Err(problems) => return Ok(Outcome::Refused(problems)),
    };
    // What is in the way of the new ones goes where it is kept.
    if let Err(error @ file::Error::Io { .. }) = folder.load() {
        return Err(Error::Store(error.to_string()));
    }
    async_io::block_on(folder.replace(stored.as_ref(), &mut parsed.config)).map_err(Error::Store)?;
    let comments = Secrets::of(octets).make_unreadable(path, octets, &flash, data)?;
    Ok(Outcome::Imported { config: Box::new(parsed.config), warnings: parsed.warnings, comments })
}

/// Where a file holds what nobody is to read.
struct Secrets {
    encoding: Encoding,
    /// In octets of the file, ascending: those in force and those in comments.
    places: Vec<Range<usize>>,
    /// The lines whose comments hold some that have no stars yet.
    in_comments: Vec<usize>,
}

impl Secrets {
    fn of(octets: &[u8]) -> Secrets {
        let encoding = Encoding::of(octets);
        let text = encoding.decoded(octets);
        let text = String::from_utf8_lossy(&text);
        let comments = comments::places(&text);
        let (mut in_comments, mut line, mut counted) = (Vec::new(), 1, 0);
        for place in &comments {
            line += text.get(counted..place.start).unwrap_or_default().matches('\n').count();
            counted = place.start;
            let is_new = in_comments.last() != Some(&line);
            if is_new && text.get(place.clone()).is_some_and(|value| value.contains(|c| c != '*')) {
                in_comments.push(line);
            }
        }
        let mut places = secrets::places(&text);
        places.extend(comments);
        places.sort_by_key(|place| place.start);
        Secrets { encoding, places: encoding.in_file(&text, &places), in_comments }
    }

    /// Puts stars in their place, and notes that the file is the one that was imported; durable on return. The lines of the
    /// comments.
    fn make_unreadable(
        self,
        path: &Path,
        octets: &[u8],
        flash: &Disk,
        data: &Path,
    ) -> Result<Vec<usize>, Error> {
        let mut note = Note::new(octets, self.encoding, self.places);
        write(&note, flash, data)?;
        overwrite(path, octets, self.encoding, &note.places).map_err(at(path))?;
        note.pending = false;
        write(&note, flash, data)?;
        Ok(self.in_comments)
    }
}

/// Durable on return.
fn write(note: &Note, flash: &Disk, data: &Path) -> Result<(), Error> {
    async_io::block_on(note.write(flash)).map_err(at(&data.join(note::NAME)))?;
    give_to_owner(data).map_err(at(data))
}

/// Puts stars in place of the secrets, and returns when they are durable.
fn overwrite(path: &Path, octets: &[u8], encoding: Encoding, places: &[Range<usize>]) -> io::Result<()> {
    if places.is_empty() {
        return Ok(());
    }
    let mut blanked = octets.to_vec();
    encoding.blank(&mut blanked, places);
    let file = File::options().write(true).open(path)?;
    for place in places {
        let stars = blanked.get(place.clone()).unwrap_or_default();
        file.write_all_at(stars, place.start as u64)?;
    }
    file.sync_all()
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, octets).as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests;
