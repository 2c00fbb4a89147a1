//! Names of mailboxes: UTF-8, `/` between levels, and `INBOX` in any case of letters for the INBOX.

use std::cmp::Ordering;

use crate::store::Error;

/// Octets of a whole name at most.
pub const NAME_MAX: usize = 512;
/// Levels of a name at most.
pub const LEVELS_MAX: usize = 16;

/// The name as the store keeps it: without a trailing `/`, and with the INBOX in capitals.
///
/// # Errors
/// [`Error::BadName`], when the name is too long, has a control character, an empty level or too many levels.
pub fn canonical(name: &str) -> Result<String, Error> {
    let name = name.strip_suffix('/').unwrap_or(name);
    if name.len() > NAME_MAX {
        return Err(Error::BadName("longer than 512 octets"));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::BadName("characters that no name can have"));
    }
    if name.split('/').any(str::is_empty) {
        return Err(Error::BadName("an empty level"));
    }
    if name.split('/').count() > LEVELS_MAX {
        return Err(Error::BadName("more than 16 levels"));
    }
    match name.split_once('/') {
        None if name.eq_ignore_ascii_case("INBOX") => Ok("INBOX".to_owned()),
        Some((first, rest)) if first.eq_ignore_ascii_case("INBOX") => Ok(format!("INBOX/{rest}")),
        _ => Ok(name.to_owned()),
    }
}

/// The names of the levels above `name`, the outermost first.
pub fn superiors(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').filter_map(|(at, _)| name.get(..at))
}

/// An order in which all names below a name follow it at once.
pub fn compare(one: &str, other: &str) -> Ordering {
    one.split('/').cmp(other.split('/'))
}

/// Whether `name` lies below `superior`.
pub fn is_inferior(name: &str, superior: &str) -> bool {
    name.strip_prefix(superior).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        for (given, kept) in [
            ("inbox", "INBOX"),
            ("Inbox/Sub", "INBOX/Sub"),
            ("Inboxes", "Inboxes"),
            ("a/b/", "a/b"),
            ("Entwürfe", "Entwürfe"),
        ] {
            assert_eq!(canonical(given).unwrap(), kept);
        }
        for bad in ["", "/", "/a", "a//b", "a\r\nb", &"x".repeat(513), &"a/".repeat(17)] {
            assert!(matches!(canonical(bad), Err(Error::BadName(_))), "{bad:?}");
        }
        assert_eq!(superiors("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        let mut names = ["b", "a-b", "a/b/c", "a", "a/b"];
        names.sort_by(|one, other| compare(one, other));
        assert_eq!(names, ["a", "a/b", "a/b/c", "a-b", "b"]);
        assert!(is_inferior("a/b", "a") && !is_inferior("ab", "a") && !is_inferior("a", "a"));
    }
}
