//! Kinds of values: each reads a TOML value, prints it again, and knows in words what would be right.
//!
//! A kind judges a value by itself. What can only be judged beside other settings is for [`super::check`].

use std::fmt::Display;
use std::marker::PhantomData;
use std::ops::Range;

use toml::de::DeValue;

use super::Text;
use super::grammar::Grammar;

/// Why a value does not fit: `what` tells what is wrong and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The words for the operator.
    pub what: String,
    /// The place in the text of the list element that does not fit, where the value is a list.
    pub span: Option<Range<usize>>,
}

impl Wrong {
    pub(super) fn new(what: String) -> Wrong {
        Wrong { what, span: None }
    }

    /// The usual error: `value` does not have the form of `K`.
    pub(super) fn form<K: Kind>(value: &DeValue<'_>) -> Wrong {
        let shown = if K::SECRET { "this".to_owned() } else { shown(value) };
        // `port = "465"` does not look as if it were no port.
        let fits_bare = |text: &str| DeValue::parse(text).is_ok_and(|bare| K::read(bare.get_ref()).is_ok());
        match value {
            DeValue::String(text) if !K::LIST && fits_bare(text) => {
                Wrong::new(format!("{shown} is a text: write it without quotes"))
            }
            _ => Wrong::new(format!("{shown} is not {}", K::form())),
        }
    }
}

/// A kind of values: how they are read and printed.
pub trait Kind {
    /// The type of the values in the configuration.
    type Value;
    /// Whether a value must not be shown unasked.
    const SECRET: bool = false;
    /// Whether it is a list.
    const LIST: bool = false;
    /// What would be right, with an article: `a port from 1 to 65535`.
    fn form() -> String;
    /// The words to choose from; empty where other values are possible.
    fn words() -> Vec<&'static str> {
        Vec::new()
    }
    /// Reads a value.
    ///
    /// # Errors
    /// The value does not fit.
    fn read(value: &DeValue<'_>) -> Result<Self::Value, Wrong>;
    /// Reads a value into `place`. A value that does not fit leaves `place` as it is.
    ///
    /// # Errors
    /// The value does not fit.
    fn assign(place: &mut Self::Value, value: &DeValue<'_>) -> Result<(), Wrong> {
        *place = Self::read(value)?;
        Ok(())
    }
    /// Writes a value as TOML, on one line. [`Kind::read`] reads it back as the same value.
    fn print(value: &Self::Value) -> String;
}

/// A value as an error shows it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => shown_text(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(on) => on.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The beginning of a text, quoted.
pub(super) fn shown_text(text: &str) -> String {
    const ENOUGH: usize = 60;
    match text.char_indices().nth(ENOUGH) {
        Some((end, _)) => quoted(text.get(..end).unwrap_or_default()) + "…",
        None => quoted(text),
    }
}

/// A name out of a file, as an error shows it: in quotes where it could be anything, such as an order to the terminal.
pub(super) fn shown_name(name: &str) -> String {
    let is_bare = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    match !name.is_empty() && name.len() <= 60 && name.bytes().all(is_bare) {
        true => name.to_owned(),
        false => shown_text(name),
    }
}

/// A TOML basic string (TOML 1.0 section "String").
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `true` or `false`.
pub struct Switch;

impl Kind for Switch {
    type Value = bool;
    fn form() -> String {
        "true or false".to_owned()
    }
    fn words() -> Vec<&'static str> {
        vec!["true", "false"]
    }
    fn read(value: &DeValue<'_>) -> Result<bool, Wrong> {
        value.as_bool().ok_or_else(|| Wrong::form::<Self>(value))
    }
    fn print(value: &bool) -> String {
        value.to_string()
    }
}

fn integer<K: Kind>(value: &DeValue<'_>, range: Range<u64>) -> Result<u64, Wrong> {
    value
        .as_integer()
        .and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok())
        .filter(|n| range.contains(n))
        .ok_or_else(|| Wrong::form::<K>(value))
}

/// A TCP port of another server.
pub struct Port;

impl Kind for Port {
    type Value = u16;
    fn form() -> String {
        "a port from 1 to 65535".to_owned()
    }
    fn read(value: &DeValue<'_>) -> Result<u16, Wrong> {
        let port = integer::<Self>(value, 1..1 << 16)?;
        u16::try_from(port).map_err(|_| Wrong::form::<Self>(value))
    }
    fn print(value: &u16) -> String {
        value.to_string()
    }
}

/// A number from `LEAST` to `MOST`.
pub struct Count<const LEAST: u32, const MOST: u32>;

impl<const LEAST: u32, const MOST: u32> Kind for Count<LEAST, MOST> {
    type Value = u32;
    fn form() -> String {
        format!("a number from {LEAST} to {MOST}")
    }
    fn read(value: &DeValue<'_>) -> Result<u32, Wrong> {
        let number = integer::<Self>(value, u64::from(LEAST)..u64::from(MOST) + 1)?;
        u32::try_from(number).map_err(|_| Wrong::form::<Self>(value))
    }
    fn print(value: &u32) -> String {
        value.to_string()
    }
}

/// A text of the grammar `G` of at most `N` octets.
pub struct Words<G, const N: usize>(PhantomData<G>);

