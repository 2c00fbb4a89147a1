//! BINARY and BINARY.SIZE (RFC 3516): the content of a part without its transfer encoding.

use std::io::{self, Write as _};

use super::response::Response;
use super::section::{self, Octets};
use crate::flash::ReadAt;
use crate::imap::wire::command::{Section, SectionText};
use crate::message::binary::Binary;
use crate::message::mime::Part;
use crate::net::stream::Stream;
use crate::store::Error;

/// The first octet and the number of octets that a client wants.
type Partial = Option<(u64, u64)>;

/// The part that a client wants.
enum Wanted {
    /// The whole message, as it is.
    Message,
    Part(Part),
}

/// The decoded content of a part.
#[derive(Default)]
struct Content {
    octets: u64,
    /// Whether a NUL is among the octets.
    nul: bool,
}

impl Response<'_> {
    /// Writes `BINARY[section]<partial> …`: as a `literal8` when the part contains a NUL, so that the client sees that
    /// at once (section 4.3).
    pub(super) async fn binary(
        &mut self,
        stream: &mut Stream,
        section: &Section,
        partial: Partial,
    ) -> io::Result<()> {
        section::write_label("BINARY", section, partial.map(|(origin, _)| origin), &mut self.out);
        if is_header(&section.text) {
            let octets = self.header_octets(section).await;
            return self.send(stream, octets, partial).await;
        }
        let wanted = self.wanted(section).await;
        let content = match &wanted {
            Some(wanted) => self.content(wanted).await,
            None => None,
        };
        let (Some(wanted), Some(Content { octets: length, nul })) = (wanted, content) else {
            self.out.extend(b" NIL");
            return Ok(());
        };
        let (origin, count) = partial.unwrap_or((0, u64::MAX));
        let mut skip = length.min(origin);
        let mut left = (length - skip).min(count);
        if left == 0 {
            self.out.extend(b" \"\"");
            return Ok(());
        }
        write!(self.out, " {}{{{left}}}\r\n", if nul { "~" } else { "" })?;
        stream.write(&self.out).await?;
        self.out.clear();
        let read = self.decoded(stream, &wanted, &mut skip, &mut left).await?;
        if self.readable(read).is_none() {
            // The literal has announced so many octets.
            while left > 0 {
                let piece = [b' '; 1024];
                let n = left.min(1024);
                stream.write(piece.get(..n as usize).unwrap_or_default()).await?;
                left -= n;
            }
        }
        Ok(())
    }

    /// Writes `BINARY.SIZE[section] n`.
    pub(super) async fn binary_size(&mut self, section: &Section) -> io::Result<()> {
        section::write_label("BINARY.SIZE", section, None, &mut self.out);
        if is_header(&section.text) {
            let length = match self.header_octets(section).await {
                Some(Octets::Held(text)) => text.len() as u64,
                Some(Octets::Places(places)) => places.iter().map(|place| place.end - place.start).sum(),
                None => 0,
            };
            return write!(self.out, " {length}");
        }
        let length = match self.wanted(section).await {
            Some(Wanted::Message) => self.opened.size().into(),
            Some(wanted) => self.content(&wanted).await.unwrap_or_default().octets,
            None => 0,
        };
        write!(self.out, " {length}")
    }

    /// The octets of a header, which has no transfer encoding; `None` when there is none, or when it cannot be read,
    /// which is noted.
    async fn header_octets(&mut self, section: &Section) -> Option<Octets> {
        let Section { part, text } = section;
        let octets = section::octets(&mut self.opened, part, text, self.last, self.pace).await;
        self.readable(octets).flatten()
    }

    /// The part that the section means; `None` when there is no such part, or when it cannot be read, which is noted.
    /// TEXT is the content of the message, whose header tells its encoding.
    async fn wanted(&mut self, section: &Section) -> Option<Wanted> {
        let whole = section.text == SectionText::Whole;
        if whole && section.part.is_empty() {
            return Some(Wanted::Message);
        }
        let structure = self.opened.structure(self.last, self.pace).await;
        let structure = self.readable(structure)?;
        let part = if whole { structure.find(&section.part) } else { structure.find_message(&section.part) };
        part.cloned().map(Wanted::Part)
    }

    /// Length and kind of the decoded part; `None` when it cannot be decoded or read, which is noted.
    async fn content(&mut self, wanted: &Wanted) -> Option<Content> {
        let counted = self.count(wanted).await;
        let counted = self.readable(counted)?;
        self.undecodable |= counted.is_none();
        counted
    }

    /// Decodes the part and counts its octets; `None` when its encoding is not known.
    async fn count(&mut self, wanted: &Wanted) -> Result<Option<Content>, Error> {
        let pace = self.pace;
        let body = self.opened.body()?;
        let counted = async {
            let Some(mut binary) = wanted.binary(body)? else { return Ok(None) };
            let (mut content, mut piece) = (Content::default(), Vec::new());
            while let Some(read) = binary.step(&mut piece)? {
                content.octets += piece.len() as u64;
                content.nul |= memchr::memchr(0, &piece).is_some();
                piece.clear();
                pace.did(read).await;
            }
            Ok(Some(content))
        };
        let counted = counted.await;
        counted.map_err(|error| self.opened.unreadable(error))
    }

    /// Sends `left` octets of the decoded part after the first `skip`. The outer error is that of the connection, the
    /// inner one that of the flash.
    async fn decoded(
        &mut self,
        stream: &mut Stream,
        wanted: &Wanted,
        skip: &mut u64,
        left: &mut u64,
    ) -> io::Result<Result<(), Error>> {
        let pace = self.pace;
        let body = match self.opened.body() {
            Ok(body) => body,
            Err(error) => return Ok(Err(error)),
        };
        let mut failed = None;
        let mut binary = wanted.binary(body).unwrap_or_else(|error| {
            failed = Some(error);
            None
        });
        let mut piece = Vec::new();
        while let Some(binary) = &mut binary
            && *left > 0
        {
            match binary.step(&mut piece) {
                Ok(Some(read)) => pace.did(read).await,
                Ok(None) => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            let skipped = (piece.len() as u64).min(*skip);
            let octets = piece.get(skipped as usize..).unwrap_or_default();
            let octets = octets.get(..*left as usize).unwrap_or(octets);
            stream.write(octets).await?;
            *skip -= skipped;
            *left -= octets.len() as u64;
            piece.clear();
        }
        Ok(failed.map_or(Ok(()), |error| Err(self.opened.unreadable(error))))
    }
}

impl Wanted {
    fn binary<'a>(&self, body: &'a dyn ReadAt) -> io::Result<Option<Binary<'a>>> {
        match self {
            Wanted::Message => Ok(Some(Binary::identity(body, 0..body.len()?))),
            Wanted::Part(part) => Binary::of(body, part),
        }
    }
}

/// Whether the section is a header, or a part of one.
fn is_header(text: &SectionText) -> bool {
    !matches!(text, SectionText::Whole | SectionText::Text)
}
