//! The source of an import: a Maildir with its folders, mbox files or an export of Pillarbox, which are told apart by
//! their files; or another account.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::beneath::{Beneath, link};
use super::manifest::{EXPORT, Export};
use super::octets::{Form, Octets};
use super::{Format, account_reader, dovecot, maildir_reader, mbox_reader, names};
use crate::failure::Failure;
use crate::pace::Pace;
use crate::store::{Account, Flags, MailboxId, MailboxNumbers, Message, Uid};

/// The mailboxes to import.
pub struct Source {
    /// The mailboxes in the order of their names.
    pub mailboxes: Vec<Found>,
    /// Names that are subscribed there.
    pub subscriptions: Vec<String>,
    /// The description of the export, if it is one of Pillarbox: the account is to become the same.
    pub export: Option<Export>,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// A mailbox to import.
pub struct Found {
    /// Its name in the account.
    pub name: String,
    at: At,
}

/// Where a mailbox is.
enum At {
    /// In files: at `path` below `root`.
    Files { root: Rc<Beneath>, path: PathBuf, format: Format },
    /// In another account.
    Account { account: Rc<Account>, id: MailboxId, keeps_use: bool },
}

/// The contents of a mailbox.
#[derive(Default)]
pub struct Contents {
    /// The numbers of the mailbox, if they are known.
    pub numbers: Option<MailboxNumbers>,
    /// The keywords in the order of the bits in the messages' flags.
    pub keywords: Vec<String>,
    /// The annotations: entries and values.
    pub annotations: Vec<(String, Vec<u8>)>,
    /// The messages in the order of their UIDs, or of the files.
    pub messages: Vec<Entry>,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// A message to import.
pub struct Entry {
    /// Where its octets are.
    pub place: Place,
    /// Its flags.
    pub flags: Flags,
    /// INTERNALDATE.
    pub date: i64,
    /// Its UID, if it is known.
    pub uid: Option<Uid>,
    /// Its MODSEQ, if it is known.
    pub modseq: Option<u64>,
}

/// Where the octets of a message are.
pub enum Place {
    /// In a file.
    File(InFile),
    /// In another account.
    Account(Rc<Account>, Message),
}

/// A message in a file.
pub struct InFile {
    /// The folder that `file` is in.
    pub root: Rc<Beneath>,
    /// The path of the file below `root`.
    pub file: Rc<Path>,
    /// Offset and length of the message's parts in the file.
    pub ranges: Vec<(u64, u64)>,
    /// The form of the message in the file.
    pub form: Form,
}

impl Entry {
    /// Octets of the message in its source, which are about those of the message.
    pub fn octets(&self) -> u64 {
        match &self.place {
            Place::File(file) => file.ranges.iter().map(|(_, octets)| octets).sum(),
            Place::Account(_, message) => message.size.into(),
        }
    }

    /// Opens the message for reading.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(&self) -> io::Result<Octets<'_>> {
        match &self.place {
            Place::File(InFile { root, file, ranges, form }) => {
                Ok(Octets::of_file(root.read(file)?, ranges, *form))
            }
            Place::Account(account, message) => match account.body(message) {
                Ok(body) => Ok(Octets::of_body(body, message.size.into())),
                Err(error) => Err(io::Error::other(error)),
            },
        }
    }

    /// The file of the message, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(file) => Some(&file.file),
            Place::Account(..) => None,
        }
    }

    /// Adds a range of the file to the message.
    pub fn goes_on(&mut self, offset: u64, octets: u64) {
        if let Place::File(file) = &mut self.place {
            file.ranges.push((offset, octets));
        }
    }

    /// Where the message is, in words.
    pub fn shown(&self) -> String {
        match &self.place {
            Place::File(InFile { root, file, ranges, .. }) => {
                let at = ranges.first().map_or(0, |(offset, _)| *offset);
                format!("{}, octet {at}", root.shown(file).display())
            }
            Place::Account(account, message) => format!("{}, UID {}", account.name(), { message.uid }),
        }
    }
}

impl Found {
    /// Reads the contents of the mailbox.
    ///
    /// # Errors
    /// What the system says.
    pub async fn read(&self, pace: &Pace) -> io::Result<Contents> {
        match &self.at {
            At::Files { root, path, format: Format::Maildir } => maildir_reader::read(root, path, pace).await,
            At::Files { root, path, format: Format::Mbox } => mbox_reader::read(root, path, pace).await,
            At::Account { account, id, keeps_use } => Ok(account_reader::read(account, *id, *keeps_use)),
        }
    }

    /// Where the mailbox is, for messages.
    pub fn shown(&self) -> PathBuf {
        match &self.at {
            At::Files { root, path, .. } => root.shown(path),
            At::Account { account, .. } => PathBuf::from(&*account.name()),
        }
    }

    /// A mailbox in another account. `keeps_use`: it keeps its special use.
    pub fn in_account(name: String, account: &Rc<Account>, id: MailboxId, keeps_use: bool) -> Found {
        Found { name, at: At::Account { account: account.clone(), id, keeps_use } }
    }

