//! A connection to a server elsewhere, with an eye on the clock.
//!
//! What counts against the silence of `multipop.timeout` is the time until something whole has come: a
//! reply, or some octets of a message. What a poll may cost in all is its [`Budget`]. A source that is
//! withdrawn ends here, while waiting, and nowhere else: see [`super::collection::Collection::commit`].

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

/// Octets of a message that break the silence.
const PROGRESS: usize = 1024;
/// Octets of a line before the login that are kept; what a server says beyond is of no use to anyone.
const OPENING_LINE: usize = 8192;

/// Tells a poll to end.
#[derive(Default)]
pub struct Withdrawal {
    withdrawn: Cell<bool>,
    hurried: Cell<bool>,
    event: Event,
}

impl Withdrawal {
    /// Its source is no longer what it was: ends the poll at its next wait.
    pub fn withdraw(&self) {
        self.withdrawn.set(true);
        self.event.notify(usize::MAX);
    }

    /// Somebody wants to know what is new: ends the wait for news.
    pub fn hurry(&self) {
        self.hurried.set(true);
        self.event.notify(usize::MAX);
    }

    /// Ends when it is withdrawn, and says so.
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
    /// What is known of the server in the end.
    type Opened;

    /// What the server was asked last, where that can be done without.
    fn asks(&self) -> Option<Feature>;

    /// Takes in a line of the server, its end taken off.
    ///
    /// # Errors
    /// There will be no login: close the connection.
    async fn line(&mut self, line: &[u8]) -> Result<Step<Self::Opened>, Error>;

    /// The connection is TLS now.
    ///
    /// # Errors
    /// As [`Opening::line`].
    fn secured(&mut self) -> Result<Step<Self::Opened>, Error>;
}

/// The way to log in that this command begins: `AUTH` and `APOP` of POP3, `AUTHENTICATE` and `LOGIN` of IMAP behind a tag.
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

/// Whether the appliance whose token is `own` says `line`.
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
    /// When something whole came last, and octets since.
    heard: Instant,
    octets: usize,
    budget: Budget,
    pace: Pace,
    withdrawal: Rc<Withdrawal>,
    token: Option<AccessToken>,
    method: Option<&'static str>,
    /// The token of this appliance.
    own: String,
}

impl Wire {
    /// Connects to the server of `source`, with TLS where it comes first, for a poll that may cost `budget`.
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

    /// Gives along what the login is to be made with, where that is an access token.
    pub fn with_token(self, token: Option<AccessToken>) -> Wire {
        Wire { token, ..self }
    }

    /// See [`Wire::with_token`].
    pub fn token(&self) -> Option<&AccessToken> {
        self.token.as_ref()
    }

    /// Connects anew, as before.
    ///
    /// # Errors
    /// As [`Wire::connect`].
    pub async fn reconnect(&mut self, source: &Source) -> Result<(), Error> {
        // A server that takes one connection at a time waits for the end of this one.
        self.close().await;
        self.stream = dial(source, self.timeout, &self.withdrawal, self.budget.time()).await?;
        self.progress();
        Ok(())
    }

    /// The token by which the appliance knows itself, see [`crate::config::Config::token`].
    pub fn knowing(self, own: String) -> Wire {
        Wire { own, ..self }
    }

    /// It.
    pub fn own(&self) -> &str {
        &self.own
    }

    /// Does what `opening` says, up to the login.
    ///
    /// # Errors
    /// What ended it: the opening's, or the connection's.
    pub async fn open<O: Opening>(&mut self, source: &Source, opening: &mut O) -> Result<O::Opened, Error> {
        let (mut line, mut step) = (Vec::new(), Step::Read);
        loop {
            match step {
                Step::Done(opened) => return Ok(opened),
                Step::Send(command) => {
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

    /// Turns to TLS, verifying the server.
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

    /// Where it ends.
    pub fn peer(&self) -> SocketAddr {
        self.stream.peer()
    }

    /// The way to log in that was tried last.
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

    /// Puts octets out for [`Wire::flush`].
    pub fn queue(&mut self, octets: &str) {
        self.stream.queue(octets.as_bytes());
    }

    /// Sends what was put out.
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

    /// Long work begins or goes on: others get their turn now and then.
    pub async fn keep_pace(&self) {
        self.pace.keep().await;
    }

    /// Octets that have come, without waiting.
    pub fn buffered(&self) -> &[u8] {
        self.stream.buffered()
    }

    /// Octets that have come; waits for some.
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

    /// As [`Wire::fill`], but gives up after `limit`, which is no error: then nothing has come.
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

    /// Waits for octets for so long and whatever the patience: nothing comes where there is nothing to tell, or somebody
    /// wants to know.
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

    /// Lets time pass.
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

    /// While `time` passes the server is not to blame.
    pub async fn stands_still(&mut self, time: impl Future<Output = ()>) {
        let began = self.budget.time().now();
        time.await;
        self.budget.excuse(began);
        self.progress();
    }

    /// A round is over: the next one may cost as much.
    pub fn renew(&mut self) {
        self.budget.renew();
        self.progress();
    }

    fn patience(&self) -> Duration {
        self.timeout.saturating_sub(self.budget.time().since(self.heard))
    }

    /// Reads a line into `line`, its end taken off, and what is beyond `limit` left out. All of it must come
    /// before the patience ends.
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

    /// Takes the first `n` octets of those that have come, `messages` of which are messages that were asked for.
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

    /// Something whole has come, or it was us who kept the server waiting.
    pub fn progress(&mut self) {
        self.heard = self.budget.time().now();
        self.octets = 0;
    }

    /// Ends the connection.
    pub async fn close(&mut self) {
        self.stream.close().await;
    }
}
