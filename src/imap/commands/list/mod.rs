//! LIST and LSUB (RFC 3501 sections 6.3.8 and 6.3.9), told a hundred names at a time.

pub mod listing;
pub mod pattern;

use std::collections::BTreeSet;
use std::io;

use self::listing::{Listed, Listing};
use self::pattern::MAX_WILDCARDS;
use super::connector;
use crate::imap::server::Connection;
use crate::imap::state::outcome::{Outcome, Reply};
use crate::imap::state::session::Session;
use crate::imap::wire::command::ListArgs;
use crate::pace::{Pace, TURN};
use crate::store::Account;

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
fn list_piece(account: &Account, listing: &mut Listing, connector: bool, out: &mut String) -> bool {
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

impl Session {
    /// Writes the next piece of a LIST or LSUB. `false`: it was the last.
    pub fn list(&self, listing: &mut Listing, out: &mut String) -> bool {
        let account = self.account();
        account.is_some_and(|account| list_piece(account, listing, self.connector, out))
    }
}

impl Connection {
    /// Tells the names.
    pub async fn list(&mut self, listing: &mut Listing) -> io::Result<()> {
        let (pace, mut out) = (Pace::new(), String::new());
        loop {
            let more = self.session.list(listing, &mut out);
            self.write(&out).await?;
            if !more {
                return Ok(());
            }
            out.clear();
            // To find the next names, all are looked at.
            pace.did(TURN).await;
        }
    }
}
