//! Summaries, which are kept beside messages so that listing and header searches need not open the messages.
//!
//! A summary holds fields of the message, octet by octet, and not what was made of them: ENVELOPE is written from
//! them as from the message itself. BODYSTRUCTURE is held as it is written, since making it needs the whole message.

use std::io;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::bodystructure::Form;
use super::boundary::Boundaries;
use super::envelope::Envelope;
use super::header::{Fields, is_name};
use super::window::Window;
use crate::flash::ReadAt;

/// Octets of a message that [`fields`] reads at most.
pub const HEAD: usize = 64 * 1024;

/// Octets of fields in a summary at most.
const MAX_FIELDS: usize = 8 * 1024;

/// A summary's fields are at most one part in so many of the message, or of its first 64 KiB: writing wears flash.
const SHARE: usize = 8;

/// The version of summaries: which fields they have, and how BODYSTRUCTURE is written.
pub const VERSION: u8 = 2;

/// The form of BODYSTRUCTURE in a summary: the one for which nearly every client asks.
pub const FORM: Form = Form { extensible: true, rev2: false };

/// Octets of BODYSTRUCTURE in a summary at most.
const MAX_STRUCTURE: u64 = 4096;

/// BODYSTRUCTURE is kept only when it is at most one part in so many of its message.
const STRUCTURE_SHARE: u64 = 32;

/// Fields other than those of the envelope that mail programs ask for to show their lists (Thunderbird, Apple Mail,
/// K-9, mutt).
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

/// A summary. An empty field is not in the summary: the message must be read for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary<'a> {
    /// All fields of the header for which [`covers`] is true, in their order, octet by octet, and the empty line.
    #[serde(with = "serde_bytes")]
    pub fields: &'a [u8],
    /// The text that follows the word BODYSTRUCTURE, in the form [`FORM`].
    #[serde(with = "serde_bytes")]
    pub structure: &'a [u8],
}

impl<'a> Summary<'a> {
    /// Decodes what [`Summary::encode`] has made. Anything else gives an empty summary.
    pub fn decode(summary: &'a [u8]) -> Summary<'a> {
        postcard::from_bytes(summary).unwrap_or_default()
    }

    /// The encoded summary; empty for an empty summary.
    pub fn encode(&self) -> Vec<u8> {
        if *self == Summary::default() { Vec::new() } else { postcard::to_stdvec(self).unwrap_or_default() }
    }
}

/// Octets that BODYSTRUCTURE may have in the summary of a message of `size` octets.
pub fn structure_limit(size: u64) -> usize {
    MAX_STRUCTURE.min(size / STRUCTURE_SHARE) as usize
}

/// Whether summaries contain the fields with this name.
pub fn covers(name: &[u8]) -> bool {
    Envelope::has(name) || LISTED.iter().any(|known| is_name(name, known))
}

/// The fields for the summary of a message. Empty when they are too long for a summary or for their message, or when
/// the header does not end within the first 64 KiB.
///
/// # Errors
/// Errors of the source.
pub fn fields(message: &dyn ReadAt) -> io::Result<Vec<u8>> {
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
        return Ok(Vec::new()); // the header does not end here
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
        let fields = super::fields(&head.as_bytes()).unwrap();
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
    /// Catches: octets of another program or another version that are taken for a field.
    #[test]
    fn what_is_no_summary_says_nothing() {
        let summary = Summary { fields: b"Subject: x\r\n\r\n", structure: b"(\"text\" \"plain\")" };
        assert_eq!(Summary::decode(&summary.encode()), summary);
        assert!(Summary::default().encode().is_empty());
        for octets in [&b""[..], b"\x02\x00", b"\xff\xff\xff\xff\xff\xff"] {
            assert_eq!(Summary::decode(octets), Summary::default());
        }
    }
}
