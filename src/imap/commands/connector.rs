//! What Connector clients find: groupware folders, marked with their kind.
//!
//! The mark is the one that other groupware servers use: the annotation [`FOLDER_TYPE`] (RFC 5464). LIST does not
//! show such folders to mail programs unless they are subscribed: mail programs would show appointments as mail.

use std::rc::Rc;

use crate::store::{Account, MailboxId, Transaction};

/// The annotation that says what a folder holds.
const FOLDER_TYPE: &str = "/shared/vendor/kolab/folder-type";
/// The groupware folders of an account, and their kinds.
const FOLDERS: [(&str, &str); 5] = [
    ("Calendar", "event.default"),
    ("Contacts", "contact.default"),
    ("Tasks", "task.default"),
    ("Notes", "note.default"),
    ("Journal", "journal.default"),
];
/// Kinds of folders that hold no mail. A dot and more text may follow.
const KINDS: [&str; 5] = ["event", "contact", "task", "note", "journal"];

/// Whether a name in ID (RFC 2971) is that of a Connector client.
pub fn is_connector(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["mdaemon connector", "outlook connector"].iter().any(|connector| name.contains(connector))
}

/// The transaction that creates the missing folders; `None` when none is missing. A folder that has the mark under
/// another name, for example after a rename, is not missing. A folder that has the name without the mark gets the
/// mark and is subscribed, so that mail programs which show it continue to do so.
pub fn missing_folders(account: &Rc<Account>) -> Option<Transaction> {
    let mailboxes = account.mailboxes();
    let kinds: Vec<_> = mailboxes.iter().map(|(id, _)| account.annotation(*id, FOLDER_TYPE)).collect();
    let mut transaction = account.begin();
    let mut any = false;
    for (name, kind) in FOLDERS {
        if kinds.iter().any(|known| known.as_deref() == Some(kind.as_bytes())) {
            continue;
        }
        match mailboxes.iter().position(|(_, known)| known == name) {
            Some(place) if kinds.get(place).is_some_and(Option::is_some) => continue,
            Some(_) => transaction.subscribe(name, true),
            None => transaction.create_mailbox(name),
        }
        transaction.annotate(name, FOLDER_TYPE, Some(kind.as_bytes()));
        any = true;
    }
    any.then_some(transaction)
}

/// Whether a client sees this mailbox. A Connector client (`connector`) sees all mailboxes; a mail program sees all
/// but groupware folders that are not subscribed.
pub fn sees(connector: bool, account: &Account, id: MailboxId, name: &str) -> bool {
    connector
        || account.is_subscribed(name)
        || !account.annotation(id, FOLDER_TYPE).is_some_and(|kind| is_groupware(&kind))
}

fn is_groupware(kind: &[u8]) -> bool {
    let kind = kind.split(|&c| c == b'.').next().unwrap_or_default();
    KINDS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(kind))
}
