//! The loop that moves octets between a client and its session, and the only place of POP3 that waits:
//! for lines, for the verdict on a login, for the store.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::future::or;
use zeroize::Zeroize;

use super::maildrop::Maildrop;
use super::reply::Reply;
use super::session::{Effect, Listing, Session, Update};
use super::stuffing::Stuffing;
use crate::auth::{Client, Verdict};
use crate::config::Service;
use crate::context::Context;
use crate::flash::ReadAt;
use crate::net::deadline;
use crate::net::line::{LineEnd, read_line};
use crate::net::stream::Stream;
use crate::pace::{ITEM, Pace, between_commands, in_turn};
use crate::sasl::server::{Claim, Exchange};
use crate::store::{self, Account, INBOX, Uid};

/// Octets of a message that are in memory at once.
const PIECE: usize = 8 * 1024;

/// Serves one connection, from the TLS handshake or the greeting to the goodbye.
pub async fn serve(stream: Stream, implicit_tls: bool, context: Rc<Context>) {
    let session = Session::new(stream.peer().ip(), implicit_tls);
    let opened = Instant::now();
    let mut connection = Connection { stream, session, context, mail: None, line: Vec::new(), opened };
    match connection.run(implicit_tls).await {
        Ok(()) => connection.stream.close().await,
        // RFC 1939 section 3: a session that timed out ends without a word. And where a message broke
        // off there must be nothing that looks like its end.
        Err(error) => log::debug!("pop3 {}: {error}", connection.stream.peer()),
    }
}

struct Connection {
    stream: Stream,
    session: Session,
    context: Rc<Context>,
    /// Of the account that logged in.
    mail: Option<Rc<Account>>,
    line: Vec<u8>,
    opened: Instant,
}

/// What ends the wait for a command.
enum Event {
    Line(LineEnd),
    /// The settings are new.
    Changed,
}

/// Whether the dialog goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goes {
    On,
    Away,
}

impl Connection {
    async fn run(&mut self, implicit_tls: bool) -> io::Result<()> {
        if implicit_tls {
            self.handshake().await?;
        }
        let greeting = self.session.greeting(&self.context.config());
        self.send(&greeting).await?;
        let mut goes = Goes::On;
        while goes == Goes::On {
            let changed = self.context.changed();
            if !self.has_its_right() {
                return self
                    .send(&Reply::Err("[SYS/PERM] The settings no longer allow this session, goodbye".into()))
                    .await;
            }
            let patience = self.patience();
            if patience.is_zero() {
                // Who sends without a pause never makes the deadline below run out.
                return Err(io::ErrorKind::TimedOut.into());
            }
            let next = or(async { self.next_line().await.map(Event::Line) }, async {
                changed.await;
                Ok(Event::Changed)
            });
            let effect = match deadline(patience, next).await? {
                Event::Changed => continue,
                Event::Line(LineEnd::Closed) => break,
                Event::Line(LineEnd::TooLong) => self.session.too_long(),
                Event::Line(LineEnd::Complete) => self.session.line(&self.line, &self.context.config()),
            };
            // A line may have held a password.
            self.line.zeroize();
            self.line = Vec::new();
            goes = Box::pin(in_turn(self.perform(effect))).await?;
            if !self.stream.buffered().is_empty() {
                Box::pin(between_commands()).await;
            }
        }
        Ok(())
    }

    /// Replies leave together when no command is left to be answered (RFC 2449 section 6.6).
    async fn next_line(&mut self) -> io::Result<LineEnd> {
        if !self.stream.buffered().contains(&b'\n') {
            self.stream.flush().await?;
        }
        read_line(&mut self.stream, &mut self.line, self.session.line_limit()).await
    }

    /// How long the client may take for its next command.
    fn patience(&self) -> Duration {
        match self.session.account() {
            Some(_) => self.context.deadlines.pop3,
            None => self.context.deadlines.login.saturating_sub(self.opened.elapsed()),
        }
    }

