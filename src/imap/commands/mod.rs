//! What the commands do, one place a command.

pub mod append;
pub mod connector;
pub mod fetch;
pub mod idle;
pub mod lazy_message;
pub mod list;
pub mod mailboxes;
pub mod metadata;
pub mod pattern;
pub mod search;
pub mod section;
