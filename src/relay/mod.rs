//! The way of accepted mail: into the accounts of this appliance, and through the smarthost to everyone else, by way
//! of a queue on flash.
//!
//! A message for one account alone is delivered at once, in one commit. Everything else is committed to the queue
//! once, acknowledged, and delivered from there. `deposit` explains why a power cut neither loses nor doubles it,
//! `outgoing` how it gets through the smarthost.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

mod conversation;
mod delivery;
mod deposit;
mod dsn;
mod end;
mod entry;
mod index;
mod letters;
mod lines;
mod operator;
mod outgoing;
mod permission;
mod probe;
mod queue;
mod report;
mod restored;
mod settling;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use event_listener::Event;

use crate::clock::unix_now;
use crate::config::{Account, Config, Destination};
use crate::context::Context;
use crate::credential::random;
use crate::oauth2::Tokens;
use crate::outgoing::Habit;
use crate::smtp::client::ServerQuirks;
use crate::smtp::{self, Content, Envelope, Later, Mailbox, Post, Reply, store_trouble};
use crate::store::{self, Uid};
use entry::{Entry, Submitter};
use lines::Lines;
pub use operator::{Act, Done, QueueEntry, SentBy, Shown, Which, all_queued, queued};
use outgoing::Login;
use queue::Queue;
#[cfg(test)]
pub use restored::note_of;
pub use restored::{count_as_sent, hold_back, waiting_outside};

/// Messages in a list of the queue, at most.
const LISTED: usize = 1000;

/// The relay: takes mail from the SMTP server and delivers it.
pub struct Relay {
    context: Rc<Context>,
    tokens: Rc<Tokens>,
    queue: Queue,
    /// The connections to the smarthost.
    lines: Lines,
    /// Lines about messages that were handed over twice since the start and may have arrived twice, for the operator.
    doubtful: RefCell<VecDeque<String>>,
    /// The logins that the smarthost refuses.
    refused: RefCell<BTreeSet<Login>>,
    /// Whether the smarthost was out of reach since a message got through last.
    failing: Cell<bool>,
    /// When everything was last tried at once because a message got through, in seconds since 1970 UTC.
    tried_all: Cell<i64>,
    /// How much later than others this appliance tries again after a failure that all had at the same time: see
    /// [`entry::Recipient::spread`].
    jitter: u8,
    /// The current trouble of each login at the smarthost.
    troubles: RefCell<BTreeMap<Login, String>>,
    hurry: Cell<bool>,
    hurried: Event,
    standing: end::Standing,
    habits: RefCell<BTreeMap<Login, Habit>>,
    /// What is known of mistakes of the smarthost.
    quirks: Rc<ServerQuirks>,
    rows: letters::Rows,
}

impl Relay {
    /// A relay whose queue is `queue` (see [`crate::store::Store::queue`]).
    pub fn new(context: Rc<Context>, queue: Rc<store::Account>, tokens: Rc<Tokens>) -> Rc<Relay> {
        let [jitter] = random();
        Rc::new(Relay {
            queue: Queue::new(context.clone(), queue),
            context,
            tokens,
            lines: Lines::default(),
            doubtful: RefCell::default(),
            refused: RefCell::default(),
            failing: Cell::default(),
            tried_all: Cell::new(i64::MIN / 2),
            jitter,
            troubles: RefCell::default(),
            hurry: Cell::new(false),
            hurried: Event::new(),
            standing: end::Standing::default(),
            habits: RefCell::default(),
            quirks: Rc::default(),
            rows: letters::Rows::default(),
        })
    }

    /// The first thousand queued messages, the oldest first.
    pub fn entries(&self) -> Vec<QueueEntry> {
        let config = self.context.config();
        self.queue
            .entries()
            .take(LISTED)
            .map(|(id, size, entry)| QueueEntry::new(id, size, entry, &config))
            .collect()
    }

    /// How many messages are queued beyond those of [`Relay::entries`].
    pub fn unlisted(&self) -> usize {
        self.queue.len().saturating_sub(LISTED)
    }

    /// How many messages of the account with this lasting identity are queued.
    pub fn queued_of(&self, id: u64) -> usize {
        self.queue.count(entry::Submitter::Account(id))
    }

    /// The lines for the operator about current troubles: one for each login that has one at the smarthost, and one
    /// for each message that may have arrived twice.
    pub fn troubles(&self) -> Vec<String> {
        let troubles = self.troubles.borrow();
        let troubles = troubles.iter().map(|(login, trouble)| format!("{login}: {trouble}"));
        troubles.chain(self.doubtful.borrow().iter().cloned()).collect()
    }

    /// Makes everything in the queue due at once.
    pub fn retry_now(&self) {
        self.hurry.set(true);
        self.hurried.notify(usize::MAX);
    }

