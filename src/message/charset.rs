//! Character sets by the names that mail uses, and decoders for them that work in pieces.
//!
//! encoding_rs knows the character sets of the web under the names of the web. Mail also uses names of Python, Java
//! and Windows (`cp932`, `latin-1`), character sets that browsers have given up because they deceive filters of web
//! pages, which does not matter for a search (UTF-7, ISO-2022-KR, HZ, UTF-32, Johab), and some that browsers never
//! had (code pages of DOS).

mod iso_2022_jp;
mod johab;
mod pages;
mod shifted;
mod utf7;

use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, IBM866, ISO_2022_JP, KOI8_R, KOI8_U, MACINTOSH, SHIFT_JIS,
    UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_MAC_CYRILLIC, X_USER_DEFINED,
};
use memchr::memchr;

use self::iso_2022_jp::Iso2022Jp;
use self::johab::johab;
use self::pages::Page;
use self::shifted::{Shift, Shifted};
use self::utf7::Utf7;

/// A character set, as far as its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// A character set that encoding_rs knows.
    Known(&'static Encoding),
    /// No name, or a name that says nothing. Also US-ASCII, since much else is sent under that name.
    Unlabelled,
    /// UTF-7 (RFC 2152).
    Utf7,
    /// UTF-16. The octets tell which order it has.
    Utf16,
    /// UTF-32 in this order; `None` when the octets must tell the order.
    Utf32(Option<Order>),
    /// A code page of DOS or of the old Mac OS, given by the characters of its upper half.
    Page(&'static Page),
    /// ISO-2022-JP and its relatives.
    Iso2022Jp,
    /// Seven-bit octets, with shifts between two sets.
    Shifted(Shift),
    /// The combining encoding of KS X 1001, annex 3.
    Johab,
}

/// The order of the octets in a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The most significant octet first.
    Big,
    /// The least significant octet first.
    Little,
}

impl Charset {
    /// The character set with this name.
    pub fn named(name: &[u8]) -> Charset {
        let name = name.trim_ascii();
        match Encoding::for_label_no_replacement(name) {
            Some(encoding) if encoding == UTF_16LE && !name.to_ascii_lowercase().ends_with(b"le") => {
                Charset::Utf16
            }
            Some(encoding) if encoding == WINDOWS_1252 && is_ascii(name) => Charset::Unlabelled,
            Some(encoding) if encoding == ISO_2022_JP => Charset::Iso2022Jp,
            Some(encoding) if encoding != X_USER_DEFINED => Charset::Known(encoding),
            _ => Charset::by_alias(name).unwrap_or(Charset::Unlabelled),
        }
    }

    /// Whether a text in this character set that begins with these octets has a byte order mark.
    pub fn has_mark(self, octets: &[u8]) -> bool {
        let marks: &[&[u8]] = match self {
            Charset::Known(encoding) if encoding == UTF_8 => &[b"\xef\xbb\xbf"],
            Charset::Known(encoding) if encoding == UTF_16BE => &[b"\xfe\xff"],
            Charset::Known(encoding) if encoding == UTF_16LE => &[b"\xff\xfe"],
            Charset::Utf16 => &[b"\xfe\xff", b"\xff\xfe"],
            _ => &[],
        };
        marks.iter().any(|mark| octets.starts_with(mark))
    }

