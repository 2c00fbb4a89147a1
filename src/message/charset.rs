//! Character sets by the names that mail uses, and decoders for them that work in pieces.
//!
//! encoding_rs knows the character sets of the web under the names of the web. Mail also uses names of Python, Java
//! and Windows (`cp932`, `latin-1`), character sets that browsers have given up because they deceive filters of web
//! pages, which does not matter for a search (UTF-7, ISO-2022-KR, HZ, UTF-32, Johab), and some that browsers never
//! had (code pages of DOS).

use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, IBM866, ISO_2022_JP, KOI8_R, KOI8_U, MACINTOSH, SHIFT_JIS,
    UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_MAC_CYRILLIC, X_USER_DEFINED,
};

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
    /// A code page of DOS, given by the characters of its upper half.
    Page(&'static [u16; 128]),
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

/// How characters of two octets are shifted into seven-bit octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// ISO-2022-KR (RFC 1557), with SO and SI.
    Kr,
    /// HZ-GB-2312 (RFC 1843), with `~{` and `~}`.
    Hz,
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
            Some(encoding) if encoding != X_USER_DEFINED => Charset::Known(encoding),
            _ => Charset::otherwise(name).unwrap_or(Charset::Unlabelled),
        }
    }

    /// The character set for a name that the web does not have. Anything between letters and digits is ignored.
    fn otherwise(name: &[u8]) -> Option<Charset> {
        /// Letters and digits of a name that are looked at: no known name is longer.
        const MAX: usize = 40;
        let letters = name.iter().filter(|b| b.is_ascii_alphanumeric()).take(MAX).map(u8::to_ascii_lowercase);
        let name = String::from_utf8(letters.collect()).ok()?;
        let name = name.strip_prefix("cs").or_else(|| name.strip_prefix('x')).unwrap_or(&name);
        let number = |prefix: &str| name.strip_prefix(prefix)?.parse::<u32>().ok();
        let page =
            ["cp", "ibm", "windows", "win", "ms", "codepage", "dos", "oem"].into_iter().find_map(number);
        if let Some(page) = page {
            return code_page(page);
        }
        if let Some(part) = number("iso8859").or_else(|| number("8859")) {
            return label(&format!("iso-8859-{part}"));
        }
        if let Some(alphabet) = number("latin").or_else(|| number("isolatin")) {
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
            _ if is(&["iso2022jp"]) => Charset::Known(ISO_2022_JP),
            _ if is(&["iso2022kr"]) => Charset::Shifted(Shift::Kr),
            _ if is(&["hz"]) => Charset::Shifted(Shift::Hz),
            _ if is(&["johab", "ksc56011992"]) => Charset::Johab,
            _ if is(&["eucjp", "ujis"]) => Charset::Known(EUC_JP),
            _ if is(&["euckr", "ksc5601", "uhc"]) => Charset::Known(EUC_KR),
            _ if is(&["euccn", "gbk", "gb2312"]) => Charset::Known(GBK),
            _ if is(&["gb18030"]) => Charset::Known(GB18030),
            _ if is(&["big5"]) => Charset::Known(BIG5),
            _ if is(&["shiftjis", "sjis", "mskanji"]) => Charset::Known(SHIFT_JIS),
            _ if is(&["koi8u", "koi8ru"]) => Charset::Known(KOI8_U),
            _ if is(&["koi8"]) => Charset::Known(KOI8_R),
            _ if is(&["maccyrillic", "macukrain"]) => Charset::Known(X_MAC_CYRILLIC),
            _ if is(&["macroman", "macintosh"]) => Charset::Known(MACINTOSH),
            "tis620" | "thai" => return code_page(874),
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
        437 => return Some(Charset::Page(&CP437)),
        850 | 858 => return Some(Charset::Page(&CP850)),
        852 => return Some(Charset::Page(&CP852)),
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
        50220..=50222 => ISO_2022_JP,
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
    Page(&'static [u16; 128]),
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
                    Some(&c) => char::from_u32(c.into()).unwrap_or(char::REPLACEMENT_CHARACTER),
                    None => char::from(b),
                }))
            }
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

/// UTF-7 (RFC 2152).
#[derive(Default)]
struct Utf7 {
    /// Within base64: the bits that do not make a whole unit yet, and their number.
    shifted: Option<(u32, u32)>,
    /// Whether a `+` came last.
    fresh: bool,
    /// The first half of a surrogate pair.
    high: Option<u16>,
}

