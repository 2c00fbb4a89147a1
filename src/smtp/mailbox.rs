//! Mailboxes and paths (RFC 5321 section 4.1.2, RFC 6531 section 3.3) as MAIL and RCPT carry them.
//!
//! A domain above ASCII is converted to its A-labels (`net::idna`) when it is read, so it has one form everywhere: in
//! the settings, in the queue, and for a server without SMTPUTF8. A local part is kept octet by octet: only the host
//! of the domain decides whether two of them are the same (RFC 6530 section 10.1), and it is not asked to normalize
//! them either.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::net::idna;

/// Octets of a local part, at most (RFC 5321 section 4.5.3.1).
const MAX_LOCAL_PART: usize = 64;
/// Octets of a domain, at most (RFC 5321 section 4.5.3.1).
const MAX_DOMAIN: usize = 255;
/// Octets of a label of a domain, at most.
const MAX_LABEL: usize = 63;

/// `Local-part@Domain`, quoted only as far as needed. A local part alone is accepted too, since RFC 5321 has
/// `<Postmaster>` and devices send others: see [`Mailbox::qualified`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mailbox(String);

/// The address for bounces; `None` is the null reverse-path `<>` (RFC 5321 section 4.5.5).
pub type ReversePath = Option<Mailbox>;

/// The text does not follow the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAPath;

impl Mailbox {
    /// The mailbox as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the `@`; empty for a local part alone.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').filter(|_| !self.0.ends_with('"')).map_or("", |(_, domain)| domain)
    }

    /// The mailbox with `domain` added if it has none.
    pub fn qualified(self, domain: &str) -> Mailbox {
        if self.domain().is_empty() { Mailbox(format!("{}@{domain}", self.0)) } else { self }
    }

    /// Whether every server takes the address; otherwise it needs SMTPUTF8 (RFC 6531).
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    /// Parses a text that is a mailbox as a whole.
    ///
    /// # Errors
    /// The text is not a mailbox.
    pub fn parse(text: &str) -> Result<Mailbox, NotAPath> {
        match mailbox(text)? {
            (mailbox, "") => Ok(mailbox),
            _ => Err(NotAPath),
        }
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Parses the path at the beginning of `text`. Returns it and the rest. A source route is skipped, as RFC 5321
/// appendix C demands; angle brackets may be missing, as some devices leave them out.
///
/// # Errors
/// There is no path.
pub fn path(text: &str) -> Result<(ReversePath, &str), NotAPath> {
    let Some(inner) = text.strip_prefix('<') else {
        let (mailbox, rest) = mailbox(text)?;
        return Ok((Some(mailbox), rest));
    };
    if let Some(rest) = inner.strip_prefix('>') {
        return Ok((None, rest));
    }
    let (mailbox, rest) = mailbox(source_route(inner)?)?;
    let rest = rest.strip_prefix('>').ok_or(NotAPath)?;
    Ok((Some(mailbox), rest))
}

/// Skips a source route `@one,@two:`.
fn source_route(text: &str) -> Result<&str, NotAPath> {
    let mut rest = text;
    while let Some(at_domain) = rest.strip_prefix('@') {
        let (_, after) = domain(at_domain)?;
        rest = match after.strip_prefix(',') {
            Some(next) if next.starts_with('@') => next,
            _ => return after.strip_prefix(':').ok_or(NotAPath),
        };
    }
    Ok(rest)
}

fn mailbox(text: &str) -> Result<(Mailbox, &str), NotAPath> {
    let (local, rest) =
        if let Some(quoted) = text.strip_prefix('"') { quoted_string(quoted)? } else { dot_string(text)? };
    if local.is_empty() || local.len() > MAX_LOCAL_PART {
        return Err(NotAPath);
    }
    let Some(after_at) = rest.strip_prefix('@') else { return Ok((Mailbox(local), rest)) };
    let (domain, rest) = domain(after_at)?;
    Ok((Mailbox(format!("{local}@{domain}")), rest))
}

/// Parses a `Dot-string` of RFC 5321: atoms with single dots between them.
fn dot_string(text: &str) -> Result<(String, &str), NotAPath> {
    let (local, rest) = split_where(text, |c| !(is_atext(c) || c == '.'));
    if !is_dot_string(local) {
        return Err(NotAPath);
    }
    Ok((local.to_owned(), rest))
}

/// Parses a `Quoted-string` of RFC 5321 after its opening quote. Returns the local part in its shortest form, without
/// quotes if it needs none.
fn quoted_string(text: &str) -> Result<(String, &str), NotAPath> {
    let mut content = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let local = if is_dot_string(&content) { content } else { quote(&content) };
                return Ok((local, text.get(at + 1..).unwrap_or_default()));
            }
            '\\' => match chars.next() {
                Some((_, c @ ' '..='~')) => content.push(c),
                _ => return Err(NotAPath),
            },
            ' '..='~' => content.push(c),
            _ if is_beyond_ascii(c) => content.push(c),
            _ => return Err(NotAPath),
        }
    }
    Err(NotAPath)
}

