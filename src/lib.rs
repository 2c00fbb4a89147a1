//! Pillarbox: a mail appliance in one small binary.
//!
//! The module tree is the architecture: each row uses the rows below it, never its neighbours.
//!
//! ```text
//! appliance                              puts the parts together, starts and stops them
//! console  http                          what the operator sees
//! pop3  imap  smtp  multipop  relay      what the network sees
//! archive                                an account's mail as Maildir and mbox files
//! context  access  auth  message         what they share
//! store                                  mail on flash
//! config                                 settings on flash
//! net  flash  clock  pace  board         the machine
//! sandbox  watchdog                      what holds the process to its work
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
// Their panic would end the daemon where nobody takes what it says: see `say`.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

pub mod access;
pub mod appliance;
pub mod archive;
pub mod auth;
pub mod board;
pub mod clock;
pub mod config;
pub mod console;
pub mod context;
pub mod failure;
pub mod flash;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod imap;
pub mod message;
pub mod multipop;
pub mod net;
pub mod pace;
pub mod pop3;
pub mod relay;
pub mod sandbox;
pub mod say;
pub mod smtp;
pub mod status;
pub mod store;
pub mod watchdog;
