//! What a session knows of its selected mailbox: which message has which sequence number.
//!
//! A message keeps its number until the client was told otherwise (RFC 3501 section 7.4.1), whatever
//! other sessions do meanwhile; so a view is a list of UIDs of its own, four bytes a message.

use crate::store::{Mailbox, MailboxId, Uid};

/// The selected mailbox as the client knows it.
#[derive(Debug)]
pub struct View {
    mailbox: MailboxId,
    uids: Vec<Uid>,
    /// First and last UID of runs of messages that are `\Recent` to this session.
    recent: Vec<(Uid, Uid)>,
}

impl View {
    /// The mailbox as it is now; messages from `recent_from` on are `\Recent`
    /// (see [`crate::store::Account::claim_recent`]).
    pub fn new(mailbox: &Mailbox, recent_from: Uid) -> View {
        View {
            mailbox: mailbox.id,
            uids: mailbox.messages.iter().map(|m| m.uid).collect(),
            recent: vec![(recent_from, Uid::MAX)],
        }
    }
    /// The mailbox.
    pub fn mailbox(&self) -> MailboxId {
        self.mailbox
    }
    /// The UIDs in ascending order: the message at place `i` has the sequence number `i + 1`.
    pub fn uids(&self) -> &[Uid] {
        &self.uids
    }
    /// The largest UID, 0 when there are no messages.
    pub fn largest_uid(&self) -> Uid {
        self.uids.last().copied().unwrap_or(0)
    }
    /// How many messages there are, which is also the largest sequence number.
    pub fn exists(&self) -> u32 {
        u32::try_from(self.uids.len()).unwrap_or(u32::MAX)
    }
    /// Whether the message is `\Recent` to this session.
    pub fn is_recent(&self, uid: Uid) -> bool {
        self.recent.iter().any(|&(first, last)| (first..=last).contains(&uid))
    }
}
