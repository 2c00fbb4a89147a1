//! The frame of POP3, IMAP and SMTP: from the TLS handshake to the goodbye, line by line.
//!
//! It does what the three protocols share: it sets the deadlines for a client, ends a session together with its
//! right, wipes lines, and sends nothing after a reply that broke off. A [`Protocol`] does the rest.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::future::{or, poll_once, yield_now};
use zeroize::Zeroizing;

use crate::auth::{Client, Verdict};
use crate::clock::{Alarm, Time};
use crate::config::Service;
use crate::context::{Context, Deadlines, End, Place};
use crate::net::line::{LineEnd, read_line, read_line_and_its_end};
use crate::net::stream::Stream;
use crate::sasl::server::Claim;

/// Methods of HTTP requests (RFC 9110 section 9.3) that have content, or that browsers send without the user's will.
const HTTP_METHODS: [&[u8]; 6] = [b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT"];

/// How long a known client may be silent while it finishes what it is handing over, when the appliance stops.
const FINISHING: Duration = Duration::from_secs(5);
/// How long the goodbye may take when the appliance stops.
const LEAVING: Duration = Duration::from_secs(1);

/// Whether the dialog goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialog {
    /// The server waits for the next line.
    Continues,
    /// The connection is closed.
    Ends,
}

/// Why the server ends a dialog that its client would go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goodbye {
    /// A deadline has passed.
    Late,
    /// The place of the connection was taken away.
    End(End),
    /// The client is a web browser that was made to connect here.
    Http,
}

/// The part of a server that depends on the protocol.
pub trait Protocol: Sized {
    /// The state machine of the dialog.
    type Session;
    /// The service that a login is for.
    const SERVICE: Service;
    /// The name for the log.
    const NAME: &str;

    /// The longest time from one command of a known client to the next.
    fn patience(deadlines: &Deadlines) -> Duration;
    /// Octets that the next line may have, without its line end.
    fn line_limit(session: &Self::Session) -> usize;
    /// Whether the next line is a command, and not an answer within one.
    fn expects_command(_session: &Self::Session) -> bool {
        true
    }
    /// Takes in that TLS is in force; `bindable` if the connection has channel bindings.
    fn secured(session: &mut Self::Session, bindable: bool);
    /// The goodbye; empty if there is none.
    fn goodbye(why: Goodbye) -> Cow<'static, [u8]>;
    /// The goodbye for a session that cannot go on, which is sent instead of waiting for the next line.
    fn cut_short(_session: &mut Self::Session) -> Option<&'static str> {
        None
    }
    /// Sends the greeting.
    fn greet(connection: &mut Connection<Self>) -> impl Future<Output = io::Result<Dialog>>;
    /// Takes a line, which is wiped when it is dropped. If the client closes, the dialog ends without a call. Long
    /// waits here are part of every connection's future, so everything else should be boxed.
    fn take(
        connection: &mut Connection<Self>,
        line: Zeroizing<Vec<u8>>,
        end: LineEnd,
    ) -> impl Future<Output = io::Result<Dialog>>;
}

/// A client's connection.
pub struct Connection<P: Protocol> {
    /// The stream of octets.
    pub stream: Stream,
    /// The state of the dialog.
    pub session: P::Session,
    /// What the protocol needs besides.
    pub own: P,
    /// What all services share.
    pub context: Rc<Context>,
    /// The place of the connection.
    pub place: Place,
    /// The deadline of what is waited for.
    pub alarm: Alarm,
    /// Whether the latest command ended with LF alone.
    pub bare_lf: bool,
    line: Zeroizing<Vec<u8>>,
    login_by: Instant,
    /// Whether a reply broke off, so that nothing may follow it.
    broken: bool,
}

impl<P: Protocol> Connection<P> {
    /// A connection of which nothing was read yet. It is boxed, since a future has room for its arguments twice.
    pub fn new(
        stream: Stream,
        place: Place,
        context: Rc<Context>,
        session: P::Session,
        own: P,
    ) -> Box<Connection<P>> {
        let login_by = context.time.now() + context.deadlines.login;
        let alarm = Alarm::new(context.time.clone());
        let line = Zeroizing::default();
        let (bare_lf, broken) = (false, false);
        Box::new(Connection { stream, session, own, context, place, alarm, bare_lf, line, login_by, broken })
    }

