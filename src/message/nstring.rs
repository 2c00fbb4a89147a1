//! Strings as in IMAP responses (RFC 3501 section 4.3).

use memchr::{memchr2, memchr3};

/// Octets of a quoted string at most: some clients cannot read longer lines (RFC 2683 section 3.2.1.5).
const MAX_QUOTED: usize = 1000;

/// Appends a string: quoted, or a literal when it contains octets that a quoted string cannot.
pub fn string(text: &[u8], out: &mut Vec<u8>) {
    let quotable = text.is_ascii() && memchr3(b'\r', b'\n', 0, text).is_none();
    if text.len() <= MAX_QUOTED && quotable {
        out.push(b'"');
        let mut rest = text;
        while let Some((plain, [special, after @ ..])) =
            memchr2(b'"', b'\\', rest).and_then(|at| rest.split_at_checked(at))
        {
            out.extend_from_slice(plain);
            out.extend_from_slice(&[b'\\', *special]);
            rest = after;
        }
        out.extend_from_slice(rest);
        out.push(b'"');
    } else {
        out.extend(format!("{{{}}}\r\n", text.len()).as_bytes());
        // NUL is not allowed in a string (CHAR8 of RFC 3501 section 9).
        out.extend(text.iter().map(|&b| if b == 0 { b'?' } else { b }));
    }
}

/// Appends a string, or NIL.
pub fn nstring(text: Option<&[u8]>, out: &mut Vec<u8>) {
    match text {
        Some(text) => string(text, out),
        None => out.extend(b"NIL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_where_they_can_be() {
        let long = "x".repeat(MAX_QUOTED + 1);
        for (text, expected) in [
            ("", r#""""#),
            (r#"say "a\b""#, r#""say \"a\\b\"""#),
            ("tab\t", "\"tab\t\""),
            ("caf\u{e9}", "{5}\r\ncaf\u{e9}"),
            ("a\r\nb", "{4}\r\na\r\nb"),
            ("a\0b", "{3}\r\na?b"),
            (&long, &format!("{{1001}}\r\n{long}")),
        ] {
            let mut out = Vec::new();
            string(text.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