impl<G: Grammar, const N: usize> Kind for Words<G, N> {
    type Value = Text<N>;
    fn form() -> String {
        G::form()
    }
    fn read(value: &DeValue<'_>) -> Result<Text<N>, Wrong> {
        let text = value.as_str().ok_or_else(|| Wrong::form::<Self>(value))?;
        if text.len() > N {
            return Err(too_long::<N>(&shown(value)));
        }
        if !G::accepts(text) {
            return Err(Wrong::form::<Self>(value));
        }
        Text::try_from(&*G::normal(text)).map_err(|_| too_long::<N>(&shown(value)))
    }
    fn print(value: &Text<N>) -> String {
        quoted(value)
    }
}

pub(super) fn too_long<const N: usize>(what: &str) -> Wrong {
    Wrong::new(format!("{what} is too long: at most {N} octets fit"))
}

/// One of the words of `T`.
pub struct Choice<T>(PhantomData<T>);

/// A type whose values have words in the text form.
pub trait Choices: Copy + PartialEq + 'static {
    /// Every value and its word.
    const NAMES: &'static [(&'static str, Self)];
}

impl<T: Choices> Kind for Choice<T> {
    type Value = T;
    fn form() -> String {
        let words: Vec<_> = T::NAMES.iter().map(|(word, _)| quoted(word)).collect();
        match words.split_last() {
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
            None => String::new(),
        }
    }
    fn words() -> Vec<&'static str> {
        T::NAMES.iter().map(|(word, _)| *word).collect()
    }
    fn read(value: &DeValue<'_>) -> Result<T, Wrong> {
        let found = T::NAMES.iter().find(|(word, _)| value.as_str() == Some(word));
        found.map(|(_, value)| *value).ok_or_else(|| Wrong::form::<Self>(value))
    }
    fn print(value: &T) -> String {
        let found = T::NAMES.iter().find(|(_, named)| named == value);
        quoted(found.map_or("", |(word, _)| word))
    }
}

/// A type that has a text form of its own and needs only a description.
pub trait TextForm: Display + Sized {
    /// What is right, with an article: see [`Kind::form`].
    const FORM: &'static str;
    /// Reads the text form; `None` where `text` does not have it.
    fn parse(text: &str) -> Option<Self>;
}

/// A [`TextForm`] in quotes.
pub struct Quoted<T>(PhantomData<T>);

impl<T: TextForm> Kind for Quoted<T> {
    type Value = T;
    fn form() -> String {
        T::FORM.to_owned()
    }
    fn read(value: &DeValue<'_>) -> Result<T, Wrong> {
        value.as_str().and_then(T::parse).ok_or_else(|| Wrong::form::<Self>(value))
    }
    fn print(value: &T) -> String {
        quoted(&value.to_string())
    }
}

/// A list of `LEAST` to `MOST` values.
pub struct List<K, const LEAST: usize, const MOST: usize>(PhantomData<K>);

impl<K: Kind, const LEAST: usize, const MOST: usize> Kind for List<K, LEAST, MOST> {
    type Value = Vec<K::Value>;
    const LIST: bool = true;
    fn form() -> String {
        format!("a list in brackets, each {}", K::form())
    }
    fn words() -> Vec<&'static str> {
        K::words()
    }
    fn read(value: &DeValue<'_>) -> Result<Vec<K::Value>, Wrong> {
        let list = value.as_array().ok_or_else(|| Wrong::form::<Self>(value))?;
        if !(LEAST..=MOST).contains(&list.len()) {
            return Err(Wrong::new(format!(
                "a list of {} does not fit: it takes {LEAST} to {MOST} values",
                list.len()
            )));
        }
        let read = |element: &toml::Spanned<DeValue<'_>>| {
            K::read(element.get_ref()).map_err(|wrong| Wrong { span: Some(element.span()), ..wrong })
        };
        list.iter().map(read).collect()
    }
    fn print(value: &Vec<K::Value>) -> String {
        let elements: Vec<_> = value.iter().map(K::print).collect();
        format!("[{}]", elements.join(", "))
    }
}

/// A list of 1 to `MOST` values. A single value may stand without brackets, and is printed without them.
pub struct OneOrMore<K, const MOST: usize>(PhantomData<K>);

impl<K: Kind, const MOST: usize> Kind for OneOrMore<K, MOST> {
    type Value = Vec<K::Value>;
    const LIST: bool = MOST > 1;
    fn form() -> String {
        if MOST > 1 { format!("{}, or a list of such in brackets", K::form()) } else { K::form() }
    }
    fn read(value: &DeValue<'_>) -> Result<Vec<K::Value>, Wrong> {
        match value.as_array() {
            Some(_) if MOST > 1 => List::<K, 1, MOST>::read(value),
            _ => K::read(value).map(|one| vec![one]).map_err(|wrong| match value.as_str() {
                Some(_) => wrong,
                None => Wrong::form::<Self>(value),
            }),
        }
    }
    fn print(value: &Vec<K::Value>) -> String {
        match value.as_slice() {
            [one] => K::print(one),
            _ => List::<K, 1, MOST>::print(value),
        }
    }
}
