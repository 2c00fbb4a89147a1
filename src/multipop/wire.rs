//! A connection to a server elsewhere, with deadlines.
//!
//! The silence that `multipop.timeout` limits lasts until something whole has come: a reply, or some octets of a
//! message. What a poll may cost in all is its [`Budget`]. A poll whose source is withdrawn ends here, while it
//! waits, and nowhere else: see [`super::collection::Collection::commit`].

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use event_listener::Event;
use smol::future::or;

use super::Error;
use super::budget::Budget;
use super::errand::Feature;
use crate::clock::Time;
use crate::config::Source;
use crate::net::certificate::Certificate;
use crate::net::stream::Stream;
use crate::outgoing::{self, Route, Step};
use crate::pace::Pace;
use crate::sasl::client::AccessToken;

/// Octets of a message that count as progress.
const PROGRESS: usize = 1024;
/// Octets of a line before the login that are kept; what a server sends beyond them is of no use.
const OPENING_LINE: usize = 8192;

/// Tells a poll to end.
#[derive(Default)]
pub struct Withdrawal {
    withdrawn: Cell<bool>,
    hurried: Cell<bool>,
    event: Event,
}

impl Withdrawal {
    /// Ends the poll at its next wait: its source was changed or removed.
    pub fn withdraw(&self) {
        self.withdrawn.set(true);
        self.event.notify(usize::MAX);
    }

    /// Ends the wait for news, since somebody asked for a poll.
    pub fn hurry(&self) {
        self.hurried.set(true);
        self.event.notify(usize::MAX);
    }

    /// Returns [`Error::Withdrawn`] once the poll is withdrawn.
    pub async fn wait(&self) -> Error {
        self.until(&self.withdrawn).await;
        Error::Withdrawn
    }

    async fn until(&self, so: &Cell<bool>) {
        loop {
            let listener = self.event.listen();
            if so.get() {
                return;
            }
            listener.await;
        }
    }
}

/// From the greeting of a server to the login, as a state machine over its lines.
pub trait Opening {
    /// What is known of the server after the login.
    type Opened;

    /// What the server was asked for last, if a poll can do without it.
    fn asks(&self) -> Option<Feature>;

    /// Whether a line that begins so answers nothing that could be asked.
    fn is_no_answer(&self, _: &[u8]) -> bool {
        false
    }

    /// Takes in a line of the server, without its line end.
    ///
    /// # Errors
    /// The login failed: close the connection.
    async fn line(&mut self, line: &[u8]) -> Result<Step<Self::Opened>, Error>;

    /// Goes on after the connection has changed to TLS.
    ///
    /// # Errors
    /// As [`Opening::line`].
    fn secured(&mut self) -> Result<Step<Self::Opened>, Error>;
}

/// The mechanism of the login that this command begins: `AUTH`, `APOP` and `USER` of POP3, and `AUTHENTICATE` and
/// `LOGIN` of IMAP after a tag.
fn method(command: &str) -> Option<&'static str> {
    const SASL: [&str; 6] = ["SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"];
    let mut words = command.split(' ');
    match (words.next()?, words.next()?, words.next()) {
        ("AUTH", name, _) | (_, "AUTHENTICATE", Some(name)) => SASL.into_iter().find(|sasl| *sasl == name),
        ("APOP", ..) => Some("APOP"),
        ("USER", ..) => Some("USER"),
        (_, "LOGIN", Some(_)) => Some("the command LOGIN"),
        _ => None,
    }
}

/// Whether `line` comes from the appliance whose token is `own`.
pub fn is_said_by(own: &str, line: &[u8]) -> bool {
    !own.is_empty() && memchr::memmem::find(line, own.as_bytes()).is_some()
}

async fn dial(
    source: &Source,
    timeout: Duration,
    withdrawal: &Withdrawal,
    time: &Time,
) -> Result<Stream, Error> {
    let route = Route::from(source);
    let dialled = async { Ok(route.dial(timeout, time).await?) };
    or(dialled, async { Err(withdrawal.wait().await) }).await
}

/// A connection to a source's server.
pub struct Wire {
    stream: Stream,
    timeout: Duration,
    /// When something whole came last.
    heard: Instant,
    /// Octets that came since something whole came.
    octets: usize,
    budget: Budget,
    pace: Pace,
    withdrawal: Rc<Withdrawal>,
    token: Option<AccessToken>,
    method: Option<&'static str>,
    /// The token by which this appliance recognizes itself.
    own: String,
}

impl Wire {
    /// Connects to the server of `source`, with TLS at once where the source has it, for a poll that may cost
    /// `budget`.
    ///
    /// # Errors
    /// Those of [`Route::dial`], [`Error::Withdrawn`].
    pub async fn connect(
        source: &Source,
        timeout: Duration,
        withdrawal: Rc<Withdrawal>,
        budget: Budget,
    ) -> Result<Wire, Error> {
        let stream = dial(source, timeout, &withdrawal, budget.time()).await?;
        Ok(Wire {
            stream,
            timeout,
            heard: budget.time().now(),
            octets: 0,
            budget,
            pace: Pace::new(),
            withdrawal,
            token: None,
            method: None,
            own: String::new(),
        })
    }

