//! FETCH (RFC 3501 section 6.4.5).

mod binary;
pub mod response;
pub mod section;

use std::io;
use std::time::Duration;

use self::response::{Fetched, Written};
use crate::imap::commands::lazy_message::{self, SharedSummaries};
use crate::imap::commands::resync::NOT_ENABLED;
use crate::imap::server::Connection;
use crate::imap::state::outcome::{Fetch, FetchResult, MailboxUpdates, Outcome, Reply};
use crate::imap::state::selected::{NO_SUCH_NUMBER, Selected};
use crate::imap::state::session::{Session, State};
use crate::imap::state::updates::Updates;
use crate::imap::wire::command::{FetchItem, MessageSet, Messages};
use crate::imap::wire::extension::Extension;
use crate::imap::wire::modseq::ChangedSince;
use crate::imap::wire::search::Partial;
use crate::imap::wire::words;
use crate::pace::{ITEM, Pace};
use crate::serving::uncut;
use crate::store::{FlagChange, Flags, Message};

/// How long responses may wait for more of them before they are sent. Messages may take long, and their responses be
/// short: BINARY.SIZE, PREVIEW.
const GATHERING: Duration = Duration::from_secs(2);

impl Selected {
    /// FETCH (RFC 3501 section 6.4.5).
    pub fn fetch(
        &self,
        tag: String,
        messages: &Messages,
        mut items: Vec<FetchItem>,
        partial: Option<Partial>,
        since: Option<ChangedSince>,
    ) -> Outcome {
        let vanished = since.is_some_and(|since| since.vanished);
        if vanished && !self.numbers.enabled.has(Extension::Qresync) {
            return Outcome::reply(tag, NOT_ENABLED);
        }
        let Some(mut numbers) = self.choose(messages) else {
            return Outcome::Reply(Reply {
                news: MailboxUpdates::of_messages(false),
                ..Reply::new(tag, NO_SUCH_NUMBER)
            });
        };
        if let Some(partial) = partial {
            numbers = partial.of_ranges(&numbers);
        }
        if messages.uid && !items.contains(&FetchItem::Uid) {
            items.insert(0, FetchItem::Uid);
        }
        let mut earlier = Updates::default();
        if let Some(since) = since {
            numbers = self.changed_since(&numbers, since.modseq);
            // The messages of `$` exist, or will be reported as vanished.
            if since.vanished
                && let MessageSet::Numbers(set) = &messages.set
            {
                earlier.earlier = self.vanished(Some(set), since.modseq, None);
            }
        }
        let sets_seen = self.read_only.is_none() && items.iter().any(FetchItem::sets_seen);
        Outcome::Fetch(Fetch { tag, uid: messages.uid, messages: numbers, earlier, items, sets_seen })
    }

    /// The outcome after a FETCH. `\Seen` is set last: a client whose connection breaks in the middle has not read
    /// what it did not get. The client has got its messages even when `\Seen` cannot be written.
    pub fn fetched(&self, fetch: Fetch, outcome: FetchResult) -> Outcome {
        let text = match (outcome.damaged, outcome.undecodable, outcome.gone) {
            (true, ..) => "NO [CORRUPTION] Some messages could not be read; the appliance's log says why",
            (_, true, _) => "NO [UNKNOWN-CTE] Some parts are in an encoding that is not known here",
            (.., true) => "OK [EXPUNGEISSUED] Another session has removed some of these messages",
            _ => "OK FETCH completed",
        };
        let reply = Reply { news: MailboxUpdates::of_messages(fetch.uid), ..Reply::new(fetch.tag, text) };
        if outcome.unseen.is_empty() {
            return Outcome::Reply(reply);
        }
        let mut transaction = self.account.begin();
        transaction.flags(self.numbers.mailbox(), &outcome.unseen, FlagChange::Add, Flags::SEEN, &[]);
        Outcome::Aside { what: "\\Seen", transaction, reply }
    }

