//! Values with parameters, as Content-Type and Content-Disposition have them (RFC 2045 section 5.1,
//! RFC 2183), and the longer parameters of RFC 2231.

/// Parameters of one field that are kept; more are only seen in attacks.
const MAX_PARAMETERS: usize = 64;

/// `value; name=value; …`
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Parameterized {
    /// What stands before the parameters, without blanks and comments.
    pub value: Vec<u8>,
    /// Names and values as they stand there, without their quotes.
    pub parameters: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Parameterized {
    /// Reads an unfolded field; makes sense of whatever comes.
    pub fn parse(text: &[u8]) -> Parameterized {
        let mut text = Text(text);
        let value = text.until(b";");
        let mut parameters = Vec::new();
        while text.skip(b';') && parameters.len() < MAX_PARAMETERS {
            let name = text.until(b"=;");
            if text.skip(b'=') {
                let value = text.until(b";");
                if !name.is_empty() {
                    parameters.push((name, value));
                }
            }
        }
        Parameterized { value, parameters }
    }

    /// Type and subtype of a Content-Type; `None` where there are not both. What follows a blank is
    /// neither: a semicolon is missing there.
    pub fn media_type(&self) -> Option<(&[u8], &[u8])> {
        let slash = self.value.iter().position(|&b| b == b'/')?;
        let (kind, subtype) =
            (self.value.get(..slash)?.trim_ascii(), self.value.get(slash + 1..)?.trim_ascii());
        let subtype = subtype.split(u8::is_ascii_whitespace).next()?;
        (!kind.is_empty() && !subtype.is_empty()).then_some((kind, subtype))
    }

    /// The octets of the parameter `name`; in RFC 2231's ways of writing, its continuations put
    /// together and its percent encoding undone.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        let plain = self.parameters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        if let Some((_, value)) = plain {
            return Some(value.clone());
        }
        // `name*`, or `name*0`, `name*1` and so on, each with another `*` where it is encoded.
        let mut whole: Option<Vec<u8>> = None;
        for section in [None].into_iter().chain((0..MAX_PARAMETERS).map(Some)) {
            let Some((encoded, value)) = self.section(name, section) else {
                if section.is_some() {
                    break;
                }
                continue;
            };
            let whole = whole.get_or_insert_default();
            if !encoded {
                whole.extend(value);
                continue;
            }
            let first = section.unwrap_or(0) == 0;
            let text = if first { value.splitn(3, |&b| b == b'\'').last().unwrap_or(value) } else { value };
            percent_decode(text, whole);
            if section.is_none() {
                break;
            }
        }
        whole
    }

    /// A section of a parameter, or the only one, and whether it is encoded.
    fn section(&self, name: &str, section: Option<usize>) -> Option<(bool, &[u8])> {
        self.parameters.iter().find_map(|(n, value)| {
            let value = value.as_slice();
            let (head, rest) = n.split_at_checked(name.len())?;
            let rest = rest.strip_prefix(b"*").filter(|_| head.eq_ignore_ascii_case(name.as_bytes()))?;
            let Some(number) = section else { return rest.is_empty().then_some((true, value)) };
            let digits = rest.strip_suffix(b"*").unwrap_or(rest);
            (digits == number.to_string().as_bytes()).then_some((digits.len() < rest.len(), value))
        })
    }
}

fn percent_decode(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((&b, after)) = rest.split_first() {
        let hex = |at: usize| after.get(at).and_then(|&b| char::from(b).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (b, hex(0), hex(1)) {
            out.push((high * 16 + low) as u8);
            rest = after.get(2..).unwrap_or_default();
        } else {
            out.push(b);
            rest = after;
        }
    }
}

/// The rest of a field.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn skip(&mut self, expected: u8) -> bool {
        let rest = self.0.strip_prefix(&[expected]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn next(&mut self) -> Option<u8> {
        let (&b, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(b)
    }

    /// What stands before one of `ends`, without quotes, comments and blanks around it. A comment
    /// begins after a blank: file names hold parentheses, quoted or not.
    fn until(&mut self, ends: &[u8]) -> Vec<u8> {
        let mut word = Vec::new();
        let mut quoted_to = 0; // blanks up to there were meant
        let mut blank = true;
        while let Some(&b) = self.0.first().filter(|b| !ends.contains(b)) {
            self.0 = self.0.get(1..).unwrap_or_default();
            match b {
                b'"' => {
                    self.quoted(&mut word);
                    quoted_to = word.len();
                }
                b'(' if blank => self.comment(),
                b' ' | b'\t' if word.is_empty() => (),
                _ => word.push(b),
            }
            blank = matches!(b, b' ' | b'\t');
        }
        while word.len() > quoted_to && word.last().is_some_and(u8::is_ascii_whitespace) {
            word.pop();
        }
        word
    }

    fn quoted(&mut self, word: &mut Vec<u8>) {
        while let Some(b) = self.next() {
            match b {
                b'"' => return,
                b'\\' => word.extend(self.next()),
                _ => word.push(b),
            }
        }
    }

    fn comment(&mut self) {
        let mut depth = 1usize;
        while let Some(b) = self.next() {
            match b {
                b'(' => depth += 1,
                b')' if depth == 1 => return,
                b')' => depth -= 1,
                b'\\' => drop(self.next()),
                _ => (),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        let p = Parameterized::parse(text.as_bytes());
        let pairs = p
            .parameters
            .iter()
            .map(|(n, v)| format!("|{}={}", String::from_utf8_lossy(n), String::from_utf8_lossy(v)));
        String::from_utf8_lossy(&p.value).into_owned() + &pairs.collect::<String>()
    }

    #[test]
    fn values_as_they_come() {
        for (text, expected) in [
            ("text/plain; charset=us-ascii (Plain text)", "text/plain|charset=us-ascii"),
            ("(c(c)) text/plain (c) ;charset=\"utf-8\"", "text/plain|charset=utf-8"),
            (r#"multipart/mixed; boundary="a;\"b\" ""#, r#"multipart/mixed|boundary=a;"b" "#),
            ("attachment; filename=my file(1).pdf; size=3", "attachment|filename=my file(1).pdf|size=3"),
            ("a/b; x; =y; ; z=\"open", "a/b|z=open"),
            ("a/b; x=\"\"", "a/b|x="),
            (";;;", ""),
            ("", ""),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn parameters_in_pieces_and_encoded() {
        for (text, expected) in [
            ("x; FileName=a", Some("a")),
            ("x; filename*=utf-8'en'%C3%BC%2c%", Some("\u{fc},%")),
            ("x; filename*1=b; filename*0=a", Some("ab")),
            ("x; filename*0*=utf-8''%C3; filename*1*=%BC'; filename*2=%41", Some("\u{fc}'%41")),
            ("x; filename*=no%20charset", Some("no charset")),
            ("x; filename*1=b", None),
            ("x; filenames=a", None),
        ] {
            let value = Parameterized::parse(text.as_bytes()).get("filename");
            assert_eq!(value.map(|v| String::from_utf8(v).unwrap()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn media_types() {
        let subtype = |text: &str| {
            let subtype = Parameterized::parse(text.as_bytes()).media_type()?.1.to_vec();
            String::from_utf8(subtype).ok()
        };
        for text in ["text/plain", "text / plain", "text/plain charset=x"] {
            assert_eq!(subtype(text).as_deref(), Some("plain"), "{text}");
        }
        for text in ["text", "text/", "/plain", ""] {
            assert_eq!(subtype(text), None, "{text}");
        }
    }
}
