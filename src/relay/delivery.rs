//! Out of the queue: deliveries into accounts of this appliance, reports to senders, and the end of each
//! entry. The way through the smarthost is [`super::outgoing`]'s.

use std::time::Duration;

use async_io::Timer;
use event_listener::EventListener;
use smol::future::{or, zip};

use super::entry::{Entry, Progress, Recipient, Work};
use super::queue::Claim;
use super::report::Letter;
use super::{Relay, deposit, no_such_mailbox};
use crate::clock::unix_now;
use crate::config::{Account, Config, Destination};
use crate::flash::ReadAt;
use crate::smtp::{Mailbox, Reply, store_trouble};
use crate::store::Error;

/// Seconds after which the clock is looked at again: it may have been set.
const LONGEST_REST: i64 = 60;

impl Relay {
    /// Delivers what is queued, forever.
    pub async fn run(&self) {
        if !self.stands_still() {
            self.queue.renew_notes().await;
        }
        let couriers = zip(self.courier(), self.courier());
        let here = zip(self.deliver_here(), self.keep_current());
        zip(couriers, here).await;
    }

    /// Waits until there may be work.
    pub(super) async fn rest(&self, changed: EventListener, work: Work) {
        let config = self.context.config();
        let earliest = self.queue.earliest(|entry| entry.when(work, &config));
        let least = if self.stands_still() { LONGEST_REST } else { 1 };
        let pause = earliest.map(|at| at.saturating_sub(unix_now()).clamp(least, LONGEST_REST));
        match pause {
            None => changed.await,
            Some(seconds) => {
                let timer = Timer::after(Duration::from_secs(seconds.unsigned_abs()));
                or(changed, async {
                    timer.await;
                })
                .await;
            }
        }
    }

    /// New settings may be what every message waits for, and the operator may be in a hurry.
    async fn keep_current(&self) {
        loop {
            let (changed, hurried) = (self.context.changed(), self.hurried.listen());
            if self.hurry.take() {
                // What is still wrong shows at once.
                self.troubles.borrow_mut().clear();
                if !self.stands_still() {
                    self.queue.hasten().await;
                }
            } else {
                or(hurried, async {
                    changed.await;
                    self.hurry.set(true);
                })
                .await;
            }
        }
    }

    /// Deliveries into accounts, reports to senders, and removals that did not work before.
    async fn deliver_here(&self) {
        loop {
            let changed = self.queue.changed();
            let (config, now) = (self.context.config(), unix_now());
            let wanted = |_, entry: &mut Entry| {
                entry.is_settled() || entry.due(Work::Here, &config, now).next().is_some()
            };
            let claim = if self.stands_still() { None } else { self.queue.claims(wanted).next() };
            match claim {
                Some(claim) => Box::pin(self.deliver(claim)).await,
                None => self.rest(changed, Work::Here).await,
            }
        }
    }

    async fn deliver(&self, mut claim: Claim<'_>) {
        let config = self.context.config();
        let due = claim.entry.due(Work::Here, &config, unix_now());
        let pending = due.filter(|recipient| matches!(recipient.progress, Progress::Pending { .. }));
        let recipients: Vec<Mailbox> = pending.map(|recipient| recipient.mailbox.clone()).collect();
        for recipient in recipients {
            let reply = match config.destination(recipient.as_str()) {
                Destination::Here(accounts) => self.deliver_to(&accounts, &claim).await,
                Destination::Outside | Destination::Nobody => no_such_mailbox(),
            };
            take(&mut claim.entry, &recipient, &reply, "", &config);
        }
        self.settle(claim).await;
    }

    /// The worst of what these accounts say. Two addresses of one account, and one that is tried again, give one delivery: the
    /// identity is the message's.
    async fn deliver_to(&self, accounts: &[&Account], claim: &Claim<'_>) -> Reply {
        let mut worst = Reply::new(250, (0, 0), "Delivered");
        for account in accounts {
            let reply = self.deliver_into(&account.name, claim).await;
            // What passes is tried again, for all of them; only then it is over for some.
            let rank = |reply: &Reply| (!reply.is_positive(), !reply.is_permanent());
            if rank(&reply) > rank(&worst) {
                worst = reply;
            }
        }
        worst
    }

