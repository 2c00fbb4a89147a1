//! Rewrites a header field with octets above 127 in ASCII: with encoded words (RFC 2047), parameters of RFC 2231, and
//! domains as A-labels. A field that cannot be expressed in these ways becomes a `Downgraded-` field (RFC 6857
//! section 3.1.10).

use super::Refusal;
use super::addresses;
use super::words::{Folded, is_encoded};

/// An address, and the one that replaces it when the first would need SMTPUTF8.
pub type Replaced<'a> = Option<(&'a str, &'a str)>;

/// Octets from which on a word is encoded although it is ASCII: its line could not be broken otherwise.
const LONG_WORD: usize = 900;

/// Octets of a parameter's value in one section (RFC 2231 section 3) before they are encoded.
const SECTION: usize = 20;

/// What a field contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Addresses.
    Addresses,
    /// Addresses without which the message would have no author.
    Authors,
    /// A value and parameters.
    Parameters,
    /// Message identifiers and similar values, which cannot be expressed in ASCII.
    Identifiers,
    /// What servers have added on the way, including signatures, and dates: not text for people.
    Trace,
    /// Text.
    Unstructured,
}

impl Kind {
    fn of(name: &[u8]) -> Kind {
        let name = name.to_ascii_lowercase();
        match name.as_slice() {
            b"from" | b"sender" | b"resent-from" | b"resent-sender" => Kind::Authors,
            b"to"
            | b"cc"
            | b"bcc"
            | b"reply-to"
            | b"resent-to"
            | b"resent-cc"
            | b"resent-bcc"
            | b"resent-reply-to"
            | b"disposition-notification-to"
            | b"return-receipt-to"
            | b"errors-to"
            | b"mail-followup-to"
            | b"mail-reply-to" => Kind::Addresses,
            b"content-type" | b"content-disposition" => Kind::Parameters,
            b"message-id" | b"resent-message-id" | b"in-reply-to" | b"references" | b"content-id" => {
                Kind::Identifiers
            }
            b""
            | b"received"
            | b"return-path"
            | b"mime-version"
            | b"content-transfer-encoding"
            | b"date"
            | b"resent-date"
            | b"dkim-signature"
            | b"domainkey-signature"
            | b"authentication-results"
            | b"received-spf" => Kind::Trace,
            name if name.starts_with(b"arc-") => Kind::Trace,
            _ => Kind::Unstructured,
        }
    }
}

/// The field with the octets `raw`, including line ends, in ASCII.
///
/// # Errors
/// The field cannot be expressed in ASCII, and the message would be a different one without it.
pub fn in_ascii(name: &[u8], raw: &[u8], replaced: Replaced<'_>) -> Result<Vec<u8>, Refusal> {
    if raw.is_ascii() {
        return Ok(raw.to_vec());
    }
    let colon = memchr::memchr(b':', raw).map_or(0, |at| at + 1);
    let (head, value) = raw.split_at_checked(colon).unwrap_or((raw, b""));
    let kind = if name.is_ascii() { Kind::of(name) } else { Kind::Trace };
    if kind == Kind::Trace {
        return Ok(masked(raw));
    }
    let value: Vec<u8> = value.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
    let value = value.trim_ascii();
    match kind {
        Kind::Addresses => addresses::in_ascii(head, value, replaced, true),
        Kind::Authors => addresses::in_ascii(head, value, replaced, false),
        Kind::Parameters => parameters(head, value),
        Kind::Identifiers => Ok(text(&[b"Downgraded-", name, b":"].concat(), value)),
        Kind::Unstructured | Kind::Trace => Ok(text(head, value)),
    }
}

/// The octets with a question mark for each octet above 127.
pub fn masked(octets: &[u8]) -> Vec<u8> {
    octets.iter().map(|&octet| if octet.is_ascii() { octet } else { b'?' }).collect()
}

/// The words of a text, each with the blanks before it.
fn words(value: &[u8]) -> Vec<(&[u8], &[u8])> {
    let blank = |octet: &u8| matches!(octet, b' ' | b'\t');
    let (mut rest, mut words) = (value, Vec::new());
    while !rest.is_empty() {
        let blanks = rest.iter().take_while(|o| blank(o)).count();
        let length = rest.iter().skip(blanks).take_while(|o| !blank(o)).count();
        let (word, later) = rest.split_at_checked(blanks + length).unwrap_or((rest, b""));
        words.push(word.split_at_checked(blanks).unwrap_or((b"", word)));
        rest = later;
    }
    words
}

