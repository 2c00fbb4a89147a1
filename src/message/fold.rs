//! Text without regard to case: close to Unicode's full case folding, as far as the standard library
//! knows the letters. And without regard to how many blanks and line ends stand between two words: nobody sees where a
//! mail program broke the lines.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// A text to look for.
pub struct Needle {
    finder: Finder<'static>,
    /// It has blanks. Where it has none it does not matter how many the text has, which saves a walk through it.
    has_blanks: bool,
}

impl Needle {
    /// Looks for `text`; an empty one is everywhere.
    pub fn new(text: &str) -> Needle {
        let mut folded = Vec::new();
        fold(text, &mut folded);
        join_blanks(&mut folded, 0);
        let has_blanks = folded.contains(&b' ');
        Needle { finder: Finder::new(&folded).into_owned(), has_blanks }
    }

    /// Whether the text is part of `text`.
    pub fn is_in(&self, text: &str) -> bool {
        let mut folded = Vec::new();
        fold(text, &mut folded);
        self.is_in_folded(&mut folded, 0)
    }

    /// Whether the text is part of what [`fold`] made, from the place `new` on for the first time. It is shorter then,
    /// where blanks count.
    pub fn is_in_folded(&self, folded: &mut Vec<u8>, new: usize) -> bool {
        if self.has_blanks {
            join_blanks(folded, new);
        }
        self.finder.find(folded).is_some()
    }

    /// Whether it has anything but ASCII letters, digits and common punctuation: what HTML may write as a reference.
    pub fn may_be_references(&self) -> bool {
        self.finder.needle().iter().any(|b| !b.is_ascii() || b" &<>\"'".contains(b))
    }

    /// The text without its case, a blank for each run of them.
    pub fn folded(&self) -> &[u8] {
        self.finder.needle()
    }

    /// Whether there is a `"` in it.
    pub fn has_quotes(&self) -> bool {
        self.finder.needle().contains(&b'"')
    }

    /// Octets of folded text that can hold its beginning when the next piece holds its end.
    pub fn overlap(&self) -> usize {
        self.finder.needle().len().saturating_sub(1)
    }
}

/// Appends `text` without its case.
pub fn fold(text: &str, out: &mut Vec<u8>) {
    if text.is_ascii() {
        return fold_ascii(text.as_bytes(), out);
    }
    out.reserve(text.len());
    let near = &*NEAR;
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c.to_ascii_lowercase() as u8);
        } else if c.is_whitespace() {
            out.push(b' ');
        } else if let Some(folded) = near.get(c as usize).copied().and_then(|c| char::from_u32(c.into()))
            && folded != '\0'
        {
            out.extend(folded.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            folded(c).for_each(|c| out.extend(c.encode_utf8(&mut [0; 4]).as_bytes()));
        }
    }
}

/// Makes one blank of each run of blanks and line ends, from the place `from` on, before which that is so.
fn join_blanks(text: &mut Vec<u8>, from: usize) {
    let mut blank = from.checked_sub(1).and_then(|at| text.get(at)) == Some(&b' ');
    let (mut kept, mut at) = (from, from);
    while at < text.len() {
        let end = (at + 8).min(text.len());
        if let Some(&octets) = text[at..end].first_chunk::<8>() {
            // Eight octets at once, as most are: no line end, and no blank behind a blank.
            let word = u64::from_le_bytes(octets);
            let blanks = zeros(word ^ 0x2020_2020_2020_2020);
            if zeros(word & 0xe0e0_e0e0_e0e0_e0e0) == 0
                && blanks & ((blanks << 8) | (u64::from(blank) << 7)) == 0
            {
                text[kept..kept + 8].copy_from_slice(&octets);
                blank = blanks >> 63 == 1;
                (kept, at) = (kept + 8, end);
                continue;
            }
        }
        while at < end {
            let b = text[at];
            let is_blank = matches!(b, b' ' | b'\t' | b'\r' | b'\n');
            text[kept] = if is_blank { b' ' } else { b };
            kept += usize::from(!(is_blank && blank));
            blank = is_blank;
            at += 1;
        }
    }
    text.truncate(kept);
}

/// The highest bit of each octet that is 0.
fn zeros(word: u64) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    !(((word & LOW) + LOW) | word | LOW)
}

/// Appends ASCII text in lower case: octet by octet this would be half of what a search of bodies takes.
pub fn fold_ascii(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend(text);
    let (blocks, rest) = out[start..].as_chunks_mut::<32>();
    for block in blocks {
        for word in block.as_chunks_mut::<4>().0 {
            *word = lower_case(u32::from_ne_bytes(*word)).to_ne_bytes();
        }
    }
    rest.make_ascii_lowercase();
}