impl Utf7 {
    fn push(&mut self, b: u8, out: &mut String) {
        let Some((bits, held)) = self.shifted else {
            match b {
                b'+' => (self.shifted, self.fresh) = (Some((0, 0)), true),
                _ => out.push(char::from(b)),
            }
            return;
        };
        let fresh = std::mem::take(&mut self.fresh);
        if let Some(sextet) = sextet(b) {
            let (bits, held) = (bits << 6 | sextet, held + 6);
            if held < 16 {
                self.shifted = Some((bits, held));
            } else {
                let held = held - 16;
                self.unit((bits >> held) as u16, out);
                self.shifted = Some((bits & ((1 << held) - 1), held));
            }
            return;
        }
        (self.shifted, self.high) = (None, None);
        match b {
            b'-' if fresh => out.push('+'),
            b'-' => (),
            _ => self.push(b, out),
        }
    }

    fn unit(&mut self, unit: u16, out: &mut String) {
        let units = [self.high.take().unwrap_or(unit), unit];
        let units = if units[0] == unit { &units[1..] } else { &units[..] };
        if matches!(units, [0xd800..=0xdbff]) {
            self.high = Some(unit);
            return;
        }
        out.extend(
            char::decode_utf16(units.iter().copied()).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)),
        );
    }
}

