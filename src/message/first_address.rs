//! The first address of an address list, by which SORT sorts.

use super::address::Addresses;
use super::encoded_word::Decoded;

/// The first address or group of an unfolded field.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FirstAddress {
    /// `addr-mailbox` (RFC 5256 section 3: CC, FROM, TO): the local part, or a group's name.
    pub mailbox: Decoded,
    /// The text that a mail program shows (RFC 5957 section 3): the decoded name, or the address when there is no
    /// name.
    pub display: Decoded,
}

impl FirstAddress {
    /// The first address of a field's content; empty for an empty field.
    pub fn of(field: &[u8]) -> FirstAddress {
        let Some(address) = Addresses::new(field).next() else { return FirstAddress::default() };
        let mailbox = address.mailbox.unwrap_or_default();
        // A name that is empty once it is decoded counts as missing. Other parts are not decoded.
        let name = address.name.map(|name| Decoded::of_field(&name)).filter(|name| !name.as_str().is_empty());
        let display = name.unwrap_or_else(|| match &address.host {
            Some(host) => Decoded::of_utf8(&[&mailbox[..], b"@", host].concat()),
            None => Decoded::of_utf8(&mailbox),
        });
        FirstAddress { mailbox: Decoded::of_utf8(&mailbox), display }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: an empty name that comes before all others, and a local part that is decoded as an encoded word.
    #[test]
    fn the_first_address_of_a_list() {
        for (field, mailbox, display) in [
            ("Ann <ann@home.test>, bob@e", "ann", "Ann"),
            ("=?utf-8?Q?J=C3=BC?= <j@e>", "j", "J\u{fc}"),
            ("bob@e.test, Ann <a@b>", "bob", "bob@e.test"),
            ("\"Doe, J\" <j.doe@e>", "j.doe", "Doe, J"),
            ("Friends: bob@e;", "Friends", "Friends"),
            ("root", "root", "root@"),
            ("=?utf-8?Q??= <ann@e>", "ann", "ann@e"),
            ("=?utf-8?Q?J?=@e", "=?utf-8?Q?J?=", "=?utf-8?Q?J?=@e"),
            ("", "", ""),
        ] {
            let found = FirstAddress::of(field.as_bytes());
            assert_eq!((found.mailbox.as_str(), found.display.as_str()), (mailbox, display), "{field}");
        }
    }
}
