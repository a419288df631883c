//! libFuzzer's way into [`fuzz::wire_parse`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::wire_parse::run(data));
