//! ISO-2022-JP (RFC 1468), ISO-2022-JP-1 (RFC 2237), ISO-2022-JP-2 (RFC 1554), and what Microsoft and later standards
//! have added: escape sequences that say from which set the next octets are.
//!
//! encoding_rs is not used for it, since the web takes two escape sequences in a row for an error. Mail has them
//! wherever encoded words meet: each ends in ASCII, and the next one begins with an escape.

use encoding_rs::{EUC_JP, EUC_KR, Encoding, GBK, ISO_8859_7, WINDOWS_1252};

/// A set of characters that an escape sequence selects.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Set {
    #[default]
    Ascii,
    /// JIS X 0201: ASCII with a yen sign and an overline.
    Roman,
    /// The half-width katakana of JIS X 0201.
    Katakana,
    /// JIS X 0208, and the first plane of JIS X 0213, which has the same characters at the same places.
    Jis,
    /// JIS X 0212.
    JisMore,
    Chinese,
    Korean,
    /// A set that is not known, with two octets a character.
    Unknown,
}

/// A decoder at some place in a text.
#[derive(Default)]
pub struct Iso2022Jp {
    set: Set,
    /// The upper half that ESC N takes one character from.
    upper: Option<&'static Encoding>,
    /// Whether ESC N came last.
    single: bool,
    /// An escape sequence whose end comes later.
    escape: Vec<u8>,
    /// The first octet of a character whose second one comes later.
    lead: Option<u8>,
    /// Characters in EUC-JP that are still to be decoded: many at once, since one by one is slow.
    euc: Vec<u8>,
}

/// What the escape sequence means that begins with these octets.
enum Escape {
    Begun,
    Set(Set),
    Upper(&'static Encoding),
    Single,
    Unknown,
}

impl Iso2022Jp {
    /// Whether octets of ASCII without an escape stand for themselves here.
    pub fn is_in_ascii(&self) -> bool {
        self.set == Set::Ascii && self.escape.is_empty() && !self.single
    }

    /// Appends the text of `octets`. `last` says whether they are the end of the text.
    pub fn decode(&mut self, octets: &[u8], last: bool, out: &mut String) {
        for &b in octets {
            if b == 0x1b {
                self.broken_off(out);
                self.escape.push(b);
            } else if self.escape.is_empty() {
                self.octet(b, out);
            } else {
                self.escape.push(b);
                self.escaped(b, out);
            }
        }
        if last {
            self.broken_off(out);
        }
        self.flush(out);
    }

    /// Ends a character or an escape sequence whose end is missing.
    fn broken_off(&mut self, out: &mut String) {
        if self.lead.take().is_some() | !self.escape.is_empty() {
            self.push(char::REPLACEMENT_CHARACTER, out);
        }
        self.escape.clear();
    }

    fn escaped(&mut self, b: u8, out: &mut String) {
        match meaning(&self.escape) {
            Escape::Begun => return,
            Escape::Set(set) => self.set = set,
            Escape::Upper(upper) => self.upper = Some(upper),
            Escape::Single => self.single = true,
            Escape::Unknown => {
                self.broken_off(out);
                return self.octet(b, out);
            }
        }
        self.escape.clear();
    }

    fn octet(&mut self, b: u8, out: &mut String) {
        if std::mem::take(&mut self.single) {
            let octet = [b | 0x80];
            let text = self.upper.map(|upper| upper.decode_without_bom_handling(&octet).0);
            self.flush(out);
            return out.push_str(text.as_deref().unwrap_or("\u{fffd}"));
        }
        match (self.set, self.lead.take(), b) {
            (_, _, 0x80..) => self.push(char::REPLACEMENT_CHARACTER, out),
            (Set::Roman, _, b'\\') => self.push('\u{a5}', out),
            (Set::Roman, _, b'~') => self.push('\u{203e}', out),
            // Blanks and line ends are the same in every set.
            (Set::Ascii | Set::Roman, ..) | (_, _, ..=0x20 | 0x7f) => self.euc.push(b),
            (Set::Katakana, _, 0x21..=0x5f) => self.euc.extend([0x8e, b | 0x80]),
            (Set::Katakana, ..) => self.push(char::REPLACEMENT_CHARACTER, out),
            (_, None, _) => self.lead = Some(b),
            (set, Some(lead), _) => self.pair(set, [lead | 0x80, b | 0x80], out),
        }
    }

    fn pair(&mut self, set: Set, pair: [u8; 2], out: &mut String) {
        let encoding = match set {
            Set::Chinese => GBK,
            Set::Korean => EUC_KR,
            Set::Unknown => return self.push(char::REPLACEMENT_CHARACTER, out),
            _ => {
                self.euc.extend((set == Set::JisMore).then_some(0x8f));
                return self.euc.extend(pair);
            }
        };
        self.flush(out);
        out.push_str(&encoding.decode_without_bom_handling(&pair).0);
    }

    fn push(&mut self, c: char, out: &mut String) {
        self.flush(out);
        out.push(c);
    }

    fn flush(&mut self, out: &mut String) {
        out.push_str(&EUC_JP.decode_without_bom_handling(&self.euc).0);
        self.euc.clear();
    }
}

fn meaning(escape: &[u8]) -> Escape {
    Escape::Set(match escape.get(1..).unwrap_or_default() {
        b"" | b"(" | b"$" | b"$(" | b"." => return Escape::Begun,
        b"N" => return Escape::Single,
        b".A" => return Escape::Upper(WINDOWS_1252),
        b".F" => return Escape::Upper(ISO_8859_7),
        b"(B" => Set::Ascii,
        b"(J" | b"(H" => Set::Roman,
        b"(I" => Set::Katakana,
        b"$@" | b"$B" | b"$(@" | b"$(B" | b"$(O" | b"$(Q" => Set::Jis,
        b"$(D" => Set::JisMore,
        b"$A" | b"$(A" => Set::Chinese,
        b"$(C" => Set::Korean,
        b"$(P" => Set::Unknown,
        _ => return Escape::Unknown,
    })
}
