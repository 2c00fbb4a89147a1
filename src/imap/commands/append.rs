//! APPEND (RFC 3501 section 6.3.11): whether the message is wanted, and what is said once it is kept.

use std::rc::Rc;

use crate::clock;
use crate::config::Config;
use crate::imap::state::outcome::{AfterCommit, Outcome, Reply};
use crate::imap::state::session::Session;
use crate::imap::wire::command::Append;
use crate::imap::wire::words;
use crate::store::{self, Account, Committed, Incoming, MailboxId};

/// Where a message is to go.
pub struct Target {
    account: Rc<Account>,
    mailbox: MailboxId,
    /// What comes of the message.
    pub message: Incoming,
}

/// Whether the account may have a message of `length` octets there.
///
/// # Errors
/// The refusal.
fn target(config: &Config, account: &Rc<Account>, command: &Append, length: u64) -> Result<Target, Reply> {
    let refuse = |text: String| Reply::new(command.tag.clone(), text);
    let limit = config.server.max_message_size;
    if length > limit {
        return Err(refuse(format!("NO [TOOBIG] A message may have {limit} octets")));
    }
    let Some(mailbox) = account.find(&command.mailbox.0) else {
        return Err(refuse("NO [TRYCREATE] There is no such mailbox".into()));
    };
    // The commit would find it too, after all the octets have come.
    let mut message = account.incoming();
    let wanted = account.fits(1, length).and_then(|()| message.expect(length));
    wanted.map_err(|error| refuse(words::refusal(&error)))?;
    Ok(Target { account: account.clone(), mailbox, message })
}

impl Target {
    /// The message is there: keeps it.
    pub fn keep(self, command: Append) -> Outcome {
        let Append { tag, flags, date, .. } = command;
        if self.message.is_empty() {
            return Outcome::reply(tag, "NO A message cannot be empty");
        }
        let keywords: Vec<&str> = flags.keywords.iter().map(String::as_str).collect();
        let mut transaction = self.account.begin();
        transaction.deliver(
            self.mailbox,
            self.message,
            flags.flags,
            &keywords,
            date.unwrap_or_else(clock::unix_now),
        );
        Outcome::Commit { transaction, tag, then: AfterCommit::Append { mailbox: self.mailbox } }
    }
}

/// RFC 4315 section 3: where the message is now.
pub fn appended(account: &Account, mailbox: MailboxId, tag: String, committed: &Committed) -> Reply {
    let validity = account.view(mailbox, |mailbox| mailbox.uid_validity);
    match (validity, committed.placed.first()) {
        (Some(validity), Some((_, uid))) => {
            Reply::new(tag, format!("OK [APPENDUID {validity} {uid}] APPEND completed"))
        }
        _ => Reply::new(tag, "OK APPEND completed"),
    }
}

impl Session {
    /// Whether the message of an APPEND is wanted.
    ///
    /// # Errors
    /// The refusal.
    pub fn append(&self, config: &Config, command: &Append, length: u64) -> Result<Target, Reply> {
        let Some(account) = self.account() else {
            return Err(Reply::new(command.tag.clone(), "BAD Log in first"));
        };
        if self.read_only {
            return Err(Reply::new(command.tag.clone(), words::refusal(&store::Error::ReadOnly)));
        }
        target(config, account, command, length)
    }
}
