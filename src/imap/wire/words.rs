//! The words of responses: strings, mailbox names, flags, and the refusals for errors of the store.

use std::borrow::Cow;

use super::extension::Enabled;
use super::grammar::is_astring_char;
use crate::imap::mailbox_name;
use crate::store::{Error, Flags, MESSAGES, Mailbox, Message};

const SYSTEM_FLAGS: [(Flags, &str); 5] = [
    (Flags::ANSWERED, "\\Answered"),
    (Flags::FLAGGED, "\\Flagged"),
    (Flags::DELETED, "\\Deleted"),
    (Flags::SEEN, "\\Seen"),
    (Flags::DRAFT, "\\Draft"),
];

/// Appends a mailbox name as it is sent to a client that has enabled `enabled`, in quotes when necessary.
pub fn mailbox(name: &str, enabled: Enabled, out: &mut String) {
    let wire = if enabled.utf8() { name.into() } else { Cow::from(mailbox_name::encode(name)) };
    astring(&wire, out);
}

/// Appends a string without line breaks, in quotes when necessary.
pub fn astring(text: &str, out: &mut String) {
    if !text.is_empty() && text.bytes().all(is_astring_char) && !text.eq_ignore_ascii_case("NIL") {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// EMAILID (RFC 8474 section 5.1), the same for all copies of a message. It contains size and date, since an account
/// that was restored from an older copy gives out the numbers of lost bodies again.
pub fn email_id(message: &Message) -> String {
    let Message { body, size, date, .. } = *message;
    format!("M{body}-{size}-{}", date.get().unsigned_abs())
}

/// MAILBOXID (RFC 8474 section 4). It changes when UIDVALIDITY changes.
pub fn mailbox_id(mailbox: &Mailbox) -> String {
    format!("F{}-{}", mailbox.id.0, mailbox.uid_validity)
}

/// Appends flags in parentheses. `keywords` are those of the mailbox.
pub fn flags(flags: Flags, keywords: &[String], recent: bool, out: &mut String) {
    let system = SYSTEM_FLAGS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|&(_, name)| name);
    let keywords = named(flags.keywords().filter_map(|place| keywords.get(place)));
    list(recent.then_some("\\Recent").into_iter().chain(system).chain(keywords), out);
}

/// Appends all flags that messages in the mailbox can have, and `\*` when `new` keywords can be created.
pub fn all_flags(mailbox: &Mailbox, new: bool, out: &mut String) {
    let system = SYSTEM_FLAGS.iter().map(|&(_, name)| name);
    let keywords = named(mailbox.keywords.iter());
    list(system.chain(keywords).chain(new.then_some("\\*")), out);
}

/// The names that are not empty: a free place of a mailbox has an empty name.
fn named<'a>(names: impl Iterator<Item = &'a String>) -> impl Iterator<Item = &'a str> {
    names.map(String::as_str).filter(|name| !name.is_empty())
}

fn list<'a>(names: impl Iterator<Item = &'a str>, out: &mut String) {
    out.push('(');
    for (place, name) in names.enumerate() {
        if place > 0 {
            out.push(' ');
        }
        out.push_str(name);
    }
    out.push(')');
}

/// The tagged refusal for an error of the store, with response codes of RFC 3501 and RFC 5530. Errors of the
/// appliance itself are logged here.
pub fn refusal(error: &Error) -> String {
    match error {
        Error::NoSuchMailbox => "NO [NONEXISTENT] There is no such mailbox".into(),
        Error::MailboxExists => "NO [ALREADYEXISTS] There is a mailbox of that name".into(),
        Error::BadName(why) => format!("NO [CANNOT] That name cannot be used: {why}"),
        Error::TooManyAnnotations => "NO [METADATA TOOMANY] No more annotations fit".into(),
        Error::AnnotationTooLong => {
            format!("NO [METADATA MAXSIZE {}] That annotation is too long", crate::store::ANNOTATION_MAX)
        }
        // GETQUOTA reports this limit as a quota (RFC 9208 section 4.3.1).
        Error::Limit(MESSAGES) => "NO [OVERQUOTA] The account has as many messages as it can have".into(),
        Error::Limit(what) => format!("NO [LIMIT] The account has as many {what} as it can have"),
        Error::Full => "NO [OVERQUOTA] No room is left; delete some messages and try again".into(),
        Error::OverQuota => "NO [OVERQUOTA] The account holds as much as it may; delete some messages".into(),
        // The operator is told elsewhere, once and not at each refusal.
        Error::ReadOnly => "NO [UNAVAILABLE] The flash takes no changes; all mail can be read".into(),
        Error::Damaged(_) => {
            log::error!("imap: {error}");
            "NO [CORRUPTION] What that is about is damaged on flash; the appliance's log says where".into()
        }
        Error::NoSuchMessage | Error::Failed(_) | Error::Io { .. } => {
            log::error!("imap: {error}");
            "NO [SERVERBUG] The appliance could not do that; its log says why".into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: damage that is reported as a defect of the server, and a quota that is reported under another name
    /// when it runs out.
    #[test]
    fn refusals_have_the_code_of_their_kind() {
        for (error, code) in [
            (Error::Limit(MESSAGES), "NO [OVERQUOTA] "),
            (Error::Limit("keywords"), "NO [LIMIT] "),
            (Error::Damaged("x".into()), "NO [CORRUPTION] "),
            (Error::NoSuchMessage, "NO [SERVERBUG] "),
        ] {
            assert!(refusal(&error).starts_with(code), "{error}");
        }
    }
}
