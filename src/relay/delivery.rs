//! What leaves the queue: deliveries into accounts of this appliance, reports to senders, and the removal of entries
//! that are done. [`super::outgoing`] has the way through the smarthost.

use std::time::Duration;

use async_io::Timer;
use event_listener::EventListener;
use smol::future::{or, zip};

use super::dsn::{MAX_WHOLE, Original, Reader, Report};
use super::entry::{Attempt, Entry, Progress, Recipient, Work};
use super::queue::{Claim, seconds};
use super::report::Letter;
use super::{Relay, deposit, no_such_mailbox};
use crate::clock::unix_now;
use crate::config::{Account, Config, Destination};
use crate::net::addresses::present;
use crate::smtp::dsn::Ret;
use crate::smtp::{Mailbox, Reply, store_trouble};
use crate::store::Error;

/// Seconds after which the clock is looked at again, since it may have been set.
const LONGEST_REST: u64 = 60;
/// How often it is checked whether the machine has a new address.
const LOOK_AT_ADDRESSES: Duration = Duration::from_secs(5);
/// Octets that a report needs besides the message that it encloses, roughly.
const ROOM_FOR_WORDS: u64 = 16 * 1024;
/// The reason for not sending a message whose account is gone.
const GONE: &str = "the account that sent it is gone, and nobody else has its login";

impl Relay {
    /// Delivers what is queued, forever.
    pub async fn run(&self) {
        self.queue.load().await;
        let here = zip(self.deliver_here(), self.keep_current());
        zip(zip(self.courier(), self.watch_the_way()), here).await;
    }

    /// Waits until there may be work, for `longest` at most.
    pub(super) async fn rest(&self, changed: EventListener, longest: Duration) {
        let least = if self.stands_still() { LONGEST_REST } else { 1 };
        let now = seconds(unix_now());
        let earliest = self.queue.index().earliest().map(|at| u64::from(at.saturating_sub(now)));
        let pause = earliest.map_or(LONGEST_REST, |pause| pause.clamp(least, LONGEST_REST));
        or(changed, async {
            Timer::after(Duration::from_secs(pause).min(longest)).await;
        })
        .await;
    }

    /// Tries everything again that did not get through when the machine has a new address, or another provider was
    /// reached.
    async fn watch_the_way(&self) {
        let mut known = present();
        loop {
            let reached = self.context.got_through();
            let look = async {
                Timer::after(LOOK_AT_ADDRESSES).await;
                false
            };
            let reached = async {
                reached.await;
                true
            };
            if or(reached, look).await && self.failing.get() {
                self.try_all();
            }
            let now = present();
            if self.failing.get() && now.iter().any(|address| !known.contains(address)) {
                log::info!("a new address: what waits for the smarthost is tried at once");
                self.tried_all.set(i64::MIN / 2);
                self.try_all();
            }
            known = now;
        }
    }

    /// Takes in new settings, which every message may have waited for, and the operator's wish to try everything at
    /// once.
    async fn keep_current(&self) {
        loop {
            let (changed, hurried) = (self.context.changed(), self.hurried.listen());
            if self.hurry.take() {
                // Troubles that persist are noted again at the next attempt.
                self.troubles.borrow_mut().clear();
                self.refused.borrow_mut().clear();
                self.queue.load().await;
                self.queue.hasten(|_| true);
            } else {
                or(hurried, async {
                    changed.await;
                    self.hurry.set(true);
                })
                .await;
            }
        }
    }

    /// Does the work that is due here: deliveries into accounts, reports to senders, failing messages of accounts
    /// that are gone, and removals that did not work before.
    async fn deliver_here(&self) {
        loop {
            let changed = self.queue.changed();
            self.queue.tick();
            let claim = if self.stands_still() { None } else { self.queue.next_here() };
            match claim {
                Some(claim) => Box::pin(self.deliver(claim)).await,
                None => self.rest(changed, Duration::MAX).await,
            }
        }
    }

    async fn deliver(&self, mut claim: Claim<'_>) {
        let config = self.context.config();
        let due = claim.entry.due(Work::Here, &config, unix_now());
        let pending = due.filter(|recipient| matches!(recipient.progress, Progress::Pending { .. }));
        let (outside, recipients): (Vec<_>, Vec<_>) = pending.partition(|it| it.waits_outside(&config));
        let (recipients, ends) = (recipients.into_iter().map(|it| it.mailbox.clone()), !outside.is_empty());
        let recipients: Vec<Mailbox> = recipients.collect();
        for recipient in outside {
            recipient.fail("5.7.1".to_owned(), Attempt::never(GONE));
        }
        if ends {
            claim.entry.happened(unix_now(), GONE);
        }
        for recipient in recipients {
            let reply = match config.destination(recipient.as_str()) {
                Destination::Here(accounts) => self.deliver_to(&accounts, &claim).await,
                Destination::Outside | Destination::Nobody => no_such_mailbox(),
            };
            take(&mut claim.entry, &recipient, &reply, "", false, &config, 0);
        }
        self.write_outcome(claim).await;
    }

