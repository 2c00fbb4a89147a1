//! Twins: the same message from several sources of an account, which is delivered once where `dedupe` is set.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use super::ledger::Identity;
use crate::store::{Account, IdentityHash, SourceKey, Transaction};

/// The key under which an account's ledger notes the messages of all its sources that have `dedupe`.
const TWINS: SourceKey = SourceKey(u64::from_be_bytes(*b"\0\0twins\0"));
/// Seconds for which a message is remembered.
const REMEMBERED: i64 = 365 * 86_400;

/// The messages that wait for their commit, each with its account, which is open as long as one waits. Clones share
/// them.
#[derive(Debug, Clone, Default)]
pub struct Twins(Rc<RefCell<HashSet<(usize, Identity)>>>);

/// Tells open accounts apart: their names may change.
fn key(account: &Account) -> usize {
    std::ptr::from_ref(account).addr()
}

/// What is known of the same message from another source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    /// Nothing: this one is the first, and waits for its commit from now on.
    First,
    /// Another source of the account is bringing it right now.
    UnderWay,
    /// It is committed.
    Safe,
}

impl Twins {
    /// What is known of `identity`. If nothing is, it waits for its commit from now on.
    pub fn meet(&self, account: &Account, identity: Identity) -> Twin {
        if account.collected(TWINS, identity.octets()).is_some() {
            return Twin::Safe;
        }
        let is_first = self.0.borrow_mut().insert((key(account), identity));
        if is_first { Twin::First } else { Twin::UnderWay }
    }

    /// Notes `identity` in the commit that brings its message.
    pub fn note(transaction: &mut Transaction, identity: Identity, now: i64) {
        transaction.collected(TWINS, identity.octets(), now);
    }

    /// `identity` no longer waits for its commit.
    pub fn part(&self, account: &Account, identity: Identity) {
        self.0.borrow_mut().remove(&(key(account), identity));
    }

    /// Forgets messages that came more than a year ago.
    pub fn forget(account: &Account, transaction: &mut Transaction, now: i64) {
        let known = account.all_collected(TWINS).into_iter();
        let old: Vec<IdentityHash> =
            known.filter(|(_, date)| now - date >= REMEMBERED).map(|(hash, _)| hash).collect();
        if !old.is_empty() {
            transaction.forget(TWINS, &old);
        }
    }
}
