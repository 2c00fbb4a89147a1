//! A POP3 command line. What is understood names no more octets than came.

use crate::pop3::command::Command;

/// One input.
pub fn run(line: &[u8]) {
    let _ = Command::parse(line);
}
