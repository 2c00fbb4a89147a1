//! What a session leaves to the server: everything that waits for the flash, the network or the clock.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::own::OwnChange;
use super::updates::Updates;
use crate::imap::commands::append::Appending;
use crate::imap::commands::list::listing::Listing;
use crate::imap::wire::command::{FetchItem, MailboxName, SearchKey, StoreArgs};
use crate::imap::wire::notify::NotifySet;
use crate::imap::wire::search::SearchArgs;
use crate::imap::wire::sort::{SortArgs, ThreadAlgorithm};
use crate::sasl::server::{Exchange, Password, Step};
use crate::store::{Flags, MailboxId, Transaction, Uid, Uids};

/// What comes after a command was looked at. Untagged responses that the session wrote go out first.
pub enum Outcome {
    /// The tagged response ends the command.
    Reply(Reply),
    /// A goodbye was written, the connection ends.
    End,
    /// RFC 3501 section 6.2.1: reply, then the TLS handshake.
    StartTls(Reply),
    /// Find out whether this is so, then `Session::logged_in` or `Session::login_refused`.
    Login {
        /// The command's.
        tag: String,
        /// The account's name or address.
        username: String,
        /// Its password.
        password: Password,
    },
    /// A SASL exchange, then as [`Outcome::Login`].
    Authenticate {
        /// The command's.
        tag: String,
        /// Under way.
        exchange: Exchange,
        /// What it does first.
        step: Step,
    },
    /// Make the changes durable, then go on.
    Commit {
        /// The changes.
        transaction: Transaction,
        /// The command's.
        tag: String,
        /// What follows when they are durable.
        then: AfterCommit,
    },
    /// Untagged responses that need not be text, then the tagged one.
    Octets {
        /// The untagged responses.
        octets: Vec<u8>,
        /// The command's.
        reply: Reply,
    },
    /// Make changes that the client did not ask for, whether or not that goes well; then the tagged response.
    Aside {
        /// What they are, for the log.
        what: &'static str,
        /// The changes.
        transaction: Transaction,
        /// The command's.
        reply: Reply,
    },
    /// Take messages as they come, then commit them.
    Append(Box<Appending>),
    /// Send messages, then `Session::fetched`.
    Fetch(Fetch),
    /// Tell what the client of a mailbox that is just selected has missed, then the tagged response.
    Resync {
        /// What that is.
        missed: Updates,
        /// The command's.
        reply: Reply,
    },
    /// Look for messages, send the result, then the tagged response.
    Search {
        /// The command's.
        tag: String,
        /// What to look for, and what to answer.
        args: SearchArgs,
    },
    /// Look for messages, send them sorted, then the tagged response.
    Sort {
        /// The command's.
        tag: String,
        /// By what, which messages, and what to answer.
        args: Box<SortArgs>,
    },
    /// Look for messages, send their threads, then the tagged response.
    Thread {
        /// The command's.
        tag: String,
        /// The answer has UIDs.
        uid: bool,
        /// How.
        algorithm: ThreadAlgorithm,
        /// Which messages.
        key: SearchKey,
    },
    /// Tell names in pieces by `Session::list`, then the tagged response.
    List {
        /// What is listed, and how far.
        listing: Listing,
        /// The command's.
        reply: Reply,
    },
    /// RFC 5465: what is told from now on, and what of it at once.
    Notify {
        /// The command's.
        tag: String,
        /// What is asked for.
        set: Box<NotifySet>,
    },
    /// RFC 2177: tell news as they come until the client says DONE.
    Idle {
        /// The command's.
        tag: String,
    },
}

/// What follows when changes are durable.
pub enum AfterCommit {
    /// The tagged response, and nothing else.
    Reply(Reply),
    /// APPEND and REPLACE: where the messages are now.
    Append(Appended),
    /// CLOSE: the mailbox is not selected any more.
    Close,
    /// CREATE: which identity the mailbox has.
    Create(MailboxName),
    /// COPY: where the messages are now.
    Copy(Copied),
    /// MOVE: the same, and that they are gone from here.
    Move(Copied),
    /// STORE: what the flags are now.
    Store(Stored),
}

