//! APPEND and REPLACE (RFC 3501 section 6.3.11, RFC 8508): where their messages begin, and the text between the
//! literals of the messages. Other literals are gathered before a command is parsed. Messages are too large for that,
//! so [`Parts`] parses these two commands line by line.

use super::Problem;
use super::cursor::{Cursor, Parsed};
use super::tag as parse_tag;
use crate::imap::wire::command::{Append, Command, FlagList, Literal, MessageSet, Messages, Tagged};
use crate::imap::wire::extension::Enabled;
use crate::imap::wire::sequence::SequenceSet;
use crate::message::date;

/// The command of a client that has enabled `enabled` when `octets` are followed by its first message literal; `None`
/// when the literal is something else, which is gathered like any other.
pub fn begins(octets: &[u8], literal: Literal, enabled: Enabled) -> Option<Tagged> {
    let mut cursor = Cursor::of(octets, enabled);
    let tag = parse_tag(&mut cursor).ok()?;
    cursor.space().ok()?;
    let uid = cursor.take_word("UID ");
    cursor.spaces();
    let name = cursor.atom("a command").ok()?.to_ascii_uppercase();
    cursor.space().ok()?;
    let mut append = match (name.as_str(), uid) {
        ("APPEND", false) => append(&mut cursor).ok()?,
        ("REPLACE", _) => replace(&mut cursor, uid).ok()?,
        _ => return None,
    };
    append.literal = Some(literal);
    Some(Tagged { tag, command: Command::Append(append) })
}

/// Whether the command that begins like this may be APPEND or REPLACE. It saves parsing all other commands twice.
pub fn may_begin(octets: &[u8]) -> bool {
    let mut words = octets.split(|&c| c == b' ').filter(|word| !word.is_empty()).skip(1);
    let is = |word: &[u8]| word.eq_ignore_ascii_case(b"APPEND") || word.eq_ignore_ascii_case(b"REPLACE");
    words
        .next()
        .is_some_and(|word| is(word) || word.eq_ignore_ascii_case(b"UID") && words.next().is_some_and(is))
}

/// The arguments of APPEND up to its mailbox. [`Parts`] parses what follows.
pub(super) fn append(cursor: &mut Cursor<'_>) -> Parsed<Append> {
    let mailbox = cursor.mailbox()?;
    Ok(Append { mailbox, replaces: None, text: cursor.run(|_| true).to_vec(), literal: None })
}

