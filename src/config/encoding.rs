//! The encodings in which editors on a PC save a text, and how places in such a file are overwritten with stars.

use std::borrow::Cow;
use std::ops::Range;

/// How a file was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// UTF-16, little-endian: "Unicode" of older Windows editors.
    Utf16Le,
    /// UTF-16, big-endian.
    Utf16Be,
}

impl Encoding {
    /// The encoding that the byte order mark names (Unicode 16.0, section 23.8); UTF-8 without a mark.
    pub fn of(octets: &[u8]) -> Encoding {
        match octets {
            [0xff, 0xfe, ..] => Encoding::Utf16Le,
            [0xfe, 0xff, ..] => Encoding::Utf16Be,
            _ => Encoding::Utf8,
        }
    }

    /// The text in UTF-8. Invalid UTF-8 is left as it is, for the caller to find; invalid UTF-16 becomes U+FFFD.
    pub fn decoded(self, octets: &[u8]) -> Cow<'_, [u8]> {
        if self == Encoding::Utf8 {
            return Cow::Borrowed(octets);
        }
        let units = octets.chunks_exact(2).map(|pair| match (self, pair) {
            (Encoding::Utf16Le, &[low, high]) => u16::from_le_bytes([low, high]),
            (_, &[high, low]) => u16::from_be_bytes([high, low]),
            _ => 0,
        });
        let text: String =
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        Cow::Owned(text.into_bytes())
    }

    /// The places in the file, in octets, of `places` in the decoded `text`. `places` must ascend.
    pub fn in_file(self, text: &str, places: &[Range<usize>]) -> Vec<Range<usize>> {
        if self == Encoding::Utf8 {
            return places.to_vec();
        }
        let (mut at, mut units) = (0, 0);
        let mut to_units = |place: usize| {
            units += text.get(at..place).unwrap_or_default().encode_utf16().count();
            at = place;
            2 * units
        };
        places.iter().map(|place| to_units(place.start)..to_units(place.end)).collect()
    }

    /// Overwrites `places` of the file with stars.
    pub fn blank(self, octets: &mut [u8], places: &[Range<usize>]) {
        let star: &[u8] = match self {
            Encoding::Utf8 => b"*",
            Encoding::Utf16Le => b"*\0",
            Encoding::Utf16Be => b"\0*",
        };
        for place in places {
            let place = octets.get_mut(place.clone()).unwrap_or_default();
            place.iter_mut().zip(star.iter().cycle()).for_each(|(octet, star)| *octet = *star);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_come_in_every_encoding() {
        let text = "\u{feff}a = \"ä😀x\" # \u{20ac}\r\nb = \"y\"\r\n";
        let starred = [
            "\u{feff}a = \"*******\" # \u{20ac}\r\nb = \"*\"\r\n",
            "\u{feff}a = \"****\" # \u{20ac}\r\nb = \"*\"\r\n",
        ];
        let place = |what: &str| text.find(what).unwrap()..text.find(what).unwrap() + what.len();
        let places = [place("ä😀x"), place("y")];
        let utf16 = |text: &str, octets: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(octets).collect()
        };
        for (octets, encoding, starred) in [
            (text.as_bytes().to_vec(), Encoding::Utf8, starred[0]),
            (utf16(text, u16::to_le_bytes), Encoding::Utf16Le, starred[1]),
            (utf16(text, u16::to_be_bytes), Encoding::Utf16Be, starred[1]),
        ] {
            assert_eq!(Encoding::of(&octets), encoding);
            assert_eq!(encoding.decoded(&octets), text.as_bytes());
            let mut blanked = octets.clone();
            encoding.blank(&mut blanked, &encoding.in_file(text, &places));
            assert_eq!(encoding.decoded(&blanked), starred.as_bytes());
            assert_eq!(blanked.len(), octets.len());
        }
        // Half a character, half a unit and places beyond the end cause no panic.
        assert_eq!(Encoding::Utf16Le.decoded(b"\xff\xfe\x00\xd8x"), "\u{feff}\u{fffd}".as_bytes());
        Encoding::Utf8.blank(&mut [0; 3], &[2..9, 9..10]);
    }
}
