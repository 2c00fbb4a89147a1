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

/// Changes that become durable together, or not at all. They are applied in the order of the calls;
/// changes to a message that is gone by then change nothing.
pub struct Transaction {
    account: Rc<Account>,
    pub(super) changes: Vec<Change>,
    /// Those that [`Change::Deliver`] delivers, in the same order.
    pub(super) messages: Vec<Incoming>,
    /// The octets of what [`Change::Relocate`] relocates, in the same order.
    relocated: Vec<Vec<u8>>,
    /// Who makes it, where that is somebody who watches.
    pub(super) by: WatcherId,
}

/// Records that compaction writes anew, because their segment is to go.
#[derive(Default)]
pub(super) struct Relocated {
    /// Body records with their octets.
    pub(super) bodies: Vec<(BodyRecord, Vec<u8>)>,
    /// Note records, and where they stand.
    pub(super) notes: Vec<(NoteRecord, Place)>,
    /// Head and body of those whose kinds this version does not know.
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

    /// Puts a message into a mailbox. `keywords` are the flags that are not RFC 3501's five; those for which there is no
    /// place are left out, here and wherever keywords are given to messages.
    /// `date` is its INTERNALDATE in seconds since 1970 UTC.
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

    /// As [`Transaction::deliver`], for a message that comes from another account and keeps its numbers
    /// there. Where its UID has been given out already it gets the next one, and so that no client takes the
    /// one message for the other, the mailbox gets a new UIDVALIDITY. In a mailbox with another UIDVALIDITY it
    /// is a message like any other.
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

    /// Gives a mailbox the numbers that it had in another account: UIDVALIDITY, and at least that UIDNEXT and
    /// HIGHESTMODSEQ. Changes nothing where it has another UIDVALIDITY under which it has held messages.
    pub fn restore(&mut self, mailbox: MailboxId, numbers: MailboxNumbers) {
        self.changes.push(Change::Restore { mailbox, numbers });
    }

    /// Lets every mailbox skip so many UIDs and MODSEQs.
    pub(super) fn skip_numbers(&mut self, count: u32) {
        self.changes.push(Change::SkipNumbers(count));
    }

    /// Gives every mailbox a new UIDVALIDITY: what clients know of its messages counts no longer.
    pub(super) fn renew_uid_validities(&mut self) {
        self.changes.push(Change::RenewUidValidities(restored::jump()));
    }

    /// Copies a message, flags and INTERNALDATE and all, without writing its body again. Copying a
    /// message that is gone places nothing, and leaves no entry in [`Committed::placed`].
    pub fn copy(&mut self, from: MailboxId, uid: Uid, to: MailboxId) {
        if let Some(Change::Copy { from: same, uids, to: target }) = self.changes.last_mut()
            && (*same, *target) == (from, to)
            && uids.push(uid)
        {
            return;
        }
        self.copy_all(from, &[uid], to);
    }

    /// As [`Transaction::copy`], for many of them.
    pub fn copy_all(&mut self, from: MailboxId, uids: impl Into<Uids>, to: MailboxId) {
        self.changes.push(Change::Copy { from, uids: uids.into(), to });
    }

    /// Changes flags of messages; a Replace keeps nothing but what is named.
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

    /// Notes how these messages end, where that was not known.
    pub(super) fn last_lines(&mut self, mailbox: MailboxId, last_line: LastLine, uids: Uids) {
        if !uids.is_empty() {
            self.changes.push(Change::LastLines { mailbox, last_line, uids });
        }
    }

    /// Lets the latest [`Transaction::flags`] pass over messages whose MODSEQ is larger, or will be by what is committed
    /// just now: they are [`Committed::modified`].
    pub fn unless_changed_since(&mut self, modseq: u64) {
        if let Some(Change::Flags { unchanged_since, .. }) = self.changes.last_mut() {
            *unchanged_since = Some(modseq);
        }
    }

