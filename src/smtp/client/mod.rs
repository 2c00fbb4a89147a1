//! Handing mail to another server (RFC 5321 section 3.3): [`Opening`] and `Transaction` are the
//! dialog, [`Client`] moves the octets.
//!
//! A message is begun, and has an outcome later. Several may be under way on one connection, where the server lets
//! commands leave in groups: then each of them is less than a round trip. What a server offers and does not do is remembered in
//! [`Manners`], and costs a feature, not a message.

mod capabilities;
mod content;
mod envelope;
mod failure;
mod hearing;
mod manners;
mod opening;
mod transaction;
mod wire;

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub use capabilities::Capabilities;
pub use envelope::Message;
pub use failure::Failure;
pub use manners::{Extension, Manners};
pub use opening::{Opening, Passed};
pub use transaction::Outcome;

use self::content::Content;
use self::failure::{in_doubt, lost, unreadable};
use self::transaction::{ContentCommand, Step, Transaction};
use self::wire::{read_reply, send, write};
use super::Reply;
use super::data::Encoder;
use crate::clock::Time;
use crate::flash::ReadAt;
use crate::net::stream::Stream;
use crate::outgoing::{self, Credentials, Login, Route};

/// RFC 5321 section 4.5.3.2.1, and for every step up to the login.
const OPENING: Duration = Duration::from_secs(5 * 60);
/// A message, from MAIL to its last reply: so long, besides the time that its octets take on the slowest line.
const TRANSACTION: Duration = Duration::from_secs(60 * 60);
const SLOWEST: u64 = 1024;
/// For the goodbye, which nothing depends on.
const QUIT: Duration = Duration::from_secs(5);
/// Octets of name and password up to which they travel with the AUTH command itself: in base64 they
/// must not make its line longer than 512 octets (RFC 4954 section 4).
const MAX_INITIAL: usize = 350;
/// Octets of a content that leaves in one chunk with its commands, and is in memory for that.
const MAX_CHUNK: u64 = 64 * 1024;
/// Messages that are under way at once, and octets of them: what a lost connection may bring twice.
const MAX_UNDER_WAY: usize = 8;
const MAX_OCTETS_UNDER_WAY: u64 = 128 * 1024;
/// What the server must not have before a message is safe here: the end of its content.
const END: usize = 2;

/// As these credentials.
fn login(credentials: Credentials) -> Result<Login, outgoing::Error> {
    Ok(Login::new(credentials)?.with_initial_response(MAX_INITIAL))
}

/// A connection to a server that takes mail.
pub struct Client {
    stream: Stream,
    capabilities: Capabilities,
    remote: String,
    manners: Rc<Manners>,
    time: Time,
    /// What was begun and not told yet, the oldest first.
    under_way: VecDeque<UnderWay>,
    /// The server may have a transaction to forget before the next one.
    unclean: bool,
    /// A message has gone the way that its extensions let it, and was answered as it should be.
    proven: bool,
    /// How the message was answered that was answered last.
    answered: Option<Answered>,
    /// Why nothing more is begun on the connection.
    broken: Option<Failure>,
    /// Why nothing more is heard on it either.
    deaf: Option<Failure>,
}

/// How long it took until a message was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// From its last octets on until the reply was read, which may have lain there for a while.
    pub after: Duration,
    /// So long the reply was waited for when nothing else was to be done.
    pub waited: Duration,
}

/// A message that was begun.
struct UnderWay {
    transaction: Transaction,
    /// Octets of its content.
    size: u64,
    begun: Instant,
    patience: Duration,
    /// Something of it was sent.
    offered: bool,
    /// When all of it was sent: the server may take it even if its reply never comes (RFC 5321 section 4.5.4.1).
    sent: Option<Instant>,
    outcome: Option<Outcome>,
}

impl UnderWay {
    /// How long it may take from now on.
    fn left(&self, time: &Time) -> Duration {
        self.patience.saturating_sub(time.since(self.begun))
    }
}

