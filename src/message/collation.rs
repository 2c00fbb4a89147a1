//! How texts are compared: by `i;unicode-casemap` (RFC 5051), letters without their case and taken apart from their accents, then
//! octet by octet. It is what SEARCH, SORT and THREAD compare by (RFC 5255 section 4: I18NLEVEL=1).
//!
//! Unicode's tables are those of the standard library and of `unicode-normalization`. Whoever changes what comes out of here, also by a
//! newer one of these, raises [`super::signature::VERSION`].

use std::sync::LazyLock;

use unicode_normalization::char::decompose_compatible;

use super::encoded_word::Decoded;

/// Appends `text` with each letter in title case, where that is one letter, and decomposed (RFC 5051 section 2).
pub fn collate(text: &str, out: &mut Vec<u8>) {
    if text.is_ascii() {
        return collate_ascii(text.as_bytes(), out);
    }
    out.reserve(text.len());
    text.chars().for_each(|c| collate_char(c, out));
}

/// Appends what puts a text into order, or octets that are none: these stand behind all texts (RFC 5255 section 4.6).
pub fn collate_decoded(decoded: &Decoded, out: &mut Vec<u8>) {
    match decoded {
        Decoded::Text(text) => collate(text, out),
        Decoded::Octets(octets) => {
            // An octet that UTF-8 does not have. Behind it, UTF-8 has the order of what it encodes.
            out.push(0xff);
            out.extend(octets.as_bytes());
        }
    }
}

/// What [`collate`] appends of one character.
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

/// What [`collate`] appends of ASCII, which is text in upper case: octet by octet this would be half of what a search of bodies takes.
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
    // The highest bit of an octet, which ASCII leaves free, becomes set from a on, and from behind z on.
    let from_a = word.wrapping_add(0x0101_0101 * u32::from(0x80 - b'a'));
    let behind_z = word.wrapping_add(0x0101_0101 * u32::from(0x80 - (b'z' + 1)));
    word ^ (from_a & !behind_z & 0x8080_8080) >> 2
}

/// The letters that most mail without ASCII is written in (Latin, Greek, Cyrillic), since the tables take their time: what each
/// becomes, a letter and an accent, or `None` where that is more.
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

/// The simple title case of UnicodeData.txt; the standard library knows upper case, of which some is more than one letter.
fn title_case(c: char) -> char {
    match c {
        // Letters of two, of which title case has the first large, and those of Georgian, which has none.
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        '\u{10d0}'..='\u{10ff}' => c,
        // Greek with an iota below, which upper case writes beside.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => behind(c, 8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => behind(c, 9),
        _ => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(upper), None) => upper,
                _ => c,
            }
        }
    }
}

fn behind(c: char, n: u32) -> char {
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

    /// Catches: letters that are told apart by their case or by how their accents are written, letters with accents that stand
    /// behind all others, and `_`, which stands behind the letters.
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
        // The example of RFC 5051 section 2, and Greek that upper case makes longer.
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

    /// Catches: an octet beside the letters (`` ` ``, `{`, DEL) that is changed in four octets at once, and one that spills into
    /// its neighbour.
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

    /// The example of RFC 5255 section 4.6, and octets among themselves. Catches: octets that are no text among the texts.
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
