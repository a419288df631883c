//! libFuzzer's way into [`fuzz::wire_join`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::wire_join::run(data));
