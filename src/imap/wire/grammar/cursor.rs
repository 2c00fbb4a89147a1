//! The tokens of RFC 3501 section 9: atoms, strings, numbers, and the characters between them.

use std::num::NonZeroU32;

use zeroize::Zeroizing;

use super::Problem;
use crate::imap::mailbox_name;
use crate::imap::wire::command::{FlagList, MailboxName, MessageSet, NO_NAME};
use crate::imap::wire::extension::Enabled;
use crate::imap::wire::modseq::MODSEQ_MAX;
use crate::imap::wire::sequence::{SequenceNumber, SequenceSet};
use crate::store::Flags;

/// Elements in all lists of one command at most. This bounds the memory of a command. Sequence sets, which clients do
/// make long, are bounded only by the length of the command.
const MAX_ELEMENTS: u16 = 2048;
/// Octets of a mailbox name or a pattern on the wire at most.
const MAX_NAME: usize = 1024;

pub(super) type Parsed<T> = Result<T, Problem>;

/// The part of a command that was not parsed yet.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    elements: u16,
    enabled: Enabled,
}

impl<'a> Cursor<'a> {
    /// A cursor at the beginning of `octets`, for a grammar that does not depend on what is enabled.
    pub fn new(octets: &'a [u8]) -> Cursor<'a> {
        Cursor::of(octets, Enabled::default())
    }

    /// A cursor at the beginning of `octets` from a client that has enabled `enabled`.
    pub fn of(octets: &'a [u8], enabled: Enabled) -> Cursor<'a> {
        Cursor { rest: octets, elements: 0, enabled }
    }

    /// What the client has enabled.
    pub fn enabled(&self) -> Enabled {
        self.enabled
    }

    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The octets that were not parsed yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes `octet` if it comes next.
    pub fn take(&mut self, octet: u8) -> bool {
        let next = self.peek() == Some(octet);
        if next {
            self.advance(1);
        }
        next
    }

    /// Takes `word` if it comes next, in any case of letters. Anything may follow it.
    pub fn take_word(&mut self, word: &str) -> bool {
        let next = self.rest.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word.as_bytes()));
        if next {
            self.advance(word.len());
        }
        next
    }

    /// Takes `octet`; it is an error when something else comes next.
    pub fn expect(&mut self, octet: u8, name: &'static str) -> Parsed<()> {
        if self.take(octet) { Ok(()) } else { Err(Problem::Expected(name)) }
    }

