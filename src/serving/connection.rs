//! The frame of POP3, IMAP and SMTP: from the TLS handshake to the goodbye, line by line.
//!
//! What the three have in common stands here once: how long a client is waited for, that its session ends with its
//! right, that its lines are wiped, and that nothing is said where a reply broke off. A [`Protocol`] fills in the
//! rest.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::future::{or, poll_once, yield_now};
use zeroize::Zeroizing;

use crate::auth::{Client, Verdict};
use crate::clock::Time;
use crate::config::Service;
use crate::context::{Context, Deadlines, End, Place};
use crate::net::line::{LineEnd, read_line, read_line_and_its_end};
use crate::net::stream::Stream;
use crate::sasl::server::Claim;

/// What requests of HTTP begin with (RFC 9110 section 9.3), as far as they have content or browsers send them unasked.
const HTTP_METHODS: [&[u8]; 6] = [b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT"];

/// When the appliance stops, a client that is known may finish what it is handing over, as long as it is not silent for so long.
const FINISHING: Duration = Duration::from_secs(5);
/// And its last words have so long to leave.
const LEAVING: Duration = Duration::from_secs(1);

/// Whether the dialog goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialog {
    /// The next line is waited for.
    Continues,
    /// The connection is closed.
    Ends,
}

/// Why the server ends a dialog that its client would go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goodbye {
    /// It has waited for too long.
    Late,
    /// The place is taken away.
    End(End),
    /// A web browser was made to come here.
    Http,
}

/// What a protocol is besides the frame.
pub trait Protocol: Sized {
    /// The dialog as a state machine.
    type Session;
    /// What a login is for.
    const SERVICE: Service;
    /// For the log.
    const NAME: &str;

    /// From one command of a client that is known to the next.
    fn patience(deadlines: &Deadlines) -> Duration;
    /// Octets of the next line, its end not counted.
    fn line_limit(session: &Self::Session) -> usize;
    /// Whether the next line is a command, and not a client's answer within one.
    fn expects_command(_session: &Self::Session) -> bool {
        true
    }
    /// TLS is in force; `bindable` where logins can be bound to it.
    fn secured(session: &mut Self::Session, bindable: bool);
    /// The last words; empty where there are none.
    fn goodbye(why: Goodbye) -> Cow<'static, [u8]>;
    /// What is said, instead of waiting for the next line, to a session that cannot go on.
    fn cut_short(_session: &mut Self::Session) -> Option<&'static str> {
        None
    }
    /// Says the first words.
    fn greet(connection: &mut Connection<Self>) -> impl Future<Output = io::Result<Dialog>>;
    /// Takes a line, which is wiped when it is dropped. The dialog ends by itself when the client has closed. What this
    /// does for long, and idle, is part of every connection's future: all else stands in boxes.
    fn take(
        connection: &mut Connection<Self>,
        line: Zeroizing<Vec<u8>>,
        end: LineEnd,
    ) -> impl Future<Output = io::Result<Dialog>>;
}

/// A client's connection.
pub struct Connection<P: Protocol> {
    /// The octets.
    pub stream: Stream,
    /// The dialog.
    pub session: P::Session,
    /// What else the protocol needs.
    pub own: P,
    /// What all services share.
    pub context: Rc<Context>,
    /// Its place.
    pub place: Place,
    /// The latest command ended with LF alone.
    pub bare_lf: bool,
    line: Zeroizing<Vec<u8>>,
    login_by: Instant,
    /// A reply broke off: nothing may follow it.
    broken: bool,
}

impl<P: Protocol> Connection<P> {
    /// A connection of which nothing was read yet. On the heap, since a future has room for its arguments twice.
    pub fn new(
        stream: Stream,
        place: Place,
        context: Rc<Context>,
        session: P::Session,
        own: P,
    ) -> Box<Connection<P>> {
        let login_by = context.time.now() + context.deadlines.login;
        let line = Zeroizing::default();
        let (bare_lf, broken) = (false, false);
        Box::new(Connection { stream, session, own, context, place, bare_lf, line, login_by, broken })
    }

