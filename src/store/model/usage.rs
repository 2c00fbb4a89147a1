//! What an account holds, and what of it counts against its quota.
//!
//! Counting the octets of messages alone is not enough: messages of one octet that are copied, names and annotations
//! take memory and flash as well. So everything that a client or a sender can create costs a fixed share besides its
//! own octets.

use crate::store::Error;
use crate::store::format::Message;

/// Octets that the quota is charged for each message, mailbox, keyword, subscription and annotation besides its own
/// octets. A message of one octet takes about 80 octets of the log, 25 in each of the two checkpoints and 48 of
/// memory; the rest is for the records of its flags and of its removal.
pub const SHARE: u64 = 256;
/// Messages of an account at most: each takes 48 octets of memory while the account is open.
pub const MESSAGES_MAX: u64 = 1_000_000;
/// Mailboxes of an account at most.
pub const MAILBOXES_MAX: u64 = 10_000;
/// Subscriptions of an account at most.
pub const SUBSCRIPTIONS_MAX: u64 = 10_000;
/// Octets of all annotations of an account at most, as the quota counts them: all are in memory while the account is
/// open.
pub const ALL_ANNOTATIONS_MAX: u64 = 1024 * 1024;
/// Keywords of all mailboxes of an account at most.
pub const KEYWORDS_MAX: u64 = 10_000;
/// Entries of an account's ledger at most: one for each message in the providers' mailboxes that was collected and
/// stays there.
pub const LEDGER_MAX: u64 = 1_000_000;
/// Octets that are free of charge: the six mailboxes that every account gets and its subscriptions to them. None of
/// their names has more than seven octets.
const GIVEN: u64 = 12 * (SHARE + 7);

/// What an account holds, or by how much a change makes it hold more or less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Messages in all mailboxes; copies count.
    pub messages: u64,
    /// Octets of these messages.
    pub octets: u64,
    /// Number of mailboxes.
    pub mailboxes: u64,
    /// Number of subscriptions.
    pub subscriptions: u64,
    /// Octets of the names of mailboxes and subscriptions.
    pub names: u64,
    /// Octets of annotations: for each one its entry, its value and its share.
    pub annotations: u64,
    /// Number of keywords in all mailboxes.
    pub keywords: u64,
    /// Number of entries of the ledger, which the quota does not count.
    pub ledger: u64,
}

/// What [`Error::Limit`] says when there are too many messages: clients are told of this limit as a quota (RFC 9208).
pub const MESSAGES: &str = "messages";

type Counted = fn(&Usage) -> u64;

/// For each limit what is counted, how many there may be, and its name.
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
    /// The usage of one message of `size` octets.
    pub fn of_message(size: u32) -> Usage {
        Usage { messages: 1, octets: u64::from(size), ..Usage::default() }
    }

    /// The usage of these messages.
    pub fn of_messages<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Usage {
        messages.into_iter().fold(Usage::default(), |sum, message| sum.plus(Usage::of_message(message.size)))
    }

    /// The usage of one empty mailbox.
    pub fn of_mailbox(name: &str) -> Usage {
        Usage { mailboxes: 1, ..Usage::of_name(name) }
    }

    /// The usage of one subscription.
    pub fn of_subscription(name: &str) -> Usage {
        Usage { subscriptions: 1, ..Usage::of_name(name) }
    }

    /// The usage of a name alone: its octets.
    pub fn of_name(name: &str) -> Usage {
        Usage { names: len(name.as_bytes()), ..Usage::default() }
    }

    /// The usage of one annotation.
    pub fn of_annotation(entry: &str, value: &[u8]) -> Usage {
        Usage { annotations: SHARE + len(entry.as_bytes()) + len(value), ..Usage::default() }
    }

    /// The usage of so many keywords.
    pub fn of_keywords(names: usize) -> Usage {
        Usage { keywords: names as u64, ..Usage::default() }
    }

    /// The usage of so many entries of the ledger.
    pub fn of_ledger(entries: usize) -> Usage {
        Usage { ledger: entries as u64, ..Usage::default() }
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Usage) -> Usage {
        self.each(other, u64::saturating_add)
    }

    /// The difference, which is never less than 0.
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

    /// Adds what has come.
    pub fn add(&mut self, more: Usage) {
        *self = self.plus(more);
    }

    /// Subtracts what has gone, which must have been added when it came. Every build checks that, but only debug
    /// builds end on it: a wrong sum costs no mail, while ending would cost the service, and the sum is counted anew
    /// when the account is opened.
    pub fn remove(&mut self, gone: Usage) {
        let left = self.less(gone);
        if left.plus(gone) != *self {
            log::error!("store: counted wrongly, of {self:?} this has gone: {gone:?}");
            debug_assert!(false, "more has gone than ever came: {gone:?}");
        }
        *self = left;
    }

    /// Octets that the quota is charged for everything.
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

    /// Checks whether an account may come from `self` to `after`. It may always hold less.
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
