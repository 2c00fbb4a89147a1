//! Finds where a command ends: its lines, and the literals that they announce (RFC 3501 section 4.3, RFC 7888).
//!
//! Only the literal of an APPEND may be large. It is not gathered here: the caller streams it. Everything else that
//! is longer than the limit is refused while it arrives, so that one bad command costs one command and no memory.

use zeroize::Zeroizing;

use super::command::{Literal, Tagged};
use super::extension::Enabled;
use super::grammar::{self, Problem, Refused, append};
use crate::net::line::TAIL;
use crate::wiping;

/// Literals that can come before the message of an APPEND: only its mailbox. To check after each of ten thousand
/// literals whether an APPEND has begun would mean to read the command ten thousand times.
const BEFORE_MESSAGE: usize = 1;

/// Octets that are kept of a refused command: they contain its tag.
const KEPT: usize = 256;

/// A command that is being received.
#[derive(Debug)]
pub struct Fragments {
    /// The octets so far, which may contain a password.
    octets: Zeroizing<Vec<u8>>,
    limit: usize,
    enabled: Enabled,
    problem: Option<Problem>,
    /// How many literals were announced.
    literals: usize,
}

/// What the caller must do next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Call [`Fragments::finish`]: the command is complete.
    Finished,
    /// Read a literal for [`Fragments::literal`], then a line.
    Literal(Literal),
    /// Read so many octets and discard them, then read a line.
    Skip(u64),
    /// Carry out a command whose first message literal comes now. The rest of the command is not gathered here.
    Append(Tagged),
}

impl Fragments {
    /// An empty command of a client that has enabled `enabled`. A command may have `limit` octets, including
    /// literals, but not the messages of an APPEND.
    pub fn new(limit: usize, enabled: Enabled) -> Fragments {
        Fragments { octets: Zeroizing::default(), limit, enabled, problem: None, literals: 0 }
    }

    /// How many octets the next line may have.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.octets.len())
    }

    /// Adds a line without its CRLF. `whole` is false when the line was longer than [`Fragments::room`], and only its
    /// beginning and its end are given.
    pub fn line(&mut self, line: &[u8], whole: bool) -> Next {
        if !whole {
            self.refuse(line);
        }
        let Some(Announced { literal, marker }) = Announced::at_end_of(line, whole) else {
            self.keep(line);
            return Next::Finished;
        };
        self.literals += 1;
        if self.problem.is_none()
            && self.literals <= BEFORE_MESSAGE + 1
            && let Some(append) = self.append(line, marker, literal)
        {
            return Next::Append(append);
        }
        self.keep(line);
        self.keep(b"\r\n");
        if literal.length > self.room() as u64 {
            self.refuse(b"");
        }
        match self.problem {
            None => Next::Literal(literal),
            Some(_) if literal.synchronizing => Next::Finished,
            Some(_) => Next::Skip(literal.length),
        }
    }

    /// Adds a piece of a literal.
    pub fn literal(&mut self, piece: &[u8]) {
        self.keep(piece);
    }

    /// The command that was received.
    ///
    /// # Errors
    /// The command is too long, or does not match the grammar.
    pub fn finish(self) -> Result<Tagged, Refused> {
        match self.problem {
            Some(problem) => Err(Refused { tag: grammar::tag_of(&self.octets), problem }),
            None => grammar::parse(&self.octets, self.enabled),
        }
    }

    fn append(&self, line: &[u8], marker: usize, literal: Literal) -> Option<Tagged> {
        let line = line.get(..line.len() - marker)?;
        if self.octets.is_empty() {
            return append::begins(line, literal, self.enabled);
        }
        // Commands that may contain a password are not copied.
        append::may_begin(&self.octets)
            .then(|| append::begins(&[self.octets.as_slice(), line].concat(), literal, self.enabled))?
    }

    fn keep(&mut self, octets: &[u8]) {
        if octets.len() > self.room() {
            self.refuse(octets);
        }
        if self.problem.is_none() {
            wiping::append(&mut self.octets, octets);
        }
    }

    fn refuse(&mut self, more: &[u8]) {
        if self.problem.is_none() {
            self.problem = Some(Problem::TooLong);
            let mut kept = Zeroizing::new(Vec::with_capacity(KEPT));
            kept.extend(self.octets.iter().chain(more).take(KEPT));
            self.octets = kept;
        }
    }
}

/// A literal that is announced at the end of a line: `{n}`, `{n+}`, `~{n}` or `~{n+}`.
pub struct Announced {
    /// The literal.
    pub literal: Literal,
    /// Octets of the announcement itself.
    pub marker: usize,
}

