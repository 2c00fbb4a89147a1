//! LIST and LSUB (RFC 3501 sections 6.3.8 and 6.3.9), with the attributes of RFC 3348 (children) and
//! RFC 6154 (special use). Pure: names and a pattern go in, lines come out.

use std::collections::BTreeMap;

use super::command::ListArgs;
use super::reply;

/// Mailboxes that clients are told what to use for, by their name.
const SPECIAL_USE: [(&str, &str); 5] = [
    ("Drafts", "\\Drafts"),
    ("Sent", "\\Sent"),
    ("Junk", "\\Junk"),
    ("Trash", "\\Trash"),
    ("Archive", "\\Archive"),
];

/// Writes the LIST responses for `mailboxes`. A name that only stands above others is listed as
/// `\Noselect`.
pub fn list(args: &ListArgs, mailboxes: &[&str], out: &mut String) {
    if args.pattern.is_empty() {
        // RFC 3501: the hierarchy delimiter and the root name are asked for.
        out.push_str("* LIST (\\Noselect) \"/\" \"\"\r\n");
        return;
    }
    let names = with_ancestors(mailboxes);
    let pattern = Pattern::new(args);
    for (&name, &exists) in names.iter().filter(|(name, _)| pattern.matches(name)) {
        let mut attributes = Vec::new();
        if !exists {
            attributes.push("\\Noselect");
        }
        attributes.push(if has_children(&names, name) { "\\HasChildren" } else { "\\HasNoChildren" });
        if exists {
            attributes.extend(special_use(name));
        }
        write("LIST", &attributes, name, out);
    }
}

/// Writes the LSUB responses for the names that are `subscribed`.
pub fn lsub(args: &ListArgs, subscribed: &[&str], out: &mut String) {
    if args.pattern.is_empty() {
        out.push_str("* LSUB (\\Noselect) \"/\" \"\"\r\n");
        return;
    }
    // RFC 3501: when foo/bar is subscribed and foo is not, a pattern that ends with % names foo.
    let ancestors_count = args.pattern.ends_with('%');
    let pattern = Pattern::new(args);
    for (&name, &itself) in with_ancestors(subscribed).iter().filter(|(name, _)| pattern.matches(name)) {
        if itself {
            write("LSUB", &[], name, out);
        } else if ancestors_count {
            write("LSUB", &["\\Noselect"], name, out);
        }
    }
}

fn write(response: &str, attributes: &[&str], name: &str, out: &mut String) {
    out.push_str(&format!("* {response} ({}) \"/\" ", attributes.join(" ")));
    reply::mailbox(name, out);
    out.push_str("\r\n");
}

/// All names and those above them; true: the name was given, not only implied.
fn with_ancestors<'a>(names: &[&'a str]) -> BTreeMap<&'a str, bool> {
    let mut all = BTreeMap::new();
    for &name in names {
        for (end, _) in name.match_indices('/') {
            if let Some(ancestor) = name.get(..end) {
                all.entry(ancestor).or_insert(false);
            }
        }
        all.insert(name, true);
    }
    all
}

fn has_children(names: &BTreeMap<&str, bool>, name: &str) -> bool {
    let below = format!("{name}/");
    names.range(below.as_str()..).next().is_some_and(|(other, _)| other.starts_with(&below))
}

fn special_use(name: &str) -> Option<&'static str> {
    SPECIAL_USE.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, attribute)| attribute)
}

/// Reference and mailbox name together; `*` stands for anything, `%` for anything but the delimiter.
struct Pattern(Vec<u8>);

impl Pattern {
    fn new(args: &ListArgs) -> Pattern {
        let mut pattern = [args.reference.as_bytes(), args.pattern.as_bytes()].concat();
        pattern.dedup_by(|next, c| matches!(next, b'*' | b'%') && next == c);
        Pattern(pattern)
    }