impl Client {
    /// Connects, secures the connection, says `hello` and logs in. How long the server is waited for `time` tells.
    ///
    /// # Errors
    /// Nobody there, nobody to be trusted, or the login refused.
    pub async fn connect(
        route: &Route<'_>,
        hello: &str,
        credentials: Option<Credentials>,
        manners: &Rc<Manners>,
        time: &Time,
    ) -> Result<Client, Failure> {
        Client::connect_and_tell(route, hello, credentials, manners, time, &|_| ()).await
    }

    /// The same, and tells each step as it is done.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_and_tell(
        route: &Route<'_>,
        hello: &str,
        credentials: Option<Credentials>,
        manners: &Rc<Manners>,
        time: &Time,
        tell: &dyn Fn(Passed<'_>),
    ) -> Result<Client, Failure> {
        let mut stream = route.dial(OPENING, time).await?;
        tell(Passed::Connected(&stream));
        let login = credentials.map(login).transpose()?;
        let mut opening = Opening::new(hello, route.security, login);
        loop {
            let reply = time.deadline(OPENING, read_reply(&mut stream)).await;
            let reply = reply.map_err(|error| opening.lost(error))?;
            let mut step = opening.reply(&reply).await?;
            opening.passed(&reply, tell);
            if matches!(step, outgoing::Step::StartTls) {
                route.secure(&mut stream, OPENING, time).await?;
                tell(Passed::Secured(&stream));
                step = opening.secured();
            }
            match step {
                outgoing::Step::Send(line) => {
                    stream.queue(line.as_bytes());
                    send(&mut stream, b"\r\n", time).await.map_err(lost)?;
                }
                outgoing::Step::Done(mut capabilities) => {
                    manners.at(route.host);
                    manners.apply(&mut capabilities, time);
                    return Ok(Client::new(stream, capabilities, route.host, manners, time));
                }
                outgoing::Step::Read | outgoing::Step::StartTls => {}
            }
        }
    }

    fn new(
        stream: Stream,
        capabilities: Capabilities,
        host: &str,
        manners: &Rc<Manners>,
        time: &Time,
    ) -> Client {
        let name = capabilities.name.as_str();
        Client {
            stream,
            remote: if name.is_empty() { host } else { name }.to_owned(),
            capabilities,
            manners: manners.clone(),
            time: time.clone(),
            under_way: VecDeque::new(),
            unclean: false,
            proven: false,
            answered: None,
            broken: None,
            deaf: None,
        }
    }

    /// The name that the server gives itself, or under which it was found: RFC 3464's Remote-MTA.
    pub fn remote(&self) -> &str {
        &self.remote
    }

    /// What it can do, but for what it was caught not to do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// How the message was answered that was answered last; `None`: none of it was sent.
    pub fn answered(&self) -> Option<Answered> {
        self.answered
    }

    /// Whether another message, of `size` octets, may be begun before the oldest one has its outcome: some short ones may, once the
    /// server has shown that it can be spoken to in groups. With nothing under way there is always room.
    pub fn has_room_for(&self, size: u64) -> bool {
        let octets: u64 = self.under_way.iter().map(|message| message.size).sum();
        let fits = octets.saturating_add(size) <= MAX_OCTETS_UNDER_WAY;
        let few = self.under_way.len() < MAX_UNDER_WAY;
        self.broken.is_none() && (self.under_way.is_empty() || (self.proven && few && fits))
    }

    /// Sends a message, and waits for what becomes of it: [`Client::begin`] and [`Client::outcome`], with nothing else under way.
    ///
    /// # Errors
    /// As both.
    pub async fn send(
        &mut self,
        message: Message<'_>,
        content: &dyn ReadAt,
        before_end: impl AsyncFnOnce() -> Result<(), Failure>,
    ) -> Result<Outcome, Failure> {
        self.begin(message, content, before_end).await?;
        self.outcome().await?.ok_or_else(|| Failure::Unavailable("nothing was sent".to_owned()))
    }

