//! Whether a message contains a text, compared by `i;unicode-casemap` (RFC 5255), in any charset and encoding (RFC
//! 3501 section 6.4.4). Attachments that are not text are skipped, but their names are searched.
//!
//! A search goes in steps of a window, so that a caller can give others a turn in between. `message::texts` finds the
//! texts of a message.

use std::io;
use std::ops::Range;

use super::address::Addresses;
use super::encoded_word::decode;
pub use super::fold::Needle;
use super::header::{self, MAX_HEADER, MAX_VALUE};
pub use super::texts::Scope;
use super::texts::{TextVisitor, TextWalk};
use crate::flash::ReadAt;

/// Whether a field `name` in the header block at `header` contains the needle.
///
/// # Errors
/// Errors of the source.
pub fn in_field(source: &dyn ReadAt, header: Range<u64>, name: &str, needle: &Needle) -> io::Result<bool> {
    let wanted = |field: &[u8]| header::is_name(field, name);
    any(source, header, MAX_VALUE, wanted, |value| needle.is_in(&decode(value)))
}

/// Whether `found` is true for the value of one of the `wanted` fields.
fn any(
    source: &dyn ReadAt,
    header: Range<u64>,
    limit: usize,
    wanted: impl Fn(&[u8]) -> bool,
    mut found: impl FnMut(&[u8]) -> bool,
) -> io::Result<bool> {
    let mut is_there = false;
    header::visit(source, header, limit, wanted, |_, value| {
        is_there = found(&value);
        !is_there
    })?;
    Ok(is_there)
}

/// Whether the addresses of a field `name` in the header block at `header` contain the needle. They are split as for
/// ENVELOPE: names are decoded, comments and quotes removed (RFC 3501 section 6.4.4: FROM, TO, CC, BCC). An address
/// is searched as `name <mailbox@host>`, a list with `, ` between its addresses.
///
/// # Errors
/// Errors of the source.
pub fn in_addresses(
    source: &dyn ReadAt,
    header: Range<u64>,
    name: &str,
    needle: &Needle,
) -> io::Result<bool> {
    // A user who copies an address from a header copies the quotes of the name, too.
    let forms: &[bool] = if needle.has_quotes() { &[false, true] } else { &[false] };
    let wanted = |field: &[u8]| header::is_name(field, name);
    address_lists(source, header, wanted, |field| {
        forms.iter().any(|quoted| needle.is_in(&list(field, *quoted)))
    })
}

/// Calls `look` with the texts that [`in_addresses`] searches, for all fields that it is used for.
///
/// # Errors
/// Errors of the source.
pub fn texts_of_addresses(
    source: &dyn ReadAt,
    header: Range<u64>,
    mut look: impl FnMut(&str),
) -> io::Result<()> {
    let wanted = |field: &[u8]| ADDRESSED.iter().any(|name| header::is_name(field, name));
    let show = |field: &[u8]| {
        [false, true].into_iter().for_each(|quoted| look(&list(field, quoted)));
        false
    };
    address_lists(source, header, wanted, show).map(drop)
}

/// The fields whose addresses SEARCH searches (RFC 3501 section 6.4.4).
const ADDRESSED: [&str; 4] = ["From", "To", "Cc", "Bcc"];

/// Whether `found` is true for one of the `wanted` fields.
fn address_lists(
    source: &dyn ReadAt,
    header: Range<u64>,
    wanted: impl Fn(&[u8]) -> bool,
    found: impl FnMut(&[u8]) -> bool,
) -> io::Result<bool> {
    // The whole list, as for ENVELOPE: an address that is cut off would be another address.
    any(source, header, usize::try_from(MAX_HEADER).unwrap_or(usize::MAX), wanted, found)
}

/// The text of an address list, with its names in quotes or not.
fn list(field: &[u8], quoted: bool) -> String {
    let mut text = String::new();
    for address in Addresses::new(field) {
        let Some(host) = address.host else {
            // A group begins or ends.
            match address.mailbox {
                Some(name) => text.extend([&decode(&name), ": "]),
                None => text.push_str("; "),
            }
            continue;
        };
        let mut spec = decode(&address.mailbox.unwrap_or_default());
        if !host.is_empty() {
            spec.extend(["@", &decode(&host)]);
        }
        match address.name {
            Some(name) if quoted => text.extend(["\"", &decode(&name), "\" <", &spec, ">"]),
            Some(name) => text.extend([&decode(&name), " <", &spec, ">"]),
            None => text.push_str(&spec),
        }
        text.push_str(", ");
    }
    text
}

/// Searches a whole message for a text, step by step.
pub struct Search<'a> {
    walk: TextWalk<'a>,
    needle: &'a Needle,
}

