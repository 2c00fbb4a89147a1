//! Delivery into an account of this appliance: once, whatever power cuts come in between.
//!
//! A queued message goes to several accounts, and each delivery is a commit in another store than the
//! one that notes in the queue that it is done. A cut between the two leaves a message that is delivered
//! and still queued. So a delivery is one commit with the message's identity in the ledger of the
//! account: what is found there is not delivered again.
//!
//! 1. The queue has the message: it is acknowledged. From here on it cannot be lost.
//! 2. An account has message and identity, in one commit. A cut before: 2 is done again, and delivers.
//!    A cut after: 2 is done again, and changes nothing.
//! 3. The queue notes that, or removes the message when nothing else is left.
//! 4. Only then may the identity go: at one in eight deliveries into the account, in the same commit, those
//!    identities are forgotten whose message is queued no longer. Each has the time at which its message
//!    was accepted as its date: a date that no queued message has belongs to one that is gone. Should
//!    power go before that, some octets stay a little longer, and that is all.

use std::io;
use std::rc::Rc;

use crate::clock::unix_now;
use crate::flash::ReadAt;
use crate::relay::queue::{Claim, Queue};
use crate::smtp::{Mailbox, ReversePath};
use crate::store::{Account, Error, Flags, INBOX, Incoming, SourceKey, Transaction};

/// The relay in the ledgers of the accounts.
pub(super) const RELAY: SourceKey = SourceKey(u64::from_be_bytes(*b"\0\0\0relay"));
/// One in so many deliveries forgets the identities of messages that are queued no longer.
const TIDY: u32 = 8;
/// Octets copied at once.
const PIECE: usize = 16 * 1024;

/// RFC 5321 section 4.4: what the last server puts on top.
pub fn return_path(sender: &ReversePath) -> String {
    format!("Return-Path: <{}>\r\n", sender.as_ref().map_or("", Mailbox::as_str))
}

/// Begins a delivery into the INBOX of `account`.
pub fn begin(account: &Rc<Account>, message: Incoming) -> Transaction {
    let mut transaction = account.begin();
    transaction.deliver(INBOX, message, Flags::NONE, &[], unix_now());
    transaction
}

/// Delivers what `write` writes into the INBOX of `account`, in one commit with `identity`; where that is
/// known already, nothing happens. `identity` must begin with the claimed message's own.
///
/// # Errors
/// What the store says, or what `write` found.
pub async fn once(
    queue: &Queue,
    claim: &Claim<'_>,
    account: &Rc<Account>,
    identity: &str,
    write: impl AsyncFnOnce(&mut Incoming) -> Result<(), Error>,
) -> Result<(), Error> {
    if account.collected(RELAY, identity.as_bytes()).is_some() {
        return Ok(());
    }
    let mut message = account.incoming();
    write(&mut message).await?;
    // To look for those that may go costs more the more are queued, so that is not done each time.
    let tidies = claim.uid().is_multiple_of(TIDY);
    let gone = if tidies { queue.gone(account.all_collected(RELAY)) } else { Vec::new() };
    let mut transaction = begin(account, message);
    if !gone.is_empty() {
        transaction.forget(RELAY, &gone);
    }
    transaction.collected(RELAY, identity.as_bytes(), claim.entry.created);
    transaction.commit().await.map(drop)
}

/// Appends `body` to `message`, in pieces.
///
/// # Errors
/// What the store says.
pub async fn copy(body: &dyn ReadAt, message: &mut Incoming) -> Result<(), Error> {
    let (mut piece, mut offset) = (vec![0; PIECE], 0);
    loop {
        let n = body.read_at(offset, &mut piece).map_err(unreadable)?;
        if n == 0 {
            return Ok(());
        }
        offset += n as u64;
        message.write(piece.get(..n).unwrap_or_default())?;
        // A long message is not to keep the others waiting.
        smol::future::yield_now().await;
    }
}

/// A content that cannot be read.
pub fn unreadable(source: io::Error) -> Error {
    Error::Io { path: "queue".to_owned(), source }
}
