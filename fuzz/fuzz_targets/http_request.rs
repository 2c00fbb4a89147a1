#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| pillarbox::fuzzing::http_request::run(octets));