/// What APPEND or REPLACE brought.
pub struct Appended {
    /// They went there.
    pub mailbox: MailboxId,
    /// So many.
    pub messages: usize,
    /// REPLACE.
    pub replaces: bool,
}

/// What was copied or moved.
pub struct Copied {
    /// The messages.
    pub uids: Uids,
    /// Where they went.
    pub to: MailboxId,
    /// A UID command.
    pub uid: bool,
}

/// What STORE has changed.
pub struct Stored {
    /// Sequence numbers, ascending.
    pub messages: Vec<RangeInclusive<u32>>,
    /// What the client knew of their flags; asked for only where it is to hear nothing.
    pub before: Vec<(Uid, Flags)>,
    /// The change.
    pub args: StoreArgs,
    /// A UID command.
    pub uid: bool,
}

impl Outcome {
    /// A commit and the tagged response that follows it.
    pub fn commit(transaction: Transaction, reply: Reply) -> Outcome {
        Outcome::Commit { transaction, tag: reply.tag.clone(), then: AfterCommit::Reply(reply) }
    }

    /// A tagged response, before which all news are told.
    pub fn reply(tag: String, text: impl Into<Cow<'static, str>>) -> Outcome {
        Outcome::Reply(Reply::new(tag, text))
    }
}

/// A tagged response.
#[derive(Debug)]
pub struct Reply {
    /// The command's.
    pub tag: String,
    /// From `OK`, `NO` or `BAD` on.
    pub text: Cow<'static, str>,
    /// How the news of the mailbox are told before.
    pub news: News,
    /// OK has HIGHESTMODSEQ, where QRESYNC is enabled (RFC 7162 section 3.2.7).
    pub modseq: bool,
    /// Said after it; the connection ends.
    pub goodbye: Option<&'static str>,
}

impl Reply {
    /// A response before which all news are told.
    pub fn new(tag: String, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { tag, text: text.into(), news: News::default(), modseq: false, goodbye: None }
    }
}

/// How the news of the selected mailbox are told.
#[derive(Debug)]
pub struct News {
    /// EXPUNGE may be told: not in FETCH, STORE and SEARCH (RFC 3501 section 7.4.1).
    pub expunge: bool,
    /// FETCH responses have the UID, because the command was a UID command (section 6.4.8).
    pub uid: bool,
    /// The command has removed messages: that is told also to who wants to hear of no such thing (RFC 5465).
    pub removes: bool,
    /// What is news and what the client's own doing.
    pub own: OwnChange,
}

impl Default for News {
    /// All of them.
    fn default() -> News {
        News { expunge: true, uid: false, removes: false, own: OwnChange::Nothing }
    }
}

impl News {
    /// For FETCH, STORE and SEARCH. Their UID variants are other commands, during which EXPUNGE may be
    /// told.
    pub fn of_messages(uid: bool) -> News {
        News { expunge: uid, uid, removes: false, own: OwnChange::Nothing }
    }

    /// For SEARCH and its like.
    pub fn of_search(uid: bool, key: &SearchKey) -> News {
        News { expunge: uid && !key.names_numbers(), ..News::of_messages(uid) }
    }
}

/// A FETCH under way.
#[derive(Debug)]
pub struct Fetch {
    /// The command's.
    pub tag: String,
    /// A UID command.
    pub uid: bool,
    /// Sequence numbers, ascending.
    pub messages: Vec<RangeInclusive<u32>>,
    /// Told before them (RFC 7162 section 3.2.6).
    pub earlier: Updates,
    /// What of each.
    pub items: Vec<FetchItem>,
    /// `\Seen` is to be set.
    pub sets_seen: bool,
}

/// How a [`Fetch`] went.
#[derive(Debug, Default)]
pub struct FetchResult {
    /// Messages that get `\Seen`.
    pub unseen: Vec<Uid>,
    /// Some were removed by another session.
    pub gone: bool,
    /// Some could not be read.
    pub damaged: bool,
    /// Some parts are in an encoding that is not known.
    pub undecodable: bool,
}
