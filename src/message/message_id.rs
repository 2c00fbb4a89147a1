//! Message identifiers in Message-ID, References and In-Reply-To (RFC 5322 section 3.6.4), from which threads are
//! made.

use std::borrow::Cow;

/// The identifiers of an unfolded field, without their angle brackets. Two identifiers are the same when their octets
/// are: unnecessary quotes are removed, and comments and blanks left out (RFC 5256 section 3). Anything else in the
/// field is skipped.
pub fn message_ids(field: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let mut rest = field;
    std::iter::from_fn(move || {
        while let Some(at) = memchr::memchr(b'<', rest) {
            let inner = rest.get(at + 1..).unwrap_or_default();
            let (id, behind) = identifier(inner);
            rest = behind;
            if id.is_some() {
                return id;
            }
        }
        None
    })
}

/// The text up to the `>`, if it is an identifier, and the rest after it. When another `<` comes first, an
/// identifier begins there.
fn identifier(text: &[u8]) -> (Option<Cow<'_, [u8]>>, &[u8]) {
    // Nearly all identifiers need no change.
    let end = text.iter().position(|b| matches!(b, b'>' | b'<' | b'\\' | b'"' | b'(' | b' ' | b'\t'));
    if let Some((id, [b'>', behind @ ..])) = end.and_then(|end| text.split_at_checked(end)) {
        return (is_identifier(id).then_some(id.into()), behind);
    }
    let (id, behind) = unquoted(text);
    (id.filter(|id| is_identifier(id)).map(Cow::from), behind)
}

/// The text up to the `>` without quotes, comments and blanks; `None` when another `<` comes first.
fn unquoted(text: &[u8]) -> (Option<Vec<u8>>, &[u8]) {
    let (mut id, mut at, mut quoted, mut depth) = (Vec::new(), 0, false, 0_usize);
    while let Some(&b) = text.get(at) {
        at += 1;
        match b {
            b'\\' if quoted || depth > 0 => {
                id.extend(text.get(at).filter(|_| depth == 0));
                at += 1;
            }
            b'"' if depth == 0 => quoted = !quoted,
            _ if quoted => id.push(b),
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            _ if depth > 0 => (),
            b'>' => break,
            b'<' => return (None, text.get(at - 1..).unwrap_or_default()),
            b' ' | b'\t' => (),
            b => id.push(b),
        }
    }
    (Some(id), text.get(at..).unwrap_or_default())
}

/// Whether there is something on both sides of an `@`.
fn is_identifier(id: &[u8]) -> bool {
    memchr::memrchr(b'@', id).is_some_and(|at| at > 0 && at + 1 < id.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Catches: an identifier that differs because of its quotes, and words around it that are taken for one.
    #[test]
    fn identifiers_of_a_field() {
        for (field, expected) in [
            ("<a@b>", &["a@b"][..]),
            ("<a@b><c@d> and < e@f", &["a@b", "c@d", "e@f"]),
            (
                r#"Your message of today, <"01KF8JCEOCBS0045PS"@xxx.yyy.com>"#,
                &["01KF8JCEOCBS0045PS@xxx.yyy.com"],
            ),
            (r#"<"a \"b"@c> < a . b@ (comment) c >"#, &[r#"a "b@c"#, "a.b@c"]),
            ("<A@b> <a@b>", &["A@b", "a@b"]),
            ("ann@home.test <> <a> <@b> <a@>", &[]),
            ("", &[]),
        ] {
            let found: Vec<String> =
                message_ids(field.as_bytes()).map(|id| String::from_utf8(id.into()).unwrap()).collect();
            assert_eq!(found, expected, "{field}");
        }
    }

    proptest! {
        /// Catches: an identifier for which the fast path returns something else.
        #[test]
        fn an_identifier_has_a_short_way(text in "[ab@<>\"\\\\() \t]{0,12}") {
            let (id, behind) = unquoted(text.as_bytes());
            let id = id.filter(|id| is_identifier(id)).map(Cow::from);
            prop_assert_eq!(identifier(text.as_bytes()), (id, behind));
        }
    }
}
