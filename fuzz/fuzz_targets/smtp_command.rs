//! An SMTP command line, and a reply line as our client reads it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillarbox::smtp::command::Command;
use pillarbox::smtp::mailbox::Mailbox;

fuzz_target!(|line: &[u8]| {
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
});
