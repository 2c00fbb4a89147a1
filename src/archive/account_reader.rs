//! Another account as the source of an import.

use std::rc::Rc;

use super::Format;
use super::manifest::Export;
use super::source::{Contents, Entry, Found, Place, Source};
use crate::store::{Account, MailboxId, MailboxNumbers};

/// The annotation with the special use of a mailbox (RFC 6154, RFC 5464). An account has one mailbox for each use, so
/// mail that is put below another mailbox loses it.
const SPECIAL_USE: &str = "/private/specialuse";

/// All mailboxes of `account` as the source of an import, below the mailbox `below`, or under their own names.
pub fn source(account: &Rc<Account>, below: Option<&str>) -> Source {
    let named = |name: &str| below.map_or(name.to_owned(), |below| format!("{below}/{name}"));
    // A mailbox that every account gets and that was never used is left out.
    let is_used = |id: MailboxId| account.view(id, |mailbox| mailbox.uid_next > 1) == Some(true);
    let wanted = account.mailboxes().into_iter().filter(|(id, _)| below.is_none() || is_used(*id));
    let found = wanted.map(|(id, name)| Found::in_account(named(&name), account, id, below.is_none()));
    let mailboxes: Vec<Found> = found.collect();
    let subscriptions = account.subscriptions();
    // A mailbox that does not exist needs no subscription.
    let subscriptions = subscriptions
        .iter()
        .map(|name| named(name))
        .filter(|name| below.is_none() || mailboxes.iter().any(|found| found.name == *name))
        .collect();
    let export = below.is_none().then(|| Export {
        account: account.name().to_string(),
        format: Format::default(),
        complete: true,
        subscriptions: Vec::new(),
    });
    Source { mailboxes, subscriptions, export, problems: Vec::new() }
}

/// The contents of a mailbox, in the order of UIDs.
pub fn read(account: &Rc<Account>, id: MailboxId, keeps_use: bool) -> Contents {
    let annotations = account.annotations(id).into_iter();
    let annotations = annotations.filter(|(entry, _)| keeps_use || entry != SPECIAL_USE).collect();
    let contents = account.view(id, |mailbox| Contents {
        numbers: Some(MailboxNumbers {
            uid_validity: mailbox.uid_validity,
            uid_next: mailbox.uid_next,
            highest_modseq: mailbox.highest_modseq,
        }),
        keywords: mailbox.keywords.clone(),
        annotations,
        messages: mailbox
            .messages
            .iter()
            .map(|message| Entry {
                place: Place::Account(account.clone(), *message),
                flags: message.flags,
                date: message.date.get(),
                uid: Some(message.uid),
                modseq: Some(message.modseq),
            })
            .collect(),
        problems: Vec::new(),
    });
    contents.unwrap_or_default()
}
