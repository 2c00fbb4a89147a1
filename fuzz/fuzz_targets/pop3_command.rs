#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| pillarbox::fuzzing::pop3_command::run(octets));
