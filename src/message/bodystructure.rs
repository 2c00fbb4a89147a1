//! BODY and BODYSTRUCTURE (RFC 3501 section 7.4.2), written from the places of the parts and what
//! their headers say.

use std::io;

use super::boundary::Boundaries;
use super::envelope::Envelope;
use super::header::Fields;
use super::mime::{Media, Part, Structure};
use super::nstring::{nstring, string};
use super::parameters::Parameterized;
use super::window::Window;
use crate::flash::ReadAt;

/// Octets after which the headers of further parts are not read, so that a hostile message cannot fill
/// the memory with its description.
const MAX_TEXT: usize = 256 * 1024;

/// Octets of a MIME field that are shown.
const MAX_FIELD: usize = 8 * 1024;

/// Appends the text of the response: what follows the word BODYSTRUCTURE, or, not `extensible`, BODY.
///
/// # Errors
/// What the source says.
pub fn write(
    message: &dyn ReadAt,
    structure: &Structure,
    extensible: bool,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let limit = out.len() + MAX_TEXT;
    Writer { message, structure, extensible, limit }.part(0, out)
}

struct Writer<'a> {
    message: &'a dyn ReadAt,
    structure: &'a Structure,
    extensible: bool,
    limit: usize,
}

impl Writer<'_> {
    /// Recurses as deep as the structure goes, which the scan limits.
    fn part(&self, at: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(part) = self.structure.parts().get(at) else { return Ok(()) };
        let described = Described::of(self.message, part, out.len() < self.limit)?;
        out.push(b'(');
        if part.media == Media::Multipart {
            for child in self.structure.children(at) {
                self.part(child, out)?;
            }
            out.push(b' ');
            string(&described.subtype, out);
            if self.extensible {
                out.push(b' ');
                parameters(&described.content_type, out);
                described.write_disposition_and_so_on(out);
            }
        } else {
            self.single(at, part, &described, out)?;
        }
        out.push(b')');
        Ok(())
    }

    /// `body-type-1part`.
    fn single(&self, at: usize, part: &Part, described: &Described, out: &mut Vec<u8>) -> io::Result<()> {
        let size = part.content().end - part.content().start;
        string(&described.kind, out);
        out.push(b' ');
        string(&described.subtype, out);
        out.push(b' ');
        parameters(&described.content_type, out);
        for field in [&described.id, &described.description] {
            out.push(b' ');
            nstring(field.as_deref(), out);
        }
        out.push(b' ');
        string(described.encoding.as_deref().unwrap_or(b"7BIT"), out);
        out.extend(format!(" {size}").as_bytes());
        if part.media == Media::Message
            && let Some(inner) = self.structure.parts().get(at + 1)
        {
            let envelope = if out.len() < self.limit {
                Envelope::of(self.message, inner.header())?
            } else {
                Envelope::default()
            };
            out.push(b' ');
            envelope.write(out);
            out.push(b' ');
            self.part(at + 1, out)?;
        }
        if matches!(part.media, Media::Text | Media::Message) {
            out.extend(format!(" {}", part.lines).as_bytes());
        }
        if self.extensible {
            out.push(b' ');
            nstring(described.md5.as_deref(), out);
            described.write_disposition_and_so_on(out);
        }
        Ok(())
    }
}

/// What a part says of itself. An empty field says nothing.
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
    /// Reads the header of `part`, unless it is too much for the response already.
    fn of(message: &dyn ReadAt, part: &Part, readable: bool) -> io::Result<Described> {
        let mut described = Described::default();
        let mut content_type = None;
        let header = if readable { part.header() } else { 0..0 };
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
        described.set_type(part.media, content_type);
        described.encoding = described.encoding.map(|field| Parameterized::parse(&field).value);
        Ok(described)
    }

    /// The type as the part says it, unless the structure says otherwise: the form of the response
    /// follows from the type, so the two must agree.
    fn set_type(&mut self, media: Media, field: Option<Vec<u8>>) {
        let parsed = Parameterized::parse(field.as_deref().unwrap_or_default());
        let is = |kind: &[u8], name: &str| kind.eq_ignore_ascii_case(name.as_bytes());
        let is_message = |kind, subtype| is(kind, "message") && is(subtype, "rfc822");
        let said = parsed.media_type().filter(|&(kind, subtype)| match media {
            Media::Text => is(kind, "text"),
            Media::Multipart => is(kind, "multipart"),
            Media::Message => is_message(kind, subtype),
            Media::Other => !is(kind, "text") && !is(kind, "multipart") && !is_message(kind, subtype),
        });
        let (kind, subtype) = said.unwrap_or(match media {
            Media::Text => (b"text", b"plain"),
            Media::Multipart => (b"multipart", b"mixed"),
            Media::Message => (b"message", b"rfc822"),
            Media::Other => (b"application", b"octet-stream"),
        });
        (self.kind, self.subtype) = (kind.to_vec(), subtype.to_vec());
        if said.is_some() {
            self.content_type = parsed;
        } else if media == Media::Text {
            // RFC 2045 section 5.2: what says nothing is plain US-ASCII.
            self.content_type.parameters = vec![(b"charset".to_vec(), b"us-ascii".to_vec())];
        }
    }

    /// `body-fld-dsp`, `body-fld-lang` and `body-fld-loc`, each after a space.
    fn write_disposition_and_so_on(&self, out: &mut Vec<u8>) {
        let disposition = self.disposition.as_deref().map(Parameterized::parse);
        match disposition.filter(|disposition| !disposition.value.is_empty()) {
            Some(disposition) => {
                out.extend(b" (");
                string(&disposition.value, out);
                out.push(b' ');
                parameters(&disposition, out);
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

/// `body-fld-param`.
fn parameters(field: &Parameterized, out: &mut Vec<u8>) {
    if field.parameters.is_empty() {
        return out.extend(b"NIL");
    }
    for (at, (name, value)) in field.parameters.iter().enumerate() {
        out.push(if at == 0 { b'(' } else { b' ' });
        string(name, out);
        out.push(b' ');
        string(value, out);
    }
    out.push(b')');
}

/// `body-fld-lang`, of a Content-Language field (RFC 3282).
fn languages(field: &[u8], out: &mut Vec<u8>) {
    let mut any = false;
    for tag in field.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|tag| !tag.is_empty()) {
        out.push(if any { b' ' } else { b'(' });
        string(tag, out);
        any = true;
    }
    out.extend(if any { &b")"[..] } else { b"NIL" });
}
