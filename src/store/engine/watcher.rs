//! Watchers, which are told what happens in the mailboxes of an account.

use std::ops::Bound;
use std::rc::Rc;

use super::{Account, Transaction};
use crate::store::format::MailboxId;
use crate::store::model::{Event, Mailbox, Overflow, WatcherId};

/// Gets every event in the account from its beginning on. Once dropped, it costs nothing.
pub struct Watcher {
    account: Rc<Account>,
    id: WatcherId,
    next: u64,
}

impl Account {
    /// Begins to watch: no later event is missed. [`Account::changed`] tells when there may be an event.
    pub fn watch(self: &Rc<Self>) -> Watcher {
        let (id, next) = self.state.borrow_mut().index.journal.begin();
        Watcher { account: self.clone(), id, next }
    }

    /// Calls `look` with the next `n` mailboxes whose numbers are larger than `after`, in ascending order. Returns
    /// the number of the last one when there may be more. `look` must not call into the account.
    pub fn each_mailbox(
        &self,
        after: Option<MailboxId>,
        n: usize,
        mut look: impl FnMut(&Mailbox),
    ) -> Option<MailboxId> {
        self.index(|index| {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let mut last = None;
            for (place, mailbox) in
                index.mailboxes.range((from, Bound::Unbounded)).map(|(_, it)| it).enumerate()
            {
                if place == n {
                    return last;
                }
                last = Some(mailbox.id);
                look(mailbox);
            }
            None
        })
    }
}

impl Watcher {
    /// The next event, and whether a transaction of this watcher has made it (see [`Watcher::makes`]); `None` when
    /// there is none yet. The same event is returned until [`Watcher::pass`] is called.
    ///
    /// # Errors
    /// [`Overflow`], when too much has happened since the last event.
    pub fn next(&self) -> Result<Option<(bool, Event)>, Overflow> {
        self.account.index(|index| {
            let event = index.journal.event(self.next)?;
            Ok(event.map(|(by, event)| (*by == self.id, event.clone())))
        })
    }

    /// Says that the event of [`Watcher::next`] was handled.
    pub fn pass(&mut self) {
        self.next += 1;
    }

    /// Says that this watcher makes the transaction.
    pub fn makes(&self, transaction: &mut Transaction) {
        transaction.by = self.id;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.account.state.borrow_mut().index.journal.end();
    }
}
