//! SEARCH keys (RFC 3501 section 6.4.4).

use std::num::NonZeroU32;

use encoding_rs::{Encoding, UTF_8};

use super::cursor::{Cursor, Parsed};
use super::returns::returns;
use super::{Problem, modseq};
use crate::imap::wire::command::{Command, Date, MessageSet, SearchKey};
use crate::imap::wire::extension::Extension;
use crate::imap::wire::search::{Returns, SearchArgs};
use crate::imap::wire::sequence::SequenceSet;
use crate::message::date;
use crate::store::Flags;

/// How deep NOT, OR and parentheses may be nested.
const MAX_DEPTH: u8 = 32;

pub(super) fn search(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Command> {
    let mut returns = returns(cursor)?;
    if cursor.enabled().rev2() && returns.is_none() {
        // RFC 9051 section 6.4.4: without a result option, ALL is meant.
        returns = Some(Returns { all: true, ..Returns::default() });
    }
    let mut named = UTF_8;
    if cursor.take_word("CHARSET ") {
        // RFC 6855 section 3: no CHARSET when UTF-8 is enabled.
        if cursor.enabled().has(Extension::Utf8Accept) {
            return Err(Problem::Expected("no CHARSET, since UTF8=ACCEPT is enabled"));
        }
        cursor.spaces();
        named = charset(cursor, returns.as_ref())?;
    }
    let key = program(cursor, named)?;
    Ok(Command::Search(Box::new(SearchArgs { uid, returns, key })))
}

/// The charset of this name, and the space after the name.
pub(super) fn charset(cursor: &mut Cursor<'_>, returns: Option<&Returns>) -> Parsed<&'static Encoding> {
    let label = cursor.astring()?;
    let saves = returns.is_some_and(|returns| returns.save);
    let charset = Encoding::for_label_no_replacement(&label).ok_or(Problem::BadCharset { saves })?;
    cursor.space()?;
    Ok(charset)
}

/// The search keys, whose strings are in this charset.
pub(super) fn program(cursor: &mut Cursor<'_>, charset: &'static Encoding) -> Parsed<SearchKey> {
    Keys { cursor, charset }.list(0)
}

/// CANCELUPDATE (RFC 5267 section 4.3.5).
pub(super) fn cancel_update(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mut tags = Vec::new();
    loop {
        cursor.element()?;
        tags.push(String::from_utf8_lossy(&cursor.astring()?).into_owned());
        if !cursor.take(b' ') {
            return Ok(Command::CancelUpdate(tags));
        }
        cursor.spaces();
    }
}

struct Keys<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    charset: &'static Encoding,
}

impl Keys<'_, '_> {
    /// `search-key *(SP search-key)`: all keys must match.
    fn list(&mut self, depth: u8) -> Parsed<SearchKey> {
        let mut keys = vec![self.key(depth)?];
        while self.cursor.take(b' ') {
            self.cursor.spaces();
            // Spaces at the end are ignored.
            if matches!(self.cursor.peek(), None | Some(b')')) {
                break;
            }
            keys.push(self.key(depth)?);
        }
        Ok(match keys.pop() {
            Some(only) if keys.is_empty() => only,
            last => {
                keys.extend(last);
                SearchKey::And(keys)
            }
        })
    }

    fn key(&mut self, depth: u8) -> Parsed<SearchKey> {
        if depth == MAX_DEPTH {
            return Err(Problem::TooDeep);
        }
        self.cursor.element()?;
        match self.cursor.peek() {
            Some(b'(') => {
                self.cursor.open();
                let keys = self.list(depth + 1)?;
                self.cursor.expect(b')', "a closing parenthesis")?;
                return Ok(keys);
            }
            Some(c) if matches!(c, b'*' | b'$') || c.is_ascii_digit() => {
                return Ok(set(self.cursor.message_set()?, SearchKey::Sequence));
            }
            _ => {}
        }
        let name = self.cursor.atom("a search key")?.to_ascii_uppercase();
        if let Some(key) = flag_key(&name) {
            return Ok(key);
        }
        self.key_with_argument(&name, depth)
    }

    fn key_with_argument(&mut self, name: &str, depth: u8) -> Parsed<SearchKey> {
        Ok(match name {
            "BCC" | "CC" | "FROM" | "TO" => {
                SearchKey::Addresses { name: name.to_owned(), text: self.text()? }
            }
            "SUBJECT" => SearchKey::Header { name: name.to_owned(), text: self.text()? },
            "HEADER" => SearchKey::Header { name: self.text()?, text: self.text()? },
            "BODY" => SearchKey::Body(self.body_text()?),
            "TEXT" => SearchKey::Text(self.body_text()?),
            "BEFORE" => SearchKey::Before(self.date()?),
            "ON" => SearchKey::On(self.date()?),
            "SINCE" => SearchKey::Since(self.date()?),
            "SAVEDBEFORE" => SearchKey::SavedBefore(self.date()?),
            "SAVEDON" => SearchKey::SavedOn(self.date()?),
            "SAVEDSINCE" => SearchKey::SavedSince(self.date()?),
            "SENTBEFORE" => SearchKey::SentBefore(self.date()?),
            "SENTON" => SearchKey::SentOn(self.date()?),
            "SENTSINCE" => SearchKey::SentSince(self.date()?),
            "KEYWORD" => SearchKey::Keyword(self.keyword()?),
            "UNKEYWORD" => not(SearchKey::Keyword(self.keyword()?)),
            "EMAILID" => SearchKey::EmailId(self.text()?),
            "THREADID" => self.text().map(|_| SearchKey::ThreadId)?,
            "OLDER" => SearchKey::Older(self.interval()?),
            "YOUNGER" => SearchKey::Younger(self.interval()?),
            "LARGER" => SearchKey::Larger(self.size()?),
            "SMALLER" => SearchKey::Smaller(self.size()?),
            "UID" => {
                self.cursor.space()?;
                set(self.cursor.message_set()?, SearchKey::Uid)
            }
            "MODSEQ" => SearchKey::Modseq(modseq::search_key(self.cursor)?),
            "NOT" => not(self.operand(depth)?),
            "OR" => SearchKey::Or(Box::new(self.operand(depth)?), Box::new(self.operand(depth)?)),
            _ => return Err(Problem::UnknownItem("search key")),
        })
    }

    fn operand(&mut self, depth: u8) -> Parsed<SearchKey> {
        self.cursor.space()?;
        self.key(depth + 1)
    }

    /// A size in octets. Sizes of messages have 32 bits, so a larger number counts as the largest.
    fn size(&mut self) -> Parsed<u32> {
        self.cursor.space()?;
        self.cursor.number_or_largest()
    }

    /// An interval in seconds.
    fn interval(&mut self) -> Parsed<u32> {
        self.cursor.space()?;
        self.cursor.nz_number().map(NonZeroU32::get)
    }

    fn keyword(&mut self) -> Parsed<String> {
        self.cursor.space()?;
        self.cursor.atom("a keyword").map(str::to_owned)
    }

    /// The text for BODY and TEXT. Each may read the whole mailbox: 64 in a search are enough.
    fn body_text(&mut self) -> Parsed<String> {
        self.cursor.elements(32)?;
        self.text()
    }

    fn text(&mut self) -> Parsed<String> {
        self.cursor.space()?;
        let octets = self.cursor.astring()?;
        let text = self.charset.decode_without_bom_handling_and_without_replacement(&octets);
        text.map(std::borrow::Cow::into_owned)
            .ok_or(Problem::Expected("a string in the charset of the search"))
    }

    /// `date`, with or without quotes. Some clients send a space for the first digit of a day, as in `date-time`.
    fn date(&mut self) -> Parsed<Date> {
        self.cursor.space()?;
        let octets = self.cursor.astring()?;
        let day =
            std::str::from_utf8(&octets).ok().and_then(|text| date::parse_day(text.trim_start_matches(' ')));
        day.map(Date).ok_or(Problem::Expected("a date like 1-Feb-2026"))
    }
}

/// The key for a set. `$` stands for the same messages with sequence numbers and with UIDs.
fn set(set: MessageSet, key: fn(SequenceSet) -> SearchKey) -> SearchKey {
    match set {
        MessageSet::Numbers(set) => key(set),
        MessageSet::Saved => SearchKey::Saved,
    }
}

/// A key that consists of one word; `None` when there is no such key.
fn flag_key(name: &str) -> Option<SearchKey> {
    let flag = SearchKey::Flag;
    Some(match name {
        "ALL" => SearchKey::All,
        "ANSWERED" => flag(Flags::ANSWERED),
        "DELETED" => flag(Flags::DELETED),
        "DRAFT" => flag(Flags::DRAFT),
        "FLAGGED" => flag(Flags::FLAGGED),
        "SEEN" => flag(Flags::SEEN),
        "UNANSWERED" => not(flag(Flags::ANSWERED)),
        "UNDELETED" => not(flag(Flags::DELETED)),
        "UNDRAFT" => not(flag(Flags::DRAFT)),
        "UNFLAGGED" => not(flag(Flags::FLAGGED)),
        "UNSEEN" => not(flag(Flags::SEEN)),
        "RECENT" => SearchKey::Recent,
        // RFC 8514 section 4.3: every mailbox here keeps save dates.
        "SAVEDATESUPPORTED" => SearchKey::All,
        "OLD" => not(SearchKey::Recent),
        "NEW" => SearchKey::And(vec![SearchKey::Recent, not(flag(Flags::SEEN))]),
        _ => return None,
    })
}

fn not(key: SearchKey) -> SearchKey {
    SearchKey::Not(Box::new(key))
}
