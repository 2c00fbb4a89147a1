//! An SMTP command line, and a reply line as our client reads it.

use crate::smtp::command::Command;
use crate::smtp::mailbox::Mailbox;

/// One input.
pub fn run(line: &[u8]) {
    let _ = Command::parse(line);
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
