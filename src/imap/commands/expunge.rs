//! EXPUNGE (RFC 3501 section 6.4.3), UID EXPUNGE (RFC 4315 section 2.1), and what CLOSE removes (section 6.4.2).

use crate::imap::state::outcome::{MailboxUpdates, Outcome, Reply};
use crate::imap::state::selected::Selected;
use crate::imap::wire::command::{MessageSet, Messages};
use crate::store::{Flags, Transaction, Uids};

impl Selected {
    /// EXPUNGE (RFC 3501 section 6.4.3) and UID EXPUNGE (RFC 4315 section 2.1).
    pub fn expunge(&self, tag: String, set: Option<&MessageSet>) -> Outcome {
        if let Some(read_only) = self.read_only {
            return Outcome::reply(tag, read_only.refusal());
        }
        let news = MailboxUpdates { uid: set.is_some(), removes: true, ..MailboxUpdates::default() };
        let mut reply = Reply { news, ..Reply::new(tag, "OK EXPUNGE completed") };
        let uids = self.deleted(set);
        if uids.is_empty() {
            return Outcome::Reply(reply);
        }
        let mut transaction = self.account.begin();
        transaction.expunge(self.numbers.mailbox(), &uids);
        reply.modseq = true;
        Outcome::commit(transaction, reply)
    }

    /// UIDs of messages that the client knows and that are `\Deleted`; only those in `set`, when that is given.
    fn deleted(&self, set: Option<&MessageSet>) -> Uids {
        let messages = match set {
            Some(set) => self.choose(&Messages { uid: true, set: set.clone() }).unwrap_or_default(),
            None => vec![1..=self.numbers.exists()],
        };
        self.uids(&messages, |message| message.flags.contains(Flags::DELETED))
    }

    /// The transaction that removes what CLOSE removes; `None` when that is nothing.
    pub fn removal(&self) -> Option<Transaction> {
        let uids = if self.read_only.is_some() { Uids::default() } else { self.deleted(None) };
        if uids.is_empty() {
            return None;
        }
        let mut transaction = self.account.begin();
        transaction.expunge(self.numbers.mailbox(), &uids);
        Some(transaction)
    }
}
