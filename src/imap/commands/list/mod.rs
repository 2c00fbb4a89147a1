//! LIST and LSUB (RFC 3501 sections 6.3.8 and 6.3.9, RFC 5258, RFC 5819, RFC 9590), a hundred names at a time.

pub mod listing;
pub mod pattern;
pub mod special_use;

use std::collections::BTreeSet;
use std::io;

use self::listing::{ListResponse, Listed, Listing, Name};
use self::pattern::{MAX_PATTERNS, MAX_WILDCARDS, TooMany};
use self::special_use::SpecialUse;
use super::{connector, mailboxes, metadata};
use crate::config::Config;
use crate::imap::server::Connection;
use crate::imap::state::outcome::{Outcome, Reply};
use crate::imap::state::session::Session;
use crate::imap::wire::command::ListArgs;
use crate::imap::wire::extension::Enabled;
use crate::pace::{Pace, TURN};
use crate::store::Account;
use crate::store::mailbox_name::is_inferior;

/// LIST and LSUB (RFC 3501 sections 6.3.8 and 6.3.9). The names follow in pieces: see [`list_piece`].
pub fn list(tag: String, listed: Listed, args: ListArgs, enabled: Enabled, out: &mut String) -> Outcome {
    let done = match listed {
        Listed::Mailboxes => "OK LIST completed",
        Listed::Subscriptions => "OK LSUB completed",
    };
    // RFC 5258 section 3: in an extended LIST an empty pattern does not ask for the delimiter.
    if args.options.is_none() && args.patterns.iter().all(String::is_empty) {
        out.push_str(listing::root(listed));
        return Outcome::reply(tag, done);
    }
    let several = args.patterns.len() > 1;
    let refused = match Listing::new(listed, args, enabled) {
        Ok(listing) => return Outcome::List { listing, reply: Reply::new(tag, done) },
        Err(TooMany::Wildcards) if several => {
            format!("The patterns can have {MAX_WILDCARDS} wildcards together")
        }
        Err(TooMany::Wildcards) => format!("A pattern can have {MAX_WILDCARDS} wildcards"),
        Err(TooMany::Patterns) => format!("There can be {MAX_PATTERNS} patterns"),
    };
    Outcome::reply(tag, format!("NO [LIMIT] {refused}"))
}

/// Reports the next names. Returns `false` when these were the last. Groupware folders are reported to Connector
/// clients only.
fn list_piece(
    account: &Account,
    listing: &mut Listing,
    connector: bool,
    told: &mut Vec<ListResponse>,
) -> bool {
    let n = listing::NAMES;
    // One more than is reported: a name has children when the next name is below it.
    let (mut mailboxes, mut subscriptions) = (Vec::new(), Vec::new());
    if listing.wants_mailboxes() {
        let sees = |id, name: &str| connector::sees(connector, account, id, name);
        mailboxes = account.mailboxes_after(listing.last(), n + 1, sees);
    }
    if listing.wants_subscriptions() {
        subscriptions = account.subscriptions_after(listing.last(), n + 1);
    }
    let mut piece = listing.merge(n, mailboxes, subscriptions);
    let uses = SpecialUse::of(account);
    for name in &mut piece.names {
        name.subscribed = account.is_subscribed(&name.name);
        name.uses = uses.of_mailbox(&name.name);
    }
    // A groupware folder that is above a reported name is reported as well.
    let implied: BTreeSet<&str> = if listing.wants_mailboxes() && !connector {
        listing.implied(&piece.names).collect()
    } else {
        BTreeSet::new()
    };
    let existing = if implied.is_empty() { BTreeSet::new() } else { account.existing(&implied) };
    let more = piece.more;
    let about = |name: &str| Name {
        name: name.to_owned(),
        exists: existing.contains(name),
        subscribed: account.is_subscribed(name),
        uses: uses.of_mailbox(name),
    };
    listing.tell(piece, about, told);
    more
}

/// Writes the LIST response of a mailbox that is selected (RFC 9051 section 6.3.2). When its name differs from the
/// one that the client has given (for the INBOX, or with a delimiter at the end), that one is reported as OLDNAME
/// (section 6.3.9.7).
pub fn write_selected(account: &Account, given: &str, connector: bool, enabled: Enabled, out: &mut String) {
    let found = account.find(given);
    let Some(name) = found.and_then(|id| account.view(id, |mailbox| mailbox.name.clone())) else { return };
    write_name(account, &name, (name != given).then_some(given), connector, enabled, out);
}

/// Writes the LIST response of a name as it is now, without a LIST command, and with the other name by which the
/// client knows the mailbox.
pub fn write_name(
    account: &Account,
    name: &str,
    known_as: Option<&str>,
    connector: bool,
    enabled: Enabled,
    out: &mut String,
) {
    let sees = |id, name: &str| connector::sees(connector, account, id, name);
    let next = account.mailboxes_after(Some(name), 1, sees);
    let children = next.first().is_some_and(|next| is_inferior(next, name));
    let name = Name {
        exists: account.find(name).is_some(),
        subscribed: account.is_subscribed(name),
        uses: SpecialUse::of(account).of_mailbox(name),
        name: name.to_owned(),
    };
    listing::write_one(&name, children, known_as, enabled, out);
}

impl Session {
    /// Reports the next piece of a LIST or LSUB. Returns `false` when it was the last.
    fn list(&self, listing: &mut Listing, told: &mut Vec<ListResponse>) -> bool {
        let account = self.account();
        account.is_some_and(|account| list_piece(account, listing, self.connector, told))
    }

    /// Writes the STATUS and METADATA of a mailbox that was reported (RFC 5819, RFC 9590); nothing when the mailbox
    /// is gone by now.
    fn list_more(&self, config: &Config, listing: &Listing, name: &str, out: &mut Vec<u8>) {
        let Some(account) = self.account() else { return };
        if !listing.status().is_empty() {
            let mut text = String::new();
            mailboxes::write_status(account, name, listing.status(), self.about(config), &mut text);
            out.extend(text.into_bytes());
        }
        if !listing.metadata().is_empty() {
            metadata::write_listed(account, name, listing.metadata(), self.enabled, out);
        }
    }
}

impl Connection {
    /// Sends the responses of a LIST or LSUB.
    pub async fn list(&mut self, listing: &mut Listing) -> io::Result<()> {
        let (pace, mut out, mut told) = (Pace::new(), String::new(), Vec::new());
        loop {
            let more = self.session.list(listing, &mut told);
            for ListResponse { line, more } in told.drain(..) {
                out.push_str(&line);
                if let Some(name) = more {
                    let mut octets = std::mem::take(&mut out).into_bytes();
                    self.session.list_more(&self.context.config(), listing, &name, &mut octets);
                    self.write(&octets).await?;
                    // All names were searched for the mailbox, and all its messages for each item.
                    pace.did(TURN).await;
                }
            }
            self.write(&out).await?;
            if !more {
                return Ok(());
            }
            out.clear();
            // All names were searched for the next ones.
            pace.did(TURN).await;
        }
    }
}
