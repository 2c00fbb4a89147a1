//! Undoes character references of HTML (`&uuml;`, `&#252;`) in pieces. The names of Latin-1 and of the usual
//! punctuation are known; other references stay as they are, and so do tags.

use memchr::memchr;

/// Octets between `&` and `;` at most.
const MAX: usize = 10;

/// The names of U+00A0 and of the characters that follow it.
const LATIN_1: &str = "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 \
    acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig \
    Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave \
    Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave \
    iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml";

const OTHERS: [(&str, char); 22] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("euro", '\u{20ac}'),
    ("ndash", '\u{2013}'),
    ("mdash", '\u{2014}'),
    ("lsquo", '\u{2018}'),
    ("rsquo", '\u{2019}'),
    ("sbquo", '\u{201a}'),
    ("ldquo", '\u{201c}'),
    ("rdquo", '\u{201d}'),
    ("bdquo", '\u{201e}'),
    ("hellip", '\u{2026}'),
    ("bull", '\u{2022}'),
    ("trade", '\u{2122}'),
    ("Scaron", '\u{160}'),
    ("scaron", '\u{161}'),
    ("OElig", '\u{152}'),
    ("oelig", '\u{153}'),
    ("ensp", ' '),
];

/// Undoes references, piece by piece.
#[derive(Debug, Default)]
pub struct References {
    /// The beginning of a reference whose end comes with the next piece.
    begun: String,
}

impl References {
    /// Whether the next piece may contain references or end one.
    pub fn are_in(&self, octets: &[u8]) -> bool {
        !self.begun.is_empty() || memchr(b'&', octets).is_some()
    }

    /// Appends `piece` with its references undone. `last` says whether it is the last piece.
    pub fn undo(&mut self, piece: &str, last: bool, out: &mut String) {
        let text = std::mem::take(&mut self.begun) + piece;
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('&') {
            out.push_str(before);
            let end = after.bytes().take(MAX + 1).position(|b| b != b'#' && !b.is_ascii_alphanumeric());
            if end.is_none() && after.len() <= MAX && !last {
                self.begun = format!("&{after}");
                return;
            }
            let (name, behind) = after.split_at(end.unwrap_or(0));
            rest = after;
            match (reference(name), behind.strip_prefix(';')) {
                (Some(c), Some(behind)) => {
                    out.push(c);
                    rest = behind;
                }
                _ => out.push('&'),
            }
        }
        out.push_str(rest);
    }
}

fn reference(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let hex = number.strip_prefix(['x', 'X']);
        return char::from_u32(hex.map_or_else(|| number.parse(), |hex| u32::from_str_radix(hex, 16)).ok()?);
    }
    let latin = (0xa0_u8..=0xff).zip(LATIN_1.split_ascii_whitespace()).find(|(_, known)| *known == name);
    let other = OTHERS.iter().find(|(known, _)| *known == name);
    latin.map(|(c, _)| char::from(c)).or(other.map(|(_, c)| *c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a reference that is cut between two pieces, and text that is lost because it only looks like one.
    #[test]
    fn references_in_pieces() {
        for (text, expected) in [
            ("Gr&uuml;&szlig;e &#252;&#xFC; x", "Gr\u{fc}\u{df}e \u{fc}\u{fc} x"),
            ("a&nbsp;b &yuml; &AMP; &amp;amp; &hellip;", "a\u{a0}b \u{ff} &AMP; &amp; \u{2026}"),
            (
                "R&D & &; &unknown; &#xd800; &#99999999999; &uuml",
                "R&D & &; &unknown; &#xd800; &#99999999999; &uuml",
            ),
            ("?a=1&b=2&uuml\u{fc};", "?a=1&b=2&uuml\u{fc};"),
        ] {
            for size in 1..=text.len() {
                let mut references = References::default();
                let mut out = String::new();
                let mut rest = text;
                while !rest.is_empty() {
                    let at = (size..).find(|&at| at >= rest.len() || rest.is_char_boundary(at)).unwrap();
                    let (piece, after) = rest.split_at(at.min(rest.len()));
                    references.undo(piece, false, &mut out);
                    rest = after;
                }
                references.undo("", true, &mut out);
                assert_eq!(out, expected, "in pieces of {size}");
            }
        }
    }
}
