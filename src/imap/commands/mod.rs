//! The commands, one module for each: what a command asks of the store, its replies, and what has to wait.

pub mod append;
mod catenate;
mod connector;
pub mod copy_move;
mod expunge;
pub mod fetch;
mod idle;
pub mod lazy_message;
pub mod list;
pub mod login;
pub mod mailboxes;
pub mod metadata;
mod notify;
pub mod progress;
pub mod quota;
mod resync;
pub mod search;
pub mod select;
mod sort;
mod store;
mod thread;
