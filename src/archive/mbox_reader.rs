//! An mbox file as a mailbox: by its manifest if Pillarbox exported it, otherwise by its `From ` lines.
//!
//! A message begins at a line with `From ` and a time, at the beginning of the file or after an empty line;
//! Content-Length is ignored. `>From ` lines are unquoted. The header fields in which mail programs keep flags become
//! flags and are left out.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::beneath::Beneath;
use super::flags;
use super::manifest::{self, EXTENSION, Header, Line};
use super::octets::Form;
use super::source::{Contents, Entry, InFile, Place, modified};
use crate::message::date::parse_rfc5322;
use crate::pace::Pace;
use crate::store::Flags;

/// Octets of a line that are looked at, at most.
const LINE_MAX: usize = 1000;
/// Lines of a header in which flags are looked for, at most.
const HEADER_LINES: usize = 4000;
/// Header fields, in lower case, in which mail programs keep what is not part of the message.
const KEPT_APART: [&str; 7] =
    ["status", "x-status", "x-keywords", "x-uid", "x-imap", "x-imapbase", "content-length"];

/// The mailbox name in the manifest, if there is one.
pub fn name(root: &Beneath, path: &Path) -> Option<String> {
    described(root, path, |_| ()).map(|header| header.name)
}

/// The header of the manifest, if it describes the present file.
fn described(root: &Beneath, path: &Path, each: impl FnMut(Line)) -> Option<Header> {
    let text = root.read(beside(path)).ok()?;
    let header = manifest::read(BufReader::new(text), each).ok()?;
    (header.file == Some(root.look(path).ok()?.len())).then_some(header)
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension(EXTENSION)
}

/// Reads the mbox file `path` in `root`.
///
/// # Errors
/// What the system says about the file.
pub async fn read(root: &Rc<Beneath>, path: &Path, pace: &Pace) -> io::Result<Contents> {
    let file: Rc<Path> = path.into();
    let mut contents = Contents::default();
    let header = described(root, path, |line| contents.messages.extend(as_exported(root, &file, &line)));
    if let Some(header) = header {
        contents.numbers = Some(header.numbers);
        contents.keywords = header.keywords;
        contents.annotations = header.annotations;
        return Ok(contents);
    }
    contents.messages.clear();
    if root.look(beside(path)).is_ok() {
        contents.problems.push(format!(
            "{}: not used, it describes another file than {}, or is a link",
            root.shown(beside(path)).display(),
            root.shown(path).display()
        ));
    }
    let open = root.read(path)?;
    let changed = modified(&open.metadata()?);
    let mut scan = Scan { root: root.clone(), file, changed, contents, message: None };
    let mut lines = Lines { reader: BufReader::with_capacity(64 * 1024, open), at: 0 };
    let mut line = Vec::new();
    while let Some((at, octets)) = lines.next(&mut line, pace).await? {
        scan.line(at, octets, &line);
    }
    scan.end(lines.at);
    Ok(scan.contents)
}

fn as_exported(root: &Rc<Beneath>, file: &Rc<Path>, line: &Line) -> Option<Entry> {
    let place = line.place?;
    Some(Entry {
        place: Place::File(InFile {
            root: root.clone(),
            file: file.clone(),
            ranges: vec![(place.offset + place.added, place.quoted)],
            form: Form { quoted: true, unix_lines: false },
        }),
        flags: line.flags,
        date: line.date,
        uid: Some(line.uid),
        modseq: Some(line.modseq),
    })
}

/// The lines of a file, of which only the beginnings are kept.
struct Lines {
    reader: BufReader<fs::File>,
    at: u64,
}

impl Lines {
    /// The offset and the octets of the next line, its line end included.
    async fn next(&mut self, line: &mut Vec<u8>, pace: &Pace) -> io::Result<Option<(u64, u64)>> {
        line.clear();
        let start = self.at;
        loop {
            let held = self.reader.fill_buf()?;
            let end = memchr::memchr(b'\n', held).map(|at| at + 1);
            let taken = end.unwrap_or(held.len());
            let room = LINE_MAX - line.len();
            line.extend_from_slice(&held[..taken.min(room)]);
            self.reader.consume(taken);
            self.at += taken as u64;
            // A line may be as long as the file.
            pace.did(taken as u64).await;
            if end.is_some() || taken == 0 {
                return Ok((self.at > start).then_some((start, self.at - start)));
            }
        }
    }
}

/// A file that is being read line by line.
struct Scan {
    root: Rc<Beneath>,
    file: Rc<Path>,
    /// When the file was changed, which is the date of messages without one.
    changed: i64,
    contents: Contents,
    message: Option<Growing>,
}

/// A message whose end has not come yet.
struct Growing {
    entry: Entry,
    in_header: bool,
    /// The number of lines of its header.
    lines: usize,
    /// Whether the current field is one that is left out, so that its continuation lines are, too.
    apart: bool,
    /// Where the current range begins.
    from: u64,
    /// Whether the last line was empty.
    after_empty: bool,
    /// Octets of that empty line, unless it ends the header.
    blank: u64,
    /// Whether it is not mail but an internal note of the mail program.
    internal: bool,
}

