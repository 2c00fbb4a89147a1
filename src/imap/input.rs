//! Reading: commands with their literals, and the message of an APPEND in pieces.

use std::io;
use std::time::Duration;

use super::command::{Append, Tagged};
use super::effect::Effect;
use super::gather::{Gather, Next};
use super::parse::Refused;
use super::server::Connection;
use crate::net::deadline;
use crate::net::line::{LineEnd, read_line};
use crate::store::Incoming;

/// Octets of a command before the login, and after.
const LIMIT_BEFORE_LOGIN: usize = 8 * 1024;
const LIMIT: usize = 64 * 1024;
/// Time for a client to send octets that nobody wants.
const SKIP_TIME: Duration = Duration::from_secs(5 * 60);

/// What a client said.
pub(super) enum Input {
    /// A command.
    Command(Tagged),
    /// Something that is none.
    Refused(Refused),
    /// APPEND, whose message was taken or refused on the way.
    Append(Effect),
    /// The client closed the connection.
    Closed,
}

impl Connection {
    /// Reads one command.
    pub async fn input(&mut self) -> io::Result<Input> {
        let limit = if self.session.account().is_some() { LIMIT } else { LIMIT_BEFORE_LOGIN };
        let mut gather = Gather::new(limit);
        let mut line = Vec::new();
        loop {
            let whole = match self.line(&mut line, gather.room()).await? {
                LineEnd::Closed => return Ok(Input::Closed),
                end => end == LineEnd::Complete,
            };
            match gather.line(&line, whole) {
                Next::Finished => break,
                Next::Literal { length, synchronizing } => {
                    self.go_ahead(synchronizing).await?;
                    self.pieces(length, |piece| gather.literal(piece)).await?;
                }
                Next::Skip(length) => self.skip(length).await?,
                Next::Message { append, length, synchronizing } => {
                    return self.message(append, length, synchronizing).await.map(Input::Append);
                }
            }
        }
        Ok(match gather.finish() {
            Ok(command) => Input::Command(command),
            Err(refused) => Input::Refused(refused),
        })
    }

    /// Reads one line.
    pub async fn line(&mut self, line: &mut Vec<u8>, limit: usize) -> io::Result<LineEnd> {
        deadline(self.patience(), read_line(&mut self.stream, line, limit)).await
    }

    /// The command continuation request that a synchronizing literal waits for.
    async fn go_ahead(&mut self, synchronizing: bool) -> io::Result<()> {
        if synchronizing { self.say("+ Go ahead\r\n").await } else { Ok(()) }
    }

    /// Hands `length` octets on as they come.
    async fn pieces(&mut self, mut length: u64, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        while length > 0 {
            let octets = deadline(self.patience(), self.stream.fill()).await?;
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
        deadline(SKIP_TIME, self.pieces(length, |_| {})).await
    }

    /// Takes the message of an APPEND, or throws it away where it comes although it is refused.
    async fn message(&mut self, append: Append, length: u64, synchronizing: bool) -> io::Result<Effect> {
        let mut target = match self.session.append(&self.context.config(), &append, length) {
            Ok(target) => target,
            Err(refusal) => {
                if !synchronizing {
                    self.skip(length).await?;
                    self.rest().await?;
                }
                return Ok(Effect::Reply(refusal));
            }
        };
        self.go_ahead(synchronizing).await?;
        let mut result = Ok(());
        self.pieces(length, |piece| take(&mut target.message, &mut result, piece)).await?;
        let nothing_follows = self.rest().await?;
        Ok(match result {
            Ok(()) if nothing_follows => target.keep(append),
            Ok(()) => Effect::reply(append.tag, "BAD Expected the end of the command after the message"),
            Err(error) => Effect::reply(append.tag, super::reply::refusal(&error)),
        })
    }

    /// The rest of a command whose literal is done with; whether there is nothing in it.
    async fn rest(&mut self) -> io::Result<bool> {
        let mut line = Vec::new();
        let end = self.line(&mut line, LIMIT_BEFORE_LOGIN).await?;
        Ok(end == LineEnd::Complete && line.is_empty())
    }
}

/// Keeps the first error: what comes after it is thrown away.
fn take(message: &mut Incoming, result: &mut Result<(), crate::store::Error>, piece: &[u8]) {
    if result.is_ok() {
        *result = message.write(piece);
    }
}
