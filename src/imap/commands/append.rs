//! APPEND (RFC 3501 section 6.3.11) of one or several messages (RFC 3502), which may be composed of parts of stored
//! messages (CATENATE, RFC 4469) and may have UTF-8 in their headers (RFC 6855), and REPLACE (RFC 8508).
//!
//! All messages of a command are one commit. After the first refusal everything that still comes is discarded: a
//! literal that a client announces is never taken for commands.

use std::borrow::Cow;
use std::io;
use std::rc::Rc;

use zeroize::Zeroizing;

use crate::clock;
use crate::config::Config;
use crate::imap::commands::catenate;
use crate::imap::server::{Connection, Imap};
use crate::imap::state::outcome::{AfterCommit, Appended, MailboxUpdates, Outcome, Reply};
use crate::imap::state::selected::{NO_SUCH_NUMBER, Selected};
use crate::imap::state::session::Session;
use crate::imap::wire::command::{Append, FlagList, Literal, Messages};
use crate::imap::wire::fragments::Announced;
use crate::imap::wire::grammar::Problem;
use crate::imap::wire::grammar::append::{Part, Parts};
use crate::imap::wire::sequence::write_uid_set;
use crate::imap::wire::words;
use crate::net::line::LineEnd;
use crate::pace::Pace;
use crate::serving::Protocol;
use crate::store::{self, Account, Committed, Incoming, MailboxId, Transaction, Uid, Usage};

/// Octets of memory for the messages of one command, which wait for its commit. Of a long message only the first 64
/// KiB are in memory, the rest is in a file.
const IN_MEMORY: u64 = 4 << 20;
/// Octets of memory that a message takes besides its own octets.
const OVERHEAD: u64 = 512;
/// The refusal of UTF8 before ENABLE UTF8=ACCEPT (RFC 6855 section 4).
const NOT_UTF8: &str = "NO [CANNOT] Say ENABLE UTF8=ACCEPT before you append with UTF8";
/// Octets of a URL at most.
const URL_MAX: u64 = 8 * 1024;

/// The text of a tagged response that refuses.
pub(super) type Refusal = Cow<'static, str>;

/// An APPEND that is under way.
pub struct Appending {
    tag: String,
    parts: Parts,
    /// The pace of copying parts of stored messages: very many small parts are work, too.
    pace: Pace,
    /// The literal that was announced and not read yet.
    literal: Option<Literal>,
    target: Result<Target, Refusal>,
}

/// The mailbox that messages are appended to, and what was appended so far.
pub struct Target {
    pub(super) account: Rc<Account>,
    mailbox: MailboxId,
    /// The message that REPLACE removes.
    replaced: Option<Replaced>,
    transaction: Transaction,
    /// Number of messages in the transaction.
    /// Octets of these messages.
    messages: usize,
    /// Octets of memory that these messages take.
    octets: u64,
    in_memory: u64,
    draft: Option<Draft>,
    /// Octets of a message at most.
    limit: u64,
    /// Whether the client may say that a message has UTF-8 in its header.
    utf8: bool,
}

/// The message that REPLACE removes.
#[derive(Clone, Copy)]
struct Replaced {
    mailbox: MailboxId,
    uid: Uid,
    /// Its octets, which the new message may take even in a full account (RFC 8508 section 3.4).
    size: u32,
}

/// The message that is being received.
struct Draft {
    incoming: Incoming,
    flags: FlagList,
    date: Option<i64>,
}

impl Target {
    fn new(config: &Config, session: &Session, command: &Append) -> Result<Target, Refusal> {
        let account = session.account().ok_or("BAD Log in first")?;
        if session.read_only {
            return Err(words::refusal(&store::Error::ReadOnly).into());
        }
        let replaced = command.replaces.as_ref().map(|messages| replaced(session.selected(), messages));
        let replaced = replaced.transpose()?;
        let mailbox = account.find(&command.mailbox.0).ok_or("NO [TRYCREATE] There is no such mailbox")?;
        Ok(Target {
            account: account.clone(),
            mailbox,
            replaced,
            transaction: account.begin(),
            messages: 0,
            octets: 0,
            in_memory: 0,
            draft: None,
            limit: config.server.max_message_size,
            utf8: session.enabled.utf8(),
        })
    }

    fn begin(&mut self, flags: FlagList, date: Option<i64>) {
        let mut incoming = self.account.incoming();
        incoming.replaces(self.replaced.map_or(0, |replaced| replaced.size.into()));
        self.draft = Some(Draft { incoming, flags, date });
    }