impl Announced {
    /// The literal that a line announces; `None` when it announces none. When the line is not `whole`, perhaps only
    /// the end of the number is left. Then the literal counts as longer than any real one, so that none of its octets
    /// is taken for a command.
    pub fn at_end_of(line: &[u8], whole: bool) -> Option<Announced> {
        let inside = line.strip_suffix(b"}")?;
        let number = inside.strip_suffix(b"+").unwrap_or(inside);
        let digits = number.iter().rev().take_while(|c| c.is_ascii_digit()).count();
        let synchronizing = number.len() == inside.len();
        let (before, digits) = number.split_at(number.len() - digits);
        let Some(before) = before.strip_suffix(b"{") else {
            let is_cut = !whole && !synchronizing && digits.len() >= TAIL - 2;
            let endless = Literal { length: u64::MAX, synchronizing, binary: false };
            return is_cut.then_some(Announced { literal: endless, marker: 0 });
        };
        if digits.is_empty() {
            return None;
        }
        // A length that is too large for a number still announces a literal: what follows is not a command.
        let length = std::str::from_utf8(digits).ok()?.parse().unwrap_or(u64::MAX);
        let binary = before.ends_with(b"~");
        let marker = line.len() - before.len() + usize::from(binary);
        Some(Announced { literal: Literal { length, synchronizing, binary }, marker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::wire::command::Command;
    use crate::wiping::tests::Place;

    fn outcome(fragments: Fragments) -> Result<Command, (Option<String>, Problem)> {
        fragments.finish().map(|t| t.command).map_err(|refused| (refused.tag, refused.problem))
    }

    fn literal(length: u64, synchronizing: bool) -> Literal {
        Literal { length, synchronizing, binary: false }
    }

    /// Catches: a command that is read again from its beginning after each of its literals.
    #[test]
    fn the_message_of_an_append_is_looked_for_behind_its_mailbox_only() {
        for (before, is_message) in [(0, true), (1, true), (2, false), (5000, false)] {
            let mut fragments = Fragments { literals: before, ..Fragments::new(1000, Enabled::default()) };
            let next = fragments.line(b"a APPEND x {3}", true);
            assert_eq!(matches!(next, Next::Append(_)), is_message, "behind {before} literals");
        }
    }

    /// Catches: a password that stays in memory where the command was before it grew, or before most of it was
    /// discarded.
    #[test]
    fn a_command_that_grows_leaves_no_password_behind() {
        let secret = [&[b'-'; 500][..], b"plover-93", &[b'-'; 500]].concat();
        for more in [5000, 50_000] {
            let mut fragments = Fragments::new(10_000, Enabled::default());
            fragments.line(b"a LOGIN fred {1009}", true);
            fragments.literal(&secret);
            let place = Place::of(&fragments.octets);
            assert!(place.holds(b"plover-93"));
            fragments.literal(&vec![b'+'; more]);
            assert!(!place.holds(b"plover-93"), "{more} more");
        }
    }

    #[test]
    fn a_command_is_its_lines_and_literals() {
        let mut fragments = Fragments::new(100, Enabled::default());
        assert_eq!(fragments.line(b"a SELECT {3+}", true), Next::Literal(literal(3, false)));
        fragments.literal(b"a");
        fragments.literal(b" b");
        assert_eq!(fragments.line(b"", true), Next::Finished);
        assert!(matches!(outcome(fragments), Ok(Command::Select(name, _)) if name.0 == "a b"));
    }

    #[test]
    fn the_literal_of_an_append_is_left_to_the_reader() {
        let mut fragments = Fragments::new(100, Enabled::default());
        assert_eq!(fragments.line(b"a APPEND {1}", true), Next::Literal(literal(1, true)));
        fragments.literal(b"x");
        let next = fragments.line(b" (\\Seen) {50000000}", true);
        let Next::Append(Tagged { command: Command::Append(append), .. }) = next else { panic!("{next:?}") };
        assert_eq!((append.mailbox.0, append.text), ("x".to_owned(), b" (\\Seen) ".to_vec()));
        assert_eq!(append.literal, Some(literal(50_000_000, true)));
    }

    #[test]
    fn too_long_a_synchronizing_literal_is_not_asked_for() {
        let mut fragments = Fragments::new(100, Enabled::default());
        assert_eq!(fragments.line(b"a7 LOGIN {101}", true), Next::Finished);
        assert_eq!(outcome(fragments), Err((Some("a7".into()), Problem::TooLong)));
    }

    #[test]
    fn too_long_a_non_synchronizing_literal_is_skipped_with_the_rest_of_its_command() {
        let mut fragments = Fragments::new(100, Enabled::default());
        assert_eq!(fragments.line(b"a7 LOGIN {101+}", true), Next::Skip(101));
        assert_eq!(fragments.line(b" {3+}", true), Next::Skip(3));
        assert_eq!(fragments.line(b" x", true), Next::Finished);
        assert_eq!(outcome(fragments), Err((Some("a7".into()), Problem::TooLong)));
    }

    /// Catches: a literal that runs as commands because it was announced at the end of a line that was too long.
    #[test]
    fn too_long_a_line_announces_literals_all_the_same() {
        for (end, next) in [
            (" {34+}".to_owned(), Next::Skip(34)),
            (" {34}".to_owned(), Next::Finished),
            (format!("{{{}5+}}", "0".repeat(40)), Next::Skip(u64::MAX)),
            (format!("{}5+}}", "0".repeat(20)), Next::Finished),
        ] {
            let mut fragments = Fragments::new(100, Enabled::default());
            let line = format!("a7 NOOP {}", "x".repeat(100));
            let tail = end.get(end.len().saturating_sub(TAIL)..).unwrap();
            assert_eq!(fragments.line(format!("{line}{tail}").as_bytes(), false), next, "{end}");
            assert_eq!(outcome(fragments), Err((Some("a7".into()), Problem::TooLong)));
        }
    }

    #[test]
    fn too_long_a_line_is_answered_under_its_tag() {
        let mut fragments = Fragments::new(100, Enabled::default());
        assert_eq!(fragments.line(&b"a7 NOOP ".repeat(12), false), Next::Finished);
        assert_eq!(outcome(fragments), Err((Some("a7".into()), Problem::TooLong)));

        let mut fragments = Fragments::new(100, Enabled::default());
        assert_eq!(fragments.line(&b"x".repeat(10_000), false), Next::Finished);
        assert!(fragments.octets.capacity() <= KEPT);
        assert_eq!(outcome(fragments), Err((None, Problem::TooLong)));
    }

    #[test]
    fn literals_are_announced_at_the_end_of_a_line_only() {
        let announced = |line: &str| {
            let literal = Announced::at_end_of(line.as_bytes(), true);
            literal.map(|Announced { literal, .. }| (literal.length, literal.synchronizing))
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
