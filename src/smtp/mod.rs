//! SMTP (RFC 5321): the server that takes mail from clients and devices, and the client that hands it on.
//!
//! The server knows the dialog and nothing of where mail goes: that is told by a [`Post`], which the
//! relay implements. [`session`] and [`client`] are state machines over lines, [`server`] and the
//! relay's delivery move the octets.
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

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Message submission (RFC 6409): a login comes before any mail.
    Submission {
        /// TLS from the first octet (RFC 8314) instead of STARTTLS.
        implicit_tls: bool,
    },
    /// Printers, scanners, NAS: no login, and only from `server.lan`.
    LanSmtp,
}

/// Who sends what to whom (RFC 5321 section 2.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Where bounces go.
    pub sender: ReversePath,
    /// The lasting identity of the account that logged in; `None` for a device on the LAN.
    pub account: Option<u64>,
    /// In the order of the RCPT commands.
    pub recipients: Vec<Recipient>,
    /// The content holds octets above 127 (RFC 6152).
    pub eight_bit: bool,
    /// The client said SMTPUTF8 (RFC 6531).
    pub utf8: bool,
    /// What is asked for about the whole message.
    pub dsn: dsn::Request,
}

/// To whom, and what is asked for about that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The forward-path.
    pub mailbox: Mailbox,
    /// When the sender wants to hear of it.
    pub notify: dsn::Notify,
    /// The value of ORCPT (RFC 3461 section 4.2) as it came, the address type and xtext; empty where it was not said.
    pub original: String,
}

impl From<Mailbox> for Recipient {
    fn from(mailbox: Mailbox) -> Recipient {
        Recipient { mailbox, notify: dsn::Notify::default(), original: String::new() }
    }
}

/// A future in a box, so that [`Post`] can be a trait object.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A message on its way in, and where it goes.
pub struct Content {
    /// To be filled.
    pub message: Incoming,
    /// The store that `message` belongs to.
    pub store: Rc<store::Account>,
    /// Goes to the account of `store` at once; else `store` is a queue.
    pub direct: bool,
}

/// What takes the messages that the server accepts. A refusal is the reply that the client gets.
pub trait Post {
    /// RCPT: can a message of `size` octets (0: not known) of `account` go to `recipient`?
    fn recipient<'a>(
        &'a self,
        account: Option<u64>,
        recipient: &'a Mailbox,
        size: u64,
    ) -> Later<'a, Result<(), Reply>>;

    /// DATA: where the content of a message with this envelope goes, piece by piece; for `size` octets of it (0: not known)
    /// room is kept from now on.
    fn incoming<'a>(&'a self, envelope: &'a Envelope, size: u64) -> Later<'a, Result<Content, Reply>>;

    /// End of data: takes responsibility for the message. `Ok` only once it is durable.
    fn accept(&self, envelope: Envelope, content: Content) -> Later<'_, Result<(), Reply>>;
}

/// What a client hears when the store refuses. The log hears more.
pub fn store_trouble(error: &store::Error) -> Reply {
    log::warn!("a message was not stored: {error}");
    match error {
        // RFC 5321 section 4.2.1: the sender keeps it and comes again, as to the card that takes this one's place.
        store::Error::ReadOnly => Reply::new(451, (3, 0), "Nothing can be stored here now, try again later"),
        store::Error::Full => Reply::new(452, (3, 1), "No room for it now, try again later"),
        store::Error::OverQuota | store::Error::Limit(_) => {
            Reply::new(452, (2, 2), "The mailbox is full, try again later")
        }
        _ => Reply::new(451, (3, 0), "Something is wrong here, try again later"),
    }
}
