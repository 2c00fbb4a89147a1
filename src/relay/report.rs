//! Mail that the relay writes itself: its header. What became of a message is told by [`super::dsn`], that a login is refused by
//! [`super::letters`].

use crate::message::{compose, date};
use crate::smtp::ReversePath;

use super::deposit::return_path;

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
    pub fn header(&self, subject: &str) -> String {
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
}
