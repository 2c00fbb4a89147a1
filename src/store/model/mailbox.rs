//! A mailbox as it is now.

use super::Usage;
use crate::store::format::{MailboxId, Message, Uid};

/// A mailbox as it is now; messages in ascending order of UID.
#[derive(Debug, Clone, PartialEq)]
pub struct Mailbox {
    /// Its number.
    pub id: MailboxId,
    /// UTF-8, `/` between levels, `INBOX` for the INBOX.
    pub name: String,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: Uid,
    /// HIGHESTMODSEQ.
    pub highest_modseq: u64,
    /// Messages with a UID from here on are `\Recent` to the next session that selects the mailbox.
    pub recent_from: Uid,
    /// Keywords that messages here have or had; a keyword's place is its bit in [`crate::store::Flags`]. A place whose name
    /// is empty is free.
    pub keywords: Vec<String>,
    /// The messages.
    pub messages: Vec<Message>,
}

impl Mailbox {
    /// A mailbox that has never held anything.
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

    /// Its messages and keywords.
    pub fn contents(&self) -> Usage {
        let keywords = self.keywords.iter().filter(|name| !name.is_empty()).count();
        Usage::of_keywords(keywords).plus(Usage::of_messages(&self.messages))
    }

    /// The messages from one UID to another.
    pub fn within(&self, (first, last): (Uid, Uid)) -> &[Message] {
        let from = self.messages.partition_point(|message| message.uid < first);
        let to = self.messages.partition_point(|message| message.uid <= last);
        self.messages.get(from..to).unwrap_or_default()
    }

    /// The message with this UID.
    pub fn message(&self, uid: Uid) -> Option<&Message> {
        // UIDs ascend, so that none lies further from the first one than its UID does; nearly always it lies just there.
        let first = self.messages.first()?.uid;
        let furthest = usize::try_from(uid.checked_sub(first)?).unwrap_or(usize::MAX);
        if let Some(message) = self.messages.get(furthest).filter(|message| message.uid == uid) {
            return Some(message);
        }
        let near = self.messages.get(..furthest).unwrap_or(&self.messages);
        near.get(near.binary_search_by_key(&uid, |m| m.uid).ok()?)
    }
}
