//! Commands about mailboxes as a whole (RFC 3501 section 6.3): what they ask of the store, and what is
//! said about it.

use std::rc::Rc;

use crate::imap::state::outcome::{Outcome, Reply};
use crate::imap::state::selected::Selected;
use crate::imap::state::sequence_numbers::SequenceNumbers;
use crate::imap::wire::command::{MailboxName, StatusItem};
use crate::imap::wire::words;
use crate::store::{Account, Error, Flags, Mailbox, Transaction};

/// RFC 3501 section 6.3.3.
pub fn create(account: &Rc<Account>, tag: String, name: &MailboxName) -> Outcome {
    let mut transaction = account.begin();
    transaction.create_mailbox(&name.0);
    commit(transaction, tag, "OK CREATE completed")
}

/// RFC 3501 section 6.3.4. Sessions that have the mailbox selected see its messages expunged.
pub fn delete(account: &Rc<Account>, tag: String, name: &MailboxName) -> Outcome {
    let mut transaction = account.begin();
    transaction.delete_mailbox(&name.0);
    commit(transaction, tag, "OK DELETE completed")
}

/// RFC 3501 section 6.3.5.
pub fn rename(account: &Rc<Account>, tag: String, from: &MailboxName, to: &MailboxName) -> Outcome {
    let mut transaction = account.begin();
    transaction.rename_mailbox(&from.0, &to.0);
    commit(transaction, tag, "OK RENAME completed")
}

/// RFC 3501 sections 6.3.6 and 6.3.7.
pub fn subscribe(account: &Rc<Account>, tag: String, name: &MailboxName, subscribed: bool) -> Outcome {
    let mut transaction = account.begin();
    transaction.subscribe(&name.0, subscribed);
    commit(transaction, tag, if subscribed { "OK SUBSCRIBE completed" } else { "OK UNSUBSCRIBE completed" })
}

fn commit(transaction: Transaction, tag: String, done: &'static str) -> Outcome {
    Outcome::commit(transaction, Reply::new(tag, done))
}

/// RFC 3501 section 6.3.10.
pub fn status(
    account: &Account,
    tag: String,
    name: &MailboxName,
    items: &[StatusItem],
    selected: Option<&Selected>,
    out: &mut String,
) -> Outcome {
    if write_status(account, &name.0, items, selected, out) {
        Outcome::reply(tag, "OK STATUS completed")
    } else {
        Outcome::reply(tag, words::refusal(&Error::NoSuchMailbox))
    }
}

/// Writes the STATUS response; `false`: there is no such mailbox. Which messages are `\Recent` is the `selected`
/// session's own matter, where it asks for its own mailbox.
pub fn write_status(
    account: &Account,
    name: &str,
    items: &[StatusItem],
    selected: Option<&Selected>,
    out: &mut String,
) -> bool {
    let Some(id) = account.find(name) else { return false };
    let numbers = selected.map(Selected::numbers).filter(|numbers| numbers.mailbox() == id);
    let written = account.view(id, |mailbox| {
        out.push_str("* STATUS ");
        words::mailbox(&mailbox.name, out);
        let items: Vec<String> = items.iter().map(|&item| status_item(item, mailbox, numbers)).collect();
        out.push_str(&format!(" ({})\r\n", items.join(" ")));
    });
    written.is_some()
}

fn status_item(item: StatusItem, mailbox: &Mailbox, numbers: Option<&SequenceNumbers>) -> String {
    let messages = &mailbox.messages;
    match item {
        StatusItem::Messages => format!("MESSAGES {}", messages.len()),
        StatusItem::Recent => {
            let own = |uid| numbers.is_some_and(|numbers| numbers.is_recent(uid));
            let recent = messages.iter().filter(|m| m.uid >= mailbox.recent_from || own(m.uid));
            format!("RECENT {}", recent.count())
        }
        StatusItem::UidNext => format!("UIDNEXT {}", mailbox.uid_next),
        StatusItem::UidValidity => format!("UIDVALIDITY {}", mailbox.uid_validity),
        StatusItem::Unseen => {
            format!("UNSEEN {}", messages.iter().filter(|m| !m.flags.contains(Flags::SEEN)).count())
        }
        StatusItem::HighestModseq => format!("HIGHESTMODSEQ {}", mailbox.highest_modseq),
        StatusItem::Size => format!("SIZE {}", messages.iter().map(|m| u64::from(m.size)).sum::<u64>()),
    }
}
