//! SMTP (RFC 5321): the server that takes mail from clients and devices, and the client that hands it on.
//!
//! The server knows the dialog, and nothing about where mail goes: it asks a [`Post`], which the relay implements.
//! [`session`] and [`client`] are state machines over lines; [`server`] and the relay move the octets.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

pub mod arrival;
pub mod client;
pub mod command;
pub mod data;
pub mod dsn;
pub mod header;
pub mod intake;
pub mod mailbox;
pub mod originator;
pub mod reply;
pub mod server;
pub mod session;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::store::{self, Incoming};

pub use mailbox::{Mailbox, ReversePath};
pub use reply::Reply;

/// The purpose of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Message submission (RFC 6409): the client must log in before it sends mail.
    Submission {
        /// Whether TLS begins with the first octet (RFC 8314) instead of STARTTLS.
        implicit_tls: bool,
    },
    /// For printers, scanners and NAS: without a login, and only from `server.lan`.
    LanSmtp,
}

/// The envelope of a message (RFC 5321 section 2.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The address for bounces.
    pub sender: ReversePath,
    /// The lasting identity of the account that logged in; `None` for a device on the LAN.
    pub account: Option<u64>,
    /// The recipients in the order of the RCPT commands.
    pub recipients: Vec<Recipient>,
    /// Whether the content has octets above 127 (RFC 6152).
    pub eight_bit: bool,
    /// Whether the client used SMTPUTF8 (RFC 6531).
    pub utf8: bool,
    /// The DSN parameters of MAIL.
    pub dsn: dsn::Request,
}

/// A recipient with its DSN parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The forward-path.
    pub mailbox: Mailbox,
    /// In which cases the sender wants a report.
    pub notify: dsn::Notify,
    /// The value of ORCPT (RFC 3461 section 4.2) as it came, an address type and xtext; empty if it was not given.
    pub original: String,
}

impl From<Mailbox> for Recipient {
    fn from(mailbox: Mailbox) -> Recipient {
        Recipient { mailbox, notify: dsn::Notify::default(), original: String::new() }
    }
}

/// A future in a box, so that [`Post`] can be a trait object.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A message that is coming in, and the store that it goes to.
pub struct Content {
    /// The message, to which the content is written.
    pub message: Incoming,
    /// The store that `message` belongs to.
    pub store: Rc<store::Account>,
    /// Whether `store` is the recipient's account; otherwise it is the queue.
    pub direct: bool,
}

/// Takes the messages that the server accepts. A refusal is the reply that the client gets.
pub trait Post {
    /// Answers RCPT: whether a message of `size` octets (0: not known) from `account` can go to `recipient`.
    fn recipient<'a>(
        &'a self,
        account: Option<u64>,
        recipient: &'a Mailbox,
        size: u64,
    ) -> Later<'a, Result<(), Reply>>;

    /// Answers DATA: the content of a message with this envelope is written to the returned [`Content`]. Room for
    /// `size` octets (0: not known) is reserved from now on.
    fn incoming<'a>(&'a self, envelope: &'a Envelope, size: u64) -> Later<'a, Result<Content, Reply>>;

    /// Answers the end of data: takes responsibility for the message. `Ok` only once it is durable.
    fn accept(&self, envelope: Envelope, content: Content) -> Later<'_, Result<(), Reply>>;
}

/// The reply to a client when the store refuses a message. The log has the details.
pub fn store_trouble(error: &store::Error) -> Reply {
    log::warn!("a message was not stored: {error}");
    match error {
        // Temporary (RFC 5321 section 4.2.1): the sender keeps the message and tries again, perhaps when the card was
        // replaced.
        store::Error::ReadOnly => Reply::new(451, (3, 0), "Nothing can be stored here now, try again later"),
        store::Error::Full => Reply::new(452, (3, 1), "No room for it now, try again later"),
        store::Error::OverQuota | store::Error::Limit(_) => {
            Reply::new(452, (2, 2), "The mailbox is full, try again later")
        }
        _ => Reply::new(451, (3, 0), "Something is wrong here, try again later"),
    }
}
