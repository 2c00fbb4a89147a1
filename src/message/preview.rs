//! The beginning of the text that a reader sees of a message (RFC 8970), for lists of messages.

use std::io;

use super::charset::{self, Charset};
use super::header;
use super::mime::{Media, Part, Structure};
use super::parameters::Parameterized;
use super::references::References;
use super::transfer::TransferDecoder;
use crate::flash::ReadAt;

/// Characters of a preview at most (RFC 8970 section 3.2).
const CHARACTERS: usize = 200;
/// Octets of a part that are read: in many parts style sheets come before the text.
const LOOKED_AT: u64 = 64 * 1024;
/// Parts that are examined at most.
const PARTS: usize = 32;

/// Makes the first 200 characters of the text that a reader sees first, in one line: the first plain text, or else
/// the first HTML without its markup; empty when there is neither. It works part by part.
pub struct Preview<'a> {
    message: &'a dyn ReadAt,
    texts: std::vec::IntoIter<&'a Part>,
    html: Option<Text<'a>>,
    passed: u64,
}

/// A part, and its header fields about the content.
struct Text<'a> {
    part: &'a Part,
    content_type: Parameterized,
    encoding: Parameterized,
}

impl<'a> Preview<'a> {
    /// A preview for which nothing was read yet.
    pub fn new(message: &'a dyn ReadAt, structure: &'a Structure) -> Preview<'a> {
        let texts = structure.parts().iter().filter(|part| part.media == Media::Text).take(PARTS);
        Preview { message, texts: texts.collect::<Vec<_>>().into_iter(), html: None, passed: 0 }
    }

    /// Octets that were read so far.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Examines one more part. Returns the preview; `None` when it is not finished.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn step(&mut self) -> io::Result<Option<String>> {
        let Some(part) = self.texts.next() else {
            let Some(html) = self.html.take() else { return Ok(Some(String::new())) };
            let mut shown = String::new();
            References::default().undo(&without_markup(&self.text(&html)?), true, &mut shown);
            return Ok(Some(one_line(&shown)));
        };
        self.passed += part.header().end - part.header().start;
        let names = ["Content-Disposition", "Content-Type", "Content-Transfer-Encoding"];
        let fields = header::values(self.message, part.header(), names)?;
        let [disposition, content_type, encoding] =
            fields.map(|field| Parameterized::parse(&field.unwrap_or_default()));
        if disposition.first_word().eq_ignore_ascii_case(b"attachment") {
            return Ok(None);
        }
        let (_, kind) = content_type.media_type().unwrap_or((b"text", b"plain"));
        let (plain, html) = (kind.eq_ignore_ascii_case(b"plain"), kind.eq_ignore_ascii_case(b"html"));
        let text = Text { part, content_type, encoding };
        if plain {
            return self.text(&text).map(|text| Some(one_line(&text)));
        }
        if html {
            self.html.get_or_insert(text);
        }
        Ok(None)
    }

    /// The beginning of a part's text.
    fn text(&mut self, text: &Text<'_>) -> io::Result<String> {
        let content = text.part.content();
        let mut octets = vec![0; (content.end - content.start).min(LOOKED_AT) as usize];
        self.message.read_exact_at(content.start, &mut octets)?;
        self.passed += octets.len() as u64;
        let (mut decoded, mut decoder) = (Vec::new(), TransferDecoder::new(text.encoding.first_word()));
        decoder.decode(&octets, &mut decoded);
        let charset = Charset::named(&text.content_type.get("charset").unwrap_or_default());
        let mut decoded_text = String::new();
        charset::decode(charset, &decoded, &mut decoded_text);
        Ok(decoded_text)
    }
}

