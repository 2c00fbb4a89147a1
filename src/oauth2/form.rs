//! `application/x-www-form-urlencoded` (RFC 6749 appendix B).

use std::fmt::Write;

use zeroize::Zeroizing;

/// Octets that are reserved, enough for a whole request: a string that grows would leave pieces of a secret behind.
const ROOM: usize = 48 * 1024;

/// Names and values for the content of a request. They may be secrets.
pub struct Form(Zeroizing<String>);

impl Form {
    /// A form without fields.
    pub fn new() -> Form {
        Form(Zeroizing::new(String::with_capacity(ROOM)))
    }

    /// Adds a field, unless its value is empty.
    pub fn with(mut self, name: &str, value: &str) -> Form {
        if !value.is_empty() {
            if !self.0.is_empty() {
                self.0.push('&');
            }
            escape(name, &mut self.0);
            self.0.push('=');
            escape(value, &mut self.0);
        }
        self
    }

    /// The encoded form.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// Appends `text`, with all octets but letters, digits and the marks of RFC 3986 section 2.3 as `%HH`.
fn escape(text: &str, out: &mut String) {
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(octet))
            }
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{octet:02X}")),
        }
    }
}

/// The decoded value of the first field with this name in a query.
pub fn field(query: &str, name: &str) -> Option<Zeroizing<String>> {
    let mut fields = query.split('&').map(|field| field.split_once('=').unwrap_or((field, "")));
    fields.find(|(found, _)| **decoded(found) == *name).map(|(_, value)| decoded(value))
}

fn decoded(text: &str) -> Zeroizing<String> {
    let mut octets = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.split_first_chunk::<2>().filter(|_| first == b'%');
        let escaped = digits.and_then(|(digits, after)| {
            let digits =
                std::str::from_utf8(digits).ok().filter(|it| it.bytes().all(|d| d.is_ascii_hexdigit()))?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        let (octet, after) = escaped.unwrap_or((if first == b'+' { b' ' } else { first }, after));
        octets.push(octet);
        rest = after;
    }
    Zeroizing::new(String::from_utf8_lossy(&octets).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_escaped_and_found_again() {
        let form = Form::new().with("scope", "a b&c=d/é").with("none", "").with("x", "-._~1Z");
        assert_eq!(form.text(), "scope=a%20b%26c%3Dd%2F%C3%A9&x=-._~1Z");
        let found = |query: &str, name: &str| field(query, name).map(|value| value.to_string());
        assert_eq!(found(form.text(), "scope").as_deref(), Some("a b&c=d/é"));
        assert_eq!(found("a=1+2&a=3&b", "a").as_deref(), Some("1 2"));
        assert_eq!(found("a=1&b", "b").as_deref(), Some(""));
        assert_eq!(found("a%62=1", "ab").as_deref(), Some("1"));
        assert_eq!(found("code=%4&x=%zz&y=%+1", "code").as_deref(), Some("%4"));
        assert_eq!(found("x=%zz%", "x").as_deref(), Some("%zz%"));
        assert_eq!(found("xcode=1", "code"), None);
    }
}
