//! What an account is, as far as it can be told without a flash: what records add up to, and which records a change
//! takes. Pure values; nothing here reads or writes.

mod annotation;
mod change;
mod index;
mod mailbox;
pub mod mailbox_name;
mod numbers;
mod overlay;
mod plan;
mod serial;

pub use annotation::{ANNOTATION_MAX, ANNOTATIONS_MAX, ENTRY_MAX};
pub use change::{Arrival, Change, Committed, MailboxNumbers, MessageNumbers, identity_hash};
pub use index::Index;
pub use mailbox::{Mailbox, Usage};
pub use overlay::Overlay;
pub use plan::{Plan, Source, Step, plan};
