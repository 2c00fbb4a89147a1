//! Does a message contain a text? Without regard to case, in whatever charset and encoding it was sent
//! (RFC 3501 section 6.4.4); attachments that are no text are passed over, their names are not.
//!
//! A search goes in steps of a window, so that a caller can let others run in between.

use std::io;
use std::ops::Range;

use super::address::Addresses;
use super::boundary::Boundaries;
use super::charset::{Charset, Decoder};
use super::encoded_word::decode;
pub use super::fold::Needle;
use super::fold::{fold, fold_ascii};
use super::header::{Fields, MAX_HEADER, MAX_VALUE};
use super::mime::{Media, Part, Scanner, Structure};
use super::parameters::Parameterized;
use super::references::References;
use super::transfer::TransferDecoder;
use super::window::{LOOKAHEAD, Window};
use crate::flash::ReadAt;

/// Whether a field `name` of the header block at `header` contains the text of `needle`.
///
/// # Errors
/// What the source says.
pub fn in_field(source: &dyn ReadAt, header: Range<u64>, name: &str, needle: &Needle) -> io::Result<bool> {
    let mut window = Window::new(source, header);
    let outer = Boundaries::default();
    let mut fields = Fields::new(&mut window, &outer, MAX_VALUE);
    let wanted = |field: &[u8]| field.eq_ignore_ascii_case(name.as_bytes());
    while fields.next(wanted)?.is_some() {
        if wanted(fields.name()) && needle.is_in(&decode(fields.value())) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a field `name` of the header block at `header` has the text of `needle` in its addresses as ENVELOPE takes
/// them apart: names decoded, comments and quotes gone (RFC 3501 section 6.4.4: FROM, TO, CC, BCC). An address is written
/// `name <mailbox@host>`, a list with `, ` in between.
///
/// # Errors
/// What the source says.
pub fn in_addresses(
    source: &dyn ReadAt,
    header: Range<u64>,
    name: &str,
    needle: &Needle,
) -> io::Result<bool> {
    let mut window = Window::new(source, header);
    let outer = Boundaries::default();
    // The whole list, as ENVELOPE: an address that is cut is another one.
    let limit = usize::try_from(MAX_HEADER).unwrap_or(usize::MAX);
    let mut fields = Fields::new(&mut window, &outer, limit);
    let wanted = |field: &[u8]| field.eq_ignore_ascii_case(name.as_bytes());
    while fields.next(wanted)?.is_some() {
        if !wanted(fields.name()) {
            continue;
        }
        // Who copies an address from a header has the quotes of names, too.
        let found = needle.is_in(&list(fields.value(), false))
            || (needle.has_quotes() && needle.is_in(&list(fields.value(), true)));
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The text of an address list, its names in quotes or not.
fn list(field: &[u8], quoted: bool) -> String {
    let mut text = String::new();
    for address in Addresses::new(field) {
        let Some(host) = address.host else {
            // A group begins, or ends.
            match address.mailbox {
                Some(name) => text.extend([&decode(&name), ": "]),
                None => text.push_str("; "),
            }
            continue;
        };
        let mut spec = decode(&address.mailbox.unwrap_or_default());
        if !host.is_empty() {
            spec.extend(["@", &decode(&host)]);
        }
        match address.name {
            Some(name) if quoted => text.extend(["\"", &decode(&name), "\" <", &spec, ">"]),
            Some(name) => text.extend([&decode(&name), " <", &spec, ">"]),
            None => text.push_str(&spec),
        }
        text.push_str(", ");
    }
    text
}

/// Where [`Search`] looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// SEARCH BODY: all but the message's own header.
    Body,
    /// SEARCH TEXT: everything.
    Text,
}

/// Looks for a text in a whole message, step by step.
pub struct Search<'a> {
    message: &'a dyn ReadAt,
    needle: &'a Needle,
    scope: Scope,
    stage: Stage<'a>,
    passed: u64,
}

enum Stage<'a> {
    Structure(Box<Scanner<'a>>),
    /// In front of the part at this place.
    Part(Structure, usize),
    Content(Structure, usize, Box<Content<'a>>),
    Done,
}

impl<'a> Search<'a> {
    /// Begins to look for `needle` in `message`.
    pub fn new(message: &'a dyn ReadAt, needle: &'a Needle, scope: Scope) -> Search<'a> {
        let stage = Stage::Structure(Box::new(Scanner::new(message)));
        Search { message, needle, scope, stage, passed: 0 }
    }

    /// Octets that were looked at.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Looks into about one window more, or a header where that is longer; `None`: not decided yet.
    ///
    /// # Errors
    /// What the source says.
    pub fn step(&mut self) -> io::Result<Option<bool>> {
        let mut found = false;
        self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Structure(mut scanner) => {
                let before = scanner.passed();
                let more = scanner.step()?;
                self.passed += scanner.passed() - before;
                if more { Stage::Structure(scanner) } else { Stage::Part(scanner.finish(), 0) }
            }
            Stage::Part(structure, at) => match structure.parts().get(at) {
                None => return Ok(Some(false)),
                Some(part) => {
                    let shown: Option<Shown> = match (at, self.scope) {
                        (0, Scope::Body) => None,
                        (0, Scope::Text) => Some(whole_field),
                        _ => Some(field_of_part),
                    };
                    self.passed += part.header().end - part.header().start;
                    let mut described = Described::default();
                    found = described.read(self.message, part, self.needle, shown)?;
                    if described.is_text(part) {
                        let content = Content::new(self.message, part.content(), &described);
                        Stage::Content(structure, at, Box::new(content))
                    } else {
                        Stage::Part(structure, at + 1)
                    }
                }
            },
            Stage::Content(structure, at, mut content) => {
                let before = content.window.position();
                let step = content.step(self.needle)?;
                // A long text is compared with the end of the last window anew.
                self.passed += content.window.position() - before + self.needle.overlap() as u64;
                match step {
                    Some(false) => {
                        let behind = structure.behind(at);
                        Stage::Part(structure, behind)
                    }
                    step => {
                        found = step.is_some();
                        Stage::Content(structure, at, content)
                    }
                }
            }
            Stage::Done => return Ok(Some(false)),
        };
        Ok(found.then_some(true))
    }
}

/// The text of a header field that a search looks into.
type Shown = fn(name: &[u8], value: &[u8]) -> String;

fn whole_field(name: &[u8], value: &[u8]) -> String {
    let mut text = format!("{}: {}", String::from_utf8_lossy(name), decode(value));
    if let Some(parameter) = file_name(name) {
        for name in Parameterized::parse(value).texts(parameter) {
            text.extend(["\n", &name]);
        }
    }
    text
}

/// The parameter of the field `name` that is a file's name.
fn file_name(field: &[u8]) -> Option<&'static str> {
    let is = |name: &str| field.eq_ignore_ascii_case(name.as_bytes());
    if is("Content-Type") { Some("name") } else { is("Content-Disposition").then_some("filename") }
}

