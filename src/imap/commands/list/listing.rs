//! LIST and LSUB (RFC 3501 sections 6.3.8 and 6.3.9), with the attributes of RFC 3348 (children) and
//! RFC 6154 (special use). Pure: names and a pattern go in, lines come out, a hundred names at a time.

use super::pattern::Pattern;
use crate::imap::wire::command::ListArgs;
use crate::imap::wire::words;
use crate::store::mailbox_name::{is_inferior, superiors};

/// Names that are looked at before others have their turn.
pub const NAMES: usize = 100;

/// Mailboxes that clients are told what to use for, by their name.
const SPECIAL_USE: [(&str, &str); 5] = [
    ("Drafts", "\\Drafts"),
    ("Sent", "\\Sent"),
    ("Junk", "\\Junk"),
    ("Trash", "\\Trash"),
    ("Archive", "\\Archive"),
];

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// LIST.
    Mailboxes,
    /// LSUB.
    Subscriptions,
}

/// A LIST or LSUB under way. The names come in the order in which those below a name follow it at once, so that the
/// neighbours of a name tell all there is to say of it.
#[derive(Debug)]
pub struct Listing {
    listed: Listed,
    pattern: Pattern,
    /// Names that only stand above others are listed.
    superiors: bool,
    /// The name that was looked at last.
    last: Option<String>,
}

impl Listing {
    /// What `args` ask for; `None`: the pattern has too many wildcards.
    pub fn new(listed: Listed, args: &ListArgs) -> Option<Listing> {
        let pattern = Pattern::new(&args.reference, &args.pattern)?;
        // RFC 3501: when foo/bar is subscribed and foo is not, a pattern that ends with % names foo.
        let superiors = listed == Listed::Mailboxes || args.pattern.ends_with('%');
        Some(Listing { listed, pattern, superiors, last: None })
    }

    /// What is listed.
    pub fn listed(&self) -> Listed {
        self.listed
    }

    /// The name that was looked at last.
    pub fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// Names above those of `names`, the next in order, that were not given themselves.
    pub fn implied<'a>(&self, names: &'a [String]) -> impl Iterator<Item = &'a str> {
        let before = [self.last.clone()].into_iter().chain(names.iter().cloned().map(Some));
        names.iter().zip(before).flat_map(|(name, before)| {
            superiors(name).filter(move |superior| {
                !before.as_deref().is_some_and(|before| before == *superior || is_inferior(before, superior))
            })
        })
    }

    /// Writes the responses for `names`, the next in order, behind which comes `next`; `exists` tells of an implied
    /// name whether it is a mailbox all the same.
    pub fn write(
        &mut self,
        names: &[String],
        next: Option<&str>,
        exists: impl Fn(&str) -> bool,
        out: &mut String,
    ) {
        for (place, name) in names.iter().enumerate() {
            if self.superiors {
                let above: Vec<&str> = self.implied(std::slice::from_ref(name)).collect();
                for superior in above.into_iter().filter(|superior| self.pattern.matches(superior)) {
                    self.line(superior, exists(superior), true, out);
                }
            }
            if self.pattern.matches(name) {
                let next = names.get(place + 1).map(String::as_str).or(next);
                self.line(name, true, next.is_some_and(|next| is_inferior(next, name)), out);
            }
            self.last = Some(name.clone());
        }
    }

    fn line(&self, name: &str, exists: bool, children: bool, out: &mut String) {
        let mut attributes = Vec::new();
        if !exists {
            attributes.push("\\Noselect");
        }
        if self.listed == Listed::Mailboxes {
            attributes.push(if children { "\\HasChildren" } else { "\\HasNoChildren" });
            attributes.extend(special_use(name).filter(|_| exists));
        }
        out.push_str(&format!("* {} ({}) \"/\" ", self.word(), attributes.join(" ")));
        words::mailbox(name, out);
        out.push_str("\r\n");
    }

    fn word(&self) -> &'static str {
        match self.listed {
            Listed::Mailboxes => "LIST",
            Listed::Subscriptions => "LSUB",
        }
    }
}

/// The answer to an empty pattern. RFC 3501: the hierarchy delimiter and the root name are asked for.
pub fn root(listed: Listed) -> &'static str {
    match listed {
        Listed::Mailboxes => "* LIST (\\Noselect) \"/\" \"\"\r\n",
        Listed::Subscriptions => "* LSUB (\\Noselect) \"/\" \"\"\r\n",
    }
}

fn special_use(name: &str) -> Option<&'static str> {
    SPECIAL_USE.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, attribute)| attribute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::mailbox_name::compare;

    const MAILBOXES: [&str; 8] =
        ["INBOX", "INBOX/kids", "Sent", "a/b/c", "a/b/c/d", "a-b", "Entwürfe", "x\"y"];

    /// The responses, with so many names at a time.
    fn lines(listed: Listed, names: &[&str], reference: &str, pattern: &str) -> Vec<String> {
        let mut names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        names.sort_by(|one, other| compare(one, other));
        let by = |size: usize| {
            let args = ListArgs { reference: reference.into(), pattern: pattern.into() };
            let mut listing = Listing::new(listed, &args).unwrap();
            let mut out = String::new();
            for start in (0..names.len()).step_by(size) {
                let end = names.len().min(start + size);
                let next = names.get(end).map(String::as_str);
                listing.write(&names[start..end], next, |_| false, &mut out);
            }
            out.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let all = by(NAMES);
        assert!((1..8).all(|size| by(size) == all), "the pieces make no difference");
        all
    }

    #[test]
    fn list_tells_attributes() {
        assert_eq!(
            lines(Listed::Mailboxes, &MAILBOXES, "", "*"),
            [
                r#"* LIST (\HasNoChildren) "/" Entw&APw-rfe"#,
                r#"* LIST (\HasChildren) "/" INBOX"#,
                r#"* LIST (\HasNoChildren) "/" INBOX/kids"#,
                r#"* LIST (\HasNoChildren \Sent) "/" Sent"#,
                r#"* LIST (\Noselect \HasChildren) "/" a"#,
                r#"* LIST (\Noselect \HasChildren) "/" a/b"#,
                r#"* LIST (\HasChildren) "/" a/b/c"#,
                r#"* LIST (\HasNoChildren) "/" a/b/c/d"#,
                r#"* LIST (\HasNoChildren) "/" a-b"#,
                r#"* LIST (\HasNoChildren) "/" "x\"y""#,
            ]
        );
        assert_eq!(root(Listed::Mailboxes), "* LIST (\\Noselect) \"/\" \"\"\r\n");
    }

    #[test]
    fn the_reference_goes_before_the_pattern() {
        let children = [r#"* LIST (\HasChildren) "/" a/b/c"#];
        assert_eq!(lines(Listed::Mailboxes, &MAILBOXES, "a/b/", "%"), children);
        assert_eq!(lines(Listed::Mailboxes, &MAILBOXES, "nowhere/", "*"), [""; 0]);
    }

    #[test]
    fn lsub_names_what_stands_above_a_subscribed_name_for_a_percent_sign() {
        let subscribed = ["INBOX", "foo/bar", "foo/baz"];
        assert_eq!(
            lines(Listed::Subscriptions, &subscribed, "", "%"),
            [r#"* LSUB () "/" INBOX"#, r#"* LSUB (\Noselect) "/" foo"#]
        );
        assert_eq!(
            lines(Listed::Subscriptions, &subscribed, "", "*"),
            [r#"* LSUB () "/" INBOX"#, r#"* LSUB () "/" foo/bar"#, r#"* LSUB () "/" foo/baz"#]
        );
    }
}