/// Rewrites an unstructured field (RFC 5322 section 2.2.1).
fn text(head: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Folded::new(head);
    let words = words(value);
    let needs = |word: &[u8]| !word.is_ascii() || word.len() > LONG_WORD;
    let mut at = 0;
    while let Some(&(blanks, word)) = words.get(at) {
        let blanks = if at == 0 { b" " } else { blanks };
        if !needs(word) {
            out.put(blanks, word);
            at += 1;
            continue;
        }
        // Consecutive words are encoded as one text, including the blanks between them. Blanks between encoded words
        // are ignored (RFC 2047 section 6.2), so blanks next to an existing encoded word become part of the text.
        let run = words.iter().skip(at).take_while(|(_, word)| needs(word)).count();
        let mut run_text = Vec::new();
        if at > 0 && words.get(at - 1).is_some_and(|(_, word)| is_encoded(word)) {
            run_text.extend_from_slice(blanks);
        }
        for (n, (blanks, word)) in words.iter().skip(at).take(run).enumerate() {
            if n > 0 {
                run_text.extend_from_slice(blanks);
            }
            run_text.extend_from_slice(word);
        }
        at += run;
        if let Some((blanks, word)) = words.get(at)
            && is_encoded(word)
        {
            run_text.extend_from_slice(blanks);
        }
        out.put_encoded(blanks, b"", &run_text, b"");
    }
    out.finish()
}

/// Rewrites a field with parameters (RFC 2045 section 5.1). Those with octets above 127 get the form of RFC 2231.
fn parameters(head: &[u8], value: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut out = Folded::new(head);
    for (at, part) in between_semicolons(value).into_iter().enumerate() {
        let part = part.trim_ascii();
        let separator: &[u8] = if at == 0 { b"" } else { b";" };
        if at > 0 {
            out.put(b"", separator);
        }
        if part.is_ascii() {
            if !part.is_empty() {
                out.put(b" ", part);
            }
            continue;
        }
        let name = part.split(|&octet| octet == b'=').next().unwrap_or_default().trim_ascii();
        let is_parameter = at > 0 && !name.is_empty() && name.is_ascii() && name.len() < part.len();
        if !is_parameter {
            out.put(b" ", &masked(part));
            continue;
        }
        if name.eq_ignore_ascii_case(b"boundary") {
            return Err(Refusal::Malformed);
        }
        let value = memchr::memchr(b'=', part).and_then(|at| part.get(at + 1..)).unwrap_or_default();
        extended(name, value.trim_ascii(), &mut out);
    }
    Ok(out.finish())
}

/// Writes a parameter in the form of RFC 2231 sections 3 and 4.
fn extended(name: &[u8], value: &[u8], out: &mut Folded) {
    if name.ends_with(b"*") {
        // It has this form already; only octets above 127 are still to be encoded.
        out.put(b" ", &[name, b"=", &percent(value, |octet| octet.is_ascii())].concat());
        return;
    }
    let value = unquoted(value);
    let charset: &[u8] = if std::str::from_utf8(&value).is_ok() { b"utf-8''" } else { b"unknown-8bit''" };
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~".contains(&octet);
    let star = memchr::memchr(b'*', name);
    if star.is_some() || value.len() <= SECTION {
        // A section of its own is either the first one, or a later section of a value.
        let charset = if star.is_none() || name.ends_with(b"*0") { charset } else { b"" };
        out.put(b" ", &[name, b"*=", charset, &percent(&value, plain)].concat());
        return;
    }
    let mut rest = value.as_slice();
    let mut section = 0;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(SECTION));
        let charset = if section == 0 { charset } else { b"" };
        let number = section.to_string();
        let text = percent(now, plain);
        out.put(b" ", &[name, b"*", number.as_bytes(), b"*=", charset, &text].concat());
        if !later.is_empty() {
            out.put(b"", b";");
        }
        rest = later;
        section += 1;
    }
}

fn percent(value: &[u8], plain: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for &octet in value {
        if plain(octet) { out.push(octet) } else { out.extend_from_slice(format!("%{octet:02X}").as_bytes()) }
    }
    out
}

/// The content of a quoted string (RFC 5322 section 3.2.4); any other value as it is.
pub fn unquoted(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value.strip_prefix(b"\"") else { return value.to_vec() };
    let mut out = Vec::with_capacity(inner.len());
    let mut octets = inner.iter();
    while let Some(&octet) = octets.next() {
        match octet {
            b'"' => break,
            b'\\' => out.extend(octets.next()),
            _ => out.push(octet),
        }
    }
    out
}