    /// Removes a message from the queue without telling its sender. `false` if there is no such message, or it is
    /// being worked on.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove(&self, id: Uid) -> Result<bool, store::Error> {
        self.queue.discard(id).await
    }

    /// Whether the flash takes no changes. Then nothing leaves the queue: that a message has gone could not be noted,
    /// and it would go again with each start. It goes once, when the queue is on a flash that works.
    fn stands_still(&self) -> bool {
        self.context.store.read_only().is_some()
    }

    /// Answers RCPT: whether the mailbox exists and has room, or the recipient can be reached through the smarthost.
    async fn verify(&self, account: Option<u64>, recipient: &Mailbox, size: u64) -> Result<(), Reply> {
        let config = self.context.config();
        let accounts = match config.destination(recipient.as_str()) {
            Destination::Here(accounts) => accounts,
            Destination::Nobody => return Err(no_such_mailbox()),
            Destination::Outside if account.is_none() && !config.server.lan_smtp_relay => {
                return Err(Reply::new(550, (7, 1), "Devices write to addresses of this server only"));
            }
            Destination::Outside if config.smarthost.host.is_empty() => {
                return Err(Reply::new(550, (4, 4), "Without a smarthost no mail leaves this server"));
            }
            Destination::Outside => return Ok(()),
        };
        // An alias of several accounts is refused only if none of them has room.
        let mut answer = Ok(());
        for account in accounts {
            answer = self.has_room(account, size).await;
            if answer.is_ok() {
                break;
            }
        }
        answer
    }

    /// Whether the account's quota has room. Accounts without a quota are not opened for that: the end of data is
    /// early enough.
    async fn has_room(&self, account: &Account, size: u64) -> Result<(), Reply> {
        if account.quota > 0 {
            let store = self.context.store.account(&account.name).await;
            let store = store.map_err(|error| store_trouble(&error))?;
            store.fits(1, size).map_err(|_| Reply::new(452, (2, 2), "That mailbox is full"))?;
        }
        Ok(())
    }

    /// Answers DATA: the message goes directly into an account, or into the queue.
    async fn place(&self, envelope: &Envelope, size: u64) -> Result<Content, Reply> {
        let config = self.context.config();
        let trouble = |error| store_trouble(&error);
        // The commit would fail as well, but only after all octets have come.
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

    /// Answers the end of data: the message is durable before it is acknowledged.
    async fn take(&self, envelope: Envelope, content: Content) -> Result<(), Reply> {
        let Content { message, store, direct } = content;
        let taken = if direct {
            deposit::begin(&store, message).commit().await.map(drop)
        } else {
            let envelope = settled(envelope, &self.context.config());
            self.queue.add(&store, message, &Entry::new(envelope, unix_now())).await
        };
        taken.map_err(|error| store_trouble(&error))
    }
}

impl Post for Relay {
    fn recipient<'a>(
        &'a self,
        account: Option<u64>,
        recipient: &'a Mailbox,
        size: u64,
    ) -> Later<'a, Result<(), Reply>> {
        Box::pin(self.verify(account, recipient, size))
    }
    fn incoming<'a>(&'a self, envelope: &'a Envelope, size: u64) -> Later<'a, Result<Content, Reply>> {
        Box::pin(self.place(envelope, size))
    }
    fn accept(&self, envelope: Envelope, content: Content) -> Later<'_, Result<(), Reply>> {
        Box::pin(self.take(envelope, content))
    }
}

/// The envelope as it is queued. Addresses at the host name become addresses of their accounts, so they stay valid
/// when the host is renamed. The sender of a device's mail to the outside is the one that the operator has set.
fn settled(mut envelope: Envelope, config: &Config) -> Envelope {
    for recipient in &mut envelope.recipients {
        let address = config.address_of_host(recipient.mailbox.as_str());
        if let Some(Ok(own)) = address.map(Mailbox::parse) {
            recipient.mailbox = own;
        }
    }
    let leaves = |to: &smtp::Recipient| !config.stays_here(to.mailbox.as_str());
    if envelope.account.is_none() && envelope.sender.is_some() && envelope.recipients.iter().any(leaves) {
        envelope.sender = Mailbox::parse(&config.server.lan_smtp_sender).ok().or(envelope.sender);
    }
    envelope
}

fn no_such_mailbox() -> Reply {
    Reply::new(550, (1, 1), "There is no such mailbox here")
}

/// The name of the account, if all recipients are addresses of one account.
fn only_account<'a>(config: &'a Config, recipients: &[smtp::Recipient]) -> Option<&'a str> {
    // A report of a success is made from the queue.
    if recipients.iter().any(|recipient| recipient.notify.success()) {
        return None;
    }
    let mut names = recipients.iter().map(|recipient| match config.destination(recipient.mailbox.as_str()) {
        Destination::Here(accounts) => match accounts[..] {
            [account] => Some(account.name.as_str()),
            _ => None,
        },
        Destination::Outside | Destination::Nobody => None,
    });
    let first = names.next()??;
    names.all(|name| name == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests;
