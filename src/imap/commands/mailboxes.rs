//! Commands about whole mailboxes (RFC 3501 section 6.3): the changes that they ask the store for, and their replies.

use std::rc::Rc;

use super::list::special_use::{self, Uses};
use crate::imap::mailbox_name;
use crate::imap::state::outcome::{AfterCommit, Outcome, Reply};
use crate::imap::state::selected::Selected;
use crate::imap::state::sequence_numbers::SequenceNumbers;
use crate::imap::wire::command::{MailboxName, StatusItem};
use crate::imap::wire::extension::Enabled;
use crate::imap::wire::words;
use crate::store::{Account, Error, Flags, INBOX, Mailbox, MailboxId, Transaction, Usage};

/// CREATE (RFC 3501 section 6.3.3), with the special use of the mailbox (RFC 6154 section 3).
pub fn create(
    account: &Rc<Account>,
    tag: String,
    name: MailboxName,
    uses: Option<&str>,
    enabled: Enabled,
) -> Outcome {
    if let Err(refusal) = may_be_new(&name, enabled) {
        return Outcome::reply(tag, refusal);
    }
    let mut transaction = account.begin();
    transaction.create_mailbox(&name.0);
    if let Some(uses) = uses {
        let Some(uses) = Uses::parse(uses.as_bytes()) else {
            return Outcome::reply(tag, special_use::UNKNOWN);
        };
        transaction.annotate(&name.0, special_use::ENTRY, Some(uses.written().as_bytes()));
    }
    Outcome::Commit { transaction, tag, then: AfterCommit::Create(name) }
}

/// Checks a new name. RFC 6855 section 3: a client that has enabled UTF-8 must not create a name that is not
/// Net-Unicode. Names in modified UTF-7 are kept as they are.
fn may_be_new(name: &MailboxName, enabled: Enabled) -> Result<(), String> {
    let checked = if enabled.utf8() { mailbox_name::net_unicode(&name.0) } else { Ok(()) };
    checked.map_err(|why| words::refusal(&Error::BadName(why)))
}

/// The reply after the mailbox was created, with its MAILBOXID (RFC 8474 section 4.1).
pub fn created(account: &Account, tag: String, name: &MailboxName) -> Reply {
    let id = account.find(&name.0).and_then(|id| account.view(id, words::mailbox_id));
    Reply::new(
        tag,
        id.map_or("OK CREATE completed".into(), |id| format!("OK [MAILBOXID ({id})] CREATE completed")),
    )
}

/// DELETE (RFC 3501 section 6.3.4). Sessions that have the mailbox selected see its messages expunged.
pub fn delete(account: &Rc<Account>, tag: String, name: &MailboxName) -> Outcome {
    let mut transaction = account.begin();
    transaction.delete_mailbox(&name.0);
    commit(transaction, tag, "OK DELETE completed")
}

/// RENAME (RFC 3501 section 6.3.5). Renaming the INBOX keeps the INBOX and copies its annotations (RFC 5464 section
/// 4.1); other mailboxes take their annotations along.
pub fn rename(
    account: &Rc<Account>,
    tag: String,
    from: &MailboxName,
    to: &MailboxName,
    enabled: Enabled,
) -> Outcome {
    if let Err(refusal) = may_be_new(to, enabled) {
        return Outcome::reply(tag, refusal);
    }
    let mut transaction = account.begin();
    transaction.rename_mailbox(&from.0, &to.0);
    if account.find(&from.0) == Some(INBOX) {
        for (entry, value) in account.annotations(INBOX) {
            transaction.annotate(&to.0, &entry, Some(&value));
        }
    }
    commit(transaction, tag, "OK RENAME completed")
}

/// SUBSCRIBE and UNSUBSCRIBE (RFC 3501 sections 6.3.6 and 6.3.7).
pub fn subscribe(account: &Rc<Account>, tag: String, name: &MailboxName, subscribed: bool) -> Outcome {
    let mut transaction = account.begin();
    transaction.subscribe(&name.0, subscribed);
    commit(transaction, tag, if subscribed { "OK SUBSCRIBE completed" } else { "OK UNSUBSCRIBE completed" })
}

fn commit(transaction: Transaction, tag: String, done: &'static str) -> Outcome {
    Outcome::commit(transaction, Reply::new(tag, done))
}

/// STATUS (RFC 3501 section 6.3.10).
pub fn status(
    account: &Account,
    tag: String,
    name: &MailboxName,
    items: &[StatusItem],
    about: About<'_>,
    out: &mut String,
) -> Outcome {
    if write_status(account, &name.0, items, about, out) {
        Outcome::reply(tag, "OK STATUS completed")
    } else {
        Outcome::reply(tag, words::refusal(&Error::NoSuchMailbox))
    }
}

/// What STATUS needs besides what the store knows.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// The selected mailbox of the session, which itself knows which of its messages are `\Recent`.
    pub selected: Option<&'a Selected>,
    /// Octets of a message at most.
    pub append_limit: u64,
    /// What the client has enabled.
    pub enabled: Enabled,
}

/// Writes the STATUS response. Returns `false` when there is no such mailbox.
pub fn write_status(
    account: &Account,
    name: &str,
    items: &[StatusItem],
    about: About<'_>,
    out: &mut String,
) -> bool {
    account.find(name).is_some_and(|id| write_status_of(account, id, items, about, out))
}

/// Writes the STATUS response of the mailbox of this number. Returns `false` when there is no such mailbox.
pub fn write_status_of(
    account: &Account,
    id: MailboxId,
    items: &[StatusItem],
    about: About<'_>,
    out: &mut String,
) -> bool {
    let numbers = about.selected.map(Selected::numbers).filter(|numbers| numbers.mailbox() == id);
    let written = account.view(id, |mailbox| {
        out.push_str("* STATUS ");
        words::mailbox(&mailbox.name, about.enabled, out);
        let items: Vec<String> =
            items.iter().map(|&item| status_item(item, mailbox, numbers, about.append_limit)).collect();
        out.push_str(&format!(" ({})\r\n", items.join(" ")));
    });
    written.is_some()
}

fn status_item(
    item: StatusItem,
    mailbox: &Mailbox,
    numbers: Option<&SequenceNumbers>,
    append_limit: u64,
) -> String {
    let messages = &mailbox.messages;
    let deleted = || messages.iter().filter(|message| message.flags.contains(Flags::DELETED));
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
        StatusItem::AppendLimit => format!("APPENDLIMIT {append_limit}"),
        StatusItem::MailboxId => format!("MAILBOXID ({})", words::mailbox_id(mailbox)),
        StatusItem::Deleted => format!("DELETED {}", deleted().count()),
        StatusItem::DeletedStorage => {
            format!("DELETED-STORAGE {}", Usage::of_messages(deleted()).charged())
        }
        // RFC 8438 section 3: the size as the quota counts it.
        StatusItem::Size => format!("SIZE {}", mailbox.contents().charged()),
    }
}
