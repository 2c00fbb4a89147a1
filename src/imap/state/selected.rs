//! The selected state (RFC 3501 section 6.4): commands about messages of the selected mailbox.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::rc::Rc;

use super::outcome::{Fetch, FetchResult, News, Outcome, Reply};
use super::sequence_numbers::{Own, SequenceNumbers};
use super::updates::{Manner, Updates};
use crate::imap::commands::mailboxes;
use crate::imap::wire::command::{Command, FetchItem, MailboxName, Messages, StoreArgs};
use crate::imap::wire::sequence::{SequenceSet, write_uid_set};
use crate::imap::wire::words;
use crate::store::{
    Account, Committed, Error, FlagChange, Flags, Mailbox, MailboxId, Message, Transaction, Uid, Uids,
};

const NO_SUCH_NUMBER: &str = "BAD There is no message of that number";
/// Ranges of UIDs in a response code.
const MAX_RANGES: usize = 4096;
/// RFC 5530.
const GONE: &str = "NO [EXPUNGEISSUED] Another session has removed these messages";

/// Why nothing can be changed in a selected mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOnly {
    /// The client wanted it so.
    Examined,
    /// The flash takes no changes.
    Flash,
}

impl ReadOnly {
    /// The tagged refusal of a change.
    fn refusal(self) -> Cow<'static, str> {
        match self {
            ReadOnly::Examined => "NO [READ-ONLY] The mailbox was opened with EXAMINE".into(),
            ReadOnly::Flash => words::refusal(&Error::ReadOnly).into(),
        }
    }
}

/// A selected mailbox.
pub struct Selected {
    account: Rc<Account>,
    numbers: SequenceNumbers,
    read_only: Option<ReadOnly>,
}

impl Selected {
    /// The mailbox of this name as it is now; writes what SELECT and EXAMINE say about it.
    pub fn open(
        account: &Rc<Account>,
        name: &MailboxName,
        read_only: Option<ReadOnly>,
        out: &mut String,
    ) -> Option<Selected> {
        let id = account.find(&name.0)?;
        let recent_from = mailboxes::recent_from(account, id, read_only.is_some())?;
        let manner =
            Manner { uid: false, read_only: read_only.is_some(), new_keywords: account.takes_keywords(id) };
        let numbers = account.view(id, |mailbox| {
            let numbers = SequenceNumbers::new(mailbox, recent_from);
            mailboxes::describe(mailbox, &numbers, manner, out);
            numbers
        })?;
        Some(Selected { account: account.clone(), numbers, read_only })
    }

    /// Whose it is.
    pub fn account(&self) -> &Rc<Account> {
        &self.account
    }

    /// What the client knows of it.
    pub fn numbers(&self) -> &SequenceNumbers {
        &self.numbers
    }

    /// Carries out a command of the selected state; gives back any other.
    ///
    /// # Errors
    /// The command.
    pub fn command(&self, tag: String, command: Command) -> Result<Outcome, (String, Command)> {
        Ok(match command {
            // RFC 3501 section 6.4.1: everything is on flash already.
            Command::Check => Outcome::reply(tag, "OK CHECK completed"),
            Command::Expunge(set) => self.expunge(tag, set.as_ref()),
            Command::Search { uid, key } => Outcome::Search { tag, uid, key },
            Command::Fetch { messages, items } => self.fetch(tag, &messages, items),
            Command::Store { messages, args } => self.store(tag, &messages, args),
            Command::Copy { messages, to } => self.copy(tag, &messages, &to),
            Command::Move { messages, to } => self.r#move(tag, &messages, &to),
            other => return Err((tag, other)),
        })
    }

    /// Takes over what happened in the mailbox.
    pub fn news(&mut self, news: &News) -> Updates {
        let id = self.numbers.mailbox();
        let current = self.account.view(id, |mailbox| self.numbers.is_current(mailbox));
        let own = matches!(news.own, Own::Report(_));
        if current == Some(true) && !own {
            return Updates::default();
        }
        let recent_from =
            mailboxes::recent_from(&self.account, id, self.read_only.is_some()).unwrap_or(Uid::MAX);
        let numbers = &mut self.numbers;
        self.account
            .view(id, |mailbox| numbers.sync(Some(mailbox), recent_from, news.expunge, &news.own))
            .unwrap_or_else(|| numbers.sync(None, recent_from, news.expunge, &news.own))
    }

