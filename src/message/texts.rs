//! The texts of a message that a search reads, as a user sees them: decoded from any charset, and folded for
//! comparison. Attachments that are not text are skipped, but their names are read.
//!
//! A walk goes in steps of a window. The [`TextVisitor`] that gets the texts says when it has seen enough.

use std::io;
use std::ops::Range;

use super::boundary::Boundaries;
use super::charset::{Charset, Decoder};
use super::collation::collate_ascii;
use super::encoded_word::decode;
use super::fold::fold;
use super::header::{Fields, MAX_VALUE};
use super::mime::{Media, Part, Scanner, Structure};
use super::parameters::Parameterized;
use super::references::References;
use super::transfer::TransferDecoder;
use super::window::{LOOKAHEAD, Window};
use crate::flash::ReadAt;

/// Gets the texts of a message.
pub trait TextVisitor {
    /// Looks at a complete text, of a field or of a name. Returns whether that is enough.
    fn text(&mut self, text: &str) -> bool;
    /// Looks at a piece of a longer text, folded, which is new from the offset `new` on. Before it are the last
    /// octets of the piece before, at most as many as [`TextVisitor::overlap`]. Returns whether that is enough.
    fn piece(&mut self, folded: &mut Vec<u8>, new: usize) -> bool;
    /// Octets of a piece that are given again with the next one.
    fn overlap(&self) -> usize;
    /// Whether references in HTML are to be undone.
    fn undoes_references(&self) -> bool;
    /// Notes that a text has ended. Returns whether it is to be given again. `references` says whether it has
    /// references that were not undone.
    fn ended(&mut self, _references: bool) -> bool {
        false
    }
}

/// Where a search looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// SEARCH BODY: everything but the message's own header.
    Body,
    /// SEARCH TEXT: everything.
    Text,
}

/// A walk through the texts of a message.
pub struct TextWalk<'a> {
    message: &'a dyn ReadAt,
    scope: Scope,
    stage: Stage<'a>,
    passed: u64,
}

enum Stage<'a> {
    Structure(Box<Scanner<'a>>),
    /// Before the part with this index.
    Part(Structure, usize),
    Content(Structure, usize, Described, Box<Content<'a>>),
    Done,
}

impl<'a> TextWalk<'a> {
    /// A walk at the beginning of `message`.
    pub fn new(message: &'a dyn ReadAt, scope: Scope) -> TextWalk<'a> {
        let stage = Stage::Structure(Box::new(Scanner::new(message)));
        TextWalk { message, scope, stage, passed: 0 }
    }

    /// A walk at the beginning of `message`, whose structure is known.
    pub fn over(message: &'a dyn ReadAt, structure: Structure, scope: Scope) -> TextWalk<'a> {
        TextWalk { message, scope, stage: Stage::Part(structure, 0), passed: 0 }
    }

    /// Octets that were read so far.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Gives `look` about one more window, or a header when that is longer. Returns `Some(true)` when that was
    /// enough, `Some(false)` at the end, and `None` when there is more.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn step(&mut self, look: &mut dyn TextVisitor) -> io::Result<Option<bool>> {
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
                    found = described.read(self.message, part, look, shown)?;
                    if described.is_text(part) {
                        let undo = look.undoes_references();
                        let content = Content::new(self.message, part.content(), &described, undo);
                        Stage::Content(structure, at, described, Box::new(content))
                    } else {
                        Stage::Part(structure, at + 1)
                    }
                }
            },
            Stage::Content(structure, at, described, mut content) => {
                let before = content.window.position();
                let step = content.step(look)?;
                // In a long text the end of the last window is compared again.
                self.passed += content.window.position() - before + look.overlap() as u64;
                match (step, structure.parts().get(at)) {
                    (Some(false), Some(part)) if look.ended(content.has_references && !content.undo) => {
                        let undo = look.undoes_references();
                        let content = Content::new(self.message, part.content(), &described, undo);
                        Stage::Content(structure, at, described, Box::new(content))
                    }
                    (Some(false), _) => {
                        let behind = structure.index_after(at);
                        Stage::Part(structure, behind)
                    }
                    (step, _) => {
                        found = step.is_some();
                        Stage::Content(structure, at, described, content)
                    }
                }
            }
            Stage::Done => return Ok(Some(false)),
        };
        Ok(found.then_some(true))
    }
}

/// Returns the text of a header field that a search reads.
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

/// The parameter of the field `name` that contains a file name.
fn file_name(field: &[u8]) -> Option<&'static str> {
    let is = |name: &str| field.eq_ignore_ascii_case(name.as_bytes());
    if is("Content-Type") { Some("name") } else { is("Content-Disposition").then_some("filename") }
}

/// The text of a MIME field: only file names and descriptions, as a reader sees them. A search for "html" must not
/// find every message that has a part of that type.
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

