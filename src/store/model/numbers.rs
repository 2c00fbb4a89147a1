//! UIDs, UIDVALIDITY and MODSEQ: given out, or kept by what comes from another account.

use super::plan::Planner;
use super::{MailboxNumbers, MessageNumbers};
use crate::clock;
use crate::store::Error;
use crate::store::format::record::{NumbersRecord, Record};
use crate::store::format::{MailboxId, Uid};

impl Planner<'_> {
    /// UID and MODSEQ of a message that comes into a mailbox, `kept` ones where that can be.
    pub(super) fn numbers(
        &mut self,
        mailbox: MailboxId,
        kept: Option<MessageNumbers>,
    ) -> Result<(Uid, u64), Error> {
        let next = self.uid_next(mailbox);
        let kept = kept.filter(|kept| self.uid_validity(mailbox) == Some(kept.uid_validity));
        let (uid, modseq) = match kept {
            Some(kept) if kept.uid >= next => (kept.uid, kept.modseq.unwrap_or(self.draft.committed.modseq)),
            Some(_) => {
                let uid_validity = self.new_uid_validity();
                self.take_numbers(
                    mailbox,
                    MailboxNumbers { uid_validity, uid_next: next, highest_modseq: 1 },
                );
                (next, self.draft.committed.modseq)
            }
            None => (next, self.draft.committed.modseq),
        };
        self.draft.overlay.uid_next.insert(mailbox, uid.checked_add(1).ok_or(Error::Full)?);
        self.draft.overlay.last.modseq = self.draft.overlay.last.modseq.max(modseq);
        Ok((uid, modseq))
    }

    fn uid_next(&self, mailbox: MailboxId) -> Uid {
        let known = self.index.mailboxes.get(&mailbox).map_or(1, |mailbox| mailbox.uid_next);
        self.draft.overlay.uid_next.get(&mailbox).map_or(known, |staged| known.max(*staged))
    }

    fn uid_validity(&self, mailbox: MailboxId) -> Option<u32> {
        let known = self.index.mailboxes.get(&mailbox).map(|mailbox| mailbox.uid_validity);
        self.draft.overlay.uid_validity.get(&mailbox).copied().or(known)
    }

    pub(super) fn restore(&mut self, mailbox: MailboxId, numbers: MailboxNumbers) -> Result<(), Error> {
        self.mailbox(mailbox)?;
        if self.uid_validity(mailbox) == Some(numbers.uid_validity) || self.uid_next(mailbox) == 1 {
            self.take_numbers(mailbox, numbers);
        }
        Ok(())
    }

    /// Numbers that were lost with records are not given again. Where a mailbox has no UIDs left to skip, it gets a new
    /// UIDVALIDITY.
    pub(super) fn skip_numbers(&mut self, count: u32) {
        let highest_modseq = self.draft.committed.modseq.saturating_add(count.into());
        for (id, mailbox) in &self.index.mailboxes {
            let skipped = self.uid_next(*id).checked_add(count);
            let uid_validity = if skipped.is_some() { mailbox.uid_validity } else { self.new_uid_validity() };
            let uid_next = skipped.unwrap_or(mailbox.uid_next);
            self.take_numbers(*id, MailboxNumbers { uid_validity, uid_next, highest_modseq });
        }
    }

    pub(super) fn renew_uid_validities(&mut self) {
        let highest_modseq = self.draft.committed.modseq;
        for (id, mailbox) in &self.index.mailboxes {
            let (uid_validity, uid_next) = (self.new_uid_validity(), mailbox.uid_next);
            self.take_numbers(*id, MailboxNumbers { uid_validity, uid_next, highest_modseq });
        }
    }

    fn take_numbers(&mut self, mailbox: MailboxId, numbers: MailboxNumbers) {
        let MailboxNumbers { uid_validity, uid_next, highest_modseq } = numbers;
        let next = self.uid_next(mailbox).max(uid_next);
        self.draft.overlay.uid_next.insert(mailbox, next);
        self.draft.overlay.uid_validity.insert(mailbox, uid_validity);
        self.draft.overlay.last.modseq = self.draft.overlay.last.modseq.max(highest_modseq);
        self.draft.overlay.last.uid_validity = self.draft.overlay.last.uid_validity.max(uid_validity);
        self.record(Record::Numbers(NumbersRecord { mailbox, uid_validity, uid_next, highest_modseq }));
    }

    /// A name that is used again must get a greater value (RFC 3501 section 2.3.1.1): the time, and one more where the
    /// clock has not moved or stands wrong.
    pub(super) fn new_uid_validity(&mut self) -> u32 {
        let last = &mut self.draft.overlay.last;
        let now = u32::try_from(clock::unix_now()).unwrap_or(u32::MAX);
        last.uid_validity = now.max(last.uid_validity.max(self.index.last.uid_validity).saturating_add(1));
        last.uid_validity
    }
}
