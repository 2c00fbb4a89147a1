//! Message identifiers in Message-ID, References and In-Reply-To (RFC 5322 section 3.6.4), as threads are made of them.

/// The identifiers of an unfolded field, without their angle brackets. Two are the same when their octets are: quotes, which
/// are not needed, are undone, and comments and blanks left out (RFC 5256 section 3). What is no identifier is passed over.
pub fn message_ids(field: &[u8]) -> impl Iterator<Item = Vec<u8>> {
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

/// What stands up to the `>`, if it is an identifier, and what is behind it. Where another `<` comes first, that begins one.
fn identifier(text: &[u8]) -> (Option<Vec<u8>>, &[u8]) {
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
    let at_sign = id.iter().rposition(|&b| b == b'@');
    let is_one = at_sign.is_some_and(|at| at > 0 && at + 1 < id.len());
    (is_one.then_some(id), text.get(at..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: an identifier that is another one because of its quotes, and words around it that are taken for one.
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
                message_ids(field.as_bytes()).map(|id| String::from_utf8(id).unwrap()).collect();
            assert_eq!(found, expected, "{field}");
        }
    }
}