/// A part's header fields about its content.
#[derive(Default)]
struct Described {
    content_type: Parameterized,
    encoding: Vec<u8>,
}

impl Described {
    /// Reads the header of `part`, and gives `look` the text that `shown` returns for its fields.
    fn read(
        &mut self,
        message: &dyn ReadAt,
        part: &Part,
        look: &mut dyn TextVisitor,
        shown: Option<Shown>,
    ) -> io::Result<bool> {
        let mut window = Window::new(message, part.header());
        let outer = Boundaries::default();
        let mut fields = Fields::new(&mut window, &outer, MAX_VALUE);
        let is = |name: &[u8], other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let kind = "Content-Type";
        let encoding = "Content-Transfer-Encoding";
        let (mut found, mut typed) = (false, false);
        while fields.next(|name| shown.is_some() || is(name, kind) || is(name, encoding))?.is_some() {
            // Of several fields the first one counts that is not empty, as for BODYSTRUCTURE.
            if is(fields.name(), kind) && !(typed || fields.value().is_empty()) {
                self.content_type = Parameterized::parse(fields.value());
                typed = true;
            } else if is(fields.name(), encoding) && self.encoding.is_empty() {
                self.encoding = Parameterized::parse(fields.value()).first_word().to_vec();
            }
            found |= shown.is_some_and(|shown| look.text(&shown(fields.name(), fields.value())));
        }
        Ok(found)
    }

    /// Whether the part is text: by its type, or a report, which is `message/…` and written to be read, or text under
    /// another type. Also a message in an encoding, which RFC 2046 forbids and mail programs open, and a multipart
    /// that is nested too deep: their parts are not known, but they are not skipped.
    fn is_text(&self, part: &Part) -> bool {
        let (kind, subtype) = self.content_type.media_type().unwrap_or((b"text", b"plain"));
        match part.media {
            Media::Text => true,
            Media::Other => {
                let subtype = subtype.to_ascii_lowercase();
                let is_text = ["json", "xml", "ics"].iter().any(|end| subtype.ends_with(end.as_bytes()));
                kind.eq_ignore_ascii_case(b"message")
                    || kind.eq_ignore_ascii_case(b"multipart")
                    || (kind.eq_ignore_ascii_case(b"application") && is_text)
            }
            Media::Message => !matches!(TransferDecoder::new(&self.encoding), TransferDecoder::Identity),
            Media::Multipart | Media::Opaque => false,
        }
    }
}

/// The content of a part as text.
struct Content<'a> {
    window: Window<'a>,
    transfer: TransferDecoder,
    charset: Decoder,
    /// The decoder for references, for HTML only.
    references: Option<References>,
    undo: bool,
    has_references: bool,
    octets: Vec<u8>,
    text: String,
    /// The text with its references undone.
    shown: String,
    /// The folded text, and before it the end of the last piece.
    folded: Vec<u8>,
}

impl<'a> Content<'a> {
    fn new(message: &'a dyn ReadAt, content: Range<u64>, described: &Described, undo: bool) -> Content<'a> {
        let charset = Charset::named(&described.content_type.get("charset").unwrap_or_default());
        let is_html = described.content_type.media_type().is_some_and(|(_, subtype)| {
            subtype.eq_ignore_ascii_case(b"html") || subtype.eq_ignore_ascii_case(b"xhtml+xml")
        });
        Content {
            window: Window::new(message, content),
            transfer: TransferDecoder::new(&described.encoding),
            charset: Decoder::new(charset),
            references: is_html.then(References::default),
            undo,
            has_references: false,
            octets: Vec::new(),
            text: String::new(),
            shown: String::new(),
            folded: Vec::new(),
        }
    }

    /// Gives `look` one more window. Returns `None` when there is more.
    fn step(&mut self, look: &mut dyn TextVisitor) -> io::Result<Option<bool>> {
        let piece = self.window.fill(LOOKAHEAD)?;
        let (n, last) = (piece.len(), piece.is_empty());
        self.folded.drain(..self.folded.len().saturating_sub(look.overlap()));
        let new = self.folded.len();
        let octets = match &mut self.transfer {
            TransferDecoder::Identity => piece,
            decoder => {
                self.octets.clear();
                decoder.decode(piece, &mut self.octets);
                &self.octets
            }
        };
        let references = self.references.as_mut().filter(|known| known.are_in(octets));
        self.has_references |= references.is_some();
        let references = references.filter(|_| self.undo);
        // Most text is ASCII, in a charset in which ASCII stands for itself: nothing needs decoding.
        if references.is_none() && self.charset.is_ascii(octets) {
            collate_ascii(octets, &mut self.folded);
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
        let found = look.piece(&mut self.folded, new);
        Ok((found || last).then_some(found))
    }
}