/// The pieces between semicolons, not counting semicolons in quotes.
fn between_semicolons(value: &[u8]) -> Vec<&[u8]> {
    let (mut pieces, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, &octet) in value.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                pieces.push(value.get(begin..at).unwrap_or_default());
                begin = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(value.get(begin..).unwrap_or_default());
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::super::encoded_word::decode;
    use super::super::super::parameters::Parameterized;
    use super::*;

    fn ascii(field: &str) -> String {
        let name = field.split(':').next().unwrap();
        let raw = format!("{field}\r\n");
        let out =
            in_ascii(name.as_bytes(), raw.as_bytes(), Some(("j\u{f6}rg@home.example", "joerg@home.example")));
        let out = String::from_utf8(out.unwrap()).unwrap();
        assert!(out.is_ascii() && out.ends_with("\r\n"), "{out}");
        assert!(out.lines().all(|line| line.len() <= 998), "{out}");
        out
    }

    /// Catches: a blank that is lost next to an encoded word, ASCII words that are encoded without need, and field
    /// names whose case matters.
    #[test]
    fn fields_in_ascii() {
        for (field, expected) in [
            ("Subject: plain", "Subject: plain\r\n"),
            ("Subject: gr\u{fc}n und blau", "Subject: =?utf-8?Q?gr=C3=BCn?= und blau\r\n"),
            ("Subject: \u{fc} \u{fc}", "Subject: =?utf-8?Q?=C3=BC_=C3=BC?=\r\n"),
            ("SUBJECT:\u{fc}", "SUBJECT: =?utf-8?Q?=C3=BC?=\r\n"),
            ("Subject: =?utf-8?Q?a?= \u{fc}", "Subject: =?utf-8?Q?a?= =?utf-8?Q?_=C3=BC?=\r\n"),
            ("Subject: \u{fc} =?utf-8?Q?a?=", "Subject: =?utf-8?Q?=C3=BC_?= =?utf-8?Q?a?=\r\n"),
            ("Subject: a\r\n \u{fc}\r\n b", "Subject: a =?utf-8?Q?=C3=BC?= b\r\n"),
            ("X-Any: \u{fc}", "X-Any: =?utf-8?Q?=C3=BC?=\r\n"),
            ("Message-ID: <\u{fc}@x>", "Downgraded-Message-ID: =?utf-8?Q?=3C=C3=BC=40x=3E?=\r\n"),
            ("References: <a@b> <\u{fc}@x>", "Downgraded-References: <a@b> =?utf-8?Q?=3C=C3=BC=40x=3E?=\r\n"),
            ("Received: from \u{fc}\r\n by x", "Received: from ??\r\n by x\r\n"),
            ("DKIM-Signature: i=\u{fc}@x", "DKIM-Signature: i=??@x\r\n"),
        ] {
            assert_eq!(ascii(field), expected, "{field}");
        }
        assert_eq!(
            in_ascii(b"Subject", b"Subject: caf\xe9\r\n", None).unwrap(),
            b"Subject: =?unknown-8bit?Q?caf=E9?=\r\n"
        );
        assert_eq!(in_ascii(b"", b"no field \xe9\r\n", None).unwrap(), b"no field ?\r\n");
        assert_eq!(in_ascii(b"X-\xe9", b"X-\xe9: \xe9\r\n", None).unwrap(), b"X-?: ?\r\n");
    }

    /// Catches: a field of a hundred words, or one endless word, that is written in one line.
    #[test]
    fn long_texts_are_folded() {
        let text = "W\u{f6}rter und noch mehr W\u{f6}rter ".repeat(60);
        let field = ascii(&format!("Subject: {text}"));
        assert!(field.lines().all(|line| line.len() <= 76), "{field}");
        let unfolded = field.replace("\r\n", "");
        assert_eq!(decode(unfolded.trim_start_matches("Subject: ").as_bytes()).trim(), text.trim());
        let field = ascii(&format!("Subject: \u{fc} {} end", "x".repeat(5000)));
        assert!(field.lines().all(|line| line.len() <= 76), "{field}");
    }

    /// Catches: the name of a file that is lost, or a value that changes.
    #[test]
    fn parameters_of_rfc_2231() {
        let long = "Stra\u{df}e; \"Nr. 5\" ".repeat(20);
        let quoted = long.replace('"', "\\\"");
        for (field, name, expected) in [
            ("Content-Type: application/pdf; NAME=\"\u{fc} b.pdf\"; x=y", "name", "\u{fc} b.pdf"),
            ("Content-Disposition: attachment;\r\n filename=\u{fc}.pdf", "filename", "\u{fc}.pdf"),
            ("Content-Disposition: attachment; filename*=utf-8''\u{fc}.pdf", "filename", "\u{fc}.pdf"),
            (
                "Content-Disposition: attachment; filename*0=\"a\u{fc}\"; filename*1=\"b\"",
                "filename",
                "a\u{fc}b",
            ),
            (&format!("Content-Disposition: attachment; filename=\"{quoted}\""), "filename", long.as_str()),
        ] {
            let out = ascii(field);
            let value = out.split_once(':').unwrap().1.replace("\r\n", "");
            assert_eq!(Parameterized::parse(value.trim().as_bytes()).texts(name), [expected], "{out}");
            assert!(out.lines().all(|line| line.len() <= 100), "{out}");
        }
        let boundary = "Content-Type: multipart/mixed; boundary=\"\u{fc}\"\r\n";
        assert_eq!(in_ascii(b"Content-Type", boundary.as_bytes(), None), Err(Refusal::Malformed));
    }
}