/// The value of a base64 character; `None` for others.
fn sextet(b: u8) -> Option<u32> {
    Some(match b {
        b'A'..=b'Z' => u32::from(b - b'A'),
        b'a'..=b'z' => u32::from(b - b'a') + 26,
        b'0'..=b'9' => u32::from(b - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
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

/// Removes the shifts, so that the text is in an eight-bit character set.
struct Shifted {
    shift: Shift,
    inner: encoding_rs::Decoder,
    on: bool,
    /// Octets of an escape sequence that are still to come.
    skip: u8,
    /// Whether `~` came last.
    tilde: bool,
}

impl Shifted {
    fn new(shift: Shift) -> Shifted {
        let inner = match shift {
            Shift::Kr => EUC_KR,
            Shift::Hz => GBK,
        };
        let inner = inner.new_decoder_without_bom_handling();
        Shifted { shift, inner, on: false, skip: 0, tilde: false }
    }

    fn decode(&mut self, octets: &[u8], last: bool, out: &mut String) {
        let mut plain = Vec::with_capacity(octets.len());
        for &b in octets {
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            match (self.shift, b) {
                // ESC $ ) C
                (Shift::Kr, 0x1b) => self.skip = 3,
                (Shift::Kr, 0x0e) => self.on = true,
                (Shift::Kr, 0x0f) => self.on = false,
                (Shift::Hz, _) if std::mem::take(&mut self.tilde) => match b {
                    b'{' => self.on = true,
                    b'}' => self.on = false,
                    b'\n' => (),
                    _ => plain.push(b),
                },
                (Shift::Hz, b'~') => self.tilde = true,
                // Neither shift continues in the next line.
                (_, b'\n') => {
                    self.on = false;
                    plain.push(b);
                }
                (_, 0x21..=0x7e) if self.on => plain.push(b | 0x80),
                _ => plain.push(b),
            }
        }
        known(&mut self.inner, &plain, last, out);
    }
}

/// Decodes an octet of Johab. A syllable is a 1 bit, and five bits each for its beginning, middle and end; other
/// characters are moved rows of KS X 1001.
fn johab(lead: &mut Option<u8>, b: u8, out: &mut String) {
    let Some(first) = lead.take() else {
        match b {
            0..0x80 => out.push(char::from(b)),
            _ => *lead = Some(b),
        }
        return;
    };
    let code = u32::from(first) << 8 | u32::from(b);
    let (initial, medial, last) = (code >> 10 & 31, code >> 5 & 31, code & 31);
    let medial = match medial {
        3..=7 => Some(medial - 3),
        10..=15 => Some(medial - 5),
        18..=23 => Some(medial - 7),
        26..=29 => Some(medial - 9),
        _ => None,
    };
    let last = match last {
        1..=17 => Some(last - 1),
        19..=29 => Some(last - 2),
        _ => None,
    };
    match (first, initial, medial, last) {
        (0x84..=0xd3, 2..=20, Some(medial), Some(last)) => {
            let syllable = 0xac00 + ((initial - 2) * 21 + medial) * 28 + last;
            out.push(char::from_u32(syllable).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        (0xd9..=0xde | 0xe0..=0xf9, ..) if b >= 0x31 => {
            let (first, second) = (i32::from(first), i32::from(b));
            let row = if first < 0xe0 { 2 * (first - 0xd9) } else { 2 * first - 0x197 };
            let cell = if second < 0x91 { second - 0x31 } else { second - 0x43 };
            let octets = [row + cell / 0x5e + 0xa1, cell % 0x5e + 0xa1].map(|octet| octet as u8);
            out.push_str(&EUC_KR.decode_without_bom_handling(&octets).0);
        }
        _ => out.push(char::REPLACEMENT_CHARACTER),
    }
}

#[rustfmt::skip]
static CP437: [u16; 128] = [
    0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5,
    0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192,
    0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb,
    0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510,
    0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567,
    0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580,
    0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229,
    0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
];

#[rustfmt::skip]
static CP850: [u16; 128] = [
    0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5,
    0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00f8, 0x00a3, 0x00d8, 0x00d7, 0x0192,
    0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x00ae, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb,
    0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x00c1, 0x00c2, 0x00c0, 0x00a9, 0x2563, 0x2551, 0x2557, 0x255d, 0x00a2, 0x00a5, 0x2510,
    0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x00e3, 0x00c3, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x00a4,
    0x00f0, 0x00d0, 0x00ca, 0x00cb, 0x00c8, 0x0131, 0x00cd, 0x00ce, 0x00cf, 0x2518, 0x250c, 0x2588, 0x2584, 0x00a6, 0x00cc, 0x2580,
    0x00d3, 0x00df, 0x00d4, 0x00d2, 0x00f5, 0x00d5, 0x00b5, 0x00fe, 0x00de, 0x00da, 0x00db, 0x00d9, 0x00fd, 0x00dd, 0x00af, 0x00b4,
    0x00ad, 0x00b1, 0x2017, 0x00be, 0x00b6, 0x00a7, 0x00f7, 0x00b8, 0x00b0, 0x00a8, 0x00b7, 0x00b9, 0x00b3, 0x00b2, 0x25a0, 0x00a0,
];

#[rustfmt::skip]
static CP852: [u16; 128] = [
    0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x016f, 0x0107, 0x00e7, 0x0142, 0x00eb, 0x0150, 0x0151, 0x00ee, 0x0179, 0x00c4, 0x0106,
    0x00c9, 0x0139, 0x013a, 0x00f4, 0x00f6, 0x013d, 0x013e, 0x015a, 0x015b, 0x00d6, 0x00dc, 0x0164, 0x0165, 0x0141, 0x00d7, 0x010d,
    0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x0104, 0x0105, 0x017d, 0x017e, 0x0118, 0x0119, 0x00ac, 0x017a, 0x010c, 0x015f, 0x00ab, 0x00bb,
    0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x00c1, 0x00c2, 0x011a, 0x015e, 0x2563, 0x2551, 0x2557, 0x255d, 0x017b, 0x017c, 0x2510,
    0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x0102, 0x0103, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x00a4,
    0x0111, 0x0110, 0x010e, 0x00cb, 0x010f, 0x0147, 0x00cd, 0x00ce, 0x011b, 0x2518, 0x250c, 0x2588, 0x2584, 0x0162, 0x016e, 0x2580,
    0x00d3, 0x00df, 0x00d4, 0x0143, 0x0144, 0x0148, 0x0160, 0x0161, 0x0154, 0x00da, 0x0155, 0x0170, 0x00fd, 0x00dd, 0x0163, 0x00b4,
    0x00ad, 0x02dd, 0x02db, 0x02c7, 0x02d8, 0x00a7, 0x00f7, 0x00b8, 0x00b0, 0x00a8, 0x02d9, 0x0171, 0x0158, 0x0159, 0x25a0, 0x00a0,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `octets` in pieces of every size, and asserts that the results agree.
    fn decoded(name: &str, octets: &[u8]) -> String {
        let in_pieces = |size: usize| {
            let mut decoder = Decoder::new(Charset::named(name.as_bytes()));
            let mut out = String::new();
            octets.chunks(size).for_each(|piece| decoder.decode(piece, false, &mut out));
            decoder.decode(b"", true, &mut out);
            out
        };
        let mut whole = String::new();
        decode(Charset::named(name.as_bytes()), octets, &mut whole);
        for size in 1..9 {
            assert_eq!(in_pieces(size), whole, "{name} in pieces of {size}");
        }
        whole
    }

    /// Catches: a name that mail uses and the web does not, and a character set that is confused with another.
    #[test]
    fn names_as_mail_has_them() {
        let german = "Gr\u{fc}\u{df}e";
        for (names, octets, expected) in [
            (
                &[
                    "latin-1",
                    "Latin1",
                    "ISO_8859-1:1987",
                    "iso8859-1",
                    "8859_1",
                    "cp1252",
                    "x-cp1252",
                    "WinDows-1252",
                    "cp-1252",
                ][..],
                &b"Gr\xfc\xdfe"[..],
                german,
            ),
            (
                &[
                    "",
                    "8bit",
                    "default",
                    "us-ascii",
                    "ASCII",
                    "ansi_x3.4-1968",
                    "x-unknown",
                    "none",
                    "x-user-defined",
                ],
                b"Gr\xfc\xdfe",
                german,
            ),
            (
                &[
                    "",
                    "ascii",
                    "us-ascii",
                    "ANSI_X3.4-1968",
                    "x-unknown",
                    "utf8",
                    "UTF-8-SIG",
                    "cp65001",
                    "unicode-1-1-utf-8",
                ],
                "Gr\u{fc}\u{df}e".as_bytes(),
                german,
            ),
            (&["cp437", "IBM437", "cp850", "ibm-850", "cp858", "cp852", "x-cp850"], b"Gr\x81\xe1e", german),
            (&["utf-7", "UTF7", "unicode-1-1-utf-7", "x-utf-7", "cp65000"], b"Gr+APwA3w-e", german),
            (&["utf-16", "utf-16le", "ucs-2"], b"G\0r\0\xfc\0\xdf\0e\0", german),
            (&["utf-16", "utf-16be", "ucs-2"], b"\0G\0r\0\xfc\0\xdf\0e", german),
            (&["utf-16", "utf-16be"], b"\xfe\xff\0G\0r\0\xfc\0\xdf\0e", german),
            (&["utf-32", "utf-32be"], b"\0\0\xfe\xff\0\0\0\xfc", "\u{fc}"),
            (&["utf-32", "UTF-32LE"], b"\xff\xfe\0\0\xfc\0\0\0", "\u{fc}"),
            (&["cp932", "ms932", "windows-31j", "Shift-JIS", "x-sjis"], b"\x93\xfa\x96{", "\u{65e5}\u{672c}"),
            (&["cp936", "gbk", "gb2312", "x-gbk", "ms936", "euc-cn"], b"\xd6\xd0", "\u{4e2d}"),
            (&["cp949", "ks_c_5601-1987", "euc_kr", "uhc", "ms949"], b"\xc7\xd1", "\u{d55c}"),
            (&["cp950", "big5-hkscs", "Big5"], b"\xa4\xa4", "\u{4e2d}"),
            (&["iso-2022-kr", "csISO2022KR"], b"\x1b$)C\x0eGQ\x0f x", "\u{d55c} x"),
            (&["hz-gb-2312", "HZ"], b"a~{VP~} ~~~\nb", "a\u{4e2d} ~b"),
            (&["iso-2022-jp-2", "iso-2022-jp-1", "cp50220"], b"\x1b$BF|K\\\x1b(B", "\u{65e5}\u{672c}"),
            (&["johab", "cp1361"], b"\xd0e\x8b\xbd\xd3\xbd x\xd91", "\u{d55c}\u{ae4b}\u{d7a3} x\u{3000}"),
            (&["cp1251", "cp-1251", "win-1251"], b"\xcf", "\u{41f}"),
            (&["koi8-r", "cskoi8r", "cp20866", "koi8_r"], b"\xf0", "\u{41f}"),
            (&["latin-2", "iso8859_2", "cp28592"], b"\xb1", "\u{105}"),
            (&["latin-9", "iso-8859-15"], b"\xa4", "\u{20ac}"),
            (&["tis-620", "cp874", "windows-874", "iso-8859-11"], b"\xb7", "\u{e17}"),
            (&["macroman", "x-mac-roman", "macintosh"], b"\x9f", "\u{fc}"),
        ] {
            for name in names {
                assert_eq!(decoded(name, octets), expected, "{name}");
            }
        }
    }

    /// Catches: text that counts as ASCII while the beginning of a character is waiting.
    #[test]
    fn ascii_is_what_needs_no_decoding() {
        for (name, expected) in
            [("", true), ("cp850", true), ("utf-7", false), ("utf-16", false), ("hz", false)]
        {
            assert_eq!(Decoder::new(Charset::named(name.as_bytes())).is_ascii(b"plain"), expected, "{name}");
        }
        let mut decoder = Decoder::new(Charset::Unlabelled);
        decoder.decode(b"\xc3", false, &mut String::new());
        assert!(!decoder.is_ascii(b"plain"));
    }

    #[test]
    fn utf_7_of_rfc_2152() {
        for (octets, expected) in [
            ("A+ImIDkQ.", "A\u{2262}\u{391}."),
            ("Hi Mom -+Jjo--!", "Hi Mom -\u{263a}-!"),
            ("+ZeVnLIqe-", "\u{65e5}\u{672c}\u{8a9e}"),
            ("Item 3 is +AKM-1.", "Item 3 is \u{a3}1."),
            ("1 +- 1 = +2D3eAA", "1 + 1 = \u{1f600}"),
            ("+2D0-x +3gA-", "x \u{fffd}"),
        ] {
            assert_eq!(decoded("utf-7", octets.as_bytes()), expected, "{octets}");
        }
    }

    #[test]
    fn what_says_nothing_is_utf_8_where_it_is() {
        assert_eq!(
            decoded("", b"caf\xe9 caf\xc3\xa9 \xe2\x82\xac \xe2\x82"),
            "caf\u{e9} caf\u{e9} \u{20ac} \u{e2}\u{201a}"
        );
    }
}
