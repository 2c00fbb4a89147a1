//! STORE (RFC 3501 section 6.4.6), and UNCHANGEDSINCE (RFC 7162 section 3.1.3).

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::imap::state::outcome::{AfterCommit, MailboxUpdates, Outcome, Reply, Stored};
use crate::imap::state::own::{OwnChange, Silent};
use crate::imap::state::selected::{NO_SUCH_NUMBER, Selected, none_left};
use crate::imap::wire::command::{Messages, StoreArgs};
use crate::imap::wire::sequence::write_uid_set;
use crate::store::{Committed, FlagChange, Flags, Mailbox, Uid, Uids};

/// Ranges of messages in a MODIFIED response code at most. Unlike COPYUID it cannot be left out.
const MAX_RANGES: usize = 4096;
const TOO_MANY: &str = "NO [LIMIT] Too many scattered messages have changed; name fewer of them at a time";

impl Selected {
    /// STORE (RFC 3501 section 6.4.6).
    pub fn store(&self, tag: String, messages: &Messages, args: StoreArgs) -> Outcome {
        let answer = |text: Cow<'static, str>| {
            Outcome::Reply(Reply {
                news: MailboxUpdates::of_messages(messages.uid),
                ..Reply::new(tag.clone(), text)
            })
        };
        let Some(numbers) = self.choose(messages) else { return answer(NO_SUCH_NUMBER.into()) };
        if let Some(read_only) = self.read_only {
            return answer(read_only.refusal());
        }
        let uids = self.uids(&numbers, |_| true);
        if uids.is_empty() {
            return answer(none_left(messages, &numbers, "OK STORE completed").into());
        }
        if let Some(modseq) = args.unchanged_since {
            let modified = self.uids(&numbers, |message| message.modseq > modseq);
            if modified.ranges().len() > MAX_RANGES {
                return answer(TOO_MANY.into());
            }
        }
        let before = if args.silent { self.known_flags(&numbers) } else { Vec::new() };
        let mut transaction = self.account.begin();
        let keywords: Vec<&str> = args.flags.keywords.iter().map(String::as_str).collect();
        transaction.flags(self.numbers.mailbox(), &uids, args.change, args.flags.flags, &keywords);
        if let Some(modseq) = args.unchanged_since {
            transaction.unless_changed_since(modseq);
        }
        let stored = Stored { messages: numbers, before, args, uid: messages.uid };
        Outcome::Commit { transaction, tag, then: AfterCommit::Store(stored) }
    }

    /// The reply after the flags were changed.
    pub fn stored(&self, tag: String, stored: Stored, committed: &Committed) -> Reply {
        let Stored { messages, before, args, uid } = stored;
        let modified = &committed.modified;
        let own = match args.silent && self.knows_keywords(&args) {
            true => OwnChange::Silent(Silent {
                messages,
                expected: self.expected(before, &args),
                modified: modified.clone(),
                conditional: args.unchanged_since.is_some(),
            }),
            false => OwnChange::Report(messages),
        };
        let text = match modified.is_empty() {
            true => "OK STORE completed".into(),
            false => format!("OK [MODIFIED {}] The others were changed meanwhile", self.set(modified, uid)),
        };
        Reply { news: MailboxUpdates { own, ..MailboxUpdates::of_messages(uid) }, ..Reply::new(tag, text) }
    }

    /// These messages as a set of UIDs, or of sequence numbers.
    fn set(&self, uids: &Uids, uid: bool) -> String {
        let mut set = String::new();
        let numbers = |&(first, last): &(Uid, Uid)| self.numbers.within(first..=last);
        match uid {
            true => write_uid_set(uids.ranges().iter().copied(), &mut set),
            false => {
                let numbers = uids.ranges().iter().filter_map(numbers);
                write_uid_set(numbers.map(RangeInclusive::into_inner), &mut set);
            }
        }
        set
    }

    /// The flags of these messages that the client knows. Messages that another session has changed are left out.
    fn known_flags(&self, messages: &[RangeInclusive<u32>]) -> Vec<(Uid, Flags)> {
        let look_at = |mailbox: &Mailbox| {
            let known = self.present(messages, mailbox).filter(|message| self.numbers.knows(message));
            known.map(|message| (message.uid, message.flags)).collect()
        };
        self.account.view(self.numbers.mailbox(), look_at).unwrap_or_default()
    }

    /// Whether the mailbox has accepted all keywords of a STORE. When it has left some out, the client is told even
    /// after `.SILENT`: the flags are not what the client takes them for (RFC 3501 section 7.1).
    fn knows_keywords(&self, args: &StoreArgs) -> bool {
        let known = |mailbox: &Mailbox| {
            let knows = |keyword: &String| mailbox.keywords.iter().any(|k| k.eq_ignore_ascii_case(keyword));
            args.flags.keywords.iter().all(knows)
        };
        args.change == FlagChange::Remove || self.account.view(self.numbers.mailbox(), known).unwrap_or(true)
    }

    /// The flags that a client expects which knows only of its own change.
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
}
