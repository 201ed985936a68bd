#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| authsome_fuzz::webhook_header::check(input));
