//! The loop that moves octets between a client and its session. Only the server waits: for lines, for the verdict on
//! a login, for the post, and, in `content`, for messages.

mod content;

use std::borrow::Cow;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::arrival::Arrival;
use super::command::MAX_AUTH_LINE;
use super::session::{Effect, Session};
use super::{Post, Reply, Role};
use crate::auth::Verdict;
use crate::config::Service;
use crate::context::{Context, Deadlines, End, Place};
use crate::net::line::LineEnd;
use crate::net::stream::Stream;
use crate::serving::{self, Dialog, Goodbye, Protocol};

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
    Connection::new(stream, place, context, session, Smtp { role, post, arrival: None }).serve(implicit_tls)
}

struct Smtp {
    role: Role,
    post: Rc<dyn Post>,
    /// The message of which some chunks have come, and more are to follow.
    arrival: Option<Box<Arrival>>,
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

    async fn greet(connection: &mut Connection) -> io::Result<Dialog> {
        let greeting = connection.session.greeting(&connection.context.config());
        if connection.own.role == Role::LanSmtp {
            connection.place.is_of_device();
        }
        connection.perform(greeting).await
    }

    async fn take(connection: &mut Connection, line: Zeroizing<Vec<u8>>, end: LineEnd) -> io::Result<Dialog> {
        connection.session.line_ended(connection.bare_lf);
        if let Some(name) = connection.place.account() {
            connection.session.is_called(name);
        }
        let effect = match end {
            LineEnd::TooLong => connection.session.too_long(),
            _ => connection.session.line(&line, &connection.context.config()),
        };
        drop(line);
        let goes = Box::pin(connection.perform(effect)).await?;
        // RSET, EHLO and the like drop the chunks that have come.
        if !connection.session.is_receiving() {
            connection.own.arrival = None;
        }
        // A device never logs in: its connection is kept once it sends mail.
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

    async fn perform(&mut self, effect: Effect) -> io::Result<Dialog> {
        let reply = match effect {
            Effect::Reply(reply) => reply,
            Effect::Close(last_words) => {
                for reply in &last_words {
                    self.send(reply).await?;
                }
                return Ok(Dialog::Ends);
            }
            Effect::StartTls(reply) => {
                self.send(&reply).await?;
                self.handshake().await?;
                return Ok(Dialog::Continues);
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
                let effect = self.session.recipient(to, outcome);
                return Box::pin(self.perform(effect)).await;
            }
            Effect::Content { envelope, size } => self.content(envelope, size).await?,
            Effect::Chunk { octets, last, begins } => self.chunk(octets, last, begins).await?,
            Effect::Swallow { octets, reply } => self.swallow(octets, reply).await?,
        };
        self.send(&reply).await?;
        Ok(if reply.code == 421 { Dialog::Ends } else { Dialog::Continues })
    }
}

#[cfg(test)]
mod tests;