    /// Sends a message, all of it unless the server refuses it. Before its last octets `before_end` is awaited: up to there the
    /// server takes nothing, from there on it may have taken the message. It is not awaited where no content is sent.
    ///
    /// # Errors
    /// The client is of no more use. About this message nothing is decided; of those begun before [`Client::outcome`] tells. That of
    /// `before_end`: then the end is not sent, and the server takes nothing.
    pub async fn begin(
        &mut self,
        message: Message<'_>,
        content: &dyn ReadAt,
        before_end: impl AsyncFnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if let Some(failure) = &self.broken {
            return Err(failure.clone());
        }
        let sent = self.offer(message, content, before_end).await;
        if let Err(failure) = &sent {
            self.broken.get_or_insert_with(|| failure.clone());
        }
        sent
    }

    /// What became of the oldest message that was begun; `None` where none is under way.
    ///
    /// # Errors
    /// Nothing is decided, the client is of no more use. Where the connection was lost after the content had been sent, the message
    /// may have been taken all the same, and arrives twice (RFC 5321 section 4.5.4.1): better than not
    /// at all.
    pub async fn outcome(&mut self) -> Result<Option<Outcome>, Failure> {
        loop {
            let Some(oldest) = self.under_way.front_mut() else { return Ok(None) };
            if let Some(outcome) = oldest.outcome.take() {
                self.under_way.pop_front();
                return Ok(Some(outcome));
            }
            // What is not sent to its end may be followed by nothing, and the answers to those before it come all the same.
            let heard = match self.deaf.clone() {
                Some(failure) => Err(failure),
                None => self.hear().await.map(drop),
            };
            if let Err(failure) = heard {
                self.broken.get_or_insert_with(|| failure.clone());
                let sent = self.under_way.pop_front().is_some_and(|message| message.sent.is_some());
                return Err(if sent { in_doubt(&failure) } else { failure });
            }
        }
    }

    async fn offer(
        &mut self,
        message: Message<'_>,
        content: &dyn ReadAt,
        before_end: impl AsyncFnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let envelope = message.envelope(&self.capabilities);
        let fit = self.fit(&message, content).await;
        let size = fit.as_ref().map_or(message.size, |(content, _)| content.size);
        let way = match &fit {
            Ok((_, Some(chunk))) => ContentCommand::Bdat(chunk.len() as u64),
            _ => ContentCommand::Data,
        };
        if matches!(way, ContentCommand::Bdat(_)) {
            self.listen().await?;
        }
        let reset = self.unclean || self.under_way.iter().any(|message| message.outcome.is_none());
        let mut transaction = Transaction::new(&envelope, size, way, reset, &self.capabilities);
        let refusal = match &fit {
            Err(refusal) => Some(refusal.clone()),
            // RFC 1870 section 6.1: not even tried.
            Ok(_) => self.capabilities.size.filter(|&limit| limit > 0 && size > limit).map(|limit| {
                Reply::new(552, (3, 4), format!("The smarthost takes messages of up to {limit} octets"))
            }),
        };
        let outcome = refusal.map(|reply| transaction.refuse(&reply));
        let step = if outcome.is_none() { Some(transaction.begin()) } else { None };
        self.under_way.push_back(UnderWay {
            transaction,
            size,
            begun: self.time.now(),
            // Each step has its patience; all of them together must not hold the way to the smarthost for days.
            patience: TRANSACTION + Duration::from_secs(size / SLOWEST),
            offered: outcome.is_none(),
            sent: None,
            outcome,
        });
        match (step, &fit) {
            (Some(step), Ok((content, chunk))) => {
                let chunk = chunk.as_deref().unwrap_or_default();
                let sent = self.carry_out(step, content, chunk, before_end).await;
                if sent.is_err() {
                    // Of those before it nothing was said yet; about this one the caller hears now.
                    self.under_way.pop_back();
                }
                sent
            }
            _ => Ok(()),
        }
    }

