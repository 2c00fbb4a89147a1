//! An account's mail as files: exported from the store into a Maildir or mbox files, and imported from there.
//!
//! An import of an export restores octets, flags, keywords, INTERNALDATE, mailboxes and subscriptions, and in an
//! empty account also UIDs, UIDVALIDITY and MODSEQ. A small text file beside each mailbox holds what Maildir and mbox
//! cannot (`manifest`). Both may be interrupted at any moment and repeated: the export checks which files exist,
//! the import which messages do.
//!
//! Files are read and written in pieces with turns for other tasks between them, so it can be done while the
//! appliance serves.

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

/// The format of mail in files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// A folder for each mailbox and a file for each message: Maildir++ as Dovecot writes it.
    #[default]
    Maildir,
    /// A file for each mailbox: mboxrd.
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

/// How far an export or import has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages that are done.
    pub messages: u64,
    /// All messages.
    pub of_messages: u64,
    /// Octets of the messages that are done.
    pub octets: u64,
    /// Octets of all messages.
    pub of_octets: u64,
}

/// Is told how an export or import goes on.
pub trait Watch {
    /// Takes the progress so far.
    fn progress(&self, progress: Progress);
    /// Takes a line about something that was not done, or not as expected.
    fn tell(&self, line: String);
}

/// What an export or import has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Mailboxes that were exported or imported.
    pub mailboxes: u64,
    /// Messages that were written.
    pub written: u64,
    /// Messages that existed already.
    pub unchanged: u64,
    /// The number of lines about what was left out.
    pub problems: u64,
}

/// Counts what is done, and tells a [`Watch`].
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
    /// Counts a message that is done; `octets` of it were not counted yet.
    fn message(&mut self, octets: u64, written: bool) {
        self.progress.messages += 1;
        *(if written { &mut self.summary.written } else { &mut self.summary.unchanged }) += 1;
        self.octets(octets);
    }
    /// Counts and reports something that was left out.
    fn problem(&mut self, line: String) {
        self.summary.problems += 1;
        self.watch.tell(line);
    }
}
