//! What another collecting program has collected already, from its own file, so that who changes over gets nothing twice.
//!
//! [`read()`] knows the files of fetchmail, getmail6 and mpop by what stands in them; [`Import`] notes it in the ledger of the
//! source that it belongs to. A line that makes no sense costs that line.

mod import;
mod read;
#[cfg(test)]
mod tests;

pub use import::{Import, Taken};
pub use read::{List, Parsed, read};

use crate::config::{Protocol, Source};

/// A message that was collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The server's unique-id: of IMAP `UIDVALIDITY.UID`.
    pub unique_id: String,
    /// When, in seconds since 1970, where the file says so.
    pub date: Option<i64>,
}

/// Whose list it is, as far as the file says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// What follows `oldmail-` in the name of getmail's file: server, port, login, and for IMAP the folder.
    pub name: Option<String>,
    /// The login there.
    pub user: Option<String>,
    /// The server.
    pub host: Option<String>,
}

impl Origin {
    /// The folder of `source` that it is of, if it is of one; with `named`, the operator says that it is, and nothing may speak
    /// against it but another login.
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

    /// The same in words.
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

/// The folder, where getmail calls its file for `source` so: `SERVER-PORT-LOGIN`, and `-FOLDER` for IMAP. What a file name may not
/// hold is replaced. The port may be another one by now.
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
    // What a pattern stands for is known by its own name only.
    let by_pattern = || {
        let is_pattern = |known: &&str| known.contains(['*', '%']);
        let any = source.folders.iter().map(|known| known.as_str()).any(|known| is_pattern(&known));
        any.then(|| name.get(name.len() - folder.len()..).unwrap_or_default().to_owned())
    };
    known.map(|known| known.to_string()).or_else(by_pattern)
}
