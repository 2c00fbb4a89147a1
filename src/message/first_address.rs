//! What SORT takes of an address list: its first address, as ENVELOPE has it.

use super::address::Addresses;
use super::encoded_word::Decoded;

/// The first address of an unfolded field, or the first group.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FirstAddress {
    /// `addr-mailbox` (RFC 5256 section 3: CC, FROM, TO): the local part, or a group's name.
    pub mailbox: Decoded,
    /// What a mail program shows (RFC 5957 section 3): the name, decoded, or the address where it has none.
    pub display: Decoded,
}

impl FirstAddress {
    /// Of a field's content; nothing of an empty one.
    pub fn of(field: &[u8]) -> FirstAddress {
        let Some(address) = Addresses::new(field).next() else { return FirstAddress::default() };
        let mailbox = address.mailbox.unwrap_or_default();
        let display = match (address.name, address.host) {
            (Some(name), _) => Decoded::of_field(&name),
            (None, Some(host)) if !host.is_empty() => {
                Decoded::of_field(&[&mailbox[..], b"@", &host].concat())
            }
            (None, _) => Decoded::of_field(&mailbox),
        };
        FirstAddress { mailbox: Decoded::of_utf8(&mailbox), display }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_of_a_list() {
        for (field, mailbox, display) in [
            ("Ann <ann@home.test>, bob@e", "ann", "Ann"),
            ("=?utf-8?Q?J=C3=BC?= <j@e>", "j", "J\u{fc}"),
            ("bob@e.test, Ann <a@b>", "bob", "bob@e.test"),
            ("\"Doe, J\" <j.doe@e>", "j.doe", "Doe, J"),
            ("Friends: bob@e;", "Friends", "Friends"),
            ("root", "root", "root"),
            ("", "", ""),
        ] {
            let found = FirstAddress::of(field.as_bytes());
            assert_eq!((found.mailbox.as_str(), found.display.as_str()), (mailbox, display), "{field}");
        }
    }
}
