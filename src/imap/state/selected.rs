//! The selected state (RFC 3501 section 6.4): commands about messages of the selected mailbox.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::rc::Rc;

use super::contexts::Contexts;
use super::marks::Marks;
use super::outcome::{MailboxUpdates, Outcome};
use super::own::OwnChange;
use super::sequence_numbers::{SequenceNumbers, Wanted};
use super::updates::{ResponseForm, Updates};
use crate::imap::commands::select;
use crate::imap::wire::command::{Command, MessageSet, Messages};
use crate::imap::wire::words;
use crate::store::{Account, Error, Mailbox, Message, Uid, Uids};

pub const NO_SUCH_NUMBER: &str = "BAD There is no message of that number";
/// The refusal of a command about messages that are all gone (RFC 5530).
const GONE: &str = "NO [EXPUNGEISSUED] Another session has removed these messages";

/// Why nothing can be changed in a selected mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOnly {
    /// The client has opened it with EXAMINE.
    Examined,
    /// The flash takes no changes.
    Flash,
}

impl ReadOnly {
    /// The tagged refusal of a change.
    pub fn refusal(self) -> Cow<'static, str> {
        match self {
            ReadOnly::Examined => "NO [READ-ONLY] The mailbox was opened with EXAMINE".into(),
            ReadOnly::Flash => words::refusal(&Error::ReadOnly).into(),
        }
    }
}

/// The tagged response to a command about `messages`, with these sequence `numbers`, none of which exists any more.
/// `nothing` is the response when there were none in the first place. UIDs that do not exist are not an error (RFC
/// 3501 section 6.4.8).
pub fn none_left(
    messages: &Messages,
    numbers: &[RangeInclusive<u32>],
    nothing: &'static str,
) -> &'static str {
    if messages.uid || numbers.is_empty() { nothing } else { GONE }
}

/// A selected mailbox.
pub struct Selected {
    pub(in crate::imap) account: Rc<Account>,
    pub(in crate::imap) numbers: SequenceNumbers,
    pub(in crate::imap) read_only: Option<ReadOnly>,
    /// The largest MODSEQ that the client was told since the last tagged response.
    pub(in crate::imap) told: u64,
    /// The HIGHESTMODSEQ that the client was told to take, when it is lower than a MODSEQ that it was told.
    pub(in crate::imap) lowered: Option<u64>,
    pub(in crate::imap) saved: Marks,
    pub(in crate::imap) contexts: Contexts,
    /// The UID from which on messages are new: the client was told that they exist, and nothing else of them.
    pub(in crate::imap) new_from: Option<Uid>,
    /// UIDs of the new messages that the client itself has appended or copied, and so knows.
    pub(in crate::imap) own_new: Vec<(Uid, Uid)>,
}

impl Selected {
    /// The account that the mailbox belongs to.
    pub fn account(&self) -> &Rc<Account> {
        &self.account
    }

    /// What the client knows of the mailbox.
    pub fn numbers(&self) -> &SequenceNumbers {
        &self.numbers
    }

    /// The messages that `$` stands for (RFC 5182).
    pub fn saved(&self) -> &Marks {
        &self.saved
    }

    /// The sequence numbers of `messages`, as ascending ranges; `None` when one does not exist, as
    /// [`SequenceNumbers::select`] says.
    pub fn choose(&self, messages: &Messages) -> Option<Vec<RangeInclusive<u32>>> {
        match &messages.set {
            MessageSet::Numbers(set) => self.numbers.select(messages.uid, set),
            MessageSet::Saved => Some(self.saved.ranges()),
        }
    }

    /// Carries out a command of the selected state.
    ///
    /// # Errors
    /// Any other command is given back.
    pub fn command(&self, tag: String, command: Command) -> Result<Outcome, (String, Command)> {
        Ok(match command {
            // RFC 3501 section 6.4.1: everything is on flash already.
            Command::Check => Outcome::reply(tag, "OK CHECK completed"),
            Command::Expunge(set) => self.expunge(tag, set.as_ref()),
            Command::Sort(args) => Outcome::Sort { tag, args },
            Command::Thread { uid, algorithm, key } => Outcome::Thread { tag, uid, algorithm, key },
            Command::Search(args) => Outcome::Search { tag, args: *args },
            Command::Fetch { messages, items, partial, since } => {
                self.fetch(tag, &messages, items, partial, since)
            }
            Command::Store { messages, args } => self.store(tag, &messages, args),
            Command::Copy { messages, to } => self.copy(tag, &messages, &to),
            Command::Move { messages, to } => self.r#move(tag, &messages, &to),
            other => return Err((tag, other)),
        })
    }