/// Of MIME fields, a reader sees the names of attachments: a search for "html" shall not find every
/// message that has a part of that type.
fn field_of_part(name: &[u8], value: &[u8]) -> String {
    if let Some(parameter) = file_name(name) {
        return Parameterized::parse(value).texts(parameter).join("\n");
    }
    if name.eq_ignore_ascii_case(b"Content-Description") {
        return decode(value);
    }
    let is_mime = name.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case(b"Content-"));
    if is_mime { String::new() } else { whole_field(name, value) }
}

/// What a part's header says of its content.
#[derive(Default)]
struct Described {
    content_type: Parameterized,
    encoding: Vec<u8>,
}

impl Described {
    /// Reads the header of `part`, and looks for `needle` in what is `shown` of it.
    fn read(
        &mut self,
        message: &dyn ReadAt,
        part: &Part,
        needle: &Needle,
        shown: Option<Shown>,
    ) -> io::Result<bool> {
        let mut window = Window::new(message, part.header());
        let outer = Boundaries::default();
        let mut fields = Fields::new(&mut window, &outer, MAX_VALUE);
        let is = |name: &[u8], other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let kind = "Content-Type";
        let encoding = "Content-Transfer-Encoding";
        let mut found = false;
        while fields.next(|name| shown.is_some() || is(name, kind) || is(name, encoding))?.is_some() {
            if is(fields.name(), kind) {
                self.content_type = Parameterized::parse(fields.value());
            } else if is(fields.name(), encoding) {
                self.encoding = Parameterized::parse(fields.value()).first_word().to_vec();
            }
            found |= shown.is_some_and(|shown| needle.is_in(&shown(fields.name(), fields.value())));
        }
        Ok(found)
    }

    /// Text, or a report, which is `message/…` and written to be read, or what is text by another name. Also a message in an
    /// encoding, which RFC 2046 forbids and mail programs open: its parts are not known, but it is not passed over.
    fn is_text(&self, part: &Part) -> bool {
        let (kind, subtype) = self.content_type.media_type().unwrap_or((b"text", b"plain"));
        match part.media {
            Media::Text => true,
            Media::Other => {
                let subtype = subtype.to_ascii_lowercase();
                let is_text = ["json", "xml", "ics"].iter().any(|end| subtype.ends_with(end.as_bytes()));
                kind.eq_ignore_ascii_case(b"message")
                    || (kind.eq_ignore_ascii_case(b"application") && is_text)
            }
            Media::Message => !matches!(TransferDecoder::new(&self.encoding), TransferDecoder::Identity),
            Media::Multipart | Media::Opaque => false,
        }
    }
}

