//! Mail that the relay writes itself: what became of a message that was not delivered (RFC 3464, RFC 6522).

use crate::flash::ReadAt;
use crate::message::{compose, date};
use crate::smtp::{Mailbox, ReversePath};
use crate::store::{Error, Incoming};

use super::deposit::{return_path, unreadable};
use super::entry::{Entry, Progress};

/// Octets of the original's header that go back with a report.
const MAX_HEADER: usize = 16 * 1024;

/// Who writes to whom, and when.
pub struct Letter<'a> {
    /// The name of this server.
    pub hostname: &'a str,
    /// The recipient.
    pub to: &'a str,
    /// Seconds since 1970 UTC.
    pub date: i64,
}

impl Letter<'_> {
    /// The header of a letter that nobody is to answer (RFC 3834), but for what the content is.
    pub(super) fn header(&self, subject: &str) -> String {
        format!(
            "{}From: Mail delivery <MAILER-DAEMON@{host}>\r\nTo: <{}>\r\nSubject: {subject}\r\nDate: {}\r\n\
             Message-ID: {}\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n",
            return_path(&ReversePath::None),
            self.to,
            date::rfc5322(self.date),
            compose::message_id(self.hostname),
            host = self.hostname,
        )
    }

    /// Writes a report on the recipients of `entry` that failed and of which its sender knows nothing.
    /// `original` is the content, where it can be read.
    ///
    /// # Errors
    /// What the store says.
    pub fn non_delivery(
        &self,
        entry: &Entry,
        original: Option<&dyn ReadAt>,
        message: &mut Incoming,
    ) -> Result<(), Error> {
        let id = compose::message_id("");
        let boundary: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
        message.write(self.header("Your message was not delivered").as_bytes())?;
        let (mut told, mut status) = (String::new(), String::new());
        for (mailbox, code, diagnostic) in failures(entry) {
            told.push_str(&format!("\r\n<{mailbox}>:\r\n    {diagnostic}\r\n"));
            status.push_str(&format!(
                "\r\nFinal-Recipient: rfc822; {mailbox}\r\nAction: failed\r\nStatus: {code}\r\n\
                 Diagnostic-Code: smtp; {}\r\n",
                ascii(diagnostic)
            ));
        }
        let head = format!(
            "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n\
             \r\n\
             --{boundary}\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\
             \r\n\
             This is the mail appliance {host}. Your message of {created}\r\n\
             did not reach everyone. It was not delivered to:\r\n\
             {told}\r\n\
             --{boundary}\r\n\
             Content-Type: message/delivery-status\r\n\
             \r\n\
             Reporting-MTA: dns; {host}\r\nArrival-Date: {created}\r\n\
             {status}\r\n\
             --{boundary}\r\n\
             Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 8bit\r\n\
             \r\n",
            host = self.hostname,
            created = date::rfc5322(entry.created),
        );
        message.write(head.as_bytes())?;
        if let Some(original) = original {
            message.write(&header_of(original)?)?;
        }
        message.write(format!("\r\n--{boundary}--\r\n").as_bytes())
    }
}

/// Recipients to be reported: mailbox, status, diagnostic.
fn failures(entry: &Entry) -> impl Iterator<Item = (&Mailbox, &str, &str)> {
    entry.recipients.iter().filter_map(|recipient| match &recipient.progress {
        Progress::Failed { status, latest, .. } => {
            Some((&recipient.mailbox, status.as_str(), latest.text.as_str()))
        }
        _ => None,
    })
}

/// RFC 3464 section 2.1: fields of a report are ASCII.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// The header of a message, whole lines of it up to [`MAX_HEADER`] octets.
fn header_of(message: &dyn ReadAt) -> Result<Vec<u8>, Error> {
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
