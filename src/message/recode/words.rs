//! Encoded words (RFC 2047), and folded lines (RFC 5322 section 2.2.3).

use data_encoding::BASE64;

/// Characters of an encoded word at most (RFC 2047 section 2).
const MAX_WORD: usize = 75;
/// Characters of a line with encoded words at most.
const MAX_LINE: usize = 76;
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The charset of a text in a header field: UTF-8, or unknown (RFC 1428).
fn charset(text: &[u8]) -> &'static str {
    if std::str::from_utf8(text).is_ok() { "utf-8" } else { "unknown-8bit" }
}

/// The encoded words for `text`, which are to be written with only a blank or a folding between them. They are valid
/// everywhere, also in a phrase (RFC 2047 section 5).
pub fn encoded(text: &[u8]) -> Vec<Vec<u8>> {
    let charset = charset(text);
    let room = MAX_WORD - "=??Q??=".len() - charset.len();
    let quoted: usize = text.iter().map(|&octet| if is_plain(octet) { 1 } else { 3 }).sum();
    // Q keeps the text readable without a program, and is used unless it is twice as long as base64.
    let in_base64 = quoted > text.len().div_ceil(3) * 8;
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(fitting(rest, room, in_base64, charset));
        let mut word = format!("=?{charset}?{}?", if in_base64 { 'B' } else { 'Q' }).into_bytes();
        if in_base64 {
            word.extend(BASE64.encode(now).bytes())
        } else {
            now.iter().for_each(|&o| quote(o, &mut word))
        }
        word.extend_from_slice(b"?=");
        words.push(word);
        rest = later;
    }
    words
}

/// How many octets of `text` fit into one word. A character is not cut (RFC 2047 section 5).
fn fitting(text: &[u8], room: usize, in_base64: bool, charset: &str) -> usize {
    let mut used = 0;
    let cost = |octet: u8| if is_plain(octet) { 1 } else { 3 };
    let mut fits = |&octet: &u8| {
        used += cost(octet);
        used <= room
    };
    let most =
        if in_base64 { text.len().min(room / 4 * 3) } else { text.iter().take_while(|o| fits(o)).count() };
    let whole = |&at: &usize| charset != "utf-8" || text.get(at).is_none_or(|&octet| octet & 0xc0 != 0x80);
    (1..=most).rev().find(whole).unwrap_or(most.max(1))
}

/// Whether the octet stands for itself in every encoded word.
fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b" !*+-/".contains(&octet)
}

#[expect(clippy::indexing_slicing, reason = "a table of 16 has a place for every half of an octet")]
fn quote(octet: u8, out: &mut Vec<u8>) {
    match octet {
        b' ' => out.push(b'_'),
        _ if is_plain(octet) => out.push(octet),
        _ => out.extend([b'=', HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]]),
    }
}

/// Whether this is an encoded word, or looks like one.
pub fn is_encoded(word: &[u8]) -> bool {
    word.starts_with(b"=?") && word.ends_with(b"?=")
}

/// Writes a field, folded where blanks allow it.
pub struct Folded {
    out: Vec<u8>,
    column: usize,
}

impl Folded {
    /// A field that begins with `name`, which includes the colon.
    pub fn new(name: &[u8]) -> Folded {
        Folded { out: name.to_vec(), column: name.len() }
    }

    /// Appends `text` with `blanks` before it. A line may be broken at the blanks.
    pub fn put(&mut self, blanks: &[u8], text: &[u8]) {
        if !blanks.is_empty()
            && self.column + blanks.len() + text.len() > MAX_LINE
            && self.column > blanks.len()
        {
            self.out.extend_from_slice(b"\r\n");
            self.column = 0;
        }
        self.out.extend_from_slice(blanks);
        self.out.extend_from_slice(text);
        self.column += blanks.len() + text.len();
    }

    /// Appends the encoded words for `text`, with `blanks` before them, and `before` and `index_after` directly next to
    /// them.
    pub fn put_encoded(&mut self, blanks: &[u8], before: &[u8], text: &[u8], behind: &[u8]) {
        let words = encoded(text);
        let last = words.len().saturating_sub(1);
        for (at, word) in words.iter().enumerate() {
            let before = if at == 0 { before } else { b"" };
            let behind = if at == last { behind } else { b"" };
            self.put(if at == 0 { blanks } else { b" " }, &[before, word, behind].concat());
        }
    }

    /// The field with its line end.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(b"\r\n");
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::encoded_word::decode;
    use super::*;

    /// Catches: a word that is too long, a character that is cut in two, and a text that changes.
    #[test]
    fn words_are_short_and_whole() {
        for text in [
            "\u{fc}",
            "Gr\u{fc}\u{df}e aus M\u{fc}nchen, _=? und mehr",
            &"\u{65e5}\u{672c}".repeat(60),
            &"\u{1f600}a ".repeat(70),
        ] {
            let words = encoded(text.as_bytes());
            for word in &words {
                let word = std::str::from_utf8(word).unwrap();
                assert!(word.is_ascii() && word.len() <= MAX_WORD && !word.contains(' '), "{word}");
                assert!(!decode(word.as_bytes()).contains(char::REPLACEMENT_CHARACTER), "{word}");
            }
            assert_eq!(decode(&words.join(&b"\r\n "[..])), text);
        }
        assert_eq!(encoded(b"caf\xe9"), [b"=?unknown-8bit?Q?caf=E9?="]);
    }
}
