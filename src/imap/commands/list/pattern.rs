//! The patterns of LIST and LSUB (RFC 3501 section 6.3.8). All ways to match a pattern are followed at once, so that
//! the cost of a name is at most its length times that of the pattern.

/// Wildcards in all patterns of a command at most. Wildcards that follow each other count as one.
pub const MAX_WILDCARDS: usize = 16;
/// Patterns of a command at most.
pub const MAX_PATTERNS: usize = 64;

/// The patterns of one command.
#[derive(Debug)]
pub struct Patterns(Vec<Pattern>);

/// What a command has too many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    /// More than [`MAX_WILDCARDS`].
    Wildcards,
    /// More than [`MAX_PATTERNS`].
    Patterns,
}

impl Patterns {
    /// The patterns, each with the reference before it.
    ///
    /// # Errors
    /// [`TooMany`], when there are more patterns or wildcards than allowed.
    pub fn new(reference: &str, patterns: &[String]) -> Result<Patterns, TooMany> {
        if patterns.len() > MAX_PATTERNS {
            return Err(TooMany::Patterns);
        }
        let mut left = MAX_WILDCARDS;
        let mut all = Vec::new();
        for pattern in patterns {
            let pattern = Pattern::new(reference, pattern).ok_or(TooMany::Wildcards)?;
            left = left.checked_sub(pattern.rest.len()).ok_or(TooMany::Wildcards)?;
            all.push(pattern);
        }
        Ok(Patterns(all))
    }

    /// Whether one of the patterns matches this name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }
}

/// A pattern: the reference and the mailbox name together.
#[derive(Debug)]
pub struct Pattern {
    /// The text before the first wildcard.
    start: Vec<u8>,
    /// Each wildcard with the text after it.
    rest: Vec<(Wildcard, Vec<u8>)>,
    /// Octets of all text in the pattern.
    text: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wildcard {
    /// `*`
    Anything,
    /// `%`: anything but the delimiter.
    Level,
}

impl Pattern {
    /// The pattern; `None` when it has too many wildcards.
    pub fn new(reference: &str, pattern: &str) -> Option<Pattern> {
        let mut new = Pattern { start: Vec::new(), rest: Vec::new(), text: 0 };
        for octet in reference.bytes().chain(pattern.bytes()) {
            let wildcard = match octet {
                b'*' => Wildcard::Anything,
                b'%' => Wildcard::Level,
                octet => {
                    new.rest.last_mut().map_or(&mut new.start, |(_, text)| text).push(octet);
                    new.text += 1;
                    continue;
                }
            };
            let full = new.rest.len() == MAX_WILDCARDS;
            match new.rest.last_mut() {
                // Of wildcards that follow each other the stronger one counts.
                Some((before, text)) if text.is_empty() => {
                    if wildcard == Wildcard::Anything {
                        *before = wildcard;
                    }
                }
                _ if full => return None,
                _ => new.rest.push((wildcard, Vec::new())),
            }
        }
        Some(new)
    }

    /// Whether the pattern matches this name.
    pub fn matches(&self, name: &str) -> bool {
        const INBOX: &str = "INBOX";
        let caseless = if name.split('/').next() == Some(INBOX) { INBOX.len() } else { 0 };
        let name = Name { octets: name.as_bytes(), caseless };
        if self.text > name.octets.len() || !name.has(0, &self.start) {
            return false;
        }
        // `reached[i]`: the pattern so far matches the first `i` octets of the name.
        let mut reached = vec![false; name.octets.len() + 1];
        if let Some(reached) = reached.get_mut(self.start.len()) {
            *reached = true;
        }
        for (wildcard, text) in &self.rest {
            reached = name.reached(&reached, *wildcard, text);
        }
        reached.last() == Some(&true)
    }
}

/// A name whose first `caseless` octets are compared without regard to case.
struct Name<'a> {
    octets: &'a [u8],
    caseless: usize,
}

