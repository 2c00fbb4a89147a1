//! The data items of FETCH (RFC 3501 section 6.4.5): `fetch-att`, macros and sections.

use super::Problem;
use super::cursor::{Cursor, Parsed};
use crate::imap::wire::command::{FetchItem, Section, SectionText};
use crate::imap::wire::field_names::FieldNames;

/// How many elements of a command one item counts for, since each item may read a message's header or structure: 256
/// items are enough.
const ITEM: u16 = 8;

/// Part numbers in a row at most: no message is nested deeper than the MIME scan goes.
const MAX_PART_DEPTH: usize = 64;

const FAST: [FetchItem; 3] = [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size];

/// A macro, one item, or a list of items.
pub(super) fn items(cursor: &mut Cursor<'_>) -> Parsed<Vec<FetchItem>> {
    let mut items = Vec::new();
    if cursor.open() {
        loop {
            let name = name(cursor)?;
            let item = item(cursor, &name)?;
            add(&mut items, item);
            if cursor.close() {
                return Ok(items);
            }
            cursor.space()?;
        }
    }
    let name = name(cursor)?;
    match name.as_str() {
        "FAST" => items.extend(FAST),
        "ALL" => items.extend(FAST.into_iter().chain([FetchItem::Envelope])),
        "FULL" => {
            let structure = FetchItem::BodyStructure { extensible: false };
            items.extend(FAST.into_iter().chain([FetchItem::Envelope, structure]));
        }
        _ => items.push(item(cursor, &name)?),
    }
    Ok(items)
}

fn name(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let is_name = |c: u8| c.is_ascii_alphanumeric() || c == b'.';
    cursor.word(is_name, "a fetch item").map(str::to_ascii_uppercase)
}

/// Adds an item, unless it is there already: an item that is named twice is returned once.
fn add(items: &mut Vec<FetchItem>, item: FetchItem) {
    if !items.contains(&item) {
        items.push(item);
    }
}

fn item(cursor: &mut Cursor<'_>, name: &str) -> Parsed<FetchItem> {
    cursor.elements(ITEM)?;
    Ok(match name {
        "BODY" if cursor.take(b'[') => body(cursor, false)?,
        "BODY.PEEK" => {
            cursor.expect(b'[', "a section after BODY.PEEK")?;
            body(cursor, true)?
        }
        "BINARY" | "BINARY.PEEK" => {
            let section = binary_section(cursor)?;
            FetchItem::Binary { section, partial: partial(cursor)?, peek: name.len() > "BINARY".len() }
        }
        "BINARY.SIZE" => FetchItem::BinarySize { section: binary_section(cursor)? },
        "BODY" => FetchItem::BodyStructure { extensible: false },
        "BODYSTRUCTURE" => FetchItem::BodyStructure { extensible: true },
        "EMAILID" => FetchItem::EmailId,
        "ENVELOPE" => FetchItem::Envelope,
        "FLAGS" => FetchItem::Flags,
        "INTERNALDATE" => FetchItem::InternalDate,
        "PREVIEW" => preview(cursor)?,
        "RFC822" => FetchItem::Rfc822,
        "RFC822.HEADER" => FetchItem::Rfc822Header,
        "RFC822.SIZE" => FetchItem::Rfc822Size,
        "RFC822.TEXT" => FetchItem::Rfc822Text,
        "SAVEDATE" => FetchItem::SaveDate,
        "THREADID" => FetchItem::ThreadId,
        "UID" => FetchItem::Uid,
        "MODSEQ" => FetchItem::Modseq,
        _ => return Err(Problem::UnknownItem("fetch item")),
    })
}

/// The rest of `BODY[`.
fn body(cursor: &mut Cursor<'_>, peek: bool) -> Parsed<FetchItem> {
    let section = section(cursor)?;
    cursor.expect(b']', "a closing bracket after the section")?;
    Ok(FetchItem::Body { section, partial: partial(cursor)?, peek })
}

/// `partial`. Its numbers have 32 bits, and 63 bits in IMAP4rev2 (RFC 9051 section 9).
fn partial(cursor: &mut Cursor<'_>) -> Parsed<Option<(u64, u64)>> {
    if !cursor.take(b'<') {
        return Ok(None);
    }
    let number = |cursor: &mut Cursor<'_>| match cursor.enabled().rev2() {
        true => cursor.number64(),
        false => cursor.number().map(u64::from),
    };
    let from = number(cursor)?;
    // Some clients leave the count out when they want everything.
    let count = if cursor.take(b'.') { number(cursor)? } else { u32::MAX.into() };
    if count == 0 {
        return Err(Problem::Expected("a number that is not 0"));
    }
    cursor.expect(b'>', "a closing angle bracket after the partial range")?;
    Ok(Some((from, count)))
}

/// PREVIEW with modifiers in parentheses (RFC 8970 section 6), of which only LAZY exists.
fn preview(cursor: &mut Cursor<'_>) -> Parsed<FetchItem> {
    if cursor.take_word(" (") {
        loop {
            if !cursor.take_word("LAZY") {
                return Err(Problem::Expected("LAZY in parentheses after PREVIEW"));
            }
            if cursor.close() {
                break;
            }
            cursor.space()?;
        }
    }
    Ok(FetchItem::Preview)
}

/// `section-binary` (RFC 3516 section 7), which is part numbers only; the other sections are taken as in BODY.
fn binary_section(cursor: &mut Cursor<'_>) -> Parsed<Section> {
    cursor.expect(b'[', "a section after BINARY")?;
    let section = section(cursor)?;
    cursor.expect(b']', "a closing bracket after the section")?;
    Ok(section)
}

fn part_number(cursor: &mut Cursor<'_>, part: &mut Vec<u32>) -> Parsed<()> {
    if part.len() == MAX_PART_DEPTH {
        return Err(Problem::TooDeep);
    }
    cursor.element()?;
    part.push(cursor.nz_number()?.get());
    Ok(())
}

pub(super) fn section(cursor: &mut Cursor<'_>) -> Parsed<Section> {
    let mut section = Section::default();
    while cursor.peek().is_some_and(|c| c.is_ascii_digit()) {
        part_number(cursor, &mut section.part)?;
        if !cursor.take(b'.') {
            return Ok(section);
        }
    }
    if cursor.peek() == Some(b']') && section.part.is_empty() {
        return Ok(section);
    }
    section.text = match name(cursor)?.as_str() {
        "HEADER" => SectionText::Header,
        "HEADER.FIELDS" => header_fields(cursor, false)?,
        "HEADER.FIELDS.NOT" => header_fields(cursor, true)?,
        "TEXT" => SectionText::Text,
        "MIME" if !section.part.is_empty() => SectionText::Mime,
        _ => return Err(Problem::UnknownItem("section")),
    };
    Ok(section)
}

fn header_fields(cursor: &mut Cursor<'_>, not: bool) -> Parsed<SectionText> {
    cursor.space()?;
    if !cursor.open() {
        return Err(Problem::Expected("a list of header fields"));
    }
    let mut names = Vec::new();
    loop {
        cursor.element()?;
        let name = String::from_utf8(cursor.astring()?).ok();
        let printable = name.filter(|name| name.bytes().all(|c| c.is_ascii_graphic() || c == b' '));
        names.push(printable.ok_or(Problem::Expected("a header field name in ASCII"))?);
        if cursor.close() {
            return Ok(SectionText::HeaderFields { not, names: FieldNames::new(names) });
        }
        cursor.space()?;
    }
}