    /// Checks whether the message may become longer by so many octets. The commit would check that, too, but only
    /// after all of them have come.
    pub(super) fn expect(&mut self, more: u64) -> Result<(), Refusal> {
        let Some(draft) = &mut self.draft else { return Ok(()) };
        let length = draft.incoming.len().saturating_add(more);
        if length > self.limit {
            return Err(format!("NO [TOOBIG] A message may have {} octets", self.limit).into());
        }
        let messages = self.messages as u64 + 1;
        let removed = self.replaced.map_or_else(Usage::default, |replaced| Usage::of_message(replaced.size));
        let wanted = self.account.fits_instead_of(messages, self.octets.saturating_add(length), removed);
        wanted.and_then(|()| draft.incoming.expect(length)).map_err(|error| words::refusal(&error).into())
    }

    /// Appends octets to the message.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        let Some(draft) = &mut self.draft else { return Ok(()) };
        draft.incoming.write(piece).map_err(|error| words::refusal(&error).into())
    }

    /// Ends the message, and adds it to the transaction.
    fn end(&mut self) -> Result<(), Refusal> {
        let Some(Draft { incoming, flags, date }) = self.draft.take() else { return Ok(()) };
        if incoming.is_empty() {
            return Err("NO A message cannot be empty".into());
        }
        self.messages += 1;
        self.octets += incoming.len();
        self.in_memory += incoming.head().len() as u64 + OVERHEAD;
        if self.messages > 1 && self.in_memory > IN_MEMORY {
            return Err("NO [LIMIT] Too many messages at once; send them in several commands".into());
        }
        let keywords: Vec<&str> = flags.keywords.iter().map(String::as_str).collect();
        let date = date.unwrap_or_else(clock::unix_now);
        self.transaction.deliver(self.mailbox, incoming, flags.flags, &keywords, date);
        Ok(())
    }

    /// Ends the command: commits its messages.
    fn commit(mut self, tag: String) -> Outcome {
        if let Some(Replaced { mailbox, uid, .. }) = self.replaced {
            self.transaction.expunge(mailbox, &[uid]);
        }
        let Target { mailbox, messages, replaced, .. } = self;
        let appended = Appended { mailbox, messages, replaces: replaced.is_some() };
        Outcome::Commit { transaction: self.transaction, tag, then: AfterCommit::Append(appended) }
    }
}

/// The message that REPLACE removes, and its mailbox (RFC 8508 section 3.2).
fn replaced(selected: Option<&Selected>, messages: &Messages) -> Result<Replaced, Refusal> {
    let selected = selected.ok_or("BAD Select a mailbox first")?;
    if let Some(read_only) = selected.read_only {
        return Err(read_only.refusal());
    }
    let numbers = selected.choose(messages).ok_or(NO_SUCH_NUMBER)?;
    let uids = selected.uids(&numbers, |_| true);
    let mailbox = selected.numbers.mailbox();
    let there = uids.ranges().first().and_then(|&(uid, _)| {
        let size =
            selected.account.view(mailbox, |mailbox| mailbox.message(uid).map(|message| message.size))??;
        Some(Replaced { mailbox, uid, size })
    });
    there.ok_or_else(|| "NO [NONEXISTENT] The message to be replaced is not there any more".into())
}

impl Appending {
    /// Reads the current line and handles what needs no waiting. Returns the next part that does.
    fn read(&mut self) -> Option<Part> {
        let target = self.target.as_mut().ok()?;
        let read = loop {
            match self.parts.next(self.literal.is_some()) {
                Ok(Part::Message { flags, date }) => target.begin(flags, date),
                Ok(Part::Utf8) if !target.utf8 => break Err(NOT_UTF8.into()),
                Ok(Part::Utf8) => {}
                Ok(Part::End) => {
                    if let Err(refusal) = target.end() {
                        break Err(refusal);
                    }
                }
                Ok(part) => break Ok(part),
                Err(problem) => break Err(format!("BAD {problem}").into()),
            }
        };
        read.map_err(|refusal| self.refuse(refusal)).ok()
    }

    /// Refuses the whole command: none of its messages is kept.
    fn refuse(&mut self, refusal: Refusal) {
        if self.target.is_ok() {
            self.target = Err(refusal);
        }
    }

