//! The fast path for nearly all addresses: `local@host`, or a name in words or in quotes and `<local@host>`, without
//! comments, routes and unusual blanks, before a comma or the end of the field. It returns the same as
//! [`super::Addresses`].

use super::Address;
use super::text::is_of_word;

/// Whether an octet may be in a local part, a host or a word.
#[expect(clippy::indexing_slicing, reason = "the compiler checks it")]
static OF_ADDRESS: [bool; 256] = {
    let mut of_address = [false; 256];
    let mut b = 0;
    while b < 256 {
        of_address[b] = is_of_word(b as u8) || b as u8 == b'.';
        b += 1;
    }
    of_address
};

/// The address at the beginning of `text`, and the rest; `None` when the slow path is needed.
pub(super) fn plain(text: &[u8]) -> Option<(Address, &[u8])> {
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let (name, spec) = match text.strip_prefix(b"\"") {
        Some(quoted) => {
            let (name, behind) = quoted.split_at(memchr::memchr3(b'"', b'\\', b'<', quoted)?);
            let behind = behind.strip_prefix(b"\"")?;
            (name, behind.strip_prefix(b" ").unwrap_or(behind).strip_prefix(b"<")?)
        }
        None => {
            let spec = words(text);
            match text.split_at_checked(spec)? {
                (name, [b'<', spec @ ..]) => (name.strip_suffix(b" ").unwrap_or(name), spec),
                _ => (&[][..], text),
            }
        }
    };
    let is_in_brackets = spec.len() < text.len();
    if text.starts_with(b"\"") && name.is_empty() {
        return None;
    }
    let (local, spec) = word(spec);
    let (host, rest) = word(spec.strip_prefix(b"@")?);
    let rest = if is_in_brackets { rest.strip_prefix(b">")? } else { rest };
    if local.is_empty() || host.is_empty() || !matches!(rest, [] | [b',', ..]) {
        return None;
    }
    let name = (!name.is_empty()).then(|| name.to_vec());
    Some((Address { name, route: None, mailbox: Some(local.to_vec()), host: Some(host.to_vec()) }, rest))
}

/// The word at the beginning of `text`, and the rest.
#[expect(clippy::indexing_slicing, reason = "a table of 256 has a place for every octet")]
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&b| !OF_ADDRESS[usize::from(b)]).unwrap_or(text.len());
    text.split_at(end)
}

/// Octets of the words at the beginning of `text` that have single spaces after them.
fn words(text: &[u8]) -> usize {
    let mut rest = text;
    loop {
        let (word, behind) = word(rest);
        match behind.strip_prefix(b" ") {
            Some(behind) if !word.is_empty() => rest = behind,
            _ => return text.len() - behind.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Addresses;
    use super::*;

    proptest! {
        /// Catches: an address for which the fast path returns something else, or a different rest.
        #[test]
        fn it_makes_what_the_long_way_makes(
            pieces in proptest::collection::vec(
                prop_oneof![
                    8 => prop_oneof![Just("Ann B. <e.f@g.h>"), Just("\"J, K\" <a@b>"), Just("\"L\"<a@b>"), Just("c@d"), Just("<a@b>")],
                    8 => prop_oneof![Just(", "), Just(","), Just(" ")],
                    9 => prop_oneof![
                        Just("a"), Just("B."), Just("<"), Just(">"), Just("@"), Just("\""), Just("\\"), Just("("), Just(")"), Just(":"),
                        Just(";"), Just("\t"), Just("\u{e9}"), Just("=?utf-8?Q?i?="), Just("["), Just("\"\""), Just("Ann <"), Just("!"),
                    ],
                ],
                0..9,
            ),
        ) {
            let field = pieces.concat();
            let all = |short| Addresses { short, ..Addresses::new(field.as_bytes()) }.collect::<Vec<Address>>();
            prop_assert_eq!(all(true), all(false), "{:?}", field);
        }
    }

    /// Catches: a fast path that is never taken.
    #[test]
    fn what_people_write_is_plain() {
        for (field, name, rest) in [
            ("ann@home.test", "", ""),
            ("Ann Example <ann.b@home.test>, x", "Ann Example", ", x"),
            (" \"Doe, J. (x)\" <j+d@e>", "Doe, J. (x)", ""),
            ("<a@e>,b", "", ",b"),
            ("=?utf-8?Q?J=C3=BC?= <j@e>", "=?utf-8?Q?J=C3=BC?=", ""),
        ] {
            let (address, behind) = plain(field.as_bytes()).unwrap();
            assert_eq!((address.name.unwrap_or_default(), behind), (name.into(), rest.as_bytes()), "{field}");
        }
        for field in [
            "Ann",
            "Ann  B <a@e>",
            "\"\" <a@e>",
            "a@e (Ann)",
            "a@e;",
            "<@r:a@e>",
            "\"a\\\"b\" <a@e>",
            "@e",
            "a b@e",
        ] {
            assert!(plain(field.as_bytes()).is_none(), "{field}");
        }
    }
}