    /// Serves the connection to its end.
    ///
    /// An idle connection must be small. So what happens rarely is boxed, and the future of a connection that waits
    /// holds little more than its stream and its session.
    pub async fn serve(mut self: Box<Self>, implicit_tls: bool) {
        if let Err(error) = self.run(implicit_tls).await {
            let why = match self.place.end() {
                Some(end) => Some(Goodbye::End(end)),
                None => (error.kind() == io::ErrorKind::TimedOut).then_some(Goodbye::Late),
            };
            match why {
                Some(why) => log::debug!("{} {}: {why:?}", P::NAME, self.stream.peer()),
                None => log::debug!("{} {}: {error}", P::NAME, self.stream.peer()),
            }
            if self.broken {
                return;
            }
            self.stream.queue(&why.map(P::goodbye).unwrap_or_default());
            if why == Some(Goodbye::End(End::Room)) {
                // Another connection has its place already, so it must not linger.
                poll_once(self.stream.flush()).await;
                return;
            }
            if why == Some(Goodbye::End(End::Stopping)) {
                // A client that does not read is not waited for.
                let _ = self.alarm.deadline(LEAVING, self.stream.flush()).await;
            }
        }
        self.place.part();
        Box::pin(self.stream.close()).await;
    }

    async fn run(&mut self, implicit_tls: bool) -> io::Result<()> {
        if implicit_tls {
            Box::pin(self.handshake()).await?;
        }
        let mut goes = Box::pin(P::greet(self)).await?;
        while goes == Dialog::Continues {
            if let Some(words) = P::cut_short(&mut self.session) {
                return Box::pin(self.write(words)).await;
            }
            let end = self.hear().await?;
            if end == LineEnd::Closed {
                break;
            }
            let line = std::mem::take(&mut self.line);
            if !self.place.is_of_an_account() && P::expects_command(&self.session) && is_http(&line) {
                log::info!("{} {}: speaks HTTP", P::NAME, self.stream.peer());
                return Box::pin(self.write(&P::goodbye(Goodbye::Http))).await;
            }
            goes = P::take(self, line, end).await?;
            // A client that sends many commands together gets one turn for each.
            yield_now().await;
        }
        Ok(())
    }

    /// Does the TLS handshake. What the client sent before it is dropped.
    ///
    /// # Errors
    /// The connection's; it is over then.
    pub async fn handshake(&mut self) -> io::Result<()> {
        let patience = self.patience();
        let shaken = self.stream.accept_tls(self.context.tls());
        let shaken = within(&self.place, &mut self.alarm, patience, shaken).await;
        self.broken = shaken.is_err();
        shaken?;
        P::secured(&mut self.session, self.stream.bindings().is_some());
        Ok(())
    }

    /// How long the client may be silent.
    pub fn patience(&self) -> Duration {
        match self.place.is_known() {
            true => P::patience(&self.context.deadlines),
            false => self.login_by.saturating_duration_since(self.context.time.now()),
        }
    }

    /// Waits for the next line. Replies are sent together when no line is left to be answered.
    async fn hear(&mut self) -> io::Result<LineEnd> {
        let patience = some(self.patience())?;
        let Connection { stream, line, session, bare_lf, place, alarm, .. } = self;
        let heard = async {
            if !stream.buffered().contains(&b'\n') {
                stream.flush().await?;
            }
            let (end, bare) = read_line_and_its_end(stream, line, P::line_limit(session)).await?;
            *bare_lf = bare;
            Ok(end)
        };
        within(place, alarm, patience, heard).await
    }

    /// Reads a further line of the current command.
    ///
    /// # Errors
    /// The connection's, or the end of the dialog.
    pub async fn read_line(&mut self, line: &mut Zeroizing<Vec<u8>>, limit: usize) -> io::Result<LineEnd> {
        // A line that grows would leave its octets in memory.
        *line = Zeroizing::default();
        let patience = some(self.patience())?;
        let Connection { stream, place, alarm, context, .. } = self;
        let read = alarm.deadline(patience, read_line(stream, line, limit));
        or(given_up(place, &context.time), read).await
    }

    /// Waits for octets for `limit` at most; [`Stream::consume`] takes them. Empty if the client has closed.
    ///
    /// # Errors
    /// The connection's, or the end of the dialog.
    pub async fn fill(&mut self, limit: Duration) -> io::Result<&[u8]> {
        let Connection { stream, place, alarm, context, .. } = self;
        let filled = async { stream.fill().await.map(drop) };
        let filled = alarm.deadline(some(limit)?, filled);
        or(given_up(place, &context.time), filled).await?;
        Ok(self.stream.buffered())
    }

