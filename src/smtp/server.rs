//! The loop that moves octets between a client and its session, and the only place of the server that
//! waits: for lines, for the verdict on a login, for the post.

use std::borrow::Cow;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::command::MAX_AUTH_LINE;
use super::header::Defaults;
use super::intake::Intake;
use super::mailbox::{Mailbox, is_address_literal};
use super::session::{Effect, Session};
use super::{Envelope, Post, Reply, Role, store_trouble};
use crate::auth::Verdict;
use crate::clock::unix_now;
use crate::config::Service;
use crate::context::{Context, Deadlines, End, Place};
use crate::message::compose;
use crate::net::line::LineEnd;
use crate::net::stream::Stream;
use crate::serving::{self, Goes, Goodbye, Protocol};

/// RFC 5321 section 4.5.3.2.5: from one piece of the content to the next.
const CONTENT: Duration = Duration::from_secs(3 * 60);

type Connection = serving::Connection<Smtp>;

/// Serves one connection, from the TLS handshake or the greeting to the goodbye.
pub fn serve(
    stream: Stream,
    role: Role,
    place: Place,
    context: Rc<Context>,
    post: Rc<dyn Post>,
) -> impl Future<Output = ()> {
    let implicit_tls = role == Role::Submission { implicit_tls: true };
    let session = Session::new(role, stream.peer().ip(), implicit_tls);
    Connection::new(stream, place, context, session, Smtp { role, post }).serve(implicit_tls)
}

struct Smtp {
    role: Role,
    post: Rc<dyn Post>,
}

impl Protocol for Smtp {
    type Session = Session;
    const SERVICE: Service = Service::Submission;
    const NAME: &str = "smtp";

    fn patience(deadlines: &Deadlines) -> Duration {
        deadlines.smtp
    }

    fn line_limit(_: &Session) -> usize {
        MAX_AUTH_LINE
    }

    fn expects_command(session: &Session) -> bool {
        session.expects_command()
    }

    fn secured(session: &mut Session, bindable: bool) {
        session.secured(bindable);
    }

    fn goodbye(why: Goodbye) -> Cow<'static, [u8]> {
        let (status, text) = match why {
            Goodbye::Late => ((4, 2), "I have waited long enough"),
            Goodbye::Http => ((7, 0), "This is no web server"),
            Goodbye::End(End::Right | End::Connector) => {
                ((7, 0), "The settings have changed: you may no longer use this")
            }
            Goodbye::End(End::Room) => ((3, 2), "Too many connections, try again later"),
            Goodbye::End(End::Disconnected) => ((3, 2), "The operator has ended this session"),
            Goodbye::End(End::Stopping) => ((3, 2), "The server stops, try again in a moment"),
        };
        Reply::new(421, status, text).to_octets().into()
    }

    async fn greet(connection: &mut Connection) -> io::Result<Goes> {
        let greeting = connection.session.greeting(&connection.context.config());
        if connection.own.role == Role::LanSmtp {
            connection.place.is_of_device();
        }
        connection.perform(greeting).await
    }

    async fn take(connection: &mut Connection, line: Zeroizing<Vec<u8>>, end: LineEnd) -> io::Result<Goes> {
        let effect = match end {
            LineEnd::TooLong => connection.session.too_long(),
            _ => connection.session.line(&line, &connection.context.config()),
        };
        drop(line);
        let goes = Box::pin(connection.perform(effect)).await?;
        // A device never logs in: it is somebody when it sends.
        if connection.session.has_begun() {
            connection.place.keep();
        }
        Ok(goes)
    }
}

impl Connection {
    async fn send(&mut self, reply: &Reply) -> io::Result<()> {
        self.write(&reply.to_octets()).await
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
                let verdict = self.judge(claim).await?;
                if let Verdict::Welcome(name, verifier) = &verdict {
                    self.place.is_of_account(name, verifier.clone(), &self.context.config());
                }
                let effect = self.session.judged(exchange, verdict);
                return Box::pin(self.perform(effect)).await;
            }
            Effect::Recipient { account, to, size } => {
                let outcome = self.own.post.recipient(account, &to.mailbox, size).await;
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

    /// RFC 5321 section 4.1.1.4, from DATA to the verdict; `None`: the connection is given up, the last
    /// words are said.
    async fn content(&mut self, mut envelope: Envelope, size: u64) -> io::Result<Option<Reply>> {
        let incoming = self.own.post.incoming(&envelope, size).await;
        let mut content = match incoming {
            Ok(content) => Some(content),
            Err(refusal) => return Ok(Some(refusal)),
        };
        let mut intake = self.intake(&envelope);
        let mut out = self.trace().into_bytes();
        self.send(&Reply::plain(354, "Go ahead, and end with a lone dot")).await?;
        self.flush().await?;
        loop {
            if let Some(Err(error)) = content.as_mut().map(|content| content.message.write(&out)) {
                content = None;
                intake.refuse(store_trouble(&error));
            }
            if intake.is_complete() {
                break;
            }
            let input = self.fill(CONTENT).await?;
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
                match self.own.post.accept(envelope, content).await {
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
        let account = envelope.account.and_then(|id| config.account_by_id(id));
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
        let Some(id) = envelope.account else { return intake.finish(None) };
        let config = self.context.config();
        let own = |mailbox: &Mailbox| {
            config.account_by_id(id).is_some_and(|a| config.may_send_as(a, mailbox.as_str()))
        };
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
