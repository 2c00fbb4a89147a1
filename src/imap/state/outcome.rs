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

/// What the server has to do after the session has handled a command. Untagged responses of the session are sent
/// before.
pub enum Outcome {
    /// Send the tagged response, which ends the command.
    Reply(Reply),
    /// End the connection; the goodbye is written.
    End,
    /// Send the reply, then do the TLS handshake (RFC 3501 section 6.2.1).
    StartTls(Reply),
    /// Check the password, then call `Session::logged_in` or `Session::login_refused`.
    Login {
        /// The tag of the command.
        tag: String,
        /// The account's name or address.
        username: String,
        /// The password.
        password: Password,
    },
    /// Do a SASL exchange, then continue as for [`Outcome::Login`].
    Authenticate {
        /// The tag of the command.
        tag: String,
        /// The exchange that has begun.
        exchange: Exchange,
        /// The first step of the exchange.
        step: Step,
    },
    /// Make the changes durable, then do what `then` says.
    Commit {
        /// The changes.
        transaction: Transaction,
        /// The tag of the command.
        tag: String,
        /// What follows when the changes are durable.
        then: AfterCommit,
    },
    /// Send untagged responses that need not be text, then the tagged response.
    Octets {
        /// The untagged responses.
        octets: Vec<u8>,
        /// The tagged response.
        reply: Reply,
    },
    /// Make changes that the client did not ask for, then send the tagged response even when they fail.
    Aside {
        /// What the changes are, for the log.
        what: &'static str,
        /// The changes.
        transaction: Transaction,
        /// The tagged response.
        reply: Reply,
    },
    /// Receive messages, then commit them.
    Append(Box<Appending>),
    /// Send messages, then call `Session::fetched`.
    Fetch(Fetch),
    /// Send what the client has missed of a mailbox that it has just selected, then the tagged response.
    Resync {
        /// What the client has missed.
        missed: Updates,
        /// The tagged response.
        reply: Reply,
    },
    /// Search for messages, send the result, then the tagged response.
    Search {
        /// The tag of the command.
        tag: String,
        /// The search key, and what the result must contain.
        args: SearchArgs,
    },
    /// Search for messages, send them sorted, then the tagged response.
    Sort {
        /// The tag of the command.
        tag: String,
        /// The sort criteria, the search key, and what the result must contain.
        args: Box<SortArgs>,
    },
    /// Search for messages, send their threads, then the tagged response.
    Thread {
        /// The tag of the command.
        tag: String,
        /// Whether the response contains UIDs.
        uid: bool,
        /// The algorithm.
        algorithm: ThreadAlgorithm,
        /// The search key.
        key: SearchKey,
    },
    /// Send names in pieces with `Session::list`, then the tagged response.
    List {
        /// What is listed, and how far the listing has come.
        listing: Listing,
        /// The tagged response.
        reply: Reply,
    },
    /// Set what the client is told from now on, and send what it is told at once (RFC 5465).
    Notify {
        /// The tag of the command.
        tag: String,
        /// What the client asks for.
        set: Box<NotifySet>,
    },
    /// Tell the client of changes as they happen until it sends DONE (RFC 2177).
    Idle {
        /// The tag of the command.
        tag: String,
    },
}

/// What follows when changes are durable.
pub enum AfterCommit {
    /// Send the tagged response, and nothing else.
    Reply(Reply),
    /// APPEND and REPLACE: say where the messages are.
    Append(Appended),
    /// CLOSE: no mailbox is selected any more.
    Close,
    /// CREATE: say which MAILBOXID the mailbox has.
    Create(MailboxName),
    /// COPY: say where the copies are.
    Copy(Copied),
    /// MOVE: say where the messages are, and that they are gone from the selected mailbox.
    Move(Copied),
    /// STORE: say what the flags are.
    Store(Stored),
}

/// What APPEND or REPLACE has added.
pub struct Appended {
    /// The mailbox with the new messages.
    pub mailbox: MailboxId,
    /// The number of new messages.
    pub messages: usize,
    /// Whether the command was REPLACE.
    pub replaces: bool,
}

/// What COPY or MOVE has copied.
pub struct Copied {
    /// The UIDs of the originals.
    pub uids: Uids,
    /// The mailbox with the copies.
    pub to: MailboxId,
    /// Whether it was a UID command.
    pub uid: bool,
}

