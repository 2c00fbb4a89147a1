//! Changes gathered for one commit.

use std::rc::Rc;

use super::{Account, Incoming, restored};
use crate::store::Error;
use crate::store::format::record::{BodyRecord, NoteRecord};
use crate::store::format::{
    FlagChange, Flags, IdentityHash, LastLine, MailboxId, Place, SourceKey, Uid, Uids,
};
use crate::store::model::{
    Change, Committed, MailboxNumbers, MessageNumbers, Source, WatcherId, identity_hash,
};

/// Changes that become durable together, or not at all. They are applied in the order of the calls. A change to a
/// message that is gone by then does nothing.
pub struct Transaction {
    account: Rc<Account>,
    pub(super) changes: Vec<Change>,
    /// The messages of the [`Change::Deliver`] changes, in the same order.
    pub(super) messages: Vec<Incoming>,
    /// The octets of the Body records of [`Change::Relocate`], in the same order.
    relocated: Vec<Vec<u8>>,
    /// The watcher that makes the commit, if one does.
    pub(super) by: WatcherId,
}

/// Records that compaction writes anew, because their segments will be removed.
#[derive(Default)]
pub(super) struct Relocated {
    /// Body records with their octets.
    pub(super) bodies: Vec<(BodyRecord, Vec<u8>)>,
    /// Note records, and the places where they are now.
    pub(super) notes: Vec<(NoteRecord, Place)>,
    /// Head and body of each record whose kind this version does not know.
    pub(super) unknown: Vec<(Vec<u8>, Vec<u8>)>,
}

fn owned(keywords: &[&str]) -> Vec<String> {
    keywords.iter().map(|&keyword| keyword.to_owned()).collect()
}

impl Transaction {
    pub(super) fn new(account: Rc<Account>) -> Transaction {
        Transaction {
            account,
            changes: Vec::new(),
            messages: Vec::new(),
            relocated: Vec::new(),
            by: WatcherId::default(),
        }
    }

    /// Puts a message into a mailbox. `keywords` are all flags but RFC 3501's five. A mailbox has a limited number of
    /// keywords; those that no longer fit are left out, here and wherever keywords are given to messages. `date` is
    /// the INTERNALDATE in seconds since 1970 UTC.
    pub fn deliver(
        &mut self,
        mailbox: MailboxId,
        message: Incoming,
        flags: Flags,
        keywords: &[&str],
        date: i64,
    ) {
        self.messages.push(message);
        self.changes.push(Change::Deliver {
            mailbox,
            flags,
            keywords: owned(keywords),
            date,
            note: None,
            numbers: None,
        });
    }

    /// As [`Transaction::deliver`], for a message that comes from another account and keeps the numbers that it had
    /// there. When its UID was given out already, the message gets the next UID, and the mailbox a new UIDVALIDITY,
    /// so that no client takes one message for another. In a mailbox with another UIDVALIDITY the message gets
    /// numbers like any other.
    pub fn deliver_as(
        &mut self,
        mailbox: MailboxId,
        message: Incoming,
        flags: Flags,
        keywords: &[&str],
        date: i64,
        numbers: MessageNumbers,
    ) {
        self.messages.push(message);
        self.changes.push(Change::Deliver {
            mailbox,
            flags,
            keywords: owned(keywords),
            date,
            note: None,
            numbers: Some(numbers),
        });
    }

    /// Gives a mailbox the numbers that it had in another account: its UIDVALIDITY, and at least its UIDNEXT and
    /// HIGHESTMODSEQ. Changes nothing when the mailbox has held messages under another UIDVALIDITY.
    pub fn restore(&mut self, mailbox: MailboxId, numbers: MailboxNumbers) {
        self.changes.push(Change::Restore { mailbox, numbers });
    }

    /// Makes every mailbox skip so many UIDs and MODSEQs.
    pub(super) fn skip_numbers(&mut self, count: u32) {
        self.changes.push(Change::SkipNumbers(count));
    }

    /// Gives every mailbox a new UIDVALIDITY, so that clients forget what they know of its messages.
    pub(super) fn renew_uid_validities(&mut self) {
        self.changes.push(Change::RenewUidValidities(restored::jump()));
    }

    /// Copies a message with its flags and its INTERNALDATE, without writing its body again. A copy of a message that
    /// is gone does nothing, and leaves no entry in [`Committed::placed`].
    pub fn copy(&mut self, from: MailboxId, uid: Uid, to: MailboxId) {
        if let Some(Change::Copy { from: same, uids, to: target }) = self.changes.last_mut()
            && (*same, *target) == (from, to)
            && uids.push(uid)
        {
            return;
        }
        self.copy_all(from, &[uid], to);
    }

    /// As [`Transaction::copy`], for many messages.
    pub fn copy_all(&mut self, from: MailboxId, uids: impl Into<Uids>, to: MailboxId) {
        self.changes.push(Change::Copy { from, uids: uids.into(), to });
    }

    /// Changes flags of messages. `FlagChange::Replace` keeps no other flags than those given.
    pub fn flags(
        &mut self,
        mailbox: MailboxId,
        uids: impl Into<Uids>,
        change: FlagChange,
        flags: Flags,
        keywords: &[&str],
    ) {
        let keywords = owned(keywords);
        let unchanged_since = None;
        self.changes.push(Change::Flags {
            mailbox,
            uids: uids.into(),
            change,
            flags,
            keywords,
            unchanged_since,
        });
    }

    /// Notes how these messages end, which was unknown.
    pub(super) fn last_lines(&mut self, mailbox: MailboxId, last_line: LastLine, uids: Uids) {
        if !uids.is_empty() {
            self.changes.push(Change::LastLines { mailbox, last_line, uids });
        }
    }

