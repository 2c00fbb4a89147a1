//! Writes BODY and BODYSTRUCTURE (RFC 3501 section 7.4.2, RFC 9051 section 7.5.2) from the places of the parts and
//! from their headers, part by part, so that a caller can give others a turn in between and need not keep anything.

use std::io;
use std::ops::Range;

use super::boundary::Boundaries;
use super::envelope::Envelope;
use super::header::Fields;
use super::mime::{Media, Part, Structure, is_message};
use super::nstring::{nstring, string};
use super::parameters::Parameterized;
use super::window::Window;
use crate::flash::ReadAt;

/// Octets of the text after which no more headers of parts are read, so that a hostile message cannot fill the memory
/// with its description.
const MAX_TEXT: usize = 256 * 1024;

/// Octets of a MIME field that are written at most.
const MAX_FIELD: usize = 8 * 1024;

/// Which form is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Form {
    /// Whether it is BODYSTRUCTURE, which has extension data; otherwise BODY.
    pub extensible: bool,
    /// Whether it is the form of IMAP4rev2: `message/global` is a message, and parameters of RFC 2231 are decoded.
    pub rev2: bool,
}

/// Appends the whole text of the response.
///
/// # Errors
/// Errors of the source.
pub fn write(message: &dyn ReadAt, structure: &Structure, form: Form, out: &mut Vec<u8>) -> io::Result<()> {
    let mut description = Description::new(message, structure, form);
    while description.step(out)? {}
    Ok(())
}

/// Writes the text of the response step by step: what follows the word BODYSTRUCTURE or BODY.
pub struct Description<'a> {
    message: &'a dyn ReadAt,
    structure: &'a Structure,
    form: Form,
    /// What is still to be written, the next item last. It is as deep as the structure, which the scan limits.
    left: Vec<Left>,
    written: usize,
    passed: u64,
}

enum Left {
    /// The part with this index.
    Part(usize),
    /// The end of the part with this index, after the parts within it.
    End(usize, Box<Described>),
}

