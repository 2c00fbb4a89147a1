//! Words in header fields that name their charset (RFC 2047).

use memchr::memmem;

use super::charset::{self, Charset};
use super::transfer::Base64;

/// Octets of text in one encoded word: the RFC allows 75 in all, some mail programs take more, and a
/// word without an end must not cost a look at the whole field each time one begins.
const MAX_WORD: usize = 1000;

/// The text of an unfolded field, encoded words decoded. Not every place in a field may hold encoded
/// words, but mail programs put them everywhere, even within quotes.
pub fn decode(field: &[u8]) -> String {
    let mut out = String::with_capacity(field.len());
    let mut rest = field;
    // Octets of encoded words that follow each other: a character may be cut in two between them.
    let mut run: Option<(Charset, Vec<u8>)> = None;
    let end_run = |run: &mut Option<(Charset, Vec<u8>)>, out: &mut String| {
        if let Some((charset, octets)) = run.take() {
            charset::decode(charset, &octets, out);
        }
    };
    let mut from = 0;
    let mut ends = Ends::default();
    while let Some(at) = memmem::find(rest.get(from..).unwrap_or_default(), b"=?").map(|at| at + from) {
        let (before, word) = rest.split_at(at);
        let Some((charset, octets, after)) = encoded_word(word, &mut ends) else {
            from = at + 2;
            continue;
        };
        // RFC 2047 section 6.2: blanks between encoded words are not shown.
        let apart = run.is_none() || !before.trim_ascii().is_empty();
        if apart || run.as_ref().is_some_and(|(previous, _)| *previous != charset) {
            end_run(&mut run, &mut out);
        }
        if apart {
            charset::decode(Charset::Unlabelled, before, &mut out);
        }
        run.get_or_insert_with(|| (charset, Vec::new())).1.extend(octets);
        rest = after;
        from = 0;
    }
    end_run(&mut run, &mut out);
    charset::decode(Charset::Unlabelled, rest, &mut out);
    out
}

/// Where the next `?=` of a field is, counted in octets from the field's end: so it is looked for once, however many
/// words begin before it.
#[derive(Default)]
struct Ends(Option<usize>);

impl Ends {
    /// The first place of `?=` in `rest`, the end of the field.
    fn first(&mut self, rest: &[u8]) -> Option<usize> {
        let known = self.0.filter(|&left| left <= rest.len());
        let left = match known {
            Some(left) => left,
            None => memmem::find(rest, b"?=").map_or(0, |at| rest.len() - at),
        };
        self.0 = Some(left);
        (left > 0).then(|| rest.len() - left)
    }
}

/// The encoded word that `text`, the end of a field, begins with: its charset, its octets, and what follows.
fn encoded_word<'a>(text: &'a [u8], ends: &mut Ends) -> Option<(Charset, Vec<u8>, &'a [u8])> {
    let text = text.strip_prefix(b"=?")?;
    let mut parts = text.splitn(3, |&b| b == b'?');
    let (name, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let end = ends.first(rest).filter(|end| end + 2 <= MAX_WORD)?;
    let (content, after) = (rest.get(..end)?, rest.get(end + 2..)?);
    // RFC 2231 section 5 lets a language follow the charset.
    let name = name.split(|&b| b == b'*').next()?;
    if name.is_empty() || name.contains(&b' ') {
        return None;
    }
    let mut octets = Vec::new();
    match encoding {
        b"B" | b"b" => Base64::default().decode(content, &mut octets),
        b"Q" | b"q" => q_decode(content, &mut octets),
        _ => return None,
    }
    Some((Charset::named(name), octets, after))
}

/// RFC 2047 section 4.2.
fn q_decode(content: &[u8], out: &mut Vec<u8>) {
    let mut rest = content;
    while let Some((&b, after)) = rest.split_first() {
        let hex = |at: usize| after.get(at).and_then(|&b| char::from(b).to_digit(16));
        rest = after;
        match (b, hex(0), hex(1)) {
            (b'=', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'_', ..) => out.push(b' '),
            _ => out.push(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a look at the rest of the field each time that a word begins.
    #[test]
    fn the_end_of_a_word_is_looked_for_once() {
        let mut ends = Ends::default();
        assert_eq!(
            [ends.first(b"..?=..?="), ends.first(b"?=..?="), ends.first(b"..?=")],
            [Some(2), Some(0), Some(2)]
        );
        let mut none = Ends(Some(0));
        assert_eq!(none.first(b"?="), None, "it is known that there is none");
        assert_eq!(decode(&b"=?a?b?c".repeat(9000)).len(), 7 * 9000);
    }

    #[test]
    fn words_of_rfc_2047_and_of_real_mail() {
        for (field, expected) in [
            ("plain text", "plain text"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            ("=?ISO-8859-1?Q?a_b?= c =?utf-8?q?=C3=BC?=", "a b c \u{fc}"),
            ("=?iso-8859-1?q?=FC?= \t =?utf-8?b?w7w=?=", "\u{fc}\u{fc}"),
            ("=?US-ASCII*EN?Q?Keith_Moore?= <moore@cs>", "Keith Moore <moore@cs>"),
            (
                "\"=?utf-8?B?0J/RgNC40LLQtdGC?=\" <a@e>",
                "\"\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}\" <a@e>",
            ),
            ("=?utf-8?Q?cut_=C3?= =?utf-8?Q?=BC_in_two?=", "cut \u{fc} in two"),
            ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "\u{65e5}\u{672c}"),
            ("=?utf-8?Q?spaces in it?=!", "spaces in it!"),
            ("=?utf-8?Q?open", "=?utf-8?Q?open"),
            ("=?utf-8?X?a?= =?=?utf-8?Q?b?=", "=?utf-8?X?a?= =?b"),
            ("=?x-unknown?Q?=C3=BC?=", "\u{fc}"),
            ("=?utf-8?Q??=", ""),
        ] {
            assert_eq!(decode(field.as_bytes()), expected, "{field}");
        }
    }

    #[test]
    fn octets_without_a_name_are_utf_8_or_western() {
        assert_eq!(decode("caf\u{e9}".as_bytes()), "caf\u{e9}");
        assert_eq!(decode(b"caf\xe9"), "caf\u{e9}");
    }
}
