#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| pillarbox::fuzzing::token_answer::run(octets));
