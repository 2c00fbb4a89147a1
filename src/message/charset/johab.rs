//! The combining encoding of KS X 1001, annex 3.

use encoding_rs::EUC_KR;

/// Decodes an octet of Johab. A syllable is a 1 bit, and five bits each for its beginning, middle and end; other
/// characters are moved rows of KS X 1001.
pub fn johab(lead: &mut Option<u8>, b: u8, out: &mut String) {
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
