//! Encoded words, which name their charset, in header fields (RFC 2047).

use memchr::memmem;

use super::charset::{self, Charset};
use super::transfer::Base64;

/// Octets of text in one encoded word at most. The RFC allows 75 in all; some programs write a whole subject, or a
/// list of names, as one word.
const MAX_WORD: usize = 16 * 1024;

/// The text of an unfolded field with its encoded words decoded. Encoded words are not allowed everywhere in a field,
/// but mail programs write them everywhere, even within quotes.
pub fn decode(field: &[u8]) -> String {
    let mut out = String::with_capacity(field.len());
    runs(field, |charset, octets| charset::decode(charset, octets, &mut out));
    out
}

/// A value for sorting: a text, or octets that are not valid in the charset that they claim (RFC 5255 section 4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// A text in Unicode.
    Text(String),
    /// Octets, each as a character from U+0000 to U+00FF.
    Octets(String),
}

impl Default for Decoded {
    fn default() -> Decoded {
        Decoded::Text(String::new())
    }
}

impl Decoded {
    /// The value of an unfolded field: its [`decode`]d text, or, if part of it cannot be decoded, the octets of its
    /// words.
    pub fn of_field(field: &[u8]) -> Decoded {
        let text = decode(field);
        if !text.contains(char::REPLACEMENT_CHARACTER) {
            return Decoded::Text(text);
        }
        let mut out = String::with_capacity(field.len());
        runs(field, |_, octets| out.extend(octets.iter().copied().map(char::from)));
        Decoded::Octets(out)
    }

    /// The value of octets that should be UTF-8.
    pub fn of_utf8(octets: &[u8]) -> Decoded {
        match std::str::from_utf8(octets) {
            Ok(text) => Decoded::Text(text.to_owned()),
            Err(_) => Decoded::Octets(octets.iter().copied().map(char::from).collect()),
        }
    }

    /// The characters of the value.
    pub fn as_str(&self) -> &str {
        match self {
            Decoded::Text(text) | Decoded::Octets(text) => text,
        }
    }

    /// A value of the same kind, with its characters replaced by what `change` returns.
    pub fn map(&self, change: impl FnOnce(&str) -> String) -> Decoded {
        match self {
            Decoded::Text(text) => Decoded::Text(change(text)),
            Decoded::Octets(octets) => Decoded::Octets(change(octets)),
        }
    }
}

/// Hands the octets of a field with their charset to `take`, those of encoded words decoded from base64 or Q.
fn runs(field: &[u8], mut take: impl FnMut(Charset, &[u8])) {
    let mut rest = field;
    // The octets of consecutive encoded words: a character may be cut in two between them.
    let mut run: Option<(Charset, Vec<u8>)> = None;
    let mut from = 0;
    let mut ends = Ends::default();
    while let Some(at) = memmem::find(rest.get(from..).unwrap_or_default(), b"=?").map(|at| at + from) {
        let (before, word) = rest.split_at(at);
        let Some((charset, octets, after)) = encoded_word(word, &mut ends) else {
            from = at + 2;
            continue;
        };
        // RFC 2047 section 6.2: blanks between encoded words are ignored.
        let apart = run.is_none() || !before.trim_ascii().is_empty();
        // A byte order mark is one at the beginning of a text only.
        let marked = charset.has_mark(&octets);
        let ended = run.take_if(|(previous, _)| apart || marked || *previous != charset);
        ended.iter().for_each(|(charset, octets)| take(*charset, octets));
        if apart {
            take(Charset::Unlabelled, before);
        }
        run.get_or_insert_with(|| (charset, Vec::new())).1.extend(octets);
        rest = after;
        from = 0;
    }
    run.iter().for_each(|(charset, octets)| take(*charset, octets));
    take(Charset::Unlabelled, rest);
}

/// The place of the next `?=` of a field, counted in octets from the field's end. It is searched for once, however
/// many words begin before it.
#[derive(Default)]
struct Ends(Option<usize>);

impl Ends {
    /// The offset of the first `?=` in `rest`, which must be the end of the field.
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

/// The encoded word at the beginning of `text`, which must be the end of a field: its charset, its octets, and what
/// follows.
fn encoded_word<'a>(text: &'a [u8], ends: &mut Ends) -> Option<(Charset, Vec<u8>, &'a [u8])> {
    let text = text.strip_prefix(b"=?")?;
    let mut parts = text.splitn(3, |&b| b == b'?');
    let (name, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let end = ends.first(rest).filter(|end| end + 2 <= MAX_WORD)?;
    let (content, after) = (rest.get(..end)?, rest.get(end + 2..)?);
    // RFC 2231 section 5 allows a language after the charset.
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

/// Decodes the Q encoding (RFC 2047 section 4.2).
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

    /// Catches: a look at the rest of the field each time a word begins.
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
            // Each word ends in ASCII, and the next one begins with an escape sequence.
            (
                "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?= =?ISO-2022-JP?B?GyRCOGwbKEI=?= x",
                "\u{65e5}\u{672c}\u{8a9e} x",
            ),
            ("=?utf-16?B?/v8A/A==?= =?utf-16?B?//7fAA==?=", "\u{fc}\u{df}"),
            ("=?utf-8?B?77u/w7w=?= =?utf-8?B?77u/w58=?=", "\u{fc}\u{df}"),
        ] {
            assert_eq!(decode(field.as_bytes()), expected, "{field}");
        }
    }

    /// Catches: a whole subject in one word that is shown as it is encoded.
    #[test]
    fn a_word_may_be_as_long_as_a_subject() {
        let long = format!("=?utf-8?Q?{}?=", "=C3=BC".repeat(2000));
        assert_eq!(decode(long.as_bytes()), "\u{fc}".repeat(2000));
    }

    #[test]
    fn octets_without_a_name_are_utf_8_or_western() {
        assert_eq!(decode("caf\u{e9}".as_bytes()), "caf\u{e9}");
        assert_eq!(decode(b"caf\xe9"), "caf\u{e9}");
    }
}
