//! libFuzzer's way into [`fuzz::wire_cut`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::wire_cut::run(data));
