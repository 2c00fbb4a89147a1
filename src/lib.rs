//! Pillarbox: a mail appliance in one small binary.
//!
//! The module tree is the architecture: each row uses the rows below it, never its neighbours.
//!
//! ```text
//! appliance                              puts the parts together, starts and stops them
//! console  http                          where people come in
//! operator                               status and actions, once for both
//! relay                                  where accepted mail goes
//! pop3  imap  smtp  multipop             what the network sees
//! oauth2                                 permissions to log in elsewhere
//! serving  outgoing                      what the servers have in common; what the clients do
//! context                                what the services share
//! archive  auth  board                   mail as files; who is it; the device
//! access  certificate  data_folder  sasl  may this account; the server's name; who writes; how logins are made
//! store  message  config                 mail on flash; the octets of messages; settings on flash
//! net  credential                        sockets, TLS and names; passwords as they are kept
//! flash  clock  pace  failure  say       the machine
//! json                                   what answers of other servers hold
//! sandbox  watchdog  wiping              what holds the process to its work; no copy of a password
//! ```
//!
//! `tests/layers` holds the code to it. `docs/architecture.md` says what each room holds and promises, and follows five journeys through them:
//! RETR, APPEND, a collected message, a submitted one, a commit of settings.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
// Their panic would end the daemon where nobody takes what it says: see `say`.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]
// What would bring a second thread, or hold up the only one: see clippy.toml.
#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod access;
pub mod appliance;
pub mod archive;
pub mod auth;
pub mod board;
pub mod certificate;
pub mod clock;
pub mod config;
pub mod console;
pub mod context;
pub mod credential;
pub mod data_folder;
pub mod failure;
pub mod flash;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod imap;
pub mod json;
pub mod message;
pub mod multipop;
pub mod net;
pub mod oauth2;
pub mod operator;
pub mod outgoing;
pub mod pace;
pub mod pop3;
pub mod relay;
pub mod sandbox;
pub mod sasl;
pub mod say;
pub mod serving;
pub mod smtp;
pub mod store;
pub mod watchdog;
pub mod wiping;
