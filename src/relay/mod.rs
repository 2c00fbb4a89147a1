//! Where accepted mail goes: into the accounts of this appliance, and through the smarthost to everyone
//! else, by way of a queue on flash.

use std::rc::Rc;

use crate::context::Context;
use crate::smtp::{Envelope, Later, Mailbox, Post, Reply};
use crate::store::{self, Incoming, Uid};

/// A queued message, as `show queue` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueEntry {
    /// Names it for [`Relay::remove`].
    pub id: Uid,
    /// The envelope's sender; empty for a bounce.
    pub from: String,
    /// The recipients that it has not reached yet.
    pub to: Vec<String>,
    /// Octets.
    pub size: u64,
    /// When it was accepted, in seconds since 1970 UTC.
    pub created: i64,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next one is due, in seconds since 1970 UTC.
    pub next_try: i64,
    /// What went wrong at the latest attempt.
    pub last_error: Option<String>,
}

/// The relay: takes mail from the SMTP server, and gets it where it belongs.
pub struct Relay {}

impl Relay {
    /// A relay whose queue is `queue` (see [`crate::store::Store::queue`]).
    pub fn new(_context: Rc<Context>, _queue: Rc<store::Account>) -> Rc<Relay> {
        todo!()
    }

    /// Delivers what is queued, forever.
    pub async fn run(&self) {
        todo!()
    }

    /// What is queued, the oldest first.
    pub fn entries(&self) -> Vec<QueueEntry> {
        todo!()
    }

    /// Makes everything in the queue due at once.
    pub fn retry_now(&self) {
        todo!()
    }

    /// Removes a message from the queue without telling its sender; `false` when there is none, or it
    /// is on its way this very moment.
    ///
    /// # Errors
    /// What the store says.
    pub async fn remove(&self, _id: Uid) -> Result<bool, store::Error> {
        todo!()
    }
}

impl Post for Relay {
    fn recipient<'a>(&'a self, _recipient: &'a Mailbox, _size: u64) -> Later<'a, Result<(), Reply>> {
        todo!()
    }
    fn incoming<'a>(&'a self, _envelope: &'a Envelope) -> Later<'a, Result<Incoming, Reply>> {
        todo!()
    }
    fn accept(&self, _envelope: Envelope, _message: Incoming) -> Later<'_, Result<(), Reply>> {
        todo!()
    }
}
