//! One connection to the smarthost: its messages are begun, and have their outcome later, since several may be under way.
//!
//! Before the last octets of a message leave, the queue knows on flash that they do: after a power cut the operator sees which
//! messages the smarthost may have had already. Those of one submitter leave in their order, over whatever connections.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;

use super::Relay;
use super::delivery::{take, unreadable};
use super::end::HandingOver;
use super::entry::Work;
use super::index::{LARGE, Turn};
use super::lines::Line;
use super::queue::Claim;
use super::settling::Settling;
use crate::clock::unix_now;
use crate::config::{Account, Config};
use crate::message::date;
use crate::smtp::client::{Client, Failure, Message, Outcome};
use crate::smtp::{Mailbox, Recipient, Reply};
use crate::store::Uid;

/// What leaves over another connection right after the end before it may still overtake that one: so long it stays here.
const APART: Duration = Duration::from_millis(2);
/// Messages that went twice, perhaps, that the operator is told of.
const MOST_DOUBTFUL: usize = 8;

/// A message that was begun.
struct HandedOver<'a> {
    claim: Claim<'a>,
    recipients: Vec<Recipient>,
    /// Its last octets have left.
    in_doubt: Option<HandingOver<'a>>,
}

/// What a message that was begun is waiting for.
enum Begun<'a> {
    /// Its outcome.
    UnderWay(HandedOver<'a>),
    /// Nothing: its content cannot be read.
    Unreadable(HandedOver<'a>, Reply),
}

impl Relay {
    /// One connection, as long as there is something for it.
    pub(super) async fn converse(&self, line: Line<'_>, first: Claim<'_>) {
        let config = self.context.config();
        let mut client = match self.connect(line.login(), &config).await {
            Ok(client) => client,
            Err(failure) => return self.turned_away(&line, first, &failure, &config).await,
        };
        line.is_proven(first.entry.submitter, first.size >= LARGE.into());
        self.troubles.borrow_mut().remove(line.login());
        self.refused.borrow_mut().remove(line.login());
        self.login_works(line.login()).await;
        // There may be more than one connection can carry.
        self.queue.wake();
        if let Err(failure) = self.hand_over_all(&line, &mut client, first, &config).await {
            match failure {
                // The message is due as it was, and goes at once.
                Failure::Again(reason) => log::warn!("{}: {reason}", line.login()),
                failure => {
                    self.did_not_get_through(line.login(), &failure);
                    self.note_trouble(line.login(), &failure).await;
                }
            }
            return;
        }
        // Who has a new message with this login need not wait for the goodbye.
        drop(line);
        self.queue.wake();
        client.quit().await;
    }

    /// All that there is for this connection, some of them under way at once where the server lets them.
    async fn hand_over_all(
        &self,
        line: &Line<'_>,
        client: &mut Client,
        first: Claim<'_>,
        config: &Rc<Config>,
    ) -> Result<(), Failure> {
        let settling = Settling::new();
        settling.run(self.talk(line, client, first, &settling, config)).await
    }

    /// The same, while `settling` runs.
    async fn talk<'a>(
        &'a self,
        line: &Line<'_>,
        client: &mut Client,
        first: Claim<'a>,
        settling: &Settling<'a>,
        config: &'a Rc<Config>,
    ) -> Result<(), Failure> {
        let (mut under_way, mut first, mut broken) = (VecDeque::new(), Some(first), None);
        loop {
            settling.has_room().await;
            let mut next = first.take();
            if next.is_none() && broken.is_none() && client.has_room_for(0) && self.goes_on(config) {
                self.queue.tick();
                next = self.next_of(line, config);
            }
            // What has no room now is not kept: what is under way may be answered late, and another connection be free. And settings
            // may have changed since the connection was made, or the end have come.
            let goes = |claim: &Claim<'_>| client.has_room_for(claim.size) && self.goes_on(config);
            if let Some(claim) = next.filter(goes) {
                settling.expects_note();
                let begun = self.begin(client, claim, settling, config).await;
                settling.note_comes();
                match begun {
                    Ok(Begun::UnderWay(handed)) => under_way.push_back(handed),
                    Ok(Begun::Unreadable(handed, reply)) => {
                        let verdicts = vec![reply; handed.recipients.len()];
                        settling.begin(self.conclude(handed, &verdicts, false, client.remote(), config));
                    }
                    Err(failure) => broken = Some(failure),
                }
                continue;
            }
            let Some(handed) = under_way.pop_front() else {
                if settling.oldest().await {
                    // Something may have come meanwhile.
                    continue;
                }
                return broken.map_or(Ok(()), Err);
            };
            match client.outcome().await {
                Ok(Some(Outcome { verdicts, dsn_passed_on, .. })) => {
                    line.answered(client.answered());
                    let remote = client.remote();
                    settling.begin(self.conclude(handed, &verdicts, dsn_passed_on, remote, config));
                }
                // Not to be: whatever was begun has an outcome.
                Ok(None) => drop(handed),
                Err(failure) => {
                    self.broke_off(handed, &failure, config).await;
                    broken = Some(broken.unwrap_or(failure));
                }
            }
        }
    }

    fn goes_on(&self, config: &Rc<Config>) -> bool {
        self.is_current(config) && !self.goes_nothing(config)
    }

    /// Sends a message up to its last octets, notes that these leave, and sends them.
    async fn begin<'a>(
        &'a self,
        client: &mut Client,
        mut claim: Claim<'a>,
        settling: &Settling<'_>,
        config: &Rc<Config>,
    ) -> Result<Begun<'a>, Failure> {
        let due = claim.entry.due(Work::Smarthost, config, unix_now());
        let recipients: Vec<Recipient> = due.map(|recipient| recipient.for_smtp()).collect();
        self.note_doubt(&mut claim);
        let body = match claim.body().await {
            Ok(body) => body,
            Err(error) => {
                let handed = HandedOver { claim, recipients, in_doubt: None };
                return Ok(Begun::Unreadable(handed, unreadable(&error)));
            }
        };
        let (sender, dsn, size) = (claim.entry.sender.clone(), claim.entry.dsn.clone(), claim.size);
        let ascii_sender = claim.entry.submitter.account(config).and_then(ascii_address);
        let message = Message {
            sender: &sender,
            ascii_sender: ascii_sender.as_ref(),
            recipients: &recipients,
            size,
            eight_bit: claim.entry.eight_bit,
            utf8: claim.entry.utf8,
            dsn: &dsn,
        };
        let mut in_doubt = None;
        let before_end = async || {
            in_doubt = Some(self.last_octets(&mut claim, settling).await?);
            Ok(())
        };
        let sent = client.begin(message, &body, before_end).await;
        let handed = HandedOver { claim, recipients, in_doubt };
        match sent {
            Ok(()) => Ok(Begun::UnderWay(handed)),
            Err(failure) => {
                self.broke_off(handed, &failure, config).await;
                Err(failure)
            }
        }
    }

    /// The last octets are about to leave: that is noted, and those of messages before it leave first.
    async fn last_octets(
        &self,
        claim: &mut Claim<'_>,
        settling: &Settling<'_>,
    ) -> Result<HandingOver<'_>, Failure> {
        let stopped = || Failure::Unavailable("the appliance is being stopped".to_owned());
        if self.standing.is_ending() {
            return Err(stopped());
        }
        let handing_over = self.standing.hands_over();
        let before = claim.entry.in_doubt.replace(unix_now());
        settling.note_comes();
        if !claim.save().await {
            if self.stands_still() {
                claim.entry.in_doubt = before;
                claim.save().await;
                return Err(Failure::Unavailable("the flash takes no changes".to_owned()));
            }
            // On a full card nothing would leave any more, which is what gives room back.
            log::warn!("queue {}: it is handed over, which could not be noted", claim.uid());
        }
        // In the same sync, mostly: not more than what is under way is ever in doubt.
        while settling.oldest().await {}
        if !self.takes_its_turn(claim.uid()).await {
            // It may have arrived when it was handed over before.
            claim.entry.in_doubt = before;
            claim.save().await;
            return Err(stopped());
        }
        Ok(handing_over)
    }

    /// Waits until the last octets of a message may leave; `false` where they do not, since the appliance is being stopped.
    async fn takes_its_turn(&self, uid: Uid) -> bool {
        loop {
            let changed = self.queue.changed();
            let turn = self.queue.index().turn(uid);
            match turn {
                Some(Turn::Alone) => break,
                Some(Turn::Behind) => {
                    Timer::after(APART).await;
                    break;
                }
                None if self.standing.is_ending() => return false,
                None => changed.await,
            }
        }
        self.queue.index().ended(uid);
        self.queue.wake();
        true
    }

    /// Tells of a message that was handed over before, and of which nobody knows whether it was taken.
    fn note_doubt(&self, claim: &mut Claim<'_>) {
        let Some(at) = claim.entry.in_doubt else { return };
        let what = format!("handed over again, after {} without an answer", date::rfc5322(at));
        log::warn!("queue {}: {what}: it may arrive twice", claim.uid());
        claim.entry.happened(unix_now(), &what);
        let to: Vec<_> = claim.entry.recipients.iter().map(|to| to.mailbox.to_string()).collect();
        let sender = claim.entry.sender.as_ref().map_or("", Mailbox::as_str);
        let line = format!("message {} from <{sender}> to {}: {what}", claim.uid(), to.join(", "));
        let mut doubtful = self.doubtful.borrow_mut();
        if doubtful.len() == MOST_DOUBTFUL {
            doubtful.pop_front();
        }
        doubtful.push_back(line);
    }

    /// The connection is gone, and nothing is decided about the message.
    async fn broke_off(&self, handed: HandedOver<'_>, failure: &Failure, config: &Rc<Config>) {
        let HandedOver { mut claim, .. } = handed;
        let goes_again = matches!(failure, Failure::Again(_)) || !self.goes_on(config);
        if goes_again && claim.entry.in_doubt.is_none() {
            // As if nothing had been: it is no attempt.
            return;
        }
        if !goes_again {
            self.postpone(&mut claim.entry, config, &failure.to_string());
        }
        self.settle(claim).await;
    }

    /// The last word for each recipient is taken at once; what comes back is to be waited for until it is written down.
    fn conclude<'a>(
        &'a self,
        handed: HandedOver<'a>,
        verdicts: &[Reply],
        dsn_passed_on: bool,
        remote: &str,
        config: &Config,
    ) -> impl Future<Output = ()> + use<'a> {
        let HandedOver { mut claim, recipients, in_doubt } = handed;
        claim.entry.in_doubt = None;
        // Those that follow need not wait until this is written down.
        self.queue.index().land(claim.uid());
        for (Recipient { mailbox, .. }, reply) in recipients.iter().zip(verdicts) {
            log::info!("queue {}: <{mailbox}>: {reply}", claim.uid());
            take(&mut claim.entry, mailbox, reply, remote, dsn_passed_on, config, self.jitter);
        }
        if verdicts.iter().any(Reply::is_positive) {
            self.got_through();
        }
        async move {
            self.settle(claim).await;
            // Whoever stops the appliance waits for it up to here.
            drop(in_doubt);
        }
    }
}

/// An address of an account that every server takes.
fn ascii_address(account: &Account) -> Option<Mailbox> {
    let addresses = std::iter::once(&account.address).chain(&account.aliases);
    let mut ascii = addresses.filter(|address| !address.is_empty() && address.is_ascii());
    ascii.next().and_then(|address| Mailbox::parse(address).ok())
}
