//! Plans what is done with each part of a message.

use std::io;
use std::ops::Range;

use super::super::header;
use super::super::mime::{Media, Part, Scanner, Structure};
use super::super::parameters::Parameterized;
use super::header::HeaderChange;
use super::{MissingExtension, PIECE, Plan, Refusal, Segment, Source, Target};
use crate::flash::ReadAt;

/// Octets of a line that need not be broken (RFC 5322 section 2.1.1).
const MAX_LINE: u64 = 998;

/// Examines a message, step by step.
pub struct Survey<'a> {
    message: &'a dyn ReadAt,
    aim: MissingExtension,
    plan: Plan<'a>,
    /// The offset up to which the message is planned.
    planned: u64,
    stage: Stage<'a>,
}

enum Stage<'a> {
    Structure(Box<Scanner<'a>>),
    /// Before the part with this index.
    Part(Structure, usize),
    /// In the content of the part with this index, whose header was read.
    Content(Structure, usize, Described, Examination),
    Done,
}

/// What a part's header says.
#[derive(Debug, Clone, Copy)]
struct Described {
    from: Source,
    /// Whether its encoding is given as 8bit or binary.
    says_eight_bit: bool,
    kind: Kind,
    /// Whether it has a Content-Type.
    typed: bool,
    /// Whether it has MIME-Version.
    versioned: bool,
    /// Whether its header has octets above 127.
    header_above: bool,
}

/// What may be done with the content of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It contains parts, which are examined themselves.
    Container,
    /// It is signed or encrypted, with everything in it.
    Sealed,
    /// It is text.
    Text,
    /// It is other content.
    Other,
    /// It must not have an encoding (RFC 2045 section 6.4, RFC 2046 sections 5.2.2 and 5.2.3), or its kind is not
    /// known.
    Fixed,
}