    /// Delivers to these accounts and returns the worst of their replies. Two addresses of one account give one
    /// delivery, and so does a further try: the identity is the message's.
    async fn deliver_to(&self, accounts: &[&Account], claim: &Claim<'_>) -> Reply {
        let mut worst = Reply::new(250, (0, 0), "Delivered");
        for account in accounts {
            let reply = self.deliver_into(&account.name, claim).await;
            // While one account fails temporarily, all are tried again; a permanent failure of another counts only
            // after that.
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

    /// Writes down how far a message got, makes the reports that are due, and removes the message when nothing is
    /// left to do.
    ///
    /// The number of a report is on flash before the report is made. So it is the same report after a power cut, and
    /// arrives once.
    pub(super) async fn write_outcome(&self, mut claim: Claim<'_>) {
        for spared in claim.entry.suppress_reports() {
            log::warn!("queue {}: nobody is told of {spared}", claim.uid());
        }
        if has_news(&claim.entry) {
            claim.entry.number_report();
            if !claim.save().await {
                return;
            }
            let smarthost = &self.context.config().smarthost;
            for report in claim.entry.reports_due(smarthost, unix_now()) {
                let told = self.report(&claim, Some(report)).await;
                let is_last = claim.entry.is_orphan(&self.context.config());
                claim.entry.reported(report, told, is_last, smarthost, unix_now());
            }
        }
        if claim.entry.late_at(&self.context.config()).is_some_and(|at| at <= unix_now()) {
            let told = self.report(&claim, None).await;
            claim.entry.late_told(told, unix_now());
            if told {
                claim.entry.happened(unix_now(), "its sender was told that it is late");
            }
        }
        if claim.entry.is_settled() {
            claim.remove().await;
        } else {
            claim.save().await;
        }
    }

    /// Makes report `number`, or with `None` the notice that the message is late. Returns whether the sender, or the
    /// postmaster in the sender's place, has it.
    async fn report(&self, claim: &Claim<'_>, number: Option<u32>) -> bool {
        let reported = self.write_report(claim, number).await;
        if let Err(error) = &reported {
            log::warn!("queue {}: a report on it was not delivered: {error}", claim.uid());
        }
        reported.is_ok()
    }

    async fn write_report(&self, claim: &Claim<'_>, number: Option<u32>) -> Result<(), Error> {
        let (config, entry) = (self.context.config(), &claim.entry);
        let Some((account, reader)) = addressee(entry, &config) else {
            log::warn!("queue {}: there is no account that could be told of it", claim.uid());
            // The message of an account that is gone is kept until somebody has it.
            return if entry.is_orphan(&config) { Err(Error::NoSuchMailbox) } else { Ok(()) };
        };
        let (identity, recipients): (_, Vec<_>) = match number {
            Some(number) => {
                (format!("{}.report.{number}", claim.identity()), entry.reported_in(number).collect())
            }
            None => {
                (format!("{}.late", claim.identity()), entry.late_recipients(&config.smarthost).collect())
            }
        };
        let only_success = recipients.iter().all(|it| matches!(it.progress, Progress::Arrived { .. }));
        if only_success && reader != Reader::Sender {
            return Ok(());
        }
        let store = self.context.store.account(&account.name).await?;
        let body = claim.body().await.ok();
        let whole = number.is_some() && !only_success && entry.dsn.ret == Some(Ret::Full);
        let has_room = claim.size <= MAX_WHOLE && store.fits(1, claim.size + ROOM_FOR_WORDS).is_ok();
        let original = match &body {
            None => Original::Unreadable,
            Some(body) if reader == Reader::PostmasterOfGone => Original::Whole(body),
            Some(body) if whole && has_room => Original::Whole(body),
            Some(body) if whole => Original::TooLarge(body),
            Some(body) => Original::Header(body),
        };
        let to = match (&entry.sender, reader) {
            (Some(sender), Reader::Sender) => sender.as_str(),
            _ => &account.address,
        };
        let letter = Letter { hostname: &config.server.hostname, to, date: unix_now() };
        let until = entry.since.saturating_add(config.smarthost.expire.into());
        let report = Report { letter, reader, entry, recipients, until, original };
        deposit::once(&self.queue, claim, &store, &identity, async |message| report.write(message).await)
            .await
    }
}

/// The account that is told of a message: the sender's, or the postmaster.
fn addressee<'c>(entry: &Entry, config: &'c Config) -> Option<(&'c Account, Reader)> {
    let sender = entry.sender.as_ref()?;
    if entry.is_orphan(config) {
        return Some((config.postmaster()?, Reader::PostmasterOfGone));
    }
    let by_address = || match config.destination(sender.as_str()) {
        Destination::Here(accounts) => accounts.first().copied(),
        Destination::Outside | Destination::Nobody => None,
    };
    let account = entry.submitter.account(config).or_else(by_address);
    match account {
        Some(account) => Some((account, Reader::Sender)),
        None => Some((config.postmaster()?, Reader::Postmaster)),
    }
}

/// Whether there is something to tell the sender.
pub(super) fn has_news(entry: &Entry) -> bool {
    let news = |it: &Recipient| matches!(it.progress, Progress::Failed { .. } | Progress::Arrived { .. });
    entry.recipients.iter().any(news)
}

/// The reply to a delivery that the store could not make. Waiting does not mend damage, so damage is permanent.
pub(super) fn unreadable(error: &Error) -> Reply {
    match error {
        Error::Damaged(_) | Error::NoSuchMessage => Reply::new(554, (3, 0), "The message was damaged here"),
        error => store_trouble(error),
    }
}

/// Takes in the reply for a recipient. `passed_on`: the server `remote` will tell the sender of a success itself.
pub(super) fn take(
    entry: &mut Entry,
    mailbox: &Mailbox,
    reply: &Reply,
    remote: &str,
    passed_on: bool,
    config: &Config,
    jitter: u8,
) {
    let (since, now) = (entry.since, unix_now());
    entry.answered(now, mailbox, reply);
    let same = |recipient: &&mut Recipient| recipient.mailbox == *mailbox;
    for recipient in entry.recipients.iter_mut().filter(same) {
        recipient.take(reply, remote, passed_on, since, &config.smarthost, now);
        recipient.spread(now, jitter);
    }
}
