//! A Maildir as a mailbox: its files, Dovecot's files beside them, and a manifest if Pillarbox exported it.
//!
//! The name of a file decides about the flags that have a letter, `dovecot-uidlist` about UIDs. So a Maildir that was
//! exported and then used with Dovecot comes back as it is now.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufReader};
use std::path::Path;
use std::rc::Rc;

use super::beneath::{Beneath, link};
use super::dovecot::{self, Uidlist};
use super::flags;
use super::maildir_writer::numbers_in;
use super::manifest::{self, Line, MANIFEST};
use super::octets::Form;
use super::source::{Contents, Entry, InFile, Place, modified};
use crate::pace::Pace;
use crate::store::{Flags, MailboxNumbers, Uid};

/// The mailbox name in the manifest, if there is one.
pub fn name(root: &Beneath, path: &Path) -> Option<String> {
    let text = root.read(path.join(MANIFEST)).ok()?;
    manifest::read(BufReader::new(text), |_| ()).ok().map(|header| header.name)
}

/// What is known of the messages besides their files.
#[derive(Default)]
struct Known {
    numbers: Option<MailboxNumbers>,
    keywords: Vec<String>,
    annotations: Vec<(String, Vec<u8>)>,
    lines: HashMap<Uid, Line>,
    uids: HashMap<String, Uid>,
}

/// Reads the Maildir `path` in `root`.
///
/// # Errors
/// What the system says about its folders.
pub async fn read(root: &Rc<Beneath>, path: &Path, pace: &Pace) -> io::Result<Contents> {
    let mut contents = Contents::default();
    let known = known(root, path, &mut contents.problems);
    for part in ["cur", "new"] {
        let part = path.join(part);
        for entry in root.list(&part)? {
            let (name, _) = entry?;
            pace.keep().await;
            let hidden = name.as_encoded_bytes().starts_with(b".");
            let file = part.join(name);
            let problem = match root.look(&file) {
                Ok(data) if data.is_symlink() => link(),
                Ok(data) if data.is_file() && !hidden => {
                    contents.messages.push(message(root, &file, &data, &known));
                    continue;
                }
                Ok(_) => continue,
                Err(error) => error,
            };
            contents.problems.push(format!("{}: left out: {problem}", root.shown(file).display()));
        }
    }
    // Without UIDs the file names give the order: they begin with the time of arrival.
    contents.messages.sort_by(|a, b| {
        (a.uid.unwrap_or(Uid::MAX), a.date, a.file()).cmp(&(b.uid.unwrap_or(Uid::MAX), b.date, b.file()))
    });
    contents.numbers = known.numbers;
    contents.keywords = known.keywords;
    contents.annotations = known.annotations;
    Ok(contents)
}

fn known(root: &Beneath, path: &Path, problems: &mut Vec<String>) -> Known {
    let mut known = Known::default();
    let not_used = |name: &str, error: io::Error| {
        format!("{}: not used: {error}", root.shown(path.join(name)).display())
    };
    let manifest = path.join(MANIFEST);
    if root.look(&manifest).is_ok() {
        let mut lines = HashMap::new();
        let read = |text| {
            manifest::read(BufReader::new(text), |line| {
                lines.insert(line.uid, line);
            })
        };
        match root.read(&manifest).and_then(read) {
            Ok(header) => {
                known.numbers = Some(header.numbers);
                known.keywords = header.keywords;
                known.annotations = header.annotations;
                known.lines = lines;
            }
            Err(error) => problems.push(not_used(MANIFEST, error)),
        }
    }
    let mut text = |name: &str| {
        let text = root.text(path.join(name));
        text.unwrap_or_else(|error| {
            problems.push(not_used(name, error));
            None
        })
    };
    let uidlist = text(dovecot::UIDLIST);
    if let Some(Uidlist { uid_validity, uid_next, files }) =
        uidlist.as_deref().and_then(dovecot::parse_uidlist)
    {
        let numbers =
            known.numbers.get_or_insert(MailboxNumbers { uid_validity, uid_next, highest_modseq: 1 });
        if numbers.uid_validity == uid_validity {
            numbers.uid_next = numbers.uid_next.max(uid_next);
            known.uids = files.into_iter().map(|(uid, name)| (name, uid)).collect();
        }
    }
    if let Some(text) = text(dovecot::KEYWORDS) {
        for (n, keyword) in dovecot::parse_keywords(&text) {
            if known.keywords.len() <= n {
                known.keywords.resize(n + 1, String::new());
            }
            known.keywords[n] = keyword;
        }
    }
    known
}

fn message(root: &Rc<Beneath>, path: &Path, data: &fs::Metadata, known: &Known) -> Entry {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (base, letters) = name.split_once(":2,").unwrap_or((&name, ""));
    let own = numbers_in(base)
        .filter(|(validity, _)| known.numbers.is_some_and(|numbers| numbers.uid_validity == *validity));
    let line =
        own.and_then(|(_, uid)| known.lines.get(&uid)).filter(|line| u64::from(line.size) == data.len());
    let mut entry = Entry {
        place: Place::File(InFile {
            root: root.clone(),
            file: path.into(),
            ranges: vec![(0, data.len())],
            form: Form { quoted: false, unix_lines: line.is_none() },
        }),
        flags: flags::from_maildir(letters),
        date: modified(data),
        uid: known.uids.get(base).copied(),
        modseq: None,
    };
    if let Some(line) = line {
        let in_name = flags::in_maildir(line.flags);
        entry.modseq = (in_name == entry.flags).then_some(line.modseq);
        entry.flags = entry.flags.with(Flags(line.flags.0 & !in_name.0));
        entry.date = line.date;
        entry.uid = Some(line.uid);
    }
    entry
}
