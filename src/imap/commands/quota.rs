//! QUOTA (RFC 9208). Each account is one quota root. The operator sets its limits, so there is no SETQUOTA.

use crate::imap::state::outcome::Outcome;
use crate::imap::wire::command::MailboxName;
use crate::imap::wire::extension::Enabled;
use crate::imap::wire::words;
use crate::store::{Account, MESSAGES_MAX, mailbox_name};

/// The name of the quota root.
const ROOT: &str = "";

/// GETQUOTA (RFC 9208 section 4.1.1).
pub fn get(account: &Account, tag: String, root: &str, out: &mut String) -> Outcome {
    if root != ROOT {
        return Outcome::reply(tag, "NO [NONEXISTENT] There is no such quota root");
    }
    write(account, out);
    Outcome::reply(tag, "OK GETQUOTA completed")
}

/// GETQUOTAROOT (RFC 9208 section 4.1.2), also for a mailbox that does not exist yet but could.
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

/// Writes the QUOTA response: STORAGE in units of 1,024 octets, rounded up, when the account has such a limit, and
/// MESSAGE.
fn write(account: &Account, out: &mut String) {
    let usage = account.usage();
    out.push_str("* QUOTA \"\" (");
    if let Some(quota) = account.quota() {
        out.push_str(&format!("STORAGE {} {} ", usage.charged().div_ceil(1024), quota / 1024));
    }
    out.push_str(&format!("MESSAGE {} {MESSAGES_MAX})\r\n", usage.messages));
}
