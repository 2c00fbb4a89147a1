//! How messages end that were stored before the index kept that: the end is read once from the message, and noted.

use std::rc::Rc;

use super::Account;
use crate::flash::Mode;
use crate::pace::Pace;
use crate::store::Error;
use crate::store::format::{LastLine, MailboxId, Message, Uid, Uids, in_file};

/// What reading the end of one message counts for, in octets: the card is read in two places.
const READ: u64 = 8 * 1024;

impl Account {
    /// Finds out how the messages of a mailbox end for which that is unknown, for the last `most` of them, and notes
    /// it, so that it is read only once. Ascending UIDs. Other tasks get turns in between. A message that cannot be
    /// read stays unknown.
    pub async fn learn_last_lines(self: &Rc<Self>, mailbox: MailboxId, most: usize) -> Vec<(Uid, LastLine)> {
        let is_unknown = |message: &&Message| message.last_line == LastLine::Unknown;
        let unknown: Option<Vec<Message>> = self.view(mailbox, |mailbox| {
            mailbox.messages.iter().rev().filter(is_unknown).take(most).copied().collect()
        });
        let (pace, mut learned) = (Pace::new(), Vec::new());
        for message in unknown.unwrap_or_default().iter().rev() {
            // Damage is reported when the message itself is read.
            if let Ok(end) = self.end_of(message) {
                learned.push((message.uid, LastLine::of(&end)));
            }
            pace.did(READ).await;
        }
        if !learned.is_empty()
            && let Err(error) = self.note_last_lines(mailbox, &learned).await
        {
            log::debug!("{}: how messages end is to be read again: {error}", self.name());
        }
        learned
    }

    /// Makes the index as if all messages had been stored before it kept how they end.
    #[cfg(test)]
    pub fn forget_last_lines(&self) {
        let mailboxes = &mut self.state.borrow_mut().index.mailboxes;
        let messages = mailboxes.values_mut().flat_map(|mailbox| &mut mailbox.messages);
        messages.for_each(|message| message.last_line = LastLine::Unknown);
    }

    async fn note_last_lines(
        self: &Rc<Self>,
        mailbox: MailboxId,
        learned: &[(Uid, LastLine)],
    ) -> Result<(), Error> {
        let mut transaction = self.begin();
        for last_line in [LastLine::Ended, LastLine::Unended] {
            let such = learned.iter().filter(|(_, learned)| *learned == last_line);
            transaction.last_lines(mailbox, last_line, Uids::ascending(such.map(|(uid, _)| *uid)));
        }
        transaction.commit().await.map(drop)
    }

    /// The last two octets of a message, or fewer when the message is shorter.
    fn end_of(&self, message: &Message) -> Result<Vec<u8>, Error> {
        let octets = message.size.min(2);
        let mut end = vec![0; octets as usize];
        if in_file(message.size) {
            let path = self.body_path(message.body);
            let read = self
                .flash()
                .open(&path, Mode::Read)
                .and_then(|file| file.read_exact_at(u64::from(message.size - octets), &mut end));
            return read.map(|()| end).map_err(|error| Error::io(&path, error));
        }
        self.read(message, |log, place| log.end_of_body(place, octets as usize)).map(|(_, end)| end)
    }
}
