//! IDLE (RFC 2177): the client is told of changes when they happen.

use std::io;
use std::time::Duration;

use event_listener::EventListener;
use zeroize::Zeroizing;

use crate::imap::server::Connection;
use crate::imap::state::outcome::{MailboxUpdates, Reply};
use crate::net::line::LineEnd;
use crate::serving::within;

/// How often an idling client is told that the connection lives, so that no router on the way forgets the connection.
const STILL_HERE: Duration = Duration::from_secs(4 * 60);
/// Octets of the line that ends IDLE: DONE, and some room for other text.
const DONE_LIMIT: usize = 1024;

/// What has ended a wait.
enum Woken {
    /// The client has sent something.
    Octets,
    /// The client closed the connection.
    Closed,
    /// The account's mail has changed.
    MailboxUpdates,
    /// The time limit has passed.
    Late,
}

impl Connection {
    /// Waits for changes and tells the client of them until it sends DONE.
    pub async fn idle(&mut self, tag: String) -> io::Result<()> {
        Box::pin(self.say("+ Idling\r\n")).await?;
        if self.attend(true).await? { Box::pin(self.done(tag)).await } else { Ok(()) }
    }

    /// Tells the client what it has asked for with NOTIFY (RFC 5465) until it sends something.
    pub async fn between_commands(&mut self) -> io::Result<()> {
        let expunge = self.session.notify.as_ref().is_some_and(|notify| !notify.selected.delayed);
        self.attend(expunge).await.map(drop)
    }

    /// Tells the client of changes until it sends something; `false` when it never will. EXPUNGE is told only when
    /// `expunge` allows it.
    async fn attend(&mut self, expunge: bool) -> io::Result<bool> {
        let until = self.context.time.now() + self.context.deadlines.imap;
        loop {
            // Listen first and then look, so that no change is missed.
            let Some(account) = self.session.account().filter(|account| !account.has_failed()) else {
                return Ok(false);
            };
            let news = account.changed();
            Box::pin(self.tell_news(expunge)).await?;
            let left = until.saturating_duration_since(self.context.time.now());
            match self.wait(left.min(STILL_HERE), news).await? {
                Woken::Octets => return Ok(true),
                Woken::Closed => return Ok(false),
                Woken::MailboxUpdates => {}
                Woken::Late if left > STILL_HERE => Box::pin(self.say("* OK Still here\r\n")).await?,
                Woken::Late => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Waits for the client, for `news`, or until `limit` has passed.
    async fn wait(&mut self, limit: Duration, news: EventListener) -> io::Result<Woken> {
        let stream = &mut self.stream;
        let octets = async {
            let octets = stream.fill().await?;
            Ok(if octets.is_empty() { Woken::Closed } else { Woken::Octets })
        };
        let news = async {
            news.await;
            Ok(Woken::MailboxUpdates)
        };
        match within(&self.place, &mut self.alarm, limit, smol::future::or(octets, news)).await {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(Woken::Late),
            woken => woken,
        }
    }

    /// Tells the client everything that has changed by now.
    async fn tell_news(&mut self, expunge: bool) -> io::Result<()> {
        self.tell_selected(&MailboxUpdates { expunge, ..MailboxUpdates::default() }).await?;
        if self.session.notify.is_some() {
            Box::pin(self.tell_others()).await?;
        }
        self.flush().await
    }

    async fn done(&mut self, tag: String) -> io::Result<()> {
        let mut line = Zeroizing::default();
        let end = self.read_line(&mut line, DONE_LIMIT).await?;
        let done = end == LineEnd::Complete && line.eq_ignore_ascii_case(b"DONE");
        self.reply(Reply::new(tag, if done { "OK IDLE completed" } else { "BAD Expected DONE" })).await
    }
}