    /// Names keywords of a mailbox in this order, as far as there is place, before any message has them.
    pub fn name_keywords(&mut self, mailbox: MailboxId, keywords: &[&str]) {
        self.changes.push(Change::NameKeywords { mailbox, keywords: owned(keywords) });
    }

    /// Removes messages for good.
    pub fn expunge(&mut self, mailbox: MailboxId, uids: impl Into<Uids>) {
        self.changes.push(Change::Expunge { mailbox, uids: uids.into() });
    }

    /// Creates a mailbox, and those above it that are missing. A trailing `/` is ignored.
    pub fn create_mailbox(&mut self, name: &str) {
        self.changes.push(Change::CreateMailbox(name.to_owned()));
    }

    /// Renames a mailbox with all below it. Renaming the INBOX moves its messages to a new mailbox and
    /// leaves it empty (RFC 3501 section 6.3.5).
    pub fn rename_mailbox(&mut self, from: &str, to: &str) {
        self.changes.push(Change::RenameMailbox { from: from.to_owned(), to: to.to_owned() });
    }

    /// Deletes a mailbox with its messages; mailboxes below it stay (RFC 3501 section 6.3.4).
    pub fn delete_mailbox(&mut self, name: &str) {
        self.changes.push(Change::DeleteMailbox(name.to_owned()));
    }

    /// Subscribes to a name or ends that.
    pub fn subscribe(&mut self, name: &str, subscribed: bool) {
        self.changes.push(Change::Subscribe { name: name.to_owned(), subscribed });
    }

    /// Gives an annotation of the mailbox of this name, of the account where the name is empty, a value, or takes it
    /// away. Mailboxes that this transaction creates count.
    pub fn annotate(&mut self, mailbox: &str, entry: &str, value: Option<&[u8]>) {
        let (mailbox, entry) = (mailbox.to_owned(), entry.to_owned());
        self.changes.push(Change::Annotate { mailbox, entry, value: value.map(<[u8]>::to_vec) });
    }

    /// Attaches octets to a message, in the place of those attached before; none at all: takes them away.
    pub fn note(&mut self, mailbox: MailboxId, uid: Uid, note: Vec<u8>) {
        self.changes.push(Change::Note { mailbox, uid, note });
    }

    /// As [`Transaction::note`], for the message of the latest [`Transaction::deliver`].
    pub fn note_delivered(&mut self, octets: Vec<u8>) {
        let delivered = self.changes.iter_mut().rev().find_map(|change| match change {
            Change::Deliver { note, .. } => Some(note),
            _ => None,
        });
        if let Some(note) = delivered {
            *note = Some(octets);
        }
    }

    /// Notes that `identity` was collected from `source` at `date`.
    pub fn collected(&mut self, source: SourceKey, identity: &[u8], date: i64) {
        let identity = identity_hash(identity);
        self.changes.push(Change::Collected { source, identity, date, content: None });
    }

    /// As [`Transaction::collected`], for a message whose content has this hash, which is not 0.
    pub fn collected_message(&mut self, source: SourceKey, identity: &[u8], date: i64, content: u64) {
        let (identity, content) = (identity_hash(identity), Some(content));
        self.changes.push(Change::Collected { source, identity, date, content });
    }

    /// Notes that `source` lists identities no longer `since` then, in seconds since 1970, or again where that is 0.
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

    /// Whether it is compaction's.
    pub(super) fn compacts(&self) -> bool {
        matches!(self.changes[..], [Change::Relocate { .. }])
    }

    /// The octets of a Body record, from where the plan says they are.
    pub(super) fn octets(&self, source: Source) -> &[u8] {
        match source {
            Source::Arrival(at) => self.messages.get(at).map_or(&[], |message| message.inline()),
            Source::Relocated(at) => self.relocated.get(at).map_or(&[], |octets| octets),
        }
    }

    /// Makes it so: returns when everything is durable and visible. Dropping the future before that
    /// leaves open whether it happens.
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