impl Scan {
    fn line(&mut self, at: u64, octets: u64, line: &[u8]) {
        let may_begin = self.message.as_ref().is_none_or(|message| message.after_empty);
        if may_begin && let Some(date) = from_line(line) {
            self.end(at);
            self.message =
                Some(Growing::new(&self.root, &self.file, date.unwrap_or(self.changed), at + octets));
            return;
        }
        let Some(message) = &mut self.message else { return };
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        message.after_empty = text.is_empty();
        message.blank = if text.is_empty() && !message.in_header { octets } else { 0 };
        if message.in_header {
            message.header_line(at, octets, text, &mut self.contents.keywords);
        }
    }

    /// Ends the message before `at`. The empty line before `at` is not part of it.
    fn end(&mut self, at: u64) {
        let Some(mut message) = self.message.take() else { return };
        let end = at - message.blank;
        if end > message.from {
            message.entry.goes_on(message.from, end - message.from);
        }
        if !message.internal {
            self.contents.messages.push(message.entry);
        }
    }
}

impl Growing {
    fn new(root: &Rc<Beneath>, file: &Rc<Path>, date: i64, from: u64) -> Growing {
        let entry = Entry {
            place: Place::File(InFile {
                root: root.clone(),
                file: file.clone(),
                ranges: Vec::new(),
                form: Form { quoted: true, unix_lines: true },
            }),
            flags: Flags::NONE,
            date,
            uid: None,
            modseq: None,
        };
        Growing {
            entry,
            in_header: true,
            lines: 0,
            apart: false,
            from,
            after_empty: false,
            blank: 0,
            internal: false,
        }
    }

    fn header_line(&mut self, at: u64, octets: u64, line: &[u8], keywords: &mut Vec<String>) {
        if line.is_empty() {
            self.in_header = false;
            return;
        }
        let text = String::from_utf8_lossy(line);
        self.lines += 1;
        if self.lines > HEADER_LINES {
            // A file that consists of flag fields must not become a long list of ranges.
            self.in_header = false;
            return;
        }
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let (name, value) = text.split_once(':').unwrap_or_default();
            let name = name.trim_end().to_ascii_lowercase();
            self.apart = KEPT_APART.contains(&name.as_str());
            match name.as_str() {
                "status" | "x-status" => {
                    self.entry.flags = self.entry.flags.with(flags::from_mbox(value));
                }
                "x-keywords" => value.split_whitespace().for_each(|word| self.keyword(word, keywords)),
                "subject" if value.contains("FOLDER INTERNAL DATA") => self.internal = true,
                _ => {}
            }
        }
        if self.apart {
            if at > self.from {
                self.entry.goes_on(self.from, at - self.from);
            }
            self.from = at + octets;
        }
    }

    fn keyword(&mut self, word: &str, keywords: &mut Vec<String>) {
        let bit = keywords.iter().position(|known| known == word).unwrap_or(keywords.len());
        if bit >= Flags::KEYWORDS || !flags::is_keyword(word) {
            return;
        }
        if bit == keywords.len() {
            keywords.push(word.to_owned());
        }
        self.entry.flags = self.entry.flags.with(Flags::keyword(bit));
    }
}

/// The time in a line that begins a message, such as `From peter@example.org Sat Jan  1 00:00:00 2000`; `None` if the
/// line does not begin one.
fn from_line(line: &[u8]) -> Option<Option<i64>> {
    let text = String::from_utf8_lossy(line.strip_prefix(b"From ")?);
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_time =
        |word: &&str| word.split(':').count() >= 2 && word.bytes().all(|c| c == b':' || c.is_ascii_digit());
    let at = words.iter().rposition(is_time)?;
    let year =
        words[at + 1..].iter().rev().find(|word| word.len() == 4 && word.bytes().all(|c| c.is_ascii_digit()));
    let zone = words[at + 1..].iter().find(|word| word.starts_with(['+', '-'])).unwrap_or(&"+0000");
    let [.., month, day] = words[..at] else { return Some(None) };
    let date = year.map(|year| format!("{day} {month} {year} {} {zone}", words[at]));
    Some(date.and_then(|date| parse_rfc5322(date.as_bytes())).map(|date| date.unix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_lines_are_told_from_sentences() {
        for (line, date) in [
            ("From a@b.example Sat Jan  1 00:00:00 2000\n", Some(Some(946_684_800))),
            ("From a@b Sat Jan 1 02:00 +0200 2000\r\n", Some(Some(946_684_800))),
            ("From - Sat Jan 1 00:00:00 2000", Some(Some(946_684_800))),
            ("From a 10:00:00", Some(None)),
            ("From here on it is easy", None),
            ("from a@b Sat Jan 1 00:00:00 2000", None),
        ] {
            assert_eq!(from_line(line.as_bytes()), date, "{line}");
        }
    }
}
