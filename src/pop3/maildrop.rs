//! The maildrop (RFC 1939 section 3): the INBOX as it was at login, numbered from 1.

use super::command::MessageNumber;
use crate::store::{LastLine, Mailbox, Uid};

/// A maildrop. Messages keep their numbers throughout the session, whatever becomes of them in the mailbox.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Maildrop {
    uid_validity: u32,
    messages: Vec<Message>,
    /// The number of messages that are not marked, and their octets.
    kept: (usize, u64),
}

/// A message of the maildrop: 12 octets.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// Its UID in the INBOX.
    pub uid: Uid,
    /// Octets of the message as it is stored.
    stored: u32,
    /// Whether a line end that is not stored is sent after its last line.
    unended: bool,
    /// Whether it is marked by DELE, so that QUIT removes it.
    pub deleted: bool,
}

impl Message {
    /// Octets of the message as it is sent, without stuffed dots (RFC 1939 section 11): the last line has its CRLF.
    pub fn octets(&self) -> u64 {
        sent(self.stored.into(), self.unended)
    }
}

/// Octets that are sent of a message with so many stored octets.
pub fn sent(stored: u64, unended: bool) -> u64 {
    const CRLF: u64 = 2;
    stored + if unended { CRLF } else { 0 }
}

impl Maildrop {
    /// The messages of the INBOX. `learned`, in ascending order of UIDs, tells how messages end of which the index
    /// does not know it; a message that is in neither is listed with its stored size.
    pub fn of(inbox: &Mailbox, learned: &[(Uid, LastLine)]) -> Maildrop {
        let last_line = |uid| {
            let at = learned.binary_search_by_key(&uid, |(uid, _)| *uid).ok()?;
            learned.get(at).map(|(_, last_line)| *last_line)
        };
        let messages = inbox.messages.iter().map(|message| {
            let last_line = match message.last_line() {
                LastLine::Unknown => last_line(message.uid).unwrap_or_default(),
                known => known,
            };
            (message.uid, message.size, last_line)
        });
        Maildrop::new(inbox.uid_validity, messages)
    }

    /// A maildrop of messages given by UID, stored octets and how they end, in order of UIDs.
    pub fn new(uid_validity: u32, messages: impl IntoIterator<Item = (Uid, u32, LastLine)>) -> Maildrop {
        let messages = messages.into_iter().map(|(uid, stored, last_line)| Message {
            uid,
            stored,
            unended: last_line == LastLine::Unended,
            deleted: false,
        });
        let mut maildrop = Maildrop { uid_validity, messages: messages.collect(), kept: (0, 0) };
        maildrop.reset();
        maildrop
    }

    /// The message with this number, unless it is marked as deleted.
    pub fn get(&self, number: MessageNumber) -> Option<&Message> {
        self.messages.get(place(number)?).filter(|message| !message.deleted)
    }

    /// Marks the message with this number as deleted. False if there is none, or it is marked already.
    pub fn delete(&mut self, number: MessageNumber) -> bool {
        let message = place(number).and_then(|at| self.messages.get_mut(at));
        let Some(message) = message.filter(|message| !message.deleted) else { return false };
        message.deleted = true;
        self.kept = (self.kept.0 - 1, self.kept.1 - message.octets());
        true
    }

    /// Removes all marks of deletion.
    pub fn reset(&mut self) {
        self.messages.iter_mut().for_each(|message| message.deleted = false);
        let octets = self.messages.iter().map(Message::octets).sum();
        self.kept = (self.messages.len(), octets);
    }

    /// The first message from this number on that is not marked, with its number.
    pub fn next_from(&self, number: MessageNumber) -> Option<(MessageNumber, &Message)> {
        let last = MessageNumber::try_from(self.messages.len()).ok()?;
        (number..=last).find_map(|number| Some((number, self.get(number)?)))
    }

    /// The number of messages that are not marked, and their octets (RFC 1939 section 5, STAT).
    pub fn drop_listing(&self) -> (usize, u64) {
        self.kept
    }

    /// The UIDs of the marked messages.
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
