//! What a message is known by besides the identity that its server gives it: a hash of what a server does not change when it
//! numbers its messages anew, or when another one has them.

use ring::digest::{Context, Digest, SHA256, digest};

use crate::message::date;

/// Octets of the body that count, line ends left out: servers differ in the last one.
const BODY: usize = 4096;
/// Octets of a line of the header that count.
const LINE: usize = 1000;
/// Octets of the header that are looked at: a message whose header goes on is not known by its content.
const HEADER: usize = 256 * 1024;

/// A message as it comes, octet by octet.
pub struct Content {
    digest: Context,
    /// The line of the header that has not ended; `None` in the body.
    line: Option<Vec<u8>>,
    /// Where the line before it belongs to.
    field: Field,
    header: usize,
    body: usize,
    /// Whether it has a Message-ID or a Date field.
    is_told_apart: bool,
    from: Vec<u8>,
    subject: Vec<u8>,
    /// The topmost field of this name.
    received: Vec<u8>,
    /// Whether that is over.
    is_received: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Field {
    MessageId,
    Date,
    From,
    Subject,
    Received,
    Other,
}

const NAMES: [(&[u8], Field); 5] = [
    (b"received", Field::Received),
    (b"message-id", Field::MessageId),
    (b"date", Field::Date),
    (b"from", Field::From),
    (b"subject", Field::Subject),
];

impl Content {
    /// Nothing has come yet.
    pub fn new() -> Content {
        Content {
            digest: Context::new(&SHA256),
            line: Some(Vec::new()),
            field: Field::Other,
            header: 0,
            body: 0,
            is_told_apart: false,
            from: Vec::new(),
            subject: Vec::new(),
            received: Vec::new(),
            is_received: false,
        }
    }

    /// Its next octets.
    pub fn update(&mut self, mut octets: &[u8]) {
        while let Some(line) = &mut self.line
            && !octets.is_empty()
            && self.header < HEADER
        {
            let lf = memchr::memchr(b'\n', octets);
            let (piece, rest) = octets.split_at(lf.map_or(octets.len(), |lf| lf + 1));
            self.header += piece.len();
            let room = LINE.saturating_sub(line.len());
            line.extend_from_slice(piece.get(..room).unwrap_or(piece));
            octets = rest;
            if lf.is_some() {
                self.end_line();
            }
        }
        if self.line.is_none() {
            for run in octets.split(|octet| matches!(octet, b'\r' | b'\n')) {
                let run = run.get(..BODY - self.body).unwrap_or(run);
                self.digest.update(run);
                self.body += run.len();
                if self.body == BODY {
                    return;
                }
            }
        }
    }

    fn end_line(&mut self) {
        let line = self.line.take().unwrap_or_default();
        let line = line.trim_ascii_end();
        if line.is_empty() {
            self.digest.update(&[0]);
            return;
        }
        self.line = Some(Vec::new());
        let mut value = line;
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let colon = line.iter().position(|octet| *octet == b':').unwrap_or(line.len());
            let (name, rest) = line.split_at(colon);
            let named = NAMES.iter().find(|(known, _)| name.trim_ascii_end().eq_ignore_ascii_case(known));
            self.field = named.map_or(Field::Other, |(_, field)| *field);
            value = rest.strip_prefix(b":").unwrap_or(rest);
            self.is_received |= !self.received.is_empty();
        }
        let value = value.trim_ascii();
        match self.field {
            Field::Other => {}
            Field::Subject => keep(&mut self.subject, value),
            Field::Received if self.is_received => {}
            Field::Received => keep(&mut self.received, value),
            field => {
                self.is_told_apart |= field != Field::From && !value.is_empty();
                if field == Field::From {
                    keep(&mut self.from, value);
                }
                self.digest.update(&[field as u8 + 1]);
                self.digest.update(value);
            }
        }
    }

    /// The hash of all that came, of a message that is listed with `size` octets; `None` where its header has no end.
    pub fn hash(&self, size: u64) -> Option<Hash> {
        if self.line.is_some() && self.header >= HEADER {
            return None;
        }
        let mut digest = self.digest.clone();
        digest.update(&[0]);
        digest.update(&size.to_be_bytes());
        Some(Hash { content: fold(&digest.finish()), is_told_apart: self.is_told_apart })
    }

    /// Whether what follows changes the hash no more, of a message of which so many octets have come.
    pub fn is_enough(&self, came: u64, size: u64) -> bool {
        self.body == BODY || size > 0 && came >= size
    }

