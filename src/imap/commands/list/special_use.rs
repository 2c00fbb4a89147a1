//! Special uses of mailboxes (RFC 6154). The use is an annotation of the mailbox, set by CREATE or SETMETADATA. A
//! mailbox without it has the use that its name suggests, unless another mailbox has that use.

use std::collections::BTreeMap;

use crate::store::Account;

/// The annotation (section 4): attributes separated by spaces.
pub const ENTRY: &str = "/private/specialuse";

/// The refusal of a use that no mailbox here can have (section 3).
pub const UNKNOWN: &str = "NO [USEATTR] A mailbox here can be for drafts, sent, junk, trash or the archive";

/// The supported uses, and the names of the mailboxes that have them by default. `\All` and `\Flagged` are not
/// supported: they are views of other mailboxes.
const USES: [(&str, &str); 5] = [
    ("Drafts", "\\Drafts"),
    ("Sent", "\\Sent"),
    ("Junk", "\\Junk"),
    ("Trash", "\\Trash"),
    ("Archive", "\\Archive"),
];

/// A set of special uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uses(u8);

impl Uses {
    /// Parses attributes separated by spaces, in any case of letters; `None` when one of them is not supported.
    pub fn parse(attributes: &[u8]) -> Option<Uses> {
        let mut uses = Uses::default();
        for attribute in attributes.split(|&c| c == b' ').filter(|attribute| !attribute.is_empty()) {
            let known = |(_, known): &(&str, &str)| known.as_bytes().eq_ignore_ascii_case(attribute);
            uses.0 |= 1 << USES.iter().position(known)?;
        }
        Some(uses)
    }

    /// The use that the name of a mailbox suggests.
    pub fn by_name(name: &str) -> Uses {
        let known = USES.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        Uses(known.map_or(0, |place| 1 << place))
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The attributes of these uses.
    pub fn attributes(self) -> impl Iterator<Item = &'static str> {
        USES.iter()
            .enumerate()
            .filter(move |(place, _)| self.0 & (1 << place) != 0)
            .map(|(_, &(_, known))| known)
    }

    /// The uses as the annotation holds them.
    pub fn written(self) -> String {
        self.attributes().collect::<Vec<_>>().join(" ")
    }
}

/// The special uses of an account's mailboxes.
pub struct SpecialUse {
    /// The uses of mailboxes that have the annotation, by their names.
    said: BTreeMap<String, Uses>,
    /// All uses that these mailboxes have.
    taken: Uses,
}

impl SpecialUse {
    /// The special uses as they are now.
    pub fn of(account: &Account) -> SpecialUse {
        let annotated = account.annotated(ENTRY).into_iter();
        let said: BTreeMap<_, _> =
            annotated.map(|(name, value)| (name, Uses::parse(&value).unwrap_or_default())).collect();
        let taken = said.values().fold(Uses::default(), |all, uses| Uses(all.0 | uses.0));
        SpecialUse { said, taken }
    }

    /// The uses of the mailbox of this name.
    pub fn of_mailbox(&self, name: &str) -> Uses {
        let by_name = || Uses(Uses::by_name(name).0 & !self.taken.0);
        self.said.get(name).copied().unwrap_or_else(by_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_and_written() {
        for (text, expected) in [
            ("", Some("")),
            ("\\Sent", Some("\\Sent")),
            ("\\SENT  \\drafts ", Some("\\Drafts \\Sent")),
            ("\\All", None),
            ("\\Sent \\Nonsense", None),
            ("Sent", None),
        ] {
            assert_eq!(
                Uses::parse(text.as_bytes()).map(Uses::written),
                expected.map(str::to_owned),
                "{text}"
            );
        }
    }

    /// Catches: two mailboxes with one use, one by its annotation and one by its name.
    #[test]
    fn a_name_says_what_no_mailbox_has_said() {
        let said = BTreeMap::from([
            ("Gesendet".to_owned(), Uses::by_name("Sent")),
            ("Trash".to_owned(), Uses::default()),
        ]);
        let uses = SpecialUse { said, taken: Uses::by_name("Sent") };
        let of = |name: &str| uses.of_mailbox(name).written();
        let all = ["Gesendet", "Sent", "Trash", "Drafts", "drafts", "INBOX"].map(of);
        assert_eq!(all, ["\\Sent", "", "", "\\Drafts", "\\Drafts", ""]);
    }
}
