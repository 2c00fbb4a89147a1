//! Texts as SEARCH compares them: by [`super::collation`], and without regard to the number of blanks and line ends
//! between two words, since users do not see where a mail program has broken the lines.

use memchr::arch::all::packedpair::HeuristicFrequencyRank;
use memchr::memmem::{Finder, FinderBuilder};

use super::collation::{collate_ascii, collate_char};

/// A text to be searched for.
pub struct Needle {
    finder: Finder<'static>,
    /// Whether the text has blanks. When it has none, runs of blanks need not be joined in the searched text.
    has_blanks: bool,
}

impl Needle {
    /// A needle for `text`. An empty one is found everywhere.
    pub fn new(text: &str) -> Needle {
        let mut folded = Vec::new();
        fold(text, &mut folded);
        join_blanks(&mut folded, 0);
        let has_blanks = folded.contains(&b' ');
        let finder = FinderBuilder::new().build_forward_with_ranker_owned(Rarity, folded);
        Needle { finder, has_blanks }
    }

    /// Whether `text` contains the needle.
    pub fn is_in(&self, text: &str) -> bool {
        let mut folded = Vec::new();
        fold(text, &mut folded);
        self.is_in_folded(&mut folded, 0)
    }

    /// Whether text that [`fold`] made contains the needle. The text from `new` on is searched for the first time.
    /// When blanks matter, runs of blanks in it are joined, which makes it shorter.
    pub fn is_in_folded(&self, folded: &mut Vec<u8>, new: usize) -> bool {
        if self.has_blanks {
            join_blanks(folded, new);
        }
        self.finder.find(folded).is_some()
    }

    /// Whether the text contains anything that HTML may write as a reference: everything but most ASCII letters,
    /// digits and common punctuation. `²` is compared as `2`, `…` as three dots, `™` as `TM`, and `ª` stays a small
    /// letter, since it has no capital.
    pub fn may_be_references(&self) -> bool {
        let needle = self.finder.needle();
        let one = |b: &u8| !b.is_ascii() || b.is_ascii_lowercase() || b" &<>\"'123".contains(b);
        needle.iter().any(one) || needle.contains(&b'.') || needle.windows(2).any(|two| two == b"TM")
    }

    /// The text as it is compared, with one blank for each run of blanks.
    pub fn folded(&self) -> &[u8] {
        self.finder.needle()
    }

    /// Whether the text contains a `"`.
    pub fn has_quotes(&self) -> bool {
        self.finder.needle().contains(&b'"')
    }

    /// Octets of folded text that must be kept before the next piece, since the needle may begin in one piece and end
    /// in the next.
    pub fn overlap(&self) -> usize {
        self.finder.needle().len().saturating_sub(1)
    }
}

/// Which octets of a needle are rare in folded text. The ranks of memchr are for text in both cases of letters, in
/// which `E` is rarer than `M`.
struct Rarity;

/// The ranks of A to Z: those that memchr has for a to z.
const LETTERS: &[u8; 26] = &[
    249, 216, 238, 236, 253, 227, 218, 230, 247, 135, 180, 241, 233, 246, 244, 231, 139, 245, 243, 251, 235,
    201, 196, 240, 214, 152,
];

impl HeuristicFrequencyRank for Rarity {
    fn rank(&self, octet: u8) -> u8 {
        let letter = octet.checked_sub(b'A').and_then(|n| LETTERS.get(usize::from(n)));
        letter.copied().unwrap_or(match octet {
            b' ' | b'\n' | b'\r' | 0xc0.. => 255,
            b'0'..=b'9' => 200,
            _ if octet.is_ascii_punctuation() || octet >= 0x80 => 150,
            _ => 50,
        })
    }
}

/// Appends `text` as it is compared.
pub fn fold(text: &str, out: &mut Vec<u8>) {
    if text.is_ascii() {
        return collate_ascii(text.as_bytes(), out);
    }
    out.reserve(text.len());
    for c in text.chars() {
        // Some blanks, the line ends of Unicode, have no compatibility decomposition to U+0020.
        if !c.is_ascii() && c.is_whitespace() { out.push(b' ') } else { collate_char(c, out) }
    }
}

/// Joins each run of blanks and line ends to one blank, from the offset `from` on. Before that they are joined
/// already.
#[expect(
    clippy::indexing_slicing,
    reason = "`kept` is never beyond `at`, and `at` and `end` never beyond the length"
)]
fn join_blanks(text: &mut Vec<u8>, from: usize) {
    let mut blank = from.checked_sub(1).and_then(|at| text.get(at)) == Some(&b' ');
    let (mut kept, mut at) = (from, from);
    while at < text.len() {
        let end = (at + 8).min(text.len());
        if let Some(&octets) = text[at..end].first_chunk::<8>() {
            // Eight octets at once: most have no line end, and no blank after a blank.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: letters that compare as equal and do not find each other, and letters that RFC 5051 distinguishes and
    /// that do: `\u{df}` is not `SS`, and a ligature has only small letters.
    #[test]
    fn letters_are_found_as_they_are_compared() {
        for (a, b) in [
            ("Plain", "pLAIN"),
            ("\u{3a3}\u{391}\u{3a3}", "\u{3c3}\u{3b1}\u{3c2}"),
            ("\u{416}\u{401}", "\u{436}\u{451}"),
            ("\u{c9}", "\u{e9}"),
            ("\u{e9}", "e\u{301}"),
            ("\u{1f389} \u{65e5}", "\u{1f389} \u{65e5}"),
            ("\u{ff21}\u{ff11}", "A1"),
            ("\u{ac00}", "\u{1100}\u{1161}"),
            ("m\u{b2}", "M2"),
        ] {
            assert!(Needle::new(a).is_in(b) && Needle::new(b).is_in(a), "{a} {b}");
        }
        for (a, b) in
            [("strasse", "stra\u{df}e"), ("\u{fb01}", "fi"), ("\u{e9}", "e"), ("\u{10d0}", "\u{1c90}")]
        {
            assert!(!Needle::new(a).is_in(b), "{a} {b}");
        }
        assert!(Needle::new("e").is_in("\u{e9}"), "RFC 5051: its accent comes behind it");
    }

    /// Catches: a phrase that is not found because its line was broken, or because the text has more blanks than the
    /// key.
    #[test]
    fn a_run_of_blanks_is_one_blank() {
        for text in [
            "one two",
            "one  two",
            "one\u{2028}two",
            "one\r\n two",
            "one\u{a0}\ttwo",
            "x one\r\n\r\n\u{3000}two ",
        ] {
            for key in ["one two", "ONE \t two", "one\r\n two", "one\u{a0}two"] {
                assert!(Needle::new(key).is_in(text), "{key:?} in {text:?}");
            }
            assert!(!Needle::new("onetwo").is_in(text));
        }
        assert!(!Needle::new("one two").is_in("onetwo") && !Needle::new(" one").is_in("one"));
    }

    /// Catches: a blank that is missed, or joined to another, where eight octets are handled at once.
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

    /// Catches: a reference that is compared as ASCII (`&sup2;` is a 2) and not undone because the searched text is
    /// ASCII.
    #[test]
    fn what_html_may_write_as_references() {
        for text in ["m2", "...", "tm", "\u{aa}", "a b", "a&b", "\u{fc}"] {
            assert!(Needle::new(text).may_be_references(), "{text}");
        }
        assert!(!Needle::new("plain-45t_m").may_be_references());
    }
}
