//! The base subject, by which SORT and THREAD match replies and forwards with the original (RFC 5256 section 2.1).

use super::collation::{collate_ascii, collate_decoded};
use super::encoded_word::Decoded;

/// A subject without what replies and forwards add to it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct BaseSubject {
    /// The base subject, with single spaces as its blanks.
    pub text: Decoded,
    /// Whether something was removed that only replies and forwards have.
    pub is_reply: bool,
}

impl BaseSubject {
    /// The base subject of the content of a Subject field. The work is bounded by its length.
    pub fn of(field: &[u8]) -> BaseSubject {
        if let Some(text) = plain(field) {
            let (base, is_reply) = base(text);
            return BaseSubject { text: Decoded::Text(base.to_owned()), is_reply };
        }
        BaseSubject::of_words(field)
    }

    fn of_words(field: &[u8]) -> BaseSubject {
        let mut is_reply = false;
        let text = Decoded::of_field(field).map(|decoded| {
            let mut text = String::with_capacity(decoded.len());
            for word in decoded.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()) {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(word);
            }
            let (base, of_reply) = base(&text);
            is_reply = of_reply;
            base.to_owned()
        });
        BaseSubject { text, is_reply }
    }
}

/// Appends the octets that determine the place of the base subject of a Subject field in the order, as
/// [`collate_decoded`] makes them.
pub fn collate(field: &[u8], out: &mut Vec<u8>) {
    match plain(field) {
        Some(text) => collate_ascii(base(text).0.as_bytes(), out),
        None => collate_decoded(&BaseSubject::of_words(field).text, out),
    }
}

/// The field itself when it is ASCII, has no encoded words, and only single spaces as blanks, as most subjects.
fn plain(field: &[u8]) -> Option<&str> {
    let mut before = b' ';
    for &b in field {
        if !matches!(b, b' '..=b'~') || b == b' ' && before == b' ' || b == b'?' && before == b'=' {
            return None;
        }
        before = b;
    }
    // Blanks at its end are removed later.
    std::str::from_utf8(field).ok()
}

fn base(subject: &str) -> (&str, bool) {
    let (mut text, mut is_reply) = (subject, false);
    loop {
        text = text.trim_end_matches(' ');
        while let Some(rest) = without_end(text, "(fwd)") {
            (text, is_reply) = (rest.trim_end_matches(' '), true);
        }
        text = text.trim_start_matches(' ');
        loop {
            let behind = behind_blobs(text);
            if let Some(rest) = behind_refwd(behind) {
                (text, is_reply) = (rest.trim_start_matches(' '), true);
                continue;
            }
            // No leader follows, so none can appear when the blobs are removed one by one: each blob is looked at
            // once.
            while let Some(rest) = behind_blob(text).filter(|rest| !rest.is_empty()) {
                text = rest;
            }
            break;
        }
        let inner = without_beginning(text, "[fwd:").and_then(|rest| rest.strip_suffix(']'));
        let Some(inner) = inner else { return (text, is_reply) };
        (text, is_reply) = (inner, true);
    }
}

fn without_beginning<'a>(text: &'a str, beginning: &str) -> Option<&'a str> {
    let (first, rest) = text.split_at_checked(beginning.len())?;
    first.eq_ignore_ascii_case(beginning).then_some(rest)
}

fn without_end<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    let (rest, last) = text.split_at_checked(text.len().checked_sub(end.len())?)?;
    last.eq_ignore_ascii_case(end).then_some(rest)
}

/// The text after a `subj-blob`: brackets with no brackets between them, and blanks.
fn behind_blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    let rest = inner.get(end..)?.strip_prefix(']')?;
    Some(rest.trim_start_matches(' '))
}

fn behind_blobs(mut text: &str) -> &str {
    while let Some(rest) = behind_blob(text) {
        text = rest;
    }
    text
}

/// The text after a `subj-refwd`: `re:`, `fw:` or `fwd:`, with or without a blob before the colon.
fn behind_refwd(text: &str) -> Option<&str> {
    if !text.starts_with(['r', 'R', 'f', 'F']) {
        return None;
    }
    let rest = ["re", "fwd", "fw"].iter().find_map(|word| {
        let rest = without_beginning(text, word)?.trim_start_matches(' ');
        rest.starts_with([':', '[']).then_some(rest)
    })?;
    behind_blob(rest).unwrap_or(rest).strip_prefix(':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Catches: a part of a reply or forward that is not removed, and a word that is removed although it belongs to
    /// the subject.
    #[test]
    fn replies_and_forwards_have_the_subject_of_what_they_answer() {
        for (subject, base, is_reply) in [
            ("Lunch", "Lunch", false),
            ("Re: Lunch", "Lunch", true),
            ("re : FW: Fwd:Lunch", "Lunch", true),
            ("Re[2]: [list] Re [x]: Lunch", "Lunch", true),
            ("[list] [more]  Lunch", "Lunch", false),
            ("[list]", "[list]", false),
            ("[a] [b]", "[b]", false),
            ("Re: [list]", "[list]", true),
            ("Lunch (fwd) (FWD) ", "Lunch", true),
            ("[Fwd: Re: [x] Lunch]", "Lunch", true),
            ("[fwd: [Fwd: Lunch (fwd)]]", "Lunch", true),
            ("[fwd: Lunch", "[fwd: Lunch", false),
            ("Report: Lunch", "Report: Lunch", false),
            ("Forward: x", "Forward: x", false),
            ("[no end Re: x", "[no end Re: x", false),
            ("[a[b] x", "[a[b] x", false),
            (" a \t b\r\n  c", "a b c", false),
            ("=?utf-8?Q?Re=3A_Gr=C3=BC=C3=9Fe?=", "Gr\u{fc}\u{df}e", true),
            ("Re:", "", true),
            ("", "", false),
        ] {
            let found = BaseSubject::of(subject.as_bytes());
            assert_eq!((found.text.as_str(), found.is_reply), (base, is_reply), "{subject:?}");
        }
    }

    proptest! {
        /// Catches: a subject for which the fast path returns something else, because of blanks, encoded words or
        /// controls.
        #[test]
        fn a_plain_subject_has_a_short_way(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("Re:"), Just(" "), Just("a"), Just("[b]"), Just("(fwd)"), Just("[fwd:"), Just("]"), Just("="), Just("?"),
                    Just("=?utf-8?Q?c?="), Just("\t"), Just("\u{e9}"), Just("\x1b$B"), Just("\0"), Just("~{d~}"), Just("\x7f"),
                ],
                0..8,
            ),
        ) {
            let subject = pieces.concat();
            let words = BaseSubject::of_words(subject.as_bytes());
            prop_assert_eq!(&BaseSubject::of(subject.as_bytes()), &words);
            let (mut short, mut long) = (Vec::new(), Vec::new());
            collate(subject.as_bytes(), &mut short);
            collate_decoded(&words.text, &mut long);
            prop_assert_eq!(short, long);
        }
    }

    /// Catches: a look at the rest of the subject for each of its brackets.
    #[test]
    fn a_subject_of_brackets_is_no_more_work_than_another() {
        for piece in ["[a]", "[", "[fwd:", "re:", "re[", "(fwd)", "] "] {
            let long = piece.repeat((1 << 20) / piece.len());
            let begun = std::time::Instant::now();
            BaseSubject::of(long.as_bytes());
            // One pass takes milliseconds; one pass for each bracket would take minutes.
            assert!(begun.elapsed().as_secs() < 20, "{piece}");
        }
    }
}
