#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| pillarbox::fuzzing::imap_server::run(octets));
