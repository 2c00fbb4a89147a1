//! Values with parameters, as in Content-Type and Content-Disposition (RFC 2045 section 5.1, RFC 2183), and the
//! extended parameters of RFC 2231.

use memchr::memchr;

use super::charset::{self, Charset};
use super::encoded_word::decode;

/// Parameters of one field that are kept; more occur only in attacks.
const MAX_PARAMETERS: usize = 64;

/// A field with parameters: `value; name=value; …`
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Parameterized {
    /// The value before the parameters, without blanks and comments.
    pub value: Vec<u8>,
    /// Names and values of the parameters as they are in the field, without quotes.
    pub parameters: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Parameterized {
    /// Parses an unfolded field. Any text gives a result.
    pub fn parse(text: &[u8]) -> Parameterized {
        let mut text = Text { rest: text, comments_end: true };
        let value = text.until(b";", Word::Value);
        let mut parameters = Vec::new();
        while (text.skip(b';') || text.begins_parameter()) && parameters.len() < MAX_PARAMETERS {
            let name = text.until(b"=;", Word::Name);
            if text.skip(b'=') {
                let is_file_name = name.to_ascii_lowercase().ends_with(b"name");
                let value = text.until(b";", if is_file_name { Word::FileName } else { Word::Parameter });
                if !name.is_empty() {
                    parameters.push((name, value));
                }
            }
        }
        Parameterized { value, parameters }
    }

    /// The first word of the value. In a Content-Transfer-Encoding nothing after a blank or a comma has a meaning.
    pub fn first_word(&self) -> &[u8] {
        self.value.split(|b| b.is_ascii_whitespace() || *b == b',').next().unwrap_or_default()
    }

    /// Type and subtype of a Content-Type; `None` unless there are both. Text after a blank or a comma does not
    /// belong to them: there should be a semicolon.
    pub fn media_type(&self) -> Option<(&[u8], &[u8])> {
        let slash = self.value.iter().position(|&b| b == b'/')?;
        let (kind, subtype) =
            (self.value.get(..slash)?.trim_ascii(), self.value.get(slash + 1..)?.trim_ascii());
        let subtype = subtype.split(|b| b.is_ascii_whitespace() || *b == b',').next()?;
        (!kind.is_empty() && !subtype.is_empty()).then_some((kind, subtype))
    }

    /// The octets of the parameter `name`. In the forms of RFC 2231, continuations are joined and percent encoding is
    /// undone.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        let plain = self.parameters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        if let Some((_, value)) = plain {
            return Some(value.clone());
        }
        self.extended(name).map(|(_, value)| value)
    }

    /// The texts of the parameter `name`. Many programs send it twice: once for programs that do not know RFC 2231,
    /// and once in that form.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let plain = self.parameters.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        let mut texts: Vec<String> = plain.map(|(_, value)| decode(value)).collect();
        match self.extended(name) {
            Some((Some(charset), value)) => {
                let mut text = String::new();
                charset::decode(charset, &value, &mut text);
                texts.push(text);
            }
            Some((None, value)) => texts.push(decode(&value)),
            None => (),
        }
        texts
    }

    /// All parameters as RFC 2231 defines them: continuations are joined, and a value with a character set becomes
    /// UTF-8, with an asterisk after its name (RFC 9051 section 7.5.2).
    pub fn decoded(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut whole: Vec<String> = Vec::new();
        for (name, value) in &self.parameters {
            let text = std::str::from_utf8(name).unwrap_or_default();
            let base = text.split_once('*').map_or("", |(base, _)| base);
            if !base.is_empty() && whole.iter().any(|known| known.eq_ignore_ascii_case(base)) {
                continue;
            }
            let extended = if base.is_empty() { None } else { self.extended(base) };
            all.push(match extended {
                Some((Some(charset), value)) => {
                    let mut text = String::new();
                    charset::decode(charset, &value, &mut text);
                    (format!("{base}*").into_bytes(), text.into_bytes())
                }
                Some((None, value)) => (base.as_bytes().to_vec(), value),
                None => {
                    all.push((name.clone(), value.clone()));
                    continue;
                }
            });
            whole.push(base.to_owned());
        }
        all
    }

    /// All parameters with their continuations joined, as IMAP4rev1 has them (RFC 2231 section 6). When a part of one is
    /// encoded, all of it becomes encoded.
    pub fn joined(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all = Vec::new();
        let mut whole: Vec<&[u8]> = Vec::new();
        for (name, value) in &self.parameters {
            let star = name.iter().position(|&b| b == b'*').unwrap_or(name.len());
            let (base, rest) = name.split_at_checked(star).unwrap_or_default();
            if base.is_empty() || rest.len() < 2 {
                all.push((name.clone(), value.clone()));
                continue;
            }
            if whole.iter().any(|known| known.eq_ignore_ascii_case(base)) {
                continue;
            }
            match self.continued(base) {
                Some(joined) => {
                    all.push(joined);
                    whole.push(base);
                }
                None => all.push((name.clone(), value.clone())),
            }
        }
        all
    }

    /// The name and the value of the parameter whose continuations have this name.
    fn continued(&self, base: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let name = std::str::from_utf8(base).ok()?;
        let first = if self.section(name, Some(0)).is_some() { 0 } else { 1 };
        let sections = (first..MAX_PARAMETERS).map_while(|number| self.section(name, Some(number)));
        let sections: Vec<(bool, &[u8])> = sections.collect();
        let (begins_encoded, _) = *sections.first()?;
        let is_encoded = sections.iter().any(|&(encoded, _)| encoded);
        let mut value = Vec::new();
        if is_encoded && !begins_encoded {
            value.extend(b"''"); // no character set and no language
        }
        for (encoded, text) in sections {
            if encoded || !is_encoded {
                value.extend(text);
            } else {
                percent_encode(text, &mut value);
            }
        }
        let star = is_encoded.then_some(b'*');
        Some((base.iter().copied().chain(star).collect(), value))
    }

    /// The parameter `name` in the forms of RFC 2231, and the character set that it names.
    fn extended(&self, name: &str) -> Option<(Option<Charset>, Vec<u8>)> {
        let mut charset = None;
        // `name*`, or `name*0`, `name*1` and so on, each with another `*` when it is encoded.
        let mut whole: Option<Vec<u8>> = None;
        for section in [None].into_iter().chain((0..MAX_PARAMETERS).map(Some)) {
            let Some((encoded, value)) = self.section(name, section) else {
                // Some programs count from 1.
                if section > Some(0) {
                    break;
                }
                continue;
            };
            let first = whole.is_none();
            let whole = whole.get_or_insert_default();
            if !encoded {
                whole.extend(value);
                continue;
            }
            let mut parts = value.splitn(if first { 3 } else { 1 }, |&b| b == b'\'');
            let text = match (parts.next(), parts.next(), parts.next()) {
                (Some(name), Some(_), Some(text)) => {
                    charset = Some(Charset::named(name));
                    text
                }
                (_, Some(text), None) => text,
                _ => value,
            };
            percent_decode(text, whole);
            if section.is_none() {
                break;
            }
        }
        whole.map(|whole| (charset, whole))
    }

    /// A section of a parameter, or the whole of it for `None`, and whether it is encoded.
    fn section(&self, name: &str, section: Option<usize>) -> Option<(bool, &[u8])> {
        self.parameters.iter().find_map(|(n, value)| {
            let value = value.as_slice();
            let (head, rest) = n.split_at_checked(name.len())?;
            let rest = rest.strip_prefix(b"*").filter(|_| head.eq_ignore_ascii_case(name.as_bytes()))?;
            let Some(number) = section else { return rest.is_empty().then_some((true, value)) };
            let digits = rest.strip_suffix(b"*").unwrap_or(rest);
            // Some programs write leading zeros.
            let said = std::str::from_utf8(digits).ok()?.parse::<usize>().ok()?;
            (said == number).then_some((digits.len() < rest.len(), value))
        })
    }
}

