#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eyrie_fuzz::mikey(data));
