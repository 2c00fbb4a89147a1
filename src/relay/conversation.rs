//! One connection to the smarthost. A message is begun on it and gets its outcome later, since several may be under
//! way.
//!
//! Before the last octets of a message leave, the flash says so: after a power cut the operator sees which messages
//! the smarthost may have already. The last octets of one submitter's messages leave in the order of the messages,
//! over all connections.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;

use super::Relay;
use super::delivery::{take, unreadable};
use super::end::HandingOver;
use super::entry::Work;
use super::index::{LARGE, Spacing};
use super::lines::Line;
use super::queue::Claim;
use super::settling::Settling;
use crate::clock::unix_now;
use crate::config::{Account, Config};
use crate::message::date;
use crate::smtp::client::{Client, Failure, Message, Outcome};
use crate::smtp::{Mailbox, Recipient, Reply};
use crate::store::Uid;

/// How long the last octets of a message wait after those of the submitter's message before it have left over another
/// connection: without that pause they might arrive first.
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(2);
/// Messages that may have gone twice and are listed for the operator, at most.
const MOST_DOUBTFUL: usize = 8;

/// A message that was begun.
struct HandedOver<'a> {
    claim: Claim<'a>,
    recipients: Vec<Recipient>,
    /// Set once its last octets have left.
    in_doubt: Option<HandingOver<'a>>,
}

