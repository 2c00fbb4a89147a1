//! How messages end that came before the index kept it: read once from where they lie, and noted.

use std::rc::Rc;

use super::Account;
use crate::flash::Mode;
use crate::pace::Pace;
use crate::store::Error;
use crate::store::format::{LastLine, MailboxId, Message, Uid, Uids, in_file};

/// What reading the end of one message counts for, in octets: two places of the card.
const READ: u64 = 8 * 1024;

impl Account {
    /// How the messages of a mailbox end of which it is not known, the last `most` of them, by ascending UIDs; in turns
    /// with others. It is noted, so that it is read once. One that cannot be read stays unknown.
    pub async fn learn_last_lines(self: &Rc<Self>, mailbox: MailboxId, most: usize) -> Vec<(Uid, LastLine)> {
        let is_unknown = |message: &&Message| message.last_line == LastLine::Unknown;
        let unknown: Option<Vec<Message>> = self.view(mailbox, |mailbox| {
            mailbox.messages.iter().rev().filter(is_unknown).take(most).copied().collect()
        });
        let (pace, mut learned) = (Pace::new(), Vec::new());
        for message in unknown.unwrap_or_default().iter().rev() {
            // What is damaged is told of by who reads it.
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

    /// As if all messages had come before this was kept.
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

    /// The last two octets of a message, or all that it has.
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
