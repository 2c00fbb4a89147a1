//! Handing mail to another server (RFC 5321 section 3.3): [`Opening`] and `Transaction` are the
//! dialog, [`Client`] moves the octets.
//!
//! A message is begun and has its outcome later. Where the server allows PIPELINING, several may be under way on one
//! connection, and each takes less than a round trip. An extension that a server offers and does not handle is
//! remembered in [`ServerQuirks`], and costs a feature, not a message.

mod capabilities;
mod content;
mod envelope;
mod failure;
mod hearing;
mod opening;
mod quirks;
mod transaction;
mod wire;

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub use capabilities::Capabilities;
pub use envelope::Message;
pub use failure::Failure;
pub use opening::{Opening, Passed};
pub use quirks::{Extension, ServerQuirks};
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

/// The time for the greeting (RFC 5321 section 4.5.3.2.1), and for every step up to the login.
const OPENING: Duration = Duration::from_secs(5 * 60);
/// The time for a message from MAIL to its last reply, besides the time for its octets at [`SLOWEST`].
const TRANSACTION: Duration = Duration::from_secs(60 * 60);
/// Octets a second of the slowest line that is allowed for.
const SLOWEST: u64 = 1024;
/// The time for the goodbye, on which nothing depends.
const QUIT: Duration = Duration::from_secs(5);
/// Octets of name and password up to which they are sent in the AUTH command itself: in base64 they must not make its
/// line longer than 512 octets (RFC 4954 section 4).
const MAX_INITIAL: usize = 350;
/// Octets of a content that is sent as one chunk together with its commands, at most; it is in memory for that.
const MAX_CHUNK: u64 = 64 * 1024;
/// Messages under way at once, at most: a lost connection may bring so many twice.
const MAX_UNDER_WAY: usize = 8;
/// Octets of the messages under way at once, at most.
const MAX_OCTETS_UNDER_WAY: u64 = 128 * 1024;
/// Octets of the end of a content that are held back until it is noted that the message leaves.
const END: usize = 2;

/// A login with these credentials.
fn login(credentials: Credentials) -> Result<Login, outgoing::Error> {
    Ok(Login::new(credentials)?.with_initial_response(MAX_INITIAL))
}

/// A connection to a server that takes mail.
pub struct Client {
    stream: Stream,
    capabilities: Capabilities,
    remote: String,
    quirks: Rc<ServerQuirks>,
    time: Time,
    /// The messages that were begun and whose outcome was not returned yet, the oldest first.
    under_way: VecDeque<UnderWay>,
    /// Whether the server may have a transaction that RSET must end before the next one.
    unclean: bool,
    /// Whether a message has had its outcome on this connection and the server offers PIPELINING.
    proven: bool,
    /// Messages that were begun.
    begun: u32,
    /// Whether the server has taken a message on this connection.
    has_taken: bool,
    /// Whether the message without an outcome that was told of last may have been taken.
    left_in_doubt: bool,
    /// How fast the latest answered message was answered; `None` if none of it was sent.
    answered: Option<Answered>,
    /// Why no more messages are begun on the connection.
    broken: Option<Failure>,
    /// Why no more replies are read from the connection either.
    deaf: Option<Failure>,
}

/// How fast a message was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Time from its last octets until the reply was read, which may have come some time before.
    pub after: Duration,
    /// Time for which only the reply was waited for.
    pub waited: Duration,
}

/// A message that was begun.
struct UnderWay {
    transaction: Transaction,
    /// Octets of its content.
    size: u64,
    begun: Instant,
    patience: Duration,
    /// Whether any of it was sent.
    offered: bool,
    /// When the last of it was sent: from then on the server may take it even if its reply never comes (RFC 5321
    /// section 4.5.4.1).
    sent: Option<Instant>,
    outcome: Option<Outcome>,
}

impl UnderWay {
    /// How long the message may take from now on.
    fn left(&self, time: &Time) -> Duration {
        self.patience.saturating_sub(time.since(self.begun))
    }
}

impl Client {
    /// Connects, secures the connection, calls itself `hello` and logs in. `time` is the clock of the deadlines.
    ///
    /// # Errors
    /// No connection, a server that is not trusted, or a refused login.
    pub async fn connect(
        route: &Route<'_>,
        hello: &str,
        credentials: Option<Credentials>,
        quirks: &Rc<ServerQuirks>,
        time: &Time,
    ) -> Result<Client, Failure> {
        Client::connect_and_tell(route, hello, credentials, quirks, time, &|_| ()).await
    }

