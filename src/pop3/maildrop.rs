//! The maildrop (RFC 1939 section 3): the INBOX as it was at login, numbered from 1.

use super::command::MessageNumber;
use crate::store::{Mailbox, Uid};

/// Messages keep their numbers through the session, whatever becomes of them in the mailbox.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Maildrop {
    uid_validity: u32,
    messages: Vec<Message>,
    /// Messages that are not marked, and the octets of them.
    kept: (usize, u64),
}

/// A message of the maildrop: 12 octets.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// Its UID in the INBOX.
    pub uid: Uid,
    /// Octets, as they are stored and as they are sent (RFC 1939 section 11: line ends are CRLF).
    pub size: u32,
    /// Marked by DELE: it goes at QUIT.
    pub deleted: bool,
}

impl From<&Mailbox> for Maildrop {
    fn from(mailbox: &Mailbox) -> Maildrop {
        let messages = mailbox.messages.iter().map(|message| (message.uid, message.size));
        Maildrop::new(mailbox.uid_validity, messages)
    }
}

impl Maildrop {
    /// Of messages given by UID and size, in order of UID.
    pub fn new(uid_validity: u32, messages: impl IntoIterator<Item = (Uid, u32)>) -> Maildrop {
        let messages = messages.into_iter().map(|(uid, size)| Message { uid, size, deleted: false });
        let mut maildrop = Maildrop { uid_validity, messages: messages.collect(), kept: (0, 0) };
        maildrop.reset();
        maildrop
    }

    /// The message of this number, unless it is marked as deleted.
    pub fn get(&self, number: MessageNumber) -> Option<&Message> {
        self.messages.get(place(number)?).filter(|message| !message.deleted)
    }

    /// Marks the message of this number as deleted; false when there is none, or it is already.
    pub fn delete(&mut self, number: MessageNumber) -> bool {
        let message = place(number).and_then(|at| self.messages.get_mut(at));
        let Some(message) = message.filter(|message| !message.deleted) else { return false };
        message.deleted = true;
        self.kept = (self.kept.0 - 1, self.kept.1 - u64::from(message.size));
        true
    }

    /// Takes all marks off.
    pub fn reset(&mut self) {
        self.messages.iter_mut().for_each(|message| message.deleted = false);
        let octets = self.messages.iter().map(|message| u64::from(message.size)).sum();
        self.kept = (self.messages.len(), octets);
    }

    /// The first message from this number on that is not marked, and its number.
    pub fn next_from(&self, number: MessageNumber) -> Option<(MessageNumber, &Message)> {
        let last = MessageNumber::try_from(self.messages.len()).ok()?;
        (number..=last).find_map(|number| Some((number, self.get(number)?)))
    }

    /// Messages that are not marked, and the octets of them (RFC 1939 section 5, STAT).
    pub fn drop_listing(&self) -> (usize, u64) {
        self.kept
    }

    /// The UIDs of the messages that are marked.
    pub fn deleted(&self) -> Vec<Uid> {
        self.messages.iter().filter(|message| message.deleted).map(|message| message.uid).collect()
    }

    /// The unique-id (RFC 1939 section 7): UIDs are never used again under the same UIDVALIDITY.
    pub fn unique_id(&self, message: &Message) -> String {
        format!("{:x}.{:x}", self.uid_validity, message.uid)
    }
}

fn place(number: MessageNumber) -> Option<usize> {
    usize::try_from(number).ok()?.checked_sub(1)
}
