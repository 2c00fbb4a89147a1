//! The loop that moves octets between a client and its session. Only the server waits: for lines, for the verdict on
//! a login, for the store.

use std::borrow::Cow;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::maildrop::{self, Maildrop};
use super::reply::Reply;
use super::session::{Effect, Listing, Session, Update};
use super::stuffing::Stuffing;
use crate::auth::Verdict;
use crate::config::Service;
use crate::context::{Context, Deadlines, End, Place};
use crate::flash::ReadAt;
use crate::net::line::LineEnd;
use crate::net::stream::Stream;
use crate::pace::{ITEM, Pace};
use crate::sasl::server::{Claim, Exchange};
use crate::say::counted;
use crate::serving::{self, Dialog, Goodbye, Protocol};
use crate::store::{self, Account, INBOX, LastLine, Uid};

/// Octets of a message that are in memory at once, at most.
const PIECE: usize = 8 * 1024;
/// Old messages whose end is read at one login, at most: the store did not note it then. The next login goes on with
/// the others.
const ENDS_READ: usize = 4096;

type Connection = serving::Connection<Pop3>;

/// Serves one connection, from the TLS handshake or the greeting to the goodbye.
pub fn serve(
    stream: Stream,
    implicit_tls: bool,
    place: Place,
    context: Rc<Context>,
) -> impl Future<Output = ()> {
    let session = Session::new(stream.peer().ip(), implicit_tls);
    Connection::new(stream, place, context, session, Pop3 { mail: None }).serve(implicit_tls)
}

struct Pop3 {
    /// The mail of the account that logged in.
    mail: Option<Rc<Account>>,
}

impl Protocol for Pop3 {
    type Session = Session;
    const SERVICE: Service = Service::Pop3;
    const NAME: &str = "pop3";

    fn patience(deadlines: &Deadlines) -> Duration {
        deadlines.pop3
    }

    fn line_limit(session: &Session) -> usize {
        session.line_limit()
    }

    fn expects_command(session: &Session) -> bool {
        session.expects_command()
    }

    fn secured(session: &mut Session, bindable: bool) {
        session.secured(bindable);
    }

    fn goodbye(why: Goodbye) -> Cow<'static, [u8]> {
        let text = match why {
            // A session that timed out ends without a response (RFC 1939 section 3).
            Goodbye::Late => return Cow::default(),
            Goodbye::Http => "This is no web server, goodbye",
            Goodbye::End(End::Right | End::Connector) => {
                "[SYS/PERM] The settings no longer allow this session, goodbye"
            }
            Goodbye::End(End::Room) => "[SYS/TEMP] Too many connections, try again later",
            Goodbye::End(End::Disconnected) => "[SYS/TEMP] The operator has ended this session, goodbye",
            // Without QUIT nothing is deleted (RFC 1939 section 6).
            Goodbye::End(End::Stopping) => "[SYS/TEMP] The server stops, try again in a moment",
        };
        Reply::Err(text.into()).to_octets().into()
    }

    async fn greet(connection: &mut Connection) -> io::Result<Dialog> {
        let greeting = connection.session.greeting(&connection.context.config());
        connection.send(&greeting).await.map(|()| Dialog::Continues)
    }

    async fn take(connection: &mut Connection, line: Zeroizing<Vec<u8>>, end: LineEnd) -> io::Result<Dialog> {
        let effect = match end {
            LineEnd::TooLong => connection.session.too_long(),
            _ => connection.session.line(&line, &connection.context.config()),
        };
        drop(line);
        Box::pin(connection.perform(effect)).await
    }
}

impl Connection {
    async fn send(&mut self, reply: &Reply) -> io::Result<()> {
        self.write(&reply.to_octets()).await
    }

    /// Does what the session asks for. A login and the end of the session lead to another effect, which is done as well.
    async fn perform(&mut self, mut effect: Effect) -> io::Result<Dialog> {
        loop {
            match effect {
                Effect::Login { claim, exchange } => {
                    effect = self.log_in(claim, exchange).await?;
                    continue;
                }
                Effect::Update(uids) => {
                    effect = self.update(&uids).await;
                    continue;
                }
                Effect::Reply(reply) => self.send(&reply).await?,
                Effect::Close(reply) => {
                    self.send(&reply).await?;
                    return Ok(Dialog::Ends);
                }
                Effect::StartTls(reply) => {
                    self.send(&reply).await?;
                    self.handshake().await?;
                }
                Effect::List(reply, listing) => self.list(&reply, listing).await?,
                Effect::Message { uid, lines } => self.message(uid, lines).await?,
            }
            return Ok(Dialog::Continues);
        }
    }