    /// Sets the access token that the login uses, if it uses one.
    pub fn with_token(self, token: Option<AccessToken>) -> Wire {
        Wire { token, ..self }
    }

    /// The access token that the login uses, if it uses one.
    pub fn token(&self) -> Option<&AccessToken> {
        self.token.as_ref()
    }

    /// Makes a new connection with the same parameters, after one that ended for `why`.
    ///
    /// # Errors
    /// As [`Wire::connect`].
    pub async fn reconnect(&mut self, source: &Source, why: Option<&Error>) -> Result<(), Error> {
        // A server that takes one connection at a time waits for the end of this one. One that talks nonsense may do
        // so without end.
        match why {
            Some(Error::Protocol(_)) => self.stream.cut(),
            _ => self.close().await,
        }
        self.stream = dial(source, self.timeout, &self.withdrawal, self.budget.time()).await?;
        self.progress();
        Ok(())
    }

    /// Sets the token by which the appliance recognizes itself, see [`crate::config::Config::token`].
    pub fn knowing(self, own: String) -> Wire {
        Wire { own, ..self }
    }

    /// The token by which the appliance recognizes itself.
    pub fn own(&self) -> &str {
        &self.own
    }

    /// Does what `opening` asks for, up to the login.
    ///
    /// # Errors
    /// The error of the opening or of the connection.
    pub async fn open<O: Opening>(&mut self, source: &Source, opening: &mut O) -> Result<O::Opened, Error> {
        let (mut line, mut step, mut is_greeted) = (Vec::new(), Step::Read, false);
        loop {
            match step {
                Step::Done(opened) => return Ok(opened),
                Step::Send(command) => {
                    if !std::mem::replace(&mut is_greeted, true) {
                        self.pass_over_greeting(opening)?;
                    }
                    self.method = method(&command).or(self.method);
                    self.queue(&command);
                    self.queue("\r\n");
                    self.flush().await?;
                }
                Step::StartTls => {
                    self.start_tls(source).await?;
                    step = opening.secured()?;
                    continue;
                }
                Step::Read => {}
            }
            self.read_line(&mut line, OPENING_LINE).await?;
            if is_said_by(&self.own, &line) {
                return Err(Error::Itself);
            }
            step = opening.line(&line).await?;
        }
    }

    /// Drops the lines of a greeting behind its first one that have come: none of them answers what is sent only now.
    fn pass_over_greeting(&mut self, opening: &impl Opening) -> Result<(), Error> {
        while let Some(lf) = memchr::memchr(b'\n', self.stream.buffered())
            && opening.is_no_answer(self.stream.buffered())
        {
            self.take(lf + 1, 0)?;
        }
        Ok(())
    }

    /// Changes to TLS and verifies the server.
    ///
    /// # Errors
    /// Those of [`Route::secure`], [`Error::Withdrawn`].
    async fn start_tls(&mut self, source: &Source) -> Result<(), Error> {
        let (route, withdrawal) = (Route::from(source), &self.withdrawal);
        let secured = async { Ok(route.secure(&mut self.stream, self.timeout, self.budget.time()).await?) };
        or(secured, async { Err(withdrawal.wait().await) }).await?;
        self.progress();
        Ok(())
    }

    /// The address of the server.
    pub fn peer(&self) -> SocketAddr {
        self.stream.peer()
    }

