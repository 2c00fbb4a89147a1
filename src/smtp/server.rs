//! The loop that moves octets between a client and its session, and the only place of the server that
//! waits: for lines, for the verdict on a login, for the post.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::future::or;

use super::command::MAX_AUTH_LINE;
use super::header::Defaults;
use super::intake::Intake;
use super::mailbox::{Mailbox, is_address_literal};
use super::session::{Effect, Session};
use super::{Envelope, Post, Reply, Role, store_trouble};
use crate::access::on_lan;
use crate::auth::Client;
use crate::clock::unix_now;
use crate::config::Service;
use crate::context::Context;
use crate::message::compose;
use crate::net::deadline;
use crate::net::line::{LineEnd, read_line};
use crate::net::stream::Stream;
use crate::pace::{between_commands, in_turn};

/// RFC 5321 section 4.5.3.2.5: from one piece of the content to the next.
const CONTENT: Duration = Duration::from_secs(3 * 60);

/// Serves one connection, from the TLS handshake or the greeting to the goodbye.
pub async fn serve(stream: Stream, role: Role, context: Rc<Context>, post: Rc<dyn Post>) {
    let implicit_tls = role == Role::Submission { implicit_tls: true };
    let session = Session::new(role, stream.peer().ip(), implicit_tls);
    let opened = Instant::now();
    let mut connection = Connection { stream, role, session, context, post, line: Vec::new(), opened };
    if let Err(error) = connection.run(implicit_tls).await {
        log::debug!("smtp {}: {error}", connection.stream.peer());
        if error.kind() == io::ErrorKind::TimedOut {
            let goodbye = Reply::new(421, (4, 2), "I have waited long enough");
            connection.stream.queue(&goodbye.to_octets());
        }
    }
    connection.stream.close().await;
}

