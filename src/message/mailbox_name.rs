//! Mailbox names: modified UTF-7 on the wire (RFC 3501 section 5.1.3), and UTF-8 elsewhere. When a client has enabled
//! it, they are UTF-8 on the wire, too (RFC 6855).
//!
//! Modified UTF-7 encodes characters outside of printable ASCII as BASE64 of UTF-16 between `&` and `-`, and `&`
//! itself as `&-`. Names that are UTF-8 on the wire already, as some clients send them, are accepted too.

use data_encoding::BASE64_NOPAD;
use unicode_normalization::is_nfc;

/// The name in UTF-8; `None` when it is neither modified UTF-7 nor UTF-8, or contains control characters.
pub fn decode(wire: &[u8]) -> Option<String> {
    let wire = std::str::from_utf8(wire).ok()?;
    let mut name = String::with_capacity(wire.len());
    let mut rest = wire;
    while let Some((plain, shifted)) = rest.split_once('&') {
        name.push_str(plain);
        let (encoded, after) = shifted.split_once('-')?;
        if encoded.is_empty() {
            name.push('&');
        } else {
            if encoded.contains('/') {
                return None; // modified UTF-7 uses `,` instead
            }
            let utf16 = BASE64_NOPAD.decode(encoded.replace(',', "/").as_bytes()).ok()?;
            let (units, []) = utf16.as_chunks::<2>() else { return None };
            for c in char::decode_utf16(units.iter().map(|&unit| u16::from_be_bytes(unit))) {
                name.push(c.ok()?);
            }
        }
        rest = after;
    }
    name.push_str(rest);
    if name.chars().any(char::is_control) { None } else { Some(name) }
}

/// The name when it is UTF-8 on the wire; `None` when it is not UTF-8, or contains control characters.
pub fn from_utf8(wire: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(wire).ok()?;
    (!name.chars().any(char::is_control)).then(|| name.to_owned())
}

/// Checks that a new mailbox may have this name on a server with UTF-8 (RFC 6855 section 3, RFC 5198 section 2).
/// Whether its code points are assigned is not checked, since more are assigned each year.
///
/// # Errors
/// What is wrong with it.
pub fn net_unicode(name: &str) -> Result<(), &'static str> {
    match () {
        () if name.contains(['\u{2028}', '\u{2029}']) => Err("line separators"),
        () if name.starts_with('\u{feff}') => Err("a byte order mark"),
        () if !is_nfc(name) => Err("characters that are not composed (NFC)"),
        () => Ok(()),
    }
}

/// The name in modified UTF-7.
pub fn encode(name: &str) -> String {
    let mut wire = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let is_direct = |c: char| matches!(c, ' '..='~');
        if c == '&' {
            wire.push_str("&-");
            rest = rest.get(1..).unwrap_or_default();
        } else if is_direct(c) {
            wire.push(c);
            rest = rest.get(1..).unwrap_or_default();
        } else {
            let end = rest.find(is_direct).unwrap_or(rest.len());
            let (shifted, after) = rest.split_at(end);
            let utf16: Vec<u8> = shifted.encode_utf16().flat_map(u16::to_be_bytes).collect();
            wire.push('&');
            wire.push_str(&BASE64_NOPAD.encode(&utf16).replace('/', ","));
            wire.push('-');
            rest = after;
        }
    }
    wire
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [(&str, &str); 6] = [
        ("INBOX", "INBOX"),
        ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
        ("Entw&APw-rfe", "Entwürfe"),
        ("Gel&APY-schte Elemente", "Gelöschte Elemente"),
        ("R&-D", "R&D"),
        ("&2Dzfig-", "🎊"),
    ];

    #[test]
    fn names_travel_as_modified_utf7() {
        for (wire, name) in NAMES {
            assert_eq!(encode(name), wire);
            assert_eq!(decode(wire.as_bytes()).as_deref(), Some(name));
        }
    }

    #[test]
    fn broken_names_are_refused() {
        for wire in ["A&B", "&", "&U,BTFw", "&!!-", "&AA-", "&2D0-", "&AAAACg-", "a\nb", "a\0b"] {
            assert_eq!(decode(wire.as_bytes()), None, "{wire:?}");
        }
        assert_eq!(decode(b"\xff"), None);
        assert_eq!(decode("Entwürfe".as_bytes()).as_deref(), Some("Entwürfe"), "UTF-8 is understood");
    }

    /// Catches: modified UTF-7 that is decoded where names are UTF-8, and a name that is taken for modified UTF-7.
    #[test]
    fn names_in_utf8_are_as_they_are() {
        for name in ["Entwürfe", "R&D", "Entw&APw-rfe", "a&b", "台北", "🎊"] {
            assert_eq!(from_utf8(name.as_bytes()).as_deref(), Some(name));
        }
        for wire in [&b"\xff"[..], b"Entw\xfcrfe", b"\xed\xa0\x80", b"a\0", b"a\x7f", "a\u{85}".as_bytes()] {
            assert_eq!(from_utf8(wire), None, "{wire:?}");
        }
    }

    /// Catches: two mailboxes whose names look the same.
    #[test]
    fn new_names_are_composed_and_of_one_line() {
        for name in ["INBOX", "Entwürfe/2026", "R&D", "台北", "🎊", "a\u{feff}b"] {
            assert_eq!(net_unicode(name), Ok(()), "{name}");
        }
        for name in ["Entwu\u{308}rfe", "\u{212b}ngstrom", "a\u{2028}b", "a\u{2029}", "\u{feff}a"] {
            assert!(net_unicode(name).is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_survives_the_wire(name in "\\PC{0,40}") {
            let wire = encode(&name);
            prop_assert!(wire.is_ascii());
            prop_assert_eq!(decode(wire.as_bytes()), Some(name));
        }
    }
}
