//! Reads commands with their literals.

use std::io;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::server::{Connection, Imap};
use crate::imap::wire::command::{Literal, Tagged};
use crate::imap::wire::fragments::{Fragments, Next};
use crate::imap::wire::grammar::{self, Refused};
use crate::net::line::LineEnd;
use crate::serving::Protocol;

/// Octets of a command after the login at most.
pub(super) const LIMIT: usize = 64 * 1024;
/// Octets of a line before the login at most: an ID of 30 fields of 30 octets with values of 1024 octets (RFC 2971
/// section 3.3), and what is between them.
pub(super) const LIMIT_BEFORE_LOGIN: usize = 34 * 1024;
/// Octets of any command other than ID before the login at most.
const OTHERS_BEFORE_LOGIN: usize = 8 * 1024;
/// Time in which a client must have sent octets that are discarded.
const SKIP_TIME: Duration = Duration::from_secs(5 * 60);

/// What a client has sent.
pub(super) enum Input {
    /// A command.
    Command(Tagged),
    /// Something that is not a command.
    Refused(Refused),
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
        let mut fragments = Fragments::new(limit, self.session.enabled);
        loop {
            if end == LineEnd::Closed {
                return Ok(Input::Closed);
            }
            let whole = end == LineEnd::Complete;
            match fragments.line(&line, whole) {
                Next::Finished => break,
                Next::Literal(literal) => {
                    self.go_ahead(literal).await?;
                    self.pieces(literal.length, |piece| fragments.literal(piece)).await?;
                }
                Next::Skip(length) => self.skip(length).await?,
                Next::Append(append) => return Ok(Input::Command(append)),
            }
            end = self.read_line(&mut line, fragments.room()).await?;
        }
        Ok(match fragments.finish() {
            Ok(command) => Input::Command(command),
            Err(refused) => Input::Refused(refused),
        })
    }

    /// Sends the command continuation request that a synchronizing literal waits for.
    pub async fn go_ahead(&mut self, literal: Literal) -> io::Result<()> {
        if literal.synchronizing { self.say("+ Go ahead\r\n").await } else { Ok(()) }
    }

    /// Reads `length` octets and hands them to `take` as they come.
    pub async fn pieces(&mut self, length: u64, take: impl FnMut(&[u8])) -> io::Result<()> {
        self.pieces_until(length, None, take).await
    }

    async fn pieces_until(
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

    /// Reads `length` octets and discards them. RFC 7888 section 4 allows a server to close the connection instead:
    /// this is done when they take too long.
    pub async fn skip(&mut self, length: u64) -> io::Result<()> {
        let until = self.context.time.now() + SKIP_TIME;
        self.pieces_until(length, Some(until), |_| {}).await
    }
}
