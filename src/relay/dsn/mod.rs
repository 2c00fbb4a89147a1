//! Delivery status notifications (RFC 3464) in the form of RFC 6522, and of RFC 6533 where addresses are not ASCII.
//! They tell the sender what became of a message, or the postmaster where the sender has no account here.
//!
//! [`words`] writes the part for people, [`fields`] the part for programs.

mod fields;
mod words;

use crate::flash::ReadAt;
use crate::message::{compose, encoded_word, header};
use crate::store::{Error, Incoming};

use super::deposit::{self, unreadable};
use super::entry::{Entry, Progress, Recipient};
use super::report::Letter;

/// Octets of the original header that a report holds, at most.
const MAX_HEADER: usize = 16 * 1024;
/// Octets of an original that a report encloses whole, at most, where RET=FULL asks for it.
pub const MAX_WHOLE: u64 = 256 * 1024;
/// Characters of a subject that are shown, at most.
const MAX_SUBJECT: usize = 200;

/// A report to be written.
pub struct Report<'a> {
    /// The recipient and the date of the report.
    pub letter: Letter<'a>,
    /// The role in which the recipient gets it.
    pub reader: Reader,
    /// The message that the report is about.
    pub entry: &'a Entry,
    /// The recipients of the message that the report is about.
    pub recipients: Vec<&'a Recipient>,
    /// When attempts end, in seconds since 1970 UTC.
    pub until: i64,
    /// What the report encloses of the message.
    pub original: Original<'a>,
}

/// The role of the person who reads a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The sender of the message.
    Sender,
    /// The postmaster, since the sender has no mailbox here.
    Postmaster,
    /// The postmaster, since the account that sent it is gone.
    PostmasterOfGone,
}

/// What a report encloses of the message.
#[derive(Clone, Copy)]
pub enum Original<'a> {
    /// Nothing: the message cannot be read any more.
    Unreadable,
    /// The header.
    Header(&'a dyn ReadAt),
    /// The header, though the whole message was asked for: it is too large, or there is no room.
    TooLarge(&'a dyn ReadAt),
    /// The whole message.
    Whole(&'a dyn ReadAt),
}

impl<'a> Original<'a> {
    fn content(&self) -> Option<&'a dyn ReadAt> {
        match *self {
            Original::Unreadable => None,
            Original::Header(content) | Original::TooLarge(content) | Original::Whole(content) => {
                Some(content)
            }
        }
    }
}

/// The action that a report gives for a recipient (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Failed,
    Delayed,
    /// Handed to a server that sends no report of a later success.
    Relayed,
    Delivered,
}

impl Action {
    fn of(recipient: &Recipient) -> Action {
        match &recipient.progress {
            Progress::Failed { .. } => Action::Failed,
            Progress::Arrived { latest, .. } if latest.remote.is_empty() => Action::Delivered,
            Progress::Arrived { .. } => Action::Relayed,
            Progress::Pending { .. } | Progress::Done | Progress::Reported => Action::Delayed,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Relayed => "relayed",
            Action::Delivered => "delivered",
        }
    }
}