    /// Connects like [`Client::connect`], and gives each finished step to `tell`.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_and_tell(
        route: &Route<'_>,
        hello: &str,
        credentials: Option<Credentials>,
        quirks: &Rc<ServerQuirks>,
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
                    quirks.at(route.host);
                    quirks.apply(&mut capabilities, time);
                    return Ok(Client::new(stream, capabilities, route.host, quirks, time));
                }
                outgoing::Step::Read | outgoing::Step::StartTls => {}
            }
        }
    }

    fn new(
        stream: Stream,
        capabilities: Capabilities,
        host: &str,
        quirks: &Rc<ServerQuirks>,
        time: &Time,
    ) -> Client {
        let name = capabilities.name.as_str();
        Client {
            stream,
            remote: if name.is_empty() { host } else { name }.to_owned(),
            capabilities,
            quirks: quirks.clone(),
            time: time.clone(),
            under_way: VecDeque::new(),
            unclean: false,
            proven: false,
            begun: 0,
            has_taken: false,
            left_in_doubt: false,
            answered: None,
            broken: None,
            deaf: None,
        }
    }

    /// The server's name for itself, or the name under which it was found: Remote-MTA of RFC 3464.
    pub fn remote(&self) -> &str {
        &self.remote
    }

    /// The server's capabilities, without those that it does not handle.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Whether the server may have taken the message for which [`Client::outcome`] failed last. It has not where it
    /// answered, if only that it closes.
    pub fn left_in_doubt(&self) -> bool {
        self.left_in_doubt
    }

    /// How fast the latest message was answered; `None` if none of it was sent.
    pub fn answered(&self) -> Option<Answered> {
        self.answered
    }

    /// Whether another message of `size` octets may be begun before the oldest one has its outcome. Some short ones
    /// may, once the server has shown that it handles pipelining. With nothing under way there is always room, unless
    /// the connection is broken.
    pub fn has_room_for(&self, size: u64) -> bool {
        if self.capabilities.mail_max.is_some_and(|most| self.begun >= most) {
            return false;
        }
        let octets: u64 = self.under_way.iter().map(|message| message.size).sum();
        let fits = octets.saturating_add(size) <= MAX_OCTETS_UNDER_WAY;
        let few = self.under_way.len() < MAX_UNDER_WAY;
        self.broken.is_none() && (self.under_way.is_empty() || (self.proven && few && fits))
    }

    /// Sends a message and waits for its outcome: [`Client::begin`] and [`Client::outcome`], with nothing else under
    /// way.
    ///
    /// # Errors
    /// Those of [`Client::begin`] and [`Client::outcome`].
    pub async fn send(
        &mut self,
        message: Message<'_>,
        content: &dyn ReadAt,
        before_end: impl AsyncFnOnce() -> Result<(), Failure>,
    ) -> Result<Outcome, Failure> {
        self.begin(message, content, before_end).await?;
        self.outcome().await?.ok_or_else(|| Failure::Unavailable("nothing was sent".to_owned()))
    }

    /// Sends a message completely, unless the server refuses it. Before its last octets `before_end` is awaited:
    /// until then the server cannot take the message, from then on it may. `before_end` is not called if no content
    /// is sent.
    ///
    /// # Errors
    /// The client is of no more use. Nothing is decided about this message; [`Client::outcome`] tells about earlier
    /// ones. After an error of `before_end` the end is not sent, and the server takes nothing.
    pub async fn begin(
        &mut self,
        message: Message<'_>,
        content: &dyn ReadAt,
        before_end: impl AsyncFnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if let Some(failure) = &self.broken {
            return Err(failure.clone());
        }
        self.begun = self.begun.saturating_add(1);
        let sent = self.offer(message, content, before_end).await;
        if let Err(failure) = &sent {
            self.broken.get_or_insert_with(|| failure.clone());
        }
        sent
    }

    /// The outcome of the oldest message that was begun; `None` if none is under way.
    ///
    /// # Errors
    /// Nothing is decided, and the client is of no more use. If the connection was lost after the content had been
    /// sent, the message may have been taken all the same, and then arrives twice (RFC 5321 section 4.5.4.1): that is
    /// better than not at all.
    pub async fn outcome(&mut self) -> Result<Option<Outcome>, Failure> {
        loop {
            let Some(oldest) = self.under_way.front_mut() else { return Ok(None) };
            if let Some(outcome) = oldest.outcome.take() {
                self.under_way.pop_front();
                return Ok(Some(outcome));
            }
            // Nothing may follow a message that is not sent to its end, but the replies to earlier messages still
            // come.
            let heard = match self.deaf.clone() {
                Some(failure) => Err(failure),
                None => self.hear().await.map(drop),
            };
            if let Err(failure) = heard {
                self.broken.get_or_insert_with(|| failure.clone());
                let sent = self.under_way.pop_front().is_some_and(|message| message.sent.is_some());
                self.left_in_doubt = sent;
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
            // A message above the limit is not tried at all (RFC 1870 section 6.1).
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
            // Each step has its own deadline; all of them together must not take days.
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
                    // The outcomes of earlier messages are still to be returned; this failure is returned now.
                    self.under_way.pop_back();
                }
                sent
            }
            _ => Ok(()),
        }
    }

    /// The content for this server, with its octets if it is sent as one chunk; or the reply for a message that
    /// cannot be sent.
    async fn fit<'a>(
        &self,
        message: &Message<'a>,
        content: &'a dyn ReadAt,
    ) -> Result<(Content<'a>, Option<Vec<u8>>), Reply> {
        // The trouble is not the connection's, which goes on.
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

    /// Goes through the steps of the latest message until all of it is sent, or it is refused.
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
            // The next replies may belong to earlier messages.
            step = loop {
                match self.hear().await? {
                    (at, step) if at + 1 < self.under_way.len() => drop(step),
                    (_, Some(step)) => break step,
                    (_, None) => return Ok(()),
                }
            };
        }
    }

    /// Sends the content without its end. Returns the end.
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
        // Whether or not it arrives, a reply would tell.
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
        // Whether or not the server answers, it has taken everything that was sent.
        let _ = time.deadline(QUIT, goodbye).await;
        self.stream.close().await;
    }
}

#[cfg(test)]
mod tests;