    /// Takes one or more spaces.
    pub fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "a space")?;
        self.spaces();
        Ok(())
    }

    /// Takes all spaces that come next. Some clients send too many.
    pub fn spaces(&mut self) {
        while self.take(b' ') {}
    }

    /// Takes an opening parenthesis if it comes next, and spaces after it, which some clients send.
    pub fn open(&mut self) -> bool {
        let opened = self.take(b'(');
        if opened {
            self.spaces();
        }
        opened
    }

    /// Takes a closing parenthesis if it comes next, with or without spaces before it.
    pub fn close(&mut self) -> bool {
        let before = self.rest;
        self.spaces();
        let closed = self.take(b')');
        if !closed {
            self.rest = before;
        }
        closed
    }

    /// Checks that the command ends here. Spaces are allowed, since some clients send them.
    pub fn end(&mut self) -> Parsed<()> {
        self.spaces();
        if self.rest.is_empty() { Ok(()) } else { Err(Problem::Expected("the end of the command")) }
    }

    /// Counts an element of a list.
    pub fn element(&mut self) -> Parsed<()> {
        self.elements(1)
    }

    /// Counts an element that costs as much as `n` others.
    pub fn elements(&mut self, n: u16) -> Parsed<()> {
        self.elements = self.elements.saturating_add(n);
        if self.elements > MAX_ELEMENTS { Err(Problem::TooMany) } else { Ok(()) }
    }

    /// The longest run of octets that `is` accepts; may be empty.
    pub fn run(&mut self, is: fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&c| !is(c)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    /// One or more octets that `is` accepts, which must be ASCII.
    pub fn word(&mut self, is: fn(u8) -> bool, name: &'static str) -> Parsed<&'a str> {
        match std::str::from_utf8(self.run(is)) {
            Ok(word) if !word.is_empty() => Ok(word),
            _ => Err(Problem::Expected(name)),
        }
    }

    pub fn atom(&mut self, name: &'static str) -> Parsed<&'a str> {
        self.word(is_atom_char, name)
    }

    /// `number`: up to 32 bits.
    pub fn number(&mut self) -> Parsed<u32> {
        self.digits()?.parse().map_err(|_| Problem::Expected("a 32-bit number"))
    }

    /// `number` that is compared with 32-bit numbers: a larger one counts as the largest.
    pub fn number_or_largest(&mut self) -> Parsed<u32> {
        self.digits().map(|digits| digits.parse().unwrap_or(u32::MAX))
    }

    /// `mod-sequence-valzer` (RFC 7162). 0 is accepted even where the grammar wants more.
    pub fn mod_sequence(&mut self) -> Parsed<u64> {
        self.number64()
    }

    /// `number64` (RFC 9051): up to 63 bits.
    pub fn number64(&mut self) -> Parsed<u64> {
        let number = self.digits()?.parse().ok().filter(|number| *number <= MODSEQ_MAX);
        number.ok_or(Problem::Expected("a 63-bit number"))
    }

    fn digits(&mut self) -> Parsed<&'a str> {
        self.word(|c| c.is_ascii_digit(), "a number")
    }

    /// `nz-number`.
    pub fn nz_number(&mut self) -> Parsed<NonZeroU32> {
        NonZeroU32::new(self.number()?).ok_or(Problem::Expected("a number that is not 0"))
    }

    /// `astring`.
    pub fn astring(&mut self) -> Parsed<Vec<u8>> {
        self.string_or(is_astring_char)
    }

    /// `string`, or a run of octets that `is` accepts.
    fn string_or(&mut self, is: fn(u8) -> bool) -> Parsed<Vec<u8>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => match self.run(is) {
                [] => Err(Problem::Expected("a string")),
                run => Ok(run.to_vec()),
            },
        }
    }

    /// `string`: quoted or a literal, which is contained whole in the command's octets.
    pub fn string(&mut self) -> Parsed<Vec<u8>> {
        if self.take(b'"') {
            return self.quoted();
        }
        let literal = self.literal("a string")?;
        if literal.contains(&0) {
            return Err(Problem::Expected("a literal without NUL"));
        }
        Ok(literal)
    }

    /// The rest of a `literal8` (RFC 3516 section 7) after its `~`. It may contain any octets.
    pub fn literal8(&mut self) -> Parsed<Vec<u8>> {
        self.literal("a literal after ~")
    }

    fn literal(&mut self, expected: &'static str) -> Parsed<Vec<u8>> {
        self.expect(b'{', expected)?;
        let length = self.number()?;
        self.take(b'+');
        if !self.take_word("}\r\n") {
            return Err(Problem::Expected("a literal"));
        }
        let literal = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (literal, rest) = literal.ok_or(Problem::Expected("a whole literal"))?;
        self.rest = rest;
        Ok(literal.to_vec())
    }

    /// The rest of a quoted string. RFC 3501 allows only ASCII there. Other octets are accepted, because clients send
    /// them; when UTF-8 is enabled, they must be UTF-8 (RFC 6855 section 3).
    fn quoted(&mut self) -> Parsed<Vec<u8>> {
        // The string may be a password: it would stay in memory when the buffer grows, or when the quote is missing.
        let mut text = Zeroizing::new(Vec::with_capacity(self.to_closing_quote()));
        loop {
            text.extend_from_slice(self.run(|c| !matches!(c, b'"' | b'\\' | b'\r' | b'\n' | 0)));
            if self.take(b'"') {
                if self.enabled.utf8() && std::str::from_utf8(&text).is_err() {
                    return Err(Problem::Expected("UTF-8 in a quoted string"));
                }
                return Ok(std::mem::take(&mut *text));
            }
            self.expect(b'\\', "a closing quote")?;
            match self.peek() {
                Some(escaped @ (b'"' | b'\\')) => text.push(escaped),
                _ => return Err(Problem::Expected("a quote or a backslash after the backslash")),
            }
            self.advance(1);
        }
    }

    /// Octets up to the closing quote of a quoted string, or to the end of the line.
    fn to_closing_quote(&self) -> usize {
        let mut escaped = false;
        let is_end = |&octet: &u8| {
            let ends = octet == b'\n' || octet == b'"' && !escaped;
            escaped = octet == b'\\' && !escaped;
            ends
        };
        self.rest.iter().position(is_end).unwrap_or(self.rest.len())
    }

    /// `nstring` as text. Octets that are not UTF-8 are replaced.
    pub fn nstring(&mut self) -> Parsed<Option<String>> {
        if self.take_word("NIL") {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&self.string()?).into_owned()))
    }

    /// `mailbox`.
    pub fn mailbox(&mut self) -> Parsed<MailboxName> {
        let wire = self.astring()?;
        Ok(MailboxName(self.name(&wire)?))
    }

    /// `list-mailbox`, which is also accepted for the reference name.
    pub fn list_mailbox(&mut self) -> Parsed<String> {
        let wire = self.string_or(|c| is_astring_char(c) || matches!(c, b'%' | b'*'))?;
        self.name(&wire)
    }

    /// The name for octets on the wire.
    fn name(&self, wire: &[u8]) -> Parsed<String> {
        if wire.len() > MAX_NAME {
            return Err(Problem::TooLong);
        }
        let name = if self.enabled.utf8() {
            mailbox_name::from_utf8(wire)
        } else {
            // RFC 3501 section 5.1.3: a name is kept as it came, so only its one correct encoding is accepted.
            let has_one_form =
                |name: &String| !wire.is_ascii() || mailbox_name::encode(name).as_bytes() == wire;
            mailbox_name::decode(wire).filter(has_one_form)
        };
        Ok(name.unwrap_or_else(|| NO_NAME.to_owned()))
    }

    /// `sequence-set`, or the `$` of RFC 5182.
    pub fn message_set(&mut self) -> Parsed<MessageSet> {
        if self.take(b'$') { Ok(MessageSet::Saved) } else { self.sequence_set().map(MessageSet::Numbers) }
    }

    /// `sequence-set` of numbers.
    pub fn sequence_set(&mut self) -> Parsed<SequenceSet> {
        let mut set = SequenceSet::default();
        loop {
            let from = self.sequence_number()?;
            let to = if self.take(b':') { self.sequence_number()? } else { from };
            set.push(from, to);
            if !self.take(b',') {
                return Ok(set);
            }
        }
    }

    /// `seq-number`.
    pub fn sequence_number(&mut self) -> Parsed<SequenceNumber> {
        if self.take(b'*') { Ok(None) } else { self.nz_number().map(Some) }
    }

    /// `flag-list`. With `bare`, its parentheses are optional.
    pub fn flag_list(&mut self, bare: bool) -> Parsed<FlagList> {
        let mut list = FlagList::default();
        if self.open() {
            if self.close() {
                return Ok(list);
            }
            loop {
                self.flag(&mut list)?;
                if self.close() {
                    return Ok(list);
                }
                self.space()?;
            }
        }
        if !bare {
            return Err(Problem::Expected("a list of flags"));
        }
        loop {
            self.flag(&mut list)?;
            if !self.take(b' ') {
                return Ok(list);
            }
            self.spaces();
            if self.rest.is_empty() {
                return Ok(list);
            }
        }
    }

    fn flag(&mut self, list: &mut FlagList) -> Parsed<()> {
        self.element()?;
        if self.take(b'\\') {
            let name = self.atom("a flag")?;
            if let Some(flag) = system_flag(name) {
                list.flags = list.flags.with(flag);
            }
            return Ok(());
        }
        let keyword = self.atom("a flag")?;
        list.keywords.push(keyword.to_owned());
        Ok(())
    }

    fn advance(&mut self, n: usize) {
        self.rest = self.rest.get(n..).unwrap_or_default();
    }
}

/// Whether the octet is an `ATOM-CHAR`: not one of `atom-specials`.
pub(super) fn is_atom_char(c: u8) -> bool {
    c.is_ascii_graphic() && !matches!(c, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// Whether the octet is an `ASTRING-CHAR`.
pub fn is_astring_char(c: u8) -> bool {
    is_atom_char(c) || c == b']'
}

fn system_flag(name: &str) -> Option<Flags> {
    let flags = [
        ("Seen", Flags::SEEN),
        ("Answered", Flags::ANSWERED),
        ("Flagged", Flags::FLAGGED),
        ("Deleted", Flags::DELETED),
        ("Draft", Flags::DRAFT),
    ];
    flags.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, flag)| flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a quoted password that stays in memory where it was before the buffer grew, at an escape.
    #[test]
    fn a_quoted_string_has_its_room_at_once() {
        for (said, text, room) in [("\"abc\" \"def\"", "abc", 3), (r#""a\"b\\" "c""#, "a\"b\\", 6)] {
            let quoted = Cursor::new(said.as_bytes()).string().unwrap();
            assert_eq!((quoted.as_slice(), quoted.capacity()), (text.as_bytes(), room));
        }
    }
}