    /// The content as this server takes it, and all of it where it goes as a chunk; or why it does not go.
    async fn fit<'a>(
        &self,
        message: &Message<'a>,
        content: &'a dyn ReadAt,
    ) -> Result<(Content<'a>, Option<Vec<u8>>), Reply> {
        // The connection can do nothing for it, and goes on.
        let unreadable = |error| Reply::new(451, (3, 0), format!("The message cannot be read now: {error}"));
        let aim = message.aim(&self.capabilities);
        let fit = Content::new(content, message.size, aim, message.replaced()).await.map_err(unreadable)?;
        let fit = fit.map_err(content::refused)?;
        let chunks = self.capabilities.chunking && self.capabilities.pipelining;
        let chunk = match fit.size {
            size if chunks && size <= MAX_CHUNK => Some(fit.whole().await.map_err(unreadable)?),
            _ => None,
        };
        Ok((fit, chunk))
    }

    /// Goes through the steps of the message that was begun last, until all of it is sent, or it is refused.
    async fn carry_out(
        &mut self,
        mut step: Step,
        content: &Content<'_>,
        chunk: &[u8],
        before_end: impl AsyncFnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        loop {
            match step {
                Step::Send(octets) => self.send_octets(&octets).await?,
                Step::Read => {}
                Step::Chunk(mut octets) => {
                    octets.extend_from_slice(chunk);
                    let end = octets.split_off(octets.len() - END.min(octets.len()));
                    self.send_octets(&octets).await?;
                    return self.end(&end, before_end).await;
                }
                Step::Content => {
                    let end = self.content(content).await?;
                    return self.end(&end, before_end).await;
                }
                Step::NoContent => return self.send_octets(b".\r\n").await,
                Step::Done(outcome) => {
                    self.decided(self.under_way.len().saturating_sub(1), outcome);
                    return Ok(());
                }
            }
            // What is heard first may be for those that were begun before.
            step = loop {
                match self.hear().await? {
                    (at, step) if at + 1 < self.under_way.len() => drop(step),
                    (_, Some(step)) => break step,
                    (_, None) => return Ok(()),
                }
            };
        }
    }

    /// Sends all of the content but its end, and gives that.
    async fn content(&mut self, content: &Content<'_>) -> Result<Vec<u8>, Failure> {
        let mut encoder = Encoder::default();
        let (mut reading, mut piece, mut out) = (content.read(), Vec::new(), Vec::new());
        while reading.next(&mut piece).await.map_err(unreadable)? {
            encoder.encode(&piece, &mut out);
            let left = self.under_way.back().map_or(TRANSACTION, |message| message.left(&self.time));
            if let Err(error) = write(&mut self.stream, &out, left, &self.time).await {
                return Err(self.given_up(error).await);
            }
            piece.clear();
            out.clear();
        }
        self.send_octets(b"").await?;
        encoder.finish(&mut out);
        Ok(out)
    }

    async fn end(
        &mut self,
        end: &[u8],
        before_end: impl AsyncFnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        before_end().await?;
        if let Some(message) = self.under_way.back_mut() {
            message.sent = Some(self.time.now());
        }
        // Whether or not this arrives, a reply would tell.
        if let Err(error) = send(&mut self.stream, end, &self.time).await {
            let failure = self.given_up(error).await;
            return Err(in_doubt(&failure));
        }
        Ok(())
    }

    async fn send_octets(&mut self, octets: &[u8]) -> Result<(), Failure> {
        match send(&mut self.stream, octets, &self.time).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.given_up(error).await),
        }
    }

    /// Says goodbye.
    pub async fn quit(mut self) {
        let time = self.time.clone();
        let goodbye = async {
            self.stream.queue(b"QUIT\r\n");
            self.stream.flush().await?;
            read_reply(&mut self.stream).await
        };
        // Whether or not the server is polite: it has nothing of ours any more.
        let _ = time.deadline(QUIT, goodbye).await;
        self.stream.close().await;
    }
}

#[cfg(test)]
mod tests;
