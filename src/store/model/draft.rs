//! Drafts: plans in the making. A commit of many messages is planned in pieces, between which other tasks get a turn.
//!
//! The index must not change between two pieces: nothing else is staged while a draft is under way.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::overlay::Growth;
use super::plan::Planner;
use super::{Arrival, Change, Committed, Index, Overlay, Plan, Source, Step, Usage, mailbox_name};
use crate::store::Error;
use crate::store::format::record::{RecentRecord, Record};
use crate::store::format::{INBOX, MailboxId, Message, Uid, Uids};

/// The earliest time that is believed, 2026-01-01 in seconds since 1970: a clock that shows an earlier time was never
/// set.
const KNOWN_FROM: i64 = 1_767_225_600;

/// What is planned so far, and what is left to plan.
#[derive(Default)]
pub struct Draft {
    pub(super) overlay: Overlay,
    /// The names of all mailboxes, including those that this commit creates. Filled when a change needs them.
    pub(super) names: BTreeMap<String, MailboxId>,
    pub(super) steps: Vec<Step>,
    /// How many steps were handed out by [`Draft::take_steps`].
    taken: u64,
    pub(super) committed: Committed,
    pub(super) brings: u64,
    pub(super) growth: Growth,
    pub(super) quota: Option<u64>,
    /// The save date of the commit's messages, until a record is planned for it; `None` when it is not known.
    pub(super) save_date: Option<u32>,
    /// How many changes were planned. The last one may have a rest.
    changes: usize,
    /// How many of the transaction's messages were planned.
    pub(super) arrived: usize,
    /// The part of the last change that is still to be planned.
    pub(super) rest: VecDeque<Rest>,
}

/// The rest of a change.
pub(super) enum Rest {
    Copy(Copying),
    Expunge(MailboxId, Uids),
}

/// A copy of many messages that is being planned.
pub(super) struct Copying {
    from: MailboxId,
    to: MailboxId,
    uids: Uids,
    /// The index of the range that is next.
    /// The least UID of that range that is not copied yet.
    range: usize,
    next: Uid,
}

impl Rest {
    pub(super) fn copy(from: MailboxId, uids: Uids, to: MailboxId) -> Rest {
        Rest::Copy(Copying { from, to, uids, range: 0, next: 0 })
    }
}

impl Draft {
    /// An empty draft of a commit that comes after what `overlay` holds. Its messages come at the time `now`, in
    /// seconds since 1970.
    pub fn new(index: &Index, overlay: &Overlay, quota: Option<u64>, now: i64) -> Draft {
        let mut overlay = overlay.clone();
        // An empty mailbox has MODSEQ 1.
        overlay.last.modseq = overlay.last.modseq.max(index.last.modseq).max(1) + 1;
        let committed = Committed { modseq: overlay.last.modseq, ..Committed::default() };
        // A client may delete what is old: no date is better than one that is years too early.
        let save_date = Some(now).filter(|&now| now >= KNOWN_FROM).and_then(|now| u32::try_from(now).ok());
        Draft { overlay, committed, quota, save_date, ..Draft::default() }
    }

    /// Continues until about `most` more messages are copied. Returns whether everything is planned.
    ///
    /// # Errors
    /// As [`super::plan()`].
    pub fn go_on(
        self,
        index: &Index,
        changes: &[Change],
        arrivals: &[Arrival],
        mut most: usize,
    ) -> Result<(Draft, bool), Error> {
        let mut planner = Planner { index, draft: self };
        loop {
            if !planner.rest(&mut most)? {
                return Ok((planner.draft, false));
            }
            let Some(change) = changes.get(planner.draft.changes) else { return Ok((planner.draft, true)) };
            planner.draft.changes += 1;
            planner.change(change, arrivals)?;
        }
    }

    /// Takes the steps that were planned since the last call.
    pub fn take_steps(&mut self) -> Vec<Step> {
        self.taken += self.steps.len() as u64;
        std::mem::take(&mut self.steps)
    }

