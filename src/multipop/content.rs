//! The content hash of a message: it covers what stays the same when a server renumbers its messages, or when another
//! server has them.

use ring::digest::{Context, Digest, SHA256, digest};

use crate::message::date;

/// Octets of the body that the hash covers, without line ends: servers differ in the last one.
const BODY: usize = 4096;
/// Octets of each header line that the hash covers.
const LINE: usize = 1000;
/// Octets of the header that are read. A message with a longer header has no content hash.
const HEADER: usize = 256 * 1024;

/// Takes in a message octet by octet and hashes it.
pub struct Content {
    digest: Context,
    /// Covers the same header fields and the whole body; `None` where that is not asked for.
    whole: Option<Context>,
    /// The header line that has not ended yet; `None` in the body.
    line: Option<Vec<u8>>,
    /// The field that the line before belongs to.
    field: Field,
    header: usize,
    body: usize,
    /// Whether the message has a Message-ID or a Date field.
    is_told_apart: bool,
    from: Vec<u8>,
    subject: Vec<u8>,
    /// The value of the topmost Received field.
    received: Vec<u8>,
    /// Whether the topmost Received field has ended.
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
    /// A message of which nothing has come yet.
    pub fn new() -> Content {
        Content {
            digest: Context::new(&SHA256),
            whole: None,
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

    /// A message of which nothing has come yet, whose whole body is hashed for [`Content::twin`].
    pub fn whole() -> Content {
        Content { whole: Some(Context::new(&SHA256)), ..Content::new() }
    }

    fn digest(&mut self, octets: &[u8]) {
        self.digest.update(octets);
        if let Some(whole) = &mut self.whole {
            whole.update(octets);
        }
    }

    /// Takes in the next octets.
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
                if let Some(whole) = &mut self.whole {
                    whole.update(run);
                }
                let run = run.get(..BODY - self.body).unwrap_or(run);
                self.digest.update(run);
                self.body += run.len();
                if self.body == BODY && self.whole.is_none() {
                    return;
                }
            }
        }
    }

    fn end_line(&mut self) {
        let line = self.line.take().unwrap_or_default();
        let line = line.trim_ascii_end();
        if line.is_empty() {
            self.digest(&[0]);
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
                let field = [field as u8 + 1];
                self.digest(&field);
                self.digest(value);
            }
        }
    }

    /// The hash of all that came, of a message that is listed with `size` octets; `None` where its header is too
    /// long.
    pub fn hash(&self, size: u64) -> Option<Hash> {
        if self.line.is_some() && self.header >= HEADER {
            return None;
        }
        let mut digest = self.digest.clone();
        digest.update(&[0]);
        digest.update(&size.to_be_bytes());
        Some(Hash { content: fold(&digest.finish()), is_told_apart: self.is_told_apart })
    }

    /// The hash by which the same message from another server is known: Message-ID, Date, From and the whole body,
    /// without the fields that servers add. `None` where it cannot tell messages apart, or was not asked for.
    pub fn twin(&self) -> Option<Digest> {
        let whole = self.whole.as_ref().filter(|_| self.is_told_apart && self.line.is_none());
        whole.map(|whole| whole.clone().finish())
    }

    /// Whether no later octets change the hash. `came` octets of a message that is listed with `size` have come.
    pub fn is_enough(&self, came: u64, size: u64) -> bool {
        self.body == BODY || size > 0 && came >= size
    }

    /// When the last server on its way received the message, in seconds since 1970, from the topmost Received field
    /// (RFC 5321 section 4.4).
    pub fn received(&self) -> Option<i64> {
        let at = memchr::memrchr(b';', &self.received)?;
        date::parse_rfc5322(self.received.get(at + 1..)?).map(|date| date.unix)
    }

    /// The values of the From and Subject fields as far as they came, undecoded.
    pub fn said(&self) -> (&[u8], &[u8]) {
        (&self.from, &self.subject)
    }
}

/// The result of [`Content::hash`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash {
    /// The hash, never 0.
    pub content: u64,
    /// Whether another message with this hash is the same message. Without Message-ID and Date two messages of an
    /// alarm system may be alike in everything else.
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

    /// Catches: a hash that depends on how octets arrive, on fields that servers add, or on the last line end; a hash
    /// that leaves out what tells messages apart.
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

    /// Catches: a twin hash that depends on what servers add, or on the beginning of the body alone.
    #[test]
    fn a_twin_is_known_wherever_it_was() {
        let twin = |message: &str, size: usize| {
            let mut content = Content::whole();
            message.as_bytes().chunks(size).for_each(|piece| content.update(piece));
            content.twin().map(|digest| digest.as_ref().to_vec())
        };
        let long = format!("{MESSAGE}{}end\r\n", "x".repeat(BODY));
        let one = twin(&long, 1000).unwrap();
        assert_eq!(
            twin(&long.replace("Received: from a", "X-UIDL: 7\r\nReceived: from b"), 7),
            Some(one.clone())
        );
        for other in [long.replace("end", "End"), long.replace("<1@x>", "<2@x>")] {
            assert_ne!(twin(&other, 1000), Some(one.clone()));
        }
        assert_eq!(twin("From: alarm@x\r\n\r\nalarm\r\n", 5), None);
        assert!(Content::new().twin().is_none());
    }

    #[test]
    fn the_body_counts_as_far_as_a_first_look_goes() {
        let long = |end: &str| hash(&format!("{MESSAGE}{}{end}", "x".repeat(BODY)), 7);
        assert_eq!(long("a"), long("b"));
        assert_ne!(hash(&format!("{MESSAGE}x"), 7), hash(&format!("{MESSAGE}y"), 7));
    }

    /// Catches: alarms of which all but the first are taken for a message that came before.
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
