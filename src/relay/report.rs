//! Mail that the relay writes itself: its header, and that the smarthost refuses a login. What became of a message is told by
//! [`super::dsn`].

use crate::message::{compose, date};
use crate::smtp::ReversePath;
use crate::store::{Error, Incoming};

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

    /// Writes to the user whose login the smarthost refuses.
    ///
    /// # Errors
    /// What the store says.
    pub fn refused_login(&self, username: &str, reason: &str, message: &mut Incoming) -> Result<(), Error> {
        message.write(self.header("Your mail cannot be sent: the login is refused").as_bytes())?;
        let text = format!(
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\
             \r\n\
             This is the mail appliance {}. The mail server that takes your outgoing mail\r\n\
             refuses the login that is set for you:\r\n\
             \r\n\
             \x20   user name: {username}\r\n\
             \x20   its answer: {reason}\r\n\
             \r\n\
             Your messages wait here and are tried again. Have the password of that login set anew.\r\n",
            self.hostname
        );
        message.write(text.as_bytes())
    }
}