    async fn log_in(&mut self, claim: Claim, exchange: Option<Exchange>) -> io::Result<Effect> {
        let (name, verifier) = match self.judge(claim).await? {
            Verdict::Welcome(name, verifier) => (name, verifier),
            Verdict::Answer(answer) => return Ok(self.session.answered(exchange, answer)),
            Verdict::Refused(_) => return Ok(self.session.refused()),
            Verdict::TurnedAway => return Ok(self.session.turned_away()),
        };
        let mail = match self.context.store.account(&name).await {
            Ok(mail) => mail,
            Err(error) => {
                log::error!("pop3: the mail of {name}: {error}");
                return Ok(self.session.troubled());
            }
        };
        let learned = mail.learn_last_lines(INBOX, ENDS_READ).await;
        let maildrop = mail.view(INBOX, |inbox| Maildrop::of(inbox, &learned)).unwrap_or_default();
        self.own.mail = Some(mail);
        self.place.is_of_account(&name, verifier, &self.context.config());
        Ok(self.session.opened(name, maildrop))
    }

    async fn list(&mut self, head: &Reply, mut listing: Listing) -> io::Result<()> {
        self.send(head).await?;
        let pace = Pace::new();
        while let Some(line) = self.session.listed(&mut listing) {
            self.write(line.as_bytes()).await?;
            self.write(b"\r\n").await?;
            pace.did(ITEM).await;
        }
        self.write(b".\r\n").await
    }

    async fn message(&mut self, uid: Uid, lines: Option<u32>) -> io::Result<()> {
        let body = match self.body(uid) {
            Ok(body) => body,
            Err(reply) => return self.send(&reply).await,
        };
        let length = body.len()?;
        let head = match lines {
            None => counted(maildrop::sent(length, is_unended(&body, length)), "octet").into(),
            Some(_) => "The top of the message follows".into(),
        };
        self.send(&Reply::Ok(head)).await?;
        let (mut piece, mut out) = (vec![0; PIECE], Vec::new());
        let pace = Pace::new();
        let (mut offset, mut stuffing) = (0, Stuffing::new(lines));
        while offset < length && !stuffing.is_done() {
            let n = body.read_at(offset, &mut piece).unwrap_or_default();
            if n == 0 {
                // Nothing may be sent that looks like the end of the message.
                self.broke_off();
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset += n as u64;
            out.clear();
            stuffing.push(piece.get(..n).unwrap_or_default(), &mut out);
            self.write(&out).await?;
            pace.did(n as u64).await;
        }
        self.write(stuffing.end()).await
    }

    /// The body of a message in the INBOX, unless another session has removed the message meanwhile.
    fn body(&self, uid: Uid) -> Result<store::Body, Reply> {
        let gone = || Reply::Err("Another client has removed that message".into());
        let mail = self.own.mail.as_ref().ok_or_else(gone)?;
        let message = mail.view(INBOX, |inbox| inbox.message(uid).copied()).flatten().ok_or_else(gone)?;
        mail.body(&message).map_err(|error| {
            log::error!("pop3: message {uid} of {}: {error}", mail.name());
            match error {
                store::Error::Damaged(_) => Reply::Err("[SYS/PERM] That message is damaged".into()),
                _ => Reply::Err("[SYS/TEMP] The message cannot be read now, try again later".into()),
            }
        })
    }

    /// Removes the messages in the UPDATE state (RFC 1939 section 6).
    async fn update(&mut self, uids: &[Uid]) -> Effect {
        let Some(mail) = &self.own.mail else { return self.session.updated(Update::Failed) };
        let mut transaction = mail.begin();
        transaction.expunge(INBOX, uids);
        let outcome = transaction.commit().await;
        let update = match outcome {
            Ok(_) => Update::Done,
            Err(store::Error::ReadOnly) => Update::ReadOnly,
            Err(error) => {
                log::error!("pop3: deleting from {}: {error}", mail.name());
                Update::Failed
            }
        };
        self.session.updated(update)
    }
}

/// Whether the last line of a message has no line end. A message that cannot be read is reported when it is sent.
fn is_unended(body: &store::Body, length: u64) -> bool {
    let mut end = vec![0; usize::try_from(length.min(2)).unwrap_or(0)];
    let read = body.read_exact_at(length.saturating_sub(2), &mut end);
    read.is_ok() && LastLine::of(&end) == LastLine::Unended
}

#[cfg(test)]
#[path = "server_tests/mod.rs"]
mod tests;
