//! What is sent over the connection: the fragments of a command, the grammar, the commands, and the words of
//! responses.

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
