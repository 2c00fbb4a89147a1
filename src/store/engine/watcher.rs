//! Who hears what happens to the mailboxes of an account.

use std::ops::Bound;
use std::rc::Rc;

use super::{Account, Transaction};
use crate::store::format::MailboxId;
use crate::store::model::{Event, Mailbox, Overflow, WatcherId};

/// Hears of all that happens from its beginning on. Dropped, it costs nothing more.
pub struct Watcher {
    account: Rc<Account>,
    id: WatcherId,
    next: u64,
}

impl Account {
    /// Begins to watch: no event after this is missed. [`Account::changed`] says when there may be one.
    pub fn watch(self: &Rc<Self>) -> Watcher {
        let (id, next) = self.state.borrow_mut().index.journal.begin();
        Watcher { account: self.clone(), id, next }
    }

    /// Shows the next `n` mailboxes behind that of the number `after` to `look`, in order of their numbers: the number of the
    /// last one where there may be more. `look` must not call into the account.
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
    /// The next event, and whether a transaction of this watcher has made it (see [`Watcher::makes`]); `None`: there is none
    /// yet. It comes again until [`Watcher::pass`].
    ///
    /// # Errors
    /// [`Overflow`]: too much has happened since the last one.
    pub fn next(&self) -> Result<Option<(bool, Event)>, Overflow> {
        self.account.index(|index| {
            let event = index.journal.event(self.next)?;
            Ok(event.map(|(by, event)| (*by == self.id, event.clone())))
        })
    }

    /// That event was heard.
    pub fn pass(&mut self) {
        self.next += 1;
    }

    /// What this transaction does is this watcher's own doing.
    pub fn makes(&self, transaction: &mut Transaction) {
        transaction.by = self.id;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.account.state.borrow_mut().index.journal.end();
    }
}