    /// The character set for a name that the web does not have. Anything between letters and digits is ignored.
    fn by_alias(name: &[u8]) -> Option<Charset> {
        /// Letters and digits of a name that are looked at: no known name is longer.
        const MAX: usize = 40;
        let letters = name.iter().filter(|b| b.is_ascii_alphanumeric()).take(MAX).map(u8::to_ascii_lowercase);
        let name = String::from_utf8(letters.collect()).ok()?;
        let name = name.strip_prefix("cs").or_else(|| name.strip_prefix('x')).unwrap_or(&name);
        let number = |prefix: &str| name.strip_prefix(prefix)?.parse::<u32>().ok();
        let prefixes =
            ["cp", "ibm", "windows", "win", "ms", "codepage", "dos", "oem", "pcp", "pc8codepage", ""];
        if let Some(page) = prefixes.into_iter().find_map(number).and_then(code_page) {
            return Some(page);
        }
        if let Some(part) = ["iso8859", "8859"].into_iter().find_map(number) {
            // A year may follow, from 1987 on: `ISO_8859-2:1987`.
            let part = if part > 9999 { part / 10_000 } else { part };
            return label(&format!("iso-8859-{part}"));
        }
        if let Some(alphabet) = ["latin", "isolatin", "l"].into_iter().find_map(number) {
            let part = match alphabet {
                1..=4 => alphabet,
                5 => 9,
                6 => 10,
                7..=10 => alphabet + 6,
                _ => return None,
            };
            return label(&format!("iso-8859-{part}"));
        }
        let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        Some(match name {
            _ if is(&["utf7", "unicode11utf7", "unicode20utf7"]) => Charset::Utf7,
            _ if is(&["utf8", "unicode11utf8", "unicode20utf8"]) => Charset::Known(UTF_8),
            "utf16be" | "ucs2be" => Charset::Known(UTF_16BE),
            "utf16le" | "ucs2le" => Charset::Known(UTF_16LE),
            _ if is(&["utf16", "ucs2"]) => Charset::Utf16,
            "utf32be" | "ucs4be" => Charset::Utf32(Some(Order::Big)),
            "utf32le" | "ucs4le" => Charset::Utf32(Some(Order::Little)),
            _ if is(&["utf32", "ucs4", "iso10646ucs4"]) => Charset::Utf32(None),
            _ if is(&["iso2022jp"]) => Charset::Iso2022Jp,
            _ if is(&["iso2022cn"]) => Charset::Shifted(Shift::Cn),
            _ if is(&["iso2022kr"]) => Charset::Shifted(Shift::Kr),
            _ if is(&["hz"]) => Charset::Shifted(Shift::Hz),
            _ if is(&["johab", "ksc56011992"]) => Charset::Johab,
            _ if is(&["eucjp", "eucjis", "ujis"]) => Charset::Known(EUC_JP),
            _ if is(&["euckr", "ksc5601", "ksx1001", "uhc", "mackorean"]) => Charset::Known(EUC_KR),
            _ if is(&["euccn", "gbk", "gb2312", "eucgb2312", "macsimpchinese", "macchinesesimp"]) => {
                Charset::Known(GBK)
            }
            _ if is(&["gb18030"]) => Charset::Known(GB18030),
            _ if is(&["big5", "hkscs", "mactradchinese", "macchinesetrad"]) => Charset::Known(BIG5),
            _ if is(&["shiftjis", "sjis", "mskanji", "macjapanese"]) => Charset::Known(SHIFT_JIS),
            _ if is(&["koi8u", "koi8ru"]) => Charset::Known(KOI8_U),
            _ if is(&["koi8"]) => Charset::Known(KOI8_R),
            _ if is(&["maccyrillic", "macukrain"]) => Charset::Known(X_MAC_CYRILLIC),
            _ if is(&["macgreek"]) => Charset::Page(&pages::MAC_GREEK),
            _ if is(&["macce", "maccentral", "maclatin2"]) => Charset::Page(&pages::MAC_CENTRAL_EUROPEAN),
            _ if is(&["maciceland"]) => Charset::Page(&pages::MAC_ICELANDIC),
            _ if is(&["macturkish"]) => Charset::Page(&pages::MAC_TURKISH),
            _ if is(&["macroman", "macintosh"]) => Charset::Known(MACINTOSH),
            _ if is(&["elot928"]) => return label("iso-8859-7"),
            _ if is(&["tis620", "thai", "isoir166"]) => return code_page(874),
            _ => return None,
        })
    }
}

fn label(label: &str) -> Option<Charset> {
    Encoding::for_label_no_replacement(label.as_bytes()).map(Charset::Known)
}

