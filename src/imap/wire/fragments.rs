//! Where a command ends: lines, and the literals that they announce (RFC 3501 section 4.3, RFC 7888).
//!
//! Only the literal of an APPEND may be large, and it is not gathered here but streamed by whoever
//! reads. Everything else that is longer than the limit is refused while it arrives, so that one bad
//! command costs one command and no memory.

use zeroize::Zeroizing;

use super::command::{Append, Tagged};
use super::grammar::{self, Problem, Refused};

/// Literals that can stand before the message of an APPEND: its mailbox. To look for one behind each of ten thousand
/// literals would be to read the command ten thousand times.
const BEFORE_MESSAGE: usize = 1;

/// Octets kept of a refused command: the tag is among them.
const KEPT: usize = 256;

/// A command on its way in.
#[derive(Debug)]
pub struct Fragments {
    /// A password may be among them.
    octets: Zeroizing<Vec<u8>>,
    limit: usize,
    problem: Option<Problem>,
    /// Literals that were announced.
    literals: usize,
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Nothing: see [`Fragments::finish`].
    Finished,
    /// A literal for [`Fragments::literal`], then a line.
    Literal {
        /// Octets.
        length: u64,
        /// The client waits for a continuation request.
        synchronizing: bool,
    },
    /// Octets to be thrown away, then a line.
    Skip(u64),
    /// The message of an APPEND, then an empty line; the gathering ends here.
    Message {
        /// All that was said before.
        append: Append,
        /// Octets.
        length: u64,
        /// The client waits for a continuation request.
        synchronizing: bool,
    },
}

impl Fragments {
    /// Nothing yet; a command may have `limit` octets, literals but for the APPEND's included.
    pub fn new(limit: usize) -> Fragments {
        Fragments { octets: Zeroizing::default(), limit, problem: None, literals: 0 }
    }

    /// What comes behind the message of an APPEND, where nothing belongs: all of it is refused, and the
    /// literals that it announces are passed over.
    pub fn behind_message(limit: usize) -> Fragments {
        let problem = Some(Problem::Expected("the end of the command after the message"));
        Fragments { problem, ..Fragments::new(limit) }
    }

    /// The octets that a line may still have.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.octets.len())
    }

    /// Takes a line without its CRLF; `whole` is false for the beginning of one that was longer than
    /// [`Fragments::room`].
    pub fn line(&mut self, line: &[u8], whole: bool) -> Next {
        if !whole {
            self.refuse(line);
            return Next::Finished;
        }
        let Some(literal) = Announced::at_end_of(line) else {
            self.keep(line);
            return Next::Finished;
        };
        self.literals += 1;
        if self.problem.is_none()
            && self.literals <= BEFORE_MESSAGE + 1
            && let Some(append) = self.append(line, literal.marker)
        {
            let Announced { length, synchronizing, .. } = literal;
            return Next::Message { append, length, synchronizing };
        }
        self.keep(line);
        self.keep(b"\r\n");
        if literal.length > self.room() as u64 {
            self.refuse(b"");
        }
        match (self.problem, literal.synchronizing) {
            (None, synchronizing) => Next::Literal { length: literal.length, synchronizing },
            (Some(_), true) => Next::Finished,
            (Some(_), false) => Next::Skip(literal.length),
        }
    }

    /// Takes a piece of a literal.
    pub fn literal(&mut self, piece: &[u8]) {
        self.keep(piece);
    }

    /// The command, or why there is none.
    ///
    /// # Errors
    /// Too long, or not in the grammar.
    pub fn finish(self) -> Result<Tagged, Refused> {
        match self.problem {
            Some(problem) => Err(Refused { tag: grammar::tag_of(&self.octets), problem }),
            None => grammar::parse(&self.octets),
        }
    }

    fn append(&self, line: &[u8], marker: usize) -> Option<Append> {
        let line = line.get(..line.len() - marker)?;
        if self.octets.is_empty() {
            return grammar::append(line);
        }
        grammar::append(&[self.octets.as_slice(), line].concat())
    }

    fn keep(&mut self, octets: &[u8]) {
        if octets.len() > self.room() {
            self.refuse(octets);
        }
        if self.problem.is_none() {
            self.octets.extend_from_slice(octets);
        }
    }

    fn refuse(&mut self, more: &[u8]) {
        if self.problem.is_none() {
            self.problem = Some(Problem::TooLong);
            self.octets.extend(more.iter().take(KEPT));
            self.octets.truncate(KEPT);
            self.octets.shrink_to_fit();
        }
    }
}

/// `{n}` or `{n+}` at the end of a line.
struct Announced {
    length: u64,
    synchronizing: bool,
    /// Octets of the announcement.
    marker: usize,
}