/// The arguments of REPLACE up to its mailbox: one message, the `seq-number` of RFC 8508 section 5.
pub(super) fn replace(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Append> {
    let number = cursor.sequence_number()?;
    let mut set = SequenceSet::default();
    set.push(number, number);
    cursor.space()?;
    Ok(Append { replaces: Some(Messages { uid, set: MessageSet::Numbers(set) }), ..append(cursor)? })
}

/// A part of a command's messages, one after the other.
#[derive(Debug, PartialEq)]
pub enum Part {
    /// A message begins.
    Message {
        /// Its flags.
        flags: FlagList,
        /// INTERNALDATE in seconds since 1970 UTC.
        date: Option<i64>,
    },
    /// The next part of the message is what this URL names (RFC 4469).
    Url(Vec<u8>),
    /// The next part of the message is the announced literal.
    Octets,
    /// The announced literal is a URL that names the next part.
    UrlLiteral,
    /// The literal that comes next is in the parentheses of UTF8.
    Utf8,
    /// The message ends.
    End,
    /// The command ends.
    Finished,
}

/// The parser for what follows the mailbox, line by line.
#[derive(Debug)]
pub struct Parts {
    /// The current line, without the announcement of the literal at its end.
    text: Vec<u8>,
    /// Octets of the line that were parsed.
    read: usize,
    place: Place,
    /// Whether the command is REPLACE, which has one message.
    one: bool,
    enabled: Enabled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a message. With `first`, there must be one.
    Between { first: bool },
    /// The flags and the date were parsed.
    Data,
    /// After the literal of a whole message.
    Behind,
    /// In the parentheses of CATENATE. With `first`, nothing in them was parsed yet.
    List { first: bool },
    /// In the parentheses of UTF8, which are in those of CATENATE when `listed`. With `first`, the literal is still
    /// to come.
    Utf8 { first: bool, listed: bool },
}

impl Parts {
    /// A parser that begins with the `text` between the mailbox and the first literal, from a client that has enabled
    /// `enabled`. With `one`, more than one message is an error.
    pub fn new(text: Vec<u8>, one: bool, enabled: Enabled) -> Parts {
        Parts { text, read: 0, place: Place::Between { first: true }, one, enabled }
    }

    /// Sets the line after a literal, without the announcement of the next literal.
    pub fn line(&mut self, text: &[u8]) {
        (self.text, self.read) = (text.to_vec(), 0);
    }

    /// The next part. `literal` says whether a literal is announced at the end of the line.
    ///
    /// # Errors
    /// What is wrong with the command.
    pub fn next(&mut self, literal: bool) -> Parsed<Part> {
        let mut cursor = Cursor::of(self.text.get(self.read..).unwrap_or_default(), self.enabled);
        let (place, part) = match self.place {
            Place::Between { first } => self.between(&mut cursor, first, literal)?,
            Place::Data => data(&mut cursor, literal)?,
            Place::Behind => (Place::Between { first: false }, Part::End),
            Place::List { first } => list(&mut cursor, first, literal)?,
            Place::Utf8 { first: true, listed } if literal && cursor.rest().is_empty() => {
                (Place::Utf8 { first: false, listed }, Part::Octets)
            }
            Place::Utf8 { first: true, .. } => {
                return Err(Problem::Expected("a literal in parentheses after UTF8"));
            }
            Place::Utf8 { first: false, listed } => {
                close(&mut cursor)?;
                match listed {
                    true => list(&mut cursor, false, literal)?,
                    false => (Place::Between { first: false }, Part::End),
                }
            }
        };
        (self.read, self.place) = (self.text.len() - cursor.rest().len(), place);
        Ok(part)
    }

    fn between(&self, cursor: &mut Cursor<'_>, first: bool, literal: bool) -> Parsed<(Place, Part)> {
        let nothing = cursor.rest().iter().all(|&octet| octet == b' ');
        if !first && !literal && nothing {
            return Ok((self.place, Part::Finished));
        }
        if !first && self.one {
            return Err(Problem::Expected("the end of the command after the message"));
        }
        space(cursor)?;
        let mut flags = FlagList::default();
        if cursor.peek() == Some(b'(') {
            flags = cursor.flag_list(false)?;
            space(cursor)?;
        }
        let mut date = None;
        if cursor.peek() == Some(b'"') {
            let text = String::from_utf8(cursor.string()?).ok();
            let parsed = text.as_deref().and_then(date::parse_internal);
            date = Some(parsed.ok_or(Problem::Expected("a date and time"))?.unix);
            space(cursor)?;
        }
        Ok((Place::Data, Part::Message { flags, date }))
    }
}

/// `append-data`: a literal, `CATENATE (…)`, or the `UTF8 (…)` of RFC 6855 section 4.
fn data(cursor: &mut Cursor<'_>, literal: bool) -> Parsed<(Place, Part)> {
    if literal && cursor.rest().is_empty() {
        return Ok((Place::Behind, Part::Octets));
    }
    if utf8(cursor)? {
        return Ok((Place::Utf8 { first: true, listed: false }, Part::Utf8));
    }
    if !cursor.take_word("CATENATE ") {
        return Err(Problem::Expected("a message literal"));
    }
    cursor.spaces();
    if !cursor.open() {
        return Err(Problem::Expected("a list after CATENATE"));
    }
    list(cursor, true, literal)
}

/// Takes the beginning of a `utf8-literal` (RFC 6855 section 4) if it comes next.
fn utf8(cursor: &mut Cursor<'_>) -> Parsed<bool> {
    if !cursor.take_word("UTF8 ") {
        return Ok(false);
    }
    cursor.spaces();
    if cursor.open() { Ok(true) } else { Err(Problem::Expected("a literal in parentheses after UTF8")) }
}

/// A `cat-part` (RFC 4469 section 5, RFC 6855 section 4), or the end of the list.
fn list(cursor: &mut Cursor<'_>, first: bool, literal: bool) -> Parsed<(Place, Part)> {
    if !first {
        if cursor.close() {
            return Ok((Place::Between { first: false }, Part::End));
        }
        cursor.space()?;
    }
    let is_last = |cursor: &Cursor<'_>| literal && cursor.rest().is_empty();
    let next = Place::List { first: false };
    if cursor.take_word("TEXT ") {
        cursor.spaces();
        return if is_last(cursor) {
            Ok((next, Part::Octets))
        } else {
            Err(Problem::Expected("a literal after TEXT"))
        };
    }
    if cursor.take_word("URL ") {
        cursor.spaces();
        let part = if is_last(cursor) { Part::UrlLiteral } else { Part::Url(cursor.astring()?) };
        return Ok((next, part));
    }
    if utf8(cursor)? {
        return Ok((Place::Utf8 { first: true, listed: true }, Part::Utf8));
    }
    Err(Problem::Expected("TEXT, URL or UTF8"))
}

/// Takes a space; the error names what may follow it.
fn space(cursor: &mut Cursor<'_>) -> Parsed<()> {
    cursor.space().map_err(|_| Problem::Expected("flags, a date or a message literal"))
}

fn close(cursor: &mut Cursor<'_>) -> Parsed<()> {
    if cursor.close() { Ok(()) } else { Err(Problem::Expected("a closing parenthesis")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Flags;

    const LITERAL: Literal = Literal { length: 1, synchronizing: true, binary: false };

    /// All parts of a command with these lines. A literal follows each line but the last.
    fn parts(lines: &[&str], one: bool) -> Parsed<Vec<Part>> {
        let mut parts = Parts::new(Vec::new(), one, Enabled::default());
        let mut all = Vec::new();
        for (place, line) in lines.iter().enumerate() {
            parts.line(line.as_bytes());
            loop {
                let part = parts.next(place + 1 < lines.len())?;
                let waits = matches!(part, Part::Octets | Part::UrlLiteral | Part::Finished);
                all.push(part);
                if waits {
                    break;
                }
            }
        }
        Ok(all)
    }

    fn message(flags: Flags, date: Option<i64>) -> Part {
        Part::Message { flags: FlagList { flags, keywords: Vec::new() }, date }
    }

    #[test]
    fn messages_follow_each_other() {
        let plain = || message(Flags::NONE, None);
        let url = |text: &str| Part::Url(text.into());
        for (lines, expected) in [
            (&[" ", ""][..], vec![plain(), Part::Octets, Part::End, Part::Finished]),
            (
                &[" (\\Seen) \"17-Jul-1996 02:44:25 -0700\" ", " ", " "],
                vec![
                    message(Flags::SEEN, Some(837_596_665)),
                    Part::Octets,
                    Part::End,
                    plain(),
                    Part::Octets,
                    Part::End,
                    Part::Finished,
                ],
            ),
            (
                &[" CATENATE (URL \"a b\" TEXT ", " URL c TEXT ", " URL ", ") (\\Draft) UTF8 (", ")"],
                vec![
                    plain(),
                    url("a b"),
                    Part::Octets,
                    url("c"),
                    Part::Octets,
                    Part::UrlLiteral,
                    Part::End,
                    message(Flags::DRAFT, None),
                    Part::Utf8,
                    Part::Octets,
                    Part::End,
                    Part::Finished,
                ],
            ),
            (
                &[" CATENATE (utf8 ( ", " ) URL a UTF8 (", ")) UTF8 (", ")"],
                vec![
                    plain(),
                    Part::Utf8,
                    Part::Octets,
                    url("a"),
                    Part::Utf8,
                    Part::Octets,
                    Part::End,
                    plain(),
                    Part::Utf8,
                    Part::Octets,
                    Part::End,
                    Part::Finished,
                ],
            ),
            (&[" catenate (url a)"], vec![plain(), url("a"), Part::End, Part::Finished]),
        ] {
            assert_eq!(parts(lines, false), Ok(expected), "{lines:?}");
        }
    }

    /// Catches: extra spaces that real clients send, and dates that are not valid.
    #[test]
    fn flags_and_dates_before_the_first_message() {
        let read = |octets: &str| {
            let Command::Append(append) = begins(octets.as_bytes(), LITERAL, Enabled::default())?.command
            else {
                return None;
            };
            let mut parts = Parts::new(append.text, false, Enabled::default());
            let Part::Message { flags, date } = parts.next(true).ok()? else { return None };
            matches!(parts.next(true), Ok(Part::Octets)).then_some((append.mailbox.0, flags.flags, date))
        };
        let (none, seen) = (Flags::NONE, Flags::SEEN);
        for (text, expected) in [
            ("a APPEND saved ", Some(("saved", none, None))),
            (r"a append INBOX (\Seen) ", Some(("INBOX", seen, None))),
            ("a APPEND {5}\r\nsaved ", Some(("saved", none, None))),
            (r#"a APPEND x (\Seen) " 1-Jan-1970 01:00:01 +0100" "#, Some(("x", seen, Some(1)))),
            (r#"a  APPEND  x  ( \Seen )  " 1-Jan-1970 00:00:01 +0000"  "#, Some(("x", seen, Some(1)))),
            (r#"a APPEND x "01-Jan-1970 00:00:01 +0000" "#, Some(("x", none, Some(1)))),
            ("a APPEND saved", None),
            (r#"a APPEND x "32-Jan-1970 00:00:01 +0000" "#, None),
        ] {
            let expected = expected.map(|(name, flags, date)| (name.to_owned(), flags, date));
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_out_of_place_is_said() {
        for (lines, one) in [
            (&[""][..], false),
            (&["x", ""], false),
            (&[" (\\Seen)"], false),
            (&[" x ", ""], false),
            (&[" \"yesterday\" ", ""], false),
            (&[" CATENATE ()"], false),
            (&[" CATENATE (TEXT x)"], false),
            (&[" CATENATE (TEXT ", ""], false),
            (&[" CATENATE (URL a URL"], false),
            (&[" UTF8 (", ""], false),
            (&[" UTF8 ", ""], false),
            (&[" UTF8 (x ", ")"], false),
            (&[" UTF8 ("], false),
            (&[" CATENATE (UTF8 ("], false),
            (&[" UTF8 (", "", ""], false),
            (&[" CATENATE (UTF8 (", ")"], false),
            (&[" CATENATE (UTF8 (", " URL a)"], false),
            (&[" CATENATE (UTF8 x)"], false),
            (&[" ", "x"], false),
            (&[" ", " ", ""], true),
        ] {
            assert!(parts(lines, one).is_err(), "{lines:?} {:?}", parts(lines, one));
        }
    }

    #[test]
    fn a_literal_is_a_message_behind_the_mailbox_only() {
        for (octets, so) in [
            ("a APPEND x ", true),
            ("a append \"x y\" (\\Seen) nonsense ", true),
            ("a APPEND {1}\r\nx (", true),
            ("a APPEND ", false),
            ("a UID APPEND x ", false),
            ("a REPLACE 1 x ", true),
            ("a UID REPLACE 1 x ", true),
            ("a REPLACE * x ", true),
            ("a REPLACE 1 ", false),
            ("a REPLACE 1:1 x ", false),
            ("a REPLACE 1,2 x ", false),
            ("a UID REPLACE $ x ", false),
            ("a APPENDIX x ", false),
            ("a LOGIN append ", false),
        ] {
            assert_eq!(begins(octets.as_bytes(), LITERAL, Enabled::default()).is_some(), so, "{octets}");
            assert!(!so || may_begin(octets.as_bytes()), "{octets}");
        }
        assert!(!may_begin(b"a LOGIN append "));
    }
}