    /// The mechanism of the login that was tried last.
    pub fn method(&self) -> Option<&'static str> {
        self.method
    }

    /// The version of TLS, and the certificates that the server shows, its own first.
    pub fn server_shown(&self) -> Option<(&'static str, Vec<Certificate>)> {
        self.stream.server_shown()
    }

    /// Whether TLS is in force.
    pub fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }

    /// Queues octets for [`Wire::flush`].
    pub fn queue(&mut self, octets: &str) {
        self.stream.queue(octets.as_bytes());
    }

    /// Sends the queued octets.
    ///
    /// # Errors
    /// [`outgoing::Error::Silence`], [`outgoing::Error::Connection`], [`Error::Withdrawn`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        let (stream, withdrawal, time) = (&mut self.stream, &self.withdrawal, self.budget.time());
        or(async { Ok(time.deadline(self.timeout, stream.flush()).await?) }, async {
            Err(withdrawal.wait().await)
        })
        .await
    }

    /// Gives other tasks a turn now and then during long work.
    pub async fn keep_pace(&self) {
        self.pace.keep().await;
    }

    /// Octets that have come, without waiting.
    pub fn buffered(&self) -> &[u8] {
        self.stream.buffered()
    }

    /// The octets that have come; waits if there are none.
    ///
    /// # Errors
    /// As [`Wire::flush`], [`outgoing::Error::Closed`], [`Error::TooSlow`].
    pub async fn fill(&mut self) -> Result<&[u8], Error> {
        self.pace.keep().await;
        let (patience, left) = (self.patience(), self.budget.time_left()?);
        let (stream, withdrawal, time) = (&mut self.stream, &self.withdrawal, self.budget.time());
        let octets = async {
            match time.deadline(patience.min(left), stream.fill()).await {
                Err(error) if error.kind() == io::ErrorKind::TimedOut && left < patience => {
                    Err(Error::TooSlow)
                }
                octets => Ok(octets?),
            }
        };
        let octets = or(octets, async { Err(withdrawal.wait().await) }).await?;
        if octets.is_empty() { Err(outgoing::Error::Closed.into()) } else { Ok(octets) }
    }

    /// As [`Wire::fill`], but gives up after `limit` and then returns an empty slice.
    ///
    /// # Errors
    /// As [`Wire::fill`].
    pub async fn fill_within(&mut self, limit: Option<Duration>) -> Result<&[u8], Error> {
        let Some(limit) = limit.filter(|limit| *limit < self.patience()) else { return self.fill().await };
        let time = self.budget.time().clone();
        or(self.fill(), async {
            time.sleep(limit).await;
            Ok(&[][..])
        })
        .await
    }

    /// Waits for octets up to `limit`, whatever `multipop.timeout` is. Returns an empty slice after that time, or as
    /// soon as somebody has asked for a poll.
    ///
    /// # Errors
    /// The connection's, [`Error::Withdrawn`].
    pub async fn fill_quietly(&mut self, limit: Duration) -> Result<&[u8], Error> {
        let (stream, withdrawal, time) = (&mut self.stream, &self.withdrawal, self.budget.time());
        let octets = async {
            match stream.fill().await? {
                [] => Err(outgoing::Error::Closed.into()),
                octets => Ok(octets),
            }
        };
        let nothing = async {
            or(time.sleep(limit), withdrawal.until(&withdrawal.hurried)).await;
            withdrawal.hurried.set(false);
            Ok(&[][..])
        };
        let octets = or(octets, or(nothing, async { Err(withdrawal.wait().await) })).await;
        self.heard = self.budget.time().now();
        octets
    }

    /// Waits for this time.
    ///
    /// # Errors
    /// [`Error::Withdrawn`].
    pub async fn pauses(&mut self, pause: Duration) -> Result<(), Error> {
        let (withdrawal, time) = (&self.withdrawal, self.budget.time().clone());
        let passes = async {
            time.sleep(pause).await;
            Ok(())
        };
        let passed = or(passes, async { Err(withdrawal.wait().await) }).await;
        self.progress();
        passed
    }

    /// Waits for `time`, which does not count against the server.
    pub async fn stands_still(&mut self, time: impl Future<Output = ()>) {
        let began = self.budget.time().now();
        time.await;
        self.budget.excuse(began);
        self.progress();
    }

    /// Gives the next round the full budget.
    pub fn renew(&mut self) {
        self.budget.renew();
        self.progress();
    }

    fn patience(&self) -> Duration {
        self.timeout.saturating_sub(self.budget.time().since(self.heard))
    }

    /// Reads a line into `line`, without its line end and without what is beyond `limit`. All of it must come before
    /// the timeout ends.
    ///
    /// # Errors
    /// As [`Wire::fill`], and [`Error::Chatter`].
    pub async fn read_line(&mut self, line: &mut Vec<u8>, limit: usize) -> Result<(), Error> {
        line.clear();
        loop {
            let octets = self.fill().await?;
            let lf = memchr::memchr(b'\n', octets);
            let piece = octets.get(..lf.unwrap_or(octets.len())).unwrap_or_default();
            // One more than the limit, for a CR.
            let room = (limit + 1).saturating_sub(line.len());
            line.extend_from_slice(piece.get(..room).unwrap_or(piece));
            let taken = piece.len() + usize::from(lf.is_some());
            self.take(taken, 0)?;
            if lf.is_some() {
                line.pop_if(|octet| *octet == b'\r');
                line.truncate(limit);
                self.progress();
                return Ok(());
            }
        }
    }

    /// Drops the first `n` octets of those that have come; `messages` of them belong to messages that were asked for.
    ///
    /// # Errors
    /// [`Error::Chatter`].
    pub fn consume(&mut self, n: usize, messages: u64) -> Result<(), Error> {
        self.octets += n;
        if self.octets >= PROGRESS {
            self.progress();
        }
        self.take(n, messages)
    }

    fn take(&mut self, n: usize, messages: u64) -> Result<(), Error> {
        self.stream.consume(n);
        self.budget.spend(n, messages)
    }

    /// Notes that something whole has come, or that the appliance itself kept the server waiting.
    pub fn progress(&mut self) {
        self.heard = self.budget.time().now();
        self.octets = 0;
    }

    /// Ends the connection.
    pub async fn close(&mut self) {
        self.stream.close().await;
    }
}
