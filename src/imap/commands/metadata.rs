//! METADATA (RFC 5464): commands about annotations. The store keeps the annotations.

use std::borrow::Cow;
use std::rc::Rc;

use super::list::special_use::{self, SpecialUse, Uses};
use crate::imap::state::outcome::{Outcome, Reply};
use crate::imap::wire::command::{Depth, GetMetadata, MailboxName};
use crate::imap::wire::extension::Enabled;
use crate::imap::wire::words;
use crate::message::nstring;
use crate::store::{Account, Error, MailboxId, NO_MAILBOX, mailbox_name};

/// The entry of the server's administrator (section 3.2.1.1), which clients cannot change.
const ADMIN: &str = "/shared/admin";

/// The id of the mailbox of this name, or [`NO_MAILBOX`], which stands for the account, when the name is empty (RFC
/// 5464 section 3.1).
fn annotated(account: &Account, name: &MailboxName) -> Option<MailboxId> {
    if name.0.is_empty() { Some(NO_MAILBOX) } else { account.find(&name.0) }
}

/// GETMETADATA (RFC 5464 section 4.2).
pub fn get(account: &Account, tag: String, args: &GetMetadata, enabled: Enabled) -> Outcome {
    let Some(id) = annotated(account, &args.mailbox) else {
        return Outcome::reply(tag, words::refusal(&Error::NoSuchMailbox));
    };
    let mut octets = Vec::new();
    let wanted = Wanted { entries: &args.entries, depth: args.depth, max_size: args.max_size };
    let longest = write(account, id, wanted, enabled, &mut octets);
    let text: Cow<'static, str> = match longest {
        Some(octets) => format!("OK [METADATA LONGENTRIES {octets}] Some are longer").into(),
        None => "OK GETMETADATA completed".into(),
    };
    Outcome::Octets { octets, reply: Reply::new(tag, text) }
}

/// Writes the entries of a mailbox that LIST has reported (RFC 9590); nothing when the mailbox is gone by now.
pub fn write_listed(account: &Account, name: &str, entries: &[String], enabled: Enabled, out: &mut Vec<u8>) {
    if let Some(id) = account.find(name) {
        write(account, id, Wanted { entries, depth: Depth::Zero, max_size: None }, enabled, out);
    }
}

/// The entries that are asked for.
struct Wanted<'a> {
    entries: &'a [String],
    depth: Depth,
    max_size: Option<u32>,
}

/// Writes the METADATA response, when there is anything to report. Returns the length of the longest value that was
/// left out because it has more than `max_size` octets.
fn write(
    account: &Account,
    id: MailboxId,
    wanted: Wanted<'_>,
    enabled: Enabled,
    out: &mut Vec<u8>,
) -> Option<usize> {
    let Wanted { entries, depth, max_size } = wanted;
    let mut all = account.annotations(id);
    let name = account.view(id, |mailbox| mailbox.name.clone()).unwrap_or_default();
    if entries.iter().any(|entry| is_within(special_use::ENTRY, entry, depth)) {
        tie_special_use(account, &name, &mut all);
    }
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
        // An entry that was asked for by its exact name is reported with no value.
        if found.len() == before && !all.iter().any(|(known, _)| known == entry) && depth == Depth::Zero {
            found.push((entry, None));
        }
    }
    if !found.is_empty() {
        let mut begin = String::from("* METADATA ");
        words::mailbox(&name, enabled, &mut begin);
        out.extend(begin.into_bytes());
        for (place, (entry, value)) in found.into_iter().enumerate() {
            out.extend(if place == 0 { &b" ("[..] } else { b" " });
            nstring::string(entry.as_bytes(), out);
            out.push(b' ');
            write_value(value, out);
        }
        out.extend(b")\r\n");
    }
    longest
}

/// Puts the special use of the mailbox into `all`, as LIST reports it, whether it was set or follows from the name
/// (RFC 6154 section 4).
fn tie_special_use(account: &Account, name: &str, all: &mut Vec<(String, Vec<u8>)>) {
    if name.is_empty() {
        return;
    }
    let uses = SpecialUse::of(account).of_mailbox(name);
    all.retain(|(entry, _)| entry != special_use::ENTRY);
    if !uses.is_empty() {
        let at = all.partition_point(|(entry, _)| entry.as_str() < special_use::ENTRY);
        all.insert(at, (special_use::ENTRY.to_owned(), uses.written().into_bytes()));
    }
}

fn is_within(known: &str, entry: &str, depth: Depth) -> bool {
    let Some(rest) = known.strip_prefix(entry) else { return false };
    match (rest.strip_prefix('/'), depth) {
        (None, _) => rest.is_empty(),
        (Some(below), Depth::One) => !below.contains('/'),
        (Some(_), depth) => depth == Depth::Infinity,
    }
}

/// Writes a `value` (section 5): an `nstring`, or a `literal8` when the value contains a NUL.
fn write_value(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        Some(value) if value.contains(&0) => {
            out.extend(format!("~{{{}}}\r\n", value.len()).into_bytes());
            out.extend(value);
        }
        value => nstring::nstring(value, out),
    }
}

/// SETMETADATA (RFC 5464 section 4.3): makes all changes, or none.
pub fn set(
    account: &Rc<Account>,
    tag: String,
    mailbox: &MailboxName,
    values: Vec<(String, Option<Vec<u8>>)>,
) -> Outcome {
    let mut transaction = account.begin();
    for (entry, mut value) in values {
        if mailbox.0.is_empty() && entry == ADMIN {
            return Outcome::reply(tag, "NO [CANNOT] How to reach the operator is the operator's to say");
        }
        if entry == special_use::ENTRY {
            match value.as_deref() {
                Some(uses) if Uses::parse(uses).is_none() => {
                    return Outcome::reply(tag, special_use::UNKNOWN);
                }
                // A use that follows from the name goes away only when an empty value is set.
                None if has_use_by_name(mailbox) => value = Some(Vec::new()),
                _ => {}
            }
        }
        transaction.annotate(&mailbox.0, &entry, value.as_deref());
    }
    Outcome::commit(transaction, Reply::new(tag, "OK SETMETADATA completed"))
}

fn has_use_by_name(mailbox: &MailboxName) -> bool {
    mailbox_name::canonical(&mailbox.0).is_ok_and(|name| !Uses::by_name(&name).is_empty())
}
