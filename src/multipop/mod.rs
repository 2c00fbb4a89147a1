//! MultiPOP: collects the users' mail from their mailboxes elsewhere.
//!
//! The [`Poller`] keeps a task for each source. A poll logs in, finds what the ledger of the store does
//! not know yet, and streams it into the account's INBOX; a message and the fact that it was collected
//! become durable in one commit, so that whatever breaks, nothing is lost and nothing comes twice.
//!
//! A poll is one loop (`driver`) over the state machine of its protocol (`pop3`, `imap`).
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

#[cfg(test)]
mod answer_tests;
mod budget;
mod collection;
mod content;
mod driver;
mod ending;
mod errand;
mod error;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod hostile_tests;
mod imap;
mod ledger;
mod letters;
mod needs;
mod notice;
#[cfg(test)]
mod odd_tests;
mod permission;
#[cfg(test)]
mod permission_tests;
mod places;
mod poller;
mod pop3;
mod probe;
mod progress;
mod reading;
mod refusal;
mod remote;
#[cfg(test)]
mod reuse_tests;
mod schedule;
pub mod state;
mod status;
#[cfg(test)]
mod tests;
mod twins;
mod wanted;
mod watch;
mod wire;

pub use error::Error;
#[cfg(any(test, fuzzing))]
pub(crate) use imap::played;
pub use poller::Poller;
#[cfg(any(test, fuzzing))]
pub(crate) use poller::poll;
pub use progress::Going;
pub use status::{PollResult, SourceStatus};
