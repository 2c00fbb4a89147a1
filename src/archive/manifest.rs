//! Text files for what Maildir and mbox cannot hold: one for each mailbox, and one for the whole export.
//!
//! ```text
//! pillarbox-mailbox 1
//! name Archive/2024
//! uidvalidity 1700000000
//! uidnext 18
//! highestmodseq 42
//! keyword work
//! annotation aGVsbG8= /shared/comment      its value in base64, its entry (RFC 5464)
//! message 17 42 1700000123 2048 101     UID, MODSEQ, INTERNALDATE, octets, flags in hexadecimal: as in docs/store.md
//! message 17 … 101 55 20 2049           mbox: where it begins, octets of the header fields put before it, octets quoted
//! file 123456                           mbox: octets of the mbox file, the last line
//! ```
//!
//! ```text
//! pillarbox-export 1
//! account office
//! format maildir
//! state complete                        or: unfinished
//! subscribed INBOX
//! ```

use std::io::{self, BufRead, Read};

use data_encoding::BASE64;

use super::Format;
use crate::store::{Flags, MailboxNumbers, Uid};

/// The name of the manifest in a Maildir.
pub const MANIFEST: &str = "pillarbox-mailbox";
/// The extension of a manifest beside an mbox file.
pub const EXTENSION: &str = "pillarbox";
/// The name of the export's own file.
pub const EXPORT: &str = "pillarbox-export";
/// Octets of a line, at most: a name, or an annotation in base64, is much shorter.
const LINE_MAX: u64 = 64 << 10;
/// The largest accepted MODSEQ. RFC 7162 allows 63 bits; higher numbers are left for later changes.
const MODSEQ_MAX: u64 = 1 << 62;

/// What a manifest says of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name in the account.
    pub name: String,
    /// UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ.
    pub numbers: MailboxNumbers,
    /// The keywords in the order of their bits.
    pub keywords: Vec<String>,
    /// The annotations: entries and values.
    pub annotations: Vec<(String, Vec<u8>)>,
    /// Octets of the mbox file; `None` for a Maildir.
    pub file: Option<u64>,
}

/// What a manifest says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// UID.
    pub uid: Uid,
    /// MODSEQ.
    pub modseq: u64,
    /// INTERNALDATE.
    pub date: i64,
    /// Octets of the message.
    pub size: u32,
    /// Its flags.
    pub flags: Flags,
    /// The place in the mbox file; `None` for a Maildir.
    pub place: Option<Span>,
}

/// The place of a message in an mbox file, without its `From ` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The offset of the header fields that the export has put before the message.
    pub offset: u64,
    /// Octets of these fields.
    pub added: u64,
    /// Octets of the message in the file, with its `From ` lines quoted.
    pub quoted: u64,
}

impl Header {
    /// The lines of the header.
    pub fn text(&self) -> String {
        let MailboxNumbers { uid_validity, uid_next, highest_modseq } = self.numbers;
        let mut text = format!(
            "{MANIFEST} 1\nname {}\nuidvalidity {uid_validity}\nuidnext {uid_next}\nhighestmodseq {highest_modseq}\n",
            self.name
        );
        self.keywords.iter().for_each(|keyword| text += &format!("keyword {keyword}\n"));
        for (entry, value) in &self.annotations {
            text += &format!("annotation {} {entry}\n", BASE64.encode(value));
        }
        text
    }
}

/// The last line of an mbox file's manifest.
pub fn file(octets: u64) -> String {
    format!("file {octets}\n")
}

impl Line {
    /// The line of the message.
    pub fn text(&self) -> String {
        let Line { uid, modseq, date, size, flags, place } = self;
        let place = place
            .map(|Span { offset, added, quoted }| format!(" {offset} {added} {quoted}"))
            .unwrap_or_default();
        format!("message {uid} {modseq} {date} {size} {:x}{place}\n", flags.0)
    }

    fn parse(words: &str) -> Option<Line> {
        let mut words = words.split(' ');
        let mut line = Line {
            uid: words.next()?.parse().ok().filter(|uid| *uid > 0)?,
            modseq: words.next()?.parse().ok().filter(|modseq| *modseq <= MODSEQ_MAX)?,
            date: words.next()?.parse().ok()?,
            size: words.next()?.parse().ok()?,
            flags: Flags(u64::from_str_radix(words.next()?, 16).ok()?),
            place: None,
        };
        if let Some(offset) = words.next() {
            line.place = Some(Span {
                offset: offset.parse().ok()?,
                added: words.next()?.parse().ok()?,
                quoted: words.next()?.parse().ok()?,
            });
        }
        Some(line)
    }
}

fn annotation(words: &str) -> Option<(String, Vec<u8>)> {
    let (value, entry) = words.split_once(' ')?;
    Some((entry.to_owned(), BASE64.decode(value.as_bytes()).ok()?))
}

fn invalid(line: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("line {line} makes no sense"))
}

