//! Address lists (RFC 5322 section 3.4) in ASCII: names become encoded words, domains become A-labels. An address
//! whose local part is not ASCII has no ASCII form; in a recipient field it becomes an empty group (RFC 6857 section
//! 3.1.8).

use super::Refusal;
use super::field::{Replaced, unquoted};
use super::words::Folded;
use crate::net::idna::to_ascii;

/// A token of an address list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A run of octets that is none of the other tokens.
    Atom(&'a [u8]),
    /// A quoted string with its quotes.
    Quoted(&'a [u8]),
    /// A comment without its parentheses.
    Comment(&'a [u8]),
    /// The text between angle brackets.
    Angle(&'a [u8]),
    /// A separator: `,`, `;` or `:`.
    Separator(u8),
}

/// The field that begins with `head` and has the unfolded value `value`, in ASCII. When `spare` is set, a recipient
/// without an ASCII form becomes an empty group.
///
/// # Errors
/// An address has no ASCII form, and the field cannot do without it.
pub fn in_ascii(head: &[u8], value: &[u8], replaced: Replaced<'_>, spare: bool) -> Result<Vec<u8>, Refusal> {
    let mut out = Folded::new(head);
    let tokens = tokens(value);
    for item in tokens.split_inclusive(|token| matches!(token, Token::Separator(_))) {
        let (item, separator) = match item {
            [item @ .., Token::Separator(separator)] => (item, Some(*separator)),
            item => (item, None),
        };
        one(item, separator, replaced, spare, &mut out)?;
        if let Some(separator) = separator {
            out.put(b"", &[separator]);
        }
    }
    Ok(out.finish())
}

/// Writes a mailbox, or the name of a group.
fn one(
    item: &[Token<'_>],
    separator: Option<u8>,
    replaced: Replaced<'_>,
    spare: bool,
    out: &mut Folded,
) -> Result<(), Refusal> {
    let angle = item.iter().rposition(|token| matches!(token, Token::Angle(_)));
    let is_name = separator == Some(b':');
    let (before, rest) = item.split_at(angle.unwrap_or(if is_name { item.len() } else { 0 }));
    let mut comments = Vec::new();
    let mut address = None;
    for token in rest {
        match *token {
            Token::Angle(text) => address = Some(address_in_ascii(text, replaced)),
            Token::Comment(text) => comments.push(text),
            // Text after the angle brackets belongs to nothing, but is kept as a comment.
            Token::Atom(text) | Token::Quoted(text) if angle.is_some() => comments.push(text),
            Token::Atom(_) | Token::Quoted(_) | Token::Separator(_) => {}
        }
    }
    if angle.is_none() && !is_name {
        let bare: Vec<&[u8]> = item.iter().filter_map(|token| token.text()).collect();
        if !bare.is_empty() {
            return bare_address(&bare.concat(), item, comments, replaced, spare, out);
        }
    }
    let lost = matches!(address, Some(Err(_)));
    if lost && !spare {
        return Err(Refusal::Address);
    }
    if lost {
        group(item, out);
    } else {
        phrase(before, out);
        if let Some(Ok(address)) = address {
            out.put(b" ", &[b"<", address.as_slice(), b">"].concat());
        }
    }
    comments.into_iter().for_each(|text| comment(text, out));
    Ok(())
}

/// Writes an address without angle brackets.
fn bare_address(
    address: &[u8],
    item: &[Token<'_>],
    comments: Vec<&[u8]>,
    replaced: Replaced<'_>,
    spare: bool,
    out: &mut Folded,
) -> Result<(), Refusal> {
    match address_in_ascii(address, replaced) {
        Ok(address) => out.put(b" ", &address),
        Err(()) if !spare => return Err(Refusal::Address),
        Err(()) => group(item, out),
    }
    comments.into_iter().for_each(|text| comment(text, out));
    Ok(())
}

/// Writes the name before an address, or of a group.
fn phrase(tokens: &[Token<'_>], out: &mut Folded) {
    let is_ascii = tokens.iter().filter_map(Token::text).all(<[u8]>::is_ascii);
    if !is_ascii {
        out.put_encoded(b" ", b"", &said(tokens), b"");
    }
    for token in tokens {
        match *token {
            Token::Atom(text) | Token::Quoted(text) if is_ascii => out.put(b" ", text),
            Token::Comment(text) => comment(text, out),
            _ => {}
        }
    }
}

/// The text of the tokens as a reader would see it.
fn said(tokens: &[Token<'_>]) -> Vec<u8> {
    let words: Vec<Vec<u8>> = tokens
        .iter()
        .filter_map(|token| match *token {
            Token::Atom(text) => Some(text.to_vec()),
            Token::Quoted(text) => Some(unquoted(text)),
            Token::Angle(text) => Some([b"<", text, b">"].concat()),
            Token::Comment(_) | Token::Separator(_) => None,
        })
        .collect();
    words.join(&b' ')
}

/// Writes an empty group that says who the recipient was, without an address (RFC 6857 section 3.1.8).
fn group(item: &[Token<'_>], out: &mut Folded) {
    out.put_encoded(b" ", b"", &said(item), b"");
    out.put(b" ", b":;");
}

fn comment(text: &[u8], out: &mut Folded) {
    if text.is_ascii() {
        out.put(b" ", &[b"(", text, b")"].concat());
    } else {
        // RFC 2047 section 5, rule 2: encoded words are allowed within a comment.
        out.put_encoded(b" ", b"(", text, b")");
    }
}

/// An address in ASCII; an error when its local part has no ASCII form.
fn address_in_ascii(address: &[u8], replaced: Replaced<'_>) -> Result<Vec<u8>, ()> {
    let address = address.trim_ascii();
    if address.is_ascii() {
        return Ok(address.to_vec());
    }
    let text = std::str::from_utf8(address).map_err(drop)?;
    if let Some((from, to)) = replaced
        && from == text
    {
        return Ok(to.as_bytes().to_vec());
    }
    let (local, domain) = text.rsplit_once('@').ok_or(())?;
    if !local.is_ascii() {
        return Err(());
    }
    let domain = to_ascii(domain.trim()).ok_or(())?;
    Ok(format!("{local}@{domain}").into_bytes())
}

impl<'a> Token<'a> {
    /// The text of an atom or a quoted string as it is in the field; `None` for other tokens.
    fn text(&self) -> Option<&'a [u8]> {
        match *self {
            Token::Atom(text) | Token::Quoted(text) => Some(text),
            Token::Comment(_) | Token::Angle(_) | Token::Separator(_) => None,
        }
    }
}

/// Splits a list into tokens. A token that is not closed ends with the list.
fn tokens(value: &[u8]) -> Vec<Token<'_>> {
    let (mut rest, mut tokens) = (value.trim_ascii_start(), Vec::new());
    while let Some(&first) = rest.first() {
        let (token, length) = match first {
            b'"' => {
                let end = end_of(rest, b'"', None);
                (Token::Quoted(rest.get(..end).unwrap_or(rest)), end)
            }
            b'(' => {
                let end = end_of(rest, b')', Some(b'('));
                (Token::Comment(inner(rest, end, b')')), end)
            }
            b'<' => {
                let end = end_of(rest, b'>', None);
                (Token::Angle(inner(rest, end, b'>')), end)
            }
            b',' | b';' | b':' => (Token::Separator(first), 1),
            _ => {
                let end = atom(rest);
                (Token::Atom(rest.get(..end).unwrap_or(rest)), end)
            }
        };
        tokens.push(token);
        rest = rest.get(length.max(1)..).unwrap_or_default().trim_ascii_start();
    }
    tokens
}

/// The length of an atom. An address literal in it (RFC 5321 section 4.1.3) may contain colons.
fn atom(text: &[u8]) -> usize {
    let mut in_literal = false;
    let ends = |octet: &u8| {
        in_literal = *octet == b'[' || (in_literal && *octet != b']');
        !in_literal && b"\"(<,;: \t".contains(octet)
    };
    text.iter().position(ends).unwrap_or(text.len())
}

/// The offset after the token that begins with the first octet of `text` and ends with `close`. A backslash escapes
/// the octet after it.
fn end_of(text: &[u8], close: u8, open: Option<u8>) -> usize {
    let (mut depth, mut escaped, mut quoted) = (0_usize, false, false);
    for (at, &octet) in text.iter().enumerate().skip(1) {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' if close == b'>' => quoted = !quoted,
            _ if quoted => {}
            _ if octet == close && depth == 0 => return at + 1,
            _ if octet == close => depth -= 1,
            _ if Some(octet) == open => depth += 1,
            _ => {}
        }
    }
    text.len()
}

fn inner(text: &[u8], end: usize, close: u8) -> &[u8] {
    let text = text.get(1..end).unwrap_or_default();
    text.strip_suffix(&[close]).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLACED: Replaced<'static> = Some(("j\u{f6}rg@home.example", "joerg@home.example"));

    fn ascii(value: &str, spare: bool) -> Result<String, Refusal> {
        let field = in_ascii(b"To:", value.as_bytes(), REPLACED, spare)?;
        Ok(String::from_utf8(field)
            .unwrap()
            .replace("\r\n ", " ")
            .trim_end()
            .trim_start_matches("To: ")
            .to_owned())
    }

    /// Catches: a name that is lost, an address that is changed, a list with another number of addresses.
    #[test]
    fn lists_in_ascii() {
        for (value, expected) in [
            ("J\u{f6}rg <a@b.example>", "=?utf-8?Q?J=C3=B6rg?= <a@b.example>"),
            (
                "\"J\u{f6}rg, \\\"der\\\" B\u{e4}r\" <a@b.example>",
                "=?utf-8?Q?J=C3=B6rg=2C_=22der=22_B=C3=A4r?= <a@b.example>",
            ),
            (
                "J\u{f6}rg B\u{e4}r <a@b.example>, c@d.example",
                "=?utf-8?Q?J=C3=B6rg_B=C3=A4r?= <a@b.example>, c@d.example",
            ),
            ("a@b.example (J\u{f6}rg)", "a@b.example (=?utf-8?Q?J=C3=B6rg?=)"),
            ("Ann Other <a@m\u{fc}nchen.example>", "Ann Other <a@xn--mnchen-3ya.example>"),
            ("a@m\u{fc}nchen.example", "a@xn--mnchen-3ya.example"),
            (
                "Me <j\u{f6}rg@home.example>, \u{fc} <x@y>",
                "Me <joerg@home.example>, =?utf-8?Q?=C3=BC?= <x@y>",
            ),
            ("Fr\u{e4}nde: a@b, c@d;", "=?utf-8?Q?Fr=C3=A4nde?=: a@b, c@d;"),
            ("\u{fc}@x.example, a@b", "=?utf-8?Q?=C3=BC=40x=2Eexample?= :;, a@b"),
            ("\u{dc} <\u{fc}@x.example>", "=?utf-8?Q?=C3=9C_=3C=C3=BC=40x=2Eexample=3E?= :;"),
            ("\"\u{fc}\"", "=?utf-8?Q?=C3=BC?= :;"),
            ("<a@b> \u{fc}", "<a@b> (=?utf-8?Q?=C3=BC?=)"),
            ("a@[IPv6:::1], \u{fc} <a@b>", "a@[IPv6:::1], =?utf-8?Q?=C3=BC?= <a@b>"),
            ("(\u{fc}", "(=?utf-8?Q?=C3=BC?=)"),
            ("<\u{fc}", "=?utf-8?Q?=3C=C3=BC=3E?= :;"),
            ("a@b,,\u{fc} <a@b>;", "a@b,, =?utf-8?Q?=C3=BC?= <a@b>;"),
        ] {
            let expected = expected.to_owned();
            assert_eq!(ascii(value, true).as_ref(), Ok(&expected), "{value}");
        }
    }

    /// Catches: a message that is sent without its author.
    #[test]
    fn an_author_without_a_form_in_ascii_is_no_author() {
        assert_eq!(ascii("\u{fc}@home.example", false), Err(Refusal::Address));
        assert_eq!(ascii("A <\u{fc}@home.example>", false), Err(Refusal::Address));
        assert_eq!(ascii("j\u{f6}rg@home.example", false).as_deref(), Ok("joerg@home.example"));
        assert_eq!(ascii("\u{dc} <a@b>", false).as_deref(), Ok("=?utf-8?Q?=C3=9C?= <a@b>"));
    }
}
