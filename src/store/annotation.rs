//! Annotations of mailboxes and of the account (RFC 5464): named octets that last, which go with their mailbox.

use super::record::Record;
use super::stage::Planner;
use super::{Account, Error, MailboxId, NO_MAILBOX, mailbox_name};

/// Octets of an entry's name.
pub const ENTRY_MAX: usize = 255;
/// Octets of a value.
pub const ANNOTATION_MAX: usize = 4096;
/// Annotations of one mailbox, or of the account: all are in memory while the account is open.
pub const ANNOTATIONS_MAX: usize = 32;

impl Account {
    /// The annotations of a mailbox, or of the account under [`NO_MAILBOX`], in order of their entries.
    pub fn annotations(&self, mailbox: MailboxId) -> Vec<(String, Vec<u8>)> {
        self.index(|index| {
            let own = index.annotations.range((mailbox, String::new())..);
            let own = own.take_while(|((annotated, _), _)| *annotated == mailbox);
            own.map(|((_, entry), value)| (entry.clone(), value.clone())).collect()
        })
    }

    /// The value of one annotation.
    pub fn annotation(&self, mailbox: MailboxId, entry: &str) -> Option<Vec<u8>> {
        self.index(|index| index.annotations.get(&(mailbox, entry.to_owned())).cloned())
    }
}

impl Planner<'_> {
    /// An annotation of the mailbox `name`, of the account where that is empty, gets a value or goes.
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
        let (entry, value) = (entry.to_owned(), value.map(<[u8]>::to_vec));
        self.record(Record::Annotation { mailbox, entry, value });
        Ok(())
    }

    /// How many other annotations the mailbox will have. Changes of annotations come when nothing is staged, so
    /// the index and this commit know all.
    fn annotations_beside(&self, mailbox: MailboxId, entry: &str) -> usize {
        let known = self.index.annotations.range((mailbox, String::new())..);
        let known = known.map(|((annotated, entry), _)| (*annotated, entry.as_str()));
        let mut entries: std::collections::BTreeSet<&str> =
            known.take_while(|(annotated, _)| *annotated == mailbox).map(|(_, entry)| entry).collect();
        for record in self.records() {
            match record {
                Record::Annotation { mailbox: of, entry, value } if *of == mailbox => match value {
                    Some(_) => drop(entries.insert(entry)),
                    None => drop(entries.remove(entry.as_str())),
                },
                _ => {}
            }
        }
        entries.remove(entry);
        entries.len()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::flash::sim::SimFlash;
    use crate::store::Store;

    #[test]
    fn commits_side_by_side_keep_the_limit() {
        smol::block_on(async {
            let store = Store::new(Rc::new(SimFlash::default()), |_| Vec::new());
            let account = store.account("a").await.unwrap();
            let many = |tree: &str| {
                let mut transaction = account.begin();
                for n in 0..ANNOTATIONS_MAX {
                    transaction.annotate("INBOX", &format!("/{tree}/{n}"), Some(b"x"));
                }
                transaction.commit()
            };
            let (first, second) = smol::future::zip(many("shared"), many("private")).await;
            assert!(first.is_ok());
            assert!(matches!(second, Err(Error::TooManyAnnotations)), "{second:?}");
            assert_eq!(account.annotations(crate::store::INBOX).len(), ANNOTATIONS_MAX);
        });
    }
}
