//! Creates, renames and deletes mailboxes. Such changes run while nothing is staged, so the index and their own
//! commit hold all mailboxes.

use std::collections::BTreeMap;

use super::draft::Rest;
use super::plan::Planner;
use super::{Usage, mailbox_name};
use crate::store::Error;
use crate::store::format::record::{
    MailboxCreatedRecord, MailboxDeletedRecord, MailboxRenamedRecord, Record,
};
use crate::store::format::{INBOX, MailboxId, Uids};

impl Planner<'_> {
    /// The names of all mailboxes. Structural changes run while nothing is staged, so the index has all names.
    pub(super) fn names(&mut self) -> &mut BTreeMap<String, MailboxId> {
        if self.draft.names.is_empty() {
            self.draft.names = self.index.mailboxes.values().map(|m| (m.name.clone(), m.id)).collect();
        }
        &mut self.draft.names
    }

    pub(super) fn create(&mut self, name: &str) -> Result<MailboxId, Error> {
        if self.names().contains_key(name) {
            return Err(Error::MailboxExists);
        }
        for superior in mailbox_name::superiors(name) {
            if !self.names().contains_key(superior) {
                self.create_one(superior);
            }
        }
        Ok(self.create_one(name))
    }

    fn create_one(&mut self, name: &str) -> MailboxId {
        let last = &mut self.draft.overlay.last;
        last.mailbox = last.mailbox.max(self.index.last.mailbox) + 1;
        let id = if name == "INBOX" { INBOX } else { MailboxId(last.mailbox) };
        let uid_validity = self.new_uid_validity();
        let created = MailboxCreatedRecord { mailbox: id, name: name.to_owned(), uid_validity };
        self.record(Record::MailboxCreated(created));
        self.draft.growth.more.add(Usage::of_mailbox(name));
        self.names().insert(name.to_owned(), id);
        id
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), Error> {
        if mailbox_name::is_inferior(to, from) && from != "INBOX" {
            return Err(Error::BadName("a mailbox cannot move below itself"));
        }
        if self.names().contains_key(to) {
            return Err(Error::MailboxExists);
        }
        if from == "INBOX" {
            let new = self.create(to)?;
            let uids = Uids::ascending(self.mailbox(INBOX)?.messages.iter().map(|message| message.uid));
            self.draft.rest.push_back(Rest::copy(INBOX, uids.clone(), new));
            self.draft.rest.push_back(Rest::Expunge(INBOX, uids));
            return Ok(());
        }
        let moving: Vec<(String, MailboxId)> = self
            .names()
            .iter()
            .filter(|(name, _)| *name == from || mailbox_name::is_inferior(name, from))
            .map(|(name, id)| (name.clone(), *id))
            .collect();
        if moving.is_empty() {
            return Err(Error::NoSuchMailbox);
        }
        for superior in mailbox_name::superiors(to) {
            if !self.names().contains_key(superior) {
                self.create_one(superior);
            }
        }
        for (name, mailbox) in moving {
            let renamed =
                mailbox_name::canonical(&format!("{to}{}", name.get(from.len()..).unwrap_or_default()))?;
            if self.names().contains_key(&renamed) {
                return Err(Error::MailboxExists);
            }
            self.names().remove(&name);
            self.names().insert(renamed.clone(), mailbox);
            self.draft.growth.less.add(Usage::of_name(&name));
            self.draft.growth.more.add(Usage::of_name(&renamed));
            self.record(Record::MailboxRenamed(MailboxRenamedRecord { mailbox, name: renamed }));
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, name: &str) -> Result<(), Error> {
        let mailbox = self.names().remove(name).ok_or(Error::NoSuchMailbox)?;
        if mailbox == INBOX {
            return Err(Error::BadName("the INBOX stays"));
        }
        self.draft.growth.less.add(Usage::of_mailbox(name));
        if let Some(known) = self.index.mailboxes.get(&mailbox) {
            self.draft.growth.less.add(known.contents());
        }
        for (entry, value) in self.index.annotations_of(mailbox) {
            self.draft.growth.less.add(Usage::of_annotation(entry, value));
        }
        self.draft.overlay.doomed.insert(mailbox);
        self.record(Record::MailboxDeleted(MailboxDeletedRecord { mailbox }));
        Ok(())
    }
}
