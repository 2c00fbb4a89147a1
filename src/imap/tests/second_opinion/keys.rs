//! What imap-codec has parsed in a SEARCH, converted to our own types.

use imap_codec::imap_types::core::{AString, Charset};
use imap_codec::imap_types::search::SearchKey as TheirKey;

use super::theirs::{set, text};
use crate::imap::wire::command::{Date, SearchKey};
use crate::store::Flags;

/// All of these keys; `None` when their strings are in a charset that imap-codec does not decode.
pub fn keys(charset: Option<&Charset<'_>>, theirs: &[TheirKey<'_>]) -> Option<SearchKey> {
    let known = charset.is_none_or(|charset| {
        ["UTF-8", "US-ASCII"].iter().any(|known| known.eq_ignore_ascii_case(charset.as_ref()))
    });
    known.then(|| and(theirs))
}

fn and(theirs: &[TheirKey<'_>]) -> SearchKey {
    match theirs {
        [only] => key(only),
        all => SearchKey::And(all.iter().map(key).collect()),
    }
}

fn key(theirs: &TheirKey<'_>) -> SearchKey {
    use TheirKey as T;
    let not = |key| SearchKey::Not(Box::new(key));
    let date = |date: &imap_codec::imap_types::datetime::NaiveDate| Date(date.as_ref().to_epoch_days());
    let addresses =
        |name: &str, what: &AString<'_>| SearchKey::Addresses { name: name.to_owned(), text: text(what) };
    match theirs {
        T::And(all) => and(all.as_ref()),
        T::Or(one, other) => SearchKey::Or(Box::new(key(one)), Box::new(key(other))),
        T::Not(negated) => not(key(negated)),
        T::SequenceSet(numbers) => SearchKey::Sequence(set(numbers)),
        T::Uid(numbers) => SearchKey::Uid(set(numbers)),
        T::All => SearchKey::All,
        T::Answered => SearchKey::Flag(Flags::ANSWERED),
        T::Deleted => SearchKey::Flag(Flags::DELETED),
        T::Draft => SearchKey::Flag(Flags::DRAFT),
        T::Flagged => SearchKey::Flag(Flags::FLAGGED),
        T::Seen => SearchKey::Flag(Flags::SEEN),
        T::Unanswered => not(SearchKey::Flag(Flags::ANSWERED)),
        T::Undeleted => not(SearchKey::Flag(Flags::DELETED)),
        T::Undraft => not(SearchKey::Flag(Flags::DRAFT)),
        T::Unflagged => not(SearchKey::Flag(Flags::FLAGGED)),
        T::Unseen => not(SearchKey::Flag(Flags::SEEN)),
        T::Recent => SearchKey::Recent,
        T::Old => not(SearchKey::Recent),
        T::New => SearchKey::And(vec![SearchKey::Recent, not(SearchKey::Flag(Flags::SEEN))]),
        T::Keyword(keyword) => SearchKey::Keyword(keyword.to_string()),
        T::Unkeyword(keyword) => not(SearchKey::Keyword(keyword.to_string())),
        T::Bcc(what) => addresses("BCC", what),
        T::Cc(what) => addresses("CC", what),
        T::From(what) => addresses("FROM", what),
        T::To(what) => addresses("TO", what),
        T::Subject(what) => SearchKey::Header { name: "SUBJECT".to_owned(), text: text(what) },
        T::Header(name, what) => SearchKey::Header { name: text(name), text: text(what) },
        T::Body(what) => SearchKey::Body(text(what)),
        T::Text(what) => SearchKey::Text(text(what)),
        T::Before(day) => SearchKey::Before(date(day)),
        T::On(day) => SearchKey::On(date(day)),
        T::Since(day) => SearchKey::Since(date(day)),
        T::SentBefore(day) => SearchKey::SentBefore(date(day)),
        T::SentOn(day) => SearchKey::SentOn(date(day)),
        T::SentSince(day) => SearchKey::SentSince(date(day)),
        T::Larger(octets) => SearchKey::Larger(*octets),
        T::Smaller(octets) => SearchKey::Smaller(*octets),
        T::Older(seconds) => SearchKey::Older(seconds.get()),
        T::Younger(seconds) => SearchKey::Younger(seconds.get()),
        T::ModSequence { modseq, .. } => SearchKey::Modseq(*modseq),
    }
}