    /// The message of a sequence number; `None` when it was removed. Its flags are written into `flags` when that is
    /// given.
    pub fn message(&self, seq: u32, flags: Option<&mut String>) -> Option<Message> {
        let uid = self.numbers.uid(seq)?;
        let found = self.account.view(self.numbers.mailbox(), |mailbox| {
            let message = mailbox.message(uid)?;
            if let Some(flags) = flags {
                flags.clear();
                words::flags(message.flags, &mailbox.keywords, self.numbers.tells_recent(uid), flags);
            }
            Some(*message)
        });
        found.flatten()
    }
}

impl Session {
    /// The outcome after a FETCH: `\Seen` is set, then the reply is sent.
    pub fn fetched(&mut self, fetch: Fetch, outcome: FetchResult) -> Outcome {
        match &self.state {
            State::Selected(selected) => selected.fetched(fetch, outcome),
            _ => Outcome::End,
        }
    }
}

impl Connection {
    /// Sends the messages, one response each. Returns what follows.
    pub async fn fetch(&mut self, mut fetch: Fetch) -> io::Result<Outcome> {
        let mut outcome = FetchResult::default();
        let mut flags = String::new();
        let pace = Pace::new();
        self.tell_updates(&mut fetch.earlier, true).await?;
        let Some(selected) = self.session.selected() else { return Ok(Outcome::End) };
        let summaries = lazy_message::summaries(selected.account());
        let mut sent = self.context.time.now();
        for seq in fetch.messages.iter().cloned().flatten() {
            pace.did(ITEM).await;
            if self.context.time.since(sent) >= GATHERING {
                self.flush().await?;
                sent = self.context.time.now();
            }
            match self.send_message(seq, &fetch.items, &summaries, &mut flags, &pace).await? {
                None => {
                    outcome.gone = true;
                    // The client counts the message until EXPUNGE is sent, so it may ask for its UID until then.
                    let uid = self.session.selected().and_then(|selected| selected.numbers.uid(seq));
                    if !fetch.uid
                        && fetch.items == [FetchItem::Uid]
                        && let Some(uid) = uid
                    {
                        self.write(&format!("* {seq} FETCH (UID {uid})\r\n")).await?;
                    }
                }
                Some((message, written)) => {
                    outcome.damaged |= written.damaged;
                    outcome.undecodable |= written.undecodable;
                    if !written.damaged && fetch.sets_seen && !message.flags.contains(Flags::SEEN) {
                        outcome.unseen.push(message.uid);
                    }
                }
            }
        }
        Ok(self.session.fetched(fetch, outcome))
    }

    /// Sends `items` of the message `seq`; `None` when it was removed. `flags` is a buffer that is used again for the
    /// next message.
    pub async fn send_message(
        &mut self,
        seq: u32,
        items: &[FetchItem],
        summaries: &SharedSummaries,
        flags: &mut String,
        pace: &Pace,
    ) -> io::Result<Option<(Message, Written)>> {
        let shows_flags = items.contains(&FetchItem::Flags);
        let Some(selected) = self.session.selected() else { return Ok(None) };
        let Some(message) = selected.message(seq, shows_flags.then_some(&mut *flags)) else {
            return Ok(None);
        };
        if items.contains(&FetchItem::Modseq) {
            self.session.tells_modseq(message.modseq);
        }
        if shows_flags {
            let named = self.session.name_keywords(&message);
            if !named.is_empty() {
                self.write(&named).await?;
            }
        }
        let Some(selected) = self.session.selected() else { return Ok(None) };
        // Every client that reads at all is at least this fast.
        let limit = Duration::from_secs(5 * 60 + u64::from(message.size) / 1024);
        let fetched = Fetched { seq, message, flags, enabled: selected.numbers.enabled };
        let account = selected.account();
        let last = &mut self.own.last_structure;
        let write = response::write(&mut self.stream, account, fetched, items, summaries, last, pace);
        let written = uncut(&self.place, &mut self.alarm, limit, write).await;
        if written.is_err() {
            self.broke_off();
        }
        Ok(Some((message, written?)))
    }
}