    /// The plan, with the steps that were not taken yet. Fails when the commit makes the account larger than it may
    /// be. `now` is the current overlay: bodies may have got numbers and `\Recent` messages may have been claimed
    /// meanwhile.
    ///
    /// # Errors
    /// [`Error::OverQuota`], [`Error::Limit`].
    pub fn finish(mut self, index: &Index, now: &Overlay) -> Result<Plan, Error> {
        self.overlay.join(now);
        let is_empty = self.steps.is_empty() && self.taken == 0;
        let mut planner = Planner { index, draft: self };
        if !is_empty {
            planner.claimed_recent();
        }
        self = planner.draft;
        let before = self.overlay.expected(index);
        let mut after = before.plus(self.growth.more).less(self.growth.less);
        // Keywords were checked when they were named, and are not a reason to refuse anything else.
        after.keywords = after.keywords.min(before.keywords);
        before.may_become(&after, self.quota)?;
        self.overlay.growing.push_back(Rc::new(self.growth));
        let Draft { steps, overlay, committed, brings, .. } = self;
        let arrives = steps.iter().any(|step| matches!(step, Step::Body(_, Source::Arrival(_))));
        Ok(Plan { steps, overlay, committed, arrives, brings, is_empty })
    }
}

impl Planner<'_> {
    /// Plans the rest of the last change, for about `most` messages. Returns whether all of it is planned.
    fn rest(&mut self, most: &mut usize) -> Result<bool, Error> {
        while let Some(rest) = self.draft.rest.pop_front() {
            match rest {
                Rest::Expunge(mailbox, uids) => self.expunge(self.mailbox(mailbox)?, &uids),
                Rest::Copy(mut copying) => {
                    if !self.copy(&mut copying, most)? {
                        self.draft.rest.push_front(Rest::Copy(copying));
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    fn copy(&mut self, copying: &mut Copying, most: &mut usize) -> Result<bool, Error> {
        let Copying { from, to, uids, range, next } = copying;
        let Some(source) = self.index.mailboxes.get(from) else { return Ok(true) };
        while let Some(&(first, last)) = uids.ranges().get(*range) {
            for message in source.within((first.max(*next), last)) {
                if *most == 0 {
                    return Ok(false);
                }
                *most -= 1;
                *next = message.uid.saturating_add(1);
                if !self.is_expunged(*from, message.uid) {
                    self.copy_message(*from, message, *to)?;
                }
            }
            *range += 1;
        }
        Ok(true)
    }

    fn claimed_recent(&mut self) {
        for mailbox in std::mem::take(&mut self.draft.overlay.claimed_recent) {
            if let Ok(from) = self.mailbox(mailbox).map(|mailbox| mailbox.recent_from) {
                self.record(Record::Recent(RecentRecord { mailbox, from }));
            }
        }
    }
}

/// How much work some changes are, and how they change the account's size as far as messages are concerned.
#[derive(Debug, Default)]
pub struct Weight {
    /// Messages that are copied.
    pub copied: usize,
    /// Ranges of messages that are changed.
    pub ranges: usize,
    /// What the changes add.
    pub more: Usage,
    /// What the changes remove.
    pub less: Usage,
}

impl Weight {
    /// The weight of `changes`. It is 0 when they deliver messages or move bodies, which is never staged as a long
    /// commit.
    pub fn of(changes: &[Change], index: &Index) -> Weight {
        let mut weight = Weight::default();
        for change in changes {
            match change {
                Change::Deliver { .. } | Change::Relocate { .. } => return Weight::default(),
                Change::Flags { uids, .. } => weight.ranges += uids.ranges().len(),
                Change::Copy { from, uids, .. } => {
                    weight.ranges += uids.ranges().len();
                    weight.copied += uids.len();
                    for messages in within(index, *from, uids) {
                        weight.more.add(Usage::of_messages(messages));
                    }
                }
                Change::Expunge { mailbox, uids } => {
                    weight.ranges += uids.ranges().len();
                    let going = within(index, *mailbox, uids).map(Usage::of_messages);
                    weight.less = going.fold(weight.less, Usage::plus);
                }
                Change::RenameMailbox { from, .. } if mailbox_name::canonical(from).is_ok_and(is_inbox) => {
                    weight.copied += index.mailboxes.get(&INBOX).map_or(0, |inbox| inbox.messages.len());
                }
                _ => {}
            }
        }
        weight
    }

    /// The whole weight, in messages and ranges.
    pub fn total(&self) -> usize {
        self.copied + self.ranges
    }
}

fn is_inbox(name: String) -> bool {
    name == "INBOX"
}

fn within<'a>(index: &'a Index, mailbox: MailboxId, uids: &'a Uids) -> impl Iterator<Item = &'a [Message]> {
    let mailbox = index.mailboxes.get(&mailbox).into_iter();
    mailbox.flat_map(|mailbox| uids.ranges().iter().map(|&range| mailbox.within(range)))
}