    /// Follows all ways through the pattern at once, so that no pattern takes long.
    fn matches(&self, name: &str) -> bool {
        const INBOX: &str = "INBOX";
        let caseless = if name.split('/').next() == Some(INBOX) { INBOX.len() } else { 0 };
        // `reached[i]`: the first `i` octets of the pattern match the name so far.
        let mut reached = vec![false; self.0.len() + 1];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        self.pass_wildcards(&mut reached);
        for (place, &c) in name.as_bytes().iter().enumerate() {
            let mut next = vec![false; reached.len()];
            for (i, &p) in self.0.iter().enumerate().filter(|&(i, _)| reached.get(i) == Some(&true)) {
                let to = match p {
                    b'*' => i,
                    b'%' if c != b'/' => i,
                    _ if p == c || (place < caseless && p.eq_ignore_ascii_case(&c)) => i + 1,
                    _ => continue,
                };
                if let Some(to) = next.get_mut(to) {
                    *to = true;
                }
            }
            self.pass_wildcards(&mut next);
            reached = next;
        }
        reached.last() == Some(&true)
    }

    /// A wildcard may stand for nothing.
    fn pass_wildcards(&self, reached: &mut [bool]) {
        let mut before = false;
        for (place, reached) in reached.iter_mut().enumerate() {
            *reached |= before;
            before = *reached && matches!(self.0.get(place), Some(b'*' | b'%'));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAILBOXES: [&str; 7] = ["INBOX", "INBOX/kids", "Sent", "a/b/c", "a-b", "Entwürfe", "x\"y"];

    fn lines(
        command: fn(&ListArgs, &[&str], &mut String),
        names: &[&str],
        reference: &str,
        pattern: &str,
    ) -> Vec<String> {
        let mut out = String::new();
        command(&ListArgs { reference: reference.into(), pattern: pattern.into() }, names, &mut out);
        out.lines().map(str::to_owned).collect()
    }

    #[test]
    fn list_tells_attributes() {
        assert_eq!(
            lines(list, &MAILBOXES, "", "*"),
            [
                r#"* LIST (\HasNoChildren) "/" Entw&APw-rfe"#,
                r#"* LIST (\HasChildren) "/" INBOX"#,
                r#"* LIST (\HasNoChildren) "/" INBOX/kids"#,
                r#"* LIST (\HasNoChildren \Sent) "/" Sent"#,
                r#"* LIST (\Noselect \HasChildren) "/" a"#,
                r#"* LIST (\HasNoChildren) "/" a-b"#,
                r#"* LIST (\Noselect \HasChildren) "/" a/b"#,
                r#"* LIST (\HasNoChildren) "/" a/b/c"#,
                r#"* LIST (\HasNoChildren) "/" "x\"y""#,
            ]
        );
        assert_eq!(lines(list, &MAILBOXES, "", ""), [r#"* LIST (\Noselect) "/" """#]);
    }

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("*", "a/b/c", true),
            ("%", "a/b/c", false),
            ("%", "a", true),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a*c", "a/b/c", true),
            ("a%c", "a/b/c", false),
            ("%/%/c", "a/b/c", true),
            ("a/b/c%", "a/b/c", true),
            ("%%**b", "a/b", true),
            ("inbox", "INBOX", true),
            ("iNb%", "INBOX", true),
            ("inbox/kids", "INBOX/kids", true),
            ("inbox/KIDS", "INBOX/kids", false),
            ("A", "a", false),
            ("", "a", false),
        ] {
            let args = ListArgs { reference: String::new(), pattern: pattern.into() };
            assert_eq!(Pattern::new(&args).matches(name), expected, "{pattern} {name}");
        }
        let hard = ListArgs { reference: "*a".repeat(500), pattern: "b".into() };
        assert!(!Pattern::new(&hard).matches(&"a".repeat(1000)), "and that at once");
    }

    #[test]
    fn the_reference_goes_before_the_pattern() {
        assert_eq!(lines(list, &MAILBOXES, "a/b/", "%"), [r#"* LIST (\HasNoChildren) "/" a/b/c"#]);
        assert_eq!(lines(list, &MAILBOXES, "nowhere/", "*"), [""; 0]);
    }

    #[test]
    fn lsub_names_what_stands_above_a_subscribed_name_for_a_percent_sign() {
        let subscribed = ["INBOX", "foo/bar"];
        assert_eq!(
            lines(lsub, &subscribed, "", "%"),
            [r#"* LSUB () "/" INBOX"#, r#"* LSUB (\Noselect) "/" foo"#]
        );
        assert_eq!(lines(lsub, &subscribed, "", "*"), [r#"* LSUB () "/" INBOX"#, r#"* LSUB () "/" foo/bar"#]);
    }
}
