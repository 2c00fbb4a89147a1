//! An IMAP command as it comes over the wire: lines and literals, put together and parsed.

use crate::imap::wire::fragments::{Fragments, Next};
use crate::imap::wire::grammar;
use crate::message::mailbox_name;

/// One input.
pub fn run(wire: &[u8]) {
    let _ = grammar::parse(wire);
    if let Some(name) = mailbox_name::decode(wire) {
        assert_eq!(mailbox_name::decode(mailbox_name::encode(&name).as_bytes()), Some(name));
    }

    let mut gather = Fragments::new(64 << 10);
    let mut rest = wire;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let (line, after) = (&rest[..end], &rest[end + 2..]);
        rest = after;
        match gather.line(line, true) {
            Next::Finished => break,
            Next::Literal { length, .. } => {
                let length = (length as usize).min(rest.len());
                gather.literal(&rest[..length]);
                rest = &rest[length..];
            }
            Next::Skip(length) | Next::Message { length, .. } => {
                rest = &rest[(length as usize).min(rest.len())..]
            }
        }
    }
    let _ = gather.finish();
}
