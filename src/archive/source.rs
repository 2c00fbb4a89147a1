//! What an import comes from: a Maildir with its folders, mbox files, or an export of ours. It finds out by itself.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::manifest::{EXPORT, Export};
use super::octets::{Form, Octets};
use super::{Format, dovecot, maildir_reader, mbox_reader, names};
use crate::failure::Failure;
use crate::pace::Pace;
use crate::store::{Flags, MailboxNumbers, Uid};

/// Mailboxes in files.
pub struct Source {
    /// In order of name.
    pub mailboxes: Vec<Found>,
    /// Names that are subscribed there.
    pub subscriptions: Vec<String>,
    /// It is an export of ours: the account is to become the same.
    pub export: Option<Export>,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// A mailbox in files.
pub struct Found {
    /// Its name in the account.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    format: Format,
}

/// What is in a mailbox.
#[derive(Default)]
pub struct Contents {
    /// The numbers that it had, where they are known.
    pub numbers: Option<MailboxNumbers>,
    /// By the bits of the messages' flags.
    pub keywords: Vec<String>,
    /// Entries and values.
    pub annotations: Vec<(String, Vec<u8>)>,
    /// In the order of their UIDs, or as they came.
    pub messages: Vec<Entry>,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// A message in a file.
#[derive(Debug)]
pub struct Entry {
    /// The file.
    pub file: Rc<Path>,
    /// Offset and octets of its parts there.
    pub ranges: Vec<(u64, u64)>,
    /// How it stands there.
    pub form: Form,
    /// Its flags.
    pub flags: Flags,
    /// INTERNALDATE.
    pub date: i64,
    /// Its UID, where it is known.
    pub uid: Option<Uid>,
    /// Its MODSEQ, where it is known.
    pub modseq: Option<u64>,
}

impl Entry {
    /// Octets in the file: about those of the message.
    pub fn octets(&self) -> u64 {
        self.ranges.iter().map(|(_, octets)| octets).sum()
    }

    /// Opens it.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(&self) -> io::Result<Octets<'_>> {
        Octets::open(&self.file, &self.ranges, self.form)
    }
}

impl Found {
    /// What is in it.
    ///
    /// # Errors
    /// What the system says.
    pub async fn read(&self, pace: &Pace) -> io::Result<Contents> {
        match self.format {
            Format::Maildir => maildir_reader::read(&self.path, pace).await,
            Format::Mbox => mbox_reader::read(&self.path, pace).await,
        }
    }

    fn new(path: PathBuf, format: Format, name_there: impl FnOnce(&Path) -> String) -> Found {
        let described = match format {
            Format::Maildir => maildir_reader::name(&path),
            Format::Mbox => mbox_reader::name(&path),
        };
        Found { name: described.unwrap_or_else(|| name_there(&path)), path, format }
    }
}

/// What lies at `path`.
///
/// # Errors
/// Neither a Maildir nor mbox files, or what the system says.
pub fn find(path: &Path) -> Result<Source, Failure> {
    let export = match fs::read_to_string(path.join(EXPORT)) {
        Ok(text) => Some(Export::parse(&text).map_err(Failure::at(&path.join(EXPORT)))?),
        Err(_) => None,
    };
    let mut problems = Vec::new();
    let mut mailboxes = match fs::metadata(path).map_err(Failure::at(path))?.is_dir() {
        true => in_folder(path, &mut problems)?,
        false if is_mbox(path).map_err(Failure::at(path))? => {
            vec![Found::new(path.to_owned(), Format::Mbox, mbox_name)]
        }
        false => Vec::new(),
    };
    if mailboxes.is_empty() {
        return Err(Failure::Input(format!(
            "{}: neither a Maildir (it would hold cur and new) nor an mbox file (it would begin with \"From \"), nor a folder of these",
            path.display()
        )));
    }
    mailboxes.sort_by(|a, b| (a.name != "INBOX", &a.name).cmp(&(b.name != "INBOX", &b.name)));
    let subscriptions = match &export {
        Some(export) => export.subscriptions.clone(),
        None => fs::read_to_string(path.join(dovecot::SUBSCRIPTIONS))
            .map(|text| dovecot::parse_subscriptions(&text))
            .unwrap_or_default(),
    };
    Ok(Source { mailboxes, subscriptions, export, problems })
}

fn in_folder(path: &Path, problems: &mut Vec<String>) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    if is_maildir(path) {
        found.push(Found::new(path.to_owned(), Format::Maildir, |_| "INBOX".to_owned()));
    }
    for entry in fs::read_dir(path).map_err(Failure::at(path))? {
        let entry = entry.map_err(Failure::at(path))?.path();
        if is_maildir(&entry) {
            found.push(Found::new(entry, Format::Maildir, |path| names::from_maildir(&file_name(path))));
        } else if entry.is_file() {
            match is_mbox(&entry) {
                Ok(true) => found.push(Found::new(entry, Format::Mbox, mbox_name)),
                Ok(false) => {}
                Err(error) => problems.push(format!("{}: left out: {error}", entry.display())),
            }
        }
    }
    // Files beside Maildirs are not mail.
    if found.iter().any(|found| found.format == Format::Maildir) {
        found.retain(|found| found.format == Format::Maildir);
        problems.clear();
    }
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_maildir(path: &Path) -> bool {
    path.join("cur").is_dir() && path.join("new").is_dir()
}

/// An mbox file begins with `From `; an empty one tells by its name.
fn is_mbox(path: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    fs::File::open(path)?.take(5).read_to_end(&mut begin)?;
    Ok(begin == b"From " || begin.is_empty() && path.extension().is_some_and(|it| it == "mbox"))
}

/// `INBOX` or what the system's own mailbox is called; else the file's name without `.mbox`.
fn mbox_name(path: &Path) -> String {
    let name = file_name(path);
    let stem = name.strip_suffix(".mbox").unwrap_or(&name);
    match stem.to_ascii_lowercase().as_str() {
        "inbox" | "mbox" => "INBOX".to_owned(),
        _ => names::from_mbox(stem),
    }
}

/// The time at which a file was last changed, in seconds since 1970.
pub fn modified(file: &fs::Metadata) -> i64 {
    use std::os::unix::fs::MetadataExt;
    file.mtime()
}
