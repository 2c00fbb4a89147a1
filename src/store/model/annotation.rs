//! Annotations of mailboxes and of the account (RFC 5464): named values that are kept, and removed with their
//! mailbox.

use super::plan::Planner;
use super::{Usage, mailbox_name};
use crate::store::Error;
use crate::store::format::record::{AnnotationRecord, FlagsRecord, Record};
use crate::store::format::{FlagChange, MailboxId, NO_MAILBOX};

/// Octets of an entry's name at most.
pub const ENTRY_MAX: usize = 255;
/// Octets of a value at most.
pub const ANNOTATION_MAX: usize = 4096;
/// Annotations of one mailbox, or of the account, at most: all are in memory while the account is open.
pub const ANNOTATIONS_MAX: usize = 32;

impl Planner<'_> {
    /// Sets or removes (`None`) an annotation of the mailbox `name`, or of the account when the name is empty.
    pub(super) fn annotate(&mut self, name: &str, entry: &str, value: Option<&[u8]>) -> Result<(), Error> {
        let mailbox = match name {
            "" => NO_MAILBOX,
            name => {
                let name = mailbox_name::canonical(name)?;
                *self.names().get(&name).ok_or(Error::NoSuchMailbox)?
            }
        };
        if entry.len() > ENTRY_MAX || value.is_some_and(|value| value.len() > ANNOTATION_MAX) {
            return Err(Error::AnnotationTooLong);
        }
        if value.is_some() && self.annotations_beside(mailbox, entry) >= ANNOTATIONS_MAX {
            return Err(Error::TooManyAnnotations);
        }
        if let Some(before) = self.annotation(mailbox, entry) {
            let before = Usage::of_annotation(entry, before);
            self.draft.growth.less.add(before);
        }
        if let Some(value) = value {
            self.draft.growth.more.add(Usage::of_annotation(entry, value));
        }
        let (entry, value) = (entry.to_owned(), value.map(<[u8]>::to_vec));
        self.record(Record::Annotation(AnnotationRecord { mailbox, entry, value }));
        // A mailbox that comes from another account with its numbers brings its annotations along.
        let comes =
            self.records().any(|record| matches!(record, Record::Numbers(it) if it.mailbox == mailbox));
        if mailbox != NO_MAILBOX && !comes {
            // RFC 7162 section 3.2: the mailbox's HIGHESTMODSEQ rises. A Flags record for no messages does that.
            let (uids, change, flags, modseq) = (Vec::new(), FlagChange::Add, 0, self.draft.committed.modseq);
            self.record(Record::Flags(FlagsRecord { mailbox, uids, change, flags, modseq }));
        }
        Ok(())
    }

    /// The value of the annotation after the changes planned so far. Changes of annotations run while nothing is
    /// staged, so the index and this commit hold everything.
    fn annotation(&self, mailbox: MailboxId, entry: &str) -> Option<&[u8]> {
        let known = self.index.annotations.get(&(mailbox, entry.to_owned())).map(Vec::as_slice);
        let own = self.records().filter_map(|record| match record {
            Record::Annotation(own) if own.mailbox == mailbox && own.entry == entry => Some(own),
            _ => None,
        });
        own.last().map_or(known, |own| own.value.as_deref())
    }

    /// How many annotations other than `entry` the mailbox will have.
    fn annotations_beside(&self, mailbox: MailboxId, entry: &str) -> usize {
        let known = self.index.annotations_of(mailbox).map(|(entry, _)| entry);
        let mut entries: std::collections::BTreeSet<&str> = known.collect();
        for record in self.records() {
            match record {
                Record::Annotation(other) if other.mailbox == mailbox => match other.value {
                    Some(_) => drop(entries.insert(&other.entry)),
                    None => drop(entries.remove(other.entry.as_str())),
                },
                _ => {}
            }
        }
        entries.remove(entry);
        entries.len()
    }
}
