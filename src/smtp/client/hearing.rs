//! The replies of the server: which message each reply belongs to, and what the end of the connection means for
//! messages under way.

use std::io;

use smol::future::or;

use super::failure::{login_wanted, lost, nonsense};
use super::transaction::{Step, Trouble};
use super::wire::read_reply;
use super::{Answered, Client, Extension, Failure, Outcome, QUIT};

/// Replies that are read from a server that is closing, in search of the one that says why.
const MAX_UNHEARD: usize = 8;

impl Client {
    /// The server takes no more octets. Reads its remaining replies, first those to earlier messages, since one may
    /// say why.
    pub(super) async fn given_up(&mut self, error: io::Error) -> Failure {
        let time = self.time.clone();
        let said = or(self.last_words(), async {
            time.sleep(QUIT).await;
            None
        });
        let failure = said.await.unwrap_or_else(|| lost(error));
        self.deaf.get_or_insert_with(|| failure.clone());
        failure
    }

    /// The reason that the server gives before it closes; `None` if it gives none.
    async fn last_words(&mut self) -> Option<Failure> {
        while self.under_way.iter().rev().skip(1).any(|before| before.outcome.is_none()) {
            if let Err(failure) = self.hear().await {
                return Some(failure);
            }
        }
        // Replies to this message's commands may come before the refusal of its content.
        for _ in 0..MAX_UNHEARD {
            let reply = read_reply(&mut self.stream).await.ok()?;
            if !reply.is_positive() && !reply.is_intermediate() {
                return Some(Failure::Unavailable(reply.to_string()));
            }
        }
        None
    }

    /// Checks that nothing was sent between two messages. Such an answer would be taken for the reply to the next
    /// command.
    pub(super) async fn listen(&mut self) -> Result<(), Failure> {
        if self.under_way.iter().any(|message| message.outcome.is_none()) {
            return Ok(());
        }
        let Some(said) = smol::future::poll_once(self.stream.fill()).await else { return Ok(()) };
        if said.map_err(lost)?.is_empty() {
            return Err(lost(io::Error::new(io::ErrorKind::UnexpectedEof, "the other end closed")));
        }
        let reply = self.time.deadline(QUIT, read_reply(&mut self.stream)).await.map_err(lost)?;
        if reply.code == 421 {
            return Err(Failure::Unavailable(reply.to_string()));
        }
        Err(self.lie(Extension::Chunking, format!("the smarthost says unasked {reply}")))
    }

    /// Reads a reply and gives it to its message. Returns the place of that message among those under way, and its
    /// next step, or `None` if it has its outcome now.
    pub(super) async fn hear(&mut self) -> Result<(usize, Option<Step>), Failure> {
        let heard = self.hear_one().await;
        if let Err(failure) = &heard {
            self.deaf.get_or_insert_with(|| failure.clone());
        }
        heard
    }

    async fn hear_one(&mut self) -> Result<(usize, Option<Step>), Failure> {
        let waiting = self.under_way.iter().position(|message| message.outcome.is_none());
        let waits = waiting.and_then(|at| Some((at, self.under_way.get(at)?)));
        let Some((at, message)) = waits else {
            return Err(Failure::Unavailable("no reply is expected".to_owned()));
        };
        let patience = message.transaction.patience().min(message.left(&self.time));
        let waits_since = self.time.now();
        let reply = self.time.deadline(patience, read_reply(&mut self.stream)).await;
        let waited = self.time.since(waits_since);
        let Some(message) = self.under_way.get_mut(at) else {
            return Err(Failure::Unavailable("no reply is expected".to_owned()));
        };
        let step = match reply {
            Err(error) => {
                let relies_on = message.transaction.relies_on();
                let sent = message.sent.is_some();
                return Err(match (relies_on, lost(error)) {
                    // The message may have been taken: another try at once would bring it twice.
                    (Some(extension), failure) if sent => {
                        self.quirks.do_without(extension, &self.time);
                        failure
                    }
                    (Some(extension), failure) => self.lie(extension, failure.to_string()),
                    (None, failure) => failure,
                });
            }
            // What is refused to a message that comes after others it may grant to one that comes first.
            Ok(reply) if self.has_taken && message.transaction.is_refused_by(&reply) => {
                Err(Trouble::Enough(reply))
            }
            Ok(reply) => message.transaction.reply(reply),
        };
        match step {
            Ok(Step::Done(outcome)) => {
                let after = message.sent.map(|sent| self.time.since(sent));
                self.answered = after.map(|after| Answered { after, waited });
                self.decided(at, outcome);
                Ok((at, None))
            }
            Ok(step) => Ok((at, Some(step))),
            Err(trouble) => {
                // The reply answers this message, so the server has not taken it.
                message.sent = None;
                Err(match trouble {
                    Trouble::Enough(reply) => Failure::Again(format!(
                        "the smarthost takes no further message on this connection: {reply}"
                    )),
                    Trouble::Closing(reply) => Failure::Unavailable(reply.to_string()),
                    Trouble::Login(reply) => login_wanted(&reply),
                    Trouble::Nonsense(reply) => Failure::Unavailable(nonsense(&reply)),
                    Trouble::Lie(extension, reply) => self.lie(extension, nonsense(&reply)),
                })
            }
        }
    }

    pub(super) fn decided(&mut self, at: usize, outcome: Outcome) {
        let is_last = !self.under_way.iter().skip(at + 1).any(|later| later.offered);
        let Some(message) = self.under_way.get_mut(at) else { return };
        self.has_taken |= outcome.verdicts.iter().any(|verdict| verdict.is_positive());
        message.outcome = Some(outcome);
        self.proven |= self.capabilities.pipelining;
        if is_last {
            self.unclean = message.transaction.is_unclean();
        }
    }

    /// The failure for a server that does not do what it offers.
    fn lie(&self, extension: Extension, words: String) -> Failure {
        match self.quirks.do_without(extension, &self.time) {
            true => Failure::Again(words),
            false => Failure::Unavailable(words),
        }
    }
}