    /// Puts the next piece of the updates into words.
    pub fn write_updates(&self, updates: &mut Updates, uid: bool, out: &mut String) {
        let new_keywords = updates.keywords && self.account.takes_keywords(self.numbers.mailbox());
        let manner = Manner { uid, read_only: self.read_only.is_some(), new_keywords };
        let written = self.account.view(self.numbers.mailbox(), |mailbox| {
            updates.write_piece(&self.numbers, Some(mailbox), manner, out);
        });
        if written.is_none() {
            updates.write_piece(&self.numbers, None, manner, out);
        }
    }

    /// What CLOSE removes, if anything.
    pub fn removal(&self) -> Option<Transaction> {
        let uids = if self.read_only.is_some() { Uids::default() } else { self.deleted(None) };
        if uids.is_empty() {
            return None;
        }
        let mut transaction = self.account.begin();
        transaction.expunge(self.numbers.mailbox(), &uids);
        Some(transaction)
    }

    /// RFC 3501 section 6.4.3, RFC 4315 section 2.1.
    fn expunge(&self, tag: String, set: Option<&SequenceSet>) -> Outcome {
        if let Some(read_only) = self.read_only {
            return Outcome::reply(tag, read_only.refusal());
        }
        let news = News { uid: set.is_some(), ..News::default() };
        let reply = Reply { news, ..Reply::new(tag.clone(), "OK EXPUNGE completed") };
        let uids = self.deleted(set);
        if uids.is_empty() {
            return Outcome::Reply(reply);
        }
        let mut transaction = self.account.begin();
        transaction.expunge(self.numbers.mailbox(), &uids);
        Outcome::commit(transaction, tag, |_, _, _| reply)
    }

    /// UIDs of messages that the client knows and that are `\Deleted`, within `set` where there is one.
    fn deleted(&self, set: Option<&SequenceSet>) -> Uids {
        let messages = match set {
            Some(set) => self.numbers.select(&Messages { uid: true, set: set.clone() }).unwrap_or_default(),
            None => vec![1..=self.numbers.exists()],
        };
        self.uids(&messages, |message| message.flags.contains(Flags::DELETED))
    }

    /// The messages of these numbers that still exist, those that are `wanted`.
    fn uids(&self, messages: &[RangeInclusive<u32>], wanted: impl Fn(&Message) -> bool) -> Uids {
        let look_at = |mailbox: &Mailbox| {
            let present = self.present(messages, mailbox).filter(|message| wanted(message));
            Uids::ascending(present.map(|message| message.uid))
        };
        self.account.view(self.numbers.mailbox(), look_at).unwrap_or_default()
    }