    /// Changes the target with `act`; when that refuses, the whole command is refused.
    fn change(&mut self, act: impl FnOnce(&mut Target) -> Result<(), Refusal>) {
        if let Ok(target) = &mut self.target
            && let Err(refusal) = act(target)
        {
            self.refuse(refusal);
        }
    }

    fn finish(self) -> Outcome {
        match self.target {
            Ok(target) => target.commit(self.tag),
            Err(refusal) => Outcome::reply(self.tag, refusal),
        }
    }
}

/// The reply that says where the messages are (RFC 4315 section 3, RFC 3502). REPLACE says so before the old message
/// is expunged (RFC 8508 section 4.3).
pub fn appended(
    account: &Account,
    tag: String,
    appended: &Appended,
    committed: &Committed,
    out: &mut String,
) -> Reply {
    let Appended { mailbox, messages, replaces } = appended;
    let mut code = String::new();
    if let Some(validity) = account.view(*mailbox, |mailbox| mailbox.uid_validity)
        && committed.placed.len() == *messages
    {
        code.push_str(&format!("[APPENDUID {validity} "));
        write_uid_set(committed.placed.ranges(), &mut code);
        code.push_str("] ");
    }
    if *replaces {
        out.push_str(&format!("* OK {code}The new message is there\r\n"));
        let news = MailboxUpdates { removes: true, ..MailboxUpdates::default() };
        // Section 4.5: as after UID EXPUNGE.
        return Reply { news, modseq: true, ..Reply::new(tag, "OK REPLACE completed") };
    }
    Reply::new(tag, format!("OK {code}APPEND completed"))
}

impl Session {
    /// Begins an APPEND. Its target says whether the messages are accepted.
    pub fn append(&self, config: &Config, tag: String, command: Append) -> Appending {
        let target = Target::new(config, self, &command);
        let Append { replaces, text, literal, .. } = command;
        let parts = Parts::new(text, replaces.is_some(), self.enabled);
        Appending { tag, parts, pace: Pace::new(), literal, target }
    }
}

impl Connection {
    /// Receives the messages, or discards them when they are refused and come nevertheless. Returns what follows.
    pub async fn append(&mut self, mut appending: Appending) -> io::Result<Outcome> {
        loop {
            let mut part = appending.read();
            while let Some(Part::Url(url)) = part {
                self.catenate(&mut appending, &url).await;
                part = appending.read();
            }
            let Some(literal) = appending.literal.take() else { return Ok(appending.finish()) };
            let is_url = part == Some(Part::UrlLiteral);
            if is_url && literal.length > URL_MAX {
                appending.refuse("NO [LIMIT] The URL is too long".into());
            }
            if !is_url {
                appending.change(|target| target.expect(literal.length));
            }
            match &mut appending.target {
                // The client gets the refusal instead of the go-ahead.
                Err(_) if literal.synchronizing => return Ok(appending.finish()),
                Err(_) => self.skip(literal.length).await?,
                Ok(_) if is_url => {
                    let mut url = Vec::new();
                    self.go_ahead(literal).await?;
                    self.pieces(literal.length, |piece| url.extend_from_slice(piece)).await?;
                    self.catenate(&mut appending, &url).await;
                }
                Ok(_) => {
                    self.go_ahead(literal).await?;
                    self.pieces(literal.length, |piece| appending.change(|target| target.write(piece)))
                        .await?;
                }
            }
            self.line_behind_literal(&mut appending).await?;
        }
    }

    async fn line_behind_literal(&mut self, appending: &mut Appending) -> io::Result<()> {
        let mut line = Zeroizing::default();
        let end = self.read_line(&mut line, Imap::line_limit(&self.session)).await?;
        match end {
            LineEnd::Complete => {}
            LineEnd::TooLong => appending.refuse(format!("BAD {}", Problem::TooLong).into()),
            LineEnd::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        let announced = Announced::at_end_of(&line, end == LineEnd::Complete);
        let text = announced.as_ref().and_then(|announced| line.get(..line.len() - announced.marker));
        appending.parts.line(text.unwrap_or(&line));
        appending.literal = announced.map(|announced| announced.literal);
        Ok(())
    }

    /// Appends what a URL names to the message (RFC 4469).
    async fn catenate(&mut self, appending: &mut Appending, url: &[u8]) {
        let Appending { target: Ok(target), pace, .. } = appending else { return };
        let part = catenate::Part { url, config: &self.context.config(), session: &self.session };
        if let Err(refusal) = part.append_to(target, &mut self.own.last_structure, pace).await {
            appending.refuse(refusal);
        }
    }
}