    /// Takes over what has happened in the mailbox, as far as it is `wanted`. Returns what the client must be told.
    pub fn news(&mut self, news: &MailboxUpdates, wanted: Wanted) -> Updates {
        let id = self.numbers.mailbox();
        let current = self.account.view(id, |mailbox| self.numbers.is_current(mailbox, wanted));
        // Whether there is something to tell even when nothing has happened.
        let own = match &news.own {
            OwnChange::Nothing => false,
            OwnChange::Report(_) => true,
            OwnChange::Silent(silent) => silent.conditional,
        };
        let any = wanted.expunged || wanted.new || wanted.flags;
        if !own && (current == Some(true) || !any) {
            return Updates::default();
        }
        let recent_from =
            select::recent_from(&self.account, id, self.read_only.is_some()).unwrap_or(Uid::MAX);
        let numbers = &mut self.numbers;
        let seen_up_to = numbers.seen_up_to();
        let before = if self.contexts.is_empty() { Vec::new() } else { numbers.uids().to_vec() };
        let updates = self
            .account
            .view(id, |mailbox| numbers.sync(Some(mailbox), recent_from, wanted, &news.own))
            .unwrap_or_else(|| numbers.sync(None, recent_from, wanted, &news.own));
        if updates.exists.is_some() {
            self.new_from.get_or_insert(seen_up_to + 1);
        }
        self.saved.expunge(&updates.expunged);
        self.contexts.expunge(&before, &updates.expunged);
        updates
    }

    /// Writes the next piece of the updates.
    pub fn write_updates(&mut self, updates: &mut Updates, uid: bool, out: &mut String) {
        if self.contexts.write_gone(out) {
            return;
        }
        let new_keywords = updates.keywords && self.account.takes_keywords(self.numbers.mailbox());
        let form = ResponseForm { uid, read_only: self.read_only.is_some(), new_keywords };
        let written = self.account.view(self.numbers.mailbox(), |mailbox| {
            updates.write_piece(&self.numbers, Some(mailbox), form, out)
        });
        let modseq = written.unwrap_or_else(|| updates.write_piece(&self.numbers, None, form, out));
        self.told = self.told.max(modseq);
    }

    /// The sequence numbers of those of these messages that still exist and are `wanted`.
    pub fn numbers_of(
        &self,
        messages: &[RangeInclusive<u32>],
        wanted: impl Fn(&Message) -> bool,
    ) -> Vec<RangeInclusive<u32>> {
        let uids = self.uids(messages, wanted);
        let set = |&(first, last): &(Uid, Uid)| self.numbers.within(first..=last);
        uids.ranges().iter().filter_map(set).collect()
    }

    /// The UIDs of the messages with these sequence numbers that still exist and are `wanted`.
    pub fn uids(&self, messages: &[RangeInclusive<u32>], wanted: impl Fn(&Message) -> bool) -> Uids {
        let look_at = |mailbox: &Mailbox| {
            let present = self.present(messages, mailbox).filter(|message| wanted(message));
            Uids::ascending(present.map(|message| message.uid))
        };
        self.account.view(self.numbers.mailbox(), look_at).unwrap_or_default()
    }

    /// The messages with these sequence numbers that still exist.
    pub fn present<'a>(
        &'a self,
        messages: &'a [RangeInclusive<u32>],
        mailbox: &'a Mailbox,
    ) -> impl Iterator<Item = &'a Message> {
        let uids = messages.iter().cloned().flatten().filter_map(|seq| self.numbers.uid(seq));
        let mut next = 0;
        uids.filter_map(move |uid| {
            // Nearly always it is the message after the last one.
            let there = mailbox.messages.get(next).filter(|message| message.uid == uid);
            let at = match there {
                Some(_) => next,
                None => mailbox.messages.binary_search_by_key(&uid, |message| message.uid).ok()?,
            };
            next = at + 1;
            mailbox.messages.get(at)
        })
    }
}
