//! UIDs, UIDVALIDITY and MODSEQ: given out, or kept by messages that come from another account.

use super::plan::Planner;
use super::serial::{behind, later, of_clock};
use super::{MailboxNumbers, MessageNumbers};
use crate::clock;
use crate::store::Error;
use crate::store::format::record::{NumbersRecord, Record};
use crate::store::format::{MailboxId, Uid};

impl Planner<'_> {
    /// UID and MODSEQ of a message that comes into a mailbox; those of `kept` when that is possible.
    pub(super) fn numbers(
        &mut self,
        mailbox: MailboxId,
        kept: Option<MessageNumbers>,
    ) -> Result<(Uid, u64), Error> {
        let next = self.uid_next(mailbox);
        let kept = kept.filter(|kept| self.uid_validity(mailbox) == Some(kept.uid_validity));
        let (uid, modseq) = match kept {
            // No message has MODSEQ 0 (RFC 7162 section 3.1).
            Some(kept) if kept.uid >= next => {
                (kept.uid, kept.modseq.map_or(self.draft.committed.modseq, |modseq| modseq.max(1)))
            }
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
        // 0 is not a valid UIDVALIDITY.
        let is_one = numbers.uid_validity != 0;
        if is_one && (self.uid_validity(mailbox) == Some(numbers.uid_validity) || self.uid_next(mailbox) == 1)
        {
            self.take_numbers(mailbox, numbers);
        }
        Ok(())
    }

    /// Skips numbers that were lost with records, so that they are not given again. A mailbox that has too few UIDs
    /// left to skip gets a new UIDVALIDITY.
    pub(super) fn skip_numbers(&mut self, count: u32) {
        let highest_modseq = self.draft.committed.modseq.saturating_add(count.into());
        for (id, mailbox) in &self.index.mailboxes {
            let skipped = self.uid_next(*id).checked_add(count);
            let uid_validity = if skipped.is_some() { mailbox.uid_validity } else { self.new_uid_validity() };
            let uid_next = skipped.unwrap_or(mailbox.uid_next);
            self.take_numbers(*id, MailboxNumbers { uid_validity, uid_next, highest_modseq });
        }
    }

    /// Gives every mailbox a new UIDVALIDITY. The new values begin `jump` after the next one, so that they differ
    /// from those that a lost state has given out when it counted on from the same numbers (`docs/store.md`,
    /// "UIDVALIDITY").
    pub(super) fn renew_uid_validities(&mut self, jump: u32) {
        let highest_modseq = self.draft.committed.modseq;
        self.draft.overlay.last.uid_validity = behind(self.new_uid_validity(), jump);
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
        self.draft.overlay.last.uid_validity = later(self.last_uid_validity(), uid_validity);
        self.record(Record::Numbers(NumbersRecord { mailbox, uid_validity, uid_next, highest_modseq }));
    }

    /// A new UIDVALIDITY, later than all before, since a name that is used again must get a later value (RFC 3501
    /// section 2.3.1.1): the time, or one more than the last value when the clock has not moved or is wrong.
    pub(super) fn new_uid_validity(&mut self) -> u32 {
        let now = of_clock(clock::unix_now());
        let new = match self.last_uid_validity() {
            0 => now.max(1),
            last => later(behind(last, 1), now),
        };
        self.draft.overlay.last.uid_validity = new;
        new
    }

    /// The latest UIDVALIDITY so far. Staged values are compared in the order in which the index will compare them:
    /// with imported values from all around the circle, another order would have another result.
    fn last_uid_validity(&self) -> u32 {
        match self.draft.overlay.last.uid_validity {
            0 => self.index.last.uid_validity,
            staged => staged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::format::{INBOX, Place};
    use crate::store::model::{Change, Index, Overlay, Step, plan};

    const MAX: u32 = u32::MAX;
    /// A time in 2026, in seconds since 1970.
    const NOW: u32 = 1_790_000_000;

    /// An account without a flash.
    struct Model {
        index: Index,
        overlay: Overlay,
    }

    impl Model {
        fn new() -> Model {
            let mut index = Index::default();
            index.last.mailbox = INBOX.0;
            Model { index, overlay: Overlay::default() }
        }

        /// Commits `change` at the time `at`.
        fn commit(&mut self, at: i64, change: Change) {
            clock::FIXED.set(Some(at));
            let plan = plan(&self.index, &self.overlay, &[change], &[], None, at).unwrap();
            self.overlay = plan.overlay;
            for step in plan.steps {
                let Step::Record(record) = step else { panic!("no message comes") };
                self.index.apply(&record, Place::default());
            }
            self.overlay.all_applied();
            let staged = self.overlay.last.uid_validity;
            assert!(staged == 0 || staged == self.index.last.uid_validity, "both compare alike");
        }

        fn id(&self, name: &str) -> MailboxId {
            self.index.mailboxes.values().find(|mailbox| mailbox.name == name).unwrap().id
        }

        /// Creates a mailbox of this name, in place of an existing one. Returns its UIDVALIDITY.
        fn create(&mut self, at: i64, name: &str) -> u32 {
            if self.index.mailboxes.values().any(|mailbox| mailbox.name == name) {
                self.commit(at, Change::DeleteMailbox(name.to_owned()));
            }
            self.commit(at, Change::CreateMailbox(name.to_owned()));
            self.index.mailboxes[&self.id(name)].uid_validity
        }

        fn import(&mut self, at: i64, name: &str, uid_validity: u32) {
            self.create(at, name);
            self.restore(at, name, uid_validity);
        }

        fn restore(&mut self, at: i64, name: &str, uid_validity: u32) {
            let numbers = MailboxNumbers { uid_validity, uid_next: 1, highest_modseq: 1 };
            self.commit(at, Change::Restore { mailbox: self.id(name), numbers });
        }

        /// The model after a restart.
        fn reopened(self) -> Model {
            Model { index: self.index, overlay: Overlay::default() }
        }
    }

    /// Catches: a clock that stops at 4294967295, so that every later mailbox of a name would have the same value.
    #[test]
    fn the_clock_goes_past_2106() {
        let mut model = Model::new();
        let last = i64::from(MAX);
        assert_eq!(model.create(last - 1, "a"), MAX - 1);
        assert_eq!(model.create(last, "a"), MAX);
        assert_eq!(model.create(last, "a"), 1);
        // The clock gives 0 here.
        assert_eq!(model.create(last + 1, "a"), 2);
        assert_eq!(model.create(last + 1_000_000, "a"), 999_999);
        let mut model = model.reopened();
        assert_eq!(model.create(last + 1_000_000, "a"), 1_000_000);
        // The clock of a board whose battery is empty.
        assert_eq!(model.create(0, "a"), 1_000_001);
    }

    /// Catches: an imported 4294967295 that counts as the greatest value for ever and, saturating, would be given
    /// again and again; and an imported value that is compared with nothing.
    #[test]
    fn an_import_of_the_greatest_value_is_not_the_end() {
        let mut model = Model::new();
        model.create(NOW.into(), "own");
        model.import(NOW.into(), "a", MAX);
        assert_eq!(model.index.mailboxes[&model.id("a")].uid_validity, MAX);
        let mut model = model.reopened();
        let mut before = MAX;
        for _ in 0..3 {
            let new = model.create(NOW.into(), "a");
            assert!(new != before && later(before, new) == new, "{before} {new}");
            before = new;
        }
        assert_eq!(model.create(i64::from(NOW) + 100, "a"), NOW + 100);
        // MAX is first earlier than the clock, then later.
        let mut model = Model::new();
        model.import(0, "a", MAX);
        assert_eq!([model.create(0, "a"), model.create(0, "a")], [2, 3]);
        let ahead = i64::from(MAX) - 1_000_000;
        let mut model = Model::new();
        model.import(ahead, "a", MAX);
        assert_eq!([model.create(ahead, "a"), model.create(ahead, "a")], [1, 2]);
    }

    /// Catches: a comparison that leaves the index out until something is staged: MAX, which is earlier than the clock,
    /// would keep 3900000000 from counting, and the value of the clock would be given twice.
    #[test]
    fn imports_from_all_around_the_circle_leave_one_latest_value() {
        let mut model = Model::new();
        let own = ["own", "a", "b"].map(|name| model.create(NOW.into(), name));
        assert_eq!(own, [NOW, NOW + 1, NOW + 2]);
        let mut model = model.reopened();
        model.restore(NOW.into(), "a", MAX);
        model.restore(NOW.into(), "b", 3_900_000_000);
        assert_eq!(model.create(NOW.into(), "own"), 3_900_000_001);
    }

    #[test]
    fn an_import_of_0_is_not_taken() {
        let mut model = Model::new();
        model.import(NOW.into(), "a", 0);
        assert_eq!(model.index.mailboxes[&model.id("a")].uid_validity, NOW);
    }

    /// Catches: values that begin at the next one: on a board without the time the lost state has given these.
    #[test]
    fn new_values_for_all_lie_behind_those_of_a_lost_state() {
        for (at, last) in [(0, NOW), (NOW.into(), NOW), (0, MAX - 3)] {
            let mut model = Model::new();
            model.import(at, "a", last);
            model.create(at, "b");
            let mut lost = Model { index: model.index.clone(), overlay: Overlay::default() };
            let given: Vec<u32> = (0..100).map(|n| lost.create(at, &format!("new{n}"))).collect();
            let before: Vec<u32> = model.index.mailboxes.values().map(|m| m.uid_validity).collect();
            model.commit(at, Change::RenewUidValidities(1000));
            for mailbox in model.index.mailboxes.values() {
                let new = mailbox.uid_validity;
                assert!(new != 0 && !given.contains(&new) && !before.contains(&new), "{new}");
                assert!(before.iter().all(|old| later(*old, new) == new), "{new} is later than {before:?}");
            }
            let new = model.create(at, "c");
            assert!(model.index.mailboxes.values().filter(|m| m.uid_validity == new).count() == 1);
        }
    }
}