impl<'a> Description<'a> {
    /// A description of which nothing is written yet.
    pub fn new(message: &'a dyn ReadAt, structure: &'a Structure, form: Form) -> Description<'a> {
        Description { message, structure, form, left: vec![Left::Part(0)], written: 0, passed: 0 }
    }

    /// Octets of headers that were read so far.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Appends the text for one more part. Returns `false` when it was the last.
    ///
    /// # Errors
    /// Errors of the source. The part is then described as if its header were empty, and the next step continues.
    pub fn step(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let before = out.len();
        let result = match self.left.pop() {
            Some(Left::Part(at)) => self.part(at, out),
            Some(Left::End(at, described)) => {
                self.end(at, &described, out);
                Ok(())
            }
            None => Ok(()),
        };
        self.written += out.len() - before;
        result.map(|()| !self.left.is_empty())
    }

    fn part(&mut self, at: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(part) = self.structure.parts().get(at) else { return Ok(()) };
        let (described, result) = self.described(part);
        out.push(b'(');
        if part.media == Media::Multipart {
            self.left.push(Left::End(at, Box::new(described)));
            let children: Vec<usize> = self.structure.children(at).collect();
            self.left.extend(children.into_iter().rev().map(Left::Part));
            return result;
        }
        self.begin(part, &described, out);
        let is_message = self.is_message(part, &described);
        let inner = self.structure.parts().get(at + 1).filter(|_| is_message);
        let Some(inner) = inner else {
            self.end(at, &described, out);
            return result;
        };
        let envelope = if self.is_readable() { self.envelope(inner) } else { Ok(Envelope::default()) };
        let (envelope, result) = match envelope {
            Ok(envelope) => (envelope, result),
            Err(error) => (Envelope::default(), Err(error)),
        };
        out.push(b' ');
        envelope.write(out);
        out.push(b' ');
        self.left.push(Left::End(at, Box::new(described)));
        self.left.push(Left::Part(at + 1));
        result
    }

    /// Whether the part is described as a message. IMAP4rev1 knows only `message/rfc822`.
    fn is_message(&self, part: &Part, described: &Described) -> bool {
        let known = self.form.rev2 || described.subtype.eq_ignore_ascii_case(b"rfc822");
        part.media == Media::Message && known
    }

    /// Whether more headers may be read: the text is not too long yet.
    fn is_readable(&self) -> bool {
        self.written < MAX_TEXT
    }

    fn described(&mut self, part: &Part) -> (Described, io::Result<()>) {
        // A header whose end was not found does not describe what follows.
        let readable = self.is_readable() && part.media != Media::Opaque;
        let header = if readable { part.header() } else { 0..0 };
        self.passed += header.end - header.start;
        match Described::of(self.message, part.media, header) {
            Ok(described) => (described, Ok(())),
            Err(error) => (Described::nothing(part.media), Err(error)),
        }
    }

    fn envelope(&mut self, message: &Part) -> io::Result<Envelope<'a>> {
        self.passed += message.header().end - message.header().start;
        Envelope::of(self.message, message.header())
    }

    /// Writes a `body-type-1part` up to what only `message/rfc822` and `text` have.
    fn begin(&self, part: &Part, described: &Described, out: &mut Vec<u8>) {
        let size = part.content().end - part.content().start;
        string(&described.kind, out);
        out.push(b' ');
        string(&described.subtype, out);
        out.push(b' ');
        parameters(&described.content_type, self.form, out);
        for field in [&described.id, &described.description] {
            out.push(b' ');
            nstring(field.as_deref(), out);
        }
        out.push(b' ');
        let default: &[u8] = if part.media == Media::Opaque { b"8BIT" } else { b"7BIT" };
        string(described.encoding.as_deref().unwrap_or(default), out);
        out.extend(format!(" {size}").as_bytes());
    }

    /// Writes what follows the parts within a part, or the text of a part that contains none.
    fn end(&self, at: usize, described: &Described, out: &mut Vec<u8>) {
        let Some(part) = self.structure.parts().get(at) else { return };
        if part.media == Media::Multipart {
            out.push(b' ');
            string(&described.subtype, out);
            if self.form.extensible {
                out.push(b' ');
                parameters(&described.content_type, self.form, out);
                described.write_disposition_and_so_on(self.form, out);
            }
        } else {
            if part.media == Media::Text || self.is_message(part, described) {
                out.extend(format!(" {}", part.lines).as_bytes());
            }
            if self.form.extensible {
                out.push(b' ');
                nstring(described.md5.as_deref(), out);
                described.write_disposition_and_so_on(self.form, out);
            }
        }
        out.push(b')');
    }
}

/// The fields of a part's header. An empty field counts as missing.
#[derive(Default)]
struct Described {
    kind: Vec<u8>,
    subtype: Vec<u8>,
    content_type: Parameterized,
    id: Option<Vec<u8>>,
    description: Option<Vec<u8>>,
    encoding: Option<Vec<u8>>,
    md5: Option<Vec<u8>>,
    disposition: Option<Vec<u8>>,
    language: Option<Vec<u8>>,
    location: Option<Vec<u8>>,
}

impl Described {
    /// The description of a part whose header is not read.
    fn nothing(media: Media) -> Described {
        let mut described = Described::default();
        described.set_type(media, None);
        described
    }