impl<'a> Search<'a> {
    /// Begins to search `message` for `needle`.
    pub fn new(message: &'a dyn ReadAt, needle: &'a Needle, scope: Scope) -> Search<'a> {
        Search { walk: TextWalk::new(message, scope), needle }
    }

    /// Octets that were read so far.
    pub fn passed(&self) -> u64 {
        self.walk.passed()
    }

    /// Searches about one more window, or a header when that is longer. Returns the result; `None` when it is not
    /// decided yet.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn step(&mut self) -> io::Result<Option<bool>> {
        self.walk.step(&mut self.needle)
    }
}

impl TextVisitor for &Needle {
    fn text(&mut self, text: &str) -> bool {
        self.is_in(text)
    }
    fn piece(&mut self, folded: &mut Vec<u8>, new: usize) -> bool {
        self.is_in_folded(folded, new)
    }
    fn overlap(&self) -> usize {
        Needle::overlap(self)
    }
    fn undoes_references(&self) -> bool {
        self.may_be_references()
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::WINDOW;
    use super::*;

    fn found(message: &[u8], text: &str, scope: Scope) -> bool {
        let needle = Needle::new(text);
        let mut search = Search::new(&message, &needle, scope);
        loop {
            if let Some(found) = search.step().unwrap() {
                return found;
            }
        }
    }

    const MESSAGE: &str = "\
Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= aus
  Wien
Content-Type: multipart/mixed; boundary=b

preamble
--b
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Caf=E9 und Sa=
hne
--b
Content-Type: text/plain; charset=koi8-r
Content-Transfer-Encoding: base64

8NLJ18XU
--b
Content-Type: message/rfc822

Subject: inner
Content-Type: text/html

<b>bold</b>
--b
Content-Type: application/octet-stream; name=\"report.pdf\"
Content-Transfer-Encoding: base64

aGlkZGVu
--b
Content-Type: message/delivery-status

Action: failed
--b--
";

    #[test]
    fn text_is_found_as_a_reader_sees_it() {
        for (text, in_body, in_text) in [
            ("CAF\u{c9} UND SAHNE", true, true),
            ("\u{43f}\u{420}\u{418}\u{432}\u{435}\u{442}", true, true),
            ("gr\u{fc}\u{df}e aus  wien", false, true),
            ("GRU\u{308}\u{df}E", false, true),
            ("GR\u{dc}SSE", false, false),
            ("subject: inner", true, true),
            ("BOLD", true, true),
            ("report.pdf", true, true),
            ("text/html", false, false),
            ("multipart", false, true),
            ("action: FAILED", true, true),
            ("hidden", false, false),
            ("aGlkZGVu", false, false),
            ("preamble", false, false),
            ("", true, true),
        ] {
            assert_eq!(found(MESSAGE.as_bytes(), text, Scope::Body), in_body, "{text} in the body");
            assert_eq!(found(MESSAGE.as_bytes(), text, Scope::Text), in_text, "{text} in all of it");
        }
    }

    #[test]
    fn a_text_is_found_across_windows() {
        for padding in (WINDOW - 20..WINDOW + 20).chain(2 * WINDOW - 20..2 * WINDOW + 20) {
            let message = format!("\n{}\u{fc}ber den Rand", " ".repeat(padding));
            assert!(found(message.as_bytes(), "\u{dc}BER DEN RAND", Scope::Body));
            assert!(!found(message.as_bytes(), "\u{fc}ber den rand ", Scope::Body));
            let message = format!("\n{}\u{fc}ber\r\n \r\n den \t Rand", "x".repeat(padding));
            assert!(found(message.as_bytes(), "x\u{fc}ber den rand", Scope::Body), "{padding}");
            assert!(!found(message.as_bytes(), "\u{fc}berden", Scope::Body));
        }
    }

    #[test]
    fn a_field_is_found_by_name_and_content() {
        let header = 0..MESSAGE.find("preamble").unwrap() as u64;
        let has = |name: &str, text: &str| {
            in_field(&MESSAGE.as_bytes(), header.clone(), name, &Needle::new(text)).unwrap()
        };
        assert!(has("SUBJECT", "gr\u{fc}\u{df}e"));
        assert!(has("Content-type", ""), "an empty text: there is such a field");
        assert!(!has("Cc", "") && !has("Subject", "inner"));
    }

    /// Catches: a charset, an encoding or a kind of text that is skipped, although a reader sees the text.
    #[test]
    fn what_a_reader_sees_is_found() {
        for (message, text) in [
            (&b"Content-Type: text/html\n\n<p>Gr&uuml;&szlig;e&nbsp;aus &lt;Wien&gt;</p>"[..], "gr\u{fc}\u{df}e aus <wien>"),
            (b"Content-Type: text/plain; charset=cp850\n\nGr\x81\xe1e", "gr\u{fc}\u{df}e"),
            (b"Content-Type: text/plain; charset=utf-7\n\nGr+APwA3w-e", "gr\u{fc}\u{df}e"),
            (b"Content-Type: text/plain; charset=utf-7\n\nplain", "plain"),
            (b"\nGr\xfc\xdfe", "gr\u{fc}\u{df}e"),
            (b"Content-Type: text/plain charset=koi8-r\nContent-Transfer-Encoding: base64(c)\n\n8NLJ18XU", "\u{41f}\u{440}\u{438}"),
            (b"Content-Transfer-Encoding: quoted-printable\n\nfoo= \t\r\nbar", "foobar"),
            (b"Content-Type: application/json\n\n{\"k\":\"v\"}", "{\"k\""),
            (b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogaGlkZGVuCg==", "hidden"),
            (b"Content-Type: message/global\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogaGlkZGVuCg==", "hidden"),
            (b"Content-Type: message/global\n\nContent-Transfer-Encoding: base64\n\naGlkZGVu", "hidden"),
            // Of two fields BODYSTRUCTURE tells the first that is not empty.
            (b"Content-Type:\nContent-Type: text/plain; charset=koi8-r\nContent-Type: text/plain; charset=utf-8\n\n\xf0\xd2\xc9", "\u{41f}\u{440}\u{438}"),
            (b"Content-Transfer-Encoding:\nContent-Transfer-Encoding: base64, x\nContent-Transfer-Encoding: 7bit\n\naGlkZGVu", "hidden"),
            (b"Content-Type:\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n\naGlkZGVu", "hidden"),
            (b"Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$BF|\x1b(B\x1b$BK\\\x1b(B", "\u{65e5}\u{672c}"),
        ] {
            assert!(found(message, text, Scope::Body), "{}", String::from_utf8_lossy(message));
        }
        // Deeper than parts are told.
        let deep = |levels: usize| -> String {
            (0..levels).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n")).collect()
        };
        assert!(found(format!("{}\n\nhidden", deep(100)).as_bytes(), "hidden", Scope::Body));
        let name = b"Content-Disposition: attachment; filename*=koi8-r''%F0%D2\n\n";
        assert!(found(name, "\u{41f}\u{440}", Scope::Text) && !found(name, "\u{41f}\u{440}", Scope::Body));
        let part = [b"Content-Type: multipart/mixed; boundary=b\n\n--b\n", &name[..]].concat();
        assert!(found(&part, "\u{41f}\u{440}", Scope::Body));
    }

    /// Catches: a comment, quotes or a fold within an address that prevent it from being found, and a comment that is
    /// found.
    #[test]
    fn addresses_are_found_as_envelope_has_them() {
        let header = "From: ann(home)@home.test (Ann \\(B.\\))\r\n\
                      To: \"Doe, =?utf-8?Q?J=C3=BC?=\"\r\n <j . doe@(x)e.org>, Friends: bob@e;\r\nTo: Carl carl@e (c)\r\n\
                      Cc:\r\n\r\n";
        let has = |name: &str, text: &str| {
            in_addresses(&header.as_bytes(), 0..u64::MAX, name, &Needle::new(text)).unwrap()
        };
        for (name, text) in [
            ("FROM", "ANN@home.test"),
            ("From", "Ann (B.) <ann@home.test>"),
            ("To", "doe, j\u{fc} <j.doe@e.org>"),
            ("To", "\"Doe, J\u{fc}\" <j.doe@e.org>, "),
            ("To", "friends: bob@e"),
            ("to", "Carl <carl@e>"),
            ("Cc", ""),
        ] {
            assert!(has(name, text), "{name} {text}");
        }
        for (name, text) in [("From", "home)"), ("To", "(c)"), ("To", "utf-8"), ("To", "ann"), ("Bcc", "")] {
            assert!(!has(name, text), "{name} {text}");
        }
    }

    #[test]
    fn unlabelled_and_mislabelled_text() {
        assert!(found("\ncaf\u{e9}".as_bytes(), "CAF\u{c9}", Scope::Body));
        assert!(found(
            "Content-Type: text/plain; charset=us-ascii\n\ncaf\u{e9}".as_bytes(),
            "caf\u{e9}",
            Scope::Body
        ));
        assert!(found(
            b"Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$BF|K\\\x1b(B",
            "\u{65e5}\u{672c}",
            Scope::Body
        ));
        assert!(found(b"Content-Type: text/plain; charset=no-such\n\nplain", "PLAIN", Scope::Body));
    }
}
