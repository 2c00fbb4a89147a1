//! What goes over the wire: fragments of a command, their grammar, commands, and the words of replies.

pub mod command;
pub mod extension;
pub mod field_names;
pub mod fragments;
pub mod grammar;
pub mod modseq;
pub mod notify;
pub mod search;
pub mod sequence;
pub mod sort;
pub mod url;
pub mod words;