    /// Serves it to its end.
    ///
    /// An idle connection must be small: what happens rarely is boxed, so that the future of a connection that waits
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
                // Its place is taken already: it must not linger.
                poll_once(self.stream.flush()).await;
                return;
            }
            if why == Some(Goodbye::End(End::Stopping)) {
                // A client that does not hear it is not waited for.
                let _ = in_time(&self.context.time, LEAVING, self.stream.flush()).await;
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
            // Who sends many commands together has a turn for each.
            yield_now().await;
        }
        Ok(())
    }

    /// The TLS handshake; what the client sent before it is thrown away.
    ///
    /// # Errors
    /// What the connection says; it is over then.
    pub async fn handshake(&mut self) -> io::Result<()> {
        let shaken = within(&self.place, &self.context.time, self.patience(), async {
            self.stream.accept_tls(self.context.tls()).await
        });
        let shaken = shaken.await;
        self.broken = shaken.is_err();
        shaken?;
        P::secured(&mut self.session, self.stream.bindings().is_some());
        Ok(())
    }

    /// For how long the client may be silent.
    pub fn patience(&self) -> Duration {
        match self.place.is_known() {
            true => P::patience(&self.context.deadlines),
            false => self.login_by.saturating_duration_since(self.context.time.now()),
        }
    }

    /// Waits for the next line. Replies leave together when no line is left to be answered.
    async fn hear(&mut self) -> io::Result<LineEnd> {
        let patience = some(self.patience())?;
        let Connection { stream, line, session, bare_lf, .. } = self;
        let heard = async {
            if !stream.buffered().contains(&b'\n') {
                stream.flush().await?;
            }
            let (end, bare) = read_line_and_its_end(stream, line, P::line_limit(session)).await?;
            *bare_lf = bare;
            Ok(end)
        };
        within(&self.place, &self.context.time, patience, heard).await
    }

    /// Reads a line that belongs to the command under way.
    ///
    /// # Errors
    /// What the connection says, and that the dialog has to end.
    pub async fn read_line(&mut self, line: &mut Zeroizing<Vec<u8>>, limit: usize) -> io::Result<LineEnd> {
        // It may grow, and what it held would stay behind.
        *line = Zeroizing::default();
        let patience = some(self.patience())?;
        let Connection { stream, place, context, .. } = self;
        let read = in_time(&context.time, patience, read_line(stream, line, limit));
        or(given_up(place, &context.time), read).await
    }

    /// Waits `limit` at the most for octets, which [`Stream::consume`] takes; none when the client has closed.
    ///
    /// # Errors
    /// What the connection says, and that the dialog has to end.
    pub async fn fill(&mut self, limit: Duration) -> io::Result<&[u8]> {
        let Connection { stream, place, context, .. } = self;
        let filled = async { stream.fill().await.map(drop) };
        let filled = in_time(&context.time, some(limit)?, filled);
        or(given_up(place, &context.time), filled).await?;
        Ok(self.stream.buffered())
    }

    /// Queues octets; what waits is sent when it becomes too much to keep.
    ///
    /// # Errors
    /// What the connection says, and that the dialog has to end.
    pub async fn write(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        let stuck = self.context.deadlines.stuck;
        let written = uncut(&self.place, &self.context.time, stuck, self.stream.write(octets.as_ref())).await;
        self.broken |= written.is_err();
        written
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// What the connection says, and that the dialog has to end.
    pub async fn flush(&mut self) -> io::Result<()> {
        uncut(&self.place, &self.context.time, self.context.deadlines.stuck, self.stream.flush()).await
    }

    /// Does `work`, which writes nothing, on the session, and sends what `say` says each time that it has taken `every` more. The work
    /// stands still meanwhile.
    ///
    /// # Errors
    /// What the connection says, and that the dialog has to end.
    pub async fn meanwhile<T>(
        &mut self,
        every: Duration,
        work: impl AsyncFnOnce(&P::Session) -> T,
        say: impl Fn() -> String,
    ) -> io::Result<T> {
        let Connection { stream, session, context, place, broken, .. } = self;
        let mut work = pin!(work(session));
        loop {
            let late = async {
                context.time.sleep(every).await;
                None
            };
            // Nothing that is said is ever dropped half way.
            if let Some(done) = or(async { Some(work.as_mut().await) }, late).await {
                return Ok(done);
            }
            let sent = async {
                stream.write(say().as_bytes()).await?;
                stream.flush().await
            };
            let sent = uncut(place, &context.time, context.deadlines.stuck, sent).await;
            *broken |= sent.is_err();
            sent?;
        }
    }

    /// A reply that `write` writes broke off.
    pub fn broke_off(&mut self) {
        self.broken = true;
    }

    /// What becomes of a claim.
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

/// Whether a line begins as a request of HTTP does. A page on the web can make a browser at home send its request to
/// any port here, and what stands in the content would be taken for commands.
fn is_http(line: &[u8]) -> bool {
    let word = line.split(|octet| octet.is_ascii_whitespace()).next().unwrap_or_default();
    HTTP_METHODS.iter().any(|method| method.eq_ignore_ascii_case(word))
}

/// A time that is not over yet. Who sends without a pause never makes a deadline run out.
fn some(time: Duration) -> io::Result<Duration> {
    if time.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(time) }
}

/// Runs `future`, for `limit` at the most, and not when the place is taken away.
///
/// Not an `async fn`: that would hold `future` twice, once as its argument and once where it is awaited.
///
/// # Errors
/// `TimedOut`, `ConnectionAborted` when the place is taken away, or the future's own.
pub fn within<T>(
    place: &Place,
    time: &Time,
    limit: Duration,
    future: impl Future<Output = io::Result<T>>,
) -> impl Future<Output = io::Result<T>> {
    or(ended(place), in_time(time, limit, future))
}

/// The same for what writes a part of a reply: that breaks off only where it would have to wait.
///
/// # Errors
/// As [`within`].
pub fn uncut<T>(
    place: &Place,
    time: &Time,
    limit: Duration,
    future: impl Future<Output = io::Result<T>>,
) -> impl Future<Output = io::Result<T>> {
    or(in_time(time, limit, future), ended(place))
}

fn in_time<T>(
    time: &Time,
    limit: Duration,
    future: impl Future<Output = io::Result<T>>,
) -> impl Future<Output = io::Result<T>> {
    or(future, async move {
        time.sleep(limit).await;
        Err(io::ErrorKind::TimedOut.into())
    })
}

async fn ended<T>(place: &Place) -> io::Result<T> {
    place.ended().await;
    Err(io::ErrorKind::ConnectionAborted.into())
}

/// As [`ended`], but a client that is known and has begun to hand something over may go on with it when the appliance stops.
async fn given_up<T>(place: &Place, time: &Time) -> io::Result<T> {
    if place.ended().await == End::Stopping && place.is_known() {
        time.sleep(FINISHING).await;
    }
    Err(io::ErrorKind::ConnectionAborted.into())
}

#[cfg(test)]
mod tests;
