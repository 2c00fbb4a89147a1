//! A form with a file (RFC 7578), as browsers write it: its fields, and the place where its file begins, which comes last.

use zeroize::Zeroizing;

/// The most octets before the file.
pub const LONGEST: usize = 8 << 10;

/// The part of a form before the content of its file.
#[derive(Debug, PartialEq, Eq)]
pub struct Begin {
    /// Names and values of the fields before the file. A value may be a password.
    pub fields: Vec<(String, Zeroizing<String>)>,
    /// The index of the first octet of the file's content.
    pub file: usize,
}

/// The boundary that a `Content-Type` names (RFC 2046 section 5.1.1).
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value.trim())
    })?;
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    (1..=70).contains(&value.len()).then_some(value)
}

/// The octets that follow the content of the file, which is the last part.
pub fn end(boundary: &str) -> Vec<u8> {
    format!("\r\n--{boundary}--\r\n").into_bytes()
}

/// Reads a form up to its file. `None` while it is not complete, `Err` where it is not a form or has no file.
pub fn begin(boundary: &str, octets: &[u8]) -> Option<Result<Begin, ()>> {
    let delimiter = format!("--{boundary}");
    let mut fields = Vec::new();
    let mut at = delimiter.len();
    if octets.len() < at {
        return None;
    }
    if !octets.starts_with(delimiter.as_bytes()) {
        return Some(Err(()));
    }
    loop {
        // A delimiter is followed by the end of its line, or by the end of the form.
        let line = octets.get(at..at + 2)?;
        if line != b"\r\n" {
            return Some(Err(()));
        }
        at += 2;
        let head = find(octets, at, b"\r\n\r\n")?;
        let Some((name, is_file)) = octets.get(at..head).and_then(disposition) else { return Some(Err(())) };
        at = head + 4;
        if is_file {
            return Some(Ok(Begin { fields, file: at }));
        }
        let end = find(octets, at, format!("\r\n{delimiter}").as_bytes())?;
        let value = octets.get(at..end).and_then(|value| std::str::from_utf8(value).ok());
        let Some(value) = value else { return Some(Err(())) };
        fields.push((name, Zeroizing::new(value.to_owned())));
        at = end + 2 + delimiter.len();
    }
}

fn find(octets: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    let rest = octets.get(from..)?;
    rest.windows(what.len()).position(|window| window == what).map(|position| from + position)
}

/// The name of a part, and whether it is a file (RFC 7578 section 4.2).
fn disposition(head: &[u8]) -> Option<(String, bool)> {
    let head = std::str::from_utf8(head).ok()?;
    let fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut dispositions = fields.filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"));
    let (_, value) = dispositions.next()?;
    let mut parameters = value.split(';').map(str::trim);
    if !parameters.next()?.eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut name, mut is_file) = (None, false);
    for (key, value) in parameters.filter_map(|parameter| parameter.split_once('=')) {
        match key.trim() {
            "name" => name = Some(value.trim().trim_matches('"').to_owned()),
            // The client's name of the file does not matter.
            "filename" | "filename*" => is_file = true,
            _ => {}
        }
    }
    Some((name?, is_file))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORM: &[u8] = b"--x-1\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nabc\r\n--x-1\r\n\
        content-disposition: form-data; name=password\r\n\r\n\xc3\xa4\r\n--x\r\n--x-1\r\nContent-Disposition: form-data; \
        name=\"file\"; filename=\"a;b.pbu\"\r\nContent-Type: application/octet-stream\r\n\r\nTHE FILE\r\n--x-1--\r\n";

    /// Catches: a file that loses its first octet, and a field that swallows the next one.
    #[test]
    fn the_fields_are_read_up_to_the_file() {
        let read = begin("x-1", FORM).unwrap().unwrap();
        let fields: Vec<_> =
            read.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(fields, [("token", "abc"), ("password", "ä\r\n--x")]);
        assert!(FORM[read.file..].starts_with(b"THE FILE"));
        assert_eq!(FORM[read.file + "THE FILE".len()..], end("x-1"));
        // Wherever the form is cut before the file, it is not complete.
        for len in 0..FORM.len() {
            let expected = (len >= read.file).then_some(Ok(read.file));
            assert_eq!(begin("x-1", &FORM[..len]).map(|it| it.map(|it| it.file)), expected, "{len}");
        }
        for (octets, boundary) in [
            (&b"--y\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--y--\r\n"[..], "y"),
            (b"--x\r\nContent-Disposition: attachment; name=a\r\n\r\n", "x"),
            (b"--x\r\nContent-Type: text/plain\r\n\r\n", "x"),
            (b"--x\r\nContent-Disposition: form-data; filename=a\r\n\r\n", "x"),
            (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\xff\r\n--x\r\n", "x"),
            (b"hello\r\n", "x"),
            (b"--x--\r\n", "x"),
        ] {
            assert_eq!(begin(boundary, octets), Some(Err(())), "{}", octets.escape_ascii());
        }
    }

    #[test]
    fn the_boundary_is_named_by_the_type() {
        for (field, expected) in [
            ("multipart/form-data; boundary=----WebKitFormBoundaryAa0", Some("----WebKitFormBoundaryAa0")),
            ("Multipart/Form-Data;charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/mixed; boundary=x", None),
        ] {
            assert_eq!(boundary(field), expected, "{field}");
        }
        assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "x".repeat(71))), None);
    }

    proptest! {
        /// Catches: a panic, or a file that begins after the end of the octets.
        #[test]
        fn nothing_that_is_sent_does_harm(octets in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..FORM.len()) {
            let octets = [&FORM[..cut], &octets].concat();
            if let Some(Ok(begin)) = begin("x-1", &octets) {
                prop_assert!(begin.file <= octets.len());
            }
        }
    }
}
