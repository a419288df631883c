//! libFuzzer's way into [`fuzz::wire_checksum`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::wire_checksum::run(data));
