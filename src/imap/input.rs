//! Reading: commands with their literals, and the message of an APPEND in pieces.

use std::io;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::server::{Connection, Imap};
use crate::imap::state::outcome::Outcome;
use crate::imap::wire::command::{Append, Tagged};
use crate::imap::wire::fragments::{Fragments, Next};
use crate::imap::wire::grammar::{self, Refused};
use crate::net::line::LineEnd;
use crate::serving::Protocol;
use crate::store::Incoming;

/// Octets of a command after the login.
pub(super) const LIMIT: usize = 64 * 1024;
/// Octets of a line before the login: an ID of 30 fields of 30 octets, with values of 1024 octets (RFC 2971 section
/// 3.3), and what stands between them.
pub(super) const LIMIT_BEFORE_LOGIN: usize = 34 * 1024;
/// Octets of any other command before the login.
const OTHERS_BEFORE_LOGIN: usize = 8 * 1024;
/// Time for a client to send octets that nobody wants.
const SKIP_TIME: Duration = Duration::from_secs(5 * 60);

/// What a client said.
pub(super) enum Input {
    /// A command.
    Command(Tagged),
    /// Something that is none.
    Refused(Refused),
    /// APPEND, whose message was taken or refused on the way.
    Append(Outcome),
    /// The client closed the connection.
    Closed,
}

impl Connection {
    /// Reads the command that begins with `line`.
    pub async fn input(&mut self, mut line: Zeroizing<Vec<u8>>, mut end: LineEnd) -> io::Result<Input> {
        let limit = match self.session.account() {
            None if !grammar::is_id(&line) => OTHERS_BEFORE_LOGIN,
            _ => Imap::line_limit(&self.session),
        };
        let mut fragments = Fragments::new(limit);
        loop {
            if end == LineEnd::Closed {
                return Ok(Input::Closed);
            }
            let whole = end == LineEnd::Complete;
            match fragments.line(&line, whole) {
                Next::Finished => break,
                Next::Literal { length, synchronizing } => {
                    self.go_ahead(synchronizing).await?;
                    self.pieces(length, None, |piece| fragments.literal(piece)).await?;
                }
                Next::Skip(length) => self.skip(length).await?,
                Next::Message { append, length, synchronizing } => {
                    return self.message(append, length, synchronizing).await.map(Input::Append);
                }
            }
            end = self.read_line(&mut line, fragments.room()).await?;
        }
        Ok(match fragments.finish() {
            Ok(command) => Input::Command(command),
            Err(refused) => Input::Refused(refused),
        })
    }

    /// The command continuation request that a synchronizing literal waits for.
    async fn go_ahead(&mut self, synchronizing: bool) -> io::Result<()> {
        if synchronizing { self.say("+ Go ahead\r\n").await } else { Ok(()) }
    }

    /// Hands `length` octets on as they come, all of them before `until`.
    async fn pieces(
        &mut self,
        mut length: u64,
        until: Option<Instant>,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        while length > 0 {
            let left = until.map(|until| until.saturating_duration_since(self.context.time.now()));
            let patience = left.map_or(self.patience(), |left| left.min(self.patience()));
            let octets = self.fill(patience).await?;
            if octets.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let piece = octets.get(..usize::try_from(length).unwrap_or(usize::MAX)).unwrap_or(octets);
            take(piece);
            let taken = piece.len();
            self.stream.consume(taken);
            length -= taken as u64;
        }
        Ok(())
    }

    /// Throws away `length` octets. RFC 7888 section 4 lets a server close the connection instead: that
    /// happens to a client that goes on for long.
    async fn skip(&mut self, length: u64) -> io::Result<()> {
        let until = self.context.time.now() + SKIP_TIME;
        self.pieces(length, Some(until), |_| {}).await
    }

    /// Takes the message of an APPEND, or throws it away where it comes although it is refused.
    async fn message(&mut self, append: Append, length: u64, synchronizing: bool) -> io::Result<Outcome> {
        let mut target = match self.session.append(&self.context.config(), &append, length) {
            Ok(target) => target,
            Err(refusal) => {
                if !synchronizing {
                    self.skip(length).await?;
                    self.rest().await?;
                }
                return Ok(Outcome::Reply(refusal));
            }
        };
        self.go_ahead(synchronizing).await?;
        let mut result = Ok(());
        self.pieces(length, None, |piece| take(&mut target.message, &mut result, piece)).await?;
        let nothing_follows = self.rest().await?;
        Ok(match result {
            Ok(()) if nothing_follows => target.keep(append),
            Ok(()) => Outcome::reply(append.tag, "BAD Expected the end of the command after the message"),
            Err(error) => Outcome::reply(append.tag, crate::imap::wire::words::refusal(&error)),
        })
    }

    /// The rest of a command whose message is done with; whether there is nothing in it. Literals that it
    /// announces come whether they are wanted or not, and none of them may be taken for a command.
    async fn rest(&mut self) -> io::Result<bool> {
        let mut rest = Fragments::behind_message(OTHERS_BEFORE_LOGIN);
        let (mut line, mut nothing) = (Zeroizing::default(), true);
        loop {
            let end = self.read_line(&mut line, rest.room()).await?;
            nothing &= end == LineEnd::Complete && line.is_empty();
            match rest.line(&line, end == LineEnd::Complete) {
                Next::Skip(length) => self.skip(length).await?,
                _ => return Ok(nothing),
            }
        }
    }
}

/// Keeps the first error: what comes after it is thrown away.
fn take(message: &mut Incoming, result: &mut Result<(), crate::store::Error>, piece: &[u8]) {
    if result.is_ok() {
        *result = message.write(piece);
    }
}
