//! Notes in the ledger of a source what another program has collected from it.

use std::rc::Rc;

use super::super::ledger::{CLOCK_IS_SET, Ledger, source_key};
use super::Entry;
use crate::clock::unix_now;
use crate::config::Source;
use crate::store::{self, Account, SourceKey, Transaction};

/// Messages that one commit notes.
const BATCH: usize = 1000;

/// How many messages were noted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Messages that were new to the ledger.
    pub new: u64,
    /// Messages that the ledger knew already.
    pub known: u64,
}

/// An import under way, which is given the messages one by one.
pub struct Import {
    account: Rc<Account>,
    ledger: Ledger,
    key: SourceKey,
    as_own: bool,
    transaction: Transaction,
    waiting: usize,
    taken: Taken,
}

impl Import {
    /// An import for this folder of `source`. With `as_own`, a message counts as collected by the appliance, so it is
    /// deleted at the server as the source's settings say. Otherwise the message is left alone at the server for
    /// good, since it is not here.
    pub fn new(account: Rc<Account>, source: &Source, folder: &str, as_own: bool) -> Import {
        let key = source_key(source, folder);
        Import {
            ledger: Ledger::new(source, account.ledger_of(key), unix_now(), u64::MAX),
            transaction: account.begin(),
            account,
            key,
            as_own,
            waiting: 0,
            taken: Taken::default(),
        }
    }

    /// Notes one message.
    ///
    /// # Errors
    /// The store's; what was committed before stays.
    pub async fn take(&mut self, entry: &Entry) -> Result<(), store::Error> {
        let identity = self.ledger.unique(entry.unique_id.as_bytes());
        if !self.ledger.is_new(&identity) {
            self.taken.known += 1;
            return Ok(());
        }
        let now = unix_now();
        let date = entry.date.filter(|date| (CLOCK_IS_SET..=now).contains(date)).unwrap_or(now);
        let noted = if self.as_own { identity } else { identity.again() };
        self.transaction.collected(self.key, noted.octets(), date);
        self.taken.new += 1;
        self.waiting += 1;
        if self.waiting >= BATCH { self.commit().await } else { Ok(()) }
    }

    /// Ends the import.
    ///
    /// # Errors
    /// The store's.
    pub async fn finish(mut self) -> Result<Taken, store::Error> {
        if self.waiting > 0 {
            self.commit().await?;
        }
        Ok(self.taken)
    }

    async fn commit(&mut self) -> Result<(), store::Error> {
        self.waiting = 0;
        let transaction = std::mem::replace(&mut self.transaction, self.account.begin());
        transaction.commit().await.map(drop)
    }
}
