//! JSON in the answers of other servers (RFC 8259): the members of one object. The reader names the members that it
//! needs; all others are skipped, however deep they are.

use miniserde::de::Visitor;
use miniserde::{Deserialize, Result, make_place};
use zeroize::Zeroizing;

/// A string, or a number or boolean in its written form: servers quote numbers, and leave quotes off. It may be a
/// secret, so it cannot be printed, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Loose(Zeroizing<String>);

impl Loose {
    /// The value as text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The value as a whole number; a fraction is cut off. `None` if it is not a number.
    pub fn number(&self) -> Option<u64> {
        let whole = self.0.trim().split('.').next().unwrap_or_default();
        whole.parse().ok()
    }
}

make_place!(Place);

impl Place<Loose> {
    fn take(&mut self, text: &str) -> Result<()> {
        self.out = Some(Loose(Zeroizing::new(text.to_owned())));
        Ok(())
    }
}

impl Visitor for Place<Loose> {
    fn boolean(&mut self, value: bool) -> Result<()> {
        self.take(if value { "true" } else { "false" })
    }
    fn string(&mut self, text: &str) -> Result<()> {
        self.take(text)
    }
    fn negative(&mut self, number: i64) -> Result<()> {
        self.take(&number.to_string())
    }
    fn nonnegative(&mut self, number: u64) -> Result<()> {
        self.take(&number.to_string())
    }
    fn float(&mut self, number: f64) -> Result<()> {
        self.take(&number.to_string())
    }
}

impl Deserialize for Loose {
    fn begin(out: &mut Option<Self>) -> &mut dyn Visitor {
        Place::new(out)
    }
}

/// Parses `octets`, which must be one object; `None` if they are not, or its members have other types.
pub fn read<T: Deserialize>(octets: &[u8]) -> Option<T> {
    miniserde::json::from_str(std::str::from_utf8(octets).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Answer {
        token: Option<Loose>,
        seconds: Option<Loose>,
    }

    fn answer(text: &str) -> Option<(Option<String>, Option<u64>)> {
        let answer: Answer = read(text.as_bytes())?;
        Some((answer.token.map(|it| it.text().to_owned()), answer.seconds.and_then(|it| it.number())))
    }

    /// Catches: a number in quotes or with a fraction, or an unknown member, that makes an answer invalid.
    #[test]
    fn members_are_read_as_servers_write_them() {
        for (text, token, seconds) in [
            (r#"{"token":"a","seconds":3600}"#, Some("a"), Some(3600)),
            (r#" {"x":[{"y":null}],"token":"a\/b\u00e4","seconds":"3600"}"#, Some("a/bä"), Some(3600)),
            (r#"{"seconds":3599.5}"#, None, Some(3599)),
            (r#"{"token":null,"seconds":-1}"#, None, None),
            (r#"{"token":true,"seconds":"soon"}"#, Some("true"), None),
            ("{}", None, None),
        ] {
            assert_eq!(answer(text), Some((token.map(str::to_owned), seconds)), "{text}");
        }
    }

    /// Catches: deeply nested brackets that exhaust the stack, and half an answer that is taken for a whole one.
    #[test]
    fn what_is_no_object_is_none() {
        let deep = format!("{{\"token\":\"a\",\"x\":{}", "[".repeat(60_000));
        let closed = format!("{deep}{}}}", "]".repeat(60_000));
        for text in [
            "",
            "[]",
            "null",
            r#"{"token":"a""#,
            r#"{"token":["a"]}"#,
            r#"{"token":"a"} {}"#,
            "<html>",
            &deep,
        ] {
            assert_eq!(answer(text), None, "{}", text.len());
        }
        assert_eq!(answer(&closed), Some((Some("a".to_owned()), None)));
        assert!(read::<Answer>(b"{\"token\":\"\xff\"}").is_none());
    }
}
