//! Carrying out what a session leaves to the server: logins, commits, messages, search results.

use std::io;
use std::time::Duration;

use zeroize::Zeroizing;

use super::input::Input;
use super::server::Connection;
use crate::auth::Verdict;
use crate::credential::Verifier;
use crate::imap::commands::fetch::{self, Fetched};
use crate::imap::commands::list::Listing;
use crate::imap::commands::search;
use crate::imap::state::outcome::{Fetch, FetchResult, Outcome, Reply};
use crate::net::line::LineEnd;
use crate::pace::{ITEM, Pace, TURN};
use crate::sasl::server::{Claim, Exchange, MAX_RESPONSE, Step};
use crate::serving::uncut;
use crate::store::{Error, Flags};

impl Connection {
    /// Reads a command and carries it out. The tag of an IDLE is handed back: whoever waits for long
    /// must not hold all of this.
    pub async fn command(&mut self, line: Zeroizing<Vec<u8>>, end: LineEnd) -> io::Result<Option<String>> {
        let mut out = String::new();
        self.session.takes_no_changes(self.context.store.read_only().is_some());
        let mut outcome = match self.input(line, end).await? {
            Input::Closed => return Ok(None),
            Input::Append(outcome) => outcome,
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
                Outcome::Commit { transaction, tag, then } => {
                    let result = transaction.commit().await;
                    self.session.committed(tag, then, result, &mut out)
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
                Outcome::Fetch(fetch) => self.fetch(fetch).await?,
                Outcome::Search { tag, uid, key } => {
                    let result = self.search(uid, &key).await?;
                    self.session.searched(tag, uid, result)
                }
            };
        }
    }

    /// Tells the news of the mailbox, then the tagged response.
    pub async fn reply(&mut self, reply: Reply) -> io::Result<()> {
        let mut updates = self.session.news(&reply.news);
        // A client that reads as fast as this writes never lets it wait.
        let pace = Pace::new();
        while !updates.is_empty() {
            let mut out = String::new();
            self.session.write_updates(&mut updates, reply.news.uid, &mut out);
            self.write(&out).await?;
            pace.did(out.len() as u64).await;
        }
        self.write(&format!("{} {}\r\n", reply.tag, reply.text)).await?;
        self.say(reply.goodbye.unwrap_or_default()).await
    }

    /// Opens the account that has logged in.
    async fn welcome(
        &mut self,
        tag: String,
        name: &str,
        verifier: Box<Verifier>,
        out: &mut String,
    ) -> Outcome {
        match self.context.store.account(name).await {
            Ok(account) => {
                let config = self.context.config();
                self.place.is_of_account(name, verifier, &config);
                self.session.logged_in(&config, account, tag, out)
            }
            Err(error) => {
                log::error!("imap: the mail of {name} cannot be opened: {error}");
                Outcome::reply(tag, "NO [UNAVAILABLE] The mail of this account cannot be opened now")
            }
        }
    }

    /// RFC 3501 section 6.2.2: the exchange ends when the mechanism has enough, or the client says `*`.
    async fn authenticate(
        &mut self,
        tag: String,
        mut exchange: Exchange,
        mut step: Step,
        out: &mut String,
    ) -> io::Result<Outcome> {
        let mut line = Zeroizing::default();
        loop {
            let challenge = match step {
                Step::Challenge(challenge) => challenge,
                Step::Claim(claim) => match self.judge(claim).await? {
                    Verdict::Welcome(name, verifier) => {
                        return Ok(self.welcome(tag, &name, verifier, out).await);
                    }
                    Verdict::Refused(_) => return Ok(self.session.login_refused(tag)),
                    Verdict::TurnedAway => return Ok(self.session.login_turned_away(tag)),
                    Verdict::Answer(answer) => {
                        step = exchange.answer(answer);
                        continue;
                    }
                },
                Step::Failed => return Ok(self.session.login_refused(tag)),
            };
            self.say(&format!("+ {challenge}\r\n")).await?;
            step = match self.read_line(&mut line, MAX_RESPONSE).await? {
                LineEnd::Complete if line.as_slice() == b"*" => {
                    return Ok(Outcome::reply(tag, "BAD The login was cancelled"));
                }
                LineEnd::Complete => exchange.respond(&line),
                LineEnd::TooLong => Step::Failed,
                LineEnd::Closed => return Ok(Outcome::End),
            };
        }
    }

    async fn list(&mut self, listing: &mut Listing) -> io::Result<()> {
        let (pace, mut out) = (Pace::new(), String::new());
        loop {
            let more = self.session.list(listing, &mut out);
            self.write(&out).await?;
            if !more {
                return Ok(());
            }
            out.clear();
            // To find the next names, all are looked at.
            pace.did(TURN).await;
        }
    }

    async fn fetch(&mut self, fetch: Fetch) -> io::Result<Outcome> {
        let mut outcome = FetchResult::default();
        let mut flags = String::new();
        let pace = Pace::new();
        for seq in fetch.messages.iter().cloned().flatten() {
            pace.did(ITEM).await;
            let Some(selected) = self.session.selected() else { break };
            let Some(message) = selected.message(seq, &mut flags) else {
                outcome.gone = true;
                continue;
            };
            // A client that reads at all reads this fast.
            let limit = Duration::from_secs(5 * 60 + u64::from(message.size) / 1024);
            let fetched = Fetched { seq, message, flags: &flags };
            let account = selected.account();
            let last = &mut self.own.last_structure;
            let write = fetch::write(&mut self.stream, account, fetched, &fetch.items, last, &pace);
            let written = uncut(&self.place, &self.context.time, limit, write).await;
            if written.is_err() {
                self.broke_off();
            }
            let whole = written?;
            outcome.damaged |= !whole;
            if whole && fetch.sets_seen && !message.flags.contains(Flags::SEEN) {
                outcome.unseen.push(message.uid);
            }
        }
        Ok(self.session.fetched(fetch, outcome))
    }

    /// RFC 3501 section 7.2.5.
    async fn search(
        &mut self,
        uid: bool,
        key: &crate::imap::wire::command::SearchKey,
    ) -> io::Result<Result<(), Error>> {
        let Some(selected) = self.session.selected() else { return Ok(Ok(())) };
        let found = match search::run(selected.account(), selected.numbers(), key).await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        self.write("* SEARCH").await?;
        let pace = Pace::new();
        for seq in found {
            pace.did(ITEM).await;
            let number = match self.session.selected() {
                Some(selected) if uid => selected.numbers().uid(seq).unwrap_or(seq),
                _ => seq,
            };
            self.write(&format!(" {number}")).await?;
        }
        self.write("\r\n").await?;
        Ok(Ok(()))
    }
}