/// What STORE has changed.
pub struct Stored {
    /// The sequence numbers of the messages, ascending.
    pub messages: Vec<RangeInclusive<u32>>,
    /// The flags that the client knew before; filled only for `.SILENT`.
    pub before: Vec<(Uid, Flags)>,
    /// The arguments of the command.
    pub args: StoreArgs,
    /// Whether it was a UID command.
    pub uid: bool,
}

impl Outcome {
    /// A commit, and the tagged response that follows it.
    pub fn commit(transaction: Transaction, reply: Reply) -> Outcome {
        Outcome::Commit { transaction, tag: reply.tag.clone(), then: AfterCommit::Reply(reply) }
    }

    /// A tagged response, before which the client is told of all changes.
    pub fn reply(tag: String, text: impl Into<Cow<'static, str>>) -> Outcome {
        Outcome::Reply(Reply::new(tag, text))
    }
}

/// A tagged response.
#[derive(Debug)]
pub struct Reply {
    /// The tag of the command.
    pub tag: String,
    /// The text, beginning with `OK`, `NO` or `BAD`.
    pub text: Cow<'static, str>,
    /// How the client is told of changes in the mailbox before the response.
    pub news: MailboxUpdates,
    /// Whether an OK contains HIGHESTMODSEQ when QRESYNC is enabled (RFC 7162 section 3.2.7).
    pub modseq: bool,
    /// The text that is sent after the response, before the connection ends; `None` when it does not end.
    pub goodbye: Option<&'static str>,
}

impl Reply {
    /// A response before which the client is told of all changes.
    pub fn new(tag: String, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { tag, text: text.into(), news: MailboxUpdates::default(), modseq: false, goodbye: None }
    }
}

/// How the client is told of changes in the selected mailbox.
#[derive(Debug)]
pub struct MailboxUpdates {
    /// Whether EXPUNGE may be sent: not during FETCH, STORE and SEARCH (RFC 3501 section 7.4.1).
    pub expunge: bool,
    /// Whether FETCH responses have the UID, because the command was a UID command (section 6.4.8).
    pub uid: bool,
    /// Whether the command itself has removed messages, which is told also to a client that does not want EXPUNGE
    /// (RFC 5465).
    pub removes: bool,
    /// Which changes are the client's own.
    pub own: OwnChange,
}

impl Default for MailboxUpdates {
    /// All changes are told.
    fn default() -> MailboxUpdates {
        MailboxUpdates { expunge: true, uid: false, removes: false, own: OwnChange::Nothing }
    }
}

impl MailboxUpdates {
    /// How changes are told during FETCH, STORE and SEARCH. Their UID variants are other commands, during which
    /// EXPUNGE may be sent.
    pub fn of_messages(uid: bool) -> MailboxUpdates {
        MailboxUpdates { expunge: uid, uid, removes: false, own: OwnChange::Nothing }
    }

    /// How changes are told during SEARCH, SORT and THREAD.
    pub fn of_search(uid: bool, key: &SearchKey) -> MailboxUpdates {
        MailboxUpdates { expunge: uid && !key.names_numbers(), ..MailboxUpdates::of_messages(uid) }
    }
}

/// A FETCH that is under way.
#[derive(Debug)]
pub struct Fetch {
    /// The tag of the command.
    pub tag: String,
    /// Whether it was a UID command.
    pub uid: bool,
    /// The sequence numbers of the messages, ascending.
    pub messages: Vec<RangeInclusive<u32>>,
    /// Updates that are sent before the messages (RFC 7162 section 3.2.6).
    pub earlier: Updates,
    /// The items to be sent of each message.
    pub items: Vec<FetchItem>,
    /// Whether `\Seen` is set.
    pub sets_seen: bool,
}

/// The result of a [`Fetch`].
#[derive(Debug, Default)]
pub struct FetchResult {
    /// The messages that get `\Seen`.
    pub unseen: Vec<Uid>,
    /// Whether another session has removed some of the messages.
    pub gone: bool,
    /// Whether some messages could not be read.
    pub damaged: bool,
    /// Whether some parts are in an unknown encoding.
    pub undecodable: bool,
}
