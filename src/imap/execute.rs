//! Carries out what a session leaves to the server: logins, commits, messages, search results.

use std::io;

use zeroize::Zeroizing;

use super::input::Input;
use super::server::Connection;
use crate::auth::Verdict;
use crate::imap::commands::progress::Progress;
use crate::imap::state::outcome::{MailboxUpdates, Outcome, Reply};
use crate::imap::state::session::Session;
use crate::imap::state::updates::Updates;
use crate::net::line::LineEnd;
use crate::pace::{Pace, STEP};
use crate::sasl::server::Claim;
use crate::store::Error;

impl Connection {
    /// Reads a command and carries it out. Returns the tag of an IDLE: a connection that waits for long must not hold
    /// the memory of this future.
    pub async fn command(&mut self, line: Zeroizing<Vec<u8>>, end: LineEnd) -> io::Result<Option<String>> {
        let mut out = String::new();
        self.session.takes_no_changes(self.context.store.read_only().is_some());
        let mut outcome = match self.input(line, end).await? {
            Input::Closed => return Ok(None),
            Input::Command(command) => self.session.handle(&self.context.config(), command, &mut out),
            Input::Refused(refused) => {
                let refusal = self.session.refuse(refused);
                self.say(&refusal).await?;
                return Ok(None);
            }
        };
        loop {
            self.write(&std::mem::take(&mut out)).await?;
            outcome = match outcome {
                Outcome::Reply(reply) => {
                    self.reply(reply).await?;
                    return Ok(None);
                }
                Outcome::End => {
                    self.flush().await?;
                    return Ok(None);
                }
                Outcome::Idle { tag } => return Ok(Some(tag)),
                Outcome::StartTls(reply) => {
                    self.reply(reply).await?;
                    self.handshake().await?;
                    return Ok(None);
                }
                Outcome::Login { tag, username, password } => {
                    match self.judge(Claim::Password { login: username, password }).await? {
                        Verdict::Welcome(name, verifier) => {
                            self.welcome(tag, &name, verifier, &mut out).await
                        }
                        Verdict::Answer(_) | Verdict::Refused(_) => self.session.login_refused(tag),
                        Verdict::TurnedAway => self.session.login_turned_away(tag),
                    }
                }
                Outcome::Authenticate { tag, exchange, step } => {
                    self.authenticate(tag, exchange, step, &mut out).await?
                }
                Outcome::Commit { mut transaction, tag, then } => {
                    self.session.makes(&mut transaction);
                    let commit = async |_: &Session, _: &Progress| transaction.commit().await;
                    let result = self.telling(&tag, commit).await?;
                    self.session.committed(tag, then, result, &mut out)
                }
                Outcome::Octets { octets, reply } => {
                    self.write(&octets).await?;
                    Outcome::Reply(reply)
                }
                Outcome::Aside { what, transaction, reply } => {
                    match transaction.commit().await {
                        Ok(_) | Err(Error::ReadOnly) => {}
                        Err(error) => log::warn!("imap: {what} could not be written: {error}"),
                    }
                    Outcome::Reply(reply)
                }
                Outcome::List { mut listing, reply } => {
                    self.list(&mut listing).await?;
                    Outcome::Reply(reply)
                }
                Outcome::Append(appending) => self.append(*appending).await?,
                Outcome::Resync { mut missed, reply } => {
                    self.tell_updates(&mut missed, true).await?;
                    Outcome::Reply(reply)
                }
                Outcome::Fetch(fetch) => self.fetch(fetch).await?,
                Outcome::Search { tag, args } => self.search(tag, args).await?,
                Outcome::Sort { tag, args } => self.sort(tag, *args).await?,
                Outcome::Notify { tag, set } => Box::pin(self.notify(tag, *set)).await?,
                Outcome::Thread { tag, uid, algorithm, key } => {
                    self.thread(tag, uid, algorithm, &key).await?
                }
            };
        }
    }

    /// Tells the client of changes in the selected mailbox, then sends the tagged response.
    pub async fn reply(&mut self, reply: Reply) -> io::Result<()> {
        self.tell_selected(&reply.news).await?;
        let tagged = self.session.tagged_response(&reply);
        self.write(&tagged).await?;
        self.say(reply.goodbye.unwrap_or_default()).await
    }

    /// Tells the client of changes in the selected mailbox.
    pub async fn tell_selected(&mut self, news: &MailboxUpdates) -> io::Result<()> {
        let mut updates = self.session.news(news);
        // RFC 5465 section 5.1: a client that has sent NOTIFY is told the UID.
        self.tell_updates(&mut updates, news.uid || self.session.notify.is_some()).await?;
        self.tell_new().await?;
        self.tell_contexts().await
    }

    /// Sends updates of the selected mailbox, in pieces.
    pub async fn tell_updates(&mut self, updates: &mut Updates, uid: bool) -> io::Result<()> {
        // With a client that reads as fast as this writes, writing never waits: others would get no turn.
        let pace = Pace::new();
        while !updates.is_empty() {
            let mut out = String::new();
            self.session.write_updates(updates, uid, &mut out);
            self.write(&out).await?;
            // A short response may have needed a look at many messages.
            pace.did(STEP.max(out.len() as u64)).await;
        }
        Ok(())
    }
}
