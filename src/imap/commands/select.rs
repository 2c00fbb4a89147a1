//! SELECT, EXAMINE (RFC 3501 sections 6.3.1 and 6.3.2), CLOSE (section 6.4.2) and UNSELECT (RFC 3691).

use std::rc::Rc;

use crate::imap::commands::list;
use crate::imap::commands::resync::NOT_ENABLED;
use crate::imap::state::contexts::Contexts;
use crate::imap::state::marks::Marks;
use crate::imap::state::outcome::{AfterCommit, Outcome, Reply};
use crate::imap::state::selected::{ReadOnly, Selected};
use crate::imap::state::sequence_numbers::SequenceNumbers;
use crate::imap::state::session::{Session, State};
use crate::imap::state::updates::{self, ResponseForm};
use crate::imap::wire::command::{Command, MailboxName};
use crate::imap::wire::extension::{Enabled, Extension};
use crate::imap::wire::modseq::SelectParams;
use crate::imap::wire::words;
use crate::store::{self, Account, Flags, Mailbox, MailboxId, Message, Uid};

impl Session {
    /// SELECT and EXAMINE (RFC 3501 sections 6.3.1 and 6.3.2). A SELECT that fails leaves no mailbox selected.
    pub fn select(
        &mut self,
        account: &Rc<Account>,
        tag: String,
        name: &MailboxName,
        params: SelectParams,
        read_only: Option<ReadOnly>,
        out: &mut String,
    ) -> Outcome {
        if params.qresync.is_some() && !self.enabled.has(Extension::Qresync) {
            return Outcome::reply(tag, NOT_ENABLED);
        }
        if self.selected().is_some() {
            out.push_str("* OK [CLOSED] The mailbox before this one is closed\r\n");
        }
        self.deselect();
        let Some(selected) = Selected::open(account, name, read_only, self.enabled, out) else {
            return Outcome::reply(tag, words::refusal(&store::Error::NoSuchMailbox));
        };
        if self.enabled.rev2() {
            // RFC 9051 section 6.3.2: the LIST response.
            list::write_selected(account, &name.0, self.connector, self.enabled, out);
        }
        let missed = params.qresync.and_then(|known| selected.missed(&known));
        self.state = State::Selected(Box::new(selected));
        let text = match read_only {
            None => "OK [READ-WRITE] Selected",
            Some(ReadOnly::Examined) => "OK [READ-ONLY] Examined",
            Some(ReadOnly::Flash) => "OK [READ-ONLY] The flash takes no changes; all mail can be read",
        };
        let reply = Reply::new(tag, text);
        match missed {
            Some(missed) => Outcome::Resync { missed, reply },
            None => Outcome::Reply(reply),
        }
    }

    /// CLOSE (RFC 3501 section 6.4.2), which removes `\Deleted` messages without telling, and UNSELECT (RFC 3691),
    /// which does not remove them.
    pub fn close(&mut self, tag: String, command: &Command) -> Outcome {
        let removal = match command {
            Command::Close => self.selected().and_then(Selected::removal),
            _ => None,
        };
        let Some(transaction) = removal else {
            self.deselect();
            return Outcome::reply(tag, "OK The mailbox is closed");
        };
        Outcome::Commit { transaction, tag, then: AfterCommit::Close }
    }

    /// The reply of CLOSE after the `\Deleted` messages were removed.
    pub fn closed(&mut self, tag: String) -> Reply {
        self.deselect();
        Reply::new(tag, "OK The mailbox is closed")
    }

    fn deselect(&mut self) {
        if let State::Selected(selected) = &self.state {
            if let Some(notify) = &mut self.notify {
                notify.leaves(selected.numbers());
            }
            self.state = State::Authenticated(selected.account().clone());
        }
    }
}

impl Selected {
    /// Opens the mailbox of this name as it is now, and writes the responses of SELECT and EXAMINE for a client that
    /// has enabled `enabled`.
    pub fn open(
        account: &Rc<Account>,
        name: &MailboxName,
        read_only: Option<ReadOnly>,
        enabled: Enabled,
        out: &mut String,
    ) -> Option<Selected> {
        let id = account.find(&name.0)?;
        let recent_from = recent_from(account, id, read_only.is_some())?;
        let form = ResponseForm {
            uid: false,
            read_only: read_only.is_some(),
            new_keywords: account.takes_keywords(id),
        };
        let numbers = account.view(id, |mailbox| {
            let mut numbers = SequenceNumbers::new(mailbox, recent_from);
            numbers.enabled = enabled;
            describe(mailbox, &numbers, form, out);
            numbers
        })?;
        let (saved, contexts) = (Marks::default(), Contexts::default());
        Some(Selected {
            account: account.clone(),
            numbers,
            read_only,
            saved,
            contexts,
            told: 0,
            lowered: None,
            new_from: None,
            own_new: Vec::new(),
        })
    }
}

/// The UID from which on messages are `\Recent` to a session that selects the mailbox now. SELECT claims them,
/// EXAMINE leaves them to other sessions (RFC 3501 section 6.3.2).
pub fn recent_from(account: &Account, mailbox: MailboxId, read_only: bool) -> Option<Uid> {
    let waiting = account.view(mailbox, |mailbox| mailbox.recent_from)?;
    Some(if read_only { waiting } else { account.claim_recent(mailbox) })
}

/// Writes the untagged responses of SELECT and EXAMINE (RFC 3501 section 6.3.1, RFC 9051 section 6.3.2, RFC 7162
/// section 3.1.2.1).
fn describe(mailbox: &Mailbox, numbers: &SequenceNumbers, form: ResponseForm, out: &mut String) {
    updates::keywords(mailbox, form, out);
    updates::write_size(numbers.exists(), numbers.recent(), numbers.enabled, out);
    let unseen = |message: &Message| !message.flags.contains(Flags::SEEN);
    // RFC 9051 appendix E has removed UNSEEN.
    if !numbers.enabled.rev2()
        && let Some(first) = mailbox.messages.iter().position(unseen)
    {
        out.push_str(&format!("* OK [UNSEEN {}] The first message that was not read\r\n", first + 1));
    }
    out.push_str(&format!("* OK [UIDVALIDITY {}] UIDs are valid\r\n", mailbox.uid_validity));
    out.push_str(&format!("* OK [UIDNEXT {}] The next UID\r\n", mailbox.uid_next));
    out.push_str(&format!(
        "* OK [MAILBOXID ({})] This mailbox, whatever its name\r\n",
        words::mailbox_id(mailbox)
    ));
    out.push_str(&format!("* OK [HIGHESTMODSEQ {}] The last change\r\n", mailbox.highest_modseq));
}
