//! Secrets in comments of the owner's file: the password that was tried before, a whole account that is commented out.
//!
//! Nothing reads a comment, so nothing says what is a secret in it. What looks like a setting whose name is that of a secret, or
//! ends like it, counts as one: `# password = "…"`, `#wifi-password: …`. A comment too many with stars is better than one too few.

use std::ops::Range;

use crate::config::problem::Section;

/// The places, in octets, of what stands for the value of a secret in the comments of `text`, in their order. `text` is TOML
/// that can be read; of any other the places are those of its readable part.
pub fn places(text: &str) -> Vec<Range<usize>> {
    let names = names();
    let mut found = Vec::new();
    // The quotes of a value of several lines that began in the comment before: comments that follow each other go on with it.
    let mut open: Option<&str> = None;
    let mut end_of_last = 0;
    for comment in comments(text) {
        let between = text.get(end_of_last..comment.start).unwrap_or_default();
        end_of_last = comment.end;
        if open.is_some() && between.trim() != "" {
            open = None;
        }
        let words = text.get(comment.clone()).unwrap_or_default();
        let mut at = 0;
        if let Some(quote) = open {
            let begin = words.len() - words.trim_start_matches(['#', ' ', '\t']).len();
            let (value, closed) = up_to(words, begin, quote);
            push(&mut found, comment.start, value.clone());
            if !closed {
                continue;
            }
            (open, at) = (None, value.end + quote.len());
        }
        while let Some((value, closed_by)) = value(words, at, &names) {
            at = value.end;
            push(&mut found, comment.start, value);
            if let Value::Open(quote) = closed_by {
                open = Some(quote);
            }
        }
    }
    found
}

fn push(found: &mut Vec<Range<usize>>, start: usize, value: Range<usize>) {
    if !value.is_empty() {
        found.push(start + value.start..start + value.end);
    }
}

/// The names of all secrets, in small letters. One that ends another is enough.
fn names() -> Vec<&'static str> {
    let any = [
        Section::Server,
        Section::Smarthost,
        Section::Account(0),
        Section::AppPassword(0, 0),
        Section::Source(0, 0),
        Section::OAuth2(0, 0),
    ];
    let all = any.into_iter().flat_map(Section::settings).filter(|setting| setting.secret);
    // An identity opens nothing, and many a harmless name ends like it.
    let mut names: Vec<&str> = all.map(|setting| setting.key).filter(|key| *key != "id").collect();
    names.sort_unstable();
    names.dedup();
    let shorter = names.clone();
    names.retain(|name| !shorter.iter().any(|other| name != other && name.ends_with(other)));
    names
}

/// How a value ends.
enum Value {
    Whole,
    /// It goes on in the next line, up to these quotes.
    Open(&'static str),
}

/// The first value of a secret from `from` on.
fn value(words: &str, from: usize, names: &[&str]) -> Option<(Range<usize>, Value)> {
    let octets = words.as_bytes();
    for (at, _) in words.get(from..)?.match_indices(['=', ':']).map(|(at, sign)| (from + at, sign)) {
        // The name, in quotes perhaps.
        let before = words.get(from..at)?.trim_end().trim_end_matches(['"', '\'']);
        let is_secret = names.iter().any(|name| {
            before
                .len()
                .checked_sub(name.len())
                .and_then(|start| before.get(start..))
                .is_some_and(|end| end.eq_ignore_ascii_case(name))
        });
        if !is_secret {
            continue;
        }
        let rest = words.get(at + 1..)?;
        let begin = at + 1 + (rest.len() - rest.trim_start().len());
        for quote in ["\"\"\"", "'''", "\"", "'"] {
            if octets.get(begin..).is_some_and(|rest| rest.starts_with(quote.as_bytes())) {
                let (value, closed) = up_to(words, begin + quote.len(), quote);
                let ends = if closed || quote.len() == 1 { Value::Whole } else { Value::Open(quote) };
                return Some((value, ends));
            }
        }
        // Without quotes nothing says where it ends.
        return Some((begin..words.trim_end().len().max(begin), Value::Whole));
    }
    None
}

/// From `begin` to before the closing `quote`, and whether there is one; without one to the end of the line.
fn up_to(words: &str, begin: usize, quote: &str) -> (Range<usize>, bool) {
    let rest = words.get(begin..).unwrap_or_default();
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        let escapes = quote.starts_with('"') && c == '\\' && !escaped;
        if !escaped && rest.get(at..).is_some_and(|rest| rest.starts_with(quote)) {
            // Of a longer row of quotes the last ones close it (TOML 1.0 section "String").
            let more = rest.get(at + quote.len()..).unwrap_or_default();
            let first = quote.chars().next().unwrap_or_default();
            let kept = if quote.len() == 3 { more.len() - more.trim_start_matches(first).len() } else { 0 };
            return (begin..begin + at + kept.min(2), true);
        }
        escaped = escapes;
    }
    (begin..begin + rest.trim_end().len(), false)
}

