//! The order of texts: that of `i;unicode-casemap` (RFC 5051), letters without their case and taken apart from their accents, then
//! octet by octet.

use unicode_normalization::char::decompose_compatible;

/// Appends `text` with each letter in title case, where that is one letter, and decomposed (RFC 5051 section 2).
pub fn collate(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c.to_ascii_uppercase() as u8);
        } else {
            decompose_compatible(title_case(c), |c| out.extend(c.encode_utf8(&mut [0; 4]).as_bytes()));
        }
    }
}

fn title_case(c: char) -> char {
    match c {
        // Letters of two, of which title case has the first large, and those of Georgian, which has none.
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        '\u{10d0}'..='\u{10ff}' => c,
        _ => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(upper), None) => upper,
                _ => c,
            }
        }
    }
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
            ("\u{e4}", "A\u{308}"),
        ] {
            assert_eq!(collated(a), collated(b));
        }
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
}
