//! The loop that moves octets between a client and its `Session`. Here, and in the files beside that
//! go on with `Connection`, is the only place of this module that waits.
//!
//! An idle connection must be small: what happens rarely is boxed, so that the future of a connection
//! that waits holds little more than its stream and its session.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use event_listener::EventListener;

use super::fetch::LastStructure;
use super::session::Session;
use crate::config::Service;
use crate::context::Context;
use crate::net::deadline;
use crate::net::stream::Stream;

/// Serves one client, from the TLS handshake or the greeting to the goodbye.
pub async fn serve(stream: Stream, implicit_tls: bool, context: Rc<Context>) {
    let session = Session::new(stream.peer().ip());
    let login_by = Instant::now() + context.deadlines.login;
    let mut connection =
        Connection { stream, session, context, last_structure: LastStructure::default(), login_by };
    if let Err(error) = connection.run(implicit_tls).await {
        log::debug!("imap {}: {error}", connection.stream.peer());
        if error.kind() == io::ErrorKind::TimedOut {
            connection.stream.queue(b"* BYE That took too long\r\n");
        }
    }
    Box::pin(connection.stream.close()).await;
}

/// A client's connection.
pub(super) struct Connection {
    pub stream: Stream,
    pub session: Session,
    pub context: Rc<Context>,
    pub last_structure: LastStructure,
    login_by: Instant,
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// The client said something.
    Octets,
    /// The client closed the connection.
    Closed,
    /// The settings changed.
    Settings,
    /// The account's mail changed.
    News,
    /// The time is over.
    Late,
}

impl Connection {
    async fn run(&mut self, implicit_tls: bool) -> io::Result<()> {
        Box::pin(self.open(implicit_tls)).await?;
        while !self.session.is_over() {
            let patience = self.patience();
            if patience.is_zero() {
                // Who sends without a pause never makes a deadline run out.
                return Err(io::ErrorKind::TimedOut.into());
            }
            match self.wait(patience, None).await? {
                Woken::Octets => {
                    if let Some(tag) = Box::pin(self.command()).await? {
                        self.idle(tag).await?;
                    }
                }
                Woken::Closed => return Ok(()),
                Woken::Late => return Err(io::ErrorKind::TimedOut.into()),
                Woken::Settings | Woken::News => {}
            }
        }
        Ok(())
    }

    async fn open(&mut self, implicit_tls: bool) -> io::Result<()> {
        if implicit_tls {
            self.accept_tls().await?;
        }
        let greeting = self.session.greeting(&self.context.config());
        self.say(&greeting).await
    }

    /// The TLS handshake; what the client sent before it is thrown away.
    pub async fn accept_tls(&mut self) -> io::Result<()> {
        deadline(self.patience(), self.stream.accept_tls(self.context.tls())).await?;
        self.session.secured(self.stream.bindings().is_some());
        Ok(())
    }

    /// For how long the client may be silent.
    pub fn patience(&self) -> Duration {
        match self.session.account() {
            Some(_) => self.context.deadlines.imap,
            None => self.login_by.saturating_duration_since(Instant::now()),
        }
    }

    /// Waits for the client, for new settings, for `news` where it is given, or until `limit` is over.
    /// Ends a session that cannot go on.
    pub async fn wait(&mut self, limit: Duration, news: Option<EventListener>) -> io::Result<Woken> {
        // Listen first, then look: nothing that happens between the two is missed.
        let settings = self.context.changed();
        if let Some(goodbye) = self.goodbye() {
            Box::pin(self.say(goodbye)).await?;
            return Ok(Woken::Settings);
        }
        let stream = &mut self.stream;
        let octets = async {
            let octets = stream.fill().await?;
            Ok(if octets.is_empty() { Woken::Closed } else { Woken::Octets })
        };
        let settings = async {
            settings.await;
            Ok(Woken::Settings)
        };
        let news = async {
            match news {
                Some(news) => news.await,
                None => std::future::pending().await,
            }
            Ok(Woken::News)
        };
        let late = async {
            async_io::Timer::after(limit).await;
            Ok(Woken::Late)
        };
        smol::future::or(smol::future::or(octets, news), smol::future::or(settings, late)).await
    }

    fn goodbye(&mut self) -> Option<&'static str> {
        let name = self.session.account()?.name();
        let permitted = self.context.still_permitted(name, Service::Imap, self.stream.peer().ip());
        self.session.cut_short(&self.context.config(), permitted)
    }

    /// Writes into the output buffer, which empties itself when it is full.
    pub async fn write(&mut self, text: &str) -> io::Result<()> {
        deadline(self.context.deadlines.stuck, self.stream.write(text.as_bytes())).await
    }

    /// Sends what is in the output buffer.
    pub async fn flush(&mut self) -> io::Result<()> {
        deadline(self.context.deadlines.stuck, self.stream.flush()).await
    }

    /// Writes and sends.
    pub async fn say(&mut self, text: &str) -> io::Result<()> {
        self.write(text).await?;
        self.flush().await
    }
}