impl Report<'_> {
    /// Writes the report.
    ///
    /// # Errors
    /// The store's.
    pub async fn write(&self, message: &mut Incoming) -> Result<(), Error> {
        let id = compose::message_id("");
        let boundary: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
        message.write(self.head(&boundary)?.as_bytes())?;
        match self.original {
            Original::Unreadable => {}
            Original::Whole(content) => {
                message.write(self.part(&boundary, true).as_bytes())?;
                deposit::copy(content, message).await?;
                message.write(b"\r\n")?;
            }
            Original::Header(content) | Original::TooLarge(content) => {
                message.write(self.part(&boundary, false).as_bytes())?;
                message.write(&header_of(content)?)?;
                message.write(b"\r\n")?;
            }
        }
        message.write(format!("--{boundary}--\r\n").as_bytes())
    }

    /// The report up to the end of the second part, with the line end that belongs to the next delimiter.
    fn head(&self, boundary: &str) -> Result<String, Error> {
        let subject = self.original.content().map(subject_of).transpose()?.flatten();
        let utf8 = self.recipients.iter().any(|recipient| fields::needs_utf8(recipient));
        let (subtype, encoding) =
            if utf8 { ("global-delivery-status", "8bit") } else { ("delivery-status", "7bit") };
        let mut text = self.letter.header(words::subject(self));
        text += &format!(
            "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n\
             \r\n\
             --{boundary}\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\
             \r\n\
             {words}\r\n\
             --{boundary}\r\n\
             Content-Type: message/{subtype}\r\nContent-Transfer-Encoding: {encoding}\r\n\
             \r\n\
             {fields}\r\n",
            words = words::body(self, subject.as_deref()),
            fields = fields::body(self, utf8),
        );
        Ok(text)
    }

    /// The delimiter and header of the third part.
    fn part(&self, boundary: &str, whole: bool) -> String {
        let entry = self.entry;
        let kind = match (whole, entry.utf8) {
            (true, false) => "message/rfc822",
            (true, true) => "message/global",
            (false, false) => "text/rfc822-headers; charset=utf-8",
            (false, true) => "message/global-headers",
        };
        let encoding = if whole && !entry.eight_bit && !entry.utf8 { "7bit" } else { "8bit" };
        format!("--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n")
    }

    fn actions(&self) -> impl Iterator<Item = (Action, &Recipient)> {
        self.recipients.iter().map(|recipient| (Action::of(recipient), *recipient))
    }
}

/// The header of a message, whole lines of it up to [`MAX_HEADER`] octets.
///
/// # Errors
/// [`Error::Io`] if `message` cannot be read.
pub fn header_of(message: &dyn ReadAt) -> Result<Vec<u8>, Error> {
    let mut header = vec![0; MAX_HEADER];
    let mut len = 0;
    while let Some(room) = header.get_mut(len..).filter(|room| !room.is_empty()) {
        match message.read_at(len as u64, room).map_err(unreadable)? {
            0 => break,
            n => len += n,
        }
    }
    header.truncate(len);
    let end = match memchr::memmem::find(&header, b"\r\n\r\n") {
        Some(empty_line) => empty_line + 2,
        None => memchr::memrchr(b'\n', &header).map_or(0, |lf| lf + 1),
    };
    header.truncate(end);
    Ok(header)
}

/// The subject, fit to be printed; `None` where there is none.
fn subject_of(message: &dyn ReadAt) -> Result<Option<String>, Error> {
    let value = header::length(message).and_then(|end| header::value(message, 0..end, "Subject"));
    let Some(value) = value.map_err(unreadable)? else { return Ok(None) };
    let subject: String = printable(&encoded_word::decode(&value)).trim().chars().take(MAX_SUBJECT).collect();
    Ok(Some(subject).filter(|subject| !subject.is_empty()))
}

/// Text from elsewhere, without characters that would move a cursor or end a line.
pub fn printable(text: &str) -> String {
    let invisible =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if invisible(c) { ' ' } else { c }).collect()
}

/// `text` in lines of at most `WIDTH` octets where its words allow that, and of at most 998 in any case (RFC 5322
/// section 2.1.1). The first line begins with `prefix`, the others with `then`.
fn wrapped(text: &str, prefix: &str, then: &str) -> String {
    const WIDTH: usize = 76;
    const LONGEST_WORD: usize = 400;
    let mut lines = prefix.to_owned();
    let mut width = prefix.len();
    let mut fresh = true;
    for word in text.split(' ') {
        let mut word = word;
        loop {
            let (piece, rest) =
                word.split_at_checked(word.floor_char_boundary(LONGEST_WORD)).unwrap_or((word, ""));
            if !fresh && width + 1 + piece.len() > WIDTH {
                lines += "\r\n";
                lines += then;
                (width, fresh) = (then.len(), true);
            }
            if !fresh {
                lines.push(' ');
                width += 1;
            }
            lines += piece;
            width += piece.len();
            fresh = false;
            word = rest;
            if word.is_empty() {
                break;
            }
        }
    }
    lines + "\r\n"
}

#[cfg(test)]
mod tests;
