//! Delivery into an account of this appliance: exactly once, whatever power cuts come in between.
//!
//! A queued message goes to several accounts. Each delivery is a commit in the account's store, and a commit in the
//! queue's store notes that it is done. A power cut between the two leaves a message that is delivered and still
//! queued. So a delivery is one commit with the message's identity in the ledger of the account: what is found there
//! is not delivered again.
//!
//! 1. The queue has the message, and it is acknowledged. From here on it cannot be lost.
//! 2. An account gets message and identity in one commit. After a cut before the commit step 2 is repeated and delivers;
//!    after a cut behind the commit it is repeated and changes nothing.
//! 3. The queue notes that, or removes the message when nothing else is left to do.
//! 4. Only then may the identity go. One in eight deliveries into the account forgets, in the same commit, the
//!    identities whose messages are no longer queued. The date of an identity is the time at which its message was
//!    accepted: if no queued message has that date, the message is gone. If the power goes before that, some octets
//!    stay a little longer, and nothing else happens.

use std::io;
use std::rc::Rc;

use crate::clock::unix_now;
use crate::flash::ReadAt;
use crate::relay::queue::{Claim, Queue};
use crate::smtp::{Mailbox, ReversePath};
use crate::store::{Account, Error, Flags, INBOX, Incoming, SourceKey, Transaction};

/// The key of the relay in the ledgers of the accounts.
pub(super) const RELAY: SourceKey = SourceKey(u64::from_be_bytes(*b"\0\0\0relay"));
/// One delivery in so many forgets the identities of messages that are no longer queued.
const TIDY: u32 = 8;
/// Octets that are copied at once.
const PIECE: usize = 16 * 1024;

/// The Return-Path field, which the server that makes the final delivery puts on top (RFC 5321 section 4.4).
pub fn return_path(sender: &ReversePath) -> String {
    format!("Return-Path: <{}>\r\n", sender.as_ref().map_or("", Mailbox::as_str))
}

/// Begins a transaction that delivers `message` into the INBOX of `account`.
pub fn begin(account: &Rc<Account>, message: Incoming) -> Transaction {
    let mut transaction = account.begin();
    transaction.deliver(INBOX, message, Flags::NONE, &[], unix_now());
    transaction
}

/// Delivers what `write` writes into the INBOX of `account`, in one commit with `identity`. Does nothing if the
/// account knows `identity` already. `identity` must begin with that of the claimed message.
///
/// # Errors
/// The store's, and those of `write`.
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
    // To look for them costs more the more messages are queued, so not every delivery does it.
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
/// The store's, and the damage of `body`.
pub async fn copy(body: &dyn ReadAt, message: &mut Incoming) -> Result<(), Error> {
    let (mut piece, mut offset) = (vec![0; PIECE], 0);
    loop {
        let n = body.read_at(offset, &mut piece).map_err(unreadable)?;
        if n == 0 {
            return Ok(());
        }
        offset += n as u64;
        message.write(piece.get(..n).unwrap_or_default())?;
        // A long message must not keep other tasks waiting.
        smol::future::yield_now().await;
    }
}

/// The error for a content that cannot be read.
pub fn unreadable(source: io::Error) -> Error {
    Error::Io { path: "queue".to_owned(), source }
}