impl Name<'_> {
    /// Whether the name has `text` at `place`.
    fn has(&self, place: usize, text: &[u8]) -> bool {
        let Some(there) = self.octets.get(place..).and_then(|rest| rest.get(..text.len())) else {
            return false;
        };
        let (caseless, exact) = text.split_at(self.caseless.saturating_sub(place).min(text.len()));
        let (begin, end) = there.split_at(caseless.len());
        begin.eq_ignore_ascii_case(caseless) && end == exact
    }

    /// The octets of the name that can be reached from those in `before` by a wildcard and the text after it.
    fn reached(&self, before: &[bool], wildcard: Wildcard, text: &[u8]) -> Vec<bool> {
        let mut after = vec![false; before.len()];
        let mut open = false;
        for (place, &here) in before.iter().enumerate() {
            open |= here;
            if open
                && self.has(place, text)
                && let Some(end) = after.get_mut(place + text.len())
            {
                *end = true;
            }
            if wildcard == Wildcard::Level && self.octets.get(place) == Some(&b'/') {
                open = false;
            }
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            ("%*%b", "a/b", true),
            ("%%%b", "a/b", false),
            ("a/b", "a/b", true),
            ("a/b", "a/bc", false),
            ("inbox", "INBOX", true),
            ("iNb%", "INBOX", true),
            ("%x", "INBOX", true),
            ("inbox/kids", "INBOX/kids", true),
            ("inbox/KIDS", "INBOX/kids", false),
            ("*ox/kids", "INBOX/kids", true),
            ("A", "a", false),
            ("", "a", false),
        ] {
            assert_eq!(Pattern::new("", pattern).unwrap().matches(name), expected, "{pattern} {name}");
        }
    }

    /// Catches: a limit that runs of wildcards use up, or that is off by one.
    #[test]
    fn sixteen_wildcards_are_enough() {
        let runs = "*%*a".repeat(MAX_WILDCARDS);
        assert!(Pattern::new(&runs, "").unwrap().matches(&"xa".repeat(MAX_WILDCARDS)));
        assert!(Pattern::new(&runs, "%b").is_none());
        assert!(Pattern::new(&runs, "b%").is_none());
        assert!(Pattern::new(&"*a".repeat(500), "b").is_none());
    }

    /// Catches: limits that apply to each pattern instead of all of them, or that are off by one.
    #[test]
    fn several_patterns_share_the_wildcards() {
        let patterns = |of: &str, n: usize| Patterns::new("", &vec![of.to_owned(); n]).map(|_| ());
        assert_eq!(patterns("%a*", MAX_WILDCARDS / 2), Ok(()));
        assert_eq!(patterns("%a*", MAX_WILDCARDS / 2 + 1), Err(TooMany::Wildcards));
        assert_eq!(patterns("a", MAX_PATTERNS), Ok(()));
        assert_eq!(patterns("a", MAX_PATTERNS + 1), Err(TooMany::Patterns));
        let any = Patterns::new("x/", &["a".into(), "b*".into()]).unwrap();
        assert!(any.matches("x/a") && any.matches("x/bc") && !any.matches("x/c") && !any.matches("a"));
    }

    /// Whether the pattern matches, found by trying everything as the RFC defines it.
    fn matches(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], name) => name.is_empty(),
            ([b'*', rest @ ..], name) => (0..=name.len()).any(|n| matches(rest, &name[n..])),
            ([b'%', rest @ ..], name) => (0..=name.len())
                .take_while(|&n| !name[..n].contains(&b'/'))
                .any(|n| matches(rest, &name[n..])),
            ([p, rest @ ..], [c, name @ ..]) => p == c && matches(rest, name),
            (_, []) => false,
        }
    }

    proptest! {
        /// Catches: a way to match the pattern that is not followed.
        #[test]
        fn every_way_is_followed(reference in "[ab/%*]{0,4}", pattern in "[ab/%*]{0,8}", name in "[ab/]{0,10}") {
            let whole = format!("{reference}{pattern}");
            let expected = matches(whole.as_bytes(), name.as_bytes());
            prop_assert_eq!(Pattern::new(&reference, &pattern).unwrap().matches(&name), expected);
        }
    }
}