    /// Reads the header of a part.
    fn of(message: &dyn ReadAt, media: Media, header: Range<u64>) -> io::Result<Described> {
        let mut described = Described::default();
        let mut content_type = None;
        let mut window = Window::new(message, header);
        let outer = Boundaries::default();
        let mut fields = Fields::new(&mut window, &outer, MAX_FIELD);
        let content =
            |name: &[u8]| name.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case(b"Content-"));
        while fields.next(content)?.is_some() {
            let slot = match fields.name().get(8..).map(<[u8]>::to_ascii_lowercase).as_deref() {
                Some(b"type") => &mut content_type,
                Some(b"id") => &mut described.id,
                Some(b"description") => &mut described.description,
                Some(b"transfer-encoding") => &mut described.encoding,
                Some(b"md5") => &mut described.md5,
                Some(b"disposition") => &mut described.disposition,
                Some(b"language") => &mut described.language,
                Some(b"location") => &mut described.location,
                _ => continue,
            };
            if slot.is_none() && !fields.value().is_empty() {
                *slot = Some(fields.value().to_vec());
            }
        }
        described.set_type(media, content_type);
        described.encoding =
            described.encoding.map(|field| Parameterized::parse(&field).first_word().to_vec());
        described.encoding = described.encoding.filter(|encoding| !encoding.is_empty());
        Ok(described)
    }

    /// Sets the type that the part's header gives, unless it contradicts the structure: the form of the response
    /// depends on the type, so both must agree.
    fn set_type(&mut self, media: Media, field: Option<Vec<u8>>) {
        let parsed = Parameterized::parse(field.as_deref().unwrap_or_default());
        let is = |kind: &[u8], name: &str| kind.eq_ignore_ascii_case(name.as_bytes());
        let said = parsed.media_type().filter(|&(kind, subtype)| match media {
            Media::Text => is(kind, "text"),
            Media::Multipart => is(kind, "multipart"),
            Media::Message => is_message(kind, subtype),
            Media::Opaque => false,
            Media::Other => !is(kind, "text") && !is(kind, "multipart") && !is_message(kind, subtype),
        });
        let (kind, subtype) = said.unwrap_or(match media {
            Media::Text => (b"text", b"plain"),
            Media::Multipart => (b"multipart", b"mixed"),
            Media::Message => (b"message", b"rfc822"),
            Media::Other | Media::Opaque => (b"application", b"octet-stream"),
        });
        (self.kind, self.subtype) = (kind.to_vec(), subtype.to_vec());
        if said.is_some() {
            self.content_type = parsed;
        } else if media == Media::Text {
            // RFC 2045 section 5.2: without a type it is plain US-ASCII text.
            self.content_type.parameters = vec![(b"charset".to_vec(), b"us-ascii".to_vec())];
        }
    }

    /// Writes `body-fld-dsp`, `body-fld-lang` and `body-fld-loc`, each after a space.
    fn write_disposition_and_so_on(&self, form: Form, out: &mut Vec<u8>) {
        let disposition = self.disposition.as_deref().map(Parameterized::parse);
        let says_nothing = |said: &Parameterized| said.value.is_empty() && said.parameters.is_empty();
        match disposition.filter(|disposition| !says_nothing(disposition)) {
            Some(disposition) => {
                out.extend(b" (");
                // RFC 2183 section 2.8: an unknown disposition is treated as an attachment.
                let kind =
                    if disposition.value.is_empty() { b"attachment" } else { disposition.value.as_slice() };
                string(kind, out);
                out.push(b' ');
                parameters(&disposition, form, out);
                out.push(b')');
            }
            None => out.extend(b" NIL"),
        }
        out.push(b' ');
        languages(self.language.as_deref().unwrap_or_default(), out);
        out.push(b' ');
        nstring(self.location.as_deref(), out);
    }
}

/// Writes a `body-fld-param`.
fn parameters(field: &Parameterized, form: Form, out: &mut Vec<u8>) {
    if field.parameters.is_empty() {
        return out.extend(b"NIL");
    }
    let told = if form.rev2 { field.decoded() } else { field.joined() };
    for (at, (name, value)) in told.iter().enumerate() {
        out.push(if at == 0 { b'(' } else { b' ' });
        string(name, out);
        out.push(b' ');
        string(value, out);
    }
    out.push(b')');
}

/// Writes a `body-fld-lang` for a Content-Language field (RFC 3282).
fn languages(field: &[u8], out: &mut Vec<u8>) {
    let mut any = false;
    for tag in field.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|tag| !tag.is_empty()) {
        out.push(if any { b' ' } else { b'(' });
        string(tag, out);
        any = true;
    }
    out.extend(if any { &b")"[..] } else { b"NIL" });
}
