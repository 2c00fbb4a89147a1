//! What the store keeps beside each message, so that listing and header searches need not open it.
//!
//! A summary holds the message's own fields, octet by octet, not what was made of them: ENVELOPE is
//! written from it as from the message itself, and gets better when the parser does.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::boundary::Boundaries;
use super::envelope::Envelope;
use super::header::Fields;
use super::window::Window;

/// Octets of a message that [`summarize`] looks at; the store hands it no more.
pub const HEAD: usize = 64 * 1024;

/// Octets of fields in a summary.
const MAX_FIELDS: usize = 8 * 1024;

/// A summary is no longer than this part of its message: writing is what wears flash, and a small
/// message is read as fast as its summary.
const SHARE: usize = 8;

/// Of another version nothing is understood, and the message itself is read.
const VERSION: u8 = 1;

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

/// A summary, read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary<'a> {
    version: u8,
    /// All fields of the header that [`Summary::covers`], in their order, octet by octet, and the empty
    /// line. `None`: too long for a summary, or for its message, or the header goes on beyond the first
    /// 64 KiB; the message tells.
    pub fields: Option<&'a [u8]>,
}

impl<'a> Summary<'a> {
    /// Reads what [`summarize`] made; of anything else, a summary that says nothing.
    pub fn decode(summary: &'a [u8]) -> Summary<'a> {
        let summary = postcard::from_bytes(summary).ok();
        summary.filter(|summary: &Summary<'a>| summary.version == VERSION).unwrap_or_default()
    }

    /// Whether the fields of this name are in summaries.
    pub fn covers(name: &[u8]) -> bool {
        Envelope::has(name) || LISTED.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    }
}

/// The summary of the message that begins with `head`, its first 64 KiB or all of it.
pub fn summarize(head: &[u8]) -> Vec<u8> {
    let fields = fields(head).unwrap_or_default();
    let summary = Summary { version: VERSION, fields: fields.as_deref() };
    postcard::to_stdvec(&summary).unwrap_or_default()
}

fn fields(head: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let mut window = Window::new(&head, 0..head.len() as u64);
    let outer = Boundaries::default();
    let mut reader = Fields::new(&mut window, &outer, 0);
    let mut fields = Vec::new();
    let limit = MAX_FIELDS.min(head.len() / SHARE);
    let raw = |place: Range<u64>| head.get(place.start as usize..place.end as usize).unwrap_or_default();
    let mut end = 0;
    while let Some(place) = reader.next(|_| false)? {
        end = place.end;
        if Summary::covers(reader.name()) {
            fields.extend(raw(place));
        }
        if fields.len() > limit {
            return Ok(None);
        }
    }
    let empty_line = raw(end..window.position());
    if empty_line.is_empty() && head.len() >= HEAD {
        return Ok(None); // the header goes on
    }
    fields.extend(empty_line);
    Ok(Some(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(head: &str) -> Option<String> {
        let summary = summarize(head.as_bytes());
        Summary::decode(&summary).fields.map(|fields| String::from_utf8_lossy(fields).into_owned())
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
        assert_eq!(kept(&endless[..HEAD]), None);
        assert_eq!(kept(&"a: b\n".repeat(9)).as_deref(), Some(""), "but a whole message is");
    }

    #[test]
    fn what_is_no_summary_says_nothing() {
        for bytes in [&b""[..], b"\x02\x00", b"\x01\x01\xff", b"\xff\xff\xff\xff\xff\xff"] {
            assert_eq!(Summary::decode(bytes), Summary::default());
        }
    }
}
