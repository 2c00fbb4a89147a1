//! METADATA (RFC 5464): what is said about annotations. The store keeps them.

use std::rc::Rc;

use super::list::special_use::{self, Uses};
use crate::imap::state::outcome::{Outcome, Reply};
use crate::imap::wire::command::{Depth, GetMetadata, MailboxName};
use crate::imap::wire::extension::Enabled;
use crate::imap::wire::words;
use crate::message::nstring;
use crate::store::{Account, Error, MailboxId, NO_MAILBOX};

/// The mailbox of this name, or what stands for the account where there is none (RFC 5464 section 3.1).
fn annotated(account: &Account, name: &MailboxName) -> Option<MailboxId> {
    if name.0.is_empty() { Some(NO_MAILBOX) } else { account.find(&name.0) }
}

/// RFC 5464 section 4.2.
pub fn get(
    account: &Account,
    tag: String,
    args: &GetMetadata,
    enabled: Enabled,
    out: &mut String,
) -> Outcome {
    let Some(id) = annotated(account, &args.mailbox) else {
        return Outcome::reply(tag, words::refusal(&Error::NoSuchMailbox));
    };
    let wanted = Wanted { entries: &args.entries, depth: args.depth, max_size: args.max_size };
    let longest = write(account, id, wanted, enabled, out);
    match longest {
        Some(octets) => Outcome::reply(tag, format!("OK [METADATA LONGENTRIES {octets}] Some are longer")),
        None => Outcome::reply(tag, "OK GETMETADATA completed"),
    }
}

/// RFC 9590: writes the entries of a mailbox that LIST has told; one that is gone meanwhile has none.
pub fn write_listed(account: &Account, name: &str, entries: &[String], enabled: Enabled, out: &mut String) {
    if let Some(id) = account.find(name) {
        write(account, id, Wanted { entries, depth: Depth::Zero, max_size: None }, enabled, out);
    }
}

/// What is told of a mailbox.
struct Wanted<'a> {
    entries: &'a [String],
    depth: Depth,
    max_size: Option<u32>,
}

/// Writes the METADATA response, where there is something to tell. Says how long the longest value is that was left out,
/// since it is longer than `max_size` octets.
fn write(
    account: &Account,
    id: MailboxId,
    wanted: Wanted<'_>,
    enabled: Enabled,
    out: &mut String,
) -> Option<usize> {
    let Wanted { entries, depth, max_size } = wanted;
    let all = account.annotations(id);
    let (mut found, mut longest) = (Vec::new(), None);
    for entry in entries {
        let before = found.len();
        let below = all.iter().filter(|(known, _)| is_within(known, entry, depth));
        for (known, value) in below {
            if max_size.is_some_and(|max| value.len() > max as usize) {
                longest = longest.max(Some(value.len()));
            } else if !found.iter().any(|(told, _): &(&str, _)| told == known) {
                found.push((known.as_str(), Some(value.as_slice())));
            }
        }
        // One that was asked for by its name is told to have no value.
        if found.len() == before && !all.iter().any(|(known, _)| known == entry) && depth == Depth::Zero {
            found.push((entry, None));
        }
    }
    if !found.is_empty() {
        out.push_str("* METADATA ");
        let name = account.view(id, |mailbox| mailbox.name.clone()).unwrap_or_default();
        words::mailbox(&name, enabled, out);
        for (place, (entry, value)) in found.into_iter().enumerate() {
            out.push_str(if place == 0 { " (" } else { " " });
            out.push_str(&quoted(Some(entry.as_bytes())));
            out.push(' ');
            out.push_str(&quoted(value));
        }
        out.push_str(")\r\n");
    }
    longest
}

fn is_within(known: &str, entry: &str, depth: Depth) -> bool {
    let Some(rest) = known.strip_prefix(entry) else { return false };
    match (rest.strip_prefix('/'), depth) {
        (None, _) => rest.is_empty(),
        (Some(below), Depth::One) => !below.contains('/'),
        (Some(_), depth) => depth == Depth::Infinity,
    }
}

/// Values are octets; what is not UTF-8 cannot stand in a response that is text, and is replaced.
fn quoted(value: Option<&[u8]>) -> String {
    let text = value.map(String::from_utf8_lossy);
    let mut octets = Vec::new();
    nstring::nstring(text.as_deref().map(str::as_bytes), &mut octets);
    String::from_utf8_lossy(&octets).into_owned()
}

/// RFC 5464 section 4.3: all of it or nothing.
pub fn set(
    account: &Rc<Account>,
    tag: String,
    mailbox: &MailboxName,
    values: Vec<(String, Option<Vec<u8>>)>,
) -> Outcome {
    let mut transaction = account.begin();
    for (entry, value) in values {
        let wrong =
            entry == special_use::ENTRY && value.as_deref().is_some_and(|uses| Uses::parse(uses).is_none());
        if wrong {
            return Outcome::reply(tag, special_use::UNKNOWN);
        }
        transaction.annotate(&mailbox.0, &entry, value.as_deref());
    }
    Outcome::commit(transaction, Reply::new(tag, "OK SETMETADATA completed"))
}