fn percent_encode(text: &[u8], out: &mut Vec<u8>) {
    for &b in text {
        if b.is_ascii_alphanumeric() || b"-._".contains(&b) {
            out.push(b);
        } else {
            out.extend(format!("%{b:02X}").bytes());
        }
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

/// Octets of a parameter's name at most, and of parentheses in a file name.
const MAX_NAME: usize = 40;

/// The kinds of words that [`Text::until`] reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    /// The value before the parameters.
    Value,
    /// The name of a parameter.
    Name,
    /// The value of a parameter.
    Parameter,
    /// The value of a parameter that may contain blanks and anything else, quoted or not.
    FileName,
}

/// The rest of a field that is being parsed.
struct Text<'a> {
    rest: &'a [u8],
    /// Whether all comments so far were closed. Otherwise each further one would be another walk through the field.
    comments_end: bool,
}

impl Text<'_> {
    fn skip(&mut self, expected: u8) -> bool {
        let rest = self.rest.strip_prefix(&[expected]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn next(&mut self) -> Option<u8> {
        let (&b, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(b)
    }

    /// Whether `name=` comes next, so that a semicolon is missing before it.
    fn begins_parameter(&self) -> bool {
        let is_name = |b: &&u8| b.is_ascii_alphanumeric() || b"-_*".contains(b);
        let name = self.rest.iter().take(MAX_NAME).take_while(is_name).count();
        let behind = self.rest.get(name..).unwrap_or_default();
        let behind = behind.get(..behind.len().min(MAX_NAME)).unwrap_or_default().trim_ascii_start();
        name > 0 && behind.first() == Some(&b'=')
    }

    /// The text before one of `ends`, without quotes, comments and blanks around it. A comment begins only after a
    /// blank, since file names contain parentheses, quoted or not; for the same reason it is none when more of a file
    /// name follows. A parameter without a semicolon before it also ends the text when it cannot be part of it.
    fn until(&mut self, ends: &[u8], kind: Word) -> Vec<u8> {
        let mut word = Vec::new();
        let mut quoted_to = 0; // blanks up to this length are part of the text
        let mut blank = true;
        let mut quoted = false; // a quoted string came last, except for blanks
        while let Some(&b) = self.rest.first().filter(|b| !ends.contains(b)) {
            let may_end = match kind {
                Word::Value => blank,
                Word::Name => false,
                Word::Parameter => quoted || (blank && !word.is_empty()),
                Word::FileName => quoted,
            };
            if may_end && self.begins_parameter() {
                break;
            }
            self.rest = self.rest.get(1..).unwrap_or_default();
            let unquoted = !quoted;
            quoted = b == b'"' || (quoted && matches!(b, b' ' | b'\t'));
            match b {
                b'"' => {
                    self.quoted(&mut word);
                    quoted_to = word.len();
                }
                b'(' if kind == Word::FileName && unquoted && !word.is_empty() && self.is_in_name() => {
                    word.push(b);
                }
                b'(' if blank || kind == Word::Value => self.comment(),
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

    /// Whether the parenthesis that was opened belongs to a file name: it is closed soon, and something but blanks
    /// and further parentheses follows.
    fn is_in_name(&self) -> bool {
        let mut behind = self.rest.get(..self.rest.len().min(MAX_NAME)).unwrap_or_default();
        while let Some(end) = memchr(b')', behind) {
            behind = behind.get(end + 1..).unwrap_or_default().trim_ascii_start();
            match behind.first() {
                None | Some(b';') => return false,
                Some(b'(') => (),
                Some(_) => return true,
            }
        }
        false
    }

    /// Skips a comment. Of one that is not closed, only the first character is skipped.
    fn comment(&mut self) {
        let begin = self.rest;
        let mut depth = 1usize;
        while let Some(b) = self.next().filter(|_| self.comments_end) {
            match b {
                b'(' => depth += 1,
                b')' if depth == 1 => return,
                b')' => depth -= 1,
                b'\\' => drop(self.next()),
                _ => (),
            }
        }
        self.comments_end = false;
        self.rest = begin;
    }
}

#[cfg(test)]
mod tests;
