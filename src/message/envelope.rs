//! ENVELOPE (RFC 3501 section 7.4.2): the fields of a header block that mail programs list messages by.

use std::io;
use std::ops::Range;

use super::address::{Address, Addresses};
use super::boundary::Boundaries;
use super::header::{Fields, MAX_VALUE};
use super::nstring::nstring;
use super::window::Window;
use crate::flash::ReadAt;

/// Octets after which an envelope takes no more addresses: enough for a thousand of them, and little
/// enough to be held in memory.
const MAX_ENVELOPE: usize = 64 * 1024;

/// The fields, in the order of the response.
const NAMES: [&str; 10] =
    ["Date", "Subject", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "In-Reply-To", "Message-ID"];
const FROM: usize = 2;
const ADDRESSES: Range<usize> = FROM..8;

/// The values of the fields as they stand there, unfolded.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Envelope([Option<Vec<u8>>; 10]);

impl Envelope {
    /// Whether the field `name` is part of an envelope.
    pub fn has(name: &[u8]) -> bool {
        place(name).is_some()
    }

    /// Reads the header block that stands at `header`.
    ///
    /// # Errors
    /// What the source says.
    pub fn of(source: &dyn ReadAt, header: Range<u64>) -> io::Result<Envelope> {
        let outer = Boundaries::default();
        Envelope::read(&mut Fields::new(&mut Window::new(source, header), &outer, MAX_VALUE))
    }

    /// Reads a header block to its end. Of a field that must not be repeated the first counts;
    /// address lists go on in the next one, as obsolete syntax has it (RFC 5322 section 4.5.3).
    ///
    /// # Errors
    /// What the source of the block says.
    pub fn read(fields: &mut Fields<'_, '_>) -> io::Result<Envelope> {
        let mut envelope = Envelope::default();
        while fields.next(Envelope::has)?.is_some() {
            let Some(at) = place(fields.name()) else { continue };
            match envelope.0.get_mut(at) {
                Some(value @ None) => *value = Some(fields.value().to_vec()),
                Some(Some(list)) if ADDRESSES.contains(&at) && list.len() < MAX_VALUE => {
                    list.push(b',');
                    list.extend(fields.value());
                }
                _ => (),
            }
        }
        Ok(envelope)
    }

    /// Appends the text of the response: what follows the word ENVELOPE.
    pub fn write(&self, out: &mut Vec<u8>) {
        let limit = out.len() + MAX_ENVELOPE;
        let [_, _, from, ..] = &self.0;
        for (at, value) in self.0.iter().enumerate() {
            out.push(if at == 0 { b'(' } else { b' ' });
            if !ADDRESSES.contains(&at) {
                nstring(value.as_deref(), out);
                continue;
            }
            let written = write_addresses(value.as_deref(), limit, out);
            // "Sender" and "Reply-To" default to "From".
            if !written && (FROM + 1..FROM + 3).contains(&at) && write_addresses(from.as_deref(), limit, out)
            {
                continue;
            }
            if !written {
                out.extend(b"NIL");
            }
        }
        out.push(b')');
    }
}

fn place(name: &[u8]) -> Option<usize> {
    NAMES.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Appends an address list, unless there is no address.
fn write_addresses(field: Option<&[u8]>, limit: usize, out: &mut Vec<u8>) -> bool {
    let Some(field) = field.filter(|field| !field.is_empty()) else { return false };
    let start = out.len();
    let mut in_group = false;
    for address in Addresses::new(field) {
        let group = address.host.is_none();
        // What was begun is ended, however long the text is.
        if out.len() > limit && !(in_group && group) {
            continue;
        }
        if group {
            in_group = address.mailbox.is_some();
        }
        if out.len() == start {
            out.push(b'(');
        }
        write_address(&address, out);
    }
    let any = out.len() > start;
    if any {
        out.push(b')');
    }
    any
}

fn write_address(address: &Address, out: &mut Vec<u8>) {
    let parts = [&address.name, &address.route, &address.mailbox, &address.host];
    for (at, part) in parts.into_iter().enumerate() {
        out.push(if at == 0 { b'(' } else { b' ' });
        nstring(part.as_deref(), out);
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(header: &str) -> String {
        let envelope = Envelope::of(&header.as_bytes(), 0..header.len() as u64).unwrap();
        let mut out = Vec::new();
        envelope.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_example_of_rfc_3501() {
        let header = "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n\
                      From: Terry Gray <gray@cac.washington.edu>\r\n\
                      Subject: IMAP4rev1 WG mtg summary and minutes\r\n\
                      To: imap@cac.washington.edu\r\n\
                      cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n\
                      Message-Id: <B27397-0100000@cac.washington.edu>\r\n\
                      MIME-Version: 1.0\r\n\r\n";
        assert_eq!(
            text(header),
            "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \
             \"IMAP4rev1 WG mtg summary and minutes\" \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((NIL NIL \"imap\" \"cac.washington.edu\")) \
             ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) \
             NIL NIL \"<B27397-0100000@cac.washington.edu>\")"
        );
    }

    #[test]
    fn what_is_missing_is_nil_and_what_is_empty_is_not() {
        let nothing = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)";
        for (header, expected) in [
            ("", nothing),
            ("From: \r\nSender:,\r\nTo:\r\n", nothing),
            ("Subject:\r\nSubject: second\r\n", "(NIL \"\" NIL NIL NIL NIL NIL NIL NIL NIL)"),
            (
                "Subject: caf\u{e9}\r\n\tau lait\r\n",
                "(NIL {13}\r\ncaf\u{e9}\tau lait NIL NIL NIL NIL NIL NIL NIL NIL)",
            ),
            (
                "To: u:;\nTo: a@e\n",
                "(NIL NIL NIL NIL NIL ((NIL NIL \"u\" NIL)(NIL NIL NIL NIL)(NIL NIL \"a\" \"e\")) NIL NIL NIL NIL)",
            ),
            (
                "Reply-To: r@e\nFrom: f@e\n",
                "(NIL NIL ((NIL NIL \"f\" \"e\")) ((NIL NIL \"f\" \"e\")) ((NIL NIL \"r\" \"e\")) NIL NIL NIL NIL NIL)",
            ),
        ] {
            assert_eq!(text(header), expected, "{header:?}");
        }
    }

    #[test]
    fn a_flood_of_addresses_is_cut_and_the_group_still_ends() {
        let flood = text(&format!("To: g:{}\n", "a@e,".repeat(MAX_VALUE / 5)));
        assert!(flood.len() < MAX_ENVELOPE + 200, "{}", flood.len());
        assert!(flood.ends_with("(NIL NIL \"a\" \"e\")(NIL NIL NIL NIL)) NIL NIL NIL NIL)"));
    }
}