impl<'a> Survey<'a> {
    /// A survey at the beginning of `message`. `replaced` is an address of the author, and the one that replaces it
    /// in the header when the first has no ASCII form.
    pub fn new(
        message: &'a dyn ReadAt,
        aim: MissingExtension,
        replaced: Option<(&'a str, &'a str)>,
    ) -> Survey<'a> {
        let plan = Plan { segments: Vec::new(), replaced };
        let stage = Stage::Structure(Box::new(Scanner::new(message)));
        Survey { message, aim, plan, planned: 0, stage }
    }

    /// Examines about a window, or a header. Returns how many octets were read; `None` when everything was examined.
    ///
    /// # Errors
    /// Errors of the source; within the result, why the message cannot be rewritten.
    pub fn step(&mut self) -> io::Result<Result<Option<u64>, Refusal>> {
        let (stage, passed) = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Structure(mut scanner) => {
                let before = scanner.passed();
                let more = scanner.step()?;
                let passed = scanner.passed() - before;
                (if more { Stage::Structure(scanner) } else { Stage::Part(scanner.finish(), 0) }, passed)
            }
            Stage::Part(structure, at) => match structure.parts().get(at) {
                None => return Ok(Ok(None)),
                Some(part) => match self.part(&structure, at)? {
                    Err(refusal) => return Ok(Err(refusal)),
                    Ok(described) => {
                        let passed = part.header().end - part.header().start;
                        let stage = match described.kind {
                            Kind::Container => Stage::Part(structure, at + 1),
                            _ => {
                                let examination = Examination::of(part.content());
                                Stage::Content(structure, at, described, examination)
                            }
                        };
                        (stage, passed)
                    }
                },
            },
            Stage::Content(structure, at, described, mut examination) => {
                let passed = examination.step(self.message)?;
                if passed > 0 {
                    (Stage::Content(structure, at, described, examination), passed)
                } else if let Some(part) = structure.parts().get(at) {
                    if let Err(refusal) = self.content(part, at == 0, described, &examination)? {
                        return Ok(Err(refusal));
                    }
                    let next = structure.index_after(at);
                    (Stage::Part(structure, next), 0)
                } else {
                    (Stage::Done, 0)
                }
            }
            Stage::Done => return Ok(Ok(None)),
        };
        self.stage = stage;
        Ok(Ok(Some(passed)))
    }

    /// The plan, once everything was examined.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn finish(mut self) -> io::Result<Plan<'a>> {
        let length = self.message.len()?;
        self.between(length);
        Ok(self.plan)
    }

    /// Reads the header of a part. The header of a container is planned here, that of other parts with their content.
    fn part(&mut self, structure: &Structure, at: usize) -> io::Result<Result<Described, Refusal>> {
        let Some(part) = structure.parts().get(at) else { return Ok(Err(Refusal::Malformed)) };
        let described = self.described(part, at == 0)?;
        if described.kind == Kind::Container {
            let encoding =
                (self.aim == MissingExtension::SevenBit && described.says_eight_bit).then_some("7bit");
            let change = HeaderChange { encoding, ..HeaderChange::default() };
            if let Err(refusal) = self.header(part, change, described)? {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(described))
    }

    fn described(&self, part: &Part, is_message: bool) -> io::Result<Described> {
        let [content_type, encoding, version] = header::values(
            self.message,
            part.header(),
            ["Content-Type", "Content-Transfer-Encoding", "MIME-Version"],
        )?;
        let typed = Parameterized::parse(content_type.as_deref().unwrap_or_default());
        let (kind, subtype) = typed.media_type().unwrap_or((b"text", b"plain"));
        let encoding = Parameterized::parse(encoding.as_deref().unwrap_or_default());
        let encoding = encoding.first_word().to_ascii_lowercase();
        let from = match encoding.as_slice() {
            b"base64" => Source::Base64,
            b"quoted-printable" => Source::QuotedPrintable,
            // An unknown encoding is mostly a misspelt 8bit.
            _ => Source::Identity,
        };
        Ok(Described {
            from,
            says_eight_bit: matches!(encoding.as_slice(), b"8bit" | b"binary"),
            kind: kind_of(part.media, kind, subtype, from),
            typed: content_type.is_some() || !is_message,
            versioned: version.is_some() || !is_message,
            header_above: !is_ascii(self.message, part.header())?,
        })
    }

    /// Plans a part whose content was examined.
    fn content(
        &mut self,
        part: &Part,
        is_message: bool,
        described: Described,
        found: &Examination,
    ) -> io::Result<Result<(), Refusal>> {
        let seven_bit = self.aim == MissingExtension::SevenBit;
        let is_open = !matches!(described.kind, Kind::Sealed | Kind::Fixed);
        // A part without a header cannot declare an encoding.
        let has_header = is_message || !part.header().is_empty();
        if seven_bit && found.above && !(is_open && has_header) {
            let sealed = described.kind == Kind::Sealed;
            return Ok(Err(if sealed { Refusal::Signed } else { Refusal::Malformed }));
        }
        let to =
            (seven_bit && is_open && has_header && found.needs_encoding()).then(|| match described.kind {
                _ if described.from == Source::Base64 => Target::Base64,
                Kind::Text => Target::QuotedPrintable,
                _ if described.from == Source::Identity && !found.has_lines_in_order() => Target::Base64,
                _ => Target::QuotedPrintable,
            });
        let charset = if found.is_utf8() { "utf-8" } else { "unknown-8bit" };
        let change = HeaderChange {
            encoding: to.map(Target::name).or((seven_bit && described.says_eight_bit).then_some("7bit")),
            version: to.is_some() && !described.versioned,
            charset: (to.is_some() && !described.typed).then_some(charset),
            ascii: false,
        };
        if let Err(refusal) = self.header(part, change, described)? {
            return Ok(Err(refusal));
        }
        let content = part.content();
        self.planned = content.end;
        self.plan.segments.push(match to {
            Some(to) => Segment::Content(content, described.from, to),
            None => Segment::AsIs(content),
        });
        Ok(Ok(()))
    }

    /// Plans the octets before the part, and its header.
    fn header(
        &mut self,
        part: &Part,
        change: HeaderChange,
        described: Described,
    ) -> io::Result<Result<(), Refusal>> {
        self.between(part.header().start);
        let change = HeaderChange { ascii: described.header_above, ..change };
        let range = part.header();
        self.planned = range.end;
        if change == HeaderChange::default() {
            self.plan.segments.push(Segment::AsIs(range));
            return Ok(Ok(()));
        }
        if change.ascii
            && let Err(refusal) =
                change.write(self.message, range.clone(), self.plan.replaced, &mut Vec::new())?
        {
            return Ok(Err(refusal));
        }
        self.plan.segments.push(Segment::Header(range, change));
        Ok(Ok(()))
    }

    fn between(&mut self, end: u64) {
        let range = self.planned..end.max(self.planned);
        self.planned = range.end;
        if !range.is_empty() {
            self.plan.segments.push(match self.aim {
                MissingExtension::SevenBit => Segment::Between(range),
                MissingExtension::Header => Segment::AsIs(range),
            });
        }
    }
}

