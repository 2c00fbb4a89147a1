//! The header of mail that the relay writes itself. [`super::dsn`] writes reports on messages, [`super::letters`]
//! letters about refused logins.

use crate::message::{compose, date};
use crate::smtp::ReversePath;

use super::deposit::return_path;

/// The sender's host, the recipient and the date of a letter.
pub struct Letter<'a> {
    /// The name of this server.
    pub hostname: &'a str,
    /// The recipient's address.
    pub to: &'a str,
    /// Seconds since 1970 UTC.
    pub date: i64,
}

impl Letter<'_> {
    /// The header of a letter that is marked as automatic (RFC 3834), without the fields about its content.
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