/// HTML without tags and comments, and without the content of elements that show no text.
fn without_markup(html: &str) -> String {
    let (mut text, mut rest) = (String::new(), html);
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        if let Some(comment) = tag.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        if !tag.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
            text.push('<');
            rest = tag;
            continue;
        }
        text.push(' ');
        let Some((name, behind)) = tag.split_once('>') else { return text };
        rest = behind;
        for hidden in ["style", "script", "head", "title"] {
            let is_it = name.get(..hidden.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(hidden));
            let ends = |c: char| c.is_ascii_alphanumeric();
            if is_it && !name.get(hidden.len()..).is_some_and(|more| more.starts_with(ends)) {
                rest = behind_end_of(behind, hidden);
            }
        }
    }
    text + rest
}

/// The text after the end tag of an element.
fn behind_end_of<'a>(html: &'a str, element: &str) -> &'a str {
    let ends = html.match_indices("</").find(|(at, _)| {
        html.get(at + 2..at + 2 + element.len()).is_some_and(|name| name.eq_ignore_ascii_case(element))
    });
    ends.and_then(|(at, _)| html.get(at..)?.split_once('>')).map_or("", |(_, rest)| rest)
}

/// The first characters of a text, with one blank for each run of blanks and line ends, and without invisible
/// characters.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    let mut room = CHARACTERS;
    for word in text.split(char::is_whitespace) {
        let seen = |c: &char| {
            !c.is_control()
                && !matches!(c, '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
        };
        let mut characters = word.chars().filter(seen).peekable();
        if characters.peek().is_none() {
            continue;
        }
        if !line.is_empty() {
            room -= 1;
            if room == 0 {
                break;
            }
            line.push(' ');
        }
        for c in characters {
            line.push(c);
            room -= 1;
            if room == 0 {
                return line;
            }
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(message: &str) -> String {
        let message = message.as_bytes();
        let structure = Structure::of(&message).unwrap();
        let mut preview = Preview::new(&message, &structure);
        loop {
            if let Some(shown) = preview.step().unwrap() {
                return shown;
            }
        }
    }

    #[test]
    fn the_first_text_in_one_line() {
        for (message, expected) in [
            ("Subject: x\r\n\r\nHello,\r\n\r\n  how are  you?\r\n", "Hello, how are you?"),
            ("Content-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ==\r\n", "Grüße"),
            (
                "Content-Type: text/plain; charset=latin1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nna=EFve=\r\n text",
                "naïve text",
            ),
            (
                "Content-Type: text/html\r\n\r\n<!doctype html><HTML><head><title>T</title></head><style type=\"a\">b { c }</style><body>\
                 <!-- <p>no</p> -->a&amp;b<br>1 < 2<p>&uuml;\u{200b}\u{feff}<script>x()</script></p> \u{200c} end",
                "a&b 1 < 2 ü end",
            ),
            (
                "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>html\r\n\
                 --b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nattached\r\n--b\r\n\r\nplain\r\n--b--\r\n",
                "plain",
            ),
            (
                "Content-Type:\r\nContent-Type: text/plain; charset=latin1\r\nContent-Transfer-Encoding:\r\n\
                 Content-Transfer-Encoding: quoted-printable\r\n\r\nna=EFve",
                "naïve",
            ),
            ("Content-Type: image/gif\r\n\r\nGIF", ""),
            ("Content-Type: text/html\r\n\r\n<style>never ends", ""),
            ("Content-Type: text/html\r\n\r\na<b", "a"),
        ] {
            assert_eq!(of(message), expected, "{message}");
        }
    }

    /// Catches: more characters than RFC 8970 allows, and a limit that counts octets.
    #[test]
    fn no_more_than_200_characters() {
        for word in ["ü", "üü ", "\u{200b}"] {
            let shown = of(&format!("Subject: x\r\n\r\n{}", word.repeat(1000)));
            assert!(shown.chars().count() <= 200 && !shown.ends_with(' '), "{shown}");
            assert_eq!(shown.is_empty(), word == "\u{200b}");
        }
        assert_eq!(of(&format!("\r\n{}", "ü".repeat(1000))).chars().count(), 200);
    }
}