struct Connection {
    stream: Stream,
    role: Role,
    session: Session,
    context: Rc<Context>,
    post: Rc<dyn Post>,
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
        let mut goes = Box::pin(self.perform(greeting)).await?;
        while goes == Goes::On {
            let config_changed = self.context.changed();
            if !self.has_its_right() {
                let goodbye = "The settings have changed: you may no longer use this";
                return self.send(&Reply::new(421, (7, 0), goodbye)).await;
            }
            let wait = self.patience();
            if wait.is_zero() {
                // Who sends without a pause never makes the deadline below run out.
                return Err(io::ErrorKind::TimedOut.into());
            }
            let next = or(async { self.next_line().await.map(Event::Line) }, async {
                config_changed.await;
                Ok(Event::Changed)
            });
            let effect = match deadline(wait, next).await? {
                Event::Changed => continue,
                Event::Line(LineEnd::Closed) => break,
                Event::Line(LineEnd::TooLong) => self.session.too_long(),
                Event::Line(LineEnd::Complete) => self.session.line(&self.line, &self.context.config()),
            };
            // A line may have held a password.
            zeroize::Zeroize::zeroize(&mut self.line);
            self.line = Vec::new();
            goes = Box::pin(in_turn(self.perform(effect))).await?;
            if !self.stream.buffered().is_empty() {
                Box::pin(between_commands()).await;
            }
        }
        Ok(())
    }

    /// Replies leave together when no command is left to be answered (RFC 2920 section 3.2).
    async fn next_line(&mut self) -> io::Result<LineEnd> {
        if !self.stream.buffered().contains(&b'\n') {
            self.stream.flush().await?;
        }
        read_line(&mut self.stream, &mut self.line, MAX_AUTH_LINE).await
    }

    /// How long the client may take for its next command.
    fn patience(&self) -> Duration {
        let deadlines = &self.context.deadlines;
        if self.session.may_send() {
            deadlines.smtp
        } else {
            deadlines.login.saturating_sub(self.opened.elapsed())
        }
    }

    fn has_its_right(&self) -> bool {
        let peer = self.stream.peer().ip();
        match (self.role, self.session.account()) {
            // One from elsewhere has been told in place of the greeting.
            (Role::LanSmtp, _) => on_lan(&self.context.config(), peer),
            (_, Some(account)) => self.context.still_permitted(account, Service::Submission, peer),
            (_, None) => true,
        }
    }

    /// Queues a reply; what waits is sent when it becomes too much to keep.
    async fn send(&mut self, reply: &Reply) -> io::Result<()> {
        deadline(self.context.deadlines.stuck, self.stream.write(&reply.to_octets())).await
    }

    async fn perform(&mut self, effect: Effect) -> io::Result<Goes> {
        let reply = match effect {
            Effect::Reply(reply) => reply,
            Effect::Close(last_words) => {
                for reply in &last_words {
                    self.send(reply).await?;
                }
                return Ok(Goes::Away);
            }
            Effect::StartTls(reply) => {
                self.send(&reply).await?;
                self.handshake().await?;
                return Ok(Goes::On);
            }
            Effect::Login { claim, exchange } => {
                let config = self.context.config();
                let (address, bindings) = (self.stream.peer().ip(), self.stream.bindings());
                let client = Client { service: Service::Submission, address, bindings };
                let verdict = self.context.logins.judge(&config, client, claim).await;
                let effect = self.session.judged(exchange, verdict);
                return Box::pin(self.perform(effect)).await;
            }
            Effect::Recipient { to, size } => {
                let outcome = self.post.recipient(&to, size).await;
                self.session.recipient(to, outcome)
            }
            Effect::Content { envelope, size } => match self.content(envelope, size).await? {
                Some(reply) => reply,
                None => return Ok(Goes::Away),
            },
        };
        self.send(&reply).await?;
        Ok(Goes::On)
    }

    async fn handshake(&mut self) -> io::Result<()> {
        deadline(self.patience(), self.stream.accept_tls(self.context.tls())).await?;
        self.session.secured(self.stream.bindings().is_some());
        Ok(())
    }

    /// RFC 5321 section 4.1.1.4, from DATA to the verdict; `None`: the connection is given up, the last
    /// words are said.
    async fn content(&mut self, mut envelope: Envelope, size: u64) -> io::Result<Option<Reply>> {
        let incoming = self.post.incoming(&envelope, size).await;
        let mut content = match incoming {
            Ok(content) => Some(content),
            Err(refusal) => return Ok(Some(refusal)),
        };
        let mut intake = self.intake(&envelope);
        let mut out = self.trace().into_bytes();
        self.send(&Reply::plain(354, "Go ahead, and end with a lone dot")).await?;
        deadline(self.context.deadlines.stuck, self.stream.flush()).await?;
        loop {
            if let Some(Err(error)) = content.as_mut().map(|content| content.message.write(&out)) {
                content = None;
                intake.refuse(store_trouble(&error));
            }
            if intake.is_complete() {
                break;
            }
            let input = deadline(CONTENT, self.stream.fill()).await?;
            if input.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let consumed = intake.take(input, &mut out);
            self.stream.consume(consumed);
            if intake.is_hopeless() {
                self.send(&Reply::new(421, (3, 4), "That is far too much")).await?;
                return Ok(None);
            }
        }
        let verdict = self.verdict(intake, &envelope);
        Ok(Some(match (verdict, content) {
            (Ok(eight_bit), Some(content)) => {
                envelope.eight_bit = eight_bit;
                let (sender, recipients) = (envelope.sender.clone(), envelope.recipients.len());
                match self.post.accept(envelope, content).await {
                    Ok(()) => {
                        let sender = sender.as_ref().map_or("", Mailbox::as_str);
                        log::info!("smtp {}: from <{sender}> to {recipients}", self.stream.peer());
                        Reply::new(250, (0, 0), "It is safe with me")
                    }
                    Err(refusal) => refusal,
                }
            }
            (Err(refusal), _) => refusal,
            // Unreachable in truth: where the content is given up there is a refusal.
            (Ok(_), None) => Reply::new(451, (3, 0), "Try again later"),
        }))
    }

    fn intake(&self, envelope: &Envelope) -> Intake {
        let config = self.context.config();
        let account = envelope.account.as_deref().and_then(|account| config.account(account));
        let from = envelope
            .sender
            .clone()
            .or_else(|| account.and_then(|account| Mailbox::parse(&account.address).ok()));
        let domain = config.server.hostname.to_string();
        let limit = config.server.max_message_size;
        Intake::new(Defaults { from, date: unix_now(), domain }, limit, envelope.account.is_some())
    }

    /// An account speaks for itself only; what a device puts into From is its own business.
    fn verdict(&self, intake: Intake, envelope: &Envelope) -> Result<bool, Reply> {
        let Some(account) = &envelope.account else { return intake.finish(None) };
        let config = self.context.config();
        let own = |mailbox: &Mailbox| config.account(account).is_some_and(|a| a.owns(mailbox.as_str()));
        intake.finish(Some(&own))
    }

    /// RFC 5321 section 4.4. It names no recipient: one may be a Bcc.
    fn trace(&self) -> String {
        let name = self.session.client_name();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':');
        let name = if name.bytes().all(plain) || is_address_literal(name) { name } else { "unknown" };
        let literal = match self.stream.peer().ip().to_canonical() {
            std::net::IpAddr::V4(address) => format!("[{address}]"),
            std::net::IpAddr::V6(address) => format!("[IPv6:{address}]"),
        };
        let by = self.context.config().server.hostname.to_string();
        let now = unix_now();
        let id = compose::message_id("").chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        compose::received(&format!("{name} ({literal})"), &by, self.session.protocol(), &id, None, now)
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