    fn has_its_right(&self) -> bool {
        let peer = self.stream.peer().ip();
        self.session.account().is_none_or(|name| self.context.still_permitted(name, Service::Pop3, peer))
    }

    async fn handshake(&mut self) -> io::Result<()> {
        deadline(self.patience(), self.stream.accept_tls(self.context.tls())).await?;
        self.session.secured(self.stream.bindings().is_some());
        Ok(())
    }

    /// Queues octets; what waits is sent when it becomes too much to keep.
    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        deadline(self.context.deadlines.stuck, self.stream.write(octets)).await
    }

    async fn send(&mut self, reply: &Reply) -> io::Result<()> {
        self.write(&reply.to_octets()).await
    }

    async fn perform(&mut self, effect: Effect) -> io::Result<Goes> {
        let effect = match effect {
            Effect::Login { claim, exchange } => self.log_in(claim, exchange).await,
            Effect::Update(uids) => self.update(&uids).await,
            other => other,
        };
        match effect {
            Effect::Reply(reply) => self.send(&reply).await?,
            Effect::Close(reply) => {
                self.send(&reply).await?;
                return Ok(Goes::Away);
            }
            Effect::StartTls(reply) => {
                self.send(&reply).await?;
                self.handshake().await?;
            }
            Effect::List(reply, listing) => self.list(&reply, listing).await?,
            Effect::Message { uid, lines } => self.message(uid, lines).await?,
            // Dealt with above; what they lead to is neither.
            Effect::Login { .. } | Effect::Update(_) => {}
        }
        Ok(Goes::On)
    }

    async fn log_in(&mut self, claim: Claim, exchange: Option<Exchange>) -> Effect {
        let config = self.context.config();
        let address = self.stream.peer().ip();
        let client = Client { service: Service::Pop3, address, bindings: self.stream.bindings() };
        let name = match self.context.logins.judge(&config, client, claim).await {
            Verdict::Welcome(name) => name,
            Verdict::Answer(answer) => return self.session.answered(exchange, answer),
            Verdict::Refused(_) => return self.session.refused(),
            Verdict::TurnedAway => return self.session.turned_away(),
        };
        let mail = match self.context.store.account(&name).await {
            Ok(mail) => mail,
            Err(error) => {
                log::error!("pop3: the mail of {name}: {error}");
                return self.session.troubled();
            }
        };
        let maildrop = mail.view(INBOX, |inbox| Maildrop::from(inbox)).unwrap_or_default();
        self.mail = Some(mail);
        self.session.opened(name, maildrop)
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
        self.send(&Reply::Ok(format!("{length} octets").into())).await?;
        let (mut piece, mut out) = (vec![0; PIECE], Vec::new());
        let pace = Pace::new();
        let (mut offset, mut stuffing) = (0, Stuffing::new(lines));
        while offset < length && !stuffing.is_done() {
            let n = body.read_at(offset, &mut piece)?;
            if n == 0 {
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

    /// A message of the INBOX, unless another session has removed it meanwhile.
    fn body(&self, uid: Uid) -> Result<store::Body, Reply> {
        let gone = || Reply::Err("Another client has removed that message".into());
        let mail = self.mail.as_ref().ok_or_else(gone)?;
        let message = mail.view(INBOX, |inbox| inbox.message(uid).copied()).flatten().ok_or_else(gone)?;
        mail.body(&message).map_err(|error| {
            log::error!("pop3: message {uid} of {}: {error}", mail.name());
            match error {
                store::Error::Damaged(_) => Reply::Err("[SYS/PERM] That message is damaged".into()),
                _ => Reply::Err("[SYS/TEMP] The message cannot be read now, try again later".into()),
            }
        })
    }

    /// RFC 1939 section 6.
    async fn update(&mut self, uids: &[Uid]) -> Effect {
        let Some(mail) = &self.mail else { return self.session.updated(Update::Failed) };
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

#[cfg(test)]
#[path = "server_tests/mod.rs"]
mod tests;
