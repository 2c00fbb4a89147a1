//! COPY (RFC 3501 section 6.4.7) and MOVE (RFC 6851).

use crate::imap::state::outcome::{AfterCommit, Copied, News, Outcome, Reply};
use crate::imap::state::selected::{NO_SUCH_NUMBER, Selected, none_left};
use crate::imap::wire::command::{MailboxName, Messages};
use crate::imap::wire::sequence::write_uid_set;
use crate::store::{Account, Committed, Transaction};

/// Ranges of UIDs in a response code.
const MAX_RANGES: usize = 4096;

impl Selected {
    /// RFC 3501 section 6.4.7: all of them, or none.
    pub fn copy(&self, tag: String, messages: &Messages, to: &MailboxName) -> Outcome {
        match self.copying(messages, to) {
            Ok((transaction, copied)) => {
                Outcome::Commit { transaction, tag, then: AfterCommit::Copy(copied) }
            }
            Err(text) => Outcome::reply(tag, text),
        }
    }

    /// RFC 6851: copied and removed in one commit. Where they went is told before they are expunged.
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

    /// The copies that COPY and MOVE make, or the refusal.
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

/// The messages are copied.
pub fn copied(account: &Account, tag: String, copied: &Copied, committed: &Committed) -> Reply {
    let code = copy_uid(account, copied, committed).unwrap_or_default();
    let news = News { uid: copied.uid, ..News::default() };
    Reply { news, ..Reply::new(tag, format!("OK {code}COPY completed")) }
}

/// The messages are there and no longer here.
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
    let news = News { uid: copied.uid, removes: true, ..News::default() };
    Reply { news, modseq: true, ..Reply::new(tag, "OK MOVE completed") }
}

/// `[COPYUID …] ` of RFC 4315 section 3. `None` when some messages were removed at the last moment, so
/// that which went where cannot be told, or when it would be a line of more than some ten thousand octets, which no client
/// can be trusted to read: those who miss the code look for themselves.
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
