//! Which letters a user had about a source that is in trouble. The note is in the log of the account, in the commit that
//! brings the letter: so a restart begins no row anew.

use super::Error;
use crate::outgoing;
use crate::store::{Account, SourceKey, Transaction, identity_hash};

/// Where an account's ledger knows the letters, each source under its key.
const LETTERS: SourceKey = SourceKey(u64::from_be_bytes(*b"\0sources"));

/// What letters are about. Another trouble begins another row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Messages that cannot be had.
    Messages,
    /// The login is refused.
    Login,
    /// There is no TLS, most often since the certificate changed.
    Tls,
    /// Anything else: the provider is down.
    Other,
    /// The permission to log in has ended.
    Permission,
}

impl Trouble {
    /// Notes hold their places in it.
    const ALL: [Trouble; 5] =
        [Trouble::Messages, Trouble::Login, Trouble::Tls, Trouble::Other, Trouble::Permission];

    /// Of a mailbox that could not be collected.
    pub fn of(error: &Error) -> Trouble {
        match error {
            Error::Outgoing(
                outgoing::Error::Login(_) | outgoing::Error::Sasl(_) | outgoing::Error::TokenRefused { .. },
            ) => Trouble::Login,
            Error::Outgoing(outgoing::Error::Tls(_) | outgoing::Error::Trust(_)) => Trouble::Tls,
            Error::Token(error) if error.needs_permission() => Trouble::Permission,
            _ => Trouble::Other,
        }
    }
}

/// The letters of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// What they are about.
    pub trouble: Trouble,
    /// How many there were.
    pub count: u32,
    /// When the last one was written, in seconds since 1970.
    pub at: i64,
}

impl Told {
    /// What is noted about the source of `key`.
    pub fn read(account: &Account, key: SourceKey) -> Option<Told> {
        let hash = identity_hash(&identity(key));
        let known = account.known(LETTERS, &hash)?;
        let content = known.content;
        let trouble = *Trouble::ALL.get(usize::try_from(content & 0xFF).ok()?)?;
        let count = u32::try_from(content >> 8).ok().filter(|count| *count > 0)?;
        Some(Told { trouble, count, at: known.date.get() })
    }

    /// Notes it, in the commit that brings the letter.
    pub fn note(&self, transaction: &mut Transaction, key: SourceKey) {
        Told::forget(transaction, key);
        let trouble = Trouble::ALL.iter().position(|trouble| *trouble == self.trouble).unwrap_or_default();
        let content = u64::from(self.count) << 8 | trouble as u64;
        transaction.collected_message(LETTERS, &identity(key), self.at, content);
    }

    /// The source is out of trouble.
    pub fn forget(transaction: &mut Transaction, key: SourceKey) {
        transaction.forget(LETTERS, &[identity_hash(&identity(key))]);
    }
}

fn identity(key: SourceKey) -> [u8; 8] {
    key.0.to_be_bytes()
}
