//! STORE (RFC 3501 section 6.4.6).

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::imap::state::outcome::{AfterCommit, News, Outcome, Reply, Stored};
use crate::imap::state::selected::{NO_SUCH_NUMBER, Selected, none_left};
use crate::imap::state::sequence_numbers::Own;
use crate::imap::wire::command::{Messages, StoreArgs};
use crate::store::{FlagChange, Flags, Mailbox, Uid};

impl Selected {
    /// RFC 3501 section 6.4.6.
    pub fn store(&self, tag: String, messages: &Messages, args: StoreArgs) -> Outcome {
        let answer = |text: Cow<'static, str>| {
            Outcome::Reply(Reply { news: News::of_messages(messages.uid), ..Reply::new(tag.clone(), text) })
        };
        let Some(numbers) = self.choose(messages) else { return answer(NO_SUCH_NUMBER.into()) };
        if let Some(read_only) = self.read_only {
            return answer(read_only.refusal());
        }
        let uids = self.uids(&numbers, |_| true);
        if uids.is_empty() {
            return answer(none_left(messages, &numbers, "OK STORE completed").into());
        }
        let before = if args.silent { self.known_flags(&numbers) } else { Vec::new() };
        let mut transaction = self.account.begin();
        let keywords: Vec<&str> = args.flags.keywords.iter().map(String::as_str).collect();
        transaction.flags(self.numbers.mailbox(), &uids, args.change, args.flags.flags, &keywords);
        let stored = Stored { messages: numbers, before, args, uid: messages.uid };
        Outcome::Commit { transaction, tag, then: AfterCommit::Store(stored) }
    }

    /// The flags are changed.
    pub fn stored(&self, tag: String, stored: Stored) -> Reply {
        let Stored { messages, before, args, uid } = stored;
        let own = match args.silent && self.knows_keywords(&args) {
            true => Own::Silent(self.expected(before, &args)),
            false => Own::Report(messages),
        };
        Reply { news: News { own, ..News::of_messages(uid) }, ..Reply::new(tag, "OK STORE completed") }
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
}