    /// When its last server got it, in seconds since 1970, as the topmost Received field says (RFC 5321 section 4.4).
    pub fn received(&self) -> Option<i64> {
        let at = memchr::memrchr(b';', &self.received)?;
        date::parse_rfc5322(self.received.get(at + 1..)?).map(|date| date.unix)
    }

    /// The values of its From and Subject fields as far as they came, as they stand there.
    pub fn said(&self) -> (&[u8], &[u8]) {
        (&self.from, &self.subject)
    }
}

/// What [`Content::hash`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash {
    /// Never 0.
    pub content: u64,
    /// Whether another message of this content is the same one. Two that an alarm system sends may be alike in all else.
    pub is_told_apart: bool,
}

/// 64 bits of the SHA-256 of `octets`, never 0.
pub fn short_hash(octets: &[u8]) -> u64 {
    fold(&digest(&SHA256, octets))
}

fn fold(digest: &Digest) -> u64 {
    let hash = digest.as_ref().iter().take(8).fold(0, |hash, &octet| hash << 8 | u64::from(octet));
    hash.max(1)
}

/// Adds a line of a folded field, as far as there is room.
fn keep(field: &mut Vec<u8>, line: &[u8]) {
    if !field.is_empty() {
        field.push(b' ');
    }
    let room = LINE.saturating_sub(field.len());
    field.extend_from_slice(line.get(..room).unwrap_or(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(message: &str, size: u64) -> Option<u64> {
        let mut content = Content::new();
        content.update(message.as_bytes());
        content.hash(size).filter(|hash| hash.is_told_apart).map(|hash| hash.content)
    }

    const MESSAGE: &str = "Received: from a\r\n by b; Sat, 1 Jan 2000 01:00:00 +0100\r\nReceived: from c; Sat, 1 Jan 2001 00:00:00 +0000\r\nMessage-ID: <1@x>\r\nDate: Sat, 1 Jan 2000 00:00:00 +0000\r\nFrom: Ann\r\n <ann@x>\r\n\
        Subject: One\r\n two\r\n\r\nHello,\r\nthere\r\n";

    /// Catches: a hash that depends on how octets arrive, on fields that servers add, or on the last line end; one that does not
    /// depend on what tells messages apart.
    #[test]
    fn it_is_the_same_message_whatever_its_servers_add() {
        let whole = hash(MESSAGE, 7).unwrap();
        for size in 1..MESSAGE.len() {
            let mut content = Content::new();
            MESSAGE.as_bytes().chunks(size).for_each(|piece| content.update(piece));
            assert_eq!(content.hash(7).unwrap().content, whole, "in pieces of {size}");
            assert_eq!(content.said(), (&b"Ann <ann@x>"[..], &b"One two"[..]));
            assert_eq!(content.received(), Some(946_684_800), "the topmost one");
        }
        for same in [
            MESSAGE.replace("from a", "from b\r\nX-UIDL: 77"),
            MESSAGE.replace("\r\n", "\n"),
            MESSAGE.replace("there\r\n", "there"),
            MESSAGE.replace("Message-ID:", "Message-Id :"),
        ] {
            assert_eq!(hash(&same, 7), Some(whole), "{same}");
        }
        assert_ne!(hash(MESSAGE, 8), Some(whole));
        for (from, to) in
            [("<1@x>", "<2@x>"), ("2000", "2001"), ("ann@x", "bob@x"), ("Hello", "Hallo"), ("there", "here")]
        {
            assert_ne!(hash(&MESSAGE.replace(from, to), 7), Some(whole), "{to}");
        }
        assert_ne!(hash(&MESSAGE.replace("Date: ", "From: "), 7), Some(whole), "under another name");
    }

    #[test]
    fn the_body_counts_as_far_as_a_first_look_goes() {
        let long = |end: &str| hash(&format!("{MESSAGE}{}{end}", "x".repeat(BODY)), 7);
        assert_eq!(long("a"), long("b"));
        assert_ne!(hash(&format!("{MESSAGE}x"), 7), hash(&format!("{MESSAGE}y"), 7));
    }

    /// Catches: alarms of which all but the first are taken for one that came before.
    #[test]
    fn what_has_nothing_of_its_own_is_not_known_by_its_content() {
        assert_eq!(hash("From: alarm@x\r\nSubject: alarm\r\n\r\nalarm\r\n", 7), None);
        assert_eq!(hash("Date:\r\nMessage-ID: \r\n\r\nalarm\r\n", 7), None);
        assert_eq!(
            hash(&format!("{MESSAGE}\r\n").replace("\r\n\r\n", &"\r\nA: b".repeat(HEADER / 6)), 7),
            None
        );
        assert!(hash("Date: x", 7).is_none(), "its line has not ended");
    }
}
