//! An account's mail as files: out of the store into a Maildir or mbox files, and back in.
//!
//! What is exported and imported again is the same: octets, flags, keywords, INTERNALDATE, mailboxes, subscriptions,
//! and where the account was empty UIDs, UIDVALIDITY and MODSEQ too. What Maildir and mbox cannot hold stands in a
//! small text file beside each mailbox (`manifest`). Either way may be interrupted at any moment and begun again:
//! the export looks at which files are there, the import at which messages are.
//!
//! Files are read and written in pieces between which other tasks run, so that it can be done while the appliance serves.

mod account_reader;
pub mod backup;
mod beneath;
mod dovecot;
mod export;
mod flags;
mod from_lines;
mod import;
mod maildir_reader;
mod maildir_writer;
mod manifest;
mod mbox_reader;
mod mbox_writer;
mod names;
mod octets;
mod source;
mod target;
#[cfg(test)]
mod tests;

pub use export::export;
pub use import::{hand_over, import};

/// How mail is laid out in files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// A folder a mailbox and a file a message: Maildir++, as Dovecot writes it.
    #[default]
    Maildir,
    /// A file a mailbox: mboxrd.
    Mbox,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 2] = [Format::Maildir, Format::Mbox];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Maildir => "maildir",
            Format::Mbox => "mbox",
        }
    }

    /// The format of this name.
    pub fn named(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages dealt with, and how many there are.
    pub messages: u64,
    /// All of them.
    pub of_messages: u64,
    /// Their octets dealt with.
    pub octets: u64,
    /// Octets of all of them.
    pub of_octets: u64,
}

/// Who looks on.
pub trait Watch {
    /// It has come so far.
    fn progress(&self, progress: Progress);
    /// Something was not done, or not as expected: one line.
    fn tell(&self, line: String);
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Mailboxes that were dealt with.
    pub mailboxes: u64,
    /// Messages that were written.
    pub written: u64,
    /// Messages that were there already.
    pub unchanged: u64,
    /// Lines told of what was left out.
    pub problems: u64,
}

/// Counts, and tells who looks on.
struct Tally<'a> {
    watch: &'a dyn Watch,
    progress: Progress,
    summary: Summary,
    pace: crate::pace::Pace,
}

impl<'a> Tally<'a> {
    fn new(watch: &'a dyn Watch) -> Tally<'a> {
        Tally {
            watch,
            progress: Progress::default(),
            summary: Summary::default(),
            pace: crate::pace::Pace::new(),
        }
    }
    fn octets(&mut self, octets: u64) {
        self.progress.octets += octets;
        self.watch.progress(self.progress);
    }
    /// One message more is dealt with; `octets` of it have not been counted yet.
    fn message(&mut self, octets: u64, written: bool) {
        self.progress.messages += 1;
        *(if written { &mut self.summary.written } else { &mut self.summary.unchanged }) += 1;
        self.octets(octets);
    }
    /// Something was left out.
    fn problem(&mut self, line: String) {
        self.summary.problems += 1;
        self.watch.tell(line);
    }
}
