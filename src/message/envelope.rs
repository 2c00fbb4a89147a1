//! ENVELOPE (RFC 3501 section 7.4.2): the fields of a header block that mail programs need for lists of messages.

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use super::address::{Address, Addresses};
use super::header::{self, MAX_HEADER};
use super::nstring::nstring;
use crate::flash::ReadAt;

/// Addresses of an envelope at most: each takes some 20 octets more in the response than in the header, which is
/// limited already. Real mail has at most some thousand.
const MAX_ADDRESSES: usize = 4096;

/// Addresses of an envelope that are reserved for each of the fields that are still to be written.
const SHARE: usize = 256;

/// The fields, in the order of the response.
const NAMES: [&str; 10] =
    ["Date", "Subject", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "In-Reply-To", "Message-ID"];
const FROM: usize = 2;
const ADDRESSES: Range<usize> = FROM..8;

/// The values of the fields as they are in the header, unfolded.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The index in `NAMES` and the value of each field, in the order of the header.
    fields: Vec<(usize, Cow<'a, [u8]>)>,
}

impl<'a> Envelope<'a> {
    /// Whether the field `name` is part of an envelope.
    pub fn has(name: &[u8]) -> bool {
        place(name).is_some()
    }

    /// Reads the header block at `header`.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn of(source: &'a dyn ReadAt, header: Range<u64>) -> io::Result<Envelope<'a>> {
        // Whole values, since an address that is cut off would be another address.
        let limit = usize::try_from(MAX_HEADER).unwrap_or(usize::MAX);
        let mut fields = Vec::with_capacity(NAMES.len());
        header::visit(source, header, limit, Envelope::has, |name, value| {
            fields.extend(place(name).map(|at| (at, value)));
            true
        })?;
        Ok(Envelope { fields })
    }

    /// The value of a field. When a field must not be repeated, the first one counts; address lists continue in the
    /// next field of that name, as obsolete syntax allows (RFC 5322 section 4.5.3).
    fn value(&self, at: usize) -> Option<Cow<'_, [u8]>> {
        let mut all = self.fields.iter().filter(|(of, _)| *of == at).map(|(_, value)| &**value);
        let first = all.next()?;
        if !ADDRESSES.contains(&at) {
            return Some(first.into());
        }
        let mut list = Cow::from(first);
        for more in all {
            let list = list.to_mut();
            list.push(b',');
            list.extend_from_slice(more);
        }
        Some(list)
    }

    /// Appends the text of the response: what follows the word ENVELOPE.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut left = MAX_ADDRESSES;
        // Where the text for From is, and how many addresses it has.
        let mut from_written = (0..0, 0);
        for at in 0..NAMES.len() {
            out.push(if at == 0 { b'(' } else { b' ' });
            if !ADDRESSES.contains(&at) {
                nstring(self.value(at).as_deref(), out);
                continue;
            }
            let room = left.saturating_sub(SHARE * (ADDRESSES.end - 1 - at));
            let begin = out.len();
            let mut written = write_addresses(self.value(at).as_deref(), room, out);
            if at == FROM {
                from_written = (begin..out.len(), written);
            }
            // "Sender" and "Reply-To" default to "From".
            if written == 0 && (FROM + 1..FROM + 3).contains(&at) {
                written = from_written.1;
                if written <= SHARE {
                    out.extend_from_within(from_written.0.clone());
                } else {
                    written = write_addresses(self.value(FROM).as_deref(), SHARE, out);
                }
            }
            if written == 0 {
                out.extend(b"NIL");
            }
            left = left.saturating_sub(written);
        }
        out.push(b')');
    }
}

fn place(name: &[u8]) -> Option<usize> {
    NAMES.iter().position(|known| header::is_name(name, known))
}

/// Appends an address list of at most `room` addresses, and returns how many. Appends nothing when there are none.
fn write_addresses(field: Option<&[u8]>, room: usize, out: &mut Vec<u8>) -> usize {
    let mut written = 0;
    let mut in_group = false;
    for address in Addresses::new(field.unwrap_or_default()) {
        if written >= room {
            if in_group {
                write_address(&Address::default(), out); // ends the group that was begun
            }
            break;
        }
        if address.host.is_none() {
            in_group = address.mailbox.is_some();
        }
        if written == 0 {
            out.push(b'(');
        }
        write_address(&address, out);
        written += 1;
    }
    if written > 0 {
        out.push(b')');
    }
    written
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
        let header = header.as_bytes();
        let mut out = Vec::new();
        Envelope::of(&header, 0..header.len() as u64).unwrap().write(&mut out);
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
        let list = "a@e,".repeat(2 * MAX_ADDRESSES);
        let flood = text(&format!("To: g:{list}\n"));
        let address = "(NIL NIL \"a\" \"e\")";
        let end = format!("{address}(NIL NIL NIL NIL)) NIL NIL NIL NIL)");
        assert!(flood.ends_with(&end));
        let taken = flood.matches(address).count();
        assert!((MAX_ADDRESSES * 3 / 4..MAX_ADDRESSES).contains(&taken), "{taken}");
        let flood = text(&format!("From: {list}\nCc: {list}\nBcc: {list}\n"));
        assert!(flood.matches(address).count() <= MAX_ADDRESSES);
    }

    /// Catches: a long field that takes the room of others, and an address that is cut off at a limit and so becomes
    /// another one.
    #[test]
    fn a_long_field_costs_no_other_field() {
        let subject = "x".repeat(65_000);
        let many: String = (0..3000).map(|n| format!("Recipient <r{n:04}@home.test>, ")).collect();
        let all = text(&format!(
            "Subject: {subject}\nTo: {many}\nFrom: ann@e\nCc: {many}\nCc: bob@e\nMessage-ID: <m@e>\nIn-Reply-To: <i@e>\n"
        ));
        assert!(all.contains(&subject) && all.ends_with(" \"<i@e>\" \"<m@e>\")"));
        assert_eq!(all.matches("(NIL NIL \"ann\" \"e\")").count(), 3);
        assert_eq!(all.matches("\"r2999\"").count(), 1, "all recipients of the first field");
        let cc = all.matches("(\"Recipient\" NIL \"r").count() - 3000;
        assert!((SHARE..1000).contains(&cc), "{cc}");
    }
}