fn kind_of(media: Media, kind: &[u8], subtype: &[u8], from: Source) -> Kind {
    let is = |text: &[u8], name: &str| text.eq_ignore_ascii_case(name.as_bytes());
    match media {
        Media::Opaque => Kind::Fixed,
        Media::Multipart if is(subtype, "signed") || is(subtype, "encrypted") => Kind::Sealed,
        Media::Multipart => Kind::Container,
        // RFC 6532 section 3.7: a message with UTF-8 in its header may be encoded as a whole.
        Media::Message if from == Source::Identity && !is(subtype, "global") => Kind::Container,
        Media::Message => Kind::Other,
        Media::Text => Kind::Text,
        Media::Other if is(kind, "multipart") => Kind::Fixed,
        Media::Other if is(kind, "message") => {
            let fixed = ["rfc822", "partial", "external-body"].iter().any(|name| is(subtype, name));
            if fixed { Kind::Fixed } else { Kind::Other }
        }
        Media::Other => Kind::Other,
    }
}

fn is_ascii(message: &dyn ReadAt, range: Range<u64>) -> io::Result<bool> {
    let mut at = range.start;
    let mut piece = [0; 4096];
    while at < range.end {
        let length = (range.end - at).min(piece.len() as u64) as usize;
        let piece = piece.get_mut(..length).unwrap_or_default();
        message.read_exact_at(at, piece)?;
        if !piece.is_ascii() {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}

/// What kinds of octets and lines a content has.
struct Examination {
    rest: Range<u64>,
    above: bool,
    nul: bool,
    /// Whether there is a CR without LF, or an LF without CR.
    bare: bool,
    long: bool,
    line: u64,
    cr: bool,
    not_utf8: bool,
    /// The beginning of a UTF-8 character whose end comes with the next piece.
    begun: Vec<u8>,
}

impl Examination {
    fn of(rest: Range<u64>) -> Examination {
        Examination {
            rest,
            above: false,
            nul: false,
            bare: false,
            long: false,
            line: 0,
            cr: false,
            not_utf8: false,
            begun: Vec::new(),
        }
    }

    /// Examines one more piece. Returns how many octets were read; 0 at the end.
    fn step(&mut self, message: &dyn ReadAt) -> io::Result<u64> {
        let length = (self.rest.end - self.rest.start).min(PIECE);
        let mut piece = vec![0; length as usize];
        message.read_exact_at(self.rest.start, &mut piece)?;
        self.rest.start += length;
        self.look(&piece);
        Ok(length)
    }

    fn look(&mut self, piece: &[u8]) {
        for line in piece.split_inclusive(|&octet| octet == b'\n') {
            let ends = line.ends_with(b"\n");
            let whole_end = line.ends_with(b"\r\n") || (line.len() == 1 && self.cr);
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            self.bare |= (ends && !whole_end) || memchr::memchr(b'\r', text).is_some();
            self.bare |= self.cr && line.first() != Some(&b'\n');
            self.cr = !ends && line.ends_with(b"\r");
            self.nul |= memchr::memchr(0, text).is_some();
            self.line += text.len() as u64;
            self.long |= self.line > MAX_LINE;
            if ends {
                self.line = 0;
            }
        }
        if self.above || !piece.is_ascii() || !self.begun.is_empty() {
            self.above |= !piece.is_ascii();
            self.look_for_utf8(piece);
        }
    }

    fn look_for_utf8(&mut self, piece: &[u8]) {
        if self.not_utf8 {
            return;
        }
        self.begun.extend_from_slice(piece);
        match std::str::from_utf8(&self.begun) {
            Ok(_) => self.begun.clear(),
            Err(error) if error.error_len().is_none() => drop(self.begun.drain(..error.valid_up_to())),
            Err(_) => {
                self.not_utf8 = true;
                self.begun.clear();
            }
        }
    }

    fn is_utf8(&self) -> bool {
        !self.not_utf8 && self.begun.is_empty()
    }

    fn needs_encoding(&self) -> bool {
        self.above || self.nul || self.long
    }

    fn has_lines_in_order(&self) -> bool {
        !self.nul && !self.long && !self.bare && !self.cr
    }
}
