//! The letters that a user was sent about a source in trouble. The note of them is in the account's log, in the
//! commit that brings the letter, so a restart does not begin the series anew.

use super::Error;
use crate::outgoing;
use crate::store::{Account, SourceKey, Transaction, identity_hash};

/// Where an account's ledger keeps the notes of letters, each under the key of its source.
const LETTERS: SourceKey = SourceKey(u64::from_be_bytes(*b"\0sources"));

/// What letters are about. Another trouble begins another series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Messages that cannot be had.
    Messages,
    /// The login is refused.
    Login,
    /// TLS failed, most often since the certificate changed.
    Tls,
    /// Any other error of the server, such as a provider that is down.
    Other,
    /// The permission to log in has ended.
    Permission,
}

impl Trouble {
    /// A note holds the position of its trouble in this list, so the order is fixed.
    const ALL: [Trouble; 5] =
        [Trouble::Messages, Trouble::Login, Trouble::Tls, Trouble::Other, Trouble::Permission];

    /// The trouble of a mailbox that could not be collected.
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

/// The series of letters about one trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The trouble that the letters are about.
    pub trouble: Trouble,
    /// How many letters were sent.
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

    /// Notes the series in the commit that brings the letter.
    pub fn note(&self, transaction: &mut Transaction, key: SourceKey) {
        Told::forget(transaction, key);
        let trouble = Trouble::ALL.iter().position(|trouble| *trouble == self.trouble).unwrap_or_default();
        let content = u64::from(self.count) << 8 | trouble as u64;
        transaction.collected_message(LETTERS, &identity(key), self.at, content);
    }

    /// Forgets the series: the source is out of trouble.
    pub fn forget(transaction: &mut Transaction, key: SourceKey) {
        transaction.forget(LETTERS, &[identity_hash(&identity(key))]);
    }
}

fn identity(key: SourceKey) -> [u8; 8] {
    key.0.to_be_bytes()
}
