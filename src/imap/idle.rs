//! IDLE (RFC 2177): news reach the client when they happen.

use std::io;
use std::time::{Duration, Instant};

use super::effect::{News, Reply};
use super::server::{Connection, Woken};
use crate::net::line::LineEnd;

/// How often an idling client hears that the connection lives, so that no router between forgets it.
const STILL_HERE: Duration = Duration::from_secs(4 * 60);
/// Octets of DONE, and some for what is not.
const DONE_LIMIT: usize = 1024;

impl Connection {
    /// Waits for news and tells them until the client says DONE.
    pub async fn idle(&mut self, tag: String) -> io::Result<()> {
        Box::pin(self.say("+ Idling\r\n")).await?;
        let until = Instant::now() + self.context.deadlines.imap;
        while !self.session.is_over() {
            // Listen first, then look.
            let news = self.session.account().map(|account| account.changed());
            Box::pin(self.tell_news()).await?;
            let left = until.saturating_duration_since(Instant::now());
            match self.wait(left.min(STILL_HERE), news).await? {
                Woken::Octets => return Box::pin(self.done(tag)).await,
                Woken::Closed => return Ok(()),
                Woken::News | Woken::Settings => {}
                Woken::Late if left > STILL_HERE => Box::pin(self.say("* OK Still here\r\n")).await?,
                Woken::Late => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        Ok(())
    }

    async fn tell_news(&mut self) -> io::Result<()> {
        let mut updates = self.session.news(&News::default());
        if updates.is_empty() {
            return Ok(());
        }
        while !updates.is_empty() {
            let mut out = String::new();
            self.session.write_updates(&mut updates, false, &mut out);
            self.write(&out).await?;
        }
        self.flush().await
    }

    async fn done(&mut self, tag: String) -> io::Result<()> {
        let mut line = Vec::new();
        let end = self.line(&mut line, DONE_LIMIT).await?;
        let done = end == LineEnd::Complete && line.eq_ignore_ascii_case(b"DONE");
        self.reply(Reply::new(tag, if done { "OK IDLE completed" } else { "BAD Expected DONE" })).await
    }
}
