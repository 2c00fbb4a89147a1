//! The content of a form: `application/x-www-form-urlencoded`, as browsers write it (WHATWG URL, section 5).

use zeroize::Zeroizing;

/// The most octets of a form.
pub const LONGEST: usize = 64 << 10;
/// The most fields of a form.
const FIELDS: usize = 400;

/// The fields of a form, in their order. A value may be a password, so all values are wiped.
#[derive(Default)]
pub struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    /// Parses a form; `None` where it has more fields than any form here, or is not UTF-8.
    pub fn parse(octets: &[u8]) -> Option<Form> {
        let mut fields = Vec::new();
        for pair in octets.split(|&octet| octet == b'&').filter(|pair| !pair.is_empty()) {
            if fields.len() == FIELDS {
                return None;
            }
            let end = pair.iter().position(|&octet| octet == b'=');
            let (name, value) = match end {
                Some(end) => (pair.get(..end)?, pair.get(end + 1..)?),
                None => (pair, &b""[..]),
            };
            let name = String::clone(&*decoded(name)?);
            fields.push((name, decoded(value)?));
        }
        Some(Form(fields))
    }

    /// A form of these names and values.
    pub fn of(fields: Vec<(String, Zeroizing<String>)>) -> Form {
        Form(fields)
    }

    /// The value of the first field called `name`; `None` where there is none, as for a box that is not ticked.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The value of the first field called `name`, without blanks around it; empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default().trim()
    }

    /// Whether there is a field called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The names and values of all fields.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn decoded(octets: &[u8]) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(Vec::with_capacity(octets.len()));
    let mut rest = octets.iter().copied();
    while let Some(octet) = rest.next() {
        text.push(match octet {
            b'+' => b' ',
            b'%' => {
                let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|it| u8::try_from(it).ok());
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                high << 4 | low
            }
            octet => octet,
        });
    }
    let text = std::str::from_utf8(&text).ok()?;
    Some(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: blanks and signs that come out otherwise than they were typed, half an escape that is accepted, and an
    /// unlimited number of fields.
    #[test]
    fn what_was_typed_comes_out() {
        let form = Form::parse(b"a=1&b=%C3%A4+%2B%26%3d&c&&a=2&d==x").unwrap();
        let seen = [form.get("a"), form.get("b"), form.get("c"), form.get("d"), form.get("e")];
        assert_eq!(seen, [Some("1"), Some("ä +&="), Some(""), Some("=x"), None]);
        assert_eq!(form.fields().count(), 5);
        for bad in ["a=%", "a=%4", "a=%4x", "a=%ff", "%80=a"] {
            assert!(Form::parse(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(Form::parse("a&".repeat(FIELDS).as_bytes()).is_some());
        assert!(Form::parse("a&".repeat(FIELDS + 1).as_bytes()).is_none());
        assert_eq!(Form::parse(b"").unwrap().fields().count(), 0);
    }
}