fn quote(content: &str) -> String {
    let mut quoted = String::with_capacity(content.len() + 2);
    quoted.push('"');
    for c in content.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// Parses a domain, in which underscores are tolerated, or an address literal (RFC 5321 section 4.1.3).
fn domain(text: &str) -> Result<(Cow<'_, str>, &str), NotAPath> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(NotAPath)?;
        let (literal, rest) = text.split_at(end + 1);
        return if is_address_literal(literal) { Ok((literal.into(), rest)) } else { Err(NotAPath) };
    }
    let of_domain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') || is_beyond_ascii(c);
    let (domain, rest) = split_where(text, |c| !of_domain(c));
    // A domain that is far too long is not encoded at all.
    let domain =
        Some(domain).filter(|d| d.len() <= 4 * MAX_DOMAIN).and_then(idna::to_ascii).ok_or(NotAPath)?;
    let label = |label: &str| !label.is_empty() && label.len() <= MAX_LABEL && !label.starts_with('-');
    if domain.len() > MAX_DOMAIN || !domain.split('.').all(label) {
        return Err(NotAPath);
    }
    Ok((domain, rest))
}

/// Whether `text` is an address literal, brackets included: `[192.0.2.1]`, `[IPv6:2001:db8::1]`.
pub fn is_address_literal(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) else { return false };
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
            inner.get(5..).is_some_and(|a| a.parse::<std::net::Ipv6Addr>().is_ok())
        }
        _ => inner.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

/// Whether the character may be in an atom (RFC 5322 section 3.2.3, RFC 6532 section 3.2).
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_beyond_ascii(c) && !c.is_whitespace()
}

/// RFC 6531 section 3.3 allows all characters above ASCII. Control characters, which would spoil a log, are not
/// accepted.
fn is_beyond_ascii(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}')
}

fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn split_where(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at_checked(text.find(end).unwrap_or(text.len())).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_what_follows_them() {
        let label = "a".repeat(63);
        let long_label = format!("<a@{label}.example>");
        for (text, mailbox, rest) in [
            ("<>", "", ""),
            ("<> BODY=7BIT", "", " BODY=7BIT"),
            ("<demo@home.example> SIZE=1", "demo@home.example", " SIZE=1"),
            ("demo@home.example SIZE=1", "demo@home.example", " SIZE=1"),
            ("<Postmaster>", "Postmaster", ""),
            ("<a.b+c@x-y.example>", "a.b+c@x-y.example", ""),
            ("<my_nas@my_nas.lan>", "my_nas@my_nas.lan", ""),
            ("<@relay.example,@other.example:demo@home.example>", "demo@home.example", ""),
            ("<@[192.0.2.1]:demo@home.example>", "demo@home.example", ""),
            ("<demo@[192.0.2.1]>", "demo@[192.0.2.1]", ""),
            ("<demo@[IPv6:2001:db8::1]>", "demo@[IPv6:2001:db8::1]", ""),
            ("<\"john doe\"@home.example>", "\"john doe\"@home.example", ""),
            ("<\"john\"@home.example>", "john@home.example", ""),
            ("<\"jo\\hn\"@home.example>", "john@home.example", ""),
            ("<\"a\\\"b>@\"@home.example>", "\"a\\\"b>@\"@home.example", ""),
            ("<\"\"@home.example>", "\"\"@home.example", ""),
            ("<\"only@local\">", "\"only@local\"", ""),
            (&long_label, &long_label[1..long_label.len() - 1], ""),
            ("<demo@[ipv6:2001:DB8::1]>", "demo@[ipv6:2001:DB8::1]", ""),
            ("<demo@[IPv6:::ffff:192.0.2.1]>", "demo@[IPv6:::ffff:192.0.2.1]", ""),
            ("<jürgen@home.example> SIZE=1", "jürgen@home.example", " SIZE=1"),
            ("<\"jürgen\"@home.example>", "jürgen@home.example", ""),
            ("<\"jürgen s.\"@home.example>", "\"jürgen s.\"@home.example", ""),
            ("<用户@例え。テスト>", "用户@xn--r8jz45g.xn--zckzah", ""),
            ("<demo@MÜNCHEN.example>", "demo@xn--mnchen-3ya.example", ""),
            ("<@münchen.example:demo@home.example>", "demo@home.example", ""),
        ] {
            let (found, after) = path(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
            assert_eq!(found.as_ref().map_or("", Mailbox::as_str), mailbox, "{text}");
            assert_eq!(after, rest, "{text}");
        }
    }

    #[test]
    fn what_is_no_path() {
        let long_local = format!("<{}@home.example>", "a".repeat(65));
        let long_label = format!("<a@{}.example>", "a".repeat(64));
        let long_domain = format!("<a@{}>", "abcdefg.".repeat(32) + "a");
        for text in [
            "",
            "<",
            "<demo@home.example",
            "<demo@>",
            "<@home.example>",
            "<demo@home..example>",
            "<demo@-home.example>",
            "<de mo@home.example>",
            "<.demo@home.example>",
            "<de..mo@home.example>",
            "<demo@[192.0.2]>",
            "<demo@[2001:db8::1]>",
            "<demo@[192.0.2.1>",
            "<\"demo@home.example>",
            "<\"a\rb\"@home.example>",
            "<@relay.example demo@home.example>",
            "<@relay.example,demo@home.example>",
            "<demo@home.example\0>",
            "<de\u{85}mo@home.example>",
            "<de\u{2028}mo@home.example>",
            "<de\u{a0}mo@home.example>",
            "<\"de\u{85}mo\"@home.example>",
            "<demo@☕.example>",
            "<demo@\u{fffd}.example>",
            "<demo@ü..example>",
            "<demo@[IPv6:fe80::1%eth0]>",
            "<demo@[IPv6:2001:db8::1>",
            &long_local,
            &long_label,
            &long_domain,
        ] {
            assert_eq!(path(text), Err(NotAPath), "{text}");
        }
    }

    /// Catches: limits that count characters, and a domain that is measured before it is encoded.
    #[test]
    fn limits_are_octets_also_beyond_ascii() {
        assert!(Mailbox::parse(&format!("{}@home.example", "ü".repeat(32))).is_ok());
        assert!(Mailbox::parse(&format!("{}a@home.example", "ü".repeat(32))).is_err());
        let labels = |n| format!("a@{}example", format!("{}.", "ü".repeat(20)).repeat(n));
        let fits = (1..).take_while(|&n| Mailbox::parse(&labels(n)).is_ok()).last().unwrap();
        let longest = Mailbox::parse(&labels(fits)).unwrap();
        assert!((200..=257).contains(&longest.as_str().len()) && longest.is_ascii(), "{longest}");
    }

    #[test]
    fn domains() {
        let mailbox = |text| Mailbox::parse(text).unwrap();
        assert_eq!(mailbox("demo@Home.example").domain(), "Home.example");
        assert_eq!(mailbox("\"a@b\"").domain(), "");
        assert_eq!(mailbox("\"a@b\"@home.example").domain(), "home.example");
        assert_eq!(mailbox("scanner").qualified("home.example").as_str(), "scanner@home.example");
        assert_eq!(mailbox("a@b.example").qualified("home.example").as_str(), "a@b.example");
        assert!(Mailbox::parse("demo@home.example ").is_err());
    }
}
