//! What an account holds, and what of it counts against its quota.
//!
//! Octets of messages alone would not do: messages of one octet that are copied, names and annotations take memory
//! and flash as well. So whatever a client or a sender can make costs a fixed share besides its own octets.

use crate::store::Error;
use crate::store::format::Message;

/// Octets that the quota is charged for each message, mailbox, keyword, subscription and annotation besides its own. A message of one
/// octet takes about 80 octets of the log, 25 in each of the two checkpoints and 48 of memory; what is left is for the
/// records of its flags and of its removal.
pub const SHARE: u64 = 256;
/// Messages of an account: each takes 48 octets of memory while the account is open.
pub const MESSAGES_MAX: u64 = 1_000_000;
/// Mailboxes of an account.
pub const MAILBOXES_MAX: u64 = 10_000;
/// Subscriptions of an account.
pub const SUBSCRIPTIONS_MAX: u64 = 10_000;
/// Octets of all annotations of an account as the quota counts them: all are in memory while it is open.
pub const ALL_ANNOTATIONS_MAX: u64 = 1024 * 1024;
/// Keywords of all mailboxes of an account.
pub const KEYWORDS_MAX: u64 = 10_000;
/// Entries of an account's ledger: a provider's mailbox that keeps what was collected has as many messages.
pub const LEDGER_MAX: u64 = 1_000_000;
/// The six mailboxes that every account is given and its subscriptions to them cost nothing: no name has more than seven
/// octets.
const GIVEN: u64 = 12 * (SHARE + 7);

/// What an account holds, or what a change makes it hold more or less of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Messages in all mailboxes, copies counted.
    pub messages: u64,
    /// Octets of them.
    pub octets: u64,
    /// Mailboxes.
    pub mailboxes: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Octets of the names of mailboxes and subscriptions.
    pub names: u64,
    /// Octets of annotations: of each its entry, its value and its share.
    pub annotations: u64,
    /// Keywords that mailboxes have named.
    pub keywords: u64,
    /// Entries of the ledger, which no quota counts.
    pub ledger: u64,
}

/// What [`Error::Limit`] says where there are too many messages: these are a quota that clients are told of (RFC 9208).
pub const MESSAGES: &str = "messages";

type Counted = fn(&Usage) -> u64;

/// What is counted, how many there may be, and of what.
const LIMITS: [(Counted, u64, &str); 5] = [
    (|usage| usage.messages, MESSAGES_MAX, MESSAGES),
    (|usage| usage.mailboxes, MAILBOXES_MAX, "mailboxes"),
    (|usage| usage.subscriptions, SUBSCRIPTIONS_MAX, "subscriptions"),
    (|usage| usage.keywords, KEYWORDS_MAX, "keywords"),
    (|usage| usage.ledger, LEDGER_MAX, "entries in its ledger of what was collected"),
];

fn len(octets: &[u8]) -> u64 {
    octets.len() as u64
}

impl Usage {
    /// One message of so many octets.
    pub fn of_message(size: u32) -> Usage {
        Usage { messages: 1, octets: u64::from(size), ..Usage::default() }
    }

    /// These messages.
    pub fn of_messages<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Usage {
        messages.into_iter().fold(Usage::default(), |sum, message| sum.plus(Usage::of_message(message.size)))
    }

    /// One mailbox, empty.
    pub fn of_mailbox(name: &str) -> Usage {
        Usage { mailboxes: 1, ..Usage::of_name(name) }
    }

    /// One subscription.
    pub fn of_subscription(name: &str) -> Usage {
        Usage { subscriptions: 1, ..Usage::of_name(name) }
    }

    /// The octets of a name alone.
    pub fn of_name(name: &str) -> Usage {
        Usage { names: len(name.as_bytes()), ..Usage::default() }
    }

    /// One annotation.
    pub fn of_annotation(entry: &str, value: &[u8]) -> Usage {
        Usage { annotations: SHARE + len(entry.as_bytes()) + len(value), ..Usage::default() }
    }

    /// So many names of keywords.
    pub fn of_keywords(names: usize) -> Usage {
        Usage { keywords: names as u64, ..Usage::default() }
    }

    /// So many entries of the ledger.
    pub fn of_ledger(entries: usize) -> Usage {
        Usage { ledger: entries as u64, ..Usage::default() }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Usage) -> Usage {
        self.each(other, u64::saturating_add)
    }

    /// What is left without `other`, nothing less than nothing.
    #[must_use]
    pub fn less(self, other: Usage) -> Usage {
        self.each(other, u64::saturating_sub)
    }

    fn each(self, other: Usage, of: fn(u64, u64) -> u64) -> Usage {
        Usage {
            messages: of(self.messages, other.messages),
            octets: of(self.octets, other.octets),
            mailboxes: of(self.mailboxes, other.mailboxes),
            subscriptions: of(self.subscriptions, other.subscriptions),
            names: of(self.names, other.names),
            annotations: of(self.annotations, other.annotations),
            keywords: of(self.keywords, other.keywords),
            ledger: of(self.ledger, other.ledger),
        }
    }

    /// Counts what has come.
    pub fn add(&mut self, more: Usage) {
        *self = self.plus(more);
    }

    /// Counts what has gone, which was counted when it came. That is checked in every build; but a wrong sum costs no
    /// mail, and ending would cost the service: with the next opening of the account it is counted anew.
    pub fn remove(&mut self, gone: Usage) {
        let left = self.less(gone);
        if left.plus(gone) != *self {
            log::error!("store: counted wrongly, of {self:?} this has gone: {gone:?}");
            debug_assert!(false, "more has gone than ever came: {gone:?}");
        }
        *self = left;
    }

    /// Octets that the quota is charged for all of it.
    pub fn charged(&self) -> u64 {
        let shares = |records: u64| records.saturating_mul(SHARE);
        let named = shares(self.mailboxes.saturating_add(self.subscriptions)).saturating_add(self.names);
        [
            self.octets,
            shares(self.messages.saturating_add(self.keywords)),
            self.annotations,
            named.saturating_sub(GIVEN),
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// Whether an account may come from `self` to `after`. It may always hold less.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::TooManyAnnotations`], [`Error::OverQuota`].
    pub fn may_become(&self, after: &Usage, quota: Option<u64>) -> Result<(), Error> {
        let too_many = |of: Counted, most: u64| of(after) > most && of(after) > of(self);
        for (of, most, what) in LIMITS {
            if too_many(of, most) {
                return Err(Error::Limit(what));
            }
        }
        if too_many(|usage| usage.annotations, ALL_ANNOTATIONS_MAX) {
            return Err(Error::TooManyAnnotations);
        }
        let charged = after.charged();
        if quota.is_some_and(|quota| charged > quota) && charged > self.charged() {
            return Err(Error::OverQuota);
        }
        Ok(())
    }
}