/// Parses a manifest. Returns its header, and gives each message's line to `each`.
///
/// # Errors
/// `InvalidData` with the number of the line.
pub fn read(mut text: impl BufRead, mut each: impl FnMut(Line)) -> io::Result<Header> {
    let numbers = MailboxNumbers { uid_validity: 0, uid_next: 1, highest_modseq: 1 };
    let mut header =
        Header { name: String::new(), numbers, keywords: Vec::new(), annotations: Vec::new(), file: None };
    let mut line = String::new();
    for n in 1.. {
        line.clear();
        let octets = (&mut text).take(LINE_MAX).read_line(&mut line)?;
        if octets == 0 {
            break;
        }
        let line = match line.strip_suffix('\n') {
            None if octets as u64 == LINE_MAX => return Err(invalid(n)),
            None => &line,
            Some(line) => line.strip_suffix('\r').unwrap_or(line),
        };
        let (key, value) = line.split_once(' ').ok_or_else(|| invalid(n))?;
        let number = || value.parse::<u64>().map_err(|_| invalid(n));
        match key {
            MANIFEST if n == 1 && value == "1" => {}
            _ if n == 1 => return Err(invalid(n)),
            "name" => value.clone_into(&mut header.name),
            "uidvalidity" => header.numbers.uid_validity = value.parse().map_err(|_| invalid(n))?,
            "uidnext" => header.numbers.uid_next = value.parse().map_err(|_| invalid(n))?,
            "highestmodseq" => header.numbers.highest_modseq = number()?.min(MODSEQ_MAX),
            "keyword" => header.keywords.push(value.to_owned()),
            "annotation" => header.annotations.push(annotation(value).ok_or_else(|| invalid(n))?),
            "file" => header.file = Some(number()?),
            "message" => each(Line::parse(value).ok_or_else(|| invalid(n))?),
            _ => return Err(invalid(n)),
        }
    }
    if header.name.is_empty() || header.numbers.uid_validity == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "name or uidvalidity is missing"));
    }
    Ok(header)
}

/// What is known of a whole export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The name of the account.
    pub account: String,
    /// The format of the files.
    pub format: Format,
    /// Whether the export was completed.
    pub complete: bool,
    /// The subscribed names.
    pub subscriptions: Vec<String>,
}

impl Export {
    /// The lines of the file.
    pub fn text(&self) -> String {
        let state = if self.complete { "complete" } else { "unfinished" };
        let (account, format) = (&self.account, self.format.name());
        let mut text = format!("{EXPORT} 1\naccount {account}\nformat {format}\nstate {state}\n");
        self.subscriptions.iter().for_each(|name| text += &format!("subscribed {name}\n"));
        text
    }

    /// Parses the file.
    ///
    /// # Errors
    /// `InvalidData` with the number of the line.
    pub fn parse(text: &str) -> io::Result<Export> {
        let mut export = Export {
            account: String::new(),
            format: Format::Maildir,
            complete: false,
            subscriptions: Vec::new(),
        };
        for (n, line) in (1..).zip(text.lines()) {
            match line.split_once(' ').ok_or_else(|| invalid(n))? {
                (EXPORT, "1") if n == 1 => {}
                _ if n == 1 => return Err(invalid(n)),
                ("account", name) => name.clone_into(&mut export.account),
                ("format", name) => export.format = Format::named(name).ok_or_else(|| invalid(n))?,
                ("state", state) => export.complete = state == "complete",
                ("subscribed", name) => export.subscriptions.push(name.to_owned()),
                _ => return Err(invalid(n)),
            }
        }
        Ok(export)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let numbers = MailboxNumbers { uid_validity: 7, uid_next: 18, highest_modseq: 42 };
        let keywords = vec!["work".to_owned(), "$Junk".to_owned()];
        let annotations =
            vec![("/shared/a b".to_owned(), b"x\ny".to_vec()), ("/shared/empty".to_owned(), Vec::new())];
        let header = Header { name: "a b/ü".to_owned(), numbers, keywords, annotations, file: Some(9) };
        let place = Some(Span { offset: 55, added: 20, quoted: 2049 });
        let lines = [
            Line { uid: 17, modseq: 42, date: -5, size: 2048, flags: Flags(0x101), place },
            Line { uid: 18, modseq: 41, date: 5, size: 0, flags: Flags::NONE, place: None },
        ];
        let text = lines.iter().fold(header.text(), |text, line| text + &line.text()) + &file(9);
        let mut found = Vec::new();
        assert_eq!(read(text.as_bytes(), |line| found.push(line)).unwrap(), header);
        assert_eq!(found, lines);
        for bad in
            ["", "pillarbox-mailbox 2\n", "pillarbox-mailbox 1\nname a\n", &format!("{text}message 1 2\n")]
        {
            assert!(read(bad.as_bytes(), |_| ()).is_err(), "{bad}");
        }
        let export = Export {
            account: "office".to_owned(),
            format: Format::Mbox,
            complete: true,
            subscriptions: vec!["a b".to_owned()],
        };
        assert_eq!(Export::parse(&export.text()).unwrap(), export);
        assert!(Export::parse("something else").is_err());
    }
}
