//! A mailbox as it is now.

use super::Usage;
use crate::store::format::{MailboxId, Message, Uid};

/// A mailbox as it is now. Its messages are in ascending order of UIDs.
#[derive(Debug, Clone, PartialEq)]
pub struct Mailbox {
    /// The mailbox's number.
    pub id: MailboxId,
    /// The name in UTF-8, with `/` between levels; `INBOX` for the INBOX.
    pub name: String,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: Uid,
    /// HIGHESTMODSEQ.
    pub highest_modseq: u64,
    /// Messages with a UID from here on are `\Recent` to the next session that selects the mailbox.
    pub recent_from: Uid,
    /// Keywords that messages of the mailbox have or had. The index of a keyword determines its bit in
    /// [`crate::store::Flags`]. An empty name is a free place.
    pub keywords: Vec<String>,
    /// The messages, by ascending UIDs.
    pub messages: Vec<Message>,
}

impl Mailbox {
    /// A new mailbox without messages.
    pub fn empty(id: MailboxId, name: String, uid_validity: u32) -> Mailbox {
        Mailbox {
            id,
            name,
            uid_validity,
            uid_next: 1,
            highest_modseq: 1,
            recent_from: 1,
            keywords: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// What its messages and keywords count.
    pub fn contents(&self) -> Usage {
        let keywords = self.keywords.iter().filter(|name| !name.is_empty()).count();
        Usage::of_keywords(keywords).plus(Usage::of_messages(&self.messages))
    }

    /// The messages with UIDs from `first` to `last`.
    pub fn within(&self, (first, last): (Uid, Uid)) -> &[Message] {
        let from = self.messages.partition_point(|message| message.uid < first);
        let to = self.messages.partition_point(|message| message.uid <= last);
        self.messages.get(from..to).unwrap_or_default()
    }

    /// The message with this UID.
    pub fn message(&self, uid: Uid) -> Option<&Message> {
        // UIDs ascend, so a message is no further from the first one than its UID is. Nearly always it is exactly
        // there.
        let first = self.messages.first()?.uid;
        let furthest = usize::try_from(uid.checked_sub(first)?).unwrap_or(usize::MAX);
        if let Some(message) = self.messages.get(furthest).filter(|message| message.uid == uid) {
            return Some(message);
        }
        let near = self.messages.get(..furthest).unwrap_or(&self.messages);
        near.get(near.binary_search_by_key(&uid, |m| m.uid).ok()?)
    }
}
