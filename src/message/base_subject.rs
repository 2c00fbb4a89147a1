//! The base subject, by which SORT and THREAD take replies and forwards for what they belong to (RFC 5256 section 2.1).

use super::encoded_word::Decoded;

/// A subject without what replies and forwards have put around it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct BaseSubject {
    /// Its blanks are single spaces.
    pub text: Decoded,
    /// Something was taken away that only replies and forwards have.
    pub is_reply: bool,
}

impl BaseSubject {
    /// Of the content of a Subject field. The work is bounded by its length.
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

/// The field itself, as most are: of ASCII, nothing in it encoded, and its blanks single spaces already.
fn plain(field: &[u8]) -> Option<&str> {
    let mut before = b' ';
    for &b in field {
        if !matches!(b, b' '..=b'~') || b == b' ' && before == b' ' || b == b'?' && before == b'=' {
            return None;
        }
        before = b;
    }
    // Blanks at its end are passed over like others.
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
            // No leader follows, so that none appears when the blobs go one by one: each is looked at once.
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

/// `subj-blob`: something in brackets without brackets in it, and blanks.
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

/// `subj-refwd`: `re:`, `fw:` or `fwd:`, with a blob before the colon or without.
fn behind_refwd(text: &str) -> Option<&str> {
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

    /// Catches: what of a reply or forward is left, and a word that is taken away although it belongs to the subject.
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
        /// Catches: a subject of which the short way makes something else: blanks, encoded words, controls.
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
            prop_assert_eq!(BaseSubject::of(subject.as_bytes()), BaseSubject::of_words(subject.as_bytes()));
        }
    }

    /// Catches: a look at the rest of the subject for each of its brackets.
    #[test]
    fn a_subject_of_brackets_is_no_more_work_than_another() {
        for piece in ["[a]", "[", "[fwd:", "re:", "re[", "(fwd)", "] "] {
            let long = piece.repeat((1 << 20) / piece.len());
            let begun = std::time::Instant::now();
            BaseSubject::of(long.as_bytes());
            // Once through it takes milliseconds, and once for each bracket minutes.
            assert!(begun.elapsed().as_secs() < 20, "{piece}");
        }
    }
}
