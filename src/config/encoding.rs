//! The encodings in which editors on a PC save a text, and stars in place of what stands there.

use std::borrow::Cow;
use std::ops::Range;

/// How a file was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// With a byte order mark or without.
    Utf8,
    /// "Unicode" of older Windows editors.
    Utf16Le,
    /// The same with the octets the other way round.
    Utf16Be,
}

impl Encoding {
    /// By the byte order mark (Unicode 16.0, section 23.8); without one it is UTF-8.
    pub fn of(octets: &[u8]) -> Encoding {
        match octets {
            [0xff, 0xfe, ..] => Encoding::Utf16Le,
            [0xfe, 0xff, ..] => Encoding::Utf16Be,
            _ => Encoding::Utf8,
        }
    }

    /// The text in UTF-8; what is none in its encoding stays as it is, for others to find.
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

    /// Where places in the decoded `text` are in the file; `places` ascend.
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

    /// Puts stars at `places` of the file.
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
        // Halves of characters and of units are no reason to fall.
        assert_eq!(Encoding::Utf16Le.decoded(b"\xff\xfe\x00\xd8x"), "\u{feff}\u{fffd}".as_bytes());
        Encoding::Utf8.blank(&mut [0; 3], &[2..9, 9..10]);
    }
}