    /// The messages of these numbers that still exist.
    fn present<'a>(
        &'a self,
        messages: &'a [RangeInclusive<u32>],
        mailbox: &'a Mailbox,
    ) -> impl Iterator<Item = &'a Message> {
        let uids = messages.iter().cloned().flatten().filter_map(|seq| self.numbers.uid(seq));
        let mut next = 0;
        uids.filter_map(move |uid| {
            // Nearly always it is the one behind the last.
            let there = mailbox.messages.get(next).filter(|message| message.uid == uid);
            let at = match there {
                Some(_) => next,
                None => mailbox.messages.binary_search_by_key(&uid, |message| message.uid).ok()?,
            };
            next = at + 1;
            mailbox.messages.get(at)
        })
    }

    /// RFC 3501 section 6.4.5.
    fn fetch(&self, tag: String, messages: &Messages, mut items: Vec<FetchItem>) -> Outcome {
        let Some(numbers) = self.numbers.select(messages) else {
            return Outcome::Reply(Reply {
                news: News::of_messages(false),
                ..Reply::new(tag, NO_SUCH_NUMBER)
            });
        };
        if messages.uid && !items.contains(&FetchItem::Uid) {
            items.insert(0, FetchItem::Uid);
        }
        let sets_seen = self.read_only.is_none() && items.iter().any(FetchItem::sets_seen);
        Outcome::Fetch(Fetch { tag, uid: messages.uid, messages: numbers, items, sets_seen })
    }

    /// The message of a sequence number, its flags written into `flags`; `None` when it was removed.
    pub fn message(&self, seq: u32, flags: &mut String) -> Option<Message> {
        let uid = self.numbers.uid(seq)?;
        let found = self.account.view(self.numbers.mailbox(), |mailbox| {
            let message = mailbox.message(uid)?;
            flags.clear();
            words::flags(message.flags, &mailbox.keywords, self.numbers.is_recent(uid), flags);
            Some(*message)
        });
        found.flatten()
    }

    /// What follows a FETCH. `\Seen` is set last: a client whose connection breaks in the middle has not
    /// read what it did not get. The client has its messages also where that cannot be written.
    pub fn fetched(&self, fetch: Fetch, outcome: FetchResult) -> Outcome {
        let text = match (outcome.damaged, outcome.gone) {
            (true, _) => "NO [SERVERBUG] Some messages could not be read; the appliance's log says why",
            (_, true) => "OK [EXPUNGEISSUED] Another session has removed some of these messages",
            _ => "OK FETCH completed",
        };
        let reply = Reply { news: News::of_messages(fetch.uid), ..Reply::new(fetch.tag, text) };
        if outcome.unseen.is_empty() {
            return Outcome::Reply(reply);
        }
        let mut transaction = self.account.begin();
        transaction.flags(self.numbers.mailbox(), &outcome.unseen, FlagChange::Add, Flags::SEEN, &[]);
        Outcome::Aside { what: "\\Seen", transaction, reply }
    }

    /// RFC 3501 section 6.4.6.
    fn store(&self, tag: String, messages: &Messages, args: StoreArgs) -> Outcome {
        let news = News::of_messages(messages.uid);
        let answer = |text: Cow<'static, str>| {
            Outcome::Reply(Reply { news: News::of_messages(messages.uid), ..Reply::new(tag.clone(), text) })
        };
        let Some(numbers) = self.numbers.select(messages) else { return answer(NO_SUCH_NUMBER.into()) };
        if let Some(read_only) = self.read_only {
            return answer(read_only.refusal());
        }
        let uids = self.uids(&numbers, |_| true);
        if uids.is_empty() {
            return answer(if numbers.is_empty() { "OK STORE completed" } else { GONE }.into());
        }
        let before = if args.silent { self.known_flags(&numbers) } else { Vec::new() };
        let mut transaction = self.account.begin();
        let keywords: Vec<&str> = args.flags.keywords.iter().map(String::as_str).collect();
        transaction.flags(self.numbers.mailbox(), &uids, args.change, args.flags.flags, &keywords);
        let mut reply = Reply { news, ..Reply::new(tag.clone(), "OK STORE completed") };
        Outcome::commit(transaction, tag, move |session, _, _| {
            reply.news.own = match session.selected() {
                Some(selected) if args.silent && selected.knows_keywords(&args) => {
                    Own::Silent(selected.expected(before, &args))
                }
                _ => Own::Report(numbers),
            };
            reply
        })
    }

    /// The flags that the client knows of these messages: not of those that another session changed.
    fn known_flags(&self, messages: &[RangeInclusive<u32>]) -> Vec<(Uid, Flags)> {
        let look_at = |mailbox: &Mailbox| {
            let known = self.present(messages, mailbox).filter(|message| self.numbers.knows(message));
            known.map(|message| (message.uid, message.flags)).collect()
        };
        self.account.view(self.numbers.mailbox(), look_at).unwrap_or_default()
    }

    /// Whether the mailbox took all keywords of a STORE. What it left out, the client is told even where it asked for
    /// silence: its flags are not what it takes them for (RFC 3501 section 7.1).
    fn knows_keywords(&self, args: &StoreArgs) -> bool {
        let known = |mailbox: &Mailbox| {
            let knows = |keyword: &String| mailbox.keywords.iter().any(|k| k.eq_ignore_ascii_case(keyword));
            args.flags.keywords.iter().all(knows)
        };
        args.change == FlagChange::Remove || self.account.view(self.numbers.mailbox(), known).unwrap_or(true)
    }

    /// What the flags are now for a client that knows of its own change only.
    fn expected(&self, mut before: Vec<(Uid, Flags)>, args: &StoreArgs) -> Vec<(Uid, Flags)> {
        let changed = self.account.view(self.numbers.mailbox(), |mailbox| {
            let bit =
                |keyword: &String| mailbox.keywords.iter().position(|k| k.eq_ignore_ascii_case(keyword));
            let keywords = args.flags.keywords.iter().filter_map(bit).map(Flags::keyword);
            keywords.fold(args.flags.flags, Flags::with)
        });
        let changed = changed.unwrap_or_default();
        for (_, flags) in &mut before {
            *flags = match args.change {
                FlagChange::Replace => changed,
                FlagChange::Add => flags.with(changed),
                FlagChange::Remove => Flags(flags.0 & !changed.0),
            };
        }
        before
    }

    /// RFC 3501 section 6.4.7: all of them, or none.
    fn copy(&self, tag: String, messages: &Messages, to: &MailboxName) -> Outcome {
        let (uids, to) = match self.to_copy(messages, to) {
            Ok(both) => both,
            Err(text) => return Outcome::reply(tag, text),
        };
        let from = self.numbers.mailbox();
        let mut transaction = self.account.begin();
        transaction.copy_all(from, &uids, to);
        let account = self.account.clone();
        let news = News { uid: messages.uid, ..News::default() };
        Outcome::commit(transaction, tag.clone(), move |_, committed, _| {
            let code = copy_uid(&account, to, &uids, &committed).unwrap_or_default();
            Reply { news, ..Reply::new(tag, format!("OK {code}COPY completed")) }
        })
    }

    /// RFC 6851: copied and removed in one commit. Where they went is told before they are expunged.
    fn r#move(&self, tag: String, messages: &Messages, to: &MailboxName) -> Outcome {
        if let Some(read_only) = self.read_only {
            return Outcome::reply(tag, read_only.refusal());
        }
        let (uids, to) = match self.to_copy(messages, to) {
            Ok(both) => both,
            Err(text) => return Outcome::reply(tag, text),
        };
        let from = self.numbers.mailbox();
        let mut transaction = self.account.begin();
        transaction.copy_all(from, &uids, to);
        transaction.expunge(from, &uids);
        let account = self.account.clone();
        let news = News { uid: messages.uid, ..News::default() };
        Outcome::commit(transaction, tag.clone(), move |_, committed, out| {
            if let Some(code) = copy_uid(&account, to, &uids, &committed) {
                out.push_str(&format!("* OK {code}Moved\r\n"));
            }
            Reply { news, ..Reply::new(tag, "OK MOVE completed") }
        })
    }

    /// Which messages COPY and MOVE are about, and where they go, or the refusal.
    fn to_copy(&self, messages: &Messages, to: &MailboxName) -> Result<(Uids, MailboxId), &'static str> {
        let numbers = self.numbers.select(messages).ok_or(NO_SUCH_NUMBER)?;
        let to = self.account.find(&to.0).ok_or("NO [TRYCREATE] There is no such mailbox")?;
        let uids = self.uids(&numbers, |_| true);
        match (uids.is_empty(), numbers.is_empty()) {
            (true, true) => Err("OK No messages"),
            (true, false) => Err(GONE),
            _ => Ok((uids, to)),
        }
    }
}

/// `[COPYUID …] ` of RFC 4315 section 3. `None` when some messages were removed at the last moment, so
/// that which went where cannot be told, or when it would be a line of more than some ten thousand octets, which no client
/// can be trusted to read: those who miss the code look for themselves.
fn copy_uid(account: &Account, to: MailboxId, uids: &Uids, committed: &Committed) -> Option<String> {
    let scattered = uids.ranges().len() > MAX_RANGES || committed.placed.ranges().nth(MAX_RANGES).is_some();
    if committed.placed.len() != uids.len() || scattered {
        return None;
    }
    let validity = account.view(to, |mailbox| mailbox.uid_validity)?;
    let mut code = format!("[COPYUID {validity} ");
    write_uid_set(uids.ranges().iter().copied(), &mut code);
    code.push(' ');
    write_uid_set(committed.placed.ranges(), &mut code);
    code.push_str("] ");
    Some(code)
}
