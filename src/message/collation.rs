//! How texts are compared: by `i;unicode-casemap` (RFC 5051), which ignores case and decomposes accents, and then
//! octet by octet. SEARCH, SORT and THREAD use it (RFC 5255 section 4: I18NLEVEL=1).
//!
//! The Unicode tables are those of the standard library and of `unicode-normalization`. A change of what this module
//! returns, also by a newer version of these, needs a higher [`super::signature::VERSION`].

use std::sync::LazyLock;

use unicode_normalization::char::decompose_compatible;

use super::encoded_word::Decoded;

/// Appends `text` with each letter in title case, when that is a single letter, and decomposed (RFC 5051 section 2).
pub fn collate(text: &str, out: &mut Vec<u8>) {
    if text.is_ascii() {
        return collate_ascii(text.as_bytes(), out);
    }
    out.reserve(text.len());
    text.chars().for_each(|c| collate_char(c, out));
}

/// Appends the octets that determine the place of a text in the order. Octets that are not text come after all texts
/// (RFC 5255 section 4.6).
pub fn collate_decoded(decoded: &Decoded, out: &mut Vec<u8>) {
    match decoded {
        Decoded::Text(text) => collate(text, out),
        Decoded::Octets(octets) => {
            // This octet does not occur in UTF-8, so these come last. They are ordered like the octets that their
            // characters stand for.
            out.push(0xff);
            out.extend(octets.as_bytes());
        }
    }
}

/// Appends what [`collate`] appends for one character.
pub fn collate_char(c: char, out: &mut Vec<u8>) {
    if c.is_ascii() {
        return out.push(c.to_ascii_uppercase() as u8);
    }
    let mut push = |c: char| out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
    match NEAR.get(c as usize) {
        Some([Some(letter), accent]) => {
            push(*letter);
            accent.iter().for_each(|c| push(*c));
        }
        _ => decompose_compatible(title_case(c), push),
    }
}

/// Appends what [`collate`] appends for ASCII: the text in upper case. Octet by octet this would take half of the
/// time of a search in bodies.
#[expect(clippy::indexing_slicing, reason = "`out` only grows")]
pub fn collate_ascii(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend(text);
    let (blocks, rest) = out[start..].as_chunks_mut::<32>();
    for block in blocks {
        for word in block.as_chunks_mut::<4>().0 {
            *word = upper_case(u32::from_ne_bytes(*word)).to_ne_bytes();
        }
    }
    rest.make_ascii_uppercase();
}

/// Four octets of ASCII in upper case.
fn upper_case(word: u32) -> u32 {
    // The highest bit of an octet, which is 0 in ASCII, becomes 1 for `a` and above, and for octets above `z`.
    let from_a = word.wrapping_add(0x0101_0101 * u32::from(0x80 - b'a'));
    let behind_z = word.wrapping_add(0x0101_0101 * u32::from(0x80 - (b'z' + 1)));
    word ^ (from_a & !behind_z & 0x8080_8080) >> 2
}

/// The decomposition of the letters in which most mail that is not ASCII is written (Latin, Greek, Cyrillic), since
/// the full tables are slow: a letter and an accent, or `None` when there is more.
static NEAR: LazyLock<[[Option<char>; 2]; 0x530]> = LazyLock::new(|| {
    std::array::from_fn(|c| {
        let (mut found, mut n) = ([None; 2], 0);
        decompose_compatible(title_case(char::from_u32(c as u32).unwrap_or_default()), |c| {
            if let Some(place) = found.get_mut(n) {
                *place = Some(c);
            }
            n += 1;
        });
        if n > 2 { [None; 2] } else { found }
    })
});

/// The simple title case of UnicodeData.txt. The standard library only has upper case, which may be more than one
/// letter.
fn title_case(c: char) -> char {
    match c {
        // Digraphs, whose title case has only the first letter large, and Georgian letters, which have no title case.
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        '\u{10d0}'..='\u{10ff}' => c,
        // Greek letters with iota subscript, which upper case writes as a second letter.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => plus(c, 8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => plus(c, 9),
        _ => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(upper), None) => upper,
                _ => c,
            }
        }
    }
}

fn plus(c: char, n: u32) -> char {
    char::from_u32(u32::from(c) + n).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collated(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        collate(text, &mut out);
        out
    }

    /// Catches: letters that differ by case or by how their accents are written and do not compare as equal, letters
    /// with accents that come after all others, and `_` that does not come after the letters.
    #[test]
    fn the_order_of_letters() {
        for (a, b) in [
            ("plain", "PLAIN"),
            ("\u{e4}\u{43f}", "\u{c4}\u{41f}"),
            ("\u{1c6}", "\u{1c4}"),
            ("\u{1e9b}\u{323}", "\u{1e60}\u{323}"),
            ("\u{e4}", "A\u{308}"),
        ] {
            assert_eq!(collated(a), collated(b));
        }
        // The example of RFC 5051 section 2, and Greek letters whose upper case is longer.
        assert_eq!(collated("\u{1c4}"), "Dz\u{30c}".as_bytes());
        assert_eq!(collated("\u{1f80}\u{1fb3}"), collated("\u{1f88}\u{1fbc}"));
        assert_eq!(collated("stra\u{df}e"), "STRA\u{df}E".as_bytes());
        for (a, b) in [
            ("a", "B"),
            ("A", "b"),
            ("z", "_"),
            ("", "a"),
            ("a", "ab"),
            ("\u{e4}z", "b"),
            ("a", "\u{e4}"),
            ("z", "\u{df}"),
        ] {
            assert!(collated(a) < collated(b), "{a} {b}");
        }
    }

    /// Catches: an octet next to the letters in ASCII (`` ` ``, `{`, DEL) that is changed when four octets are
    /// handled at once, and one that spills into its neighbour.
    #[test]
    fn ascii_loses_its_case_wherever_it_stands() {
        for other in [0, b'a', b'z', 0x7f] {
            for octet in 0..0x80 {
                for place in 0..70 {
                    let mut text = [other; 70];
                    text[place] = octet;
                    let mut out = b"X".to_vec();
                    collate_ascii(&text, &mut out);
                    assert_eq!(out[0], b'X');
                    assert_eq!(out[1..], text.to_ascii_uppercase());
                }
            }
        }
    }

    /// The example of RFC 5255 section 4.6, and octets among themselves. Catches: octets that are not text and come
    /// among the texts.
    #[test]
    fn what_is_no_text_stands_behind_all_texts() {
        let key = |field: &str| {
            let mut out = Vec::new();
            collate_decoded(&Decoded::of_field(field.as_bytes()), &mut out);
            out
        };
        let one = key("=?utf-8?Q?=D0=C0=D0=BD=D0=B4=D1=80=D0=B5=D0=B9?=");
        let two = key("=?utf-8?Q?=D1=81=D0=95=D0=A0=D0=93=D0=95=D0=99?=");
        let three = key("=?utf-8?Q?=D0=92=D0=B0=D1=81=D0=B8=D0=BB=D0=B8=FF=B9?=");
        let four = key("=?koi8-r?Q?=E1=CC=C5=CB=D3=C5=CA?=");
        assert!(four < two && two < three && three < one);
        assert!(key("\u{10ffff}") < three);
        let mut mailbox = Vec::new();
        collate_decoded(&Decoded::of_utf8(b"\xfc"), &mut mailbox);
        assert!(key("\u{10ffff}") < mailbox);
    }
}
