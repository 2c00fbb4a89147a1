//! COPY (RFC 3501 section 6.4.7) and MOVE (RFC 6851).

use crate::imap::state::outcome::{AfterCommit, Copied, MailboxUpdates, Outcome, Reply};
use crate::imap::state::selected::{NO_SUCH_NUMBER, Selected, none_left};
use crate::imap::wire::command::{MailboxName, Messages};
use crate::imap::wire::sequence::write_uid_set;
use crate::store::{Account, Committed, Transaction};

/// Ranges of UIDs in a response code at most.
const MAX_RANGES: usize = 4096;

impl Selected {
    /// COPY (RFC 3501 section 6.4.7): copies all of the messages, or none.
    pub fn copy(&self, tag: String, messages: &Messages, to: &MailboxName) -> Outcome {
        match self.copying(messages, to) {
            Ok((transaction, copied)) => {
                Outcome::Commit { transaction, tag, then: AfterCommit::Copy(copied) }
            }
            Err(text) => Outcome::reply(tag, text),
        }
    }

    /// MOVE (RFC 6851): messages are copied and removed in one commit. The response says where they went before they
    /// are expunged.
    pub fn r#move(&self, tag: String, messages: &Messages, to: &MailboxName) -> Outcome {
        if let Some(read_only) = self.read_only {
            return Outcome::reply(tag, read_only.refusal());
        }
        match self.copying(messages, to) {
            Ok((mut transaction, copied)) => {
                transaction.expunge(self.numbers.mailbox(), &copied.uids);
                Outcome::Commit { transaction, tag, then: AfterCommit::Move(copied) }
            }
            Err(text) => Outcome::reply(tag, text),
        }
    }

    /// The copies that COPY and MOVE make, or the text of the refusal.
    fn copying(&self, messages: &Messages, to: &MailboxName) -> Result<(Transaction, Copied), &'static str> {
        let numbers = self.choose(messages).ok_or(NO_SUCH_NUMBER)?;
        let to = self.account.find(&to.0).ok_or("NO [TRYCREATE] There is no such mailbox")?;
        let uids = self.uids(&numbers, |_| true);
        if uids.is_empty() {
            return Err(none_left(messages, &numbers, "OK No messages"));
        }
        let mut transaction = self.account.begin();
        transaction.copy_all(self.numbers.mailbox(), &uids, to);
        Ok((transaction, Copied { uids, to, uid: messages.uid }))
    }
}

/// The reply after the messages were copied.
pub fn copied(account: &Account, tag: String, copied: &Copied, committed: &Committed) -> Reply {
    let code = copy_uid(account, copied, committed).unwrap_or_default();
    let news = MailboxUpdates { uid: copied.uid, ..MailboxUpdates::default() };
    Reply { news, ..Reply::new(tag, format!("OK {code}COPY completed")) }
}

/// The reply after the messages were moved.
pub fn moved(
    account: &Account,
    tag: String,
    copied: &Copied,
    committed: &Committed,
    out: &mut String,
) -> Reply {
    if let Some(code) = copy_uid(account, copied, committed) {
        out.push_str(&format!("* OK {code}Moved\r\n"));
    }
    let news = MailboxUpdates { uid: copied.uid, removes: true, ..MailboxUpdates::default() };
    Reply { news, modseq: true, ..Reply::new(tag, "OK MOVE completed") }
}

/// The response code `[COPYUID …] ` (RFC 4315 section 3). `None` when other sessions removed some of the messages at
/// the last moment, so that it is not known which message went where; and when the line would have more than some ten
/// thousand octets, which not every client can read. A client that gets no code has to look for itself.
fn copy_uid(account: &Account, copied: &Copied, committed: &Committed) -> Option<String> {
    let Copied { uids, to, .. } = copied;
    let scattered = uids.ranges().len() > MAX_RANGES || committed.placed.ranges().nth(MAX_RANGES).is_some();
    if committed.placed.len() != uids.len() || scattered {
        return None;
    }
    let validity = account.view(*to, |mailbox| mailbox.uid_validity)?;
    let mut code = format!("[COPYUID {validity} ");
    write_uid_set(uids.ranges().iter().copied(), &mut code);
    code.push(' ');
    write_uid_set(committed.placed.ranges(), &mut code);
    code.push_str("] ");
    Some(code)
}
