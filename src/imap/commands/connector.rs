//! What Connector clients find: the folders of groupware, marked with their kind.
//!
//! The marks are those of other groupware servers: the annotation [`FOLDER_TYPE`] (RFC 5464). Mail programs do
//! not see such folders in LIST unless they have subscribed to them: they would show appointments as mail.

use std::rc::Rc;

use crate::store::{Account, MailboxId, Transaction};

/// The annotation that says what a folder holds.
const FOLDER_TYPE: &str = "/shared/vendor/kolab/folder-type";
/// The folders that an account has, and their kinds.
const FOLDERS: [(&str, &str); 5] = [
    ("Calendar", "event.default"),
    ("Contacts", "contact.default"),
    ("Tasks", "task.default"),
    ("Notes", "note.default"),
    ("Journal", "journal.default"),
];
/// Kinds of what is no mail, each alone or with a dot and more behind it.
const KINDS: [&str; 5] = ["event", "contact", "task", "note", "journal"];

/// Whether an ID name (RFC 2971) is a Connector client's.
pub fn is_connector(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["mdaemon connector", "outlook connector"].iter().any(|connector| name.contains(connector))
}

/// What makes the folders that are missing; `None` when none is. A folder that bears the mark under another name, as
/// after a rename, is not missing. One that has the name without the mark gets it, and is subscribed to, so that
/// mail programs which show it go on doing so.
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

/// Whether a client, a `connector` or a mail program, sees this mailbox: all but groupware folders that are not subscribed are for
/// mail programs, too.
pub fn sees(connector: bool, account: &Account, id: MailboxId, name: &str) -> bool {
    connector
        || account.is_subscribed(name)
        || !account.annotation(id, FOLDER_TYPE).is_some_and(|kind| is_groupware(&kind))
}

fn is_groupware(kind: &[u8]) -> bool {
    let kind = kind.split(|&c| c == b'.').next().unwrap_or_default();
    KINDS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(kind))
}
