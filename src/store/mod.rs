//! The mail store: for each account one append-only log of records, and a folder of large bodies.
//!
//! The store promises: what a [`Transaction::commit`] has acknowledged survives any power cut, and other commits are
//! found whole or not at all; one sync makes a commit durable, and commits that arrive during a sync share the next
//! one; UIDs, UIDVALIDITY and MODSEQ only ascend. `docs/store.md` gives every byte.
//!
//! Nothing is visible before it is durable: the index in memory changes when a commit's sync has ended.
//!
//! Three layers, each of which uses only those below it (`tests/layers`):
//!
//! ```text
//! engine   commit, recovery, compaction, checkpoint, fsck: all that touches the flash
//! model    what records add up to, and which records a change takes; pure
//! format   every octet; pure
//! ```

mod engine;
mod error;
mod format;
mod model;

pub use engine::{
    Account, Body, Extracts, HeldSummary, Incoming, Owner, Piece, Renewed, Report, Snapshot, Store,
    Summaries, Transaction, Unclaimed, Watcher, means_unclaimed, note_owners,
};
pub use error::Error;
pub use format::{
    FlagChange, Flags, INBOX, IdentityHash, LastLine, MailboxId, Message, NO_MAILBOX, SourceKey, Uid, Uids,
};
pub use model::{
    ALL_ANNOTATIONS_MAX, ANNOTATION_MAX, ANNOTATIONS_MAX, Committed, ENTRY_MAX, Event, KEYWORD_MAX,
    KEYWORDS_MAX, Known, LEDGER_MAX, MAILBOXES_MAX, MESSAGES, MESSAGES_MAX, Mailbox, MailboxNumbers,
    MessageNumbers, NOTE_MAX, Overflow, Placed, SHARE, SUBSCRIPTIONS_MAX, Usage, identity_hash, mailbox_name,
};