/// Four octets of ASCII in lower case.
fn lower_case(word: u32) -> u32 {
    // The highest bit of an octet, which ASCII leaves free, becomes set from A on, and from behind Z on.
    let from_a = word.wrapping_add(0x0101_0101 * u32::from(0x80 - b'A'));
    let behind_z = word.wrapping_add(0x0101_0101 * u32::from(0x80 - (b'Z' + 1)));
    word | (from_a & !behind_z & 0x8080_8080) >> 2
}

/// Upper case first brings together what has more than one lower case letter.
fn folded(c: char) -> impl Iterator<Item = char> {
    c.to_uppercase().flat_map(char::to_lowercase)
}

/// The letters that most mail without ASCII is written in (Latin, Greek, Cyrillic), since the standard
/// library takes its time: what each becomes, 0 where that is more than one letter.
static NEAR: LazyLock<[u16; 0x530]> = LazyLock::new(|| {
    std::array::from_fn(|c| {
        let mut letters = char::from_u32(c as u32).into_iter().flat_map(folded);
        let only = letters.next().filter(|_| letters.next().is_none());
        only.and_then(|c| u16::try_from(u32::from(c)).ok()).unwrap_or(0)
    })
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_any_case_are_the_same() {
        for (a, b) in [
            ("Plain", "pLAIN"),
            ("\u{3a3}\u{391}\u{3a3}", "\u{3c3}\u{3b1}\u{3c2}"),
            ("\u{10d0}", "\u{1c90}"),
            ("\u{416}\u{401}", "\u{436}\u{451}"),
            ("STRASSE", "stra\u{df}e"),
            ("\u{1f389} \u{65e5}", "\u{1f389} \u{65e5}"),
        ] {
            assert!(Needle::new(a).is_in(b) && Needle::new(b).is_in(a), "{a} {b}");
        }
        assert!(!Needle::new("\u{e9}").is_in("e"), "accents count");
    }

    /// Catches: a phrase that is not found because its line was broken, or because the text has more blanks than the key.
    #[test]
    fn a_run_of_blanks_is_one_blank() {
        for text in ["one two", "one  two", "one\r\n two", "one\u{a0}\ttwo", "x one\r\n\r\n\u{3000}two "] {
            for key in ["one two", "ONE \t two", "one\r\n two", "one\u{a0}two"] {
                assert!(Needle::new(key).is_in(text), "{key:?} in {text:?}");
            }
            assert!(!Needle::new("onetwo").is_in(text));
        }
        assert!(!Needle::new("one two").is_in("onetwo") && !Needle::new(" one").is_in("one"));
    }

    /// Catches: a blank that is overlooked, or joined to another one, where eight octets are looked at together.
    #[test]
    fn blanks_are_joined_wherever_they_stand() {
        for (run, one) in [
            ("\t", " "),
            ("  ", " "),
            ("\r\n", " "),
            (" ", " "),
            ("\u{e9}!\u{1f}", "\u{e9}!\u{1f}"),
            (" \n\t ", " "),
        ] {
            for place in 0..20 {
                for behind in 0..20 {
                    let text = |run: &str| ["x", &"x".repeat(place), run, &"y".repeat(behind)].concat();
                    let mut joined = text(run).into_bytes();
                    join_blanks(&mut joined, 1);
                    assert_eq!(String::from_utf8_lossy(&joined), text(one));
                    let mut continued = [b" ", run.as_bytes(), b"z"].concat();
                    join_blanks(&mut continued, 1);
                    assert_eq!(
                        continued,
                        if one == " " { b" z".to_vec() } else { [b" ", one.as_bytes(), b"z"].concat() }
                    );
                }
            }
        }
    }

    /// Catches: an octet beside the letters (`@`, `[`, DEL) that is changed in four octets at once, and one that spills into
    /// its neighbour.
    #[test]
    fn ascii_loses_its_case_wherever_it_stands() {
        for other in [0, b'A', b'Z', 0x7f] {
            for octet in 0..0x80 {
                for place in 0..70 {
                    let mut text = [other; 70];
                    text[place] = octet;
                    let mut out = b"X".to_vec();
                    fold_ascii(&text, &mut out);
                    assert_eq!(out[0], b'X');
                    assert_eq!(out[1..], text.to_ascii_lowercase());
                }
            }
        }
    }
}
