//! An SMTP command line, and a reply line as our client reads it.

use crate::smtp::command::Command;
use crate::smtp::dsn;
use crate::smtp::mailbox::Mailbox;

/// One input.
pub fn run(line: &[u8]) {
    if let Ok(Command::Rcpt { to, .. }) = Command::parse(line) {
        assert_eq!(
            Mailbox::parse(to.mailbox.as_str()).as_ref(),
            Ok(&to.mailbox),
            "a recipient changes when it is read again"
        );
        assert!(to.original.is_empty() || dsn::is_original(&to.original));
        assert!(!to.original.contains(char::is_control), "a report would have another field");
    }
    if let Ok(text) = std::str::from_utf8(line)
        && let Ok(mailbox) = Mailbox::parse(text)
    {
        assert_eq!(
            Mailbox::parse(mailbox.as_str()).as_ref(),
            Ok(&mailbox),
            "an address changes when it is read again"
        );
    }
}
