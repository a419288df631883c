//! libFuzzer's way into [`fuzz::switch_decapsulate`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::switch_decapsulate::run(data));