/// Looks for a text in the content of a part.
struct Content<'a> {
    window: Window<'a>,
    transfer: TransferDecoder,
    charset: Decoder,
    /// Of HTML.
    references: Option<References>,
    octets: Vec<u8>,
    text: String,
    /// The text without its references.
    shown: String,
    /// The text without its case, and before it what the last piece ended with.
    folded: Vec<u8>,
}

impl<'a> Content<'a> {
    fn new(message: &'a dyn ReadAt, content: Range<u64>, described: &Described) -> Content<'a> {
        let charset = Charset::named(&described.content_type.get("charset").unwrap_or_default());
        let is_html = described.content_type.media_type().is_some_and(|(_, subtype)| {
            subtype.eq_ignore_ascii_case(b"html") || subtype.eq_ignore_ascii_case(b"xhtml+xml")
        });
        Content {
            window: Window::new(message, content),
            transfer: TransferDecoder::new(&described.encoding),
            charset: Decoder::new(charset),
            references: is_html.then(References::default),
            octets: Vec::new(),
            text: String::new(),
            shown: String::new(),
            folded: Vec::new(),
        }
    }

    /// Looks into one window more; `None`: not there yet.
    fn step(&mut self, needle: &Needle) -> io::Result<Option<bool>> {
        let piece = self.window.fill(LOOKAHEAD)?;
        let (n, last) = (piece.len(), piece.is_empty());
        self.folded.drain(..self.folded.len().saturating_sub(needle.overlap()));
        let new = self.folded.len();
        let octets = match &mut self.transfer {
            TransferDecoder::Identity => piece,
            decoder => {
                self.octets.clear();
                decoder.decode(piece, &mut self.octets);
                &self.octets
            }
        };
        let references = self.references.as_mut();
        let references = references.filter(|known| needle.may_be_references() && known.are_in(octets));
        // Most text is ASCII, in a charset that has it as it is: nothing to convert.
        if references.is_none() && self.charset.is_ascii(octets) {
            fold_ascii(octets, &mut self.folded);
        } else {
            self.text.clear();
            self.charset.decode(octets, last, &mut self.text);
            let mut text = &self.text;
            if let Some(references) = references {
                self.shown.clear();
                references.undo(&self.text, last, &mut self.shown);
                text = &self.shown;
            }
            fold(text, &mut self.folded);
        }
        self.window.advance(n);
        let found = needle.is_in_folded(&mut self.folded, new);
        Ok((found || last).then_some(found))
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::WINDOW;
    use super::*;

    fn found(message: &[u8], text: &str, scope: Scope) -> bool {
        let needle = Needle::new(text);
        let mut search = Search::new(&message, &needle, scope);
        loop {
            if let Some(found) = search.step().unwrap() {
                return found;
            }
        }
    }

    const MESSAGE: &str = "\
Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= aus
  Wien
Content-Type: multipart/mixed; boundary=b

preamble
--b
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Caf=E9 und Sa=
hne
--b
Content-Type: text/plain; charset=koi8-r
Content-Transfer-Encoding: base64

8NLJ18XU
--b
Content-Type: message/rfc822

Subject: inner
Content-Type: text/html

<b>bold</b>
--b
Content-Type: application/octet-stream; name=\"report.pdf\"
Content-Transfer-Encoding: base64

aGlkZGVu
--b
Content-Type: message/delivery-status

Action: failed
--b--
";

    #[test]
    fn text_is_found_as_a_reader_sees_it() {
        for (text, in_body, in_text) in [
            ("CAF\u{c9} UND SAHNE", true, true),
            ("\u{43f}\u{420}\u{418}\u{432}\u{435}\u{442}", true, true),
            ("gr\u{fc}\u{df}e aus  wien", false, true),
            ("GR\u{dc}SSE", false, true),
            ("subject: inner", true, true),
            ("BOLD", true, true),
            ("report.pdf", true, true),
            ("text/html", false, false),
            ("multipart", false, true),
            ("action: FAILED", true, true),
            ("hidden", false, false),
            ("aGlkZGVu", false, false),
            ("preamble", false, false),
            ("", true, true),
        ] {
            assert_eq!(found(MESSAGE.as_bytes(), text, Scope::Body), in_body, "{text} in the body");
            assert_eq!(found(MESSAGE.as_bytes(), text, Scope::Text), in_text, "{text} in all of it");
        }
    }

    #[test]
    fn a_text_is_found_across_windows() {
        for padding in (WINDOW - 20..WINDOW + 20).chain(2 * WINDOW - 20..2 * WINDOW + 20) {
            let message = format!("\n{}\u{fc}ber den Rand", " ".repeat(padding));
            assert!(found(message.as_bytes(), "\u{dc}BER DEN RAND", Scope::Body));
            assert!(!found(message.as_bytes(), "\u{fc}ber den rand ", Scope::Body));
            let message = format!("\n{}\u{fc}ber\r\n \r\n den \t Rand", "x".repeat(padding));
            assert!(found(message.as_bytes(), "x\u{fc}ber den rand", Scope::Body), "{padding}");
            assert!(!found(message.as_bytes(), "\u{fc}berden", Scope::Body));
        }
    }

    #[test]
    fn a_field_is_found_by_name_and_content() {
        let header = 0..MESSAGE.find("preamble").unwrap() as u64;
        let has = |name: &str, text: &str| {
            in_field(&MESSAGE.as_bytes(), header.clone(), name, &Needle::new(text)).unwrap()
        };
        assert!(has("SUBJECT", "gr\u{fc}\u{df}e"));
        assert!(has("Content-type", ""), "an empty text: there is such a field");
        assert!(!has("Cc", "") && !has("Subject", "inner"));
    }

    /// Catches: a charset, an encoding or a kind of text that is passed over, though a reader sees it.
    #[test]
    fn what_a_reader_sees_is_found() {
        for (message, text) in [
            (&b"Content-Type: text/html\n\n<p>Gr&uuml;&szlig;e&nbsp;aus &lt;Wien&gt;</p>"[..], "gr\u{fc}\u{df}e aus <wien>"),
            (b"Content-Type: text/plain; charset=cp850\n\nGr\x81\xe1e", "gr\u{fc}\u{df}e"),
            (b"Content-Type: text/plain; charset=utf-7\n\nGr+APwA3w-e", "gr\u{fc}\u{df}e"),
            (b"Content-Type: text/plain; charset=utf-7\n\nplain", "plain"),
            (b"\nGr\xfc\xdfe", "gr\u{fc}\u{df}e"),
            (b"Content-Type: text/plain charset=koi8-r\nContent-Transfer-Encoding: base64(c)\n\n8NLJ18XU", "\u{41f}\u{440}\u{438}"),
            (b"Content-Transfer-Encoding: quoted-printable\n\nfoo= \t\r\nbar", "foobar"),
            (b"Content-Type: application/json\n\n{\"k\":\"v\"}", "{\"k\""),
            (b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogaGlkZGVuCg==", "hidden"),
        ] {
            assert!(found(message, text, Scope::Body), "{}", String::from_utf8_lossy(message));
        }
        let name = b"Content-Disposition: attachment; filename*=koi8-r''%F0%D2\n\n";
        assert!(found(name, "\u{41f}\u{440}", Scope::Text) && !found(name, "\u{41f}\u{440}", Scope::Body));
        let part = [b"Content-Type: multipart/mixed; boundary=b\n\n--b\n", &name[..]].concat();
        assert!(found(&part, "\u{41f}\u{440}", Scope::Body));
    }

    /// Catches: a comment, quotes or a fold within an address that keep it from being found, and a comment that is found.
    #[test]
    fn addresses_are_found_as_envelope_has_them() {
        let header = "From: ann(home)@home.test (Ann \\(B.\\))\r\n\
                      To: \"Doe, =?utf-8?Q?J=C3=BC?=\"\r\n <j . doe@(x)e.org>, Friends: bob@e;\r\nTo: Carl carl@e (c)\r\n\
                      Cc:\r\n\r\n";
        let has = |name: &str, text: &str| {
            in_addresses(&header.as_bytes(), 0..u64::MAX, name, &Needle::new(text)).unwrap()
        };
        for (name, text) in [
            ("FROM", "ANN@home.test"),
            ("From", "Ann (B.) <ann@home.test>"),
            ("To", "doe, j\u{fc} <j.doe@e.org>"),
            ("To", "\"Doe, J\u{fc}\" <j.doe@e.org>, "),
            ("To", "friends: bob@e"),
            ("to", "Carl <carl@e>"),
            ("Cc", ""),
        ] {
            assert!(has(name, text), "{name} {text}");
        }
        for (name, text) in [("From", "home)"), ("To", "(c)"), ("To", "utf-8"), ("To", "ann"), ("Bcc", "")] {
            assert!(!has(name, text), "{name} {text}");
        }
    }

    #[test]
    fn unlabelled_and_mislabelled_text() {
        assert!(found("\ncaf\u{e9}".as_bytes(), "CAF\u{c9}", Scope::Body));
        assert!(found(
            "Content-Type: text/plain; charset=us-ascii\n\ncaf\u{e9}".as_bytes(),
            "caf\u{e9}",
            Scope::Body
        ));
        assert!(found(
            b"Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$BF|K\\\x1b(B",
            "\u{65e5}\u{672c}",
            Scope::Body
        ));
        assert!(found(b"Content-Type: text/plain; charset=no-such\n\nplain", "PLAIN", Scope::Body));
    }
}
