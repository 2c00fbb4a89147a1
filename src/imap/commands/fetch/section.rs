//! `BODY[section]<partial>` (RFC 3501 section 6.4.5): its label, and the octets that it means.

use std::io;
use std::ops::Range;

use crate::flash::ReadAt;
use crate::imap::commands::lazy_message::{LastStructure, LazyMessage};
use crate::imap::wire::command::{Section, SectionText};
use crate::imap::wire::field_names::FieldNames;
use crate::imap::wire::grammar::is_astring_char;
use crate::message::header;
use crate::message::mime::Structure;
use crate::message::nstring::string;
use crate::pace::Pace;
use crate::store::Error;

/// Octets that are read from flash at a time.
pub const PIECE: u64 = 16 * 1024;

/// Appends the name of the data item, which begins with `word`: `BODY[1.HEADER]<0>`.
pub fn write_label(word: &str, section: &Section, origin: Option<u64>, out: &mut Vec<u8>) {
    out.extend(word.as_bytes());
    out.push(b'[');
    let numbers = section.part.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    out.extend(numbers.as_bytes());
    let (text, names) = match &section.text {
        SectionText::Whole => ("", None),
        SectionText::Header => ("HEADER", None),
        SectionText::HeaderFields { not: false, names } => ("HEADER.FIELDS", Some(names.written())),
        SectionText::HeaderFields { not: true, names } => ("HEADER.FIELDS.NOT", Some(names.written())),
        SectionText::Text => ("TEXT", None),
        SectionText::Mime => ("MIME", None),
    };
    if !numbers.is_empty() && !text.is_empty() {
        out.push(b'.');
    }
    out.extend(text.as_bytes());
    for (place, name) in names.into_iter().flatten().enumerate() {
        out.extend(if place == 0 { &b" ("[..] } else { b" " });
        astring(name, out);
    }
    out.extend(if names.is_some() { &b")]"[..] } else { b"]" });
    if let Some(origin) = origin {
        out.extend(format!("<{origin}>").as_bytes());
    }
}

fn astring(text: &str, out: &mut Vec<u8>) {
    if text.bytes().all(is_astring_char) && !text.is_empty() {
        out.extend(text.as_bytes());
    } else {
        string(text.as_bytes(), out);
    }
}

/// The octets of a section.
pub enum Octets {
    /// The octets themselves.
    Held(Vec<u8>),
    /// The places of the octets in the body.
    Places(Vec<Range<u64>>),
}

/// The octets of a section of a message; `None` when there is no such part. Other sessions get turns in between.
///
/// # Errors
/// Errors of reading the message.
pub async fn octets(
    opened: &mut LazyMessage<'_>,
    part: &[u32],
    text: &SectionText,
    last: &mut LastStructure,
    pace: &Pace,
) -> Result<Option<Octets>, Error> {
    let size = u64::from(opened.size());
    let selected = match text {
        SectionText::HeaderFields { not, names } => Some((names, *not)),
        _ => None,
    };
    if part.is_empty()
        && let Some((names, false)) = selected
        && names.are_in_summaries()
        && let Some(fields) = opened.fields()
    {
        return Ok(header_fields(fields, names).ok().map(Octets::Held));
    }
    let range = if !part.is_empty() {
        let structure = opened.structure(last, pace).await?;
        find(&structure, part, text)
    } else if *text == SectionText::Whole {
        opened.body()?;
        Some(0..size)
    } else {
        let header = opened.ask_body(header::length)?;
        pace.did(opened.take_octets_read()).await;
        match text {
            SectionText::Text => Some(header..size),
            SectionText::Mime => None,
            _ => Some(0..header),
        }
    };
    let Some(range) = range else { return Ok(None) };
    let Some((names, not)) = selected else { return Ok(Some(Octets::Places(vec![range]))) };
    let select = |body: &dyn ReadAt| header::select(body, range, |field| names.contain(field) != not);
    Ok(Some(Octets::Places(opened.ask_body(select)?)))
}

/// The fields with these names, out of the fields of a summary.
fn header_fields(fields: &[u8], names: &FieldNames) -> io::Result<Vec<u8>> {
    let all = 0..fields.len() as u64;
    let places = header::select(&fields, all, |field| names.contain(field))?;
    let text = |place: Range<u64>| fields.get(place.start as usize..place.end as usize).unwrap_or_default();
    Ok(places.into_iter().flat_map(text).copied().collect())
}

/// The octets of the message that a section with part numbers means; for HEADER.FIELDS, the header that the fields
/// are selected from. `None` when there is no such part.
pub fn find(structure: &Structure, part: &[u32], text: &SectionText) -> Option<Range<u64>> {
    Some(match text {
        SectionText::Whole => structure.find(part)?.content(),
        SectionText::Mime => structure.find(part)?.header(),
        SectionText::Header | SectionText::HeaderFields { .. } => structure.find_message(part)?.header(),
        SectionText::Text => structure.find_message(part)?.content(),
    })
}

/// Reduces octets in several places to the part that `<origin.count>` asks for.
pub fn clip(places: &mut Vec<Range<u64>>, origin: u64, count: u64) {
    let (mut skip, mut room) = (origin, count);
    for place in places.iter_mut() {
        let skipped = skip.min(place.end - place.start);
        skip -= skipped;
        place.start += skipped;
        place.end = place.start + room.min(place.end - place.start);
        room -= place.end - place.start;
    }
    places.retain(|place| !place.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::wire::field_names::FieldNames;

    #[test]
    fn labels_are_as_the_client_wrote_them() {
        let names = FieldNames::new(vec!["From".to_string(), "x y".to_string()]);
        for (part, text, origin, expected) in [
            (vec![], SectionText::Whole, None, "BODY[]"),
            (vec![], SectionText::Whole, Some(7), "BODY[]<7>"),
            (vec![1, 2], SectionText::Whole, None, "BODY[1.2]"),
            (vec![1, 2], SectionText::Mime, None, "BODY[1.2.MIME]"),
            (vec![], SectionText::Header, None, "BODY[HEADER]"),
            (vec![3], SectionText::Text, Some(0), "BODY[3.TEXT]<0>"),
            (
                vec![4],
                SectionText::HeaderFields { not: true, names },
                None,
                "BODY[4.HEADER.FIELDS.NOT (From \"x y\")]",
            ),
        ] {
            let mut out = Vec::new();
            write_label("BODY", &Section { part, text }, origin, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn partial_fetches_of_scattered_octets() {
        for ((origin, count), expected) in [
            ((0, 100), &[(10, 20), (30, 35)][..]),
            ((0, 3), &[(10, 13)]),
            ((8, 4), &[(18, 20), (30, 32)]),
            ((10, 1), &[(30, 31)]),
            ((15, 1), &[]),
            ((u64::MAX, u64::MAX), &[]),
            ((3, 0), &[]),
        ] {
            let mut places = vec![10..20, 30..35];
            clip(&mut places, origin, count);
            let places: Vec<_> = places.into_iter().map(|place| (place.start, place.end)).collect();
            assert_eq!(places, expected, "<{origin}.{count}>");
        }
    }
}