/// Whether this is a name of US-ASCII, which on the web means windows-1252.
fn is_ascii(name: &[u8]) -> bool {
    let names: [&[u8]; 4] = [b"ascii", b"us-ascii", b"ansi_x3.4-1968", b"iso-ir-6"];
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The character set for a number of a code page of Microsoft or IBM.
fn code_page(number: u32) -> Option<Charset> {
    Some(Charset::Known(match number {
        437 => return Some(Charset::Page(&pages::CP437)),
        737 => return Some(Charset::Page(&pages::CP737)),
        775 => return Some(Charset::Page(&pages::CP775)),
        850 | 858 => return Some(Charset::Page(&pages::CP850)),
        852 => return Some(Charset::Page(&pages::CP852)),
        855 => return Some(Charset::Page(&pages::CP855)),
        857 => return Some(Charset::Page(&pages::CP857)),
        860 => return Some(Charset::Page(&pages::CP860)),
        861 => return Some(Charset::Page(&pages::CP861)),
        862 => return Some(Charset::Page(&pages::CP862)),
        863 => return Some(Charset::Page(&pages::CP863)),
        865 => return Some(Charset::Page(&pages::CP865)),
        869 => return Some(Charset::Page(&pages::CP869)),
        10006 => return Some(Charset::Page(&pages::MAC_GREEK)),
        10007 => X_MAC_CYRILLIC,
        10029 => return Some(Charset::Page(&pages::MAC_CENTRAL_EUROPEAN)),
        10079 => return Some(Charset::Page(&pages::MAC_ICELANDIC)),
        10081 => return Some(Charset::Page(&pages::MAC_TURKISH)),
        819 => WINDOWS_1252,
        866 => IBM866,
        932 | 943 => SHIFT_JIS,
        936 | 1386 => GBK,
        949 | 51949 => EUC_KR,
        950 | 1370 => BIG5,
        1361 => return Some(Charset::Johab),
        1200 => return Some(Charset::Utf16),
        1201 => UTF_16BE,
        10000 => MACINTOSH,
        20866 => KOI8_R,
        21866 => KOI8_U,
        50220..=50222 => return Some(Charset::Iso2022Jp),
        50225 => return Some(Charset::Shifted(Shift::Kr)),
        51932 => EUC_JP,
        52936 => return Some(Charset::Shifted(Shift::Hz)),
        54936 => GB18030,
        65000 => return Some(Charset::Utf7),
        65001 => UTF_8,
        874 | 1250..=1258 => return label(&format!("windows-{number}")),
        28591..=28606 => return label(&format!("iso-8859-{}", number - 28590)),
        _ => return None,
    }))
}

/// Decodes a text, piece by piece.
pub struct Decoder(Decoding);

enum Decoding {
    Known(encoding_rs::Decoder),
    /// The beginning of a character whose end comes with the next piece.
    Unlabelled(Vec<u8>),
    Utf7(Utf7),
    /// The first octet, if there was one.
    Utf16(Vec<u8>),
    /// Octets of a character that is not complete.
    Utf32(Option<Order>, Vec<u8>),
    Page(&'static Page),
    Iso2022Jp(Iso2022Jp),
    Shifted(Shifted),
    /// The first octet of a character that is not complete.
    Johab(Option<u8>),
}

impl Decoder {
    /// A decoder at the beginning of a text.
    pub fn new(charset: Charset) -> Decoder {
        Decoder(match charset {
            Charset::Known(encoding) => Decoding::Known(encoding.new_decoder_with_bom_removal()),
            Charset::Unlabelled => Decoding::Unlabelled(Vec::new()),
            Charset::Utf7 => Decoding::Utf7(Utf7::default()),
            Charset::Utf16 => Decoding::Utf16(Vec::new()),
            Charset::Utf32(order) => Decoding::Utf32(order, Vec::new()),
            Charset::Page(page) => Decoding::Page(page),
            Charset::Iso2022Jp => Decoding::Iso2022Jp(Iso2022Jp::default()),
            Charset::Shifted(shift) => Decoding::Shifted(Shifted::new(shift)),
            Charset::Johab => Decoding::Johab(None),
        })
    }

    /// Whether `octets`, which come next, are ASCII and each stand for themselves: this is true of most text, and
    /// nothing needs decoding.
    pub fn is_ascii(&self, octets: &[u8]) -> bool {
        let as_it_is = match &self.0 {
            Decoding::Known(decoder) => decoder.latin1_byte_compatible_up_to(octets) == Some(octets.len()),
            Decoding::Unlabelled(begun) => begun.is_empty(),
            Decoding::Page(_) => true,
            Decoding::Iso2022Jp(decoder) => decoder.is_in_ascii() && memchr(0x1b, octets).is_none(),
            _ => false,
        };
        as_it_is && octets.is_ascii()
    }

    /// Appends the text of `octets`. `last` says whether they are the end of the text.
    pub fn decode(&mut self, octets: &[u8], last: bool, out: &mut String) {
        match &mut self.0 {
            Decoding::Known(decoder) => known(decoder, octets, last, out),
            Decoding::Unlabelled(begun) => unlabelled(begun, octets, last, out),
            Decoding::Utf7(decoder) => octets.iter().for_each(|&b| decoder.push(b, out)),
            Decoding::Utf16(begun) => {
                begun.extend(octets);
                if begun.len() < 2 && !last {
                    return;
                }
                // RFC 2781: without a mark it is big-endian, but mail programs do not keep to that.
                let encoding = if matches!(begun.as_slice(), [(1..), 0, ..]) { UTF_16LE } else { UTF_16BE };
                let octets = std::mem::take(begun);
                let mut decoder = encoding.new_decoder();
                known(&mut decoder, &octets, last, out);
                self.0 = Decoding::Known(decoder);
            }
            Decoding::Utf32(order, begun) => utf32(order, begun, octets, out),
            Decoding::Page(page) => {
                out.extend(octets.iter().map(|&b| match page.get(usize::from(b).wrapping_sub(128)) {
                    Some(c) => char::from_u32(c.into()).unwrap_or(char::REPLACEMENT_CHARACTER),
                    None => char::from(b),
                }))
            }
            Decoding::Iso2022Jp(decoder) => decoder.decode(octets, last, out),
            Decoding::Shifted(decoder) => decoder.decode(octets, last, out),
            Decoding::Johab(lead) => octets.iter().for_each(|&b| johab(lead, b, out)),
        }
    }
}

/// Appends the whole text of `octets`.
pub fn decode(charset: Charset, octets: &[u8], out: &mut String) {
    Decoder::new(charset).decode(octets, true, out);
}

fn known(decoder: &mut encoding_rs::Decoder, octets: &[u8], last: bool, out: &mut String) {
    let room = decoder.max_utf8_buffer_length(octets.len());
    out.reserve(room.unwrap_or_default());
    let _room_was_made = decoder.decode_to_string(octets, out, last);
}

/// Decodes UTF-8; octets that are not UTF-8 are decoded as windows-1252, which Western Windows programs wrote.
fn unlabelled(begun: &mut Vec<u8>, octets: &[u8], last: bool, out: &mut String) {
    let joined;
    let mut rest = octets;
    if !begun.is_empty() {
        joined = [begun, octets].concat();
        rest = &joined;
    }
    let mut left = Vec::new();
    loop {
        let (valid, error) = match std::str::from_utf8(rest) {
            Ok(text) => (text, None),
            Err(error) => {
                let valid = rest.get(..error.valid_up_to()).unwrap_or_default();
                (std::str::from_utf8(valid).unwrap_or_default(), Some(error.error_len()))
            }
        };
        out.push_str(valid);
        rest = rest.get(valid.len()..).unwrap_or_default();
        let other = match error {
            None => break,
            Some(None) if !last => {
                left.extend(rest);
                break;
            }
            Some(length) => length.unwrap_or(rest.len()).max(1),
        };
        let (other, after) = rest.split_at(other.min(rest.len()));
        out.push_str(&WINDOWS_1252.decode_without_bom_handling(other).0);
        rest = after;
    }
    *begun = left;
}

fn utf32(order: &mut Option<Order>, begun: &mut Vec<u8>, octets: &[u8], out: &mut String) {
    begun.extend(octets);
    let (characters, rest) = begun.as_chunks::<4>();
    for &character in characters {
        // The most significant octet of every character is 0.
        let guess = if character[0] == 0 { Order::Big } else { Order::Little };
        let c = match *order.get_or_insert(guess) {
            Order::Big => u32::from_be_bytes(character),
            Order::Little => u32::from_le_bytes(character),
        };
        if c != 0xfeff {
            out.push(char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }
    *begun = rest.to_vec();
}

#[cfg(test)]
mod tests;