    fn new(
        root: &Rc<Beneath>,
        path: PathBuf,
        format: Format,
        name_there: impl FnOnce(&Path) -> String,
    ) -> Found {
        let described = match format {
            Format::Maildir => maildir_reader::name(root, &path),
            Format::Mbox => mbox_reader::name(root, &path),
        };
        let name = described.unwrap_or_else(|| name_there(&path));
        Found { name, at: At::Files { root: root.clone(), path, format } }
    }
}

/// The mail at `path`.
///
/// # Errors
/// It is neither a Maildir nor mbox files, or the system refuses.
pub fn find(path: &Path) -> Result<Source, Failure> {
    // Without a final slash: with it a link would be followed.
    let path: PathBuf = path.components().collect();
    let kind = fs::symlink_metadata(&path).map_err(Failure::at(&path))?;
    if kind.is_symlink() {
        return Err(Failure::Input(format!("{}: {}", path.display(), link())));
    }
    let is_folder = kind.is_dir();
    let folder = match path.parent().filter(|_| !is_folder) {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => &path,
    };
    let root = Rc::new(Beneath::open(folder).map_err(Failure::at(folder))?);
    let mut problems = Vec::new();
    let mut text = |name: &str| match root.text(name) {
        // Files beside a single mbox file do not belong to it.
        _ if !is_folder => None,
        Ok(text) => text,
        Err(error) => {
            problems.push(format!("{}: not used: {error}", root.shown(name).display()));
            None
        }
    };
    let export = match text(EXPORT) {
        Some(text) => Some(Export::parse(&text).map_err(Failure::at(&root.shown(EXPORT)))?),
        None => None,
    };
    let subscriptions = match &export {
        Some(export) => export.subscriptions.clone(),
        None => {
            text(dovecot::SUBSCRIPTIONS).map(|text| dovecot::parse_subscriptions(&text)).unwrap_or_default()
        }
    };
    let mut mailboxes = match path.file_name().map(Path::new).filter(|_| !is_folder) {
        None => in_folder(&root, &mut problems).map_err(Failure::at(&path))?,
        Some(name) if is_mbox(&root, name).map_err(Failure::at(&path))? => {
            vec![Found::new(&root, name.to_owned(), Format::Mbox, mbox_name)]
        }
        Some(_) => Vec::new(),
    };
    if mailboxes.is_empty() {
        let why = problems.first().map(|problem| format!("; {problem}")).unwrap_or_default();
        return Err(Failure::Input(format!(
            "{}: neither a Maildir (it would hold cur and new) nor an mbox file (it would begin with \"From \"), nor a folder of these{why}",
            path.display()
        )));
    }
    mailboxes.sort_by(|a, b| (a.name != "INBOX", &a.name).cmp(&(b.name != "INBOX", &b.name)));
    Ok(Source { mailboxes, subscriptions, export, problems })
}

/// The mailboxes in the folder `root`. Links that may be mailboxes are reported and not followed.
fn in_folder(root: &Rc<Beneath>, problems: &mut Vec<String>) -> io::Result<Vec<Found>> {
    let left_out =
        |path: &Path, error: &io::Error| format!("{}: left out: {error}", root.shown(path).display());
    let (mut found, mut files) = (Vec::new(), Vec::new());
    if is_maildir(root, Path::new(""), problems) {
        found.push(Found::new(root, PathBuf::new(), Format::Maildir, |_| "INBOX".to_owned()));
    }
    for entry in root.list(Path::new(""))? {
        let (name, kind) = entry?;
        let path = PathBuf::from(name);
        if kind.is_symlink() {
            problems.push(left_out(&path, &link()));
        } else if kind.is_dir() && is_maildir(root, &path, problems) {
            let named = |path: &Path| names::from_maildir(&file_name(path));
            found.push(Found::new(root, path, Format::Maildir, named));
        } else if kind.is_file() {
            files.push(path);
        }
    }
    // Files beside Maildirs are not mail.
    if !found.is_empty() {
        return Ok(found);
    }
    for path in files {
        match is_mbox(root, &path) {
            Ok(true) => found.push(Found::new(root, path, Format::Mbox, mbox_name)),
            Ok(false) => {}
            Err(error) => problems.push(left_out(&path, &error)),
        }
    }
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether the folder holds `cur` and `new`. If one of them is a link, that is reported.
fn is_maildir(root: &Beneath, path: &Path, problems: &mut Vec<String>) -> bool {
    ["cur", "new"].into_iter().all(|part| {
        let part = path.join(part);
        let kind = root.look(&part);
        if kind.as_ref().is_ok_and(fs::Metadata::is_symlink) {
            problems.push(format!("{}: left out: {}", root.shown(part).display(), link()));
        }
        kind.is_ok_and(|kind| kind.is_dir())
    })
}

/// Whether a file is an mbox: it begins with `From `, or is empty and named `.mbox`.
fn is_mbox(root: &Beneath, path: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    root.read(path)?.take(5).read_to_end(&mut begin)?;
    Ok(begin == b"From " || begin.is_empty() && path.extension().is_some_and(|it| it == "mbox"))
}

/// The mailbox of an mbox file: `INBOX` for the usual names of it, otherwise the file's name without `.mbox`.
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