impl Announced {
    fn at_end_of(line: &[u8]) -> Option<Announced> {
        let inside = line.strip_suffix(b"}")?;
        let open = inside.iter().rposition(|&c| c == b'{')?;
        let inside = std::str::from_utf8(inside.get(open + 1..)?).ok()?;
        let digits = inside.strip_suffix('+').unwrap_or(inside);
        if !digits.bytes().all(|c| c.is_ascii_digit()) {
            return None;
        }
        if digits.is_empty() {
            return None;
        }
        // More than can be counted is a literal all the same, and what follows is no command.
        let length = digits.parse().unwrap_or(u64::MAX);
        Some(Announced { length, synchronizing: digits.len() == inside.len(), marker: line.len() - open })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::wire::command::Command;

    fn outcome(fragments: Fragments) -> Result<Command, (Option<String>, Problem)> {
        fragments.finish().map(|t| t.command).map_err(|refused| (refused.tag, refused.problem))
    }

    /// Catches: a command that is read from its beginning behind each of its literals.
    #[test]
    fn the_message_of_an_append_is_looked_for_behind_its_mailbox_only() {
        for (before, is_message) in [(0, true), (1, true), (2, false), (5000, false)] {
            let mut fragments = Fragments { literals: before, ..Fragments::new(1000) };
            let next = fragments.line(b"a APPEND x {3}", true);
            assert_eq!(matches!(next, Next::Message { .. }), is_message, "behind {before} literals");
        }
    }

    #[test]
    fn a_command_is_its_lines_and_literals() {
        let mut fragments = Fragments::new(100);
        assert_eq!(fragments.line(b"a SELECT {3+}", true), Next::Literal { length: 3, synchronizing: false });
        fragments.literal(b"a");
        fragments.literal(b" b");
        assert_eq!(fragments.line(b"", true), Next::Finished);
        assert!(matches!(outcome(fragments), Ok(Command::Select(name, _)) if name.0 == "a b"));
    }

    #[test]
    fn the_literal_of_an_append_is_left_to_the_reader() {
        let mut fragments = Fragments::new(100);
        assert_eq!(fragments.line(b"a APPEND {1}", true), Next::Literal { length: 1, synchronizing: true });
        fragments.literal(b"x");
        let next = fragments.line(b" (\\Seen) {50000000}", true);
        assert!(matches!(next, Next::Message { length: 50_000_000, synchronizing: true, .. }));
    }

    #[test]
    fn too_long_a_synchronizing_literal_is_not_asked_for() {
        let mut fragments = Fragments::new(100);
        assert_eq!(fragments.line(b"a7 LOGIN {101}", true), Next::Finished);
        assert_eq!(outcome(fragments), Err((Some("a7".into()), Problem::TooLong)));
    }

    #[test]
    fn too_long_a_non_synchronizing_literal_is_skipped_with_the_rest_of_its_command() {
        let mut fragments = Fragments::new(100);
        assert_eq!(fragments.line(b"a7 LOGIN {101+}", true), Next::Skip(101));
        assert_eq!(fragments.line(b" {3+}", true), Next::Skip(3));
        assert_eq!(fragments.line(b" x", true), Next::Finished);
        assert_eq!(outcome(fragments), Err((Some("a7".into()), Problem::TooLong)));
    }

    /// Catches: what follows the message of an APPEND run as commands.
    #[test]
    fn behind_a_message_literals_are_passed_over() {
        let mut fragments = Fragments::behind_message(100);
        assert_eq!(fragments.line(b" (\\Seen) {34+}", true), Next::Skip(34));
        assert_eq!(fragments.line(b" {1000000+}", true), Next::Skip(1_000_000));
        assert_eq!(fragments.line(b" {34}", true), Next::Finished, "a client waits for a go-ahead");
        let mut fragments = Fragments::behind_message(100);
        assert_eq!(fragments.line(b"a APPEND x {3+}", true), Next::Skip(3), "no command begins here");
    }

    #[test]
    fn too_long_a_line_is_answered_under_its_tag() {
        let mut fragments = Fragments::new(100);
        assert_eq!(fragments.line(&b"a7 NOOP ".repeat(12), false), Next::Finished);
        assert_eq!(outcome(fragments), Err((Some("a7".into()), Problem::TooLong)));

        let mut fragments = Fragments::new(100);
        assert_eq!(fragments.line(&b"x".repeat(10_000), false), Next::Finished);
        assert!(fragments.octets.capacity() <= KEPT);
        assert_eq!(outcome(fragments), Err((None, Problem::TooLong)));
    }

    #[test]
    fn literals_are_announced_at_the_end_of_a_line_only() {
        let announced = |line: &str| {
            let literal = Announced::at_end_of(line.as_bytes());
            literal.map(|literal| (literal.length, literal.synchronizing))
        };
        for (line, expected) in [
            ("a {10}", Some((10, true))),
            ("a {10+}", Some((10, false))),
            ("{0}", Some((0, true))),
            ("a {10-}", None),
            ("a {}", None),
            ("a {+5}", None),
            ("a {10}\"", None),
            ("a {18446744073709551616}", Some((u64::MAX, true))),
            ("a {18446744073709551616+}", Some((u64::MAX, false))),
            ("a {+}", None),
            ("}", None),
        ] {
            assert_eq!(announced(line), expected, "{line}");
        }
    }
}
