//! Where accepted mail goes: into the accounts of this appliance, and through the smarthost to everyone
//! else, by way of a queue on flash.
//!
//! A message for one account alone is delivered at once, in one commit. Everything else is committed to
//! the queue once, acknowledged, and delivered from there. `deposit` tells why a power cut neither loses
//! nor doubles it, `outgoing` how it gets through the smarthost.

mod delivery;
mod deposit;
mod dsn;
mod entry;
mod operator;
mod outgoing;
mod permission;
mod queue;
mod report;
mod restored;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use event_listener::Event;

use crate::clock::unix_now;
use crate::config::Config;
use crate::context::Context;
use crate::oauth2::Tokens;
use crate::smtp::{self, Content, Envelope, Later, Mailbox, Post, Reply, store_trouble};
use crate::store::{self, Uid};
use entry::{Entry, Submitter};
pub use operator::{Act, Done, QueueEntry, SentBy, Shown, Which, all_queued, queued};
use outgoing::Login;
use queue::Queue;
pub use restored::{count_as_sent, waiting_outside};

/// The relay: takes mail from the SMTP server, and gets it where it belongs.
pub struct Relay {
    context: Rc<Context>,
    tokens: Rc<Tokens>,
    queue: Queue,
    /// Logins that a connection to the smarthost is open for: one each.
    talking: RefCell<BTreeSet<Login>>,
    /// What is wrong with the way out, by login.
    troubles: RefCell<BTreeMap<Login, String>>,
    hurry: Cell<bool>,
    hurried: Event,
}

impl Relay {
    /// A relay whose queue is `queue` (see [`crate::store::Store::queue`]).
    pub fn new(context: Rc<Context>, queue: Rc<store::Account>, tokens: Rc<Tokens>) -> Rc<Relay> {
        Rc::new(Relay {
            queue: Queue::new(context.clone(), queue),
            context,
            tokens,
            talking: RefCell::default(),
            troubles: RefCell::default(),
            hurry: Cell::new(false),
            hurried: Event::new(),
        })
    }

    /// What is queued, the oldest first.
    pub fn entries(&self) -> Vec<QueueEntry> {
        let config = self.context.config();
        self.queue.entries().map(|(id, size, entry)| QueueEntry::new(id, size, entry, &config)).collect()
    }

    /// What is wrong with the way through the smarthost right now, one line a login; empty when the
    /// latest connections went well.
    pub fn troubles(&self) -> Vec<String> {
        self.troubles.borrow().iter().map(|(login, trouble)| format!("{login}: {trouble}")).collect()
    }

    /// Makes everything in the queue due at once.
    pub fn retry_now(&self) {
        self.hurry.set(true);
        self.hurried.notify(usize::MAX);
    }

    /// Removes a message from the queue without telling its sender; `false` when there is none, or it
    /// is on its way this very moment.
    ///
    /// # Errors
    /// What the store says.
    pub async fn remove(&self, id: Uid) -> Result<bool, store::Error> {
        self.queue.discard(id).await
    }

    /// Whether the flash takes no changes. Then nothing leaves the queue: that a message has gone could not be written
    /// down, and it would go again with each start. It goes once, when the queue lies on a flash that works.
    fn stands_still(&self) -> bool {
        self.context.store.read_only().is_some()
    }

    /// RCPT: is there such a mailbox, or a way out?
    async fn verify(&self, recipient: &Mailbox, size: u64) -> Result<(), Reply> {
        let config = self.context.config();
        if !config.is_local_domain(recipient.domain()) {
            return if config.smarthost.host.is_empty() {
                Err(Reply::new(550, (4, 4), "Without a smarthost no mail leaves this server"))
            } else {
                Ok(())
            };
        }
        let account = config.account_by_address(recipient.as_str()).ok_or_else(no_such_mailbox)?;
        // Nobody is opened without need: where there is no quota, the end of data is early enough.
        if account.quota > 0 {
            let store = self.context.store.account(&account.name).await;
            let store = store.map_err(|error| store_trouble(&error))?;
            store.fits(1, size).map_err(|_| Reply::new(452, (2, 2), "That mailbox is full"))?;
        }
        Ok(())
    }

    /// DATA: straight into an account, or into the queue.
    async fn place(&self, envelope: &Envelope, size: u64) -> Result<Content, Reply> {
        let config = self.context.config();
        let trouble = |error| store_trouble(&error);
        // The commit would find it too, after all the octets have come.
        if self.stands_still() {
            return Err(store_trouble(&store::Error::ReadOnly));
        }
        if let Some(name) = only_account(&config, &envelope.recipients) {
            let store = self.context.store.account(name).await.map_err(trouble)?;
            let mut message = store.incoming();
            message.expect(size).map_err(trouble)?;
            message.write(deposit::return_path(&envelope.sender).as_bytes()).map_err(trouble)?;
            return Ok(Content { message, store, direct: true });
        }
        if self.queue.is_full(envelope.account.map_or(Submitter::Device, Submitter::Account)) {
            return Err(Reply::new(452, (3, 1), "Too many messages are waiting, try again later"));
        }
        let store = self.queue.account().await.map_err(trouble)?;
        let mut message = store.incoming();
        message.expect(size).map_err(trouble)?;
        Ok(Content { message, store, direct: false })
    }

    /// End of data: durable before it is acknowledged.
    async fn take(&self, envelope: Envelope, content: Content) -> Result<(), Reply> {
        let Content { message, store, direct } = content;
        let taken = if direct {
            deposit::begin(&store, message).commit().await.map(drop)
        } else {
            self.queue.add(&store, message, &Entry::new(envelope, unix_now())).await
        };
        taken.map_err(|error| store_trouble(&error))
    }
}

impl Post for Relay {
    fn recipient<'a>(
        &'a self,
        _account: Option<u64>,
        recipient: &'a Mailbox,
        size: u64,
    ) -> Later<'a, Result<(), Reply>> {
        Box::pin(self.verify(recipient, size))
    }
    fn incoming<'a>(&'a self, envelope: &'a Envelope, size: u64) -> Later<'a, Result<Content, Reply>> {
        Box::pin(self.place(envelope, size))
    }
    fn accept(&self, envelope: Envelope, content: Content) -> Later<'_, Result<(), Reply>> {
        Box::pin(self.take(envelope, content))
    }
}

fn no_such_mailbox() -> Reply {
    Reply::new(550, (1, 1), "There is no such mailbox here")
}

/// The account that all recipients are, where that is one.
fn only_account<'a>(config: &'a Config, recipients: &[smtp::Recipient]) -> Option<&'a str> {
    // Who wants to hear of it hears of it from the queue.
    if recipients.iter().any(|recipient| recipient.notify.success()) {
        return None;
    }
    let mut names = recipients.iter().map(|recipient| {
        let mailbox = &recipient.mailbox;
        let local = config.is_local_domain(mailbox.domain());
        config.account_by_address(mailbox.as_str()).filter(|_| local).map(|account| account.name.as_str())
    });
    let first = names.next()??;
    names.all(|name| name == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests;
