//! One message from several sources of an account, where that is wanted once (`dedupe`).

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use super::ledger::Identity;
use crate::store::{Account, IdentityHash, SourceKey, Transaction};

/// Where the ledger of an account knows what came from any of its sources that look for twins.
const TWINS: SourceKey = SourceKey(u64::from_be_bytes(*b"\0\0twins\0"));
/// Seconds for which they are remembered.
const REMEMBERED: i64 = 365 * 86_400;

/// Those that wait for their commit, by account, which is open as long as any does; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Twins(Rc<RefCell<HashSet<(usize, Identity)>>>);

/// Tells accounts that are open apart: their names may change.
fn key(account: &Account) -> usize {
    std::ptr::from_ref(account).addr()
}

/// What is known of a twin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    /// Nothing: it is the first one, and waits for its commit now.
    First,
    /// Another source of the account brings it this moment.
    UnderWay,
    /// It is safe.
    Safe,
}

impl Twins {
    /// Whether `identity` is there, or comes this moment.
    pub fn meet(&self, account: &Account, identity: Identity) -> Twin {
        if account.collected(TWINS, identity.octets()).is_some() {
            return Twin::Safe;
        }
        let is_first = self.0.borrow_mut().insert((key(account), identity));
        if is_first { Twin::First } else { Twin::UnderWay }
    }

    /// It is noted in the commit that brings it.
    pub fn note(transaction: &mut Transaction, identity: Identity, now: i64) {
        transaction.collected(TWINS, identity.octets(), now);
    }

    /// Nobody waits for it any more.
    pub fn part(&self, account: &Account, identity: Identity) {
        self.0.borrow_mut().remove(&(key(account), identity));
    }

    /// Forgets those that came long ago.
    pub fn forget(account: &Account, transaction: &mut Transaction, now: i64) {
        let known = account.all_collected(TWINS).into_iter();
        let old: Vec<IdentityHash> =
            known.filter(|(_, date)| now - date >= REMEMBERED).map(|(hash, _)| hash).collect();
        if !old.is_empty() {
            transaction.forget(TWINS, &old);
        }
    }
}