    /// Makes the latest [`Transaction::flags`] skip messages whose MODSEQ is larger than `modseq`, or will be larger
    /// by commits that are staged. These messages are listed in [`Committed::modified`].
    pub fn unless_changed_since(&mut self, modseq: u64) {
        if let Some(Change::Flags { unchanged_since, .. }) = self.changes.last_mut() {
            *unchanged_since = Some(modseq);
        }
    }

    /// Gives a mailbox keywords in this order, as far as they fit, before any message has them.
    pub fn name_keywords(&mut self, mailbox: MailboxId, keywords: &[&str]) {
        self.changes.push(Change::NameKeywords { mailbox, keywords: owned(keywords) });
    }

    /// Removes messages for good.
    pub fn expunge(&mut self, mailbox: MailboxId, uids: impl Into<Uids>) {
        self.changes.push(Change::Expunge { mailbox, uids: uids.into() });
    }

    /// Creates a mailbox, and the missing mailboxes above it. A trailing `/` is ignored.
    pub fn create_mailbox(&mut self, name: &str) {
        self.changes.push(Change::CreateMailbox(name.to_owned()));
    }

    /// Renames a mailbox and all mailboxes below it. Renaming the INBOX moves its messages to a new mailbox and
    /// leaves the INBOX empty (RFC 3501 section 6.3.5).
    pub fn rename_mailbox(&mut self, from: &str, to: &str) {
        self.changes.push(Change::RenameMailbox { from: from.to_owned(), to: to.to_owned() });
    }

    /// Deletes a mailbox with its messages; mailboxes below it stay (RFC 3501 section 6.3.4).
    pub fn delete_mailbox(&mut self, name: &str) {
        self.changes.push(Change::DeleteMailbox(name.to_owned()));
    }

    /// Subscribes to a name, or unsubscribes from it.
    pub fn subscribe(&mut self, name: &str, subscribed: bool) {
        self.changes.push(Change::Subscribe { name: name.to_owned(), subscribed });
    }

    /// Sets or removes (`None`) an annotation of the mailbox of this name, or of the account when the name is empty.
    /// The mailbox may be one that this transaction creates.
    pub fn annotate(&mut self, mailbox: &str, entry: &str, value: Option<&[u8]>) {
        let (mailbox, entry) = (mailbox.to_owned(), entry.to_owned());
        self.changes.push(Change::Annotate { mailbox, entry, value: value.map(<[u8]>::to_vec) });
    }

    /// Attaches a note to a message, in place of an earlier one. An empty note removes the earlier one.
    pub fn note(&mut self, mailbox: MailboxId, uid: Uid, note: Vec<u8>) {
        self.changes.push(Change::Note { mailbox, uid, note });
    }

    /// Attaches a note to the message of the latest [`Transaction::deliver`].
    pub fn note_delivered(&mut self, octets: Vec<u8>) {
        let delivered = self.changes.iter_mut().rev().find_map(|change| match change {
            Change::Deliver { note, .. } => Some(note),
            _ => None,
        });
        if let Some(note) = delivered {
            *note = Some(octets);
        }
    }

    /// Notes that `identity` was collected from `source` at `date`, in seconds since 1970.
    pub fn collected(&mut self, source: SourceKey, identity: &[u8], date: i64) {
        let identity = identity_hash(identity);
        self.changes.push(Change::Collected { source, identity, date, content: None });
    }

    /// As [`Transaction::collected`], for a message whose content has the hash `content`, which is not 0.
    pub fn collected_message(&mut self, source: SourceKey, identity: &[u8], date: i64, content: u64) {
        let (identity, content) = (identity_hash(identity), Some(content));
        self.changes.push(Change::Collected { source, identity, date, content });
    }

    /// Notes that `source` has not listed these identities since `since`, in seconds since 1970; 0 notes that it
    /// lists them again.
    pub fn unlisted(&mut self, source: SourceKey, identities: &[IdentityHash], since: u32) {
        self.changes.push(Change::Unlisted { source, identities: identities.to_vec(), since });
    }

    /// Forgets identities of `source`.
    pub fn forget(&mut self, source: SourceKey, identities: &[IdentityHash]) {
        self.changes.push(Change::Forget { source, identities: identities.to_vec() });
    }

    /// Writes records anew at the end of the log.
    pub(super) fn relocate(&mut self, relocated: Relocated) {
        let Relocated { bodies, notes, unknown } = relocated;
        let (bodies, octets) = bodies.into_iter().unzip();
        self.changes.push(Change::Relocate { bodies, unknown, notes });
        self.relocated = octets;
    }

    /// Whether compaction makes this transaction.
    pub(super) fn compacts(&self) -> bool {
        matches!(self.changes[..], [Change::Relocate { .. }])
    }

    /// The octets of a Body record, from where the plan says that they are.
    pub(super) fn octets(&self, source: Source) -> &[u8] {
        match source {
            Source::Arrival(at) => self.messages.get(at).map_or(&[], |message| message.inline()),
            Source::Relocated(at) => self.relocated.get(at).map_or(&[], |octets| octets),
        }
    }

    /// Commits the changes. Returns when everything is durable and visible. When the future is dropped before that,
    /// the changes may or may not be made.
    ///
    /// # Errors
    /// Checked before anything is written: [`Error::NoSuchMailbox`], [`Error::MailboxExists`],
    /// [`Error::BadName`], [`Error::TooManyAnnotations`],
    /// [`Error::AnnotationTooLong`], [`Error::Limit`], [`Error::OverQuota`], [`Error::Full`]. After [`Error::Failed`] and
    /// [`Error::Io`] it is unknown whether the changes survive.
    pub async fn commit(self) -> Result<Committed, Error> {
        let account = self.account.clone();
        account.commit(self).await
    }
}