/// The state of a message that was begun.
enum Begun<'a> {
    /// It waits for its outcome.
    UnderWay(HandedOver<'a>),
    /// It was not sent, since its content cannot be read.
    Unreadable(HandedOver<'a>, Reply),
}

impl Relay {
    /// Runs one connection for as long as there are messages for it.
    pub(super) async fn run_connection(&self, line: Line<'_>, first: Claim<'_>) {
        let config = self.context.config();
        let mut client = match self.connect(line.login(), &config).await {
            Ok(client) => client,
            Err(failure) => return self.turned_away(&line, first, &failure, &config).await,
        };
        line.is_proven(first.entry.submitter, first.size >= LARGE.into());
        self.troubles.borrow_mut().remove(line.login());
        self.refused.borrow_mut().remove(line.login());
        // There may be more messages than one connection can carry.
        self.queue.wake();
        if let Err(failure) = self.hand_over_all(&line, &mut client, first, &config).await {
            match failure {
                // The message stays due as it was, and goes at once.
                Failure::Again(reason) => log::warn!("{}: {reason}", line.login()),
                failure => {
                    self.did_not_get_through(line.login(), &failure);
                    self.note_trouble(line.login(), &failure).await;
                }
            }
            return;
        }
        // The next connection with this login need not wait for the goodbye.
        drop(line);
        self.queue.wake();
        client.quit().await;
    }

    /// Sends all messages for this connection, several under way at once where the server allows it.
    async fn hand_over_all(
        &self,
        line: &Line<'_>,
        client: &mut Client,
        first: Claim<'_>,
        config: &Rc<Config>,
    ) -> Result<(), Failure> {
        let settling = Settling::new();
        settling.run(self.send_all(line, client, first, &settling, config)).await
    }

    /// Sends all messages for this connection, while `settling` writes down what became of them.
    async fn send_all<'a>(
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
            // A message without room now is given back: the answers to those under way may take long, and another
            // connection may be free. Also the settings may have changed since the connection was made, or the
            // appliance is being stopped.
            let goes = |claim: &Claim<'_>| client.has_room_for(claim.size) && self.goes_on(config);
            if let Some(claim) = next.filter(goes) {
                settling.expects_note();
                let begun = self.begin(client, claim, settling, config).await;
                settling.note_comes();
                match begun {
                    Ok(Begun::UnderWay(handed)) => under_way.push_back(handed),
                    Ok(Begun::Unreadable(handed, reply)) => {
                        let outcome = Outcome::all(reply, handed.recipients.len());
                        settling.begin(self.conclude(handed, &outcome, client.remote(), config));
                    }
                    Err(failure) => broken = Some(failure),
                }
                continue;
            }
            let Some(handed) = under_way.pop_front() else {
                if settling.oldest().await {
                    // There may be another message by now.
                    continue;
                }
                return broken.map_or(Ok(()), Err);
            };
            match client.outcome().await {
                Ok(Some(outcome)) => {
                    line.answered(client.answered());
                    // Not before: some servers let a login in and refuse it at MAIL.
                    self.login_works(line.login()).await;
                    settling.begin(self.conclude(handed, &outcome, client.remote(), config));
                }
                // This cannot happen: every message that was begun has an outcome.
                Ok(None) => drop(handed),
                Err(failure) => {
                    let answered = handed.in_doubt.is_some() && !client.left_in_doubt();
                    self.broke_off(handed, answered, &failure, config).await;
                    broken = Some(broken.unwrap_or(failure));
                }
            }
        }
    }

    fn goes_on(&self, config: &Rc<Config>) -> bool {
        self.is_current(config) && !self.is_paused(config)
    }

    /// Sends a message up to its last octets, notes on flash that these leave, and sends them.
    async fn begin<'a>(
        &'a self,
        client: &mut Client,
        mut claim: Claim<'a>,
        settling: &Settling<'_>,
        config: &Rc<Config>,
    ) -> Result<Begun<'a>, Failure> {
        let due = claim.entry.due(Work::Smarthost, config, unix_now());
        // The others stay due, and go next (RFC 9422 section 3.2).
        let most = client.capabilities().rcpt_max.map_or(usize::MAX, |most| most as usize);
        let recipients: Vec<Recipient> = due.take(most).map(|recipient| recipient.for_smtp()).collect();
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
                self.broke_off(handed, false, &failure, config).await;
                Err(failure)
            }
        }
    }

    /// Notes on flash that the last octets of a message leave, and waits until those of the messages before it have
    /// left.
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
            // On a full card no message could leave any more, and only leaving messages make room: so it goes without
            // the note.
            log::warn!("queue {}: it is handed over, which could not be noted", claim.uid());
        }
        // Mostly these share a sync with the note. Thus only the messages that are under way are ever in doubt.
        while settling.oldest().await {}
        if !self.takes_its_turn(claim.uid()).await {
            // It may have arrived already if it was handed over before.
            claim.entry.in_doubt = before;
            claim.save().await;
            return Err(stopped());
        }
        Ok(handing_over)
    }

    /// Waits until the last octets of a message may leave. `false` where they must not, since the appliance is being
    /// stopped.
    async fn takes_its_turn(&self, uid: Uid) -> bool {
        loop {
            let changed = self.queue.changed();
            let turn = self.queue.index().turn(uid);
            match turn {
                Some(Spacing::Alone) => break,
                Some(Spacing::Behind) => {
                    Timer::after(BETWEEN_CONNECTIONS).await;
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

    /// Tells the operator of a message that was handed over before without an answer, so that it may arrive twice.
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

    /// Takes in that the connection broke before the message had an outcome. `answered`: the server said so itself,
    /// and has not taken the message.
    async fn broke_off(
        &self,
        handed: HandedOver<'_>,
        answered: bool,
        failure: &Failure,
        config: &Rc<Config>,
    ) {
        let HandedOver { mut claim, .. } = handed;
        let goes_again = matches!(failure, Failure::Again(_)) || !self.goes_on(config);
        let noted = claim.entry.in_doubt.is_some();
        if answered {
            claim.entry.in_doubt = None;
        }
        if goes_again && !noted {
            // It does not count as an attempt.
            return;
        }
        if !goes_again {
            self.postpone(&mut claim.entry, config, &failure.to_string());
        }
        self.write_outcome(claim).await;
    }

    /// Takes in the outcome for each recipient at once. The returned future writes it down.
    fn conclude<'a>(
        &'a self,
        handed: HandedOver<'a>,
        outcome: &Outcome,
        remote: &str,
        config: &Config,
    ) -> impl Future<Output = ()> + use<'a> {
        let HandedOver { mut claim, recipients, in_doubt } = handed;
        claim.entry.in_doubt = None;
        // The messages behind it need not wait until this is written down.
        self.queue.index().end_transfer(claim.uid());
        let Outcome { verdicts, left_over, dsn_passed_on, .. } = outcome;
        let is_final =
            |(reply, left): (&Reply, &bool)| !left && (reply.is_positive() || reply.is_permanent());
        // Where none got on, what was one too many waits like the others, so that this ends.
        let got_on = verdicts.iter().zip(left_over).any(is_final);
        for ((Recipient { mailbox, .. }, reply), left) in recipients.iter().zip(verdicts).zip(left_over) {
            log::info!("queue {}: <{mailbox}>: {reply}", claim.uid());
            if !(*left && got_on) {
                take(&mut claim.entry, mailbox, reply, remote, *dsn_passed_on, config, self.jitter);
            }
        }
        if verdicts.iter().any(Reply::is_positive) {
            self.got_through();
        }
        async move {
            self.write_outcome(claim).await;
            // Whoever stops the appliance waits up to here.
            drop(in_doubt);
        }
    }
}

/// An ASCII address of an account, which every server takes; `None` if the account has none.
fn ascii_address(account: &Account) -> Option<Mailbox> {
    let addresses = std::iter::once(&account.address).chain(&account.aliases);
    let mut ascii = addresses.filter(|address| !address.is_empty() && address.is_ascii());
    ascii.next().and_then(|address| Mailbox::parse(address).ok())
}
