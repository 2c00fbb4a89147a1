//! QUOTA (RFC 9208): each account is one quota root, whose limits are the operator's, so that there is no SETQUOTA.

use crate::imap::state::outcome::Outcome;
use crate::imap::wire::command::MailboxName;
use crate::imap::wire::extension::Enabled;
use crate::imap::wire::words;
use crate::store::{Account, MESSAGES_MAX, mailbox_name};

/// The name of the quota root.
const ROOT: &str = "";

/// RFC 9208 section 4.1.1.
pub fn get(account: &Account, tag: String, root: &str, out: &mut String) -> Outcome {
    if root != ROOT {
        return Outcome::reply(tag, "NO [NONEXISTENT] There is no such quota root");
    }
    write(account, out);
    Outcome::reply(tag, "OK GETQUOTA completed")
}

/// RFC 9208 section 4.1.2: also of a mailbox that there is not yet, but can be.
pub fn get_root(
    account: &Account,
    tag: String,
    mailbox: &MailboxName,
    enabled: Enabled,
    out: &mut String,
) -> Outcome {
    let name = match mailbox_name::canonical(&mailbox.0) {
        Ok(name) => name,
        Err(error) => return Outcome::reply(tag, words::refusal(&error)),
    };
    out.push_str("* QUOTAROOT ");
    words::mailbox(&name, enabled, out);
    out.push_str(" \"\"\r\n");
    write(account, out);
    Outcome::reply(tag, "OK GETQUOTAROOT completed")
}

/// The QUOTA response: STORAGE in units of 1,024 octets, begun ones counted, where the account has such a limit.
fn write(account: &Account, out: &mut String) {
    let usage = account.usage();
    out.push_str("* QUOTA \"\" (");
    if let Some(quota) = account.quota() {
        out.push_str(&format!("STORAGE {} {} ", usage.charged().div_ceil(1024), quota / 1024));
    }
    out.push_str(&format!("MESSAGE {} {MESSAGES_MAX})\r\n", usage.messages));
}
