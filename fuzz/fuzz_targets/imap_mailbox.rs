#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| pillarbox::fuzzing::imap_mailbox::run(octets));