    /// Queues octets, and sends them when there are too many to keep.
    ///
    /// # Errors
    /// The connection's, or the end of the dialog.
    pub async fn write(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        let stuck = self.context.deadlines.stuck;
        let written = uncut(&self.place, &mut self.alarm, stuck, self.stream.write(octets.as_ref())).await;
        self.broken |= written.is_err();
        written
    }

    /// Sends the queued octets.
    ///
    /// # Errors
    /// The connection's, or the end of the dialog.
    pub async fn flush(&mut self) -> io::Result<()> {
        let stuck = self.context.deadlines.stuck;
        uncut(&self.place, &mut self.alarm, stuck, self.stream.flush()).await
    }

    /// Does `work` on the session, which must not write, and sends the text of `say` after each time `every`. The
    /// work pauses while the text is sent.
    ///
    /// # Errors
    /// The connection's, or the end of the dialog.
    pub async fn meanwhile<T>(
        &mut self,
        every: Duration,
        work: impl AsyncFnOnce(&P::Session) -> T,
        say: impl Fn() -> String,
    ) -> io::Result<T> {
        let Connection { stream, session, context, place, alarm, broken, .. } = self;
        let mut work = pin!(work(session));
        loop {
            let late = async {
                alarm.after(every).await;
                None
            };
            // A text is never dropped before all of it is sent.
            if let Some(done) = or(async { Some(work.as_mut().await) }, late).await {
                return Ok(done);
            }
            let sent = async {
                stream.write(say().as_bytes()).await?;
                stream.flush().await
            };
            let sent = uncut(place, alarm, context.deadlines.stuck, sent).await;
            *broken |= sent.is_err();
            sent?;
        }
    }

    /// Notes that a reply broke off, so that nothing may follow it.
    pub fn broke_off(&mut self) {
        self.broken = true;
    }

    /// The verdict on a claim.
    ///
    /// # Errors
    /// The dialog has to end.
    pub async fn judge(&mut self, claim: Claim) -> io::Result<Verdict> {
        let config = self.context.config();
        let address = self.stream.peer().ip();
        let client = Client { service: P::SERVICE, address, bindings: self.stream.bindings() };
        let verdict = async { Ok(self.context.logins.judge(&config, client, claim).await) };
        or(ended(&self.place), verdict).await
    }
}

/// Whether a line begins like an HTTP request. A web page can make a browser at home send a request to any port here,
/// and lines in its content would be taken for commands.
fn is_http(line: &[u8]) -> bool {
    let word = line.split(|octet| octet.is_ascii_whitespace()).next().unwrap_or_default();
    HTTP_METHODS.iter().any(|method| method.eq_ignore_ascii_case(word))
}

/// The time, unless it is over. Otherwise a client that sends without a pause would never meet a deadline.
fn some(time: Duration) -> io::Result<Duration> {
    if time.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(time) }
}

/// Runs `future` for `limit` at most, and only until the place is taken away.
///
/// Not an `async fn`, which would hold `future` twice: as its argument and where it is awaited.
///
/// # Errors
/// `TimedOut`, `ConnectionAborted` if the place is taken away, or the error of `future`.
pub fn within<T>(
    place: &Place,
    alarm: &mut Alarm,
    limit: Duration,
    future: impl Future<Output = io::Result<T>>,
) -> impl Future<Output = io::Result<T>> {
    or(ended(place), alarm.deadline(limit, future))
}

/// Runs `future` like [`within`], for one that writes a part of a reply: it is broken off only where it would have to
/// wait.
///
/// # Errors
/// As [`within`].
pub fn uncut<T>(
    place: &Place,
    alarm: &mut Alarm,
    limit: Duration,
    future: impl Future<Output = io::Result<T>>,
) -> impl Future<Output = io::Result<T>> {
    or(alarm.deadline(limit, future), ended(place))
}

async fn ended<T>(place: &Place) -> io::Result<T> {
    place.ended().await;
    Err(io::ErrorKind::ConnectionAborted.into())
}

/// Fails like [`ended`], but a known client that is handing something over may finish it when the appliance stops.
async fn given_up<T>(place: &Place, time: &Time) -> io::Result<T> {
    if place.ended().await == End::Stopping && place.is_known() {
        time.sleep(FINISHING).await;
    }
    Err(io::ErrorKind::ConnectionAborted.into())
}

#[cfg(test)]
mod tests;
