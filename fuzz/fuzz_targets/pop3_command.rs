//! A POP3 command line. What is understood names no more octets than came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillarbox::pop3::command::Command;

fuzz_target!(|line: &[u8]| {
    let _ = Command::parse(line);
});