    async fn deliver_into(&self, name: &str, claim: &Claim<'_>) -> Reply {
        let deposited = async {
            let store = self.context.store.account(name).await?;
            let body = claim.body().await?;
            let identity = claim.identity();
            deposit::once(&self.queue, claim, &store, &identity, async |message| {
                message.write(deposit::return_path(&claim.entry.sender).as_bytes())?;
                deposit::copy(&body, message).await
            })
            .await?;
            Ok(Reply::new(250, (0, 0), "Delivered"))
        };
        deposited.await.unwrap_or_else(|error| unreadable(&error))
    }

    /// Writes down how far a message got, tells its sender what failed, and removes it when all is done.
    ///
    /// What failed is on flash before it is told, and the report's identity counts the reports before
    /// it: so it is the same report if power goes in between, and arrives once.
    pub(super) async fn settle(&self, mut claim: Claim<'_>) {
        if has_failures(&claim.entry) {
            if !claim.save().await {
                return;
            }
            let reported = self.report(&claim).await;
            if let Err(error) = &reported {
                log::warn!("queue {}: its sender was not told of a failure: {error}", claim.uid());
            }
            claim.entry.reported(reported.is_ok(), &self.context.config().smarthost, unix_now());
        }
        if claim.entry.is_settled() {
            claim.remove().await;
        } else {
            claim.save().await;
        }
    }

    /// A report to the sender, if that is someone here and not a report itself.
    async fn report(&self, claim: &Claim<'_>) -> Result<(), Error> {
        let (config, entry) = (self.context.config(), &claim.entry);
        let Some(sender) = &entry.sender else {
            log::warn!("queue {}: a message without a sender failed, nobody is told", claim.uid());
            return Ok(());
        };
        let submitter = entry.submitter.account(&config);
        let by_address = || config.accounts_by_address(sender.as_str()).first().copied();
        let Some(account) = submitter.or_else(by_address) else {
            log::warn!("queue {}: <{sender}> has no mailbox here and is not told of a failure", claim.uid());
            return Ok(());
        };
        let store = self.context.store.account(&account.name).await?;
        let reported = entry.recipients.iter().filter(|r| r.progress == Progress::Reported).count();
        let identity = format!("{}.report.{reported}", claim.identity());
        let body = claim.body().await.ok();
        let letter = Letter { hostname: &config.server.hostname, to: sender.as_str(), date: unix_now() };
        deposit::once(&self.queue, claim, &store, &identity, async |message| {
            letter.non_delivery(entry, body.as_ref().map(|body| body as &dyn ReadAt), message)
        })
        .await
    }
}

/// Whether its sender has something to be told.
pub(super) fn has_failures(entry: &Entry) -> bool {
    entry.recipients.iter().any(|recipient| matches!(recipient.progress, Progress::Failed { .. }))
}

/// What trouble with the store means for a delivery: damage does not go away by waiting.
pub(super) fn unreadable(error: &Error) -> Reply {
    match error {
        Error::Damaged(_) | Error::NoSuchMessage => Reply::new(554, (3, 0), "The message was damaged here"),
        error => store_trouble(error),
    }
}

/// What a reply means for a recipient.
pub(super) fn take(entry: &mut Entry, mailbox: &Mailbox, reply: &Reply, remote: &str, config: &Config) {
    let (created, now) = (entry.created, unix_now());
    entry.happened(now, &format!("<{mailbox}>: {reply}"));
    let same = |recipient: &&mut Recipient| recipient.mailbox == *mailbox;
    for recipient in entry.recipients.iter_mut().filter(same) {
        recipient.take(reply, remote, created, &config.smarthost, now);
    }
}
