//! The keys by which messages are sorted (RFC 5256 section 3, RFC 5957).

use std::borrow::Cow;

use crate::imap::commands::lazy_message::{LazyMessage, SharedSummaries, summaries};
use crate::imap::commands::progress::Progress;
use crate::imap::state::selected::Selected;
use crate::imap::wire::sort::SortKey;
use crate::message::base_subject::{self, BaseSubject};
use crate::message::collation::collate_decoded;
use crate::message::date;
use crate::message::encoded_word::Decoded;
use crate::message::first_address::FirstAddress;
use crate::pace::{ITEM, Pace};
use crate::store::{Error, Message};

/// Reads headers of messages in the selected mailbox, mostly from summaries. Other sessions get turns in between.
pub struct Headers<'a> {
    selected: &'a Selected,
    summaries: SharedSummaries,
    pace: &'a Pace,
    progress: &'a Progress,
}

/// The header of one message.
pub struct Header<'a> {
    message: Message,
    opened: LazyMessage<'a>,
}

impl<'a> Headers<'a> {
    /// A reader for the headers of about `messages` messages. Nothing is read yet.
    pub fn new(
        selected: &'a Selected,
        messages: usize,
        pace: &'a Pace,
        progress: &'a Progress,
    ) -> Headers<'a> {
        progress.begin(messages);
        Headers { selected, summaries: summaries(selected.account()), pace, progress }
    }

    /// What `ask` returns for the header of a message; the default when another session has removed the message
    /// meanwhile, or when it cannot be read, which is logged.
    pub async fn ask<T: Default>(
        &self,
        seq: u32,
        ask: impl FnOnce(&mut Header<'_>) -> Result<T, Error>,
    ) -> T {
        self.progress.did_one();
        let (account, numbers) = (self.selected.account(), self.selected.numbers());
        let message = numbers.uid(seq).and_then(|uid| {
            account.view(numbers.mailbox(), |mailbox| mailbox.message(uid).copied()).flatten()
        });
        let Some(message) = message else {
            self.pace.did(ITEM).await;
            return T::default();
        };
        let mut header = Header { message, opened: LazyMessage::new(account, message, &self.summaries) };
        let answer = ask(&mut header).unwrap_or_else(|error| {
            log::error!("imap: a message is sorted as if it had no header: {error}");
            T::default()
        });
        self.pace.did(header.opened.take_octets_read()).await;
        answer
    }

    /// The octets by whose order messages are sorted, in place of what `out` holds; none for a message that cannot be
    /// read.
    pub async fn key(&self, seq: u32, key: SortKey, out: &mut Vec<u8>) {
        out.clear();
        self.ask(seq, |header| header.key(key, out)).await;
    }
}

impl Header<'_> {
    fn key(&mut self, key: SortKey, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut address = |name, of: fn(FirstAddress) -> Decoded| {
            self.values([name], |[list]| collate_decoded(&of(FirstAddress::of(&list)), out))
        };
        match key {
            SortKey::Cc => address("Cc", |first| first.mailbox)?,
            SortKey::From => address("From", |first| first.mailbox)?,
            SortKey::To => address("To", |first| first.mailbox)?,
            SortKey::DisplayFrom => address("From", |first| first.display)?,
            SortKey::DisplayTo => address("To", |first| first.display)?,
            SortKey::Arrival => out.extend(moment(self.arrival())),
            SortKey::Date => out.extend(moment(self.sent()?)),
            SortKey::Size => out.extend(self.message.size.to_be_bytes()),
            SortKey::Subject => self.values(["Subject"], |[subject]| base_subject::collate(&subject, out))?,
        }
        Ok(())
    }

    /// What `make` returns for the contents of the first field of each of these names; empty for a field that is
    /// missing.
    pub fn values<T, const N: usize>(
        &mut self,
        names: [&str; N],
        make: impl FnOnce([Cow<'_, [u8]>; N]) -> T,
    ) -> Result<T, Error> {
        self.opened.ask_values(names, |values| make(values.map(Option::unwrap_or_default)))
    }

    /// The base subject.
    pub fn subject(&mut self) -> Result<BaseSubject, Error> {
        self.values(["Subject"], |[subject]| BaseSubject::of(&subject))
    }

    /// INTERNALDATE, in seconds since 1970.
    pub fn arrival(&self) -> i64 {
        self.message.date.get()
    }

    /// The sent date, as [`sent`] returns it.
    pub fn sent(&mut self) -> Result<i64, Error> {
        let arrival = self.arrival();
        self.values(["Date"], |[date]| sent(&date, arrival))
    }
}

/// The sent date (RFC 5256 section 2.2) in seconds since 1970: that of the Date field with its time and zone, or
/// INTERNALDATE when there is no valid one.
pub fn sent(date: &[u8], arrival: i64) -> i64 {
    date::parse_rfc5322(date).map_or(arrival, |date| date.unix)
}

/// Octets whose order is that of the times.
fn moment(unix: i64) -> [u8; 8] {
    (unix ^ i64::MIN).to_be_bytes()
}
