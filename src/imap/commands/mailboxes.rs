//! Commands about mailboxes as a whole (RFC 3501 section 6.3): what they ask of the store, and what is
//! said about it.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::connector;
use super::list::{self as listing, Listed, Listing};
use super::pattern::MAX_WILDCARDS;
use crate::imap::state::outcome::{Outcome, Reply};
use crate::imap::state::selected::Selected;
use crate::imap::state::sequence_numbers::SequenceNumbers;
use crate::imap::state::updates::{self, Manner};
use crate::imap::wire::command::{ListArgs, MailboxName, StatusItem};
use crate::imap::wire::words;
use crate::store::{Account, Error, Flags, Mailbox, MailboxId, Transaction, Uid};

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
    let reply = Reply::new(tag.clone(), done);
    Outcome::commit(transaction, tag, move |_, _, _| reply)
}

/// RFC 3501 sections 6.3.8 and 6.3.9. The names follow in pieces: see [`list_piece`].
pub fn list(tag: String, listed: Listed, args: &ListArgs, out: &mut String) -> Outcome {
    let done = match listed {
        Listed::Mailboxes => "OK LIST completed",
        Listed::Subscriptions => "OK LSUB completed",
    };
    if args.pattern.is_empty() {
        out.push_str(listing::root(listed));
        return Outcome::reply(tag, done);
    }
    match Listing::new(listed, args) {
        Some(listing) => Outcome::List { listing, reply: Reply::new(tag, done) },
        None => Outcome::reply(tag, format!("NO [LIMIT] A pattern can have {MAX_WILDCARDS} wildcards")),
    }
}

/// Writes what is to be said of the next names. `false`: those were the last. Folders of groupware are for Connector
/// clients.
pub fn list_piece(account: &Account, listing: &mut Listing, connector: bool, out: &mut String) -> bool {
    let n = listing::NAMES;
    // One more, since a name has children where the next one is one.
    let mut names = match listing.listed() {
        Listed::Mailboxes => account.mailboxes_after(listing.last(), n + 1, |id, name| {
            connector || connector::is_for_mail(account, id, name)
        }),
        Listed::Subscriptions => account.subscriptions_after(listing.last(), n + 1),
    };
    let next = (names.len() > n).then(|| names.pop()).flatten();
    // A folder of groupware above a name that is told is told.
    let implied: BTreeSet<&str> = match listing.listed() {
        Listed::Mailboxes if !connector => listing.implied(&names).collect(),
        _ => BTreeSet::new(),
    };
    let existing = if implied.is_empty() { BTreeSet::new() } else { account.existing(&implied) };
    listing.write(&names, next.as_deref(), |name| existing.contains(name), out);
    next.is_some()
}

/// RFC 3501 section 6.3.10. Which messages are `\Recent` is the `selected` session's own matter, where
/// it asks for its own mailbox.
pub fn status(
    account: &Account,
    tag: String,
    name: &MailboxName,
    items: &[StatusItem],
    selected: Option<&Selected>,
    out: &mut String,
) -> Outcome {
    let Some(id) = account.find(&name.0) else {
        return Outcome::reply(tag, words::refusal(&Error::NoSuchMailbox));
    };
    let numbers = selected.map(Selected::numbers).filter(|numbers| numbers.mailbox() == id);
    account.view(id, |mailbox| {
        out.push_str("* STATUS ");
        words::mailbox(&mailbox.name, out);
        let items: Vec<String> = items.iter().map(|&item| status_item(item, mailbox, numbers)).collect();
        out.push_str(&format!(" ({})\r\n", items.join(" ")));
    });
    Outcome::reply(tag, "OK STATUS completed")
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
        StatusItem::Size => format!("SIZE {}", messages.iter().map(|m| u64::from(m.size)).sum::<u64>()),
    }
}

/// From which UID on messages are `\Recent` to a session that looks now: SELECT claims them, EXAMINE
/// leaves them to others (RFC 3501 section 6.3.2).
pub fn recent_from(account: &Account, mailbox: MailboxId, read_only: bool) -> Option<Uid> {
    let waiting = account.view(mailbox, |mailbox| mailbox.recent_from)?;
    Some(if read_only { waiting } else { account.claim_recent(mailbox) })
}

/// The untagged responses of SELECT and EXAMINE (RFC 3501 section 6.3.1).
pub fn describe(mailbox: &Mailbox, numbers: &SequenceNumbers, manner: Manner, out: &mut String) {
    updates::keywords(mailbox, manner, out);
    out.push_str(&format!("* {} EXISTS\r\n* {} RECENT\r\n", numbers.exists(), numbers.recent()));
    if let Some(first) = mailbox.messages.iter().position(|m| !m.flags.contains(Flags::SEEN)) {
        out.push_str(&format!("* OK [UNSEEN {}] The first message that was not read\r\n", first + 1));
    }
    out.push_str(&format!("* OK [UIDVALIDITY {}] UIDs are valid\r\n", mailbox.uid_validity));
    out.push_str(&format!("* OK [UIDNEXT {}] The next UID\r\n", mailbox.uid_next));
}
