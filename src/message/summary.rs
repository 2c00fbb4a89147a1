//! What is kept beside each message, so that listing and header searches need not open it.
//!
//! A summary holds the message's own fields, octet by octet, not what was made of them: ENVELOPE is
//! written from it as from the message itself, and gets better when the parser does.

use std::io;
use std::ops::Range;

use super::boundary::Boundaries;
use super::envelope::Envelope;
use super::header::Fields;
use super::window::Window;
use crate::flash::ReadAt;

/// Octets of a message that [`summarize`] looks at.
pub const HEAD: usize = 64 * 1024;

/// Octets of fields in a summary.
const MAX_FIELDS: usize = 8 * 1024;

/// A summary is no longer than this part of its message: writing is what wears flash.
const SHARE: usize = 8;

/// The way in which summaries are made: which fields they have.
pub const VERSION: u8 = 1;

/// Fields besides those of the envelope that mail programs ask for to fill their lists (Thunderbird,
/// Apple Mail, K-9, mutt).
const LISTED: [&str; 17] = [
    "Content-Type",
    "Content-Description",
    "Importance",
    "Lines",
    "List-Id",
    "List-Post",
    "List-Subscribe",
    "List-Unsubscribe",
    "Mail-Followup-To",
    "MIME-Version",
    "Newsgroups",
    "Priority",
    "References",
    "X-Label",
    "X-Original-To",
    "X-Priority",
    "X-Uniform-Type-Identifier",
];

/// Whether the fields of this name are in summaries.
pub fn covers(name: &[u8]) -> bool {
    Envelope::has(name) || LISTED.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// The summary of a message, of which at least the first 64 KiB can be read: all fields of the header that it [`covers`], in their
/// order, octet by octet, and the empty line. Empty where that is too long, for a summary or for its message, or the header goes on
/// beyond the first 64 KiB: the message tells.
///
/// # Errors
/// What the source says.
pub fn summarize(message: &dyn ReadAt) -> io::Result<Vec<u8>> {
    let len = message.len()?;
    let head = usize::try_from(len).unwrap_or(HEAD).min(HEAD);
    let limit = MAX_FIELDS.min(head / SHARE);
    let mut window = Window::new(message, 0..head as u64);
    let outer = Boundaries::default();
    let mut reader = Fields::new(&mut window, &outer, 0);
    let mut places: Vec<Range<u64>> = Vec::new();
    let (mut end, mut octets) = (0, 0);
    while let Some(place) = reader.next(|_| false)? {
        end = place.end;
        if covers(reader.name()) {
            octets += place.end - place.start;
            places.push(place);
        }
        if octets > limit as u64 {
            return Ok(Vec::new());
        }
    }
    let empty_line = end..window.position();
    if empty_line.is_empty() && len >= HEAD as u64 {
        return Ok(Vec::new()); // the header goes on
    }
    places.push(empty_line);
    let mut fields = Vec::new();
    for place in places {
        let mut field = vec![0; (place.end - place.start) as usize];
        message.read_exact_at(place.start, &mut field)?;
        fields.extend_from_slice(&field);
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(head: &str) -> Option<String> {
        let fields = summarize(&head.as_bytes()).unwrap();
        (!fields.is_empty()).then(|| String::from_utf8_lossy(&fields).into_owned())
    }

    #[test]
    fn fields_are_kept_as_they_stand() {
        let header = "Received: x\r\nSUBJECT : a\r\n\tb\r\nX-Other: y\r\nFrom: c\n\r\n";
        let message = format!("{header}{}", "body".repeat(1000));
        assert_eq!(kept(&message).as_deref(), Some("SUBJECT : a\r\n\tb\r\nFrom: c\n\r\n"));
    }

    #[test]
    fn summaries_are_small() {
        let of = |fields: usize, body: usize| {
            let header = format!("Subject: {}\r\n\r\n", "x".repeat(fields - 11));
            kept(&format!("{header}{}", "x".repeat(body))).is_some()
        };
        assert!(of(100, 702) && !of(100, 600), "an eighth of the message");
        assert!(of(MAX_FIELDS, HEAD) && !of(MAX_FIELDS + 1, HEAD * 2), "and no more");
    }

    #[test]
    fn a_header_without_end_is_not_summarized() {
        let endless = "A: b\r\n".repeat(HEAD);
        assert_eq!(kept(&endless), None);
    }
}
