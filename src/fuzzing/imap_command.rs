//! An IMAP command as it comes over the wire: lines and literals, put together and parsed.

use crate::imap::wire::command::{Command, Tagged};
use crate::imap::wire::extension::{Enabled, Extension};
use crate::imap::wire::fragments::{Fragments, Next};
use crate::imap::wire::grammar;
use crate::imap::wire::grammar::append::{Part, Parts};
use crate::imap::wire::url::MessageUrl;
use crate::message::mailbox_name;

/// One input.
pub fn run(wire: &[u8]) {
    let mut utf8 = Enabled::default();
    utf8.insert(Extension::Utf8Accept);
    let _ = grammar::parse(wire, Enabled::default());
    let _ = grammar::parse(wire, utf8);
    if let Some(name) = mailbox_name::decode(wire) {
        assert_eq!(mailbox_name::decode(mailbox_name::encode(&name).as_bytes()), Some(name));
    }

    let mut gather = Fragments::new(64 << 10, Enabled::default());
    let mut rest = wire;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let (line, after) = (&rest[..end], &rest[end + 2..]);
        rest = after;
        match gather.line(line, true) {
            Next::Finished => break,
            Next::Literal(literal) => {
                let length = (literal.length as usize).min(rest.len());
                gather.literal(&rest[..length]);
                rest = &rest[length..];
            }
            Next::Skip(length) => rest = &rest[(length as usize).min(rest.len())..],
            Next::Append(append) => {
                parts(append, rest);
                break;
            }
        }
    }
    let _ = gather.finish();
}

/// The parts of an APPEND, each line of `rest` behind a literal.
fn parts(append: Tagged, rest: &[u8]) {
    let Command::Append(append) = append.command else { panic!("{append:?}") };
    let mut parts = Parts::new(append.text, append.replaces.is_some(), Enabled::default());
    for line in rest.split(|&octet| octet == b'\n') {
        loop {
            match parts.next(true) {
                Ok(Part::Octets | Part::UrlLiteral) => break,
                Ok(Part::Url(url)) => drop(MessageUrl::parse(&url)),
                Ok(_) => {}
                Err(_) => return,
            }
        }
        parts.line(line);
    }
}
