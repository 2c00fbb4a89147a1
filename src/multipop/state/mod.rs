//! What another program has collected already, read from that program's own file, so that a user who changes over
//! gets nothing twice.
//!
//! [`read()`] recognizes the files of fetchmail, getmail6 and mpop by their content. [`Import`] notes the messages in
//! the ledger of their source. A line that cannot be parsed is passed over alone.

mod import;
mod read;
#[cfg(test)]
mod tests;

pub use import::{Import, Taken};
pub use read::{List, Parsed, read};

use crate::config::{Protocol, Source};

/// A message that another program has collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The server's unique-id; for IMAP `UIDVALIDITY.UID`.
    pub unique_id: String,
    /// When it was collected, in seconds since 1970, if the file tells it.
    pub date: Option<i64>,
}

/// The mailbox that a list belongs to, as far as the file tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// What follows `oldmail-` in the name of getmail's file: server, port, login, and for IMAP the folder.
    pub name: Option<String>,
    /// The login at the server.
    pub user: Option<String>,
    /// The server.
    pub host: Option<String>,
}

impl Origin {
    /// The folder of `source` that the list belongs to, if it belongs to one. With `named` the operator has named the
    /// source, and then only another login speaks against it.
    pub fn folder_of(&self, source: &Source, named: bool) -> Option<String> {
        let same = |told: &Option<String>, ours: &str| {
            told.as_deref().is_some_and(|told| told.eq_ignore_ascii_case(ours))
        };
        match &self.name {
            Some(name) => {
                let folder = named_folder(name, source);
                folder.or_else(|| named.then(|| first_folder(source)))
            }
            None => {
                let is_of = match named {
                    true => self.user.is_none() || same(&self.user, &source.username),
                    false => same(&self.user, &source.username) && same(&self.host, &source.host),
                };
                is_of.then(|| first_folder(source))
            }
        }
    }

    /// The mailbox in words.
    pub fn in_words(&self) -> String {
        match (&self.name, &self.user, &self.host) {
            (Some(name), ..) => name.clone(),
            (None, Some(user), Some(host)) => format!("{user} at {host}"),
            _ => "nobody in particular".to_owned(),
        }
    }
}

fn first_folder(source: &Source) -> String {
    source.wanted_folders().next().unwrap_or("INBOX").to_owned()
}

/// The folder, if getmail names its file for `source` in this way: `SERVER-PORT-LOGIN`, with `-FOLDER` for IMAP.
/// Characters that a file name may not hold are replaced. The port may have changed since.
fn named_folder(name: &str, source: &Source) -> Option<String> {
    let replaced = |text: &str, by: &str| {
        let mut out = String::new();
        let mut before = false;
        for sign in text.chars() {
            let is_odd = "/\\:;<>|".contains(sign);
            match is_odd {
                true if before => {}
                true => out.push_str(by),
                false => out.push(sign.to_ascii_lowercase()),
            }
            before = is_odd;
        }
        out
    };
    let lower = name.to_ascii_lowercase();
    let rest = lower.strip_prefix(&format!("{}-", replaced(&source.host, "-")))?;
    let rest = rest.trim_start_matches(|sign: char| sign.is_ascii_digit());
    let folder = rest.strip_prefix(&format!("-{}", replaced(&source.username, "-")))?;
    if source.protocol == Protocol::Pop3 {
        return folder.is_empty().then(|| first_folder(source));
    }
    let folder = folder.strip_prefix('-')?;
    let known = source.folders.iter().find(|known| replaced(known, ".") == folder);
    // A folder that a pattern matches is known by its own name only.
    let by_pattern = || {
        let is_pattern = |known: &&str| known.contains(['*', '%']);
        let any = source.folders.iter().map(|known| known.as_str()).any(|known| is_pattern(&known));
        any.then(|| name.get(name.len() - folder.len()..).unwrap_or_default().to_owned())
    };
    known.map(|known| known.to_string()).or_else(by_pattern)
}