/// The comments: from `#` to the end of its line. A `#` between quotes begins none.
fn comments(text: &str) -> Vec<Range<usize>> {
    let octets = text.as_bytes();
    let starts =
        |at: usize, what: &str| octets.get(at..).is_some_and(|rest| rest.starts_with(what.as_bytes()));
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(&octet) = octets.get(at) {
        match octet {
            b'#' => {
                let len = memchr::memchr(b'\n', octets.get(at..).unwrap_or_default());
                let end = len.map_or(octets.len(), |len| at + len);
                found.push(at..end);
                at = end;
            }
            b'"' | b'\'' => {
                let quote = match octet {
                    b'"' if starts(at, "\"\"\"") => "\"\"\"",
                    b'"' => "\"",
                    _ if starts(at, "'''") => "'''",
                    _ => "'",
                };
                at += quote.len();
                while at < octets.len() && !starts(at, quote) {
                    // A text of one line that is not closed is a mistake, and ends with it.
                    if quote.len() == 1 && octets.get(at) == Some(&b'\n') {
                        break;
                    }
                    at += if octet == b'"' && octets.get(at) == Some(&b'\\') { 2 } else { 1 };
                }
                at += quote.len();
                while quote.len() == 3 && octets.get(at) == Some(&octet) {
                    at += 1;
                }
            }
            _ => at += 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        places(text).into_iter().map(|place| &text[place]).collect()
    }

    /// Catches: each way in which people put a password out of force and leave it readable.
    #[test]
    fn a_password_in_a_comment_is_found_however_it_is_written() {
        for (text, secrets) in [
            ("#password = \"s1\"", &["s1"][..]),
            ("# password=\"s1\"", &["s1"]),
            ("## password : s1", &["s1"]),
            ("  \t# \t password = 's1'  # and more\r\n", &["s1"]),
            ("#password = \"\"\"s1\"\"\"\r\n", &["s1"]),
            ("#password = '''s1 ' x'''", &["s1 ' x"]),
            ("# Password = \"s1\"\r\n# PASSWORD: s2 \r\n", &["s1", "s2"]),
            ("[smarthost]\n# smarthost_password = \"s1\"\n#operator_password=\"s2\"", &["s1", "s2"]),
            ("# client_secret = \"s1\", refresh_token = \"s2\" }", &["s1", "s2"]),
            (
                "# oauth2 = { client_id = \"id\", client_secret = 's1', refresh_token = \"s2\" }",
                &["s1", "s2"],
            ),
            ("# verifier = \"SCRAM$s1\"", &["SCRAM$s1"]),
            ("# account.office.password = \"s1\"", &["s1"]),
            ("# \"password\" = \"s1\"", &["s1"]),
            ("# old_password = \"s1\"\n# wifi-password: s 2", &["s1", "s 2"]),
            ("name = \"office\" # password = \"s1\"", &["s1"]),
            ("password = \"in force\" # password was: \"x\", password = \"s1\"", &["s1"]),
            ("# password = \"s1 \\\" s\"  ", &["s1 \\\" s"]),
            ("# password = 's1 \\'", &["s1 \\"]),
            ("# password = \"s1 without an end \r\nname = \"x\"", &["s1 without an end"]),
            ("# password = s1 # s \r\n", &["s1 # s"]),
            ("# password = ä€😀", &["ä€😀"]),
            (
                "# password = \"\"\"\r\n#  s1 s\r\n\t# s2\"\"\" password = \"s3\"\r\n# free\r\n",
                &["s1 s", "s2", "s3"],
            ),
            ("# password = '''s1\n# s2\nname = 'x'\n# free", &["s1", "s2"]),
            ("# password = \"\"\"s1\"\"\"\"\"", &["s1\"\""]),
            ("# host: smtp.example, password: s1", &["s1"]),
        ] {
            assert_eq!(found(text), secrets, "{text:?}");
        }
    }

    /// Catches: settings that are in force and words without a secret that get stars, and a `#` within a text.
    #[test]
    fn all_else_stays() {
        for text in [
            "password = \"in force # password = x\"",
            "password = 'in force # password = x' ",
            "password = \"a\\\" # password = x\"",
            "password = \"\"\"\n# password = \"x\"\n\"\"\"",
            "password = '''\n# password = \"x\"\n'''",
            "password = \"\"\"a\"\"\"\"\" \nname = \"# password = x\"",
            "# the password is asked for on the console",
            "# host = \"smtp.example\"",
            "# passwords = 3",
            "# password =",
            "# password = \"\"",
            "# password:   \r\n",
            "name = \"x\" # = :",
            "#",
            "",
            "\u{feff}",
        ] {
            assert_eq!(found(text), [""; 0], "{text:?}");
        }
    }

    /// Catches: a fall over half of something, and work that grows faster than the file.
    #[test]
    fn whatever_the_file_is_it_ends() {
        for text in [
            "# password = \"\\",
            "\"",
            "'''",
            "\"\"\"\\",
            "# password = '''",
            "#password=\"\"\"",
            "a = \"\\",
            "# =password",
        ] {
            for (at, _) in text.char_indices() {
                places(&text[at..]);
            }
            places(text);
        }
        let begun = std::time::Instant::now();
        for piece in ["# password = '''x\n", "#=", "# password:", "\"", "#'''\n", "password"] {
            places(&piece.repeat(128 * 1024 / piece.len()));
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
