//! The model of an account, which needs no flash: the state that records add up to, and the records that a change
//! takes. Pure values; nothing here reads or writes files.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

mod annotation;
mod change;
mod draft;
mod entries;
mod expunged;
mod index;
mod journal;
mod keywords;
mod ledger;
mod mailbox;
pub mod mailbox_name;
mod notes;
mod numbers;
mod overlay;
mod plan;
mod serial;
mod structure;
#[cfg(test)]
pub mod tests;
mod usage;

pub use annotation::{ANNOTATION_MAX, ANNOTATIONS_MAX, ENTRY_MAX};
pub use change::{Arrival, Change, Committed, MailboxNumbers, MessageNumbers, Placed, identity_hash};
pub use draft::{Draft, Weight};
pub use entries::Entries;
pub use expunged::Expunged;
pub use index::Index;
pub use journal::{Event, Journal, Overflow, WatcherId};
pub use keywords::{KEYWORD_MAX, takes_keywords};
pub use ledger::Known;
pub use mailbox::Mailbox;
pub use notes::{Note, NoteKey, Notes};
pub use overlay::Overlay;
pub use plan::{NOTE_MAX, Plan, Source, Step, plan};
pub use usage::{
    ALL_ANNOTATIONS_MAX, KEYWORDS_MAX, LEDGER_MAX, MAILBOXES_MAX, MESSAGES, MESSAGES_MAX, SHARE,
    SUBSCRIPTIONS_MAX, Usage,
};
